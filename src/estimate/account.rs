//! A step's account: its time by operators, by bounds and by how it is known, beside the least time that the hardware allows.

use schemars::JsonSchema;
use serde::Serialize;

use super::cost::{Assumption, Bound, Costing, Knowledge, Share};
use super::subject::StagedCost;
use crate::graph::{Part, Sequences, Step};
use crate::units::Seconds;

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
    /// How the worse-known of the two figures is known.
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
}

impl Account {
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
                memory: floor.memory,
                knowledge: floor.knowledge,
            }),
            mfu: floor.map(|floor| floor.mfu(cost.time)),
            mbu: floor.map(|floor| floor.mbu(cost.time)),
            operators: entries(cost),
            by_bound: shares(cost, super::cost::StepCost::by_bound, Some(Bound::Communication)),
            by_knowledge: shares(cost, super::cost::StepCost::by_knowledge, None),
            assumptions: assumptions(cost, costing),
        }
    }
}

/// The operators of all stages; those of the same part, bound and knowledge together.
fn entries(cost: &StagedCost) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for operator in cost.stages.iter().flat_map(|stage| &stage.operators) {
        let alike = |entry: &&mut Entry| {
            (entry.part, entry.bound, entry.knowledge) == (operator.part, operator.bound, operator.knowledge)
        };
        let time = operator.total();
        match entries.iter_mut().find(alike) {
            Some(entry) => {
                entry.count = entry.count.saturating_add(operator.count);
                entry.time = entry.time + time;
            }
            None => entries.push(Entry {
                part: operator.part,
                count: operator.count,
                time,
                share: 0.0,
                bound: operator.bound,
                knowledge: operator.knowledge,
            }),
        }
    }
    for entry in &mut entries {
        entry.share = share(entry.time, cost.time);
    }
    entries.sort_by(|a, b| b.time.get().total_cmp(&a.time.get()));
    entries
}

/// Shares of all stages together; the time in which parts wait for one another belongs to one of them, or is shared out.
fn shares<T: Copy + PartialEq>(
    cost: &StagedCost,
    of_stage: impl Fn(&super::cost::StepCost) -> Vec<Share<T>>,
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

fn assumptions(cost: &StagedCost, costing: &Costing<'_>) -> Vec<Assumption> {
    let mut assumptions: Vec<Assumption> = Vec::new();
    for assumption in cost.stages.iter().flat_map(|stage| costing.assumptions(stage)) {
        match assumptions.iter_mut().find(|known| known.text == assumption.text) {
            Some(known) => known.time = known.time + assumption.time,
            None => assumptions.push(assumption),
        }
    }
    assumptions
}

fn share(part: Seconds, whole: Seconds) -> f64 {
    if whole.get() > 0.0 { part / whole } else { 0.0 }
}
