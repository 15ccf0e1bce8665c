//! Where a device's memory goes, and which batches and contexts it admits.

mod admission;
mod footprint;

pub use admission::{Admission, Budget, BudgetError, Remedy};
pub use footprint::peak_activations;

use schemars::JsonSchema;
use serde::Serialize;

use crate::dtype::DType;
use crate::model::{KvFormat, Model, Precision};
use crate::units::Bytes;

/// What is kept in memory, and how.
///
/// ```
/// # use rooflab::dtype::DType;
/// # use rooflab::estimate::memory::*;
/// # use rooflab::model::*;
/// # use rooflab::units::Bytes;
/// let attention = Attention { heads: 8, kv_heads: 2, head_dim: 64, ..Attention::default() };
/// let ffn = FeedForward::Dense(Dense { intermediate: 1024, gated: true, bias: false });
/// let block = Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Rms, norms: 2 };
/// let model = Model::new("small", 512, 32_000, vec![(4, block)]);
/// let half = WeightFormat::plain(DType::Bf16);
/// let precision =
///     Precision { blocks: Vec::new(), embedding: half, head: half, vectors: DType::Bf16, activations: DType::Bf16 };
/// let plan = Plan::new(&model, &precision, KvFormat::plain(DType::Bf16));
/// assert_eq!(plan.cache(1000), Bytes::new(4 * 2 * 2 * 64 * 2 * 1008));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Plan<'m> {
    /// The model.
    pub model: &'m Model,
    /// The formats of its weights.
    pub precision: &'m Precision,
    /// The format of its cache.
    pub kv: KvFormat,
    /// The format of recurrent states.
    pub state: DType,
    /// Tokens of a block of the cache: a sequence has whole blocks.
    pub block: u64,
    /// What layers with a window keep.
    pub allocation: Allocation,
    /// Devices that share the model.
    pub split: Split,
    /// What is kept beside weights and cache.
    pub reserve: Reserve,
}

/// What layers with a window keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Allocation {
    /// The tokens within their window.
    Capped,
    /// All tokens, as engines do that page every layer alike.
    EveryLayerAlike,
}

/// Devices that share a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Split {
    /// Devices that share every matrix. Heads of keys and values are shared as far as there are any, then repeated; latent caches are repeated.
    pub tensor: u64,
    /// Stages that share the layers, taken as equally large.
    pub pipeline: u64,
    /// Devices that share the experts; all else is repeated on each.
    pub expert: u64,
}

impl Default for Split {
    /// One device.
    fn default() -> Self {
        Self { tensor: 1, pipeline: 1, expert: 1 }
    }
}

/// What is kept beside weights and cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Reserve {
    /// The most that activations take: see [`peak_activations`].
    pub activations: Bytes,
    /// Scratch memory of libraries and captured graphs.
    pub workspace: Bytes,
    /// What the driver keeps for a process.
    pub context: Bytes,
}

/// A line of where memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Line {
    /// What for.
    pub what: &'static str,
    /// How much.
    pub bytes: Bytes,
}

/// Tokens of a block where nothing else is said, as in vLLM.
const BLOCK: u64 = 16;

impl<'m> Plan<'m> {
    /// A model on one device, its cache in blocks of 16 tokens, layers with a window keeping no more than that, and nothing beside.
    #[must_use]
    pub const fn new(model: &'m Model, precision: &'m Precision, kv: KvFormat) -> Self {
        Self {
            model,
            precision,
            kv,
            state: precision.activations,
            block: BLOCK,
            allocation: Allocation::Capped,
            split: Split { tensor: 1, pipeline: 1, expert: 1 },
            reserve: Reserve { activations: Bytes(0.0), workspace: Bytes(0.0), context: Bytes(0.0) },
        }
    }

    /// Bytes of the weights on each device.
    #[must_use]
    pub fn weights(&self) -> Bytes {
        let Split { tensor, pipeline, expert } = self.split;
        let elsewhere = match expert {
            0 | 1 => Bytes(0.0),
            devices => self.model.expert_bytes(self.precision) * (1.0 - 1.0 / devices as f64),
        };
        let kept = self.model.weight_bytes(self.precision) - elsewhere;
        kept / (tensor.max(1) as f64 * pipeline.max(1) as f64)
    }

    /// Bytes on each device for the cache and the states of a sequence of some tokens.
    #[must_use]
    pub fn cache(&self, tokens: u64) -> Bytes {
        let layers = self.model.groups().map(|(count, block)| self.layer(block, tokens) * count as f64);
        layers.sum::<Bytes>() / self.split.pipeline.max(1) as f64
    }

    /// Where the memory of each device goes with some sequences of some tokens.
    #[must_use]
    pub fn lines(&self, batch: u64, tokens: u64) -> Vec<Line> {
        let Reserve { activations, workspace, context } = self.reserve;
        vec![
            Line { what: "weights", bytes: self.weights() },
            Line { what: "cache", bytes: self.cache(tokens) * batch as f64 },
            Line { what: "activations", bytes: activations },
            Line { what: "workspace", bytes: workspace },
            Line { what: "context", bytes: context },
        ]
    }
}

impl Reserve {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Bytes {
        self.activations + self.workspace + self.context
    }
}
