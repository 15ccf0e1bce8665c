//! Result files of other tools: each is recognised as one kind, says what it says in base units, keeps secrets, and no change of it makes the reader fail badly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rooflab::dtype::DType;
use rooflab::observe::*;
use rooflab::units::{Bytes, Unit};

/// What stands in the files wherever they hold what is nobody's business.
const SECRET: &str = "s3cr3t";

/// The files and the kinds they are of.
const FILES: &[(&str, &str)] = &[
    ("aiperf.json", "AIPerf"),
    ("clpeak-1.txt", "clpeak"),
    ("clpeak-1.xml", "clpeak"),
    ("clpeak.csv", "clpeak"),
    ("clpeak.json", "clpeak"),
    ("clpeak.txt", "clpeak"),
    ("clpeak.xml", "clpeak"),
    ("genai-perf.json", "GenAI-Perf"),
    ("llama-bench-old.jsonl", "llama-bench"),
    ("llama-bench-qwen2.5-0.5b.json", "llama-bench"),
    ("llama-bench.csv", "llama-bench"),
    ("llama-bench.json", "llama-bench"),
    ("llama-bench.md", "llama-bench's table"),
    ("mixbench-cpu.txt", "mixbench"),
    ("mixbench-cuda.txt", "mixbench"),
    ("mixbench-hip.txt", "mixbench"),
    ("nccl-tests.json", "nccl-tests (JSON)"),
    ("nccl-tests.txt", "nccl-tests"),
    ("nsight-compute-long.csv", "Nsight Compute (CSV)"),
    ("nsight-compute-raw.csv", "Nsight Compute (CSV)"),
    ("nsight-compute-wide.csv", "Nsight Compute (CSV)"),
    ("nvbandwidth.json", "nvbandwidth"),
    ("pytorch-qwen2.5-0.5b.json", "rooflab's observation"),
    ("sglang-one-batch-server.jsonl", "SGLang bench_one_batch"),
    ("sglang-one-batch.jsonl", "SGLang bench_one_batch"),
    ("sglang-serving.jsonl", "SGLang bench_serving"),
    ("trtllm-bench-offline.json", "trtllm-bench"),
    ("trtllm-bench.json", "trtllm-bench"),
    ("vllm-latency.json", "vllm bench latency"),
    ("vllm-serve-appended.json", "vllm bench serve"),
    ("vllm-serve.json", "vllm bench serve"),
    ("vllm-throughput.json", "vllm bench throughput"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn path(file: &str) -> PathBuf {
    root().join("tests/observations").join(file)
}

fn bytes(file: &str) -> Vec<u8> {
    fs::read(path(file)).unwrap()
}

fn read(file: &str) -> Vec<Observation> {
    from_bytes(&bytes(file), file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn close(one: f64, other: f64) -> bool {
    (one - other).abs() <= other.abs() * 1e-6
}

fn stated(run: &Observation, quantity: Quantity, stat: Stat) -> f64 {
    let measured = &run.metrics[&quantity];
    assert_eq!(measured.derived, None, "{quantity}");
    measured.values.get(stat).unwrap_or_else(|| panic!("no {stat:?} of {quantity}"))
}

#[track_caller]
fn says(run: &Observation, values: &[(Quantity, Stat, f64)]) {
    for &(quantity, stat, expected) in values {
        let value = stated(run, quantity, stat);
        assert!(close(value, expected), "{quantity}, {stat:?}: {value} instead of {expected}");
    }
}

#[test]
fn every_file_is_of_exactly_one_kind() {
    let mut files: Vec<String> = fs::read_dir(path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    files.sort();
    assert_eq!(files, FILES.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    for (file, kind) in FILES {
        let kinds: Vec<&str> = sniff(&bytes(file)).unwrap().iter().map(|importer| importer.name).collect();
        assert_eq!(kinds, [*kind], "{file}");
    }
    let tested = |name: &str| FILES.iter().any(|(_, kind)| *kind == name) || name == "rooflab's observation";
    assert!(IMPORTERS.iter().all(|importer| tested(importer.name)));
    // What is read is an observation, and an observation is of its own kind only.
    let own = read("vllm-serve.json")[0].to_json();
    let kinds: Vec<&str> = sniff(own.as_bytes()).unwrap().iter().map(|importer| importer.name).collect();
    assert_eq!(kinds, ["rooflab's observation"]);
}

#[test]
fn the_files_contradict_nothing() {
    for (file, _) in FILES {
        for run in read(file) {
            let found: Vec<String> = run.contradictions().iter().map(ToString::to_string).collect();
            assert!(found.is_empty(), "{file}: {found:?}");
        }
    }
}

#[test]
fn llama_bench_in_all_its_forms() {
    use Quantity::{DecodeRate, PrefillRate, PrefillTime, RequestLatency, TotalRate, Tpot};
    use Stat::{Mean, Median, Std};
    let runs = read("llama-bench.json");
    assert_eq!(runs.len(), 4);
    says(&runs[0], &[(PrefillRate, Mean, 17_003.478_452), (PrefillTime, Mean, 0.030_111_719)]);
    // 752941096 ns for 128 tokens, each of which is a step.
    says(
        &runs[2],
        &[
            (DecodeRate, Mean, 170.000_078),
            (DecodeRate, Median, 169.986),
            (Tpot, Mean, 0.752_941_096 / 128.0),
            (Tpot, Median, 0.753_001_842 / 128.0),
            (Tpot, Std, 500_514e-9 / 128.0),
        ],
    );
    assert_eq!(runs[2].metrics[&DecodeRate].at.as_deref(), Some("llama-bench.json[2].avg_ts"));
    says(&runs[3], &[(TotalRate, Mean, 840.357_971), (RequestLatency, Mean, 0.761_580_28)]);
    let (subject, load) = (&runs[2].subject, &runs[2].load);
    assert_eq!(subject.model.as_deref(), Some("Llama-3.1-8B-Instruct-BF16"));
    assert_eq!(subject.model_kind.as_deref(), Some("llama 8B BF16"));
    assert_eq!(subject.weights.as_ref().and_then(|format| format.dtype), Some(DType::Bf16));
    assert_eq!(subject.kv.as_ref().and_then(|format| format.dtype), Some(DType::F16));
    assert_eq!(subject.weight_bytes.map(Bytes::get), Some(16_060_522_496.0));
    assert_eq!((subject.device.as_deref(), subject.devices), (Some("NVIDIA H200"), Some(1)));
    assert_eq!((load.batch, load.prompt, load.generate, load.depth), (Some(1), None, Some(128.0), Some(2048.0)));
    assert_eq!(load.prefill_chunk, Some(512));
    assert_eq!((load.threads, load.mapped, load.device_layers, load.host_kv), (Some(16), Some(true), None, None));
    assert_eq!(runs[2].caveats, [Caveat::RandomTokens]);

    // CSV says the same, but for the samples.
    for (json, csv) in runs.iter().zip(read("llama-bench.csv")) {
        assert_eq!((&json.subject, &json.load), (&csv.subject, &csv.load));
        for (quantity, measured) in json.metrics.iter().filter(|(_, measured)| measured.derived.is_none()) {
            assert_eq!(Some(stated(&csv, *quantity, Mean)), measured.values.mean);
        }
    }
    // The table rounds.
    let table = read("llama-bench.md");
    says(&table[2], &[(DecodeRate, Mean, 170.0), (DecodeRate, Std, 0.11)]);
    assert_eq!(table[2].load.depth, Some(2048.0));
    assert_eq!(table[2].subject.engine_version.as_deref(), Some("7012"));
    assert!((table[0].subject.weight_bytes.unwrap() / subject.weight_bytes.unwrap() - 1.0).abs() < 1e-3);
    assert_eq!(table[2].metrics[&DecodeRate].at.as_deref(), Some("llama-bench.md:6"));
    // Versions without `n_depth` began with an empty cache.
    assert_eq!(read("llama-bench-old.jsonl")[1].load.depth, Some(0.0));
}

#[test]
fn serving_runs_say_the_same_in_each_tools_words() {
    use Quantity::{InFlight, OutputRate, RequestLatency, RequestRate, TotalRate, Tpot, Ttft};
    use Stat::{Mean, Median, P99, Std};
    for file in ["vllm-serve.json", "sglang-serving.jsonl", "aiperf.json", "genai-perf.json", "trtllm-bench.json"] {
        let run = &read(file)[0];
        let times = [
            (Ttft, Mean, 0.350),
            (Ttft, Median, 0.3312),
            (Ttft, P99, 0.612),
            (Tpot, Mean, 0.03627),
            (Tpot, P99, 0.0417),
            (OutputRate, Mean, 853.33),
            (RequestRate, Mean, 3.3333),
        ];
        says(run, &times);
        if file != "trtllm-bench.json" {
            says(run, &[(Ttft, Std, 0.0884)]);
        }
        assert!((run.typical(RequestLatency).unwrap() - 9.6).abs() < 0.01, "{file}");
        assert!((run.typical(TotalRate).unwrap() - 4266.67).abs() < 0.1, "{file}");
        assert!((run.typical(InFlight).unwrap() - 32.0).abs() < 0.3, "{file}");
        assert_eq!((run.load.prompt, run.load.generate), (Some(1024.0), Some(256.0)), "{file}");
        assert_eq!(run.load.requests, Some(200), "{file}");
        let model = run.subject.model.as_deref().unwrap();
        assert!(model.ends_with("Llama-3.1-8B-Instruct"), "{file}: {model}");
    }
    // vLLM does not say how long requests took unless it is asked to; it follows.
    let vllm = &read("vllm-serve.json")[0];
    assert_eq!(vllm.metrics[&RequestLatency].derived.as_deref(), Some("ttft + tpot * (generate - 1)"));
    assert_eq!(vllm.load.arrivals, Some(Arrivals::Unlimited));
    assert_eq!(vllm.load.concurrency, Some(32));
    assert_eq!(vllm.load.batch, None);
}

#[test]
fn vllm_with_details_and_failures() {
    use Quantity::{AcceptanceLength, AcceptanceRate, Itl, RequestLatency, Ttft};
    let runs = read("vllm-serve-appended.json");
    assert_eq!(runs.len(), 2);
    let run = &runs[1];
    assert_eq!(run.sources[0].file.as_deref(), Some("vllm-serve-appended.json[1]"));
    says(
        run,
        &[
            (RequestLatency, Stat::Mean, 0.11),
            // The smallest time to first token is not that of the request that failed.
            (Ttft, Stat::Min, 0.04),
            (Itl, Stat::P90, 0.02),
            (AcceptanceRate, Stat::Mean, 0.65),
            (AcceptanceLength, Stat::Mean, 2.3),
        ],
    );
    assert_eq!(run.metrics[&Itl].values.count, Some(12));
    assert_eq!(run.load.arrivals, Some(Arrivals::PerSecond(2.0)));
    assert_eq!((run.load.prompt, run.load.generate), (Some(100.0), Some(4.0)));
    assert_eq!(run.caveats, [Caveat::FailedRequests { failed: 1 }]);
}

#[test]
fn vllm_without_a_server() {
    let latency = &read("vllm-latency.json")[0];
    let values = [(Stat::Mean, 0.91125), (Stat::Median, 0.911), (Stat::P99, 0.91491), (Stat::Max, 0.915)];
    says(latency, &values.map(|(stat, value)| (Quantity::RequestLatency, stat, value)));
    let throughput = &read("vllm-throughput.json")[0];
    says(throughput, &[(Quantity::TotalRate, Stat::Mean, 30117.65)]);
    assert!(!throughput.metrics.contains_key(&Quantity::OutputRate), "its tokens are those of prompts too");
    for (run, needed) in [
        (latency, &["--model", "--profile", "--batch", "--prompt", "--generate", "--weights", "--kv", "--tp"]),
        (throughput, &["--model", "--profile", "--batch", "--prompt", "--generate", "--weights", "--kv", "--tp"]),
    ] {
        assert_eq!(run.lacks().iter().map(|lack| lack.flag()).collect::<Vec<_>>(), needed);
    }
}

#[test]
fn sglang_says_what_its_server_was() {
    let runs = read("sglang-serving.jsonl");
    let (subject, load) = (&runs[0].subject, &runs[0].load);
    assert_eq!(subject.model.as_deref(), Some("Llama-3.1-8B-Instruct"));
    assert_eq!((subject.engine.as_deref(), subject.engine_version.as_deref()), (Some("sglang"), Some("0.5.23")));
    assert_eq!(subject.weights.as_ref().and_then(|format| format.dtype), Some(DType::Bf16));
    // `auto` is no format.
    assert_eq!(subject.kv, None);
    assert_eq!((load.tp, load.prefill_chunk, load.arrivals), (Some(1), Some(8192), Some(Arrivals::Unlimited)));
    // What was asked for is twice what was done.
    assert_eq!(load.prompt, Some(1024.0));
    says(&runs[0], &[(Quantity::InFlight, Stat::Mean, 32.0), (Quantity::InputRate, Stat::Mean, 3413.33)]);
    assert_eq!((runs[1].load.arrivals, runs[1].subject.model.as_deref()), (Some(Arrivals::Trace), None));
    says(&runs[1], &[(Quantity::CacheHitRate, Stat::Mean, 0.25)]);
    assert_eq!(runs[1].caveats, [Caveat::CachedPrompts]);
}

#[test]
fn one_batch_of_sglang() {
    use Quantity::{AcceptanceLength, DecodeRate, OutputRate, PrefillRate, PrefillTime, RequestLatency, Tpot};
    let run = &read("sglang-one-batch.jsonl")[0];
    says(
        run,
        &[
            (PrefillTime, Stat::Mean, 0.2),
            (PrefillRate, Stat::Mean, 81920.0),
            (Tpot, Stat::Median, 0.008),
            (DecodeRate, Stat::Median, 2000.0),
            (RequestLatency, Stat::Mean, 0.2 + 255.0 * 0.008),
        ],
    );
    assert_eq!((run.load.batch, run.load.prompt, run.load.generate), (Some(16), Some(1024.0), Some(256.0)));
    let served = read("sglang-one-batch-server.jsonl");
    // 11 tokens take 10 steps in 0.1 s. The tool counts 11 and says 1760.
    assert!(close(served[0].typical(Tpot).unwrap(), 0.01));
    assert!(close(served[0].typical(DecodeRate).unwrap(), 1600.0));
    assert!(!served[0].metrics.contains_key(&AcceptanceLength), "-1 is no length");
    says(&served[1], &[(DecodeRate, Stat::Mean, 1605.0), (AcceptanceLength, Stat::Mean, 2.5)]);
    // Old versions divide by the whole time.
    says(&served[2], &[(OutputRate, Stat::Mean, 640.0)]);
    assert!(!served[2].metrics.contains_key(&DecodeRate));
}

#[test]
fn units_of_aiperf_are_read_and_unfinished_runs_are_told() {
    let run = &read("aiperf.json")[0];
    // The file has microseconds there.
    says(run, &[(Quantity::Ttft, Stat::Mean, 0.35), (Quantity::Itl, Stat::Std, 0.0215)]);
    assert_eq!((run.sources[0].version.as_deref(), run.load.concurrency), (Some("0.13.0"), Some(32)));
    assert_eq!(run.caveats, [Caveat::Incomplete]);
    // 12 of 60 seconds, of the device that was held down the longest; addresses of endpoints are hosts, and not repeated.
    says(run, &[(Quantity::PowerThrottled, Stat::Mean, 0.2)]);
    assert_eq!(
        run.metrics[&Quantity::PowerThrottled].at.as_deref(),
        Some("aiperf.json.telemetry_data.endpoints[0].gpus[0].metrics.nvidia_power_violation.avg")
    );
    assert_eq!(run.subject.device.as_deref(), Some("NVIDIA H200"));
    let genai = &read("genai-perf.json")[0];
    // 6 seconds, by the driver's nanoseconds, of 200 requests at 3.3333 per second; the other device was idle.
    says(genai, &[(Quantity::Clock, Stat::Mean, 1.32e9), (Quantity::PowerThrottled, Stat::Mean, 6.0 * 3.3333 / 200.0)]);
    assert_eq!(genai.load.concurrency, Some(32));
    assert!(!genai.metrics.contains_key(&Quantity::Itl), "what it calls so is the time per output token");
    let odd = String::from_utf8(bytes("genai-perf.json")).unwrap().replacen("\"ms\"", "\"s3cr3t\"", 1);
    let error = from_bytes(odd.as_bytes(), "x").unwrap_err().to_string();
    assert!(error.starts_with("`x.request_latency.unit`: expected one of `ns`"), "{error}");
}

#[test]
fn layers_of_the_host_and_drafts_are_told() {
    let text = String::from_utf8(bytes("llama-bench.json")).unwrap();
    let text =
        text.replace("\"n_gpu_layers\": -1", "\"n_gpu_layers\": 20").replace("\"n_cpu_moe\": 0", "\"n_cpu_moe\": 4");
    let text = text.replace("\"no_kv_offload\": false", "\"no_kv_offload\": true");
    let load = from_bytes(text.as_bytes(), "x").unwrap().swap_remove(0).load;
    assert_eq!((load.device_layers, load.host_expert_layers, load.host_kv), (Some(20), Some(4), Some(1.0)));
    let drafted = &read("vllm-serve-appended.json")[1];
    assert_eq!(drafted.load.draft_length, Some(2.0));
    assert_eq!(read("sglang-serving.jsonl")[0].load.draft_length, Some(3.0));
}

#[test]
fn trtllm_bench_says_formats_and_parallelism() {
    let run = &read("trtllm-bench.json")[0];
    assert_eq!(run.subject.device.as_deref(), Some("NVIDIA H200"));
    assert!(close(run.subject.device_memory.unwrap().get(), 139.8 * f64::from(1 << 30)));
    assert_eq!(run.lacks(), [Lack::Kv]);
    let offline = &read("trtllm-bench-offline.json")[0];
    assert_eq!(offline.subject.weights.as_ref().and_then(|format| format.dtype), Some(DType::Fp8E4m3));
    assert_eq!((offline.load.tp, offline.subject.devices), (Some(4), Some(4)));
    assert!(!offline.metrics.contains_key(&Quantity::Ttft), "there is none without streaming");
    assert_eq!(offline.lacks(), [Lack::Profile]);
}

#[test]
fn collectives_are_curves_of_times() {
    let (json, text) = (&read("nccl-tests.json")[0], &read("nccl-tests.txt")[0]);
    for run in [json, text] {
        let curve = &run.collectives[0];
        assert_eq!((curve.operation, curve.ranks), (Some(Operation::AllReduce), Some(8)));
        assert_eq!(curve.format.as_ref().and_then(|format| format.dtype), Some(DType::F32));
        assert_eq!(curve.reduction.as_deref(), Some("sum"));
        assert_eq!(curve.points.len(), 3);
        let last = &curve.points[2];
        assert_eq!(last.size.get(), 8_388_608.0);
        assert!(close(last.out_of_place.unwrap().time.get(), 95.2e-6));
        assert!(close(last.in_place.unwrap().time.get(), 94.25e-6));
        assert!((last.out_of_place.unwrap().bus_rate.unwrap().get() / 154.2e9 - 1.0).abs() < 1e-3);
        assert_eq!(run.subject.device.as_deref(), Some("NVIDIA H200"));
        assert_eq!(run.subject.engine_version.as_deref(), Some("2.28.7"));
        assert!(run.lacks().is_empty());
    }
    // Bandwidths that belong to other numbers of ranks are found.
    let mut wrong = json.clone();
    wrong.collectives[0].ranks = Some(2);
    assert!(matches!(wrong.contradictions()[..], [Contradiction::BusRate { ranks: 2, .. }]));
}

#[test]
fn a_table_with_only_results_in_place_is_read() {
    let text = String::from_utf8(bytes("nccl-tests.txt")).unwrap();
    let text = text.replace("  14.10    0.07    0.13       0", "");
    let text = text.replace("     1048576 ", "10.0.0.1:77:78 [0] NCCL INFO between the rows\n     1048576 ");
    let run = &from_bytes(text.as_bytes(), "x").unwrap()[0];
    assert_eq!(run.collectives[0].points.len(), 3);
    assert_eq!(run.collectives[0].points[0].out_of_place, None);
    assert!(close(run.collectives[0].points[0].in_place.unwrap().time.get(), 13.96e-6));
}

#[test]
fn copies_are_tables() {
    let run = &read("nvbandwidth.json")[0];
    assert_eq!((run.subject.device.as_deref(), run.subject.devices), (Some("NVIDIA H200"), Some(2)));
    let [up, peer, both, latency] = &run.copies[..] else { panic!("{} tables", run.copies.len()) };
    assert_eq!((up.rows, up.columns, up.direction), (Some(End::Host), Some(End::Device), Some(Direction::RowToColumn)));
    assert_eq!((up.unit, &up.values[0][..]), (Unit::BytePerSecond, &[Some(55.31e9), Some(55.29e9)][..]));
    assert_eq!(peer.values[0][0], None);
    // Of three tables in one, the last is what the description says.
    assert_eq!(both.values, [[None, Some(761.5e9)], [Some(761.5e9), None]]);
    assert_eq!(latency.unit, Unit::Second);
    assert!(close(latency.values[0][0].unwrap(), 812.4e-9));
    assert_eq!(run.caveats, [Caveat::NotRun { cases: 1 }]);
}

/// The ceilings of an observation, with what the tool calls them.
fn rates(run: &Observation) -> Vec<(String, f64, &str)> {
    run.rates.iter().map(|rate| (rate.resource.to_string(), rate.value, rate.name.as_str())).collect()
}

#[track_caller]
fn has_rates(run: &Observation, expected: &[(&str, f64, &str)]) {
    let found = rates(run);
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((key, value, name), (wanted, number, called)) in found.iter().zip(expected) {
        assert!(
            key == wanted && close(*value, *number) && name == called,
            "{key} {value} {name}, not {wanted} {number} {called}"
        );
    }
}

#[test]
fn clpeak_1_in_both_forms() {
    for file in ["clpeak-1.txt", "clpeak-1.xml"] {
        let runs = read(file);
        let [run] = &runs[..] else { panic!("{file}: {} runs", runs.len()) };
        assert_eq!(run.subject.device.as_deref(), Some("NVIDIA Imaginary 100"), "{file}");
        let (write, read) = match file {
            "clpeak-1.txt" => ("enqueueWriteBuffer", "enqueueReadBuffer"),
            _ => ("enqueuewritebuffer", "enqueuereadbuffer"),
        };
        has_rates(
            run,
            &[
                ("memory.dram.read", 900.75e9, "float4"),
                ("compute.vector.f32", 19_050.25e9, "float2"),
                ("compute.vector.f64", 9500.5e9, "double"),
                ("compute.vector.int32", 19_010e9, "int2"),
                ("link.host.h2d_pageable", 12.25e9, write),
                ("link.host.d2h_pageable", 11.75e9, read),
            ],
        );
        assert!(matches!(run.caveats[..], [Caveat::NoCounterpart { readings }] if readings >= 8), "{:?}", run.caveats);
    }
}

#[test]
fn clpeak_2_in_all_four_forms() {
    for file in ["clpeak.csv", "clpeak.json", "clpeak.txt", "clpeak.xml"] {
        let runs = read(file);
        let [cuda, opencl] = &runs[..] else { panic!("{file}: {} runs", runs.len()) };
        // What is printed has two digits after the point.
        let (half, memory, wake) =
            if file == "clpeak.txt" { (38_000.12e9, 905.12e9, 6.12e-6) } else { (38_000.125e9, 905.125e9, 6.125e-6) };
        has_rates(
            cuda,
            &[
                ("compute.vector.f32", 19_100.5e9, "CUDA, float"),
                ("compute.vector.f16", half, "CUDA, half2"),
                ("compute.vector.bf16.f32", 18_500.75e9, "CUDA, bf16"),
                ("compute.matrix.f16.f32", 150.5e12, "CUDA, wmma_fp16"),
                ("compute.matrix.fp8_e4m3.f32", 300.25e12, "CUDA, fp8_e4m3"),
                ("compute.vector.int32", 9500.25e9, "CUDA, int"),
                ("compute.matrix.int8.int32", 301.5e12, "CUDA, int8_k32"),
                ("memory.dram.read", memory, "CUDA, float4"),
                ("link.host.h2d", 25.5e9, "CUDA, h2d_pinned"),
                ("link.host.d2h", 26.25e9, "CUDA, d2h_pinned"),
                ("overhead.wake", wake, "CUDA, roundtrip"),
            ],
        );
        // Products of a library, zeros that are skipped and local memory have no counterpart.
        assert_eq!(cuda.caveats, [Caveat::NoCounterpart { readings: 4 }], "{file}");
        has_rates(
            opencl,
            &[("compute.vector.f32", 19_200.5e9, "OpenCL, float2"), ("memory.dram.read", 880e9, "OpenCL, float16")],
        );
        let version = cuda.sources[0].version.as_deref();
        assert_eq!(version, ["clpeak.json", "clpeak.xml"].contains(&file).then_some("2.1.2"), "{file}");
    }
}

#[test]
fn mixbench_gives_the_best_of_its_rows() {
    let run = &read("mixbench-cuda.txt")[0];
    assert_eq!(run.subject.device.as_deref(), Some("NVIDIA Imaginary 100"));
    assert_eq!(run.sources[0].version.as_deref(), Some("v0.04-25-g236a0be"));
    // Of halves, which this device lacks, there are times of 0 and no rates.
    let (single, double, integer) = ("Single Precision ops", "Double precision ops", "Integer operations");
    has_rates(
        run,
        &[
            ("compute.vector.f32", 18_900.5e9, single),
            ("memory.dram.read", 895.25e9, double),
            ("compute.vector.f64", 9400.25e9, double),
            ("compute.vector.int32", 9450.75e9, integer),
        ],
    );
    let hip = &read("mixbench-hip.txt")[0];
    let single = rates(hip).into_iter().find(|(key, ..)| key == "compute.vector.f32").unwrap();
    assert_eq!((single.1, single.2), (40_500.25e9, "Packed Single Precision ops"));
    let cpu = &read("mixbench-cpu.txt")[0];
    assert_eq!((cpu.subject.device.as_deref(), cpu.rates.len()), (None, 4));
}

#[test]
fn faults_of_benchmarks_are_named() {
    let fault = |file: &str, from: &str, to: &str| {
        let text = String::from_utf8(bytes(file)).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        from_bytes(text.replacen(from, to, 1).as_bytes(), "folder/x").unwrap_err().to_string()
    };
    for (file, from, to, expected) in [
        ("clpeak-1.txt", "850.25", "s3cr3t", "`x:9`: expected a number, which is not negative"),
        ("clpeak-1.txt", "850.25", "", "`x:9`: expected a number, which is not negative"),
        ("clpeak-1.txt", "850.25", "1e99", "`x:9`: it is 1e99, which is beyond any measurement"),
        ("clpeak-1.xml", " unit=\"gbps\"", "", "`x:5`: expected an attribute `unit`"),
        ("clpeak-1.xml", "<float>850.25</float>", "<float/>", "`x:6`: expected a number, which is not negative"),
        ("clpeak.xml", "</category>", "", "expected XML; here it stops being that, or ends too early"),
        ("clpeak.xml", "<metric name=\"float\"", "<metric", "expected an attribute `name`"),
        ("clpeak.json", "\"test\":\"single_precision_compute\",", "", "`x.entries[0].test`: expected a word"),
        ("clpeak.csv", ",metric,", ",metrics,", "`x:1`: expected a column `metric`"),
        ("clpeak.csv", "19100.5000", "-1", "`x:2`: expected a number, which is not negative"),
        ("mixbench-cuda.txt", "GFLOPS", "GFLIPS", "expected a column `GFLOPS` for each format"),
        ("mixbench-cuda.txt", " 890.50", " x", "expected a number, which is not negative"),
    ] {
        let error = fault(file, from, to);
        assert!(error.contains(expected) && !error.contains(SECRET), "{file}: {error}");
    }
    // A table of which the last row is cut.
    let text = String::from_utf8(bytes("mixbench-cpu.txt")).unwrap();
    let cut = &text[..text.rfind("  256,").unwrap() + 40];
    let error = from_bytes(cut.as_bytes(), "x").unwrap_err().to_string();
    assert!(error.ends_with("expected as many columns as above") || error.contains("expected a number"), "{error}");
}

#[test]
fn kernels_have_times_and_bytes() {
    let long = &read("nsight-compute-long.csv")[0];
    let [gemv, norm] = &long.kernels[..] else { panic!("{} kernels", long.kernels.len()) };
    assert_eq!((gemv.name.as_str(), gemv.launches), ("gemv_bf16", 2));
    assert!(close(gemv.time.mean.unwrap(), 29.42e-6));
    assert_eq!(gemv.memory_read.mean, Some(117_571_584.0));
    assert_eq!(gemv.compute_share.mean, Some(0.125));
    assert!(close(norm.time.mean.unwrap(), 1205e-6));
    assert!(norm.memory_written.is_empty(), "n/a");
    let raw = &read("nsight-compute-raw.csv")[0];
    assert_eq!(raw.kernels.len(), 7);
    let [qkv, .., silu] = &raw.kernels[..] else { panic!("{} kernels", raw.kernels.len()) };
    assert_eq!((qkv.launches, qkv.grid.as_deref()), (2, Some("(96, 1, 1)")));
    assert!(close(qkv.clock.mean.unwrap(), 1.59e9));
    let operations: Vec<(bool, DType, f64)> =
        silu.operations.iter().map(|done| (done.tensor, done.input, done.count.mean.unwrap())).collect();
    // An addition and a product count as one, both at once as two.
    assert_eq!(operations, [(false, DType::F32, 229_376.0 * 3.0 + 458_752.0), (true, DType::Bf16, 0.0)]);
    let wide = &read("nsight-compute-wide.csv")[0].kernels[0];
    assert!(close(wide.time.mean.unwrap(), 29.408e-6));
    assert_eq!(wide.memory_written.mean, Some(8192.0));
    assert_eq!(long.caveats, [Caveat::Profiled]);
    assert_eq!(long.lacks(), [Lack::Profile]);
}

#[test]
fn rows_of_one_case_are_put_together() {
    let cases = cases(&read("llama-bench.json"));
    assert_eq!(cases.len(), 2, "one for each depth");
    let case = &cases[0].observation;
    assert_eq!((case.load.prompt, case.load.generate), (Some(512.0), Some(128.0)));
    assert!(case.metrics.contains_key(&Quantity::PrefillRate) && case.metrics.contains_key(&Quantity::DecodeRate));
    assert_eq!(cases[0].contradictions, []);
}

#[test]
fn files_of_one_case_say_what_they_disagree_on() {
    let vllm = read("vllm-serve.json").remove(0);
    let trtllm = read("trtllm-bench.json").remove(0);
    let merged = merge(&[vllm.clone(), trtllm.clone()]).unwrap();
    assert_eq!(merged.contradictions, []);
    let observation = &merged.observation;
    assert_eq!((observation.sources.len(), observation.load.tp), (2, Some(1)));
    assert_eq!(observation.subject.device.as_deref(), Some("NVIDIA H200"));
    assert_eq!(observation.metrics[&Quantity::RequestLatency].derived, None);
    // The same, with the faults.
    let mut other = trtllm;
    other.subject.model = Some("Qwen/Qwen2.5-7B".to_owned());
    other.load.prompt = Some(4096.0);
    other.metrics.get_mut(&Quantity::Tpot).unwrap().values.mean = Some(0.05);
    let merged = merge(&[vllm, other]).unwrap();
    let text: Vec<String> = merged.contradictions.iter().map(ToString::to_string).collect();
    assert_eq!(
        text[..3],
        [
            "`model` is `meta-llama/Llama-3.1-8B-Instruct` in one and `Qwen/Qwen2.5-7B` in another",
            "`prompt` is `1024` in one and `4096` in another",
            "`tpot` is 36.3 ms in one and 50.0 ms in another",
        ]
    );
    assert_eq!(merge(&[]), None);
}

#[test]
fn observations_are_read_back() {
    for (file, _) in FILES {
        for run in read(file) {
            let again = from_bytes(run.to_json().as_bytes(), "again.json").unwrap();
            assert_eq!(again, [run], "{file}");
        }
    }
    let later = r#"{"schema": "rooflab.observation/1", "metrics": {"ttft": {"unit": "s", "mean": 1.0}, "of_later": {"unit": "?"}}}"#;
    assert_eq!(from_bytes(later.as_bytes(), "x").unwrap()[0].metrics.len(), 1);
    let newer = from_bytes(br#"{"schema": "rooflab.observation/2"}"#, "x").unwrap_err().to_string();
    assert_eq!(newer, "it is of version 2 of `rooflab.observation`; this rooflab reads up to version 1");
    let wild = r#"{"schema": "rooflab.observation/1", "subject": {"model": "a\u001b[31m"}, "metrics": {"ttft": {"unit": "s", "mean": 1.0}}}"#;
    assert_eq!(from_bytes(wild.as_bytes(), "x").unwrap()[0].subject.model.as_deref(), Some("a\u{fffd}[31m"));
    let wrong = from_bytes(br#"{"schema": "rooflab.observation/1", "load": {"batch": "s3cr3t"}}"#, "x").unwrap_err();
    assert_eq!(wrong.to_string(), "`x.load.batch`: expected what `rooflab.observation/1` has there");
}

#[test]
fn errors_say_what_and_where() {
    let vllm = String::from_utf8(bytes("vllm-serve.json")).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(vllm.contains(from), "{from}");
        from_bytes(vllm.replace(from, to).as_bytes(), "folder/run.json").unwrap_err().to_string()
    };
    for (from, to, expected) in [
        ("\"duration\": 60.0", "\"duration\": 0", "`run.json.duration`: expected a number above 0; it is 0"),
        ("\"duration\": 60.0", "\"x\": 0", "`run.json.duration`: expected a number; there is none"),
        ("\"duration\": 60.0", "\"duration\": \"s3cr3t\"", "`run.json.duration`: expected a number; it is text"),
        (
            "\"completed\": 200",
            "\"completed\": 1e19",
            "`run.json.completed`: it is 1e19, which is beyond any measurement",
        ),
        (
            "\"max_concurrency\": 32",
            "\"max_concurrency\": 0.5",
            "`run.json.max_concurrency`: expected a whole number; it is 0.5",
        ),
    ] {
        assert_eq!(replaced(from, to), expected);
    }
    let error = |text: &str| from_bytes(text.as_bytes(), "x").unwrap_err().to_string();
    assert_eq!(error(""), "it is empty");
    assert_eq!(error("{\"a\": "), "it is truncated: it ends in the middle of a document, after 0 whole ones");
    assert_eq!(error("{\"a\"; 1}"), "it is not JSON: line 1, column 5, after 0 whole documents");
    assert!(error("a,b\n1,2\n").starts_with("it is of none of the kinds that are read: llama-bench, "));
    assert!(error("{\"a\": 1}").starts_with("it is of none of the kinds"));
    let rows = "build_commit,n_prompt,n_gen,avg_ns,avg_ts\n\"a\",\"512\"\n";
    assert_eq!(error(rows), "`x:2`: expected 5 columns; there are 2");
    assert_eq!(
        error("| model | test | t/s |\n|---|---|---|\n| llama | xx | 5 |\n"),
        "`x:3, column `test``: expected a test such as `tg128 @ d512`"
    );
    let table = "# size count type redop root time algbw busbw #wrong\n 1024 256 float sum -1 ? 1 1 0\n";
    assert_eq!(error(table), "`x:2, column `time``: expected a number");
    assert_eq!(
        error("# size count type redop root time algbw busbw #wrong\n"),
        "it is a file of nccl-tests without a single measurement"
    );
}

/// Everything that is ever shown or stored of a file.
fn everything(bytes: &[u8], name: &str) -> String {
    match from_bytes(bytes, name) {
        Err(error) => format!("{error} {error:?}"),
        Ok(runs) => {
            let merged = merge(&runs);
            let found: Vec<String> =
                runs.iter().flat_map(Observation::contradictions).map(|found| found.to_string()).collect();
            let documents: Vec<String> = runs.iter().map(Observation::to_json).collect();
            let cases = cases(&runs);
            format!("{documents:?} {merged:?} {found:?} {cases:?}")
        }
    }
}

#[test]
fn what_is_nobodys_business_never_leaves_a_file() {
    let mut with_secrets = 0;
    for (file, _) in FILES {
        let bytes = bytes(file);
        with_secrets += usize::from(String::from_utf8_lossy(&bytes).contains(SECRET));
        let name = format!("/home/{SECRET}/{file}");
        assert!(!everything(&bytes, &name).contains(SECRET), "{file}");
        for end in (0..bytes.len()).step_by(23) {
            assert!(!everything(&bytes[..end], &name).contains(SECRET), "{file}, {end} bytes of it");
        }
    }
    assert!(with_secrets > 12, "only {with_secrets} files have a secret to keep");
}

/// What stands where a number was.
const INSTEAD: &[&str] = &[
    "0",
    "-1",
    "0.5",
    "1e18",
    "1e19",
    "1e308",
    "-1e308",
    "1e-308",
    "18446744073709551615",
    "NaN",
    "Infinity",
    "-Infinity",
    "null",
    "true",
    "[]",
    "{}",
    "\"x\"",
    "\"1e18\"",
    "",
    ",",
    "\"",
];

/// The places of the numbers of a text.
fn numbers(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut places = Vec::new();
    let mut start = None;
    for index in 0..=bytes.len() {
        match (bytes.get(index).is_some_and(u8::is_ascii_digit), start) {
            (true, None) => start = Some(index),
            (false, Some(begin)) => {
                places.push((begin, index));
                start = None;
            }
            _ => {}
        }
    }
    places
}

/// Whatever is read holds: it is written and read back the same, and nothing in it is beyond numbers.
fn holds(bytes: &[u8]) {
    let Ok(runs) = from_bytes(bytes, "x") else { return };
    for run in &runs {
        assert!(!run.is_empty());
        let _ = run.lacks();
        for found in run.contradictions() {
            assert!(!found.to_string().is_empty());
        }
        let again = from_bytes(run.to_json().as_bytes(), "x").unwrap();
        assert_eq!(&again[0], run);
        for value in rooflab::adopt::adopt(run).map(|adopted| adopted.values).unwrap_or_default() {
            assert!(value.points.iter().all(|point| point.value.is_finite() && point.value > 0.0), "{value:?}");
        }
    }
    let _ = merge(&runs);
    let _ = cases(&runs);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_number_makes_the_reader_fail_badly(
        file in 0..FILES.len(),
        place in any::<prop::sample::Index>(),
        instead in 0..INSTEAD.len(),
        more in prop::option::of((any::<prop::sample::Index>(), 0..INSTEAD.len())),
    ) {
        let mut text = String::from_utf8(bytes(FILES[file].0)).unwrap();
        for (place, instead) in std::iter::once((place, instead)).chain(more) {
            let places = numbers(&text);
            if !places.is_empty() {
                let (start, end) = places[place.index(places.len())];
                text.replace_range(start..end, INSTEAD[instead]);
            }
        }
        holds(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_reader_fail_badly(
        file in 0..FILES.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..8),
        other in 0..FILES.len(),
    ) {
        let mut bytes = bytes(FILES[file].0);
        for (place, byte, kind) in edits {
            let at = place.index(bytes.len().max(1));
            match kind {
                0 if at < bytes.len() => bytes[at] = byte,
                1 => bytes.insert(at.min(bytes.len()), byte),
                2 => bytes.truncate(at),
                _ => {
                    let more = self::bytes(FILES[other].0);
                    let from = place.index(more.len());
                    bytes.extend_from_slice(&more[from..]);
                }
            }
        }
        holds(&bytes);
    }
}

/// A result of `vllm bench serve --save-detailed`, which keeps the time of every token and all answers, of at least so many bytes.
fn detailed(least: usize) -> Vec<u8> {
    let requests = (least / 7500).max(1);
    let mut seed = 1_u64;
    let mut uniform = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let list = |name: &str, items: &mut dyn FnMut() -> String| {
        format!(", \"{name}\": [{}]", (0..requests).map(|_| items()).collect::<Vec<_>>().join(", "))
    };
    let mut text = String::from_utf8(bytes("vllm-serve.json")).unwrap().trim_end().trim_end_matches('}').to_owned();
    text = text.replacen("\"inf\"", "Infinity", 1);
    text += &list("input_lens", &mut || "1024".to_owned());
    text += &list("output_lens", &mut || "256".to_owned());
    text += &list("ttfts", &mut || (0.2 + 0.3 * uniform()).to_string());
    text += &list("itls", &mut || {
        format!("[{}]", (0..255).map(|_| (0.02 + 0.03 * uniform()).to_string()).collect::<Vec<_>>().join(", "))
    });
    text += &list("generated_texts", &mut || format!("\"{SECRET} NaN \\\" {}\"", "word ".repeat(500)));
    text += &list("errors", &mut || "\"\"".to_owned());
    text += "}";
    text.into_bytes()
}

fn holds_every_token(bytes: &[u8]) {
    let run = &from_reader(bytes, "vllm.json").unwrap()[0];
    let itl = &run.metrics[&Quantity::Itl].values;
    // The summary's numbers stand, and what it leaves out is found in the times.
    assert!(close(itl.mean.unwrap(), 0.036_27) && itl.count.unwrap().is_multiple_of(255), "{itl:?}");
    assert!((itl.p90.unwrap() / 0.047 - 1.0).abs() < 0.01, "{:?}", itl.p90);
    assert_eq!(run.load.arrivals, Some(Arrivals::Unlimited));
    assert!(!run.to_json().contains(SECRET));
}

#[test]
fn a_file_with_every_token_is_reduced_to_what_it_says() {
    holds_every_token(&detailed(1 << 20));
}

#[test]
fn what_is_too_large_is_refused_with_the_limit() {
    let error = from_reader(std::io::repeat(b' '), "x").unwrap_err().to_string();
    assert_eq!(error, "it is larger than 128 MiB, which is more than is read of a result file");
    let rows = format!("[{}]", vec!["{\"a\": 1}"; 3_000_000].join(","));
    let error = from_bytes(rows.as_bytes(), "x").unwrap_err().to_string();
    assert!(error.contains("128 MiB of memory"), "{error}");
}

#[test]
#[ignore = "writes a file of 100 MB to measure with: `/usr/bin/time -v rooflab diagnose target/tmp/vllm-100mb.json …`"]
fn a_large_file() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("vllm-100mb.json");
    let bytes = detailed(100_000_000);
    assert!(bytes.len() > 100_000_000);
    holds_every_token(&bytes);
    fs::write(&path, bytes).unwrap();
}
