//! trtllm-bench: `--report_json`. The source of the fields is `tensorrt_llm/bench/dataclasses/reporting.py` of TensorRT-LLM.
//!
//! Times to first token and per output token are only there with `--streaming`. `issue_rate` is a time that went through the conversion of rates, and is not read;
//! what it calls output per user includes the first token, so that it is no decode rate.

use super::{Importer, MILLI, each, observation};
use crate::observe::document::{Format, Load, Observation, Subject, Tool};
use crate::observe::error::ReadError;
use crate::observe::metric::{Quantity, Stat};
use crate::observe::object::Object;
use crate::units::Bytes;

pub(super) const IMPORTER: Importer = Importer {
    name: "trtllm-bench",
    gives: "rates, latencies, formats and parallelism",
    hardware: false,
    sniff: |input| input.has(&["engine", "world_info", "request_info", "performance"]),
    read: |input| each(input, run),
};

const GIB: f64 = 1_073_741_824.0;

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let engine = object.needed_object("engine")?;
    let world = object.needed_object("world_info")?;
    let requests = object.needed_object("request_info")?;
    let performance = object.needed_object("performance")?;
    let mut observation = observation(Tool::TrtllmBench, engine.word("version"), object.at());
    observation.subject = subject(object, &engine)?;
    observation.subject.devices = world.some("world_size")?;
    observation.load = load(&world, &requests, &performance)?;
    for (quantity, field) in [
        (Quantity::RequestRate, "request_throughput_req_s"),
        (Quantity::OutputRate, "system_output_throughput_tok_s"),
        (Quantity::TotalRate, "system_total_throughput_tok_s"),
    ] {
        observation.take(&performance, quantity, field, 1.0)?;
    }
    observation.take(&requests, Quantity::InFlight, "avg_num_concurrent_requests", 1.0)?;
    percentiles(
        &mut observation,
        &performance,
        Quantity::RequestLatency,
        "avg_request_latency_ms",
        "request_latency_percentiles_ms",
    )?;
    if let Some(streaming) = object.object("streaming_metrics")? {
        percentiles(&mut observation, &streaming, Quantity::Ttft, "avg_ttft_ms", "ttft_percentiles")?;
        percentiles(&mut observation, &streaming, Quantity::Tpot, "avg_tpot_ms", "tpot_percentiles")?;
    }
    if let Some(decoding) = object.object("decoding_stats")? {
        for (quantity, field) in [
            (Quantity::AcceptanceLength, "acceptance_length_percentiles"),
            (Quantity::AcceptanceRate, "draft_acceptance_rate_percentiles"),
        ] {
            if let Some(values) = decoding.object(field)? {
                observation.put(quantity, values.distribution(&PERCENTILES, 1.0)?, decoding.place(field));
            }
        }
    }
    Ok(observation)
}

const PERCENTILES: [(Stat, &str); 7] = [
    (Stat::Mean, "average"),
    (Stat::Median, "p50"),
    (Stat::P90, "p90"),
    (Stat::P95, "p95"),
    (Stat::P99, "p99"),
    (Stat::Min, "minimum"),
    (Stat::Max, "maximum"),
];

/// A time in milliseconds, of which the mean stands in one field and the rest in another.
fn percentiles(
    observation: &mut Observation,
    object: &Object<'_>,
    quantity: Quantity,
    mean: &str,
    rest: &str,
) -> Result<(), ReadError> {
    let mut values = object.distribution(&[(Stat::Mean, mean)], MILLI)?;
    if let Some(rest) = object.object(rest)? {
        values.fill_from(&rest.distribution(&PERCENTILES, MILLI)?);
    }
    observation.put(quantity, values, object.place(mean));
    Ok(())
}

fn subject(object: &Object<'_>, engine: &Object<'_>) -> Result<Subject, ReadError> {
    let machine = object.object("machine")?;
    let format = |field: &str| engine.raw(field).and_then(Format::named);
    let memory = machine.as_ref().map_or(Ok(None), |machine| machine.positive("memory.total"))?;
    Ok(Subject {
        model: engine.name("model").or_else(|| engine.name("model_path")),
        weights: format("quantization").or_else(|| format("dtype")),
        kv: format("kv_cache_dtype"),
        device: machine.as_ref().and_then(|machine| machine.word("name")),
        device_memory: memory.map(|gib| Bytes(gib * GIB)),
        engine: Some("tensorrt-llm".to_owned()),
        engine_version: engine.word("version"),
        ..Subject::default()
    })
}

fn load(world: &Object<'_>, requests: &Object<'_>, performance: &Object<'_>) -> Result<Load, ReadError> {
    Ok(Load {
        requests: requests.some("num_requests")?,
        duration: performance.positive("total_latency_ms")?.map(|time| time * MILLI),
        prompt: Some(requests.needed("avg_input_length")?),
        generate: Some(requests.needed("avg_output_length")?),
        prefill_chunk: world.some("max_num_tokens")?,
        batch_limit: world.some("max_batch_size")?,
        tp: world.some("tp_size")?,
        pp: world.some("pp_size")?,
        ep: world.some("ep_size")?,
        ..Load::default()
    })
}
