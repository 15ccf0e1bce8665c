//! What AIPerf and GenAI-Perf have in common: a metric is an object with its unit and its numbers.
//!
//! The sources of the fields are `aiperf/common/models/export_models.py` of AIPerf and `genai_perf/export_data/json_exporter.py` of GenAI-Perf.

use super::{MICRO, MILLI, NANO};
use crate::observe::document::{Arrivals, Load, Observation};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::metric::{Distribution, Measured, Quantity, Stat};
use crate::observe::object::Object;
use crate::observe::text;

/// The quantities and the metrics they are called.
///
/// What these tools call the latency between tokens is `(request_latency - time_to_first_token) / (output_sequence_length - 1)` of each request, which others call
/// the time per output token. Only AIPerf has the time between pieces.
const METRICS: [(Quantity, &str); 8] = [
    (Quantity::Ttft, "time_to_first_token"),
    (Quantity::Tpot, "inter_token_latency"),
    (Quantity::Itl, "inter_chunk_latency"),
    (Quantity::RequestLatency, "request_latency"),
    (Quantity::RequestRate, "request_throughput"),
    (Quantity::OutputRate, "output_token_throughput"),
    (Quantity::TotalRate, "total_token_throughput"),
    (Quantity::InFlight, "effective_concurrency"),
];

/// Whether a file has a metric with its unit.
pub(super) fn has_metrics(input: &Input<'_>) -> bool {
    input.first().and_then(|fields| fields.get("request_throughput")).is_some_and(|metric| metric.get("unit").is_some())
}

/// Fills an observation with what both tools write.
pub(super) fn fill(observation: &mut Observation, object: &Object<'_>) -> Result<(), ReadError> {
    for (quantity, field) in METRICS {
        if let Some(values) = metric(object, field)? {
            observation.metrics.insert(quantity, Measured::stated(quantity, values, Some(object.place(field))));
        }
    }
    let mean = |field| metric(object, field).map(|values| values.and_then(|values| values.mean));
    let input = inner(object, "input_config");
    let limit = input.as_ref().and_then(|input| setting(input, "concurrency"));
    observation.load = Load {
        requests: mean("request_count")?.filter(|count| count.fract() == 0.0).map(|count| count as u64),
        duration: mean("benchmark_duration")?,
        prompt: mean("input_sequence_length")?,
        generate: mean("output_sequence_length")?,
        concurrency: limit.filter(|limit| limit.fract() == 0.0).map(|limit| limit as u64),
        arrivals: input.as_ref().and_then(|input| setting(input, "request_rate")).map(Arrivals::PerSecond),
        ..Load::default()
    };
    observation.subject.model = input.as_ref().and_then(model);
    Ok(())
}

/// A metric in base units.
fn metric(object: &Object<'_>, field: &str) -> Result<Option<Distribution>, ReadError> {
    let Some(metric) = object.object(field)? else { return Ok(None) };
    let factor = factor(&metric)?;
    const FIELDS: [(Stat, &str); 8] = [
        (Stat::Mean, "avg"),
        (Stat::Median, "p50"),
        (Stat::P90, "p90"),
        (Stat::P95, "p95"),
        (Stat::P99, "p99"),
        (Stat::Std, "std"),
        (Stat::Min, "min"),
        (Stat::Max, "max"),
    ];
    let mut values = metric.distribution(&FIELDS, factor)?;
    values.count = metric.some("count")?;
    Ok(Some(values).filter(|values| values.typical().is_some()))
}

/// What a metric's unit is in base units. It is always read, because versions differ.
fn factor(metric: &Object<'_>) -> Result<f64, ReadError> {
    Ok(match metric.raw("unit") {
        Some("ns") => NANO,
        Some("us" | "µs") => MICRO,
        Some("ms") => MILLI,
        Some(
            "sec" | "s" | "seconds" | "requests/sec" | "tokens/sec" | "tokens/sec/user" | "tokens" | "requests"
            | "count",
        ) => 1.0,
        _ => {
            let known = "`ns`, `us`, `ms`, `sec`, `requests/sec`, `tokens/sec`, `tokens` or `requests`";
            return Err(ReadError::at(metric.place("unit"), format!("expected one of {known}")));
        }
    })
}

/// An object within, or none.
fn inner<'a>(object: &Object<'a>, field: &str) -> Option<Object<'a>> {
    object.object(field).ok().flatten()
}

/// A setting, which stood in several places. A list of several, or what is no number, says nothing of this run.
fn setting(input: &Object<'_>, field: &str) -> Option<f64> {
    let stimulus = inner(input, "perf_analyzer").and_then(|analyzer| inner(&analyzer, "stimulus"));
    let places = [Some(input.clone()), inner(input, "loadgen"), stimulus];
    places.into_iter().flatten().find_map(|place| place.positive(field).ok().flatten())
}

/// The model's name, which stood in several places.
fn model(input: &Object<'_>) -> Option<String> {
    let first = |object: &Object<'_>, field: &str| {
        let list = object.list(field).ok()?;
        list.first()?.as_str().map(text::name)
    };
    let endpoint = inner(input, "endpoint");
    let items = inner(input, "models").and_then(|models| models.objects("items").ok()).unwrap_or_default();
    first(input, "model")
        .or_else(|| input.name("model"))
        .or_else(|| first(input, "model_names"))
        .or_else(|| input.name("formatted_model_name"))
        .or_else(|| endpoint.and_then(|endpoint| first(&endpoint, "model_names")))
        .or_else(|| items.first().and_then(|item| item.name("name")))
        .filter(|name| !name.is_empty())
}
