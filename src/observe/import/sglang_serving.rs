//! SGLang's `bench_serving`: a line of JSON for each run. The source of the fields is `sglang/benchmark/serving.py` of SGLang.

use super::vllm_serve::detail;
use super::{Importer, MILLI, each, observation};
use crate::observe::caveat::Caveat;
use crate::observe::document::{Arrivals, Format, Load, Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::metric::Quantity;
use crate::observe::object::Object;

pub(super) const IMPORTER: Importer = Importer {
    name: "SGLang bench_serving",
    gives: "latencies and rates that clients see, requests in flight, the server's arguments",
    hardware: false,
    sniff: |input| input.has(&["median_e2e_latency_ms", "total_output_tokens"]) && !input.has(&["tokenizer_id"]),
    read: |input| each(input, run),
};

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let server = object.object("server_info")?;
    let mut observation = observation(Tool::SglangServing, None, object.at());
    observation.load = load(object, server.as_ref())?;
    subject(&mut observation, object, server.as_ref());
    for (quantity, name) in [
        (Quantity::Ttft, "ttft_ms"),
        (Quantity::Tpot, "tpot_ms"),
        (Quantity::Itl, "itl_ms"),
        (Quantity::RequestLatency, "e2e_latency_ms"),
    ] {
        observation.put(quantity, object.distribution_of(name, MILLI)?, object.place(&format!("mean_{name}")));
    }
    detail(&mut observation, object);
    for (quantity, field) in [
        (Quantity::RequestRate, "request_throughput"),
        // Over the whole run, and not while prompts are processed.
        (Quantity::InputRate, "input_throughput"),
        (Quantity::OutputRate, "output_throughput"),
        (Quantity::TotalRate, "total_throughput"),
        (Quantity::InFlight, "concurrency"),
        (Quantity::AcceptanceLength, "accept_length"),
    ] {
        observation.take(object, quantity, field, 1.0)?;
    }
    if let Some(cache) = object.object("cache_report")? {
        observation.take(&cache, Quantity::CacheHitRate, "cache_hit_rate_pct", 0.01)?;
        if observation.typical(Quantity::CacheHitRate).is_some() {
            observation.note(Caveat::CachedPrompts);
        }
    }
    Ok(observation)
}

/// The lengths are those of the requests: `random_input_len` and `random_output_len` are what was asked for.
fn load(object: &Object<'_>, server: Option<&Object<'_>>) -> Result<Load, ReadError> {
    let requests = object.needed("completed")?;
    let arrivals = match object.raw("request_rate") {
        Some("inf") => Some(Arrivals::Unlimited),
        Some("trace") => Some(Arrivals::Trace),
        _ => object.positive("request_rate")?.map(Arrivals::PerSecond),
    };
    let size = |field: &str| server.map_or(Ok(None), |server| server.some(field));
    Ok(Load {
        concurrency: object.some("max_concurrency")?,
        arrivals,
        requests: object.some("completed")?,
        duration: Some(object.needed("duration")?),
        prompt: Some(object.needed("total_input_tokens")? / requests),
        generate: Some(object.needed("total_output_tokens")? / requests),
        // A size of -1 leaves the choice to the server.
        prefill_chunk: server
            .and_then(|server| server.number("chunked_prefill_size").ok().flatten())
            .filter(|&size| size > 0.0 && size < 1e12)
            .map(|size| size as u64),
        tp: size("tp_size")?,
        pp: size("pp_size")?,
        ep: size("ep_size")?,
        dp: size("dp_size")?,
        // With one branch, a step of the draft is a token.
        draft_length: server
            .filter(|server| server.count("speculative_eagle_topk").ok().flatten() == Some(1))
            .and_then(|server| server.some("speculative_num_steps").ok().flatten())
            .map(|steps| steps as f64),
        ..Load::default()
    })
}

fn subject(observation: &mut Observation, object: &Object<'_>, server: Option<&Object<'_>>) {
    let subject = &mut observation.subject;
    // The tool drives other servers too; only SGLang's own backends say that SGLang answered.
    subject.engine =
        object.word("backend").map(|name| if name.starts_with("sglang") { "sglang".to_owned() } else { name });
    let Some(server) = server else { return };
    subject.engine_version = server.word("version");
    subject.model = server.name("model_path");
    let format = |field: &str| server.raw(field).and_then(Format::named);
    subject.weights = format("quantization").or_else(|| format("dtype"));
    subject.kv = format("kv_cache_dtype");
}
