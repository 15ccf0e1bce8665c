//! An operator: what it does, how often, and its exact work.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::dtype::DType;
use crate::model::{KvFormat, Role, WeightFormat};
use crate::resource::RowwiseOp;
use crate::units::{Bytes, Flops};

/// A step as operators, on one of the devices that share it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    /// The operators, in the order of the first layer that has them. Equal ones of several layers are one, with a count.
    pub operators: Vec<Operator>,
    /// Layers that the step goes through.
    pub layers: u64,
}

/// Equal operators of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operator {
    /// Its place in a layer.
    pub part: Part,
    /// How often the step executes it: over all layers that have it, and as often as each has it.
    pub count: u64,
    /// What it does, with its sizes.
    pub kind: Kind,
    /// Operations of one execution; a multiply-add is two.
    pub flops: Flops,
    /// Bytes of weights that one execution reads, norms and added vectors included. The table of tokens is not streamed: the rows that are
    /// copied out of it count as activations.
    pub weights: Bytes,
    /// Bytes of cached keys and values, or of recurrent state, that one execution reads and writes.
    pub kv: Bytes,
    /// Bytes of activations that one execution reads and writes in the device's memory; none for an exchange, whose bytes are in its kind.
    pub activations: Bytes,
}

/// An operator's place in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Rows of the table of tokens are copied out.
    Embedding,
    /// A norm of the residual stream, of queries and keys, or of compressed vectors.
    Norm,
    /// Activations are rounded to the narrower format that the next matrices are multiplied in.
    Quantization,
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
    /// Experts are chosen for each token.
    Routing,
    /// The experts' results are weighted and summed.
    Combine,
    /// The residual connection.
    Residual,
    /// The next token is chosen from the logits.
    Sampling,
    /// Devices exchange data.
    Communication,
    /// The engine's own time, in which no operator runs. No operator of a graph: a step has it where it is known.
    Framework,
    /// Weights or cached keys and values come from outside of the device's memory. No operator of a graph: a step has it where some of them lie there.
    Transfer,
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
        /// Pairs of a token and an expert, rounded up where the expected number is none.
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
    /// Attention of few new tokens to a cache, whose bytes bound it. The queries that share a cached head are taken through it together: those of one token, however many
    /// heads; those of several (speculation) while they fill no more than [`ROWS_OF_A_TILE`] rows and at least as many tokens are cached as are new.
    DecodeAttention {
        /// Sequences.
        sequences: u64,
        /// New tokens of each.
        queries: u64,
        /// Tokens whose keys and values are read for each: cut to the window where there is one.
        context: u64,
        /// Heads of keys and values of each.
        heads: u64,
        /// Query heads for each head of keys and values.
        group: u64,
        /// Elements of a head's key.
        dim: u64,
        /// Format of the cache.
        kv: KvFormat,
    },
    /// Attention of the tokens of prompts, or of their chunks, to those before them.
    PrefillAttention {
        /// Sequences.
        sequences: u64,
        /// New tokens of each.
        queries: u64,
        /// Tokens before those.
        cached: u64,
        /// Heads of keys and values of each.
        heads: u64,
        /// Query heads for each head of keys and values.
        group: u64,
        /// Elements of a head's key.
        dim: u64,
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

/// Rows that matrix units multiply at once; up to so many queries read a cache in one pass, as decoding kernels are written.
pub const ROWS_OF_A_TILE: u64 = 64;

impl Kind {
    /// Whether it multiplies matrices: products, experts and attention. Their operations are what the field calls a model's FLOPs, and what utilisation (MFU) is
    /// stated in; softmax, norms and other passes are not among them.
    #[must_use]
    pub const fn multiplies(&self) -> bool {
        matches!(
            self,
            Self::Product { .. } | Self::Experts { .. } | Self::DecodeAttention { .. } | Self::PrefillAttention { .. }
        )
    }
}

impl Part {
    /// The word it is written as. Matrices that read the same input are one product, called after all of them.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Norm => "norm",
            Self::Quantization => "quantization",
            Self::Matrix(role) => product(role),
            Self::Rope => "rope",
            Self::CacheWrite => "cache_write",
            Self::Attention => "attention",
            Self::Recurrence => "recurrence",
            Self::Activation => "activation",
            Self::Routing => "routing",
            Self::Combine => "combine",
            Self::Residual => "residual",
            Self::Sampling => "sampling",
            Self::Communication => "communication",
            Self::Framework => "framework",
            Self::Transfer => "transfer",
        }
    }
}

/// The product that begins with a matrix of a role.
const fn product(role: Role) -> &'static str {
    match role {
        Role::Embedding => "embedding_projection",
        Role::Head => "head",
        Role::Query => "qkv",
        Role::Key => "key",
        Role::Value => "value",
        Role::Output => "attention_output",
        Role::QueryDown => "query_kv_down",
        Role::QueryUp => "query_up",
        Role::LatentDown => "kv_down",
        Role::LatentUp => "kv_up",
        Role::RecurrentIn => "recurrent_in",
        Role::RecurrentBetween => "recurrent_between",
        Role::RecurrentOut => "recurrent_out",
        Role::Gate => "gate_up",
        Role::Up => "up",
        Role::Down => "down",
        Role::Router => "router",
        Role::ExpertGate => "expert_gate_up",
        Role::ExpertUp => "expert_up",
        Role::ExpertDown => "expert_down",
        Role::SharedGate => "shared_gate_up",
        Role::SharedUp => "shared_up",
        Role::SharedDown => "shared_down",
        Role::SharedScale => "shared_scale",
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Part {
    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("Part")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An operator's place in a layer. Matrices that read the same input are one product, called after all of them.",
            "examples": ["qkv", "attention", "attention_output", "gate_up", "down", "head", "norm", "communication"],
        })
    }
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

    /// Operations of its matrix products and its attention.
    #[must_use]
    pub fn model_flops(&self) -> Flops {
        self.total(|operator| if operator.kind.multiplies() { operator.flops } else { Flops(0.0) })
    }
}
