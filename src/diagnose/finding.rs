//! What a rule finds: how grave it is, what it rests on, what it is worth, and what to do about it.

use schemars::JsonSchema;
use serde::Serialize;

use super::phase::Kind;
use crate::units::{Seconds, Unit};

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Time is lost, or a number is to be doubted.
    Warning,
    /// The numbers cannot be true.
    Error,
}

impl Severity {
    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule with what it found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Finding {
    /// The rule: `RL001`.
    pub rule: &'static str,
    /// What the rule is about.
    pub name: &'static str,
    /// What it found.
    #[serde(flatten)]
    pub found: Found,
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Found {
    /// How grave it is.
    pub severity: Severity,
    /// What is the case, in a sentence.
    pub says: String,
    /// What that rests on.
    pub evidence: Vec<Evidence>,
    /// What would be gained without it, by the estimate; none where nothing would, or nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worth: Option<Worth>,
    /// What to try.
    #[serde(rename = "try", skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<String>,
    /// The measurement that would tell it from other causes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decide: Option<String>,
}

/// A fact, with where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Evidence {
    /// What it is.
    pub what: String,
    /// The fact.
    pub is: Fact,
    /// Where it comes from.
    pub from: String,
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Fact {
    /// A number with its unit.
    Number {
        /// The number.
        value: f64,
        /// What it counts.
        unit: EvidenceUnit,
    },
    /// Words.
    Text(String),
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum EvidenceUnit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Bytes.
    #[serde(rename = "B")]
    Bytes,
    /// Bytes per second.
    #[serde(rename = "B/s")]
    BytesPerSecond,
    /// Operations per second.
    #[serde(rename = "FLOP/s")]
    FlopsPerSecond,
    /// Operations.
    #[serde(rename = "FLOP")]
    Flops,
    /// Operations per byte.
    #[serde(rename = "FLOP/B")]
    Intensity,
    /// Tokens per second.
    #[serde(rename = "token/s")]
    TokensPerSecond,
    /// A share of a whole.
    #[serde(rename = "share")]
    Share,
    /// How many times one number is another.
    #[serde(rename = "times")]
    Times,
    /// A number of things.
    #[serde(rename = "count")]
    Count,
}

impl EvidenceUnit {
    /// The unit to display it with, where it has one.
    #[must_use]
    pub const fn unit(self) -> Option<Unit> {
        match self {
            Self::Seconds => Some(Unit::Second),
            Self::Bytes => Some(Unit::Byte),
            Self::Flops => Some(Unit::Flop),
            Self::BytesPerSecond => Some(Unit::BytePerSecond),
            Self::FlopsPerSecond => Some(Unit::FlopPerSecond),
            _ => None,
        }
    }
}

/// What would be gained.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Worth {
    /// So much less time of a phase at the most.
    Time {
        /// The phase: per token while decoding, per request while prompts are processed.
        of: Kind,
        /// The time.
        up_to: Seconds,
    },
    /// So much less time of a matrix product at the most.
    Product {
        /// The time.
        up_to: Seconds,
    },
    /// More tokens per second.
    Rate {
        /// As it is.
        from: f64,
        /// As it would be.
        to: f64,
        /// The time per token that goes with it.
        tpot: Seconds,
    },
}

impl Found {
    /// A finding that rests on nothing yet.
    pub(super) fn new(severity: Severity, says: impl Into<String>) -> Self {
        Self { severity, says: says.into(), evidence: Vec::new(), worth: None, remedies: Vec::new(), decide: None }
    }

    /// Adds a number that it rests on.
    pub(super) fn number(
        mut self,
        what: impl Into<String>,
        value: f64,
        unit: EvidenceUnit,
        from: impl Into<String>,
    ) -> Self {
        self.evidence.push(Evidence { what: what.into(), is: Fact::Number { value, unit }, from: from.into() });
        self
    }

    /// Adds words that it rests on.
    pub(super) fn text(mut self, what: impl Into<String>, is: impl Into<String>, from: impl Into<String>) -> Self {
        self.evidence.push(Evidence { what: what.into(), is: Fact::Text(is.into()), from: from.into() });
        self
    }

    /// What would be gained in time, if that is any.
    pub(super) fn worth(mut self, of: Kind, up_to: Seconds) -> Self {
        self.worth = (up_to.get() > 0.0).then_some(Worth::Time { of, up_to });
        self
    }

    /// What a matrix product would gain in time, if that is any.
    pub(super) fn worth_of_product(mut self, up_to: Seconds) -> Self {
        self.worth = (up_to.get() > 0.0).then_some(Worth::Product { up_to });
        self
    }

    /// What would be gained in tokens.
    pub(super) fn worth_rate(mut self, from: f64, to: f64, tpot: Seconds) -> Self {
        self.worth = Some(Worth::Rate { from, to, tpot });
        self
    }

    /// Adds something to try.
    pub(super) fn attempt(mut self, remedy: impl Into<String>) -> Self {
        self.remedies.push(remedy.into());
        self
    }

    /// The measurement that would decide.
    pub(super) fn decide(mut self, measurement: impl Into<String>) -> Self {
        self.decide = Some(measurement.into());
        self
    }
}
