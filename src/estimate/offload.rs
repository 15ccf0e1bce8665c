//! Weights and caches that lie outside of the device's memory: what of them comes over the link in each step, and how long the step waits for it.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::cost::{CostError, Costing, StepCost, Transfer};
use crate::graph::{Graph, Part};
use crate::units::{Bytes, Seconds};

/// What lies outside of a device's memory: in that of the host, or on a disk.
///
/// All operators are executed on the device, so that what lies outside comes over the link in each step. The transfers of a step queue up behind one another: their
/// latency is paid once. The buffers that they fill are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Offload {
    /// Share of the weights.
    pub weights: f64,
    /// Share of cached keys and values, and of recurrent states.
    pub kv: f64,
    /// Whether transfers and computing wait for each other. Otherwise they overlap: a step takes as long as the longer of the two.
    pub serial: bool,
}

/// What can lie outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offloaded {
    /// Weights.
    Weights,
    /// Cached keys and values, and recurrent states.
    Kv,
}

/// A share of something that lies outside, as people type it: `weights=0.3`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// What.
    pub of: Offloaded,
    /// How much of it, from 0 to 1.
    pub share: f64,
}

/// Why nothing can be offloaded like that.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OffloadError {
    /// The text is no share of something.
    #[error("`{0}` is not a share of `weights` or `kv`, such as `weights=0.3`")]
    Form(String),
    /// A share is not one.
    #[error("a share of `{of}` of {share} is offloaded: it must be from 0 to 1")]
    Share {
        /// Of what.
        of: &'static str,
        /// The share.
        share: f64,
    },
    /// Two shares of the same thing.
    #[error("two shares of `{0}` are offloaded: give one")]
    Twice(&'static str),
}

impl Offloaded {
    /// Everything that can, with the word it is written as.
    const ALL: [(Self, &'static str); 2] = [(Self::Weights, "weights"), (Self::Kv, "kv")];

    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Kv => "kv",
        }
    }
}

impl FromStr for Share {
    type Err = OffloadError;

    fn from_str(text: &str) -> Result<Self, OffloadError> {
        let form = || OffloadError::Form(text.chars().take(64).collect());
        let (word, share) = text.split_once('=').ok_or_else(form)?;
        let (of, word) = *Offloaded::ALL.iter().find(|(_, known)| *known == word.trim()).ok_or_else(form)?;
        let share = share.trim().parse().map_err(|_| form())?;
        Ok(Self { of, share: checked(word, share)? })
    }
}

fn checked(of: &'static str, share: f64) -> Result<f64, OffloadError> {
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(OffloadError::Share { of, share }) }
}

impl Offload {
    /// Shares of different things.
    ///
    /// # Errors
    /// Two are of the same thing.
    pub fn of(shares: &[Share], serial: bool) -> Result<Self, OffloadError> {
        let of = |wanted: Offloaded| {
            let mut found = shares.iter().filter(|share| share.of == wanted).map(|share| share.share);
            let share = found.next().unwrap_or(0.0);
            if found.next().is_some() { Err(OffloadError::Twice(wanted.word())) } else { Ok(share) }
        };
        Ok(Self { weights: of(Offloaded::Weights)?, kv: of(Offloaded::Kv)?, serial })
    }

    /// Itself, if its shares are some.
    ///
    /// # Errors
    /// A share is not from 0 to 1.
    pub fn checked(self) -> Result<Self, OffloadError> {
        let Self { weights, kv, serial } = self;
        Ok(Self { weights: checked("weights", weights)?, kv: checked("kv", kv)?, serial })
    }

    /// Whether everything is in the device's memory.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.weights <= 0.0 && self.kv <= 0.0
    }

    /// The share of the weights that is in the device's memory.
    #[must_use]
    pub fn weights_here(&self) -> f64 {
        1.0 - self.weights
    }

    /// The share of the cache that is in the device's memory.
    #[must_use]
    pub fn cache_here(&self) -> f64 {
        1.0 - self.kv
    }

    /// Bytes that a step moves over the link: the weights that it reads (of experts, those that get a token), the cached tokens that it reads, and those that it adds.
    /// Tokens that it adds are read where they were made, and only sent out. Rows that are copied out of the table of tokens are too few to matter.
    #[must_use]
    pub fn transferred(&self, graph: &Graph) -> Bytes {
        let none = Bytes(0.0);
        let added = graph.total(|operator| if operator.part == Part::CacheWrite { operator.kv } else { none });
        let read = graph.total(|operator| if operator.part == Part::CacheWrite { none } else { operator.kv });
        let cache = Bytes(read.get().max(added.get()));
        graph.total(|operator| operator.weights) * self.weights + cache * self.kv
    }

    /// The cost of a step, with what it transfers.
    pub(super) fn onto(&self, graph: &Graph, cost: StepCost, costing: &Costing<'_>) -> Result<StepCost, CostError> {
        let bytes = self.transferred(graph);
        if bytes.get() <= 0.0 {
            return Ok(cost);
        }
        let need = costing.host(bytes)?;
        let exposed = if self.serial { need.time } else { Seconds((need.time - cost.time).get().max(0.0)) };
        Ok(StepCost { time: cost.time + exposed, transfer: Some(Transfer { bytes, need, exposed }), ..cost })
    }
}
