//! Documents as people read them: each becomes blocks of text and tables, and blocks become text for a terminal.

mod advice;
mod answers;
mod block;
mod comparison;
mod estimate;
mod model;
mod products;
mod profile;
mod text;

pub use advice::advice;
pub use answers::answers;
pub use block::{Block, Cell, Group, Row, Table, Tone};
pub use comparison::comparison;
pub use estimate::{By, Candidate, Verdict, candidates, csv, estimate, rows};
pub use model::{ModelView, model, models};
pub use profile::{list, profile};
pub use text::{Style, text};
