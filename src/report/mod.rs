//! Documents as people read them: each becomes blocks of text and tables, and blocks become text for a terminal.

mod advice;
mod answers;
mod bar;
mod block;
mod comparison;
mod diagnosis;
mod estimate;
mod kernels;
mod markdown;
mod model;
mod product;
mod products;
mod profile;
mod text;

pub use advice::advice;
pub use answers::answers;
pub use block::{Bar, Block, Cell, Group, Row, Segment, Table, Tone};
pub use comparison::comparison;
pub use diagnosis::{diagnosis, rule_page};
pub use estimate::{By, Candidate, Verdict, candidates, csv, estimate, rows};
pub use kernels::kernels;
pub use markdown::markdown;
pub use model::{ModelView, model, models};
pub use product::product;
pub use profile::{list, not_of_hardware, profile};
pub use text::{Style, text};
