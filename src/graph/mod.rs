//! What a step of a model consists of: operators with their exact work, from which time, traffic and bounds follow.
//!
//! [`Lowering`] prepares what depends on the model, its formats and the devices alone; [`Lowering::lower`] then multiplies out one step, in the time of some
//! twenty operators, however many layers there are. A file for each kind of mixer and feed-forward network says what it is made of:
//!
//! - Matrices that read the same input in the same format are one product, as engines store them: queries with keys and values, gate with up.
//! - Products see the tokens of all sequences together; attention and recurrences see one group of equal sequences at a time.
//! - The output head sees only the tokens whose logits are wanted; the norm before it sees all, as engines apply it.
//! - Operations are 2·m·n·k for products, and 2 for each pair of tokens, query head and element of a key or a value. Softmax within attention moves no bytes and
//!   is not counted, nor are added vectors.
//! - Bytes are what each operator must move at least: every input and result once.

mod attention;
mod dense;
mod ends;
mod experts;
mod latent;
mod layer;
mod lowering;
mod operator;
mod plan;
mod recurrent;
mod routing;
mod shard;
mod step;
#[cfg(test)]
mod tests;

pub use lowering::{Lowering, lower};
pub use operator::{Collective, Graph, Kind, Operator, Part, ROWS_OF_A_TILE};
pub use plan::Cache;
pub use routing::{Routing, SkewError};
pub use shard::{Layout, LayoutError};
pub use step::{Sequences, Step};
