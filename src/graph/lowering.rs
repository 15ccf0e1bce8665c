//! From a model to plans, one for each stage of a pipeline, and from a plan and a step to operators.

use std::ops::Range;

use super::layer::{Device, Layer};
use super::plan::{Cache, Plan};
use super::shard::{Layout, LayoutError, data, pipeline};
use super::{Graph, Routing, Step, ends};
use crate::model::{Block, KvFormat, Model, Precision};
use crate::units::Bytes;

/// A model, its formats and its devices, made ready to lower many steps.
///
/// ```
/// # use rooflab::dtype::DType;
/// # use rooflab::graph::*;
/// # use rooflab::model::*;
/// # let attention = Attention { heads: 8, kv_heads: 2, head_dim: 64, ..Attention::default() };
/// # let ffn = FeedForward::Dense(Dense { intermediate: 1024, gated: true, bias: false });
/// # let block = Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Rms, norms: 2 };
/// # let model = Model::new("small", 512, 32_000, vec![(4, block)]);
/// let formats = Precision {
///     blocks: Vec::new(),
///     embedding: WeightFormat::plain(DType::Bf16),
///     head: WeightFormat::plain(DType::Bf16),
///     vectors: DType::Bf16,
///     activations: DType::Bf16,
/// };
/// let lowering = Lowering::new(&model, &formats, KvFormat::plain(DType::Bf16), Routing::default());
/// let graph = lowering.lower(&Step::decode(16, 2048));
/// // 16 sequences read 2048 tokens each in 4 layers; every token is 2 heads of keys and of values, 64 elements of 2 bytes.
/// let read = graph.total(|operator| if operator.part == Part::Attention { operator.kv } else { Default::default() });
/// assert_eq!(read.get(), 16.0 * 2048.0 * 4.0 * 2.0 * 2.0 * 64.0 * 2.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Lowering {
    plan: Plan,
    /// Groups of devices that share the sequences and hold all weights.
    replicas: u64,
    /// Devices of a replica that share its sequences and its experts.
    sharing: u64,
}

/// The operators of a step on one device, with uniform routing.
#[must_use]
pub fn lower(model: &Model, precision: &Precision, kv: KvFormat, step: &Step) -> Graph {
    Lowering::new(model, precision, kv, Routing::default()).lower(step)
}

impl Lowering {
    /// A model on one device.
    #[must_use]
    pub fn new(model: &Model, precision: &Precision, kv: KvFormat, routing: Routing) -> Self {
        let device = Device { hidden: model.hidden, precision, kv, routing, tensor: 1, expert: 1 };
        Self { plan: plan(model, &model.blocks, device, 0..model.layers.len()), replicas: 1, sharing: 1 }
    }

    /// A model on several devices: what one device of each stage of the pipeline executes, the first stage first. Where devices of a stage differ, it is the one with
    /// the most to do. With all sizes 1, it is the same as [`Lowering::new`].
    ///
    /// # Errors
    /// If the model cannot be divided like that.
    pub fn sharded(
        model: &Model,
        precision: &Precision,
        kv: KvFormat,
        routing: Routing,
        layout: &Layout,
    ) -> Result<Vec<Self>, LayoutError> {
        layout.check(model)?;
        let Layout { tensor, expert, data, .. } = *layout;
        let blocks = layout.narrow(model)?;
        let device = Device { hidden: model.hidden, precision, kv, routing, tensor, expert };
        let stages = pipeline::stages(model.layers.len(), layout.pipeline);
        Ok(stages
            .map(|layers| Self { plan: plan(model, &blocks, device, layers), replicas: data, sharing: expert })
            .collect())
    }

    /// Bytes of the weights that a device keeps: its parts of matrices, all that is copied to every device, and the table of tokens.
    #[must_use]
    pub fn weights(&self) -> Bytes {
        self.plan.weights()
    }

    /// What a device keeps of each of its sequences between tokens.
    #[must_use]
    pub fn caches(&self) -> Vec<Cache> {
        self.plan.caches().collect()
    }

    /// The operators of a step on a device.
    #[must_use]
    pub fn lower(&self, step: &Step) -> Graph {
        let mut graph = Graph::default();
        self.lower_into(step, &mut graph);
        graph
    }

    /// The same, in the place of an earlier step's operators.
    pub fn lower_into(&self, step: &Step, graph: &mut Graph) {
        graph.operators.clear();
        let replica = data::share(step, self.replicas);
        let device = data::share(&replica, self.sharing);
        self.plan.fill(&device, replica.tokens(), graph);
    }
}

/// The plan of the layers of a stage, as narrow as its devices have them.
fn plan(model: &Model, blocks: &[Block], device: Device<'_>, layers: Range<usize>) -> Plan {
    let mut plan = Plan::of_layers(layers.len() as u64);
    if layers.start == 0 {
        ends::first(model, device, &mut plan);
    }
    let ends_here = layers.end == model.layers.len();
    let of_stage = model.layers.get(layers).unwrap_or_default();
    for (kind, count) in kinds(of_stage) {
        if let Some(block) = blocks.get(kind) {
            Layer { device, block, count, kind, plan: &mut plan }.add();
        }
    }
    if ends_here {
        ends::last(model, device, &mut plan);
    } else {
        pipeline::send(device, &mut plan);
    }
    plan
}

/// The kinds of some layers with how many there are of each, in the order of their first layers.
fn kinds(layers: &[usize]) -> Vec<(usize, u64)> {
    let mut kinds: Vec<(usize, u64)> = Vec::new();
    for &layer in layers {
        match kinds.iter_mut().find(|(kind, _)| *kind == layer) {
            Some((_, count)) => *count += 1,
            None => kinds.push((layer, 1)),
        }
    }
    kinds
}
