//! `rooflab diagnose` as its users meet it: where the time of a run went, what was found, and what is said of bad input.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use common::{Home, stable};
use insta::assert_snapshot;
use serde_json::Value;

/// Conformance cases C46 to C56: Qwen2.5-7B on an NPU of 300 TFLOP/s and 1.6 TB/s.
const QWEN: &str = "diagnose -m qwen2.5-7b -f npu-64gb-300tflops --batch 16 --prompt 1024 --generate 1024 --ttft 1088.62ms --tpot 18.77ms";

/// The slope of the time to the first token by the batch, C20 to C23, as one request of so many tokens.
const LLAMA: &str = "diagnose -m llama-7b -f nvidia-a100-sxm-80gb --batch 1 --prompt 482 --generate 1 --ttft 19.68ms";

fn run(line: &str) -> (i32, String, String) {
    let home = Home::new();
    let (code, out, err) = home.run(&line.split(' ').collect::<Vec<_>>());
    (code, stable(&out, &home), err)
}

/// The document of a run.
fn document(line: &str) -> Value {
    let (code, out, err) = Home::new().run(&line.split(' ').chain(["--json"]).collect::<Vec<_>>());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn file(name: &str) -> String {
    format!("{}/tests/observations/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The command fails with exit code 2 and says all of these, on standard error alone.
fn fails(line: &str, says: &[&str]) {
    let (code, out, err) = run(line);
    assert_eq!((code, out.trim()), (2, ""), "{line}: {err}");
    for part in says {
        assert!(err.contains(part), "`{line}` does not say `{part}`:\n{err}");
    }
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn c53_at_once() {
    let (code, out, err) = run(QWEN);
    assert_eq!((code, err.as_str()), (0, ""));
    for part in ["floor 9.72 ms (memory)", "gap 1.93×", "MFU 66.5 %", "decode is memory-bound", "unexplained"] {
        assert!(out.contains(part), "it does not say `{part}`:\n{out}");
    }
    assert_snapshot!("qwen", out);
}

#[test]
fn c23_an_input_is_overstated() {
    let (code, out, _) = run(&format!("{LLAMA} --fail-on error"));
    assert_eq!(code, 1);
    assert!(out.contains("RL001 error") && out.contains("An input is overstated"), "{out}");
    assert_snapshot!("llama", out);
}

#[test]
fn ascii_and_markdown() {
    let home = Home::new();
    let arguments: Vec<&str> = QWEN.split(' ').collect();
    let (_, ascii, _) = common::finish(home.rooflab(&arguments).env("LC_ALL", "C"));
    let bar = ascii.lines().find(|line| line.contains("weights 8.84")).unwrap();
    assert!(bar.is_ascii() && bar.chars().count() <= 100, "{bar}");
    let (_, markdown, _) = run(&format!("{QWEN} --format markdown"));
    assert_snapshot!("markdown", markdown);
}

#[test]
fn files_of_other_tools() {
    let (code, out, err) = run(&format!("diagnose {} -m llama-3.1-8b -f nvidia-h200-sxm", file("llama-bench.json")));
    assert_eq!(code, 0, "{err}");
    assert_snapshot!("llama-bench", out);
    let (code, out, err) = run(&format!("diagnose {} -m llama-3.1-8b -f nvidia-h200-sxm", file("vllm-serve.json")));
    assert_eq!(code, 0, "{err}");
    assert_snapshot!("vllm-serve", out);
}

#[test]
fn flags_win_over_files() {
    let path = file("vllm-serve.json");
    let document = document(&format!("diagnose {path} -m llama-3.1-8b -f nvidia-h200-sxm --concurrency 8 --tpot 9ms"));
    assert_eq!(document["scenario"]["load"]["concurrency"], 8);
    let decode = &document["phases"].as_array().unwrap().iter().find(|phase| phase["kind"] == "decode").unwrap();
    assert_eq!(decode["from"], "`--tpot`");
    assert!((decode["measured"].as_f64().unwrap() / 0.009 - 1.0).abs() < 1e-12);
}

#[test]
fn the_steps_of_the_document_sum_to_what_was_measured() {
    let document = document(QWEN);
    assert_eq!(document["schema"], "rooflab.diagnosis/1");
    for phase in document["phases"].as_array().unwrap() {
        let sum: f64 = phase["spent"].as_array().unwrap().iter().map(|spent| spent["time"].as_f64().unwrap()).sum();
        let measured = phase["measured"].as_f64().unwrap();
        assert!((sum / measured - 1.0).abs() < 1e-12, "{sum} of {measured}");
        let absent: Vec<&str> =
            phase["absent"].as_array().unwrap().iter().map(|absent| absent["cause"].as_str().unwrap()).collect();
        assert_eq!(absent, ["ceilings", "launch"]);
    }
}

#[test]
fn offloaded_weights_are_a_step_of_their_own() {
    let line = "diagnose -m qwen2.5-7b -f nvidia-h100-sxm --batch 1 --prompt 1024 --generate 128 --tpot 200ms --offload weights=0.3";
    let (code, out, err) = run(&format!("{line} --host-link 25GB/s,10us"));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_snapshot!("offload", out);
    let (_, out, _) = run(line);
    assert!(out.contains("nothing is known") && out.contains("`--host-link 25GB/s,10us`"), "{out}");
    fails(&format!("{line} --offload weights=0.1"), &["two shares"]);
    fails(&format!("{line} --host-link fast"), &["`--host-link fast`"]);
}

#[test]
fn speculation_is_costed_as_it_runs() {
    let line =
        "diagnose -m qwen2.5-7b -f nvidia-h100-sxm --batch 1 --prompt 1024 --generate 128 --tpot 6ms --draft-length 8";
    let (code, out, err) = run(&format!("{line} --acceptance 10% --draft qwen2.5-0.5b"));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_snapshot!("speculation", out);
    fails(&format!("{line} --acceptance 300%"), &["`--acceptance` is 3", "a share from 0 to 1"]);
    fails(&format!("{line} --acceptance 10% --draft nothing"), &["`nothing`", "hint:"]);
    fails(&format!("{line} --acceptance 10% --draft llama-3.2-1b"), &["tokens", "hint: a draft must know the tokens"]);
}

/// What rules find in a run on the two cores of a measured guest.
fn found_on_two_cores(line: &str) -> Vec<String> {
    let profile = format!("{}/profiles/measured/amd-epyc-zen4-2c-kvm.cpu.json", env!("CARGO_MANIFEST_DIR"));
    let document =
        document(&format!("diagnose -m qwen2.5-0.5b -f {profile} --batch 1 --prompt 512 --generate 64 {line}"));
    let findings = document["findings"].as_array().unwrap().iter();
    findings.map(|finding| finding["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_processor_has_rules_of_its_own() {
    assert!(found_on_two_cores("--ttft 5s --threads 1").contains(&"RL021".to_owned()));
    // As fast as two cores are: nothing that only a processor has is found.
    let healthy = found_on_two_cores("--tpot 28ms --threads 2");
    assert!(healthy.iter().all(|rule| rule.as_str() < "RL013"), "{healthy:?}");
}

#[test]
fn gates() {
    for (gate, code) in
        [("--fail-below 40%", 0), ("--fail-below 0.6", 1), ("--fail-on warning", 0), ("--fail-on note", 1)]
    {
        assert_eq!(run(&format!("{QWEN} {gate}")).0, code, "{gate}");
    }
}

#[test]
fn every_rule_has_a_page() {
    let (code, page, _) = run("explain RL003");
    assert!(code == 0 && page.starts_with("RL003  which bound it is\n"), "{page}");
    let (code, pages, _) = run("explain RL*");
    assert_eq!(code, 0);
    for rule in rooflab::diagnose::RULES {
        assert!(pages.contains(&format!("{}  {}", rule.id, rule.name)), "{}", rule.id);
    }
    fails("explain RL999", &["there is no rule `RL999`", "hint: there are: RL001"]);
}

#[test]
fn what_is_lacking_is_asked_for_by_its_flag() {
    fails("diagnose", &["nothing was measured", "`--ttft`", "hint:"]);
    fails(
        "diagnose -m qwen2.5-7b -f npu-64gb-300tflops --tpot 18.77ms --batch 16",
        &["`--prompt`", "`--generate`", "hint: add `--prompt 1024 --generate 256`"],
    );
    fails("diagnose --tpot 18.77ms --batch 1 --prompt 1 --generate 8", &["`--model`", "`--profile`"]);
    fails(
        "diagnose -m qwen2.5-7b -f npu-64gb-300tflops --batch 1 --prompt 8 --generate 8 --throughput 100",
        &["neither a time", "`--tpot`"],
    );
}

#[test]
fn bad_input() {
    let rest = "-m qwen2.5-7b -f npu-64gb-300tflops --batch 16 --prompt 1024 --generate 1024";
    fails(&format!("diagnose {rest} --tpot 0ms"), &["`0ms` is not a duration"]);
    fails(&format!("diagnose {rest} --tpot soon"), &["--tpot"]);
    fails(&format!("diagnose {rest} --tpot 1ms --throughput NaN"), &["`--throughput` is NaN"]);
    fails(&format!("diagnose {rest} --tpot 1ms --memory 7"), &["`fraction`"]);
    fails(&format!("diagnose {rest} --tpot 1ms --tp 3"), &["does not divide"]);
    fails(&format!("diagnose {rest} --tpot 1ms --fail-below much"), &["a share such as `70%`"]);
    fails(
        "diagnose -m qwen2.5-7b -f npu-64gb-300tflops --batch 1 --prompt 1000000000000 --generate 1 --ttft 1s",
        &["beyond the"],
    );
    fails(
        "diagnose -m nothing -f npu-64gb-300tflops --batch 1 --prompt 8 --generate 8 --tpot 1s",
        &["`nothing`", "hint:"],
    );
    fails("diagnose no-such-file.json -m qwen2.5-7b", &["cannot use `no-such-file.json`", "hint:"]);
    fails(&format!("diagnose {} -m qwen2.5-7b -f npu", file("README.md")), &["README.md", "hint:"]);
}

/// Two cores of a virtual machine, measured two hours after the runs of `tests/observations` that were made on it.
fn golden_cove() -> String {
    format!("{}/tests/profiles/golden-cove-2c-kvm.json", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_product_of_numpy() {
    let line = format!("diagnose -f {} --product 2048x2048x2048 --dtype f32", golden_cove());
    let (code, out, err) = run(&format!("{line} --time 93ms"));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_snapshot!("product", out);
    // With the vectors of AVX2 alone.
    let (_, out, _) = run(&format!("{line} --time 141.6ms"));
    assert!(out.contains("RL020 note") && out.contains("AVX2"), "{out}");
    let (_, markdown, _) = run(&format!("{line} --time 93ms --format markdown"));
    assert!(markdown.contains("| product, from the floor to what was measured | time | share |"), "{markdown}");
}

#[test]
fn a_product_in_bf16_that_uses_slow_instructions() {
    let found =
        document(&format!("diagnose -f {} --product 2048x2048x2048 --dtype bf16 --time 125.6ms", golden_cove()));
    assert_eq!(found["schema"], "rooflab.product/1");
    let rules: Vec<&str> =
        found["findings"].as_array().unwrap().iter().map(|finding| finding["rule"].as_str().unwrap()).collect();
    assert!(rules.contains(&"RL030"), "{rules:?}");
    let sum: f64 = found["spent"].as_array().unwrap().iter().map(|spent| spent["time"].as_f64().unwrap()).sum();
    assert!((sum / 0.1256 - 1.0).abs() < 1e-12);
}

#[test]
fn products_have_gates_and_say_what_is_wrong() {
    let line = format!("diagnose -f {} --product 2048x2048x2048 --dtype f32", golden_cove());
    assert_eq!(run(&format!("{line} --time 93ms --fail-below 40%")).0, 0);
    assert_eq!(run(&format!("{line} --time 930ms --fail-below 40%")).0, 1);
    assert_eq!(run(&format!("{line} --time 1ms --fail-on error")).0, 1);
    fails(&line, &["--time"]);
    fails(&format!("{line} --time 0ms"), &["`0ms` is not a duration"]);
    fails(&format!("{line} --time 1ms -m llama-3.1-8b"), &["cannot be used with"]);
    fails(&format!("{line} --time 1ms --batch 8 --draft nothing"), &["cannot be used with"]);
    fails(
        "diagnose -f nvidia-h100-sxm --product 8192x8192x8192 --dtype bf16 --time 2ms --threads 8",
        &["`--threads` is for processors", "hint:"],
    );
    fails(
        "diagnose -f nvidia-h100-sxm --product 99999999999x99999999999x99999999999 --dtype bf16 --time 2ms",
        &["more operations than can be counted"],
    );
}

#[test]
fn runs_made_on_the_measured_machine() {
    let profile = golden_cove();
    let (code, out, err) = run(&format!("diagnose {} -f {profile}", file("pytorch-qwen2.5-0.5b.json")));
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("RL030 note"), "{out}");
    assert_snapshot!("pytorch", out);
    let (code, out, err) =
        run(&format!("diagnose {} -m qwen2.5-0.5b -f {profile}", file("llama-bench-qwen2.5-0.5b.json")));
    assert_eq!(code, 0, "{err}");
    // What is generated begins with an empty cache there.
    assert!(out.contains("1 × 1 token at 32 of context"), "{out}");
    assert_snapshot!("llama-bench-here", out);
}

#[test]
fn kernels_of_a_profiler() {
    let path = file("nsight-compute-raw.csv");
    let (code, out, err) = run(&format!("diagnose {path} -f nvidia-h200-sxm"));
    assert_eq!((code, err.as_str()), (0, ""));
    assert_snapshot!("kernels", out);
    let found = document(&format!("diagnose {path} -f nvidia-h200-sxm"));
    assert_eq!(found["schema"], "rooflab.kernels/1");
    assert_eq!(found["kernels"].as_array().unwrap().len(), 7);
    assert_eq!(run(&format!("diagnose {path} -f nvidia-h200-sxm --fail-below 99%")).0, 1);
    fails(&format!("diagnose {path}"), &["which device it ran on (`--profile`)"]);
    fails(
        &format!("diagnose {path} -f nvidia-h200-sxm --fail-on note"),
        &["none is asked of kernels", "`--fail-below"],
    );
    // What nothing was counted of has no ceiling, and no share of one.
    let home = Home::new();
    let uncounted = home.path().join("times.csv");
    let names = "\"ID\",\"Process ID\",\"Process Name\",\"Kernel Name\",\"gpu__time_duration.sum\"";
    std::fs::write(&uncounted, format!("{names}\n,,,,\"us\"\n\"0\",\"1\",\"a\",\"gemm\",\"5.0\"\n")).unwrap();
    let uncounted = format!("diagnose {} -f nvidia-h200-sxm", uncounted.display());
    assert_eq!(document(&uncounted)["known"].to_string(), "0.0");
    fails(&format!("{uncounted} --fail-below 1%"), &["no kernel has a ceiling", "hint:"]);
    // Beside a run, both are said.
    let both = document(&format!("diagnose {path} {} -m llama-3.1-8b -f nvidia-h200-sxm", file("vllm-serve.json")));
    let schemas: Vec<&str> =
        both.as_array().unwrap().iter().map(|document| document["schema"].as_str().unwrap()).collect();
    assert_eq!(schemas, ["rooflab.diagnosis/1", "rooflab.kernels/1"]);
}

#[test]
fn links_beside_a_run_are_its_link() {
    let line = "diagnose -m llama-3.1-70b -f nvidia-h200-sxm --batch 8 --prompt 1024 --generate 256 --tpot 12ms --tp 8";
    let of = |files: &str| document(&format!("{line} {files}"));
    let sums = of(&file("nccl-tests.txt"));
    let from = sums["link"]["from"].as_str().unwrap();
    assert!(from.contains("nccl-tests.txt") && from.contains("all_reduce") && from.contains("8 devices"), "{from}");
    assert!(sums["phases"][0]["spent"].as_array().unwrap().iter().any(|spent| spent["on"] == "communication"));
    // The flag wins, and sums count before copies.
    assert_eq!(of(&format!("{} --link 450GB/s,5us", file("nccl-tests.json")))["link"]["from"], "`--link`");
    let both = of(&format!("{} {}", file("nvbandwidth.json"), file("nccl-tests.json")));
    assert!(both["link"]["from"].as_str().unwrap().contains("nccl-tests.json"));
    assert!(of(&file("nvbandwidth.json"))["link"]["from"].as_str().unwrap().contains("the slowest pair"));
    // What is not used is said.
    let says = |document: &Value, text: &str| {
        let caveats = document["caveats"].as_array().unwrap();
        assert!(caveats.iter().any(|caveat| caveat.as_str().unwrap().contains(text)), "{caveats:?}");
    };
    says(&both, "nothing was taken from `nvbandwidth.json`: the link is that of another file");
    says(&of(&format!("{} --link 450GB/s,5us", file("nccl-tests.json"))), "`--link` wins over `nccl-tests.json`");
    let home = Home::new();
    let broadcast = home.path().join("broadcast.txt");
    let text = std::fs::read_to_string(file("nccl-tests.txt")).unwrap().replace("all_reduce_perf", "broadcast_perf");
    std::fs::write(&broadcast, text).unwrap();
    let alone = of(broadcast.to_str().unwrap());
    assert_eq!(alone["link"], Value::Null);
    says(&alone, "no step of a model has a `broadcast`");
    fails(&format!("diagnose {}", file("nvbandwidth.json")), &["neither a run of a model nor kernels", "hint:"]);
}
