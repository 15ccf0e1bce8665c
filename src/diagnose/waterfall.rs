//! The waterfall: what each cause adds to a time, from the datasheet's floor to what was measured.
//!
//! Every step of it is the difference of two estimates, one with the cause and one without. None is a share of anything, and what is left over is always
//! the last one, also where the run was faster than its estimate.

use schemars::JsonSchema;
use serde::Serialize;

use crate::estimate::Staged;
use crate::estimate::cost::{CostError, Costing};
use crate::graph::{Kind as Work, Operator};
use crate::units::{Bytes, Seconds};

/// What time is spent on, in the order of the waterfall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Doing a matrix product's operations, or moving its matrices, whichever takes longer by the maker's figures.
    Product,
    /// Reading the weights out of main memory, or multiplying by them, whichever takes longer by the maker's figures.
    Weights,
    /// The same of cached keys and values, and of attention's arithmetic.
    Kv,
    /// The device's measured peaks, where they are not the maker's figures.
    Ceilings,
    /// Products and attention one after another, each at the ceiling of its own shape: small matrices, single rows, long contexts.
    Shapes,
    /// Passes over activations: norms, rotations, sampling and the like.
    Activations,
    /// Starting kernels.
    Launch,
    /// Exchanging data with other devices.
    Communication,
    /// Stages that wait for one another.
    Pipeline,
    /// Weights, keys and values that come from outside of the device's memory, as far as the step waits for them.
    Offload,
    /// An engine's own operators in place of the device's, and its own time beside them.
    Engine,
    /// The draft's own steps, in speculative decoding.
    Draft,
    /// Tokens that wait for the prompts of other requests.
    Interference,
    /// Requests that wait for others, and prompts that are cut into chunks.
    Queueing,
    /// What no cause explains. Below 0, the run was faster than its estimate.
    Unexplained,
}

impl Cause {
    /// Every cause, in the order of the waterfall.
    pub const ALL: [Self; 15] = [
        Self::Product,
        Self::Weights,
        Self::Kv,
        Self::Ceilings,
        Self::Shapes,
        Self::Activations,
        Self::Launch,
        Self::Communication,
        Self::Pipeline,
        Self::Offload,
        Self::Engine,
        Self::Draft,
        Self::Interference,
        Self::Queueing,
        Self::Unexplained,
    ];

    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Weights => "weights",
            Self::Kv => "kv",
            Self::Ceilings => "ceilings",
            Self::Shapes => "shapes",
            Self::Activations => "activations",
            Self::Launch => "launch",
            Self::Communication => "communication",
            Self::Pipeline => "pipeline",
            Self::Offload => "offload",
            Self::Engine => "engine",
            Self::Draft => "draft",
            Self::Interference => "interference",
            Self::Queueing => "queueing",
            Self::Unexplained => "unexplained",
        }
    }

    /// What it is, in a line.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Product => "its operations, or its matrices out of main memory, at the maker's figures",
            Self::Weights => "weights read, or multiplied by, at the datasheet's figures",
            Self::Kv => "keys and values read, and attention's arithmetic, at the datasheet's figures",
            Self::Ceilings => "this device's measured peaks instead of the datasheet's",
            Self::Shapes => "each product and attention at the ceiling of its own shape",
            Self::Activations => "norms, rotations, activations, sampling",
            Self::Launch => "starting kernels",
            Self::Communication => "exchanges between devices",
            Self::Pipeline => "stages that wait for one another",
            Self::Offload => "weights and caches from outside of the device's memory",
            Self::Engine => "the engine's own operators, as they were measured through it, and its own time",
            Self::Draft => "steps of the draft",
            Self::Interference => "tokens that wait for the prompts of others",
            Self::Queueing => "requests that wait for others, prompts in chunks",
            Self::Unexplained => "measured, and explained by none of these",
        }
    }
}

/// What a cause adds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Spent {
    /// The cause.
    pub on: Cause,
    /// The time that it adds; below 0 where the estimate with it is the shorter one.
    pub time: Seconds,
    /// The time as a share of what was measured.
    pub share: f64,
}

/// A cause that nothing can be said of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Absent {
    /// The cause.
    pub cause: Cause,
    /// Why not.
    pub why: String,
}

/// A time with all causes up to one, or why there is none.
pub(super) type Level = (Cause, Result<Seconds, String>);

/// The devices that a step is costed on, each with less left out than the one before.
pub(super) struct Ladder<'a> {
    /// All that is known: the maker's figures and the measured ones.
    pub(super) full: &'a Costing<'a>,
    /// The same, whose kernels start by themselves.
    pub(super) unlaunched: &'a Costing<'a>,
    /// What was measured alone; or why there is no such thing.
    pub(super) measured: Result<&'a Costing<'a>, &'a str>,
    /// The same device under an engine, where one was measured.
    pub(super) engine: Option<&'a Costing<'a>>,
    /// Why nothing is known of exchanges, where that is so.
    pub(super) no_link: Option<&'a str>,
    /// Why nothing is known of the link to the host, where that is so.
    pub(super) no_host_link: Option<String>,
}

impl Ladder<'_> {
    /// A step's time with one cause after another.
    pub(super) fn levels(&self, staged: &Staged) -> Vec<Level> {
        let step = &staged.all_here();
        let no_attention =
            step.with(|operator| (!attends(operator)).then_some(Operator { kv: Bytes(0.0), ..*operator }));
        let products = step.with(|operator| streams(operator).then_some(*operator));
        let alone = step.with(|operator| (!exchanges(operator)).then_some(*operator));
        let mut levels = vec![
            (Cause::Weights, light(&no_attention, self.full)),
            (Cause::Kv, light(step, self.full)),
            (Cause::Ceilings, self.measured.map_err(str::to_owned).and_then(|measured| light(step, measured))),
            (Cause::Shapes, busy(&products, self.unlaunched)),
            (Cause::Activations, busy(&alone, self.unlaunched)),
            (Cause::Launch, self.launched(&alone)),
        ];
        if step.graphs.iter().flat_map(|graph| &graph.operators).any(exchanges) {
            let unknown = self.no_link.map(|why| Err(why.to_owned()));
            levels.push((Cause::Communication, unknown.unwrap_or_else(|| busy(step, self.full))));
        }
        if step.graphs.len() > 1 {
            levels
                .push((Cause::Pipeline, step.cost(self.full).map(|cost| cost.time).map_err(|error| error.to_string())));
        }
        if !staged.offload.is_none() {
            let known = || staged.cost(self.full).map(|cost| cost.time).map_err(|error| error.to_string());
            levels.push((Cause::Offload, self.no_host_link.clone().map_or_else(known, Err)));
        }
        if let Some(engine) = self.engine {
            levels.push((Cause::Engine, staged.cost(engine).map(|cost| cost.time).map_err(|error| error.to_string())));
        }
        levels
    }

    fn launched(&self, step: &Staged) -> Result<Seconds, String> {
        let cost = step.cost(self.full).map_err(|error| error.to_string())?;
        if cost.stages.iter().all(|stage| stage.overhead.is_none()) {
            return Err("the profile has no `overhead.launch`: starting kernels is in what is unexplained".to_owned());
        }
        busy(step, self.full)
    }
}

/// The speed of light.
fn light(step: &Staged, costing: &Costing<'_>) -> Result<Seconds, String> {
    let floor = step.floor(costing).map_err(|error| error.to_string())?;
    floor.map(|floor| floor.time()).ok_or_else(|| "there is nothing to do".to_owned())
}

/// The time of a step whose stages work all the time: as many parts as there are at the slowest of them.
fn busy(step: &Staged, costing: &Costing<'_>) -> Result<Seconds, String> {
    let cost = step.cost(costing).map_err(|error: CostError| error.to_string())?;
    let slowest = cost.stages.iter().map(|stage| stage.time.get()).fold(0.0, f64::max);
    Ok(Seconds(slowest * cost.parts as f64))
}

/// Whether it is attention over keys and values.
const fn attends(operator: &Operator) -> bool {
    matches!(operator.kind, Work::DecodeAttention { .. } | Work::PrefillAttention { .. } | Work::Recurrence)
}

/// Whether it is what weights, keys and values are read for.
const fn streams(operator: &Operator) -> bool {
    attends(operator) || matches!(operator.kind, Work::Product { .. } | Work::Experts { .. })
}

const fn exchanges(operator: &Operator) -> bool {
    matches!(operator.kind, Work::Exchange(_))
}

/// The differences of levels, and what is left of the measured time.
pub(super) fn steps(levels: Vec<Level>, measured: Seconds) -> (Vec<Spent>, Vec<Absent>) {
    let (mut spent, mut absent) = (Vec::new(), Vec::new());
    let mut reached = Seconds(0.0);
    let share = |time: Seconds| time / measured;
    for (cause, level) in levels {
        match level {
            Ok(level) => {
                let time = level - reached;
                spent.push(Spent { on: cause, time, share: share(time) });
                reached = level;
            }
            Err(why) => absent.push(Absent { cause, why }),
        }
    }
    let rest = measured - reached;
    spent.push(Spent { on: Cause::Unexplained, time: rest, share: share(rest) });
    (spent, absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn causes_are_in_the_order_of_the_waterfall() {
        assert!(Cause::ALL.is_sorted());
        for cause in Cause::ALL {
            assert_eq!(serde_json::to_value(cause).unwrap(), cause.word());
        }
    }

    #[test]
    fn what_is_unknown_is_in_what_is_left() {
        let levels = vec![
            (Cause::Weights, Ok(Seconds(4.0))),
            (Cause::Ceilings, Err("not measured".to_owned())),
            (Cause::Shapes, Ok(Seconds(5.0))),
        ];
        let (spent, absent) = steps(levels, Seconds(4.5));
        let times: Vec<(Cause, f64)> = spent.iter().map(|spent| (spent.on, spent.time.get())).collect();
        assert_eq!(times, [(Cause::Weights, 4.0), (Cause::Shapes, 1.0), (Cause::Unexplained, -0.5)]);
        assert_eq!(absent, [Absent { cause: Cause::Ceilings, why: "not measured".to_owned() }]);
    }

    proptest! {
        #[test]
        fn the_steps_sum_to_what_was_measured(
            levels in prop::collection::vec(prop::option::weighted(0.8, 1e-9..1e6_f64), 0..10), measured in 1e-9..1e6_f64,
        ) {
            let largest = levels.iter().flatten().copied().fold(measured, f64::max);
            let levels = Cause::ALL.into_iter().zip(levels)
                .map(|(cause, level)| (cause, level.map(Seconds).ok_or_else(String::new))).collect();
            let (spent, _) = steps(levels, Seconds(measured));
            let sum: f64 = spent.iter().map(|spent| spent.time.get()).sum();
            let shares: f64 = spent.iter().map(|spent| spent.share).sum();
            prop_assert!((sum - measured).abs() <= largest * 1e-14, "{} {}", sum, measured);
            prop_assert!((shares - 1.0).abs() <= largest / measured * 1e-14);
            prop_assert_eq!(spent.last().map(|spent| spent.on), Some(Cause::Unexplained));
        }
    }
}
