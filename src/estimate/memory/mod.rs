//! Where a device's memory goes, and which batches and contexts it admits.

mod admission;
mod footprint;

pub use admission::{Admission, Budget, BudgetError, Remedy};
pub use footprint::{AtOnce, peak_activations};

use footprint::Stage;

use schemars::JsonSchema;
use serde::Serialize;

use super::offload::Offload;
use super::subject::Subject;
use crate::graph::{Layout, LayoutError, Lowering};
use crate::model::Block;
use crate::units::Bytes;

/// What is kept in the memory of each device: weights and caches as lowering divides them, by a policy for the rest.
///
/// ```
/// # use rooflab::dtype::DType;
/// # use rooflab::estimate::Subject;
/// # use rooflab::estimate::memory::*;
/// # use rooflab::graph::{Layout, Routing};
/// # use rooflab::model::*;
/// # use rooflab::units::Bytes;
/// let attention = Attention { heads: 8, kv_heads: 2, head_dim: 64, ..Attention::default() };
/// let ffn = FeedForward::Dense(Dense { intermediate: 1024, gated: true, bias: false });
/// let block = Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Rms, norms: 2 };
/// let model = Model::new("small", 512, 32_000, vec![(4, block)]);
/// let precision = Precision::uniform(&model, WeightFormat::plain(DType::Bf16));
/// let kv = KvFormat::plain(DType::Bf16);
/// let subject = Subject { model: &model, precision: &precision, kv, routing: Routing::default() };
/// let plan = Plan::new(subject, Layout::default(), Policy::default())?;
/// assert_eq!(plan.weights(), model.weight_bytes(&precision));
/// assert_eq!(plan.cache(1000), Bytes::new(4 * 2 * 2 * 64 * 2 * 1008));
/// # Ok::<(), rooflab::graph::LayoutError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan<'m> {
    subject: Subject<'m>,
    layout: Layout,
    policy: Policy,
    stages: Vec<Stage>,
    /// The kinds of layers as a device has them.
    blocks: Vec<Block>,
}

/// How an engine keeps caches, and what is kept beside them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// Tokens of a block of the cache: a sequence has whole blocks.
    pub block: u64,
    /// What layers with a window keep.
    pub allocation: Allocation,
    /// What activations are kept for; without it, they are not counted.
    pub at_once: Option<AtOnce>,
    /// What drivers, libraries and captured graphs keep.
    pub reserve: Bytes,
    /// What is kept outside of the device's memory.
    pub offload: Offload,
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

/// A line of where memory goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Line {
    /// What for.
    pub what: &'static str,
    /// How much.
    pub bytes: Bytes,
}

impl Default for Policy {
    /// Blocks of 16 tokens, as in vLLM; layers with a window keep no more than that; nothing is kept beside, and nothing elsewhere.
    fn default() -> Self {
        let (at_once, reserve) = (None, Bytes(0.0));
        Self { block: 16, allocation: Allocation::Capped, at_once, reserve, offload: Offload::default() }
    }
}

impl<'m> Plan<'m> {
    /// A model on the devices of a layout.
    ///
    /// # Errors
    /// If the model cannot be divided like that.
    pub fn new(subject: Subject<'m>, layout: Layout, policy: Policy) -> Result<Self, LayoutError> {
        let Subject { model, precision, kv, routing } = subject;
        let lowered = Lowering::sharded(model, precision, kv, routing, &layout)?;
        let (stages, blocks) = (lowered.iter().map(Stage::new).collect(), layout.narrow(model)?);
        Ok(Self { subject, layout, policy, stages, blocks })
    }

    /// Bytes of the weights in the memory of a device of the stage with the most.
    #[must_use]
    pub fn weights(&self) -> Bytes {
        self.all_weights() * self.policy.offload.weights_here()
    }

    /// Bytes in the memory of a device for the cache and the states of a sequence of some tokens, in the stage with the most.
    ///
    /// That need not be the stage with the most weights. Taking both as one stage's is at most a layer's difference, on the safe side.
    #[must_use]
    pub fn cache(&self, tokens: u64) -> Bytes {
        self.all_cache(tokens) * self.policy.offload.cache_here()
    }

    /// The most that activations take on a device while some sequences run. Those go through the stages of a pipeline in parts, as far as there are sequences.
    #[must_use]
    pub fn activations(&self, batch: u64) -> Bytes {
        let Some(at_once) = self.policy.at_once else { return Bytes(0.0) };
        let (Subject { model, precision, .. }, part) = (self.subject, self.part(batch));
        peak_activations(model, &self.blocks, precision.activations, at_once.tokens(part), part)
    }

    /// The sequences of some that a stage has at a time.
    fn part(&self, batch: u64) -> u64 {
        batch.div_ceil(batch.min(self.layout.pipeline).max(1))
    }

    /// Where the memory of each device goes with some sequences of some tokens.
    #[must_use]
    pub fn lines(&self, batch: u64, tokens: u64) -> Vec<Line> {
        vec![
            Line { what: "weights", bytes: self.weights() },
            Line { what: "cache", bytes: self.cache(tokens) * batch as f64 },
            Line { what: "activations", bytes: self.activations(batch) },
            Line { what: "reserve", bytes: self.policy.reserve },
        ]
    }

    /// What each device has outside of its memory with some sequences of some tokens; empty where nothing is.
    #[must_use]
    pub fn outside(&self, batch: u64, tokens: u64) -> Vec<Line> {
        let Offload { weights, kv, .. } = self.policy.offload;
        let lines = [
            Line { what: "weights", bytes: self.all_weights() * weights },
            Line { what: "cache", bytes: self.all_cache(tokens) * (kv * batch as f64) },
        ];
        lines.into_iter().filter(|line| line.bytes.get() > 0.0).collect()
    }

    /// Weights of a device, wherever they lie.
    fn all_weights(&self) -> Bytes {
        largest(self.stages.iter().map(|stage| stage.weights))
    }

    /// The cache of a sequence on a device, wherever it lies.
    fn all_cache(&self, tokens: u64) -> Bytes {
        largest(self.stages.iter().map(|stage| stage.cache(tokens, &self.policy)))
    }
}

fn largest(sizes: impl Iterator<Item = Bytes>) -> Bytes {
    Bytes(sizes.map(Bytes::get).fold(0.0, f64::max))
}
