//! Why there is no time: the profile lacks a ceiling, no link was given, or sizes are beyond any machine.

use std::fmt;

use crate::graph::Part;
use crate::resource::Resource;

/// A ceiling that a profile lacks, and for which nothing may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The ceiling.
    pub resource: Resource,
    /// Why there is none.
    pub why: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.resource, self.why)
    }
}

/// Why a step has no time.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CostError {
    /// Ceilings are missing, each named once.
    #[error("the profile `{profile}` lacks {}", list(.lacks))]
    Missing {
        /// The profile.
        profile: String,
        /// What it lacks.
        lacks: Vec<Lack>,
    },
    /// Devices exchange data, and nobody said over what.
    #[error("the devices exchange data, but neither `--link` nor the profile says over what")]
    NoLink,
    /// Some of the model lies outside of the device's memory, and nothing is known of the link to there.
    #[error("some of the model is offloaded, but {why}: give the link with `--host-link`")]
    NoHostLink {
        /// Why not.
        why: String,
    },
    /// An amount of work is not one.
    #[error("`{part:?}` has a `{field}` of {value}: it must be 0 or above, and finite")]
    NotAnAmount {
        /// The operator.
        part: Part,
        /// Which amount.
        field: &'static str,
        /// What it is.
        value: f64,
    },
    /// The sizes are so large that no time follows from them.
    #[error("`{part:?}` would take {seconds} s: its sizes are beyond any machine")]
    NotATime {
        /// The operator.
        part: Part,
        /// What came out.
        seconds: f64,
    },
}

fn list(lacks: &[Lack]) -> String {
    lacks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
