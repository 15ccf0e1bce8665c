//! What speaks against taking an observation's numbers as they are.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that whoever draws conclusions from an observation has to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Caveat {
    /// The run was cancelled or did not finish.
    Incomplete,
    /// Requests failed; they are not in the numbers.
    FailedRequests {
        /// How many.
        failed: u64,
    },
    /// The tokens were random: experts are chosen as they are not for text, and sampling and tokenising cost nothing.
    RandomTokens,
    /// A part of the model was kept in the host's memory.
    PartlyOnHost,
    /// A part of the prompts came from a cache and was not processed.
    CachedPrompts,
    /// A profiler replayed each kernel with cleared caches and, unless told otherwise, at the base clock: bytes hold, times do not.
    Profiled,
    /// The time is that of handing the work over, not that of doing it.
    HostTimed,
    /// Some results were wrong.
    WrongResults {
        /// How many elements.
        elements: f64,
    },
    /// Test cases without a result.
    NotRun {
        /// How many.
        cases: u64,
    },
    /// The sizes of the model were rounded to three digits.
    Rounded,
    /// Readings of a benchmark that stand for no resource of rooflab's.
    NoCounterpart {
        /// How many.
        readings: u64,
    },
}

impl fmt::Display for Caveat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete => f.write_str("the run was cancelled or did not finish"),
            Self::FailedRequests { failed } => write!(f, "{failed} requests failed; they are not in the numbers"),
            Self::RandomTokens => f.write_str("the tokens were random: experts are chosen as they are not for text"),
            Self::PartlyOnHost => f.write_str("a part of the model was kept in the host's memory"),
            Self::CachedPrompts => f.write_str("a part of the prompts came from a cache and was not processed"),
            Self::Profiled => f.write_str(
                "the profiler replayed kernels with cleared caches and, by default, at the base clock: bytes hold, times do not",
            ),
            Self::HostTimed => f.write_str("the time is that of handing the work over, not that of doing it"),
            Self::WrongResults { elements } => write!(f, "{elements} elements of the results were wrong"),
            Self::NotRun { cases } => write!(f, "{cases} test cases have no result"),
            Self::NoCounterpart { readings } => {
                write!(f, "{readings} readings stand for no resource of rooflab's, and are left out")
            }
            Self::Rounded => f.write_str("the file rounds the sizes of the model to three digits"),
        }
    }
}
