//! What AIPerf and GenAI-Perf recorded of the devices during a run: how long their clocks were held down, and the clock itself.
//!
//! The sources of the fields are `aiperf/common/models/export_models.py` and `aiperf/gpu_telemetry/constants.py` of AIPerf, and `genai_perf/metrics/telemetry_metrics.py` of
//! GenAI-Perf. Endpoints are addresses of hosts: places are counted, and never named after them.

use super::{MICRO, NANO};
use crate::observe::document::Observation;
use crate::observe::metric::{Distribution, Quantity};
use crate::observe::object::Object;

const MEGA: f64 = 1e6;

/// Adds what is there of `telemetry_data` and `telemetry_stats`. What cannot be understood says nothing: it is not what the file is about.
pub(super) fn fill(observation: &mut Observation, object: &Object<'_>) {
    if let Some(endpoints) = inner(object, "telemetry_data").and_then(|data| inner(&data, "endpoints")) {
        aiperf(observation, &endpoints);
    }
    if let Some(stats) = inner(object, "telemetry_stats") {
        genai_perf(observation, &stats);
    }
}

/// An object within, or none.
fn inner<'a>(object: &Object<'a>, field: &str) -> Option<Object<'a>> {
    object.object(field).ok().flatten()
}

/// A metric for each device of each endpoint; counters are what was added during the run.
fn aiperf(observation: &mut Observation, endpoints: &Object<'_>) {
    let devices: Vec<Object<'_>> = endpoints
        .entries()
        .filter_map(|endpoint| inner(&endpoint, "gpus"))
        .flat_map(|gpus| gpus.entries().collect::<Vec<_>>())
        .collect();
    let names: Vec<String> = devices.iter().filter_map(|device| device.word("gpu_name")).collect();
    if let Some(name) = names.first().filter(|name| names.iter().all(|other| other == *name)) {
        observation.subject.device.get_or_insert_with(|| name.clone());
    }
    let metrics = devices.iter().filter_map(|device| inner(device, "metrics"));
    // The driver counts nanoseconds. Versions that name the metric without a vendor wrote them down as microseconds.
    let held = metrics.filter_map(|metrics| {
        let (metric, factor) = inner(&metrics, "nvidia_power_violation")
            .map(|metric| (metric, MICRO))
            .or_else(|| inner(&metrics, "power_violation").map(|metric| (metric, NANO)))?;
        Some((metric.number("avg").ok().flatten()? * factor, metric.place("avg")))
    });
    throttled(observation, Quantity::PowerThrottled, held.collect());
}

/// A metric with an object for each device; counters are as they stood, so that what was added is the largest less the smallest.
fn genai_perf(observation: &mut Observation, stats: &Object<'_>) {
    for (quantity, field) in
        [(Quantity::PowerThrottled, "power_throttle_duration"), (Quantity::HeatThrottled, "thermal_throttle_duration")]
    {
        let Some(metric) = inner(stats, field) else { continue };
        // Written down as microseconds; the driver counts nanoseconds.
        let added = metric.entries().filter_map(|device| {
            let bound = |field| device.number(field).ok().flatten();
            Some(((bound("max")? - bound("min")?) * NANO, device.place("max")))
        });
        throttled(observation, quantity, added.collect());
    }
    let Some(metric) = inner(stats, "gpu_clock_sm").filter(|metric| metric.raw("unit") == Some("MHz")) else {
        return;
    };
    // Devices that had nothing to do have a low clock.
    let clocks = metric.entries().filter_map(|device| Some((device.positive("avg").ok()??, device.place("avg"))));
    if let Some((clock, at)) = longest(clocks.collect()) {
        observation.put(Quantity::Clock, Distribution::single(clock * MEGA), at);
    }
}

/// The share of the run for which a device was held down, of the one that was the longest. A time beyond the run is in another unit than it is said to be.
fn throttled(observation: &mut Observation, quantity: Quantity, held: Vec<(f64, String)>) {
    let by_rate = || Some(observation.load.requests? as f64 / observation.typical(Quantity::RequestRate)?);
    let Some(duration) = observation.load.duration.or_else(by_rate).filter(|duration| *duration > 0.0) else { return };
    if let Some((time, at)) = longest(held).filter(|(time, _)| (0.0..=duration).contains(time)) {
        observation.put(quantity, Distribution::single(time / duration), at);
    }
}

fn longest(values: Vec<(f64, String)>) -> Option<(f64, String)> {
    values.into_iter().reduce(|a, b| if b.0 > a.0 { b } else { a })
}
