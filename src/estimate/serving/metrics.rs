//! What a way of serving comes to.

use schemars::JsonSchema;
use serde::Serialize;

use crate::units::Seconds;

use super::{Engine, Request, Spread};

/// What a way of serving comes to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Metrics {
    /// Requests in the system, the waiting ones included: a mean.
    pub concurrency: f64,
    /// Requests that run, from the start of their prompt to their last token: a mean.
    pub running: f64,
    /// Time to the first token.
    pub ttft: Spread,
    /// Time per token after the first; none where one token is all there is.
    pub tpot: Option<Seconds>,
    /// Intervals between tokens; none where one token is all there is.
    pub itl: Option<Spread>,
    /// Time to the last token.
    pub latency: Spread,
    /// Requests that finish per second.
    pub requests: f64,
    /// Tokens that come out per second.
    pub throughput: f64,
    /// The same, divided by the devices.
    pub throughput_per_device: f64,
    /// Tokens per second that one request sees: 1 / TPOT, or 1 / latency where one token is all there is.
    pub throughput_per_user: f64,
}

impl Metrics {
    /// Those of so many engines that are all like this one.
    #[must_use]
    pub(in crate::estimate) fn times(self, engines: f64) -> Self {
        Self {
            concurrency: self.concurrency * engines,
            running: self.running * engines,
            requests: self.requests * engines,
            throughput: self.throughput * engines,
            throughput_per_device: self.throughput_per_device * engines,
            ..self
        }
    }

    /// Those together with the requests of other engines, which see other times.
    #[must_use]
    pub(in crate::estimate) fn and(self, others: &Self) -> Self {
        Self {
            concurrency: self.concurrency + others.concurrency,
            running: self.running + others.running,
            requests: self.requests + others.requests,
            throughput: self.throughput + others.throughput,
            throughput_per_device: self.throughput_per_device + others.throughput_per_device,
            ..self
        }
    }
}

/// The parts of which metrics are made.
pub(crate) struct Parts {
    pub(crate) concurrency: f64,
    pub(crate) running: f64,
    pub(crate) ttft: Spread,
    pub(crate) tpot: Option<Seconds>,
    pub(crate) itl: Option<Spread>,
    pub(crate) latency: Spread,
    pub(crate) requests: f64,
}

impl Parts {
    /// The metrics with the rates that follow.
    pub(crate) fn metrics(self, engine: &Engine, request: &Request) -> Metrics {
        let Self { concurrency, running, ttft, tpot, itl, latency, requests } = self;
        let throughput = requests * request.output as f64;
        let throughput_per_device = throughput / engine.devices as f64;
        let throughput_per_user = 1.0 / tpot.unwrap_or(latency.mean).get();
        Metrics {
            concurrency,
            running,
            ttft,
            tpot,
            itl,
            latency,
            requests,
            throughput,
            throughput_per_device,
            throughput_per_user,
        }
    }
}
