//! llama-bench: `-o json`, `jsonl` and `csv`. The source of the fields is `tools/llama-bench/llama-bench.cpp` of llama.cpp.
//!
//! A row is one test at batch 1: `n_prompt` tokens processed (`pp`), `n_gen` generated one after the other (`tg`), or both, with `n_depth` tokens in the cache.

use super::{Importer, NANO, each, observation};
use crate::observe::caveat::Caveat;
use crate::observe::document::{Format, Load, Observation, Subject, Tool};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::metric::{Distribution, Quantity};
use crate::observe::node::{Fields, Node};
use crate::observe::object::Object;
use crate::observe::text;
use crate::units::Bytes;

/// What only llama-bench writes.
const OWN: [&str; 2] = ["build_commit", "avg_ts"];

pub(super) const IMPORTER: Importer = Importer {
    name: "llama-bench",
    gives: "prefill and decode rates at batch 1, bytes of the weights",
    hardware: false,
    sniff,
    read,
};

fn sniff(input: &Input<'_>) -> bool {
    input.has(&OWN) || header(input).is_some()
}

fn read(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    match header(input) {
        Some(line) => from_csv(input, line),
        None => each(input, row),
    }
}

/// The line of the names of the columns, when the file is CSV. Other output may stand before it.
fn header(input: &Input<'_>) -> Option<usize> {
    let is_header = |line: &str| OWN.iter().all(|own| line.split(',').any(|name| name.trim_matches('"') == *own));
    input.lines().find(|(_, line)| is_header(line)).map(|(number, _)| number)
}

/// CSV has the same fields, each as text, and no samples.
fn from_csv(input: &Input<'_>, header: usize) -> Result<Vec<Observation>, ReadError> {
    let table: String = input.lines().skip(header - 1).flat_map(|(_, line)| [line, "\n"]).collect();
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(table.as_bytes());
    let fault = |line: usize| ReadError::at(input.line(line), "expected a line of comma-separated values");
    let names = reader.headers().map_err(|_| fault(header))?.clone();
    let mut observations = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|_| fault(header + observations.len() + 1))?;
        let number = header - 1 + record.position().map_or(1, |position| position.line() as usize);
        if record.len() != names.len() {
            let problem = format!("expected {} columns; there are {}", names.len(), record.len());
            return Err(ReadError::at(input.line(number), problem));
        }
        let fields: Fields =
            names.iter().zip(&record).map(|(name, value)| (name.to_owned(), Node::from(value))).collect();
        observations.push(row(&Object::new(&fields, input.line(number)))?);
    }
    Ok(observations)
}

fn row(object: &Object<'_>) -> Result<Observation, ReadError> {
    let prompt = object.count("n_prompt")?.unwrap_or(0) as f64;
    let generated = object.count("n_gen")?.unwrap_or(0) as f64;
    if prompt + generated == 0.0 {
        return Err(ReadError::at(object.place("n_prompt"), "expected tokens; `n_prompt` and `n_gen` are both 0"));
    }
    let mut observation = observation(Tool::LlamaBench, object.word("build_commit"), object.at());
    observation.subject = subject(object)?;
    observation.load = load(object, prompt, generated)?;
    measure(&mut observation, object, prompt, generated)?;
    observation.note(Caveat::RandomTokens);
    let layers = object.number("n_gpu_layers")?.unwrap_or(-1.0);
    let on_host = object.count("n_cpu_moe")?.unwrap_or(0) > 0 || object.flag("no_kv_offload");
    if on_host && layers != 0.0 {
        observation.note(Caveat::PartlyOnHost);
    }
    Ok(observation)
}

/// Rates and times of a test. Each token of a `tg` test is a step of its own, so that there are as many steps as tokens, and not one less.
fn measure(observation: &mut Observation, object: &Object<'_>, prompt: f64, generated: f64) -> Result<(), ReadError> {
    let (rate, time, steps) = match (prompt > 0.0, generated > 0.0) {
        (true, false) => (Quantity::PrefillRate, Quantity::PrefillTime, 1.0),
        (true, true) => (Quantity::TotalRate, Quantity::RequestLatency, 1.0),
        (false, _) => (Quantity::DecodeRate, Quantity::Tpot, generated),
    };
    object.needed("avg_ns")?;
    for (quantity, mean, std, samples, factor) in
        [(rate, "avg_ts", "stddev_ts", "samples_ts", 1.0), (time, "avg_ns", "stddev_ns", "samples_ns", NANO / steps)]
    {
        let mut values = object.mean_and_std(mean, std, factor)?;
        values.fill_from(&Distribution::of_samples(object.samples(samples, factor)));
        observation.put(quantity, values, object.place(mean));
    }
    Ok(())
}

fn subject(object: &Object<'_>) -> Result<Subject, ReadError> {
    let host_only = object.number("n_gpu_layers")? == Some(0.0) || object.raw("backends") == Some("CPU");
    let (device, devices) = match object.raw("gpu_info").filter(|gpus| !host_only && !gpus.is_empty()) {
        Some(gpus) => gpu(gpus, object.raw("split_mode"), object.raw("devices")),
        None => (object.word("cpu_info"), Some(1)),
    };
    let kind = object.word("model_type");
    let (k, v) = (object.word("type_k"), object.word("type_v"));
    let kv = if k == v { k } else { k.zip(v).map(|(k, v)| format!("{k}/{v}")) };
    Ok(Subject {
        model: object.raw("model_filename").map(file_stem).filter(|name| !name.is_empty()),
        weights: kind.as_deref().and_then(weights),
        model_kind: kind,
        weight_bytes: object.positive("model_size")?.map(Bytes),
        parameters: object.positive("model_n_params")?,
        device,
        devices,
        kv: kv.as_deref().and_then(Format::named),
        engine: Some("llama.cpp".to_owned()),
        engine_version: object.count("build_number")?.map(|number| number.to_string()),
        ..Subject::default()
    })
}

/// Devices are listed by name, all that there are. With `split_mode` `none` only one of them is used; otherwise those of `devices`, or all.
fn gpu(gpus: &str, split: Option<&str>, chosen: Option<&str>) -> (Option<String>, Option<u64>) {
    let names: Vec<&str> = gpus.split(", ").collect();
    let alike = names.iter().all(|name| Some(name) == names.first());
    let device = if alike { names.first().copied().unwrap_or(gpus) } else { gpus };
    let count = match (split, chosen) {
        (Some("none"), _) => 1,
        (_, Some(list)) if list != "auto" && list != "none" && !list.is_empty() => list.split('/').count(),
        _ => names.len(),
    };
    (Some(text::clean(device)), Some(count as u64))
}

/// The name of the file, which is how the model was named.
fn file_stem(path: &str) -> String {
    let file = text::last_part(path);
    text::clean(file.strip_suffix(".gguf").unwrap_or(file))
}

/// A kind is an architecture, a size and the format, which is what is left: `llama 8B Q4_K - Medium`. That one is a mixture, which is no format of the table; the bytes
/// of the weights tell what it comes to.
pub(super) fn weights(kind: &str) -> Option<Format> {
    let format = kind.splitn(3, ' ').nth(2)?;
    let format = format.strip_prefix("all ").or_else(|| format.strip_prefix("mostly ")).unwrap_or(format);
    Format::named(format)
}

fn load(object: &Object<'_>, prompt: f64, generated: f64) -> Result<Load, ReadError> {
    let chunk = [object.some("n_batch")?, object.some("n_ubatch")?].into_iter().flatten().min();
    Ok(Load {
        batch: Some(1),
        prompt: (prompt > 0.0).then_some(prompt),
        generate: (generated > 0.0).then_some(generated),
        // Versions without the field began with an empty cache.
        depth: Some(object.count("n_depth")?.unwrap_or(0) as f64),
        prefill_chunk: chunk,
        threads: object.some("n_threads")?,
        mapped: mapped(object),
        // A negative number is all of them; none is a run on the host, whose memory is the device's then.
        device_layers: object.number("n_gpu_layers")?.filter(|&layers| layers >= 1.0).map(|layers| layers as u64),
        host_expert_layers: object.some("n_cpu_moe")?,
        host_kv: object.flag("no_kv_offload").then_some(1.0),
        ..Load::default()
    })
}

/// Whether the weights are a mapping of their file: a flag in older versions, a mode of loading in later ones.
fn mapped(object: &Object<'_>) -> Option<bool> {
    match object.raw("load_mode") {
        Some(mode) => Some(mode == "mmap"),
        None => object.has("use_mmap").then(|| object.flag("use_mmap")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    #[test]
    fn the_format_is_what_is_left_of_the_kind() {
        let dtype = |kind| weights(kind).and_then(|format| format.dtype);
        assert_eq!(dtype("llama 8B BF16"), Some(DType::Bf16));
        assert_eq!(dtype("llama 8B all F32"), Some(DType::F32));
        assert_eq!(dtype("gpt-oss 20B MXFP4 MoE"), None, "only its experts");
        assert_eq!(weights("qwen2 7B Q4_K - Medium").map(|format| format.given), Some("Q4_K - Medium".to_owned()));
        assert_eq!(dtype("qwen2 7B Q4_K - Medium"), None);
        assert_eq!(weights("llama 8B"), None);
    }

    #[test]
    fn devices_are_counted_as_they_are_used() {
        let two = "NVIDIA H200, NVIDIA H200";
        assert_eq!(gpu(two, Some("layer"), Some("auto")), (Some("NVIDIA H200".to_owned()), Some(2)));
        assert_eq!(gpu(two, Some("none"), Some("auto")).1, Some(1));
        assert_eq!(gpu(two, Some("row"), Some("CUDA0")).1, Some(1));
        assert_eq!(gpu("A, B", None, None), (Some("A, B".to_owned()), Some(2)));
    }

    #[test]
    fn a_models_file_is_its_name() {
        assert_eq!(file_stem("/home/x/models/Llama-BF16.gguf"), "Llama-BF16");
    }
}
