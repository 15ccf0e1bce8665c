//! SGLang's `bench_one_batch`, with and without a server: one batch of fixed size, the best there is for a roofline. A line of JSON for each.
//!
//! The source of the fields is `sglang/benchmark/one_batch.py` and `one_batch_server.py` of SGLang.

use super::{Importer, each, observation};
use crate::observe::caveat::Caveat;
use crate::observe::document::{Load, Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::metric::{Distribution, Quantity, Stat};
use crate::observe::object::Object;

pub(super) const IMPORTER: Importer = Importer {
    name: "SGLang bench_one_batch",
    gives: "prefill and decode of one batch of fixed size",
    hardware: false,
    sniff: |input| {
        input.has(&["batch_size", "input_len", "output_len", "overall_throughput"])
            && (input.has(&["latency"]) || input.has(&["total_latency"]))
    },
    read: |input| each(input, run),
};

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let mut observation = observation(Tool::SglangOneBatch, None, object.at());
    observation.subject.engine = Some("sglang".to_owned());
    let whole = |field: &str| object.needed(field).and_then(|_| object.some(field));
    observation.load = Load {
        batch: whole("batch_size")?,
        prompt: Some(object.needed("input_len")?),
        generate: Some(object.needed("output_len")?),
        ..Load::default()
    };
    observation.take(object, Quantity::TotalRate, "overall_throughput", 1.0)?;
    if object.has("total_latency") {
        without_server(&mut observation, object)?;
    } else {
        with_server(&mut observation, object)?;
    }
    Ok(observation)
}

/// Prompts are processed in one go, then each step is timed by itself; the medians are of those steps.
fn without_server(observation: &mut Observation, object: &Object<'_>) -> Result<(), ReadError> {
    observation.take(object, Quantity::RequestLatency, "total_latency", 1.0)?;
    observation.take(object, Quantity::PrefillTime, "prefill_latency", 1.0)?;
    observation.take(object, Quantity::PrefillRate, "prefill_throughput", 1.0)?;
    for (quantity, field) in
        [(Quantity::Tpot, "median_decode_latency"), (Quantity::DecodeRate, "median_decode_throughput")]
    {
        observation.put(quantity, object.distribution(&[(Stat::Median, field)], 1.0)?, object.place(field));
    }
    Ok(())
}

/// Prompts are processed when the last request has its first token.
///
/// The tool's `output_throughput` divides all generated tokens by the time after that, in which the first ones were not generated: it is `N / (N - 1)` times too large,
/// and is not taken: the right rate follows from the other numbers. Old versions, which give neither `last_ttft` nor `input_throughput`, divide by the whole time.
fn with_server(observation: &mut Observation, object: &Object<'_>) -> Result<(), ReadError> {
    object.needed("latency")?;
    observation.take(object, Quantity::RequestLatency, "latency", 1.0)?;
    let is_old = !object.has("last_ttft") && !object.has("input_throughput");
    if is_old {
        return observation.take(object, Quantity::OutputRate, "output_throughput", 1.0);
    }
    observation.take(object, Quantity::PrefillTime, "last_ttft", 1.0)?;
    observation.take(object, Quantity::PrefillRate, "input_throughput", 1.0)?;
    // Counted only while all requests of the batch are under way.
    observation.take(object, Quantity::DecodeRate, "steady_state_output_throughput", 1.0)?;
    observation.take(object, Quantity::AcceptanceLength, "acc_length", 1.0)?;
    if let Some(share) = object.positive("cache_hit_rate")?.filter(|&share| share <= 1.0) {
        observation.put(Quantity::CacheHitRate, Distribution::single(share), object.place("cache_hit_rate"));
        observation.note(Caveat::CachedPrompts);
    }
    Ok(())
}
