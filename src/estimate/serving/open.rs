//! Open loop: requests arrive at a rate, whether or not those before them are answered.

use crate::units::Seconds;

use super::error::number;
use super::metrics::Parts;
use super::population::{Population, residence};
use super::{Engine, Metrics, Request, ServingError, Spread, StepTimes, check};

/// Requests that arrive independently of each other (a Poisson process).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenLoop {
    /// Requests per second.
    pub rate: f64,
    /// How much lengths vary: the variance of the work of a request over the square of its mean. 0 where all are equal,
    /// 1 for exponential lengths.
    pub variability: f64,
}

impl OpenLoop {
    /// Refuses numbers that nothing can be calculated with.
    pub(in crate::estimate) fn check(&self) -> Result<(), ServingError> {
        number("rate", self.rate, "1e-12 to 1e12 requests per second", |rate| (1e-12..=1e12).contains(&rate))?;
        number("variability", self.variability, "0 to 1e6", |variability| (0.0..=1e6).contains(&variability))
    }
}

/// What an open loop comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Open {
    /// Requests are answered as fast as they come.
    Steady(Steady),
    /// They come as fast as they can be answered, or faster: the queue grows without end.
    Saturated {
        /// Requests per second that can be answered.
        capacity: f64,
    },
}

/// A queue that does not grow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steady {
    /// What requests see.
    pub metrics: Metrics,
    /// Requests per second that can be answered: all places taken.
    pub capacity: f64,
    /// The rate as a share of it.
    pub utilisation: f64,
    /// The chance that all places are taken when a request comes.
    pub queues: f64,
}

/// What requests that arrive at a rate see.
///
/// **Batch.** Little's law, `n = rate · decode steps · TPOT(1 + n)`: a request decodes together with the n others that
/// Poisson arrivals leave there. Exact for steps that grow linearly with the batch (generalised processor sharing), and
/// independent of how lengths are distributed.
///
/// **Waiting for prompts** before its own: M/G/1, `rate · E[S²] / (2 (1 − rate · E[S]))` with S the time of a prompt,
/// and half of the step that is under way. **Waiting for a place** (admission): M/G/c, with Erlang's chance to wait,
/// and a mean of `(1 + variability) / 2` of the exponential one.
///
/// Percentiles take each wait, given that there is one, for exponential, and the two for independent. Real waits of
/// equal requests are bounded more tightly, so that p99 is rather too long. Arrivals in bursts wait longer than any of
/// this.
///
/// # Errors
/// When a number cannot be calculated with, or a step has no time. A rate above capacity is an answer, not an error.
pub fn open_loop(
    times: &impl StepTimes,
    engine: &Engine,
    request: &Request,
    arrivals: &OpenLoop,
) -> Result<Open, ServingError> {
    check(engine, request)?;
    arrivals.check()?;
    let OpenLoop { rate, variability } = *arrivals;
    let places = engine.admitted();
    let full = residence(times, engine, request, places)?;
    let capacity = places as f64 / full.total(request);
    if rate >= capacity {
        return Ok(Open::Saturated { capacity });
    }
    // Of the prompts that come meanwhile, those of others: with one place, nobody comes meanwhile.
    let others = 1.0 - 1.0 / places as f64;
    let steps = request.decode_steps() as f64;
    let load = Load { rate: rate * others, steps: rate * steps, longest: full.gap.unwrap_or(0.0) };
    let (population, decoding) = load.settle(times, engine, request)?;
    let gap = load.gap(&population);
    let utilisation = rate / capacity;
    // The share of time at prompts; it cannot be more than that of all work.
    let prompts = (rate * population.occupied()).min(utilisation);
    let spread = (1.0 + variability) / 2.0;
    let before =
        Wait { chance: prompts * others, mean: others * prompts * population.occupied() * spread / (1.0 - prompts) };
    // Half of the step that is under way, if one is.
    let step = others * (1.0 - (-decoding).exp()) * population.decode / 2.0;
    let own = step + population.own;
    let running = (rate * (own + before.mean) + decoding).min(utilisation * places as f64);
    let queues = erlang(places, running);
    let place = Wait { chance: queues, mean: queues * spread / (capacity - rate) };
    let ttft = waits(before, place).plus(engine.host + Seconds(own));
    let latency = ttft.plus(Seconds(gap * steps));
    let has_intervals = steps > 0.0;
    let parts = Parts {
        concurrency: rate * latency.mean.get(),
        running,
        ttft,
        tpot: has_intervals.then_some(Seconds(gap)),
        itl: has_intervals.then(|| {
            let hits = load.rate * gap * population.chunks;
            population.intervals(gap, if population.chunks > 1.0 { hits.min(1.0) } else { hits }, f64::INFINITY)
        }),
        latency,
        requests: rate,
    };
    let metrics = parts.metrics(engine, request);
    Ok(Open::Steady(Steady { metrics, capacity, utilisation, queues }))
}

/// What arrives.
struct Load {
    /// Prompts per second that delay a request's tokens.
    rate: f64,
    /// Decode steps per second.
    steps: f64,
    /// The interval between tokens when all places are taken.
    longest: f64,
}

impl Load {
    /// The interval between tokens: a step, and the prompts that come meanwhile.
    fn gap(&self, population: &Population) -> f64 {
        let free = 1.0 - self.rate * population.extra;
        if free > 0.0 { (population.decode / free).min(self.longest) } else { self.longest }
    }

    /// By how many requests more decode than arrive for that.
    fn surplus(&self, decoding: f64, population: &Population) -> f64 {
        decoding - self.steps * self.gap(population)
    }

    /// The population that a request decodes in, itself included, and the mean number of requests that decode.
    fn settle(
        &self,
        times: &impl StepTimes,
        engine: &Engine,
        request: &Request,
    ) -> Result<(Population, f64), ServingError> {
        let at = |running| Population::new(times, engine, request, running);
        let places = engine.admitted();
        let (mut low, mut high) = (1, places);
        let (mut below, mut above) = (at(low)?, at(high)?);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let population = at(middle)?;
            if self.surplus((middle - 1) as f64, &population) < 0.0 {
                (low, below) = (middle, population);
            } else {
                (high, above) = (middle, population);
            }
        }
        // Between two whole numbers, on the line: at most one request beyond the upper, where all places are taken.
        let (from, width) = ((low - 1) as f64, (high - low) as f64);
        let between = |more: f64| below.toward(&above, if width > 0.0 { (more / width).min(1.0) } else { 1.0 });
        let (mut least, mut most) = (0.0, width + 1.0);
        for _ in 0..60 {
            let middle = (least + most) / 2.0;
            if self.surplus(from + middle, &between(middle)) < 0.0 { least = middle } else { most = middle }
        }
        let population = between(most);
        let decoding = (self.steps * self.gap(&population)).min(places as f64);
        Ok((population, decoding))
    }
}

/// A wait: the chance that there is one, and its mean over all.
#[derive(Clone, Copy)]
struct Wait {
    chance: f64,
    mean: f64,
}

impl Wait {
    /// Mean of those that wait.
    fn given(&self) -> f64 {
        if self.chance > 0.0 { self.mean / self.chance } else { 0.0 }
    }
}

/// The sum of two independent waits, each exponential where there is one.
fn waits(a: Wait, b: Wait) -> Spread {
    let (long, short) = if a.given() >= b.given() { (a, b) } else { (b, a) };
    let exceeds = |mean: f64, time: f64| if mean > 0.0 { (-time / mean).exp() } else { 0.0 };
    let both = |time: f64| {
        let (p, q) = (long.given(), short.given());
        if p - q > 1e-6 * p {
            (p * exceeds(p, time) - q * exceeds(q, time)) / (p - q)
        } else {
            exceeds(p, time) * (1.0 + if p > 0.0 { time / p } else { 0.0 })
        }
    };
    let longer = |time: f64| {
        long.chance * short.chance * both(time)
            + long.chance * (1.0 - short.chance) * exceeds(long.given(), time)
            + short.chance * (1.0 - long.chance) * exceeds(short.given(), time)
    };
    Spread::of_tail(a.mean + b.mean, longer)
}

/// Erlang's chance that all places are taken, when so many would be on average.
fn erlang(places: u64, taken: f64) -> f64 {
    let all = places as f64;
    // The chance that a request is lost where none may wait, from that with a place less.
    let lost = (1..=places).fold(1.0, |lost, place| taken * lost / (place as f64 + taken * lost));
    all * lost / (all - taken * (1.0 - lost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::serving::synthetic::Roofline;
    use crate::estimate::serving::{ClosedLoop, Untimed, closed_loop};
    use crate::graph::Step;
    use proptest::prelude::*;

    const ENGINE: Engine = Engine { max_batched_tokens: None, host: Seconds(0.0), max_batch: 64, devices: 1 };
    const REQUEST: Request = Request { prompt: 1000, output: 200 };

    fn steady(times: &impl StepTimes, engine: &Engine, request: &Request, rate: f64) -> Steady {
        match open_loop(times, engine, request, &OpenLoop { rate, variability: 0.0 }).unwrap() {
            Open::Steady(steady) => steady,
            Open::Saturated { capacity } => panic!("saturated at {capacity}"),
        }
    }

    #[test]
    fn erlang_agrees_with_published_tables() {
        // One place: the utilisation. Two places at 1 Erlang: 1/3. Ten places at 8 Erlangs: 0.4092.
        assert!((erlang(1, 0.3) - 0.3).abs() < 1e-12);
        assert!((erlang(2, 1.0) - 1.0 / 3.0).abs() < 1e-12);
        assert!((erlang(10, 8.0) - 0.4092).abs() < 1e-4);
        assert!(erlang(1 << 20, 5.0) < 1e-300 && erlang(100, 99.999_999) > 0.99);
    }

    #[test]
    fn one_place_is_a_queue_with_one_server() {
        let engine = Engine { max_batch: 1, ..ENGINE };
        let second = |_: &Step| Ok::<Seconds, Untimed>(Seconds(1.0));
        // A request takes ten seconds: one for its prompt, nine for its tokens.
        let request = Request { prompt: 5, output: 10 };
        for (variability, factor) in [(0.0, 0.5), (1.0, 1.0)] {
            let arrivals = OpenLoop { rate: 0.08, variability };
            let Open::Steady(found) = open_loop(&second, &engine, &request, &arrivals).unwrap() else { panic!() };
            // Pollaczek and Khinchine: λ E[S²] / (2 (1 − ρ)) = 0.08 · 100 · (1 + v) / (2 · 0.2).
            let wait = factor * 0.08 * 100.0 / 0.2;
            assert!((found.metrics.ttft.mean.get() - 1.0 - wait).abs() < 1e-9, "{found:?}");
            assert!((found.utilisation - 0.8).abs() < 1e-12 && (found.queues - 0.8).abs() < 1e-9);
            assert_eq!(found.metrics.tpot, Some(Seconds(1.0)));
        }
    }

    #[test]
    fn prompts_alone_wait_for_prompts() {
        let request = Request { output: 1, ..REQUEST };
        let second = |_: &Step| Ok::<Seconds, Untimed>(Seconds(1.0));
        let engine = Engine { max_batch: 1 << 20, ..ENGINE };
        let found = steady(&second, &engine, &request, 0.5);
        // M/D/1 at one half: half a second.
        assert!((found.metrics.ttft.mean.get() - 1.5).abs() < 1e-5, "{found:?}");
        assert_eq!((found.metrics.tpot, found.metrics.itl), (None, None));
    }

    #[test]
    fn hardly_any_requests_see_what_one_sees_alone() {
        for max_batched_tokens in [None, Some(128), Some(8192)] {
            let engine = Engine { max_batched_tokens, host: Seconds(0.003), ..ENGINE };
            let found = steady(&Roofline::SMALL, &engine, &REQUEST, 1e-6).metrics;
            let clients = ClosedLoop { concurrency: 1, requests: None };
            let alone = closed_loop(&Roofline::SMALL, &engine, &REQUEST, &clients).unwrap();
            assert!((found.ttft.mean / alone.ttft.mean - 1.0).abs() < 1e-4);
            assert!((found.tpot.unwrap() / alone.tpot.unwrap() - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn a_rate_above_capacity_is_an_answer() {
        let clients = ClosedLoop { concurrency: 64, requests: None };
        let most = closed_loop(&Roofline::SMALL, &ENGINE, &REQUEST, &clients).unwrap().requests;
        for rate in [most * 1.001, 1e9] {
            let arrivals = OpenLoop { rate, variability: 0.0 };
            let Open::Saturated { capacity } = open_loop(&Roofline::SMALL, &ENGINE, &REQUEST, &arrivals).unwrap()
            else {
                panic!("{rate} of {most} is not saturated")
            };
            assert!((capacity / most - 1.0).abs() < 1e-9);
        }
        // Just below, TTFT explodes and the batch is full.
        let found = steady(&Roofline::SMALL, &ENGINE, &REQUEST, most * 0.9999);
        let calm = steady(&Roofline::SMALL, &ENGINE, &REQUEST, most * 0.5);
        assert!(found.metrics.ttft.p99 > calm.metrics.ttft.p99 * 20.0 && found.metrics.running > 60.0, "{found:?}");
    }

    #[test]
    fn hostile_numbers_are_named() {
        let error = |rate, variability| {
            open_loop(&Roofline::SMALL, &ENGINE, &REQUEST, &OpenLoop { rate, variability }).unwrap_err().to_string()
        };
        for (rate, word) in [(0.0, "0"), (f64::NAN, "NaN"), (f64::INFINITY, "inf"), (-1.0, "-1")] {
            assert_eq!(error(rate, 0.0), format!("`rate` is {word}; expected 1e-12 to 1e12 requests per second"));
        }
        assert_eq!(error(1.0, f64::NAN), "`variability` is NaN; expected 0 to 1e6");
    }

    proptest! {
        #[test]
        fn below_capacity_what_comes_goes(
            device in (1e-4..1e-1_f64, 1e-9..1e-6_f64, 1e-7..1e-3_f64),
            engine in (prop::option::of(1..10_000_u64), 1..600_u64),
            request in (1..20_000_u64, 1..3000_u64),
            load in 1e-6..0.999_f64, variability in 0.0..4.0_f64, slower in 1.0..1.5_f64,
        ) {
            let device = Roofline { weights: device.0, cached: device.1, token: device.2 };
            let engine = Engine { max_batched_tokens: engine.0, max_batch: engine.1, ..ENGINE };
            let request = Request { prompt: request.0, output: request.1 };
            let clients = ClosedLoop { concurrency: engine.admitted(), requests: None };
            let rate = closed_loop(&device, &engine, &request, &clients).unwrap().requests * load;
            let arrivals = OpenLoop { rate, variability };
            let found = open_loop(&device, &engine, &request, &arrivals).unwrap();
            let Open::Steady(Steady { metrics, utilisation, queues, .. }) = found else {
                return Err(TestCaseError::fail(format!("{found:?} at a load of {load}")));
            };
            prop_assert!((metrics.throughput / (rate * request.output as f64) - 1.0).abs() < 1e-9);
            prop_assert!((0.0..1.0).contains(&utilisation) && (0.0..=1.0).contains(&queues));
            prop_assert!(metrics.running <= engine.admitted() as f64);
            for spread in [Some(metrics.ttft), Some(metrics.latency), metrics.itl].into_iter().flatten() {
                prop_assert!(spread.p50 <= spread.p90 && spread.p90 <= spread.p99, "{:?}", spread);
                prop_assert!(spread.mean > Seconds(0.0) && spread.mean.get().is_finite());
            }
            // A slower device answers later, or not at all.
            if let Open::Steady(slow) = open_loop(&device.slower(slower), &engine, &request, &arrivals).unwrap() {
                prop_assert!(slow.metrics.ttft.mean >= metrics.ttft.mean * (1.0 - 1e-5));
                prop_assert!(slow.metrics.tpot >= metrics.tpot.map(|tpot| tpot * (1.0 - 1e-5)));
            }
        }
    }
}
