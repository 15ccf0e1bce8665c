//! Requests served by a device: what follows from the times of steps, the workload and the largest batch that fits.
//!
//! Nothing here knows a model or a device: [`StepTimes`] says how long a step takes, and everything else is arithmetic.
//!
//! Definitions, the same everywhere. **TTFT**: from a request's arrival to its first token, the host's time included.
//! **TPOT**: from the first token to the last, divided by the tokens after the first; N tokens take N − 1 decode steps.
//! **ITL**: one interval between two tokens of a request. **Latency**: from arrival to the last token.
//! **Throughput**: tokens that come out per second, over all requests; *per user* is 1 / TPOT.

mod batch;
mod closed;
mod error;
mod frontier;
mod mean;
mod metrics;
mod open;
mod population;
mod prefill;
#[cfg(test)]
mod simulation;
mod spread;
#[cfg(test)]
pub(in crate::estimate) mod synthetic;

use crate::graph::Step;
use crate::units::Seconds;

pub use batch::{StaticBatch, static_batch};
pub use closed::{ClosedLoop, closed_loop};
pub use error::{ServingError, Untimed};
pub use frontier::{FrontierPoint, concurrencies, frontier, pareto};
pub use metrics::Metrics;
pub use open::{Open, OpenLoop, Steady, open_loop};
pub use spread::Spread;

pub(in crate::estimate) use error::{MOST_SEQUENCES, count, number};
pub(in crate::estimate) use mean::time;

/// How long steps take: the cost model, or a table in tests.
pub trait StepTimes {
    /// The time of one step.
    ///
    /// # Errors
    /// The reason why there is no time for it.
    fn step(&self, step: &Step) -> Result<Seconds, Untimed>;

    /// What the first of many such steps takes beyond that, where stages of a pipeline still wait for it.
    ///
    /// # Errors
    /// The reason why there is no time for it.
    fn fill(&self, _step: &Step) -> Result<Seconds, Untimed> {
        Ok(Seconds(0.0))
    }
}

impl<F: Fn(&Step) -> Result<Seconds, Untimed>> StepTimes for F {
    fn step(&self, step: &Step) -> Result<Seconds, Untimed> {
        self(step)
    }
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Tokens of its prompt.
    pub prompt: u64,
    /// Tokens it generates.
    pub output: u64,
}

/// How an engine schedules requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Engine {
    /// Largest number of tokens in a step, where prompts are cut into chunks that share steps with sequences that
    /// decode. None: every prompt goes whole, in a step of its own, and decoding waits.
    pub max_batched_tokens: Option<u64>,
    /// Time the host spends on a request before its prompt starts: reading, tokenising, scheduling. It is added to each
    /// TTFT and does not keep the device.
    pub host: Seconds,
    /// Sequences that fit into memory at the request's full length: admission. Beyond it requests queue.
    pub max_batch: u64,
    /// Devices of all engines that share the load; what is given per device is divided by it.
    pub devices: u64,
}

impl Default for Engine {
    /// Whole prompts, no time on the host, one sequence, one device.
    fn default() -> Self {
        Self { max_batched_tokens: None, host: Seconds(0.0), max_batch: 1, devices: 1 }
    }
}

impl Request {
    /// Decode steps of a request: the first token comes from its prompt.
    #[must_use]
    pub const fn decode_steps(&self) -> u64 {
        self.output.saturating_sub(1)
    }

    /// The middle of the contexts that its decode steps attend to.
    pub(crate) const fn middle_context(&self) -> u64 {
        self.prompt.saturating_add(self.output / 2)
    }
}

impl Engine {
    /// Requests that run at once: those that fit, and no more than a step has tokens.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.max_batch.min(self.max_batched_tokens.unwrap_or(u64::MAX))
    }
}

/// Refuses what cannot be calculated with.
fn check(engine: &Engine, request: &Request) -> Result<(), ServingError> {
    count("prompt", request.prompt, error::MOST_TOKENS)?;
    count("output", request.output, error::MOST_TOKENS)?;
    count("max_batch", engine.max_batch, MOST_SEQUENCES)?;
    count("devices", engine.devices, MOST_SEQUENCES)?;
    if let Some(tokens) = engine.max_batched_tokens {
        count("max_batched_tokens", tokens, error::MOST_TOKENS)?;
    }
    number("host", engine.host.get(), "0 s to 1e12 s", |host| (0.0..=1e12).contains(&host))
}
