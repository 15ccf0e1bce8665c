//! A small simulation of an engine, step by step, that the formulas are held against where their assumptions hold.

use std::collections::VecDeque;

use proptest::test_runner::{RngAlgorithm, TestRng};

use super::synthetic::Roofline;
use super::{ClosedLoop, Engine, Open, OpenLoop, Request, StepTimes, closed_loop, open_loop};
use crate::graph::{Sequences, Step};
use crate::units::Seconds;

/// How requests come.
enum Arrivals {
    /// Each of so many is followed by another.
    Closed(u64),
    /// At a rate.
    Poisson(f64),
}

/// How long outputs are.
#[derive(Clone, Copy)]
enum Lengths {
    Equal,
    /// From half of the length to one and a half.
    Uniform,
}

#[derive(Clone, Copy, Default)]
struct Job {
    arrived: f64,
    first: f64,
    prompt_done: u64,
    output: u64,
    made: u64,
}

struct Random(TestRng);

impl Random {
    fn unit(&mut self) -> f64 {
        use proptest::prelude::Rng as _;
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// What was seen: means and p90 of times to the first token, means of times per token, tokens and requests per second.
#[derive(Debug)]
struct Seen {
    ttft: f64,
    ttft_p90: f64,
    tpot: f64,
    requests: f64,
}

/// Runs so many requests and looks at those from some on.
fn simulate(
    times: &impl StepTimes,
    engine: &Engine,
    request: &Request,
    (arrivals, lengths): (&Arrivals, Lengths),
    (from, requests): (usize, usize),
) -> Seen {
    let mut random = Random(TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut job = |arrived| {
        let share = match lengths {
            Lengths::Equal => 1.0,
            Lengths::Uniform => 0.5 + random.unit(),
        };
        let output = (request.output as f64 * share).round().max(1.0) as u64;
        let pause = -(1.0 - random.unit()).ln();
        (Job { arrived, output, ..Job::default() }, pause)
    };
    let mut waiting: VecDeque<Job> = VecDeque::new();
    let mut next = None;
    match arrivals {
        Arrivals::Closed(clients) => waiting.extend((0..*clients).map(|_| job(0.0).0)),
        Arrivals::Poisson(_) => next = Some(job(0.0).0),
    }
    let (mut now, mut running, mut done) = (0.0, Vec::<Job>::new(), Vec::new());
    while done.len() < requests {
        while let (Some(came), Arrivals::Poisson(rate)) = (next.filter(|came| came.arrived <= now), arrivals) {
            waiting.push_back(came);
            let (mut following, pause) = job(came.arrived);
            following.arrived += pause / rate;
            next = Some(following);
        }
        while running.len() < engine.max_batch as usize
            && (engine.max_batched_tokens.is_some() || running.iter().all(|job| job.made > 0))
            && let Some(job) = waiting.pop_front()
        {
            running.push(job);
        }
        if let (true, Some(came)) = (running.is_empty(), next) {
            now = came.arrived;
            continue;
        }
        let mut step = Step::default();
        let decodes = engine.max_batched_tokens.is_some() || running.iter().all(|job| job.made > 0);
        let mut room = engine.max_batched_tokens.unwrap_or(u64::MAX);
        for job in running.iter_mut().filter(|job| decodes && job.made > 0) {
            step = step.with(Sequences { count: 1, new_tokens: 1, cached: request.prompt + job.made - 1, logits: 1 });
            room -= 1;
            job.made += 1;
        }
        let mut firsts = Vec::new();
        for (index, job) in running.iter_mut().enumerate().filter(|(_, job)| job.made == 0) {
            let tokens = room.min(request.prompt - job.prompt_done);
            if tokens == 0 {
                break;
            }
            step = step.with(Sequences { count: 1, new_tokens: tokens, cached: job.prompt_done, logits: 1 });
            job.prompt_done += tokens;
            room -= tokens;
            if job.prompt_done == request.prompt {
                firsts.push(index);
            }
        }
        now += times.step(&step).unwrap().get();
        for index in firsts {
            (running[index].made, running[index].first) = (1, now);
        }
        let (ended, rest): (Vec<Job>, Vec<Job>) =
            running.iter().partition(|job| job.made >= job.output && job.prompt_done == request.prompt);
        running = rest;
        for ended in ended {
            done.push((ended, now));
            if matches!(arrivals, Arrivals::Closed(_)) {
                waiting.push_back(job(now).0);
            }
        }
    }
    let seen = &done[from..];
    let mean = |of: &dyn Fn(&(Job, f64)) -> f64| seen.iter().map(of).sum::<f64>() / seen.len() as f64;
    let mut ttfts: Vec<f64> = seen.iter().map(|(job, _)| job.first - job.arrived).collect();
    ttfts.sort_by(f64::total_cmp);
    Seen {
        ttft: mean(&|(job, _)| job.first - job.arrived),
        ttft_p90: ttfts[ttfts.len() * 9 / 10],
        // Of all intervals: longer requests have more of them.
        tpot: mean(&|(job, end)| end - job.first) / mean(&|(job, _)| (job.output - 1) as f64),
        requests: seen.len() as f64 / (now - if from > 0 { done[from - 1].1 } else { 0.0 }),
    }
}

const DEVICE: Roofline = Roofline::SMALL;
const REQUEST: Request = Request { prompt: 500, output: 100 };
const ENGINE: Engine = Engine { max_batched_tokens: None, host: Seconds(0.0), max_batch: 64, devices: 1 };

fn close(what: &str, formula: f64, simulated: f64, tolerance: f64) {
    let error = formula / simulated - 1.0;
    assert!(error.abs() <= tolerance, "{what}: {formula} by formula, {simulated} simulated");
}

#[test]
fn closed_loops_of_varying_lengths() {
    for (concurrency, tokens, prompt, max_batch) in [
        (4, None, 500, 64),
        (32, None, 500, 64),
        (16, Some(256), 500, 64),
        (8, Some(128), 1000, 64),
        (32, Some(512), 40, 64),
        (64, None, 200, 16),
        (64, Some(256), 500, 16),
        (64, Some(128), 1000, 64),
    ] {
        let name = format!("{concurrency} {tokens:?} {prompt} {max_batch}");
        let engine = Engine { max_batched_tokens: tokens, max_batch, ..ENGINE };
        let request = Request { prompt, ..REQUEST };
        let arrivals = Arrivals::Closed(concurrency);
        let seen = simulate(&DEVICE, &engine, &request, (&arrivals, Lengths::Uniform), (500, 3000));
        let clients = ClosedLoop { concurrency, requests: None };
        let found = closed_loop(&DEVICE, &engine, &request, &clients).unwrap();
        close(&format!("{name} requests"), found.requests, seen.requests, 0.05);
        close(&format!("{name} tpot"), found.tpot.unwrap().get(), seen.tpot, 0.06);
        close(&format!("{name} ttft"), found.ttft.mean.get(), seen.ttft, 0.25);
        close(&format!("{name} p90"), found.ttft.p90.get(), seen.ttft_p90, 0.35);
    }
}

#[test]
fn open_loops() {
    for (tokens, max_batch, load) in [
        (None, 64, 0.2),
        (None, 64, 0.5),
        (None, 64, 0.8),
        (Some(256), 64, 0.5),
        (Some(256), 64, 0.8),
        (None, 4, 0.7),
        (None, 1, 0.8),
    ] {
        let name = format!("{tokens:?} {max_batch} {load}");
        let engine = Engine { max_batched_tokens: tokens, max_batch, ..ENGINE };
        let clients = ClosedLoop { concurrency: max_batch, requests: None };
        let rate = load * closed_loop(&DEVICE, &engine, &REQUEST, &clients).unwrap().requests;
        let arrivals = Arrivals::Poisson(rate);
        let seen = simulate(&DEVICE, &engine, &REQUEST, (&arrivals, Lengths::Uniform), (500, 6000));
        let Open::Steady(found) = open_loop(&DEVICE, &engine, &REQUEST, &OpenLoop { rate, variability: 0.0 }).unwrap()
        else {
            panic!("{name}: saturated")
        };
        close(&format!("{name} requests"), found.metrics.requests, seen.requests, 0.05);
        close(&format!("{name} tpot"), found.metrics.tpot.unwrap().get(), seen.tpot, 0.06);
        close(&format!("{name} ttft"), found.metrics.ttft.mean.get(), seen.ttft, 0.25);
        close(&format!("{name} p90"), found.metrics.ttft.p90.get(), seen.ttft_p90, 0.35);
    }
}

#[test]
fn equal_lengths_stay_in_step() {
    // Whole prompts first: every round is like the first one, as the documentation of closed loops says.
    let seen = simulate(&DEVICE, &ENGINE, &REQUEST, (&Arrivals::Closed(16), Lengths::Equal), (160, 1600));
    let start = ClosedLoop { concurrency: 16, requests: Some(16) };
    let found = closed_loop(&DEVICE, &ENGINE, &REQUEST, &start).unwrap();
    close("ttft in step", found.ttft.mean.get(), seen.ttft, 0.02);
    close("requests in step", found.requests, seen.requests, 0.02);
    assert!(found.tpot.unwrap().get() > seen.tpot);
}
