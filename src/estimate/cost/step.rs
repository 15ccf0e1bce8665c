//! What a step costs: its time, and every part of it with its bound and how it is known.

use schemars::JsonSchema;
use serde::Serialize;

use super::floor::Floor;
use super::knowledge::{Bound, Knowledge, Need};
use crate::graph::Part;
use crate::units::{Bytes, Flops, Seconds};

/// What an operator costs.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorCost {
    /// Its place in a layer.
    pub part: Part,
    /// How often the step executes it.
    pub count: u64,
    /// The time of one execution, the overhead of starting it included where that is paid for each.
    pub time: Seconds,
    /// Part of that time that is spent on starting it.
    pub overhead: Seconds,
    /// What most of it is spent on.
    pub bound: Bound,
    /// How well what decides it is known.
    pub knowledge: Knowledge,
    /// What it needs, each with its time alone.
    pub needs: Vec<Need>,
    /// Operations of one execution.
    pub flops: Flops,
    /// Bytes that one execution moves in the device's memory.
    pub bytes: Bytes,
}

/// What a step costs.
#[derive(Clone, Debug, PartialEq)]
pub struct StepCost {
    /// Its time.
    pub time: Seconds,
    /// Its operators, in the order of the graph.
    pub operators: Vec<OperatorCost>,
    /// Time beyond that of the operators, in which the device waits for the host to start kernels, or for the engine.
    pub exposed: Seconds,
    /// How the overhead of starting kernels is known; none where it is not, and counted as nothing.
    pub overhead: Option<Knowledge>,
    /// What it fetches from outside of the device's memory, if anything.
    pub transfer: Option<Transfer>,
    /// The least time that the hardware's figures allow, where there are figures for all its formats.
    pub floor: Option<Floor>,
}

/// What a step fetches from outside of the device's memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transfer {
    /// How much.
    pub bytes: Bytes,
    /// How long that takes by itself.
    pub need: Need,
    /// How much of that time the step is longer for it.
    pub exposed: Seconds,
}

/// A part of a step's time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Share<T> {
    /// Of what.
    pub of: T,
    /// The time.
    pub time: Seconds,
    /// The time as a share of the step's.
    pub share: f64,
}

impl OperatorCost {
    /// The time of all its executions.
    #[must_use]
    pub fn total(&self) -> Seconds {
        self.time * self.count as f64
    }

    /// The need that decides its time.
    #[must_use]
    pub fn decisive(&self) -> Option<&Need> {
        Need::decisive(&self.needs)
    }
}

impl StepCost {
    /// The step's time by what it is spent on. The shares add up to 1.
    #[must_use]
    pub fn by_bound(&self) -> Vec<Share<Bound>> {
        self.shares(&Bound::ALL, Some(Bound::Overhead), |need| need.of)
    }

    /// The step's time by how it is known. The shares add up to 1.
    #[must_use]
    pub fn by_knowledge(&self) -> Vec<Share<Knowledge>> {
        self.shares(&Knowledge::ALL, self.overhead, |need| need.knowledge)
    }

    /// What most of its time is spent on.
    #[must_use]
    pub fn bound(&self) -> Bound {
        let shares = self.by_bound();
        shares.iter().max_by(|a, b| a.share.total_cmp(&b.share)).map_or(Bound::Overhead, |share| share.of)
    }

    /// Model FLOPs utilisation: operations of products and attention, over what the peak of their formats allows in this time.
    #[must_use]
    pub fn mfu(&self) -> Option<f64> {
        self.floor.map(|floor| floor.mfu(self.time))
    }

    /// Memory bandwidth utilisation: bytes of weights and cache, over what main memory gives in this time.
    #[must_use]
    pub fn mbu(&self) -> Option<f64> {
        self.floor.map(|floor| floor.mbu(self.time))
    }

    fn shares<T: Copy + PartialEq>(&self, all: &[T], of_overhead: Option<T>, of: impl Fn(&Need) -> T) -> Vec<Share<T>> {
        let mut times: Vec<(T, f64)> = all.iter().map(|&kind| (kind, 0.0)).collect();
        let mut add = |kind: T, time: f64| {
            if let Some((_, sum)) = times.iter_mut().find(|(other, _)| *other == kind) {
                *sum += time;
            }
        };
        let mut overhead = self.exposed.get();
        for operator in &self.operators {
            let count = operator.count as f64;
            overhead += operator.overhead.get() * count;
            if let Some(need) = operator.decisive() {
                add(of(need), (operator.time - operator.overhead).get() * count);
            }
        }
        if let Some(kind) = of_overhead {
            add(kind, overhead);
        }
        if let Some(transfer) = &self.transfer {
            add(of(&transfer.need), transfer.exposed.get());
        }
        let share = |time: f64| if self.time.get() > 0.0 { time / self.time.get() } else { 0.0 };
        let some = times.into_iter().filter(|(_, time)| *time > 0.0);
        some.map(|(of, time)| Share { of, time: Seconds(time), share: share(time) }).collect()
    }
}
