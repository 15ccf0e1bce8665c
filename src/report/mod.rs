//! Documents as people read them: each becomes blocks of text and tables, or pictures; those become text for a terminal, Markdown, SVG, images and pages.

mod advice;
mod answers;
mod bar;
mod block;
mod chart;
mod charts;
mod comparison;
mod diagnosis;
mod estimate;
mod fleet;
mod html;
mod kernels;
mod markdown;
mod model;
mod png;
mod product;
mod products;
mod profile;
mod text;

pub use advice::advice;
pub use answers::answers;
pub use block::{Bar, Block, Cell, Group, Row, Segment, Table, Tone};
pub use chart::{Chart, Frame, Theme, csv as chart_csv, svg, terminal};
pub use charts::{Family, Placed, breakdown, curves, frontier, products, roofline, waterfall};
pub use comparison::comparison;
pub use diagnosis::{diagnosis, rule_page};
pub use estimate::{By, Candidate, Verdict, candidates, csv, estimate, rows};
pub use fleet::fleet;
pub use html::{Machine, Rated, Run, machines, pictures};
pub use kernels::kernels;
pub use markdown::markdown;
pub use model::{ModelView, model, models};
pub use png::{PngError, png};
pub use product::product;
pub use profile::{list, not_of_hardware, profile};
pub use text::{Style, text};
