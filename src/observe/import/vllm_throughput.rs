//! `vllm bench throughput --output-json`: totals of a run with all requests given at once.
//!
//! The source of the fields is `vllm/benchmarks/throughput.py` of vLLM. Its tokens are those of prompts and answers together.

use super::{Importer, each, observation};
use crate::observe::document::{Arrivals, Load, Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::metric::Quantity;
use crate::observe::object::Object;

pub(super) const IMPORTER: Importer = Importer {
    name: "vllm bench throughput",
    gives: "requests and tokens per second over a whole run",
    hardware: false,
    sniff: |input| input.has(&["elapsed_time", "num_requests", "requests_per_second"]),
    read: |input| each(input, run),
};

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let mut observation = observation(Tool::VllmThroughput, None, object.at());
    observation.load = Load {
        arrivals: Some(Arrivals::Unlimited),
        requests: object.some("num_requests")?,
        duration: Some(object.needed("elapsed_time")?),
        ..Load::default()
    };
    observation.take(object, Quantity::RequestRate, "requests_per_second", 1.0)?;
    observation.take(object, Quantity::TotalRate, "tokens_per_second", 1.0)?;
    Ok(observation)
}
