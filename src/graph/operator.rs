//! An operator: what it does, how often, and its exact work.

use crate::dtype::DType;
use crate::model::{KvFormat, Role, WeightFormat};
use crate::resource::RowwiseOp;
use crate::units::{Bytes, Flops};

/// A step as operators, on one of the devices that share it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    /// The operators, in the order of the first layer that has them. Equal ones of several layers are one, with a count.
    pub operators: Vec<Operator>,
}

/// Equal operators of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operator {
    /// Its place in a layer.
    pub part: Part,
    /// How often the step executes it: the layers that have it.
    pub count: u64,
    /// What it does, with its sizes.
    pub kind: Kind,
    /// Operations of one execution; a multiply-add is two.
    pub flops: Flops,
    /// Bytes of weights that one execution reads.
    pub weights: Bytes,
    /// Bytes of cached keys and values, or of recurrent state, that one execution reads and writes.
    pub kv: Bytes,
    /// Bytes of activations that one execution reads and writes.
    pub activations: Bytes,
}

/// An operator's place in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Rows of the table of tokens are copied out.
    Embedding,
    /// A norm of the residual stream, of queries and keys, or of compressed vectors.
    Norm,
    /// Multiplication with the matrix, or the matrices that read the same input, of a role.
    Matrix(Role),
    /// Positions are rotated into queries and keys.
    Rope,
    /// New keys and values are written to the cache.
    CacheWrite,
    /// Queries attend to keys and values.
    Attention,
    /// The causal convolution and the recurrence.
    Recurrence,
    /// The activation between the halves of a feed-forward network.
    Activation,
    /// The experts' results are weighted and summed.
    Combine,
    /// The residual connection.
    Residual,
    /// The next token is chosen from the logits.
    Sampling,
    /// Devices exchange data.
    Communication,
}

/// What an operator does, as the ceilings are asked for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A product of activations and a matrix of weights.
    Product {
        /// Tokens.
        m: u64,
        /// Outputs, over all matrices that are multiplied with at once.
        n: u64,
        /// Inputs.
        k: u64,
        /// How the matrix is stored.
        weights: WeightFormat,
    },
    /// Products of tokens with the matrices of the experts that were chosen for them.
    Experts {
        /// Pairs of a token and an expert.
        pairs: u64,
        /// Experts that get a token: an expected value.
        distinct: f64,
        /// Outputs of an expert's matrix (or matrices, multiplied with at once).
        n: u64,
        /// Its inputs.
        k: u64,
        /// How it is stored.
        weights: WeightFormat,
    },
    /// Attention of one new token for each sequence; or few, where bytes of the cache still bound it.
    DecodeAttention {
        /// Sequences.
        sequences: u64,
        /// New tokens of each.
        queries: u64,
        /// Tokens each attends to.
        context: u64,
        /// Query heads for each head of keys and values.
        group: u64,
        /// Format of the cache.
        kv: KvFormat,
    },
    /// Attention of the tokens of prompts.
    PrefillAttention {
        /// Sequences.
        sequences: u64,
        /// New tokens of each.
        queries: u64,
        /// Tokens before those.
        cached: u64,
        /// Format of the activations.
        dtype: DType,
    },
    /// A pass over activations.
    Rowwise {
        /// The measured operator that it is, or that loads and stores as much.
        op: RowwiseOp,
        /// Format of the activations.
        dtype: DType,
    },
    /// A pass over recurrent states.
    Recurrence,
    /// An exchange of data between devices.
    Exchange(Collective),
}

/// An exchange of data between the devices of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Collective {
    /// Every device gets the sum of all.
    AllReduce {
        /// Devices.
        devices: u64,
        /// Bytes of each device's data.
        bytes: Bytes,
    },
    /// Every device gets the parts of all.
    AllGather {
        /// Devices.
        devices: u64,
        /// Bytes of the whole.
        bytes: Bytes,
    },
    /// Every device sends a part to every other.
    AllToAll {
        /// Devices.
        devices: u64,
        /// Bytes that each device sends, its own part included.
        bytes: Bytes,
    },
    /// One device sends to the next.
    Send {
        /// Bytes.
        bytes: Bytes,
    },
}

impl Operator {
    /// Bytes that one execution moves.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.weights + self.kv + self.activations
    }
}

impl Graph {
    /// The sum of a quantity over all executions.
    pub fn total<T>(&self, of: impl Fn(&Operator) -> T) -> T
    where
        T: std::ops::Mul<f64, Output = T> + std::iter::Sum,
    {
        self.operators.iter().map(|operator| of(operator) * operator.count as f64).sum()
    }
}
