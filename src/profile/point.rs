//! One measured point: its value with its spread, how it was taken, and what speaks against it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{Implementer, Restraint};
use crate::units::{Hertz, Seconds, Unit, binary_bytes, human, percent};
use crate::workload::{Shape, Spot, Work};

/// A measured value. All values are in the unit of their ceiling, in base SI.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// Place on the ceiling's axis: bytes, or tokens of context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// Place on an axis of shapes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// The value: from the median time of the samples; of the more frequent mode, where there are two.
    pub value: f64,
    /// The best sample.
    pub best: f64,
    /// The value that one sample in ten was worse than.
    pub p10: f64,
    /// The value that one sample in ten was better than.
    pub p90: f64,
    /// Median absolute deviation of the samples from the value.
    pub mad: f64,
    /// Bounds of the 95 % confidence interval of the value, from order statistics. Where there are two modes, those; with fewer than
    /// six clean samples, all that was seen.
    pub confidence: [f64; 2],
    /// How many samples there were. The statistics rest on the clean ones, or on all where there were none.
    pub samples: Samples,
    /// Iterations in each sample.
    pub iterations: u64,
    /// Time of one iteration at the value, in seconds.
    pub time: Seconds,
    /// Exact work of one iteration, over all lanes.
    pub work: Work,
    /// Lanes (threads) that took part.
    pub lanes: u32,
    /// Devices that took part, in an operation of all of a kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u32>,
    /// The implementation that was fastest here.
    pub variant: String,
    /// Whose implementation that is: rooflab's own, unless it is said.
    #[serde(default, skip_serializing_if = "Implementer::is_open")]
    pub by: Implementer,
    /// The best of the other implementer's, where both rooflab and the device's maker might have one. The faster of the two stands for the ceiling; the other one is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Beside>,
    /// Median clock frequency during the samples, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Hertz>,
    /// Why sampling ended.
    pub stop: Stop,
    /// What speaks against the value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
    /// The value after a long run at full load, when one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steady: Option<Steady>,
    /// The samples that the statistics rest on, in the order they were taken, as values, when they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<Vec<f64>>,
}

impl Point {
    /// Its place on the ceiling's axis.
    #[must_use]
    pub const fn spot(&self) -> Spot {
        Spot { at: self.at, shape: self.shape }
    }
}

#[cfg(test)]
impl Point {
    /// A value that is known exactly, as by a formula, and was not sampled.
    pub(crate) fn exact(at: Option<f64>, value: f64) -> Self {
        Self {
            at,
            shape: None,
            value,
            best: value,
            p10: value,
            p90: value,
            mad: 0.0,
            confidence: [value, value],
            samples: Samples { clean: 10, total: 10 },
            iterations: 1,
            time: Seconds(1.0),
            work: Work::default(),
            lanes: 1,
            devices: None,
            variant: "exact".to_owned(),
            by: Implementer::Open,
            beside: None,
            clock: None,
            stop: Stop::Goal,
            flags: Vec::new(),
            steady: None,
            raw: None,
        }
    }
}

/// What another implementer has for the same workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Beside {
    /// Who.
    pub by: Implementer,
    /// Its best implementation, or why it has none.
    #[serde(flatten)]
    pub rival: Rival,
}

/// An implementation that does not stand for the ceiling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Rival {
    /// It was measured.
    Ok {
        /// The fastest of this implementer's.
        variant: String,
        /// Its value, as that of the point.
        value: f64,
        /// Bounds of the 95 % confidence interval of the value.
        confidence: [f64; 2],
        /// How many samples there were.
        samples: Samples,
    },
    /// There is none, or it went wrong.
    Absent {
        /// Why, or how.
        reason: String,
    },
}

/// Number of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Samples {
    /// Undisturbed ones.
    pub clean: u32,
    /// All of them.
    pub total: u32,
}

/// The value at the end of a long run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Steady {
    /// Median over the last third of the run.
    pub value: f64,
    /// How long the load was kept up, in seconds.
    pub after: Seconds,
    /// Median clock over the last third, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Hertz>,
    /// What held the clock down meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
}

/// Why sampling ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The confidence interval was inside the goal.
    Goal,
    /// The time was spent first.
    Budget,
    /// The user interrupted.
    Interrupted,
}

/// A group of samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mode {
    /// Its median.
    pub value: f64,
    /// Its share of the samples.
    pub share: f64,
}

/// Something observed that speaks against a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "flag", rename_all = "snake_case")]
pub enum Flag {
    /// The confidence interval did not shrink to the goal.
    Unstable {
        /// Half-width reached, relative to the value.
        uncertainty: f64,
        /// Half-width wanted.
        goal: f64,
    },
    /// Most samples were disturbed by other work on the machine.
    Preempted {
        /// Undisturbed samples.
        clean: u32,
        /// All samples.
        total: u32,
    },
    /// For most of the disturbed samples the device gave no valid time, and the host's clock had to do.
    Untimed {
        /// Samples whose time the device gave.
        valid: u32,
        /// All samples.
        total: u32,
    },
    /// The value moved from the first to the last third of the samples.
    Drifting {
        /// Relative change.
        change: f64,
    },
    /// The samples fall into two groups.
    Bimodal {
        /// The groups.
        modes: [Mode; 2],
    },
    /// A second visit, later in the run, found another value.
    Unrepeatable {
        /// The value of each visit.
        visits: [f64; 2],
    },
    /// There was no second visit to see whether the value comes back.
    VisitedOnce {
        /// Why.
        reason: String,
    },
    /// The clock was lower than elsewhere in the run, with as many lanes.
    Throttled {
        /// Clock during the samples, in Hz.
        clock: Hertz,
        /// Highest clock seen in the run, in Hz.
        highest: Hertz,
    },
    /// Something held the clock down at most of the looks that were taken at the device's sensors during the samples.
    Limited {
        /// What did.
        by: Restraint,
        /// Share of the looks at which it did.
        share: f64,
        /// Power drawn meanwhile, in W, where power was the reason.
        #[serde(skip_serializing_if = "Option::is_none")]
        power: Option<f64>,
        /// The limit on power meanwhile, in W.
        #[serde(skip_serializing_if = "Option::is_none")]
        power_limit: Option<f64>,
    },
    /// Twice the work did not take twice the time.
    Nonlinear {
        /// Time of twice the work over twice the time.
        ratio: f64,
    },
    /// The value is above what the hardware can do, so something is wrong with the value or with what is known of the hardware.
    Suspect {
        /// Value over limit.
        share: f64,
    },
    /// The working set is too small to be sure of main memory: caches may have helped.
    SmallWorkingSet {
        /// Bytes used.
        bytes: u64,
        /// Bytes wanted: 8 times the last-level cache and 512 MB.
        wanted: u64,
    },
}

impl Flag {
    /// One word for tables.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unstable { .. } => "unstable",
            Self::Preempted { .. } => "preempted",
            Self::Untimed { .. } => "untimed",
            Self::Drifting { .. } => "drifting",
            Self::Bimodal { .. } => "bimodal",
            Self::Unrepeatable { .. } => "unrepeatable",
            Self::VisitedOnce { .. } => "visited once",
            Self::Throttled { .. } => "throttled",
            Self::Limited { .. } => "limited",
            Self::Nonlinear { .. } => "nonlinear",
            Self::Suspect { .. } => "suspect",
            Self::SmallWorkingSet { .. } => "small working set",
        }
    }

    /// The finding in words, with values in the ceiling's unit.
    #[must_use]
    pub fn explain(&self, unit: Unit) -> String {
        match self {
            Self::Unstable { uncertainty, goal } => {
                format!("unstable: ±{} where ±{} was the goal", percent(*uncertainty), percent(*goal))
            }
            Self::Preempted { clean, total } => format!("preempted: {clean} of {total} samples undisturbed"),
            Self::Untimed { valid, total } => format!("untimed: the device timed {valid} of {total} samples"),
            Self::Drifting { change } => {
                format!("drifting: {}{} over the run", if *change > 0.0 { "+" } else { "" }, percent(*change))
            }
            Self::Bimodal { modes: [a, b] } => format!(
                "bimodal: {} ({}) and {} ({})",
                human(a.value, unit),
                percent(a.share),
                human(b.value, unit),
                percent(b.share)
            ),
            Self::Unrepeatable { visits: [first, second] } => {
                format!("unrepeatable: first {}, later {}", human(*first, unit), human(*second, unit))
            }
            Self::VisitedOnce { reason } => format!("visited once: {reason}"),
            Self::Throttled { clock, highest } => format!("throttled: {clock} of {highest}"),
            Self::Limited { by, power: Some(power), power_limit: Some(limit), .. } => {
                format!("limited by {}: {power:.0} of {limit:.0} W", by.words())
            }
            Self::Limited { by, .. } => format!("limited by {}", by.words()),
            Self::Nonlinear { ratio } => format!("nonlinear: twice the work took {:.2}× the time", 2.0 * ratio),
            Self::Suspect { share } => format!("suspect: {} of what the hardware can do", percent(*share)),
            Self::SmallWorkingSet { bytes, wanted } => {
                format!("small working set: {} of {}", binary_bytes(*bytes), binary_bytes(*wanted))
            }
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
