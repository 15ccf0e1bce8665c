//! What a step of a model consists of: operators with their exact work, from which time, traffic and bounds follow.

mod operator;
mod step;

pub use operator::{Collective, Graph, Kind, Operator, Part};
pub use step::{Sequences, Step};
