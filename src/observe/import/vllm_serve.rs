//! `vllm bench serve --save-result`. The source of the fields is `vllm/benchmarks/serve.py` of vLLM.
//!
//! What it measures is what a client sees. Formats, parallelism, device and the engine's batch are not in the file.

use super::{Importer, MILLI, each, observation};
use crate::observe::caveat::Caveat;
use crate::observe::document::{Arrivals, Load, Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::metric::{Distribution, Quantity};
use crate::observe::object::Object;

pub(super) const IMPORTER: Importer = Importer {
    name: "vllm bench serve",
    gives: "latencies and rates that clients see",
    hardware: false,
    sniff: |input| input.has(&["tokenizer_id", "model_id", "total_output_tokens", "output_throughput"]),
    read: |input| each(input, run),
};

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let mut observation = observation(Tool::VllmServe, None, object.at());
    observation.subject.model = object.name("model_id");
    observation.load = load(object)?;
    for (quantity, name) in [
        (Quantity::Ttft, "ttft_ms"),
        (Quantity::Tpot, "tpot_ms"),
        (Quantity::Itl, "itl_ms"),
        (Quantity::RequestLatency, "e2el_ms"),
    ] {
        observation.put(quantity, object.distribution_of(name, MILLI)?, object.place(&format!("mean_{name}")));
    }
    detail(&mut observation, object);
    observation.take(object, Quantity::RequestRate, "request_throughput", 1.0)?;
    observation.take(object, Quantity::OutputRate, "output_throughput", 1.0)?;
    observation.take(object, Quantity::TotalRate, "total_token_throughput", 1.0)?;
    observation.take(object, Quantity::AcceptanceLength, "spec_decode_acceptance_length", 1.0)?;
    // In percent.
    observation.take(object, Quantity::AcceptanceRate, "spec_decode_acceptance_rate", 0.01)?;
    let drafted = object.positive("spec_decode_draft_tokens")?.zip(object.positive("spec_decode_num_drafts")?);
    observation.load.draft_length = drafted.map(|(tokens, drafts)| tokens / drafts);
    if let Some(failed) = object.some("failed")? {
        observation.note(Caveat::FailedRequests { failed });
    }
    Ok(observation)
}

fn load(object: &Object<'_>) -> Result<Load, ReadError> {
    let requests = object.needed("completed")?;
    let arrivals = match object.raw("request_rate") {
        Some("inf") => Some(Arrivals::Unlimited),
        _ => object.positive("request_rate")?.map(Arrivals::PerSecond),
    };
    Ok(Load {
        concurrency: object.some("max_concurrency")?,
        arrivals,
        requests: object.some("completed")?,
        duration: Some(object.needed("duration")?),
        prompt: Some(object.needed("total_input_tokens")? / requests),
        generate: Some(object.needed("total_output_tokens")? / requests),
        ..Load::default()
    })
}

/// `--save-detailed` keeps every request's times, in seconds: percentiles that the summary leaves out are found in them.
pub(super) fn detail(observation: &mut Observation, object: &Object<'_>) {
    for (quantity, field) in [(Quantity::Ttft, "ttfts"), (Quantity::Itl, "itls")] {
        let values = Distribution::of_samples(object.samples(field, 1.0));
        match observation.metrics.get_mut(&quantity) {
            Some(measured) => measured.values.fill_from(&values),
            None => observation.put(quantity, values, object.place(field)),
        }
    }
}
