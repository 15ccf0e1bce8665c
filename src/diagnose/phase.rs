//! A phase of a run: its measured time beside what the hardware allows, and where the time went.

use schemars::JsonSchema;
use serde::Serialize;

use super::waterfall::{Absent, Cause, Spent};
use crate::estimate::cost::{Bound, Floor, Knowledge};
use crate::observe::{Measured, Observation, Quantity};
use crate::units::{Bytes, Flops, Seconds};

/// What a device does of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Prompts are processed, until their first token.
    Prefill,
    /// Tokens are generated, one of each sequence in a step.
    Decode,
}

impl Kind {
    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }

    /// What its time is the time of.
    #[must_use]
    pub const fn per(self) -> &'static str {
        match self {
            Self::Prefill => "to the first token",
            Self::Decode => "per token",
        }
    }
}

/// A phase of a run.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Phase {
    /// Which.
    pub kind: Kind,
    /// The quantity that was measured.
    pub quantity: Quantity,
    /// What was measured.
    pub measured: Seconds,
    /// Where that comes from.
    pub from: String,
    /// Sequences of its step.
    pub sequences: u64,
    /// Tokens of each that go through the model.
    pub new_tokens: u64,
    /// Tokens that the last of those attends to.
    pub context: u64,
    /// Tokens that a step yields for each sequence, where a draft proposed some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<f64>,
    /// The time with every cause that is known.
    pub estimate: Seconds,
    /// The speed of light, where there are figures for all formats.
    pub floor: Option<Figures>,
    /// Where the measured time went; it sums up to it.
    pub spent: Vec<Spent>,
    /// Causes of which nothing can be said; what they add is in what is unexplained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
}

/// What the hardware's figures allow, and what was reached of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Figures {
    /// The longer of the two times.
    pub time: Seconds,
    /// Operations of products and attention at peak: causal, with as many heads of keys and values as there are, and logits only of wanted tokens.
    pub compute: Seconds,
    /// Weights, keys and values, each once, out of main memory.
    pub memory: Seconds,
    /// The operations.
    pub flops: Flops,
    /// The bytes.
    pub bytes: Bytes,
    /// Operations per byte.
    pub intensity: f64,
    /// Operations per byte from which on the device is bound by arithmetic.
    pub ridge: f64,
    /// What bounds it.
    pub bound: Bound,
    /// How the peak is known.
    pub peak: Knowledge,
    /// How the bandwidth is known.
    pub bandwidth: Knowledge,
    /// How many times the floor was measured.
    pub gap: f64,
    /// Model FLOPs utilisation: `compute` over the measured time. Never cut at 1.
    pub mfu: f64,
    /// Memory bandwidth utilisation: `memory` over the measured time. Never cut at 1.
    pub mbu: f64,
}

impl Figures {
    pub(super) fn new(floor: &Floor, flops: Flops, bytes: Bytes, measured: Seconds) -> Self {
        let intensity = flops.get() / bytes.get();
        Self {
            time: floor.time(),
            compute: floor.compute,
            memory: floor.memory(),
            flops,
            bytes,
            intensity,
            ridge: intensity * (floor.memory() / floor.compute),
            bound: if floor.is_compute_bound() { Bound::Compute } else { Bound::Weights },
            peak: floor.peak,
            bandwidth: floor.bandwidth,
            gap: measured / floor.time(),
            mfu: floor.mfu(measured),
            mbu: floor.mbu(measured),
        }
    }

    /// How the figure is known that decides the floor.
    #[must_use]
    pub const fn knowledge(&self) -> Knowledge {
        if self.is_memory_bound() { self.bandwidth } else { self.peak }
    }

    /// Whether bytes take longer than operations.
    #[must_use]
    pub const fn is_memory_bound(&self) -> bool {
        self.bound.is_memory()
    }
}

impl Phase {
    /// What a cause adds; none where nothing can be said of it.
    #[must_use]
    pub fn spent_on(&self, cause: Cause) -> Option<Spent> {
        self.spent.iter().find(|spent| spent.on == cause).copied()
    }

    /// The share of its estimate that was reached: 1 where the run was as fast as that.
    #[must_use]
    pub fn reached(&self) -> f64 {
        self.estimate / self.measured
    }
}

/// A measured time, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timed {
    pub(super) quantity: Quantity,
    pub(super) time: Seconds,
    pub(super) from: String,
    /// Tokens that a step yields with a draft.
    pub(super) accepted: Option<f64>,
}

/// What was measured of a phase. A step of speculative decoding yields several tokens, and its time is that of all of them.
pub(super) fn measured(run: &Observation, kind: Kind) -> Option<Timed> {
    let quantities: &[Quantity] = match kind {
        Kind::Prefill => &[Quantity::Ttft, Quantity::PrefillTime],
        Kind::Decode => &[Quantity::Tpot],
    };
    let (quantity, measured) = quantities.iter().find_map(|&quantity| Some((quantity, run.metrics.get(&quantity)?)))?;
    let time = measured.values.typical().filter(|time| time.is_finite() && *time > 0.0)?;
    let accepted = run.typical(Quantity::AcceptanceLength).filter(|&tokens| kind == Kind::Decode && tokens > 1.0);
    let from = origin(quantity, measured);
    Some(match accepted {
        Some(tokens) => {
            let from = format!("{from}, times `acceptance_length`");
            Timed { quantity, time: Seconds(time * tokens), from, accepted }
        }
        None => Timed { quantity, time: Seconds(time), from, accepted },
    })
}

/// Where a number comes from: a place in a file, a formula, or a flag.
pub(super) fn origin(quantity: Quantity, measured: &Measured) -> String {
    let flag = match quantity {
        Quantity::Ttft => "`--ttft`",
        Quantity::Tpot => "`--tpot`",
        Quantity::RequestLatency => "`--latency`",
        Quantity::AcceptanceRate => "`--acceptance`",
        Quantity::CacheHitRate => "`--cached-prompts`",
        _ => "`--throughput`",
    };
    let formula = measured.derived.as_ref().map(|formula| format!("`{formula}`"));
    measured.at.clone().or(formula).unwrap_or_else(|| flag.to_owned())
}
