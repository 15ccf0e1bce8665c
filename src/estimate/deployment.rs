//! The engines on all devices: which requests each of them has, and what all of them come to.

use schemars::JsonSchema;
use serde::Serialize;

use super::search::try_last;
use super::serving::{
    ClosedLoop, Engine, Metrics, Open, OpenLoop, Request, ServingError, Steady, StepTimes, Untimed, closed_loop, count,
    open_loop, static_batch,
};
use super::subject::{Placed, Turn, parts_to_try};
use crate::graph::{Sequences, Step};
use crate::units::Seconds;

/// What serves a load: engines that share its requests evenly, and do not wait for each other's prompts.
///
/// - Each replica (dp) is by itself.
/// - Each rank of a replica (the devices that share experts, ep) has sequences of its own. Ranks go from layer to layer together, as they exchange tokens there: each
///   is taken to have a prompt when the others have one.
/// - The sequences of a rank go through the stages of a pipeline (pp) in parts, of which each is at another stage. Of the numbers of parts, it is the best one.
///
/// Where requests cannot be divided evenly, times are those of the engine with the most, and rates those of all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Deployment {
    /// The engine of a rank, with the sequences that its devices have room for. A step of it is one of a part.
    pub engine: Engine,
    /// Replicas.
    pub replicas: u64,
    /// Ranks of a replica.
    pub ranks: u64,
    /// Stages of a pipeline.
    pub stages: u64,
}

/// What keeps more requests from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Memory has no room for them.
    Memory,
    /// A step has no tokens for them.
    Tokens,
}

/// The times of the engine that has the most sequences, with what all others do at the same time.
struct Fullest<'a> {
    placed: &'a Placed<'a>,
    replicas: u64,
    parts: u64,
    /// For so many sequences of the engine, so many go through the stages together.
    together: (u64, u64),
}

impl Fullest<'_> {
    fn turn(&self, step: &Step) -> Result<Turn, Untimed> {
        let (all, of) = (u128::from(self.together.0), u128::from(self.together.1.max(1)));
        let spread = |group: &Sequences| {
            let count = u64::try_from((u128::from(group.count) * all).div_ceil(of)).unwrap_or(u64::MAX);
            Sequences { count: count.saturating_mul(self.replicas), ..*group }
        };
        let step = Step { sequences: step.sequences.iter().map(spread).collect() };
        self.placed.turn(&step, self.parts).map_err(|error| Untimed(error.to_string()))
    }
}

impl StepTimes for Fullest<'_> {
    fn step(&self, step: &Step) -> Result<Seconds, Untimed> {
        self.turn(step).map(|turn| turn.time())
    }

    fn fill(&self, step: &Step) -> Result<Seconds, Untimed> {
        self.turn(step).map(|turn| turn.fill())
    }
}

/// A share of a replica's requests.
struct Share {
    /// Requests that the engine with the most has under way.
    requests: u64,
    /// How many times as many run in the whole replica.
    engines: f64,
}

impl Deployment {
    /// Requests that run at once: those that fit, and no more than a step has tokens.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.of_rank(self.stages).saturating_mul(self.ranks).saturating_mul(self.replicas)
    }

    /// What keeps more requests from running.
    #[must_use]
    pub fn limit(&self) -> Limit {
        if self.of_rank(self.stages) < self.engine.max_batch { Limit::Tokens } else { Limit::Memory }
    }

    /// Devices of all engines.
    #[must_use]
    pub const fn devices(&self) -> u64 {
        self.engine.devices
    }

    /// Requests that a rank runs at once in some parts.
    fn of_rank(&self, parts: u64) -> u64 {
        let tokens = self.engine.max_batched_tokens.unwrap_or(u64::MAX);
        self.engine.max_batch.min(tokens.saturating_mul(parts))
    }

    /// Requests that start together.
    pub(super) fn static_batch(
        &self,
        placed: &Placed<'_>,
        request: &Request,
        batch: u64,
    ) -> Result<Metrics, ServingError> {
        count("batch", batch, self.admitted())?;
        let requests = batch.div_ceil(self.replicas);
        let at = |parts| {
            let (times, engine, share) = self.fullest(placed, requests, parts);
            Ok(static_batch(&times, &engine, request, share.requests)?.metrics.times(share.engines))
        };
        // All of it runs at once: fewer parts may have too few tokens for that.
        let holds_all = |parts: &u64| self.of_rank(*parts) >= requests.div_ceil(self.ranks);
        let parts = self.parts(requests).filter(holds_all);
        let found = best(parts, at, |a, b| a.latency.mean < b.latency.mean)?;
        Ok(found.times(batch as f64 / found.concurrency))
    }

    /// Requests in flight.
    pub(super) fn closed_loop(
        &self,
        placed: &Placed<'_>,
        request: &Request,
        clients: &ClosedLoop,
    ) -> Result<Metrics, ServingError> {
        clients.check()?;
        let concurrency = clients.concurrency;
        let of_replica = |requests| {
            let at = |parts| {
                let (times, engine, share) = self.fullest(placed, requests, parts);
                let clients = clients.share(share.requests);
                let found = closed_loop(&times, &engine, request, &clients)?.times(share.engines);
                Ok(Metrics { concurrency: requests as f64, ..found })
            };
            best(self.parts(requests), at, |a, b| a.requests > b.requests)
        };
        let (each, more) = (concurrency / self.replicas, concurrency % self.replicas);
        if more == 0 {
            return Ok(of_replica(each)?.times(self.replicas as f64));
        }
        let fullest = of_replica(each + 1)?.times(more as f64);
        Ok(if each == 0 { fullest } else { fullest.and(&of_replica(each)?.times((self.replicas - more) as f64)) })
    }

    /// Requests that arrive at a rate.
    pub(super) fn open_loop(
        &self,
        placed: &Placed<'_>,
        request: &Request,
        arrivals: &OpenLoop,
    ) -> Result<Open, ServingError> {
        arrivals.check()?;
        let is_better = |a: &Open, b: &Open| match (a, b) {
            (Open::Steady(a), Open::Steady(b)) => a.metrics.latency.mean < b.metrics.latency.mean,
            (Open::Saturated { capacity: a }, Open::Saturated { capacity: b }) => a > b,
            (a, _) => matches!(a, Open::Steady(_)),
        };
        let most = self.engine.max_batch.min(self.stages);
        best(parts_to_try(most), |parts| self.open_loop_in(placed, request, arrivals, parts), is_better)
    }

    /// The same in so many parts. While fewer requests run than there are ranks, so many ranks have one, and the others nothing.
    fn open_loop_in(
        &self,
        placed: &Placed<'_>,
        request: &Request,
        arrivals: &OpenLoop,
        parts: u64,
    ) -> Result<Open, ServingError> {
        let max_batch = self.engine.max_batch / parts;
        let at = |active: u64| {
            let times = Fullest { placed, replicas: self.replicas, parts, together: (active, 1) };
            let engines = active as f64 * parts as f64 * self.replicas as f64;
            let arrivals = OpenLoop { rate: arrivals.rate / engines, ..*arrivals };
            let engine = Engine { max_batch, ..self.engine };
            Ok::<_, ServingError>(match open_loop(&times, &engine, request, &arrivals)? {
                Open::Steady(steady) => Open::Steady(Steady {
                    metrics: steady.metrics.times(engines),
                    capacity: steady.capacity * engines,
                    ..steady
                }),
                Open::Saturated { capacity } => Open::Saturated { capacity: capacity * engines },
            })
        };
        let are_too_few = |active: u64| {
            Ok(match at(active)? {
                Open::Steady(steady) => steady.metrics.running > (active * self.replicas) as f64,
                Open::Saturated { .. } => true,
            })
        };
        at(try_last(0, self.ranks, are_too_few)? + 1)
    }

    /// Numbers of parts for so many requests of a replica.
    fn parts(&self, requests: u64) -> impl Iterator<Item = u64> + use<> {
        let of_rank = requests.div_ceil(self.ranks).min(self.engine.max_batch);
        parts_to_try(of_rank.min(self.stages))
    }

    /// The engine with the most of a replica's requests, when their sequences go in so many parts.
    fn fullest<'p>(&self, placed: &'p Placed<'p>, requests: u64, parts: u64) -> (Fullest<'p>, Engine, Share) {
        let running = requests.min(self.of_rank(parts).saturating_mul(self.ranks)).max(1);
        let most = running.div_ceil(self.ranks.saturating_mul(parts));
        // Those that wait do so at every engine alike.
        let waiting = (u128::from(requests - requests.min(running)) * u128::from(most)).div_ceil(u128::from(running));
        let together = (running, most.saturating_mul(parts));
        let times = Fullest { placed, replicas: self.replicas, parts, together };
        let engine = Engine { max_batch: most, ..self.engine };
        let under_way = most.saturating_add(u64::try_from(waiting).unwrap_or(u64::MAX));
        (times, engine, Share { requests: under_way, engines: running as f64 / most as f64 })
    }
}

/// The best of what some numbers of parts come to; of equal ones, the first.
fn best<T>(
    parts: impl Iterator<Item = u64>,
    at: impl Fn(u64) -> Result<T, ServingError>,
    is_better: impl Fn(&T, &T) -> bool,
) -> Result<T, ServingError> {
    let mut found = None;
    for parts in parts {
        let other = at(parts)?;
        if found.as_ref().is_none_or(|found| is_better(&other, found)) {
            found = Some(other);
        }
    }
    found.map_or_else(|| at(1), Ok)
}
