//! Closed loop: some number of clients, each of which sends its next request when the last is answered.

use crate::units::Seconds;

use super::metrics::Parts;
use super::population::{Residence, residence};
use super::{Engine, Metrics, Request, ServingError, Spread, StepTimes, check, count, error, prefill};

/// Clients that each have one request under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedLoop {
    /// How many.
    pub concurrency: u64,
    /// Requests of the whole run, of which the first of each client start together. None: a run without end.
    pub requests: Option<u64>,
}

impl ClosedLoop {
    /// Refuses numbers that nothing can be calculated with.
    pub(in crate::estimate) fn check(&self) -> Result<(), ServingError> {
        let concurrency = self.concurrency;
        count("concurrency", concurrency, error::MOST_SEQUENCES)?;
        match self.requests.filter(|&requests| requests < concurrency) {
            None => Ok(()),
            Some(requests) => {
                let expected = format!("{concurrency} or more, one for each client");
                Err(ServingError::Value { field: "requests", value: requests.to_string(), expected })
            }
        }
    }

    /// Some of the clients, with their share of the run's requests.
    pub(in crate::estimate) fn share(&self, concurrency: u64) -> Self {
        let share = |requests: u64| {
            let share = u128::from(requests) * u128::from(concurrency) / u128::from(self.concurrency.max(1));
            u64::try_from(share).unwrap_or(u64::MAX).max(concurrency)
        };
        Self { concurrency, requests: self.requests.map(share) }
    }
}

/// What a closed loop comes to.
///
/// **Steady state.** Requests are out of step with each other, as lengths that vary make them, so that `TPOT = decode +
/// (c − 1) / N · prefill`: the tokens of each are delayed by the prompts of the others, one of each client while a
/// request runs. What is admitted runs; the rest waits for the first to end, each the same time. Requests that end in
/// the same step count each other's next prompt as ahead of their own, so that TTFT is rather too long.
///
/// **TTFT** is distributed over all requests of the run. In the steady state the prompts that come before a request's
/// own are counted by a binomial distribution: each of the others may be one. Of the first requests of each client,
/// which start together, the i-th waits for i prompts (their mean is (c + 1) / 2 of them), and beyond admission for the
/// rounds before its own.
///
/// Rates and latency are those of the steady state, without the ends of a run. Where all requests have exactly the same
/// length and the engine computes whole prompts first, they stay in step with each other for ever: latency and rates
/// are as here, but each round then has the TTFT of the first one, and TPOT is lower by as much.
///
/// # Errors
/// When a number cannot be calculated with, or a step has no time.
pub fn closed_loop(
    times: &impl StepTimes,
    engine: &Engine,
    request: &Request,
    clients: &ClosedLoop,
) -> Result<Metrics, ServingError> {
    check(engine, request)?;
    clients.check()?;
    let concurrency = clients.concurrency;
    let running = concurrency.min(engine.admitted());
    let residence = residence(times, engine, request, running)?;
    let total = residence.total(request);
    // Little's law: those that wait, beyond those that the host has.
    let wait = ((concurrency - running) as f64 * total / running as f64 - engine.host.get()).max(0.0);
    let latency = engine.host.get() + wait + total;
    let rate = concurrency as f64 / latency;
    let mut ttft = residence.firsts(running - 1);
    for atom in &mut ttft {
        atom.0 += wait;
    }
    let steady = Spread::of(ttft.clone());
    if let Some(requests) = clients.requests {
        let share = concurrency as f64 / requests as f64;
        let weight: f64 = ttft.iter().map(|atom| atom.1).sum();
        for atom in &mut ttft {
            atom.1 *= (1.0 - share) / weight;
        }
        let start = Start::new(times, engine, request, &residence, running)?;
        ttft.extend(start.firsts(concurrency, total).into_iter().map(|(time, chance)| (time, chance * share)));
    }
    let tpot = residence.gap.map(Seconds);
    let parts = Parts {
        concurrency: concurrency as f64,
        running: rate * total,
        ttft: Spread::of(ttft).plus(engine.host),
        tpot,
        itl: residence.gaps,
        latency: steady.plus(engine.host + tpot.unwrap_or_default() * request.decode_steps() as f64),
        requests: rate,
    };
    Ok(parts.metrics(engine, request))
}

/// The start of a run: prompts in rounds, each of as many as a step has room for.
struct Start {
    running: u64,
    /// Prompts of a round.
    together: u64,
    /// Seconds of the first round.
    first: f64,
    /// Seconds by which each round is longer than the one before: the tokens of those that decode already.
    longer: f64,
}

/// Up to so many requests are visited one by one; of more, as many at equal distances.
const MOST_VISITED: u64 = 1024;

impl Start {
    fn new(
        times: &impl StepTimes,
        engine: &Engine,
        request: &Request,
        residence: &Residence,
        running: u64,
    ) -> Result<Self, ServingError> {
        let together = engine.max_batched_tokens.map_or(1, |tokens| tokens / request.prompt).clamp(1, running);
        let first = prefill::alone(times, engine, request, together)?;
        let is_chunked = engine.max_batched_tokens.is_some_and(|tokens| tokens < request.prompt);
        let longer = if is_chunked && running > 1 { (residence.own - first) / (running - 1) as f64 } else { 0.0 };
        Ok(Self { running, together, first, longer: longer.max(0.0) })
    }

    /// Seconds to the first token of each of so many requests, with their shares. A request that is not admitted at
    /// once waits for the rounds before its own, each as long as a request runs.
    fn firsts(&self, requests: u64, total: f64) -> Vec<(f64, f64)> {
        let visited = requests.min(MOST_VISITED);
        let time = |index: u64| {
            // The middle of its part of the requests.
            let place = (u128::from(requests) * u128::from(2 * index + 1) / u128::from(2 * visited)) as u64;
            let rounds = (place % self.running / self.together + 1) as f64;
            let own = rounds * self.first + self.longer * rounds * (rounds - 1.0) / 2.0;
            own + (place / self.running) as f64 * total
        };
        (0..visited).map(|index| (time(index), 1.0 / visited as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::serving::synthetic::Roofline;
    use crate::estimate::serving::{Untimed, static_batch};
    use crate::graph::Step;
    use proptest::prelude::*;

    const ENGINE: Engine = Engine { max_batched_tokens: None, host: Seconds(0.0), max_batch: 256, devices: 1 };
    const REQUEST: Request = Request { prompt: 1000, output: 200 };

    fn clients(concurrency: u64) -> ClosedLoop {
        ClosedLoop { concurrency, requests: None }
    }

    /// Prompts take a second, decoding takes a tenth.
    fn table(step: &Step) -> Result<Seconds, Untimed> {
        let prompts = step.sequences.iter().filter(|group| group.new_tokens > 1).map(|group| group.count as f64).sum();
        Ok(Seconds(if prompts > 0.0 { prompts } else { 0.1 }))
    }

    #[test]
    fn tokens_are_delayed_by_the_prompts_of_others() {
        let found = closed_loop(&table, &ENGINE, &REQUEST, &clients(9)).unwrap();
        // A tenth, and eight prompts of a second over 200 tokens.
        assert!((found.tpot.unwrap().get() - 0.14).abs() < 1e-12);
        assert!((found.ttft.mean.get() - 1.04).abs() < 1e-9 && found.ttft.p50 == Seconds(1.0));
        // Nine prompts and 199 steps for every nine requests.
        assert!((found.requests - 9.0 / (9.0 + 19.9)).abs() < 1e-12);
        assert!((found.itl.unwrap().mean.get() - 0.14).abs() < 1e-9);
    }

    #[test]
    fn one_client_is_a_request_by_itself() {
        for max_batched_tokens in [None, Some(64), Some(4096)] {
            let engine = Engine { max_batched_tokens, host: Seconds(0.01), ..ENGINE };
            let alone = static_batch(&Roofline::SMALL, &engine, &REQUEST, 1).unwrap().metrics;
            let found = closed_loop(&Roofline::SMALL, &engine, &REQUEST, &clients(1)).unwrap();
            assert!((found.ttft.mean / alone.ttft.mean - 1.0).abs() < 1e-9, "{max_batched_tokens:?}");
            assert!((found.latency.mean / alone.latency.mean - 1.0).abs() < 1e-9, "{max_batched_tokens:?}");
            assert!((found.requests / alone.requests - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn requests_that_start_together_wait_for_half_of_the_prompts() {
        let all = |concurrency| ClosedLoop { concurrency, requests: Some(concurrency) };
        for concurrency in [1, 8, 101] {
            let found = closed_loop(&table, &ENGINE, &REQUEST, &all(concurrency)).unwrap();
            assert!((found.ttft.mean.get() - (concurrency + 1) as f64 / 2.0).abs() < 1e-9);
        }
        let found = closed_loop(&table, &ENGINE, &REQUEST, &all(100)).unwrap().ttft;
        assert_eq!((found.p50, found.p90, found.p99), (Seconds(50.0), Seconds(90.0), Seconds(99.0)));
        // More than are visited one by one.
        let wide = Engine { max_batch: 100_000, ..ENGINE };
        let found = closed_loop(&table, &wide, &REQUEST, &all(100_000)).unwrap();
        assert!((found.ttft.mean.get() / 50_000.5 - 1.0).abs() < 1e-3);
        // A tenth of the requests start together: each of the others waits for a prompt of its own.
        let mixed = ClosedLoop { concurrency: 8, requests: Some(80) };
        let found = closed_loop(&table, &ENGINE, &REQUEST, &mixed).unwrap();
        assert!((found.ttft.mean.get() - (0.1 * 4.5 + 0.9 * (1.0 + 7.0 / 200.0))).abs() < 1e-9);
    }

    #[test]
    fn beyond_admission_requests_queue() {
        let engine = Engine { max_batch: 8, ..ENGINE };
        let full = closed_loop(&table, &engine, &REQUEST, &clients(8)).unwrap();
        let over = closed_loop(&table, &engine, &REQUEST, &clients(24)).unwrap();
        assert_eq!((full.tpot, full.itl), (over.tpot, over.itl));
        assert!((full.requests - over.requests).abs() < 1e-12);
        // Two of three wait, for twice as long as a request runs.
        assert!((over.ttft.mean.get() - full.ttft.mean.get() - 2.0 * full.latency.mean.get()).abs() < 1e-9);
        assert!((over.running - 8.0).abs() < 1e-9 && (over.concurrency - 24.0).abs() < 1e-9);
    }

    #[test]
    fn chunks_beside_decoding_keep_intervals_short() {
        let whole = closed_loop(&Roofline::SMALL, &ENGINE, &REQUEST, &clients(32)).unwrap();
        let engine = Engine { max_batched_tokens: Some(256), ..ENGINE };
        let chunked = closed_loop(&Roofline::SMALL, &engine, &REQUEST, &clients(32)).unwrap();
        assert!(chunked.itl.unwrap().p99 < whole.itl.unwrap().p99);
        assert!(chunked.ttft.mean > whole.ttft.mean);
    }

    #[test]
    fn hostile_numbers_are_named() {
        let error = |clients| closed_loop(&table, &ENGINE, &REQUEST, &clients).unwrap_err().to_string();
        assert_eq!(error(clients(0)), "`concurrency` is 0; expected 1 to 1048576");
        assert_eq!(error(clients(u64::MAX)), "`concurrency` is 18446744073709551615; expected 1 to 1048576");
        let few = ClosedLoop { concurrency: 8, requests: Some(7) };
        assert_eq!(error(few), "`requests` is 7; expected 8 or more, one for each client");
    }

    fn engines() -> impl Strategy<Value = Engine> {
        (prop::option::of(1..10_000_u64), 1..600_u64, 0.0..0.1_f64).prop_map(|(max_batched_tokens, max_batch, host)| {
            Engine { max_batched_tokens, host: Seconds(host), max_batch, devices: 1 }
        })
    }

    fn requests() -> impl Strategy<Value = Request> {
        (1..20_000_u64, 1..3000_u64).prop_map(|(prompt, output)| Request { prompt, output })
    }

    fn devices() -> impl Strategy<Value = Roofline> {
        (1e-4..1e-1_f64, 1e-9..1e-6_f64, 1e-7..1e-3_f64).prop_map(|(weights, cached, token)| Roofline {
            weights,
            cached,
            token,
        })
    }

    proptest! {
        #[test]
        fn more_clients_never_lower_throughput(
            device in devices(), engine in engines(), request in requests(), concurrency in 1..500_u64, more in 1..100_u64,
        ) {
            let at = |concurrency| closed_loop(&device, &engine, &request, &clients(concurrency)).unwrap().throughput;
            // A chunk more or less for a prompt is what rounding leaves.
            let least = if engine.max_batched_tokens.is_none() { 1.0 - 1e-5 } else { 0.98 };
            prop_assert!(at(concurrency + more) >= at(concurrency) * least);
        }

        #[test]
        fn nothing_falls_when_steps_slow_down(
            device in devices(), engine in engines(), request in requests(), concurrency in 1..500_u64,
            slower in prop::array::uniform3(1.0..3.0_f64), runs in prop::option::of(1..5_u64),
        ) {
            let clients = ClosedLoop { concurrency, requests: runs.map(|runs| runs * concurrency) };
            let fast = closed_loop(&device, &engine, &request, &clients).unwrap();
            let slow = Roofline {
                weights: device.weights * slower[0], cached: device.cached * slower[1], token: device.token * slower[2],
            };
            let slow = closed_loop(&slow, &engine, &request, &clients).unwrap();
            let least = 1.0 - 1e-5;
            prop_assert!(slow.ttft.mean >= fast.ttft.mean * least, "{:?} {:?}", slow.ttft, fast.ttft);
            prop_assert!(slow.latency.mean >= fast.latency.mean * least);
            prop_assert!(slow.tpot >= fast.tpot.map(|tpot| tpot * least));
            prop_assert!(slow.throughput <= fast.throughput / least);
        }

        #[test]
        fn percentiles_are_ordered_and_littles_law_holds(
            device in devices(), engine in engines(), request in requests(), concurrency in 1..500_u64, runs in prop::option::of(1..5_u64),
        ) {
            let clients = ClosedLoop { concurrency, requests: runs.map(|runs| runs * concurrency) };
            let found = closed_loop(&device, &engine, &request, &clients).unwrap();
            for spread in [Some(found.ttft), Some(found.latency), found.itl].into_iter().flatten() {
                prop_assert!(spread.p50 <= spread.p90 && spread.p90 <= spread.p99, "{:?}", spread);
                prop_assert!(spread.mean > Seconds(0.0) && spread.mean.get().is_finite());
            }
            let law = found.requests * found.latency.mean.get();
            prop_assert!((law / found.concurrency - 1.0).abs() < 1e-3, "{} {}", law, found.concurrency);
            prop_assert!(found.running <= engine.admitted() as f64 * (1.0 + 1e-9));
        }
    }
}
