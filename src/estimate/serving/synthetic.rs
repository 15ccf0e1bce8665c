//! A synthetic device for tests: a floor of memory and a slope of compute.

use crate::graph::Step;
use crate::units::Seconds;

use super::{StepTimes, Untimed};

/// Times of a roofline: weights are read once a step, the cache of each token once, and each token is computed.
#[derive(Clone, Copy, Debug)]
pub(in crate::estimate) struct Roofline {
    /// Seconds to read the weights.
    pub(in crate::estimate) weights: f64,
    /// Seconds to read a cached token's keys and values.
    pub(in crate::estimate) cached: f64,
    /// Seconds to compute a token.
    pub(in crate::estimate) token: f64,
}

impl Roofline {
    /// About an 8-billion-parameter model on a large GPU: 4 ms of weights, 20 µs a token, so that the ridge is at 200
    /// tokens.
    pub(in crate::estimate) const SMALL: Self = Self { weights: 4e-3, cached: 3e-8, token: 2e-5 };

    /// All times multiplied.
    pub(in crate::estimate) fn slower(self, factor: f64) -> Self {
        Self { weights: self.weights * factor, cached: self.cached * factor, token: self.token * factor }
    }
}

impl StepTimes for Roofline {
    fn step(&self, step: &Step) -> Result<Seconds, Untimed> {
        let cached: f64 =
            step.sequences.iter().map(|group| group.count as f64 * (group.cached + group.new_tokens) as f64).sum();
        let memory = self.weights + self.cached * cached;
        Ok(Seconds(memory.max(self.token * step.tokens() as f64)))
    }
}
