//! How well the rate behind a time is known, and what the time is spent on: the two questions that every share of a step answers.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::profile::{How, Place};
use crate::resource::Resource;
use crate::units::Seconds;

/// How a rate is known, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Knowledge {
    /// Measured at that size.
    Measured,
    /// Between measured sizes.
    Interpolated,
    /// By the formula through measured products, or through measured exchanges.
    Fitted,
    /// Measured through an engine: what that reaches, not what the device can do.
    Engine,
    /// Beyond what was measured.
    Extrapolated,
    /// Another tool measured it, or what stands for it; rooflab did not.
    Imported,
    /// Another resource was measured and stands for it.
    Substituted,
    /// The user says so.
    Given,
    /// The maker says so, of the resource or of one that stands for it; nothing was measured.
    Datasheet,
}

impl Knowledge {
    /// Every kind, the best first.
    pub const ALL: [Self; 9] = [
        Self::Measured,
        Self::Interpolated,
        Self::Fitted,
        Self::Engine,
        Self::Extrapolated,
        Self::Imported,
        Self::Substituted,
        Self::Given,
        Self::Datasheet,
    ];

    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Interpolated => "interpolated",
            Self::Fitted => "fitted",
            Self::Engine => "engine",
            Self::Extrapolated => "extrapolated",
            Self::Imported => "imported",
            Self::Substituted => "substituted",
            Self::Given => "given",
            Self::Datasheet => "datasheet",
        }
    }

    /// Whether it rests on points of the resource itself.
    #[must_use]
    pub fn is_own(self) -> bool {
        self <= Self::Extrapolated
    }
}

impl From<&How> for Knowledge {
    fn from(how: &How) -> Self {
        match how {
            How::Measured { .. } => Self::Measured,
            How::Interpolated { .. } => Self::Interpolated,
            How::Fitted { .. } => Self::Fitted,
            How::Extrapolated { .. } => Self::Extrapolated,
            How::Imported { .. } => Self::Imported,
            // A maker's figure stays one when it stands for something else, and so does another tool's.
            How::Substituted { known, .. } => match **known {
                How::Datasheet { .. } => Self::Datasheet,
                How::Imported { .. } => Self::Imported,
                _ => Self::Substituted,
            },
            How::Datasheet { .. } => Self::Datasheet,
        }
    }
}

impl fmt::Display for Knowledge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a time is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Arithmetic.
    Compute,
    /// Reading weights.
    Weights,
    /// Reading and writing cached keys and values, or recurrent state.
    Kv,
    /// Reading and writing activations.
    Activations,
    /// Exchanging data with other devices.
    Communication,
    /// Fetching weights or cache from outside of the device's memory.
    Host,
    /// Starting kernels, and waiting for all workers to finish.
    Overhead,
}

impl Bound {
    /// Every bound.
    pub const ALL: [Self; 7] =
        [Self::Compute, Self::Weights, Self::Kv, Self::Activations, Self::Communication, Self::Host, Self::Overhead];

    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Weights => "weights",
            Self::Kv => "kv",
            Self::Activations => "activations",
            Self::Communication => "communication",
            Self::Host => "host",
            Self::Overhead => "overhead",
        }
    }

    /// Whether it is traffic of the device's own memory.
    #[must_use]
    pub const fn is_memory(self) -> bool {
        matches!(self, Self::Weights | Self::Kv | Self::Activations)
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// One thing that an operator needs, and how long that takes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Need {
    /// What it is spent on.
    pub of: Bound,
    /// How long it takes.
    pub time: Seconds,
    /// Where its rate comes from.
    pub from: Source,
    /// How the rate is known.
    pub knowledge: Knowledge,
}

impl Need {
    /// The need that decides a time: the longest; of equally long ones, the one that is known worst.
    #[must_use]
    pub fn decisive(needs: &[Self]) -> Option<&Self> {
        let longer = |a: &Self, b: &Self| b.time > a.time || (b.time >= a.time && b.knowledge > a.knowledge);
        needs.iter().reduce(|a, b| if longer(a, b) { b } else { a })
    }
}

/// Where a rate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The profile was asked for a resource.
    Ceiling {
        /// The resource.
        resource: Resource,
        /// Where on its axis.
        at: Place,
        /// What was wanted, where the resource only stands for it.
        stands_for: Option<Resource>,
    },
    /// The link between devices, as the user or the profile gives it.
    Link,
    /// The link to the host or a disk, as the user gave it.
    HostLink,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makers_figure_that_stands_for_something_else_is_still_the_makers() {
        let claimed = How::Datasheet { source: "page".to_owned() };
        let from = "memory.dram.read".parse::<Resource>().unwrap();
        let key = crate::resource::Key { resource: from, scope: crate::resource::Scope::Device };
        let stands = |known| How::Substituted { from: key, why: String::new(), known: Box::new(known) };
        assert_eq!(Knowledge::from(&stands(claimed.clone())), Knowledge::Datasheet);
        assert_eq!(Knowledge::from(&stands(How::Measured { at: Place::Anywhere })), Knowledge::Substituted);
        assert_eq!(Knowledge::from(&claimed), Knowledge::Datasheet);
    }

    #[test]
    fn kinds_are_listed_once_and_the_best_first() {
        assert!(Knowledge::ALL.is_sorted() && Bound::ALL.is_sorted());
        assert!(Knowledge::Extrapolated.is_own() && !Knowledge::Substituted.is_own());
        assert_eq!(Bound::ALL.iter().filter(|bound| bound.is_memory()).count(), 3);
    }
}
