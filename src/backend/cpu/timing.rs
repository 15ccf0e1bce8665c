//! What a sample is: lanes start together, each keeps its own time on the clock, on its core and of its core.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::clock::core_clock;
use super::team::Team;
use super::time::thread_time;
use crate::backend::time::Instant;
use crate::backend::{Disturbance, Sample};
use crate::units::{Hertz, Seconds};

/// Shares of the run below which a difference counts as a disturbance.
pub(super) const ON_CORE: f64 = 0.985;
const SKEW: f64 = 0.01;
const CLOCK_CHANGE: f64 = 0.03;
/// Reading the clocks themselves takes up to this long.
const SLACK: f64 = 2e-6;
/// Rounds of the clock chain before and after a run: about 10 µs each.
const CLOCK_ROUNDS: u64 = 400;

struct Lane {
    start: Instant,
    end: Instant,
    on_core: Option<Seconds>,
    clock_before: Option<Hertz>,
    clock_after: Option<Hertz>,
}

/// Runs a job on some lanes and times it from the first start to the last end.
pub(super) fn timed(team: &mut Team, lanes: usize, job: &(dyn Fn(usize) + Sync)) -> Sample {
    let records: Vec<OnceLock<Lane>> = (0..lanes).map(|_| OnceLock::new()).collect();
    let arrived = AtomicUsize::new(0);
    team.run(lanes, &|lane| {
        let clock_before = core_clock(CLOCK_ROUNDS);
        arrived.fetch_add(1, Ordering::AcqRel);
        while arrived.load(Ordering::Acquire) < lanes {
            std::hint::spin_loop();
        }
        let (core_start, start) = (thread_time(), Instant::now());
        job(lane);
        let (end, core_end) = (Instant::now(), thread_time());
        let on_core = core_end.zip(core_start).map(|(end, start)| end - start);
        // Each lane sets its own record, once.
        let _ = records[lane].set(Lane { start, end, on_core, clock_before, clock_after: core_clock(CLOCK_ROUNDS) });
    });
    let records: Vec<&Lane> = records.iter().filter_map(OnceLock::get).collect();
    summarise(&records)
}

fn summarise(lanes: &[&Lane]) -> Sample {
    let Some(origin) = lanes.first().map(|lane| lane.start) else {
        return Sample { elapsed: Seconds(0.0), clock: None, disturbance: None, glance: None };
    };
    // Times relative to lane 0's start; the others may have started before it.
    let offset = |instant: Instant| instant.since(origin).get() - origin.since(instant).get();
    let starts = || lanes.iter().map(|lane| offset(lane.start));
    let first = starts().fold(f64::INFINITY, f64::min);
    let skew = starts().fold(f64::NEG_INFINITY, f64::max) - first;
    let elapsed = lanes.iter().map(|lane| offset(lane.end)).fold(f64::NEG_INFINITY, f64::max) - first;
    Sample {
        elapsed: Seconds(elapsed),
        clock: mean_clock(lanes),
        disturbance: preempted(lanes)
            .or_else(|| clock_moved(lanes))
            .or_else(|| (skew > SKEW * elapsed + SLACK).then_some(Disturbance::Skewed { skew: Seconds(skew) })),
        glance: None,
    }
}

fn preempted(lanes: &[&Lane]) -> Option<Disturbance> {
    let share = |lane: &&Lane| {
        let wall = lane.end.since(lane.start).get();
        lane.on_core.map(|on_core| ((on_core.get() + SLACK) / wall).min(1.0))
    };
    let on_core = lanes.iter().filter_map(share).fold(1.0, f64::min);
    (on_core < ON_CORE).then_some(Disturbance::Preempted { on_core })
}

fn clock_moved(lanes: &[&Lane]) -> Option<Disturbance> {
    let change = |lane: &&Lane| Some(lane.clock_after? / lane.clock_before? - 1.0);
    let change = lanes.iter().filter_map(change).max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    (change.abs() > CLOCK_CHANGE).then_some(Disturbance::ClockMoved { change })
}

fn mean_clock(lanes: &[&Lane]) -> Option<Hertz> {
    let readings: Option<Vec<Hertz>> = lanes.iter().flat_map(|lane| [lane.clock_before, lane.clock_after]).collect();
    let readings = readings?;
    Some(readings.iter().copied().sum::<Hertz>() / readings.len() as f64)
}
