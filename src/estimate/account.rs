//! A step's account: its time by operators, by bounds and by how it is known, beside the least time that the hardware allows.

use schemars::JsonSchema;
use serde::Serialize;

use super::cost::{Assumption, Bound, Costing, Knowledge, Need, OperatorCost, Share, StepCost, Transfer};
use super::subject::StagedCost;
use crate::graph::{Part, Sequences, Step};
use crate::units::{Bytes, Flops, Seconds};

/// A step's account.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Account {
    /// Sequences in the step.
    pub sequences: u64,
    /// Tokens of each that go through the model.
    pub new_tokens: u64,
    /// Tokens of each that the last of those attends to.
    pub context: u64,
    /// The time of the step.
    pub time: Seconds,
    /// The least time that the hardware's figures allow, where there are figures for all its formats.
    pub floor: Option<FloorOf>,
    /// Model FLOPs utilisation: the time of its operations at peak, over its time.
    pub mfu: Option<f64>,
    /// Memory bandwidth utilisation: the time of its weights and cache at the bandwidth of main memory, over its time.
    pub mbu: Option<f64>,
    /// What comes from outside of the device's memory, where some of the model lies there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Fetched>,
    /// The time by operators, the longest first; it sums up to the whole.
    pub operators: Vec<Entry>,
    /// The time by what it is spent on.
    pub by_bound: Vec<Share<Bound>>,
    /// The time by how it is known.
    pub by_knowledge: Vec<Share<Knowledge>>,
    /// What it rests on that was not measured.
    pub assumptions: Vec<Assumption>,
}

/// The least time that the hardware's figures allow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FloorOf {
    /// The longer of the two.
    pub time: Seconds,
    /// All operations of products and attention, at peak.
    pub compute: Seconds,
    /// All weights and cached keys and values, once, out of main memory.
    pub memory: Seconds,
    /// The weights' part of that.
    pub weights: Seconds,
    /// The cache's part of that.
    pub cache: Seconds,
    /// How the figure is known that decides it.
    pub knowledge: Knowledge,
}

/// What comes from outside of the devices' memory: one device of each stage, all stages together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Fetched {
    /// How much.
    pub bytes: Bytes,
    /// How long that takes by itself.
    pub time: Seconds,
    /// How much of that time the step is longer for it.
    pub exposed: Seconds,
    /// How the rate of the link is known.
    pub knowledge: Knowledge,
}

/// Equal operators of a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Entry {
    /// What they do.
    pub part: Part,
    /// How many there are.
    pub count: u64,
    /// The time of all of them.
    pub time: Seconds,
    /// The time as a share of the step's.
    pub share: f64,
    /// What most of it is spent on.
    pub bound: Bound,
    /// How well what decides it is known.
    pub knowledge: Knowledge,
    /// Operations of all of them.
    pub flops: Flops,
    /// Bytes that all of them move in the device's memory.
    pub bytes: Bytes,
}

impl Account {
    /// Share of a step's time below which a part of it is summed up with others.
    pub const SMALL: f64 = 0.005;

    /// The time in which parts of the model wait for one another, and its share of the step: what no operator takes. None where it is small.
    #[must_use]
    pub fn waiting(&self) -> Option<(Seconds, f64)> {
        let share = 1.0 - self.operators.iter().map(|entry| entry.share).sum::<f64>();
        (share > Self::SMALL).then(|| (self.time * share, share))
    }

    /// The account of a step of equal sequences.
    pub(super) fn of(step: &Step, cost: &StagedCost, costing: &Costing<'_>) -> Self {
        let group =
            step.sequences.first().copied().unwrap_or(Sequences { count: 0, new_tokens: 0, cached: 0, logits: 0 });
        let floor = cost.floor;
        Self {
            sequences: group.count,
            new_tokens: group.new_tokens,
            context: group.context(),
            time: cost.time,
            floor: floor.map(|floor| FloorOf {
                time: floor.time(),
                compute: floor.compute,
                memory: floor.memory(),
                weights: floor.weights,
                cache: floor.cache,
                knowledge: floor.knowledge(),
            }),
            mfu: floor.map(|floor| floor.mfu(cost.time)),
            mbu: floor.map(|floor| floor.mbu(cost.time)),
            fetched: fetched(cost),
            operators: entries(cost),
            by_bound: shares(cost, StepCost::by_bound, Some(Bound::Communication)),
            by_knowledge: shares(cost, StepCost::by_knowledge, None),
            assumptions: assumptions(cost, costing),
        }
    }
}

/// The operators of all stages; those of the same part, bound and knowledge together.
fn entries(cost: &StagedCost) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for one in cost.stages.iter().flat_map(of_stage) {
        let key = |entry: &Entry| (entry.part, entry.bound, entry.knowledge);
        match entries.iter_mut().find(|entry| key(entry) == key(&one)) {
            Some(entry) => {
                entry.count = entry.count.saturating_add(one.count);
                entry.time = entry.time + one.time;
                entry.flops = entry.flops + one.flops;
                entry.bytes = entry.bytes + one.bytes;
            }
            None => entries.push(one),
        }
    }
    for entry in &mut entries {
        entry.share = share(entry.time, cost.time);
    }
    entries.sort_by(|a, b| b.time.get().total_cmp(&a.time.get()));
    entries
}

/// The operators of a stage, what the stage waits for from outside, and the engine's own time.
fn of_stage(stage: &StepCost) -> impl Iterator<Item = Entry> {
    let operators = stage.operators.iter().map(|operator| {
        let OperatorCost { part, count, bound, knowledge, .. } = *operator;
        let (flops, bytes) = (operator.flops * count as f64, operator.bytes * count as f64);
        Entry { part, count, time: operator.total(), share: 0.0, bound, knowledge, flops, bytes }
    });
    let transfer = stage.transfer.iter().map(|transfer| {
        let Need { of: bound, knowledge, .. } = transfer.need;
        let (flops, bytes) = (Flops(0.0), Bytes(0.0));
        Entry { part: Part::Transfer, count: 1, time: transfer.exposed, share: 0.0, bound, knowledge, flops, bytes }
    });
    let of_engine = stage.overhead.filter(|known| *known == Knowledge::Engine && stage.exposed.get() > 0.0);
    let framework = of_engine.into_iter().map(|knowledge| {
        let (flops, bytes, bound) = (Flops(0.0), Bytes(0.0), Bound::Overhead);
        Entry { part: Part::Framework, count: 1, time: stage.exposed, share: 0.0, bound, knowledge, flops, bytes }
    });
    operators.chain(transfer).chain(framework)
}

/// Shares of all stages together; the time in which parts wait for one another belongs to one of them, or is shared out.
fn shares<T: Copy + PartialEq>(
    cost: &StagedCost,
    of_stage: impl Fn(&StepCost) -> Vec<Share<T>>,
    waiting: Option<T>,
) -> Vec<Share<T>> {
    let mut shares: Vec<Share<T>> = Vec::new();
    let mut add = |of: T, time: Seconds| match shares.iter_mut().find(|share| share.of == of) {
        Some(share) => share.time = share.time + time,
        None => shares.push(Share { of, time, share: 0.0 }),
    };
    for share in cost.stages.iter().flat_map(&of_stage) {
        add(share.of, share.time);
    }
    if let Some(of) = waiting.filter(|_| cost.waiting.get() > 0.0) {
        add(of, cost.waiting);
    }
    let sum: Seconds = shares.iter().map(|share| share.time).sum();
    let scale = if sum.get() > 0.0 { cost.time / sum } else { 0.0 };
    for entry in &mut shares {
        entry.time = entry.time * scale;
        entry.share = share(entry.time, cost.time);
    }
    shares.sort_by(|a, b| b.time.get().total_cmp(&a.time.get()));
    shares
}

/// The assumptions of all stages; like ones together. The time in which parts wait for one another rests on what the parts rest on.
fn assumptions(cost: &StagedCost, costing: &Costing<'_>) -> Vec<Assumption> {
    let through = cost.time - cost.waiting;
    let scale = if through.get() > 0.0 { cost.time / through } else { 0.0 };
    let mut assumptions: Vec<Assumption> = Vec::new();
    for assumption in cost.stages.iter().flat_map(|stage| costing.assumptions(stage)) {
        let time = assumption.time * scale;
        Assumption { time, share: share(time, cost.time), ..assumption }.join(&mut assumptions);
    }
    assumptions.sort_by(|a, b| b.time.get().total_cmp(&a.time.get()));
    assumptions
}

/// What all stages fetch from outside of their devices' memory.
fn fetched(cost: &StagedCost) -> Option<Fetched> {
    let of_stage = |stage: &StepCost| {
        let Transfer { bytes, need, exposed } = stage.transfer?;
        Some(Fetched { bytes, time: need.time, exposed, knowledge: need.knowledge })
    };
    cost.stages.iter().filter_map(of_stage).reduce(|a, b| Fetched {
        bytes: a.bytes + b.bytes,
        time: a.time + b.time,
        exposed: a.exposed + b.exposed,
        knowledge: a.knowledge.max(b.knowledge),
    })
}

fn share(part: Seconds, whole: Seconds) -> f64 {
    if whole.get() > 0.0 { part / whole } else { 0.0 }
}
