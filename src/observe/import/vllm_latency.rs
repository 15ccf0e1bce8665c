//! `vllm bench latency --output-json`: seconds of whole batches, from the first prompt token to the last generated one.
//!
//! The source of the fields is `vllm/benchmarks/latency.py` of vLLM. Neither the model nor the batch nor the lengths are in the file, and the tool's own defaults
//! are not assumed.

use super::{Importer, each, observation};
use crate::observe::document::{Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::metric::{Distribution, Quantity, Stat};
use crate::observe::object::Object;

pub(super) const IMPORTER: Importer = Importer {
    name: "vllm bench latency",
    gives: "the time of whole batches",
    hardware: false,
    sniff: |input| input.has(&["avg_latency", "latencies", "percentiles"]),
    read: |input| each(input, run),
};

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let mut observation = observation(Tool::VllmLatency, None, object.at());
    object.needed("avg_latency")?;
    let mut values = object.mean_and_std("avg_latency", "std_latency", 1.0)?;
    if let Some(percentiles) = object.object("percentiles")? {
        let fields = [(Stat::Median, "50"), (Stat::P90, "90"), (Stat::P99, "99")];
        values.fill_from(&percentiles.distribution(&fields, 1.0)?);
    }
    values.fill_from(&Distribution::of_samples(object.samples("latencies", 1.0)));
    // All requests of a batch end together, so that the batch's time is each request's.
    observation.put(Quantity::RequestLatency, values, object.place("avg_latency"));
    Ok(observation)
}
