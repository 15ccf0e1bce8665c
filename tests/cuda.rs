//! Drives the real command on a stand-in for NVIDIA's driver that runs the shipped PTX in an interpreter: every kernel against its reference and against the work that is
//! stated for it, also when threads are interrupted at random; and the days on which there is no driver, an old one, no memory, or no device any more.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests fails the test")]

mod common;
#[path = "cuda/steps.rs"]
mod steps;
#[path = "cuda/vendor.rs"]
mod vendor;

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use common::{Home, finish};
use serde_json::Value;

/// The folder of the stand-ins' libraries, which are built when they are first asked for.
///
/// It is a folder of its own: cargo lets whatever it runs find the libraries of its usual one, and no other test shall find a GPU.
fn stand_in() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("../stand-in");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "stand-in-cuda", "--package", "stand-in-libraries", "--target-dir"])
            .arg(&target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(built.expect("cargo can be started").success(), "the stand-in does not compile");
        target.join("debug").canonicalize().unwrap()
    })
}

/// Runs the command with the stand-in as its driver.
fn run(home: &Home, arguments: &[&str], knobs: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = home.rooflab(arguments);
    command.env("LD_LIBRARY_PATH", stand_in()).envs(knobs.iter().copied());
    finish(&mut command)
}

/// What `probe --check` says of each kernel.
fn check(patterns: &[&str], knobs: &[(&str, &str)]) -> Vec<Value> {
    let mut arguments = vec!["probe", "-d", "cuda:0", "--check", "--effort", "quick", "--json"];
    arguments.extend(patterns.iter().flat_map(|pattern| ["-p", pattern]));
    let (code, out, err) = run(&Home::new(), &arguments, knobs);
    assert_eq!(code, 0, "{out}{err}");
    assert!(!err.contains("stand-in"), "the interpreter found a fault: {err}");
    serde_json::from_str(&out).unwrap()
}

fn right(rows: &[Value]) -> usize {
    rows.iter().filter(|row| row["ok"] == true).count()
}

#[test]
fn every_kernel_is_right() {
    // With a second device to send to.
    let rows = check(&["*"], &[("STAND_IN_DEVICES", "2")]);
    assert!(right(&rows) > 200, "only {} kernels were verified", right(&rows));
    for row in rows.iter().filter(|row| row["ok"] == false) {
        let reason = row["reason"].as_str().unwrap();
        let expected = ["yet", "multiply-adds summed in", "have no int4", "by NCCL, and it is not used"];
        assert!(expected.iter().any(|known| reason.contains(known)), "{row}");
    }
}

#[test]
fn kernels_of_older_devices_are_right() {
    // Volta with the oldest driver: no bf16 arithmetic, no fp8 conversion in hardware.
    let knobs = [("STAND_IN_CAPABILITY", "7.0"), ("STAND_IN_DRIVER", "11.4")];
    let rows = check(&["gemv.*", "compute.vector.*", "rowwise.rmsnorm.bf16", "attention.decode.*"], &knobs);
    assert!(right(&rows) > 30, "only {} kernels were verified", right(&rows));
    let bf16 = rows.iter().find(|row| row["ceiling"] == "compute.vector.bf16").unwrap();
    assert_eq!(bf16["reason"], "bf16 needs compute capability 8.0");
}

#[test]
fn matrix_units_of_every_generation_are_right() {
    // What each measures of itself; the rest is refused with what it takes, also a peak that `mma.sync` does not reach.
    let ampere = ["f16.f32", "f16", "bf16.f32", "tf32.f32", "int8.int32", "f64"];
    // No Hopper and nothing later has 4-bit integers.
    let gone = "have no int4";
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("7.5", &["f16.f32", "f16", "int8.int32", "int4.int32"], &["compute capability 8."]),
        ("8.0", &[&ampere[..], &["int4.int32"]].concat(), &["compute capability 8.9"]),
        ("8.9", &[&ampere[..], &["fp8_e4m3.f32", "int4.int32"]].concat(), &[]),
        ("9.0", &["f64", "f16.f32", "bf16.f32", "tf32.f32", "fp8_e4m3.f32", "int8.int32"], &["wgmma", gone]),
        ("12.0", &[&ampere[..], &["fp8_e4m3.f32"]].concat(), &[gone]),
    ];
    for (capability, formats, refusals) in cases {
        let rows = check(&["compute.matrix.*"], &[("STAND_IN_CAPABILITY", capability)]);
        assert!(!rows.is_empty());
        let mut found: Vec<&str> = Vec::new();
        for row in &rows {
            let ceiling = row["ceiling"].as_str().unwrap();
            match row["reason"].as_str() {
                None => found.push(ceiling.trim_start_matches("compute.matrix.")),
                Some(reason) => {
                    assert!(refusals.iter().any(|refusal| reason.contains(refusal)), "{capability}: {row}");
                }
            }
        }
        found.retain(|ceiling| !ceiling.ends_with("@core"));
        found.sort_unstable();
        found.dedup();
        let mut formats = formats.to_vec();
        formats.sort_unstable();
        assert_eq!(found, formats, "{capability}");
    }
}

#[test]
fn sparse_matrix_units_of_every_generation_are_right() {
    let (ampere, fp8) = (["bf16.f32", "f16", "f16.f32", "int8.int32", "tf32.f32"], "compute capability 8.9");
    let ada = ["bf16.f32", "f16", "f16.f32", "fp8_e4m3.f32", "int8.int32", "tf32.f32"];
    let hopper = ["bf16.f32", "f16.f32", "fp8_e4m3.f32", "int8.int32", "tf32.f32"];
    let cases: [(&str, &[&str], &[&str], &str); 6] = [
        ("7.5", &[], &["8.0", "8.9"], ""),
        ("8.0", &ampere, &[fp8], "mma.sp"),
        ("8.9", &ada, &[], "mma.sp"),
        ("9.0", &hopper, &["wgmma"], "wgmma.sp"),
        ("10.0", &[], &["tcgen05"], ""),
        ("12.0", &ada, &[], "mma.sp"),
    ];
    for (capability, formats, refusals, instruction) in cases {
        let knobs = [("STAND_IN_CAPABILITY", capability), ("STAND_IN_SCHEDULE", "1")];
        let rows = check(&["compute.matrix_sparse.*"], &knobs);
        let mut found = Vec::new();
        for row in &rows {
            match row["reason"].as_str() {
                None => {
                    let variant = row["variant"].as_str().unwrap();
                    assert!(variant.starts_with(instruction) && variant.contains("counted as dense"), "{row}");
                    found.push(row["ceiling"].as_str().unwrap().trim_start_matches("compute.matrix_sparse."));
                }
                Some(reason) => {
                    assert!(refusals.iter().any(|refusal| reason.contains(refusal)), "{capability}: {row}");
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        assert_eq!(found, formats, "{capability}");
    }
}

/// Ceilings of a probe that saves nothing.
fn probed(patterns: &[&str], knobs: &[(&str, &str)]) -> Vec<Value> {
    let mut arguments = vec!["probe", "-d", "cuda:0", "--effort", "quick", "--json", "--no-save"];
    arguments.extend(patterns.iter().flat_map(|pattern| ["-p", pattern]));
    let (code, out, err) = run(&Home::new(), &arguments, knobs);
    assert_eq!(code, 0, "{out}{err}");
    let profile: Value = serde_json::from_str(&out).unwrap();
    profile["ceilings"].as_array().unwrap().clone()
}

#[test]
fn matrix_units_that_there_is_no_kernel_for_are_not_said_to_be_missing() {
    let peak = |formats: &str| format!("compute.matrix.{formats}");
    for (capability, driver, skipped, reason) in [
        ("7.0", "12.9", &["f16", "f16.f32"][..], "Volta"),
        ("10.0", "12.9", &["f16", "f16.f32", "bf16.f32", "tf32.f32", "fp8_e4m3.f32", "int8.int32"], "tcgen05"),
        // What is missing here is a newer driver.
        ("8.9", "12.2", &["fp8_e4m3.f32"], "CUDA 12.4"),
        ("9.0", "11.8", &["f64"], "CUDA 12.0"),
    ] {
        let peaks: Vec<String> = skipped.iter().map(|formats| peak(formats)).collect();
        let patterns: Vec<&str> = peaks.iter().map(String::as_str).collect();
        // The load that shows the clock is as long as a device is wide.
        let knobs =
            [("STAND_IN_CAPABILITY", capability), ("STAND_IN_DRIVER", driver), ("STAND_IN_MULTIPROCESSORS", "1")];
        let ceilings = probed(&patterns, &knobs);
        assert!(ceilings.len() >= peaks.len(), "{capability}: {ceilings:?}");
        for ceiling in ceilings {
            assert_eq!(ceiling["status"], "skipped", "{capability}: {ceiling}");
            assert!(ceiling["reason"].as_str().unwrap().contains(reason), "{capability}: {ceiling}");
        }
    }
}

#[test]
fn products_of_any_shape_are_right() {
    // Edges in both directions, and a length that is divided; fp8 where matrix units multiply it.
    for (shape, capability) in [
        ("33x100x1088", "8.9"),
        ("1x260x1088", "8.9"),
        ("130x260x128", "8.9"),
        ("33x100x1088", "9.0"),
        ("130x260x192", "9.0"),
    ] {
        let arguments = ["probe", "-d", "cuda:0", "--check", "--json", "-p", "gemm.*", "--shape", shape];
        let (code, out, err) = run(&Home::new(), &arguments, &[("STAND_IN_CAPABILITY", capability)]);
        assert_eq!(code, 0, "{shape}: {out}{err}");
        let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
        for format in ["gemm.f16.f32", "gemm.bf16.f32", "gemm.fp8_e4m3.f32", "gemm.int8.int32"] {
            let of_format: Vec<&Value> = rows.iter().filter(|row| row["ceiling"] == format).collect();
            assert!(of_format.iter().any(|row| row["ok"] == true), "{shape}: {format} {of_format:?}");
            let by_warpgroups = |row: &&&Value| row["variant"].as_str().is_some_and(|name| name.starts_with("wgmma"));
            let count = of_format.iter().filter(by_warpgroups).count();
            assert!(if capability == "9.0" { count >= 1 } else { count == 0 }, "{shape}: {of_format:?}");
        }
    }
}

#[test]
fn kernels_do_not_depend_on_who_runs_first() {
    let patterns = [
        "memory.dram.read",
        "gemv.bf16",
        "gemv.int4*",
        "rowwise.softmax.f32",
        "attention.decode.int8",
        "attention.prefill.*",
        "overhead.*",
    ];
    for seed in ["1", "2"] {
        let rows = check(&patterns, &[("STAND_IN_SCHEDULE", seed), ("STAND_IN_RACES", "1")]);
        assert!(right(&rows) > 20, "only {} kernels were verified", right(&rows));
    }
}

/// What the interpreter counted in the launches of kernels whose names begin with something.
fn launches(log: &std::path::Path, name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["kernel"].as_str().unwrap().starts_with(name)).collect()
}

#[test]
fn kernels_do_the_work_that_is_stated() {
    type OfTable = fn(f64) -> f64;
    // One iteration each; operators that read a vector or a table again and again from caches are held by what they touch. The table's bytes, which are not stated,
    // follow from those that are written: a norm's weights are 4096 numbers in all, angles 128 for the 4096 numbers of a row, and a gathered row has one place.
    let cases: [(&str, &str, OfTable); 19] = [
        ("memory.dram.read", "read_", |_| 0.0),
        ("memory.dram.write", "write_", |_| 0.0),
        ("memory.dram.copy", "copy_", |_| 0.0),
        ("memory.dram.scale", "scale_", |_| 0.0),
        ("memory.dram.add", "add_", |_| 0.0),
        ("memory.dram.triad", "triad_", |_| 0.0),
        ("gemv.f32", "gemv_f32", |_| 0.0),
        ("gemv.bf16", "gemv_bf16", |_| 0.0),
        ("gemv.fp8*", "gemv_fp8", |_| 0.0),
        ("gemv.int8*", "gemv_int8", |_| 0.0),
        ("gemv.int4*", "gemv_int4", |_| 0.0),
        ("attention.decode.bf16", "decode_bf16", |_| 0.0),
        ("attention.decode.int8", "decode_int8", |_| 0.0),
        ("rowwise.silu_mul.bf16", "silu_mul_bf16", |_| 0.0),
        ("rowwise.add.f32", "add_f32", |_| 0.0),
        ("rowwise.softmax.f32", "softmax_f32", |_| 0.0),
        ("rowwise.rmsnorm.f32", "rmsnorm_f32", |_| 4096.0 * 4.0),
        ("rowwise.rope.f32", "rope_f32", |written| written * 128.0 / 4096.0),
        ("rowwise.gather.bf16", "gather_bf16", |written| written * 4.0 / (4096.0 * 2.0)),
    ];
    for (pattern, kernel, of_table) in cases {
        let log = tempfile::NamedTempFile::new().unwrap();
        let rows = check(&[pattern], &[("STAND_IN_LAUNCHES", log.path().to_str().unwrap())]);
        let counted = launches(log.path(), kernel);
        assert_eq!(counted.len(), rows.len(), "{pattern}: a launch for each variant");
        for (row, launch) in rows.iter().zip(&counted) {
            let number = |value: &Value| value.as_f64().unwrap();
            let stated = |field: &str| number(&row["work"][field]);
            // Queries, sums of what was read and the like are not stated: they are nothing beside what is moved.
            let near =
                |found: f64, stated: f64, beside: f64| (found - stated).abs() <= 0.01 * beside.max(64.0 * 1024.0);
            let moved = stated("bytes_read") + stated("bytes_written");
            let (read, wrote) = (number(&launch["distinct_loaded"]), number(&launch["distinct_stored"]));
            let of_table = of_table(stated("bytes_written"));
            let expected = stated("bytes_read") + of_table;
            assert!(near(read, expected, expected), "{row} loads {read}: {launch}");
            // What stretches of a context come to is joined by a second kernel.
            if !pattern.starts_with("attention") {
                assert!(near(wrote, stated("bytes_written"), moved), "{row} stores {wrote}: {launch}");
            }
            // Nothing big is loaded twice. Queries and scales are, by threads that load the same together.
            let again = number(&launch["loaded"]) / stated("bytes_read").max(1.0);
            // A norm's weights and a rotation's angles are the same for every row, and come from caches.
            let from_caches =
                ["attention", "rowwise.rmsnorm", "rowwise.rope"].iter().any(|name| pattern.starts_with(name));
            assert!(
                again < 1.3 || from_caches || stated("bytes_read") == 0.0,
                "{row} loads {again} times what it needs: {launch}"
            );
        }
    }
}

#[test]
fn products_do_the_work_that_is_stated() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let rows = check(&["gemm.bf16.f32"], &[("STAND_IN_LAUNCHES", log.path().to_str().unwrap())]);
    let counted = launches(log.path(), "gemm_");
    assert!(!rows.is_empty() && counted.len() == rows.len(), "a launch for each variant");
    // Hopper has them by both of its instructions.
    for way in ["mma.sync", "wgmma", "in pairs"] {
        assert!(rows.iter().any(|row| row["variant"].as_str().unwrap().contains(way)), "{way}: {rows:?}");
    }
    for (row, launch) in rows.iter().zip(&counted) {
        assert_eq!(launch["operations"]["matrix"], row["work"]["ops"], "{row}: {launch}");
        assert_eq!(launch["distinct_loaded"], row["work"]["bytes_read"], "{row}: {launch}");
        assert_eq!(launch["bank_conflicts"], 0, "{row}: {launch}");
    }
}

#[test]
fn attention_of_prompts_does_the_work_that_is_stated() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let rows = check(&["attention.prefill.bf16"], &[("STAND_IN_LAUNCHES", log.path().to_str().unwrap())]);
    let counted = launches(log.path(), "prefill_bf16");
    // Verified with queries of zeros, and with others.
    assert!(!rows.is_empty() && counted.len() == 2 * rows.len(), "{rows:?}");
    for (row, launch) in rows.iter().zip(counted.chunks(2).map(|pair| &pair[1])) {
        let (stated, read) = (row["work"]["ops"].as_f64().unwrap(), row["work"]["bytes_read"].as_f64().unwrap());
        // 8 · 128 operations for a pair of each of four heads, over six rows of 256 bytes for each token.
        let context = (1.5 * stated / read - 1.0).round();
        assert_eq!(context % 64.0, 0.0, "{row}");
        // Half of the block of 64 keys on the diagonal is multiplied for nothing.
        let multiplied = stated * (context + 64.0) / (context + 1.0);
        assert_eq!(launch["operations"]["matrix"].as_f64(), Some(multiplied), "{row}: {launch}");
        assert_eq!(launch["distinct_loaded"], row["work"]["bytes_read"], "{row}: {launch}");
        assert_eq!(launch["distinct_stored"], row["work"]["bytes_written"], "{row}: {launch}");
        assert_eq!(launch["bank_conflicts"], 0, "{row}: {launch}");
    }
}

#[test]
fn multiply_adds_are_counted_right() {
    let cases = [
        ("compute.vector.f32", "multiply_add", "f32"),
        ("compute.vector.f64", "multiply_add", "f64"),
        ("compute.vector.f16", "multiply_add", "f16"),
        ("compute.vector.bf16", "multiply_add", "bf16"),
        ("compute.vector.int32", "multiply_add", "integer_multiply_add"),
        ("compute.vector.int8.int32", "multiply_add", "integer_dot"),
        ("compute.matrix.bf16.f32", "matrix", "matrix"),
        ("compute.matrix.int4.int32", "matrix", "matrix"),
        ("compute.matrix_sparse.bf16.f32", "matrix_sparse", "matrix"),
        ("compute.matrix_sparse.tf32.f32", "matrix_sparse", "matrix"),
        ("compute.matrix_sparse.fp8_e4m3.f32", "matrix_sparse", "matrix"),
    ];
    for (pattern, kernel, class) in cases {
        let log = tempfile::NamedTempFile::new().unwrap();
        // Ada Lovelace reaches the peak of all its units with the same instructions.
        let knobs = [("STAND_IN_LAUNCHES", log.path().to_str().unwrap()), ("STAND_IN_CAPABILITY", "8.9")];
        let rows = check(&[pattern], &knobs);
        let counted = launches(log.path(), kernel);
        assert!(!rows.is_empty() && right(&rows) == rows.len(), "{pattern}: {rows:?}");
        assert_eq!(counted.len(), 2 * rows.len(), "{pattern}: one iteration and seventeen, for each variant");
        for (row, pair) in rows.iter().zip(counted.chunks(2)) {
            let stated = row["work"]["ops"].as_u64().unwrap();
            let operations = |launch: &Value| launch["operations"][class].as_u64().unwrap();
            // What 16 iterations more do is the loop's work, and what a thread prepares that had no turn at all before.
            let more = operations(&pair[1]) - operations(&pair[0]) - 16 * stated;
            assert!(stated > 0 && more * 100 < stated, "{row}: {more} more");
        }
    }
}

#[test]
fn a_profile_of_a_stand_in_is_whole_and_warns() {
    let home = Home::new();
    let arguments = [
        "probe",
        "-d",
        "cuda:0",
        "--effort",
        "quick",
        "-p",
        "overhead.launch",
        "-p",
        "memory.dram.copy",
        "-p",
        "link.host.h2d",
        "--json",
        "--name",
        "stand-in",
    ];
    let (code, out, err) = run(&home, &arguments, &[]);
    assert_eq!(code, 0, "{out}{err}");
    let profile: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(profile["device"]["kind"], "software");
    assert_eq!(profile["instrument"]["timer"]["source"], "device_events");
    for ceiling in profile["ceilings"].as_array().unwrap() {
        assert!(ceiling["status"] == "ok" || ceiling["reason"].is_string(), "{ceiling}");
    }
    let (code, out, err) = home.run(&["profile", "check", "stand-in"]);
    assert!(code == 0 && err.contains("SOFTWARE"), "{out}{err}");
}

#[test]
fn a_gpu_is_shown_by_its_multiprocessors_with_all_that_was_measured() {
    let patterns = ["atomic.*", "overhead.*", "memory.l1.read@core", "compute.vector.f32*"];
    let mut arguments = vec!["probe", "-d", "cuda:0", "--effort", "quick"];
    arguments.extend(patterns.iter().flat_map(|pattern| ["-p", pattern]));
    let (code, out, err) = run(&Home::new(), &arguments, &[("STAND_IN_MEMORY", "2000000")]);
    assert_eq!(code, 0, "{out}{err}");
    for shown in ["4 multiprocessors", "compute, one multiprocessor", "atomic\n├─ own", "graph_launch"] {
        assert!(out.contains(shown), "no `{shown}` in {out}");
    }
}

#[test]
fn a_stand_in_is_never_chosen_by_itself() {
    let (code, out, err) = run(&Home::new(), &["probe", "--plan", "--json"], &[]);
    // A build without processors has nothing left to choose.
    assert_eq!(code, if cfg!(feature = "cpu") { 0 } else { 2 }, "{err}");
    assert!(!out.contains("cuda:0"), "{out}");
}

/// What `devices` says of the backend, and what a probe ends with.
fn failure(knobs: &[(&str, &str)]) -> (String, i32, String) {
    let home = Home::new();
    let (code, devices, err) = run(&home, &["devices"], knobs);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = run(&home, &["probe", "-d", "cuda:0", "-p", "overhead.launch"], knobs);
    (devices, code, err)
}

#[test]
fn without_a_driver_there_is_a_polite_word() {
    let home = Home::new();
    let mut command = home.rooflab(&["devices"]);
    command.env("LD_LIBRARY_PATH", "/nonexistent");
    let (code, out, err) = finish(&mut command);
    assert_eq!(code, 0, "{err}");
    // A machine with a GPU has a driver.
    assert!(out.contains("no CUDA driver found") || out.contains("cuda:0"), "{out}");
}

#[test]
fn a_driver_that_cannot_be_used_is_an_error_with_a_hint() {
    let (devices, code, err) = failure(&[("STAND_IN_INIT", "100")]);
    assert!(devices.contains("CUDA_ERROR_NO_DEVICE"), "{devices}");
    assert_eq!(code, 2);
    assert!(err.contains("CUDA_ERROR_NO_DEVICE") && err.contains("nvidia-smi"), "{err}");
    // Drivers that are newer than the bindings have answers of their own.
    for unknown in ["918", "12345"] {
        let (devices, code, err) = failure(&[("STAND_IN_INIT", unknown)]);
        let said = format!("CUDA error {unknown}");
        assert!(code == 2 && devices.contains(&said) && err.contains(&said), "{code}: {devices}{err}");
    }
    let (devices, code, _) = failure(&[("STAND_IN_DEVICES", "0")]);
    assert!(code == 2 && devices.contains("no CUDA-capable device"), "{devices}");
}

#[test]
fn kernels_that_are_too_new_for_a_driver_are_left_out() {
    // Hopper with a driver from before it: there is PTX that it reads.
    let rows = check(&["gemv.fp8*", "memory.dram.read"], &[("STAND_IN_DRIVER", "11.4")]);
    assert_eq!(right(&rows), rows.len());
    // Products have a way that it knows, but for those of fp8.
    let rows = check(&["gemm.bf16.f32", "gemm.fp8*"], &[("STAND_IN_DRIVER", "11.8")]);
    for row in &rows {
        if row["ok"] == true {
            let variant = row["variant"].as_str().unwrap();
            assert!(variant.starts_with("mma.sync") && variant.contains("`wgmma` cannot be used"), "{row}");
        } else {
            assert!(row["reason"].as_str().unwrap().contains("CUDA 12.0"), "{row}");
        }
    }
    assert!(right(&rows) > 0 && right(&rows) < rows.len(), "{rows:?}");
    let home = Home::new();
    let arguments = ["probe", "-d", "cuda:0", "--check", "-p", "memory.dram.read"];
    let (code, _, err) = run(&home, &arguments, &[("STAND_IN_DRIVER", "11.0")]);
    assert_eq!(code, 2);
    assert!(err.contains("CUDA 11.4") && err.contains("11.0"), "{err}");
}

#[test]
fn a_device_without_memory_is_no_disaster() {
    let home = Home::new();
    let arguments =
        ["probe", "-d", "cuda:0", "--effort", "quick", "-p", "memory.dram.copy", "-p", "overhead.launch", "--json"];
    let (code, out, err) = run(&home, &arguments, &[("STAND_IN_MEMORY", "100000")]);
    assert_eq!(code, 0, "{err}");
    let profile: Value = serde_json::from_str(&out).unwrap();
    let status = |name: &str| {
        let ceilings = profile["ceilings"].as_array().unwrap();
        ceilings.iter().find(|ceiling| ceiling["resource"] == name).map(|ceiling| ceiling["status"].clone()).unwrap()
    };
    assert_eq!(status("memory.dram.copy"), "failed");
    assert_eq!(status("overhead.launch"), "ok");
}

/// A probe of two ceilings, of which the second is measured after the first, and what became of them.
fn write_and_gemv(knobs: &[(&str, &str)]) -> (i32, [Value; 2]) {
    let patterns = ["memory.dram.write", "gemv.bf16"];
    let mut arguments = vec!["probe", "-d", "cuda:0", "--effort", "quick", "--json", "--no-save"];
    arguments.extend(patterns.iter().flat_map(|pattern| ["-p", pattern]));
    let (code, out, err) = run(&Home::new(), &arguments, knobs);
    let profile: Result<Value, _> = serde_json::from_str(&out);
    assert!(profile.is_ok(), "{code}: {err}");
    let profile = profile.unwrap();
    let ceilings = profile["ceilings"].as_array().unwrap();
    let found = |name: &str| ceilings.iter().find(|ceiling| ceiling["resource"] == name).unwrap().clone();
    (code, patterns.map(found))
}

#[test]
fn a_device_that_is_lost_keeps_what_was_measured() {
    // The last has no name in any driver of today.
    for code_of_loss in ["719", "700", "226", "12345"] {
        let knobs = [("STAND_IN_LOSE_AT", "gemv"), ("STAND_IN_LOSE_AS", code_of_loss)];
        let (code, [write, gemv]) = write_and_gemv(&knobs);
        assert_eq!((code, &write["status"], &gemv["status"]), (0, &Value::from("ok"), &Value::from("failed")));
        let reason = gemv["reason"].as_str().unwrap();
        let expected = if code_of_loss == "12345" { "CUDA error 12345" } else { "the device was lost" };
        assert!(reason.contains(expected), "{code_of_loss}: {reason}");
    }
}

#[test]
fn a_device_that_stops_in_the_middle_is_left_alone() {
    let home = Home::new();
    for pattern in ["gemv.bf16", "link.host.h2d", "overhead.graph_launch"] {
        let arguments = [
            "probe",
            "-d",
            "cuda:0",
            "--effort",
            "quick",
            "--json",
            "-p",
            "overhead.launch",
            "-p",
            pattern,
            "--patience",
            "300ms",
        ];
        let mut command = home.rooflab(&arguments);
        command.env("LD_LIBRARY_PATH", stand_in()).env("STAND_IN_STALL_AFTER", "30");
        // Whatever waits for such a device waits for ever.
        let (_, out, err) = finish(command.timeout(std::time::Duration::from_secs(60)));
        let profile: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("it hung: {err}"));
        let ceilings = profile["ceilings"].as_array().unwrap();
        assert!(ceilings.iter().all(|ceiling| ceiling["status"] == "failed"), "{ceilings:?}");
        let reasons: Vec<&str> = ceilings.iter().map(|ceiling| ceiling["reason"].as_str().unwrap()).collect();
        assert!(reasons.iter().all(|reason| reason.contains("no answer within 300 ms")), "{reasons:?}");
    }
}

#[test]
fn two_devices_send_to_each_other() {
    let patterns = ["link.peer.send*", "overhead.peer_send"];
    for (device, peers, limit, expected) in [
        ("cuda:0", "1", "2", "with cuda:1, directly"),
        ("cuda:1", "1", "2", "with cuda:0, directly"),
        ("cuda:0", "1", "1", "with cuda:1, directly one way, through the host's memory the other"),
        ("cuda:0", "0", "2", "with cuda:1, through the host's memory"),
    ] {
        let mut arguments = vec!["probe", "-d", device, "--json", "--no-save"];
        arguments.extend(patterns.iter().flat_map(|pattern| ["-p", pattern]));
        let knobs = [
            ("STAND_IN_DEVICES", "2"),
            ("STAND_IN_MULTIPROCESSORS", "1"),
            ("STAND_IN_PEERS", peers),
            ("STAND_IN_PEER_LIMIT", limit),
        ];
        let (code, out, err) = run(&Home::new(), &arguments, &knobs);
        assert_eq!(code, 0, "{out}{err}");
        let profile: Value = serde_json::from_str(&out).unwrap();
        let ceilings = profile["ceilings"].as_array().unwrap();
        let named = |name: &str| ceilings.iter().find(|ceiling| ceiling["resource"] == name).unwrap();
        for (name, unit, least) in
            [("link.peer.send", "B/s", 3), ("link.peer.send_both", "B/s", 1), ("overhead.peer_send", "s", 1)]
        {
            let ceiling = named(name);
            assert_eq!((&ceiling["status"], &ceiling["unit"]), (&Value::from("ok"), &Value::from(unit)), "{ceiling}");
            let points = ceiling["points"].as_array().unwrap();
            assert!(points.len() >= least, "{ceiling}");
            assert!(points.iter().all(|point| point["variant"] == expected && point["value"].as_f64() > Some(0.0)));
        }
        // A copy that arrives changed is no copy.
        let rows = check(&patterns, &knobs);
        assert_eq!(right(&rows), rows.len());
    }
}

#[test]
fn one_device_has_no_link_to_another() {
    let (code, out, err) =
        run(&Home::new(), &["probe", "-d", "cuda:0", "-p", "link.peer.send", "-p", "overhead.launch", "--json"], &[]);
    assert_eq!(code, 0, "{err}");
    let profile: Value = serde_json::from_str(&out).unwrap();
    let ceilings = profile["ceilings"].as_array().unwrap();
    let link = ceilings.iter().find(|ceiling| ceiling["resource"] == "link.peer.send").unwrap();
    assert_eq!(link["status"], "unsupported");
    assert_eq!(link["reason"], "a link takes two devices, and the driver shows one");
}

/// The path of libraries is read when a process starts.
#[test]
#[ignore = "the test below runs it, in a process of its own"]
#[cfg(feature = "cuda")]
fn two_devices_are_open_at_once() {
    use rooflab::backend::cuda::CudaBackend;
    use rooflab::backend::{Backend, InPlace};
    use rooflab::resource::{Access, StreamOp};
    use rooflab::workload::{Kind, Workload};

    let [mut first, mut second] = [0, 1].map(|index| CudaBackend.open(index, &InPlace).unwrap());
    let before = [first.conditions(), second.conditions()].map(|conditions| conditions.memory_available.unwrap());
    let kind = Kind::Stream { access: Access::plain(StreamOp::Copy), elements: 1 << 16, parts: 1 };
    let workload = Workload { kind, lanes: 4 };
    let mut on_first = first.prepare(&workload).unwrap();
    // The device that was opened last has lost no memory, and what is on the first one runs there.
    assert_eq!(second.conditions().memory_available, Some(before[1]));
    let mut on_second = second.prepare(&workload).unwrap();
    for kernel in [&mut on_first, &mut on_second] {
        kernel.verify(0).unwrap();
        assert!(kernel.run(0, 3).unwrap().elapsed.get() > 0.0);
    }
    drop(on_first);
    on_second.verify(0).unwrap();
    drop(on_second);
    let after = [first.conditions(), second.conditions()].map(|conditions| conditions.memory_available.unwrap());
    assert_eq!(after, before);
}

#[test]
#[cfg(feature = "cuda")]
fn devices_that_are_open_at_once_keep_to_themselves() {
    let mut command = assert_cmd::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "two_devices_are_open_at_once", "--ignored"])
        .env("LD_LIBRARY_PATH", stand_in())
        .env("STAND_IN_DEVICES", "2");
    let (code, out, err) = finish(&mut command);
    assert!(code == 0 && out.contains("1 passed"), "{out}{err}");
}

#[test]
fn a_driver_that_hangs_is_given_up() {
    let (devices, code, err) = failure(&[("STAND_IN_HANG", "3600")]);
    assert!(devices.contains("does not list its devices"), "{devices}");
    assert_eq!(code, 2, "{err}");
}

/// What `probe --check` ends with when the stand-in has another one beside it, and the lines that it wrote about both.
fn beside(patterns: &[&str], knobs: &[(&str, &str)]) -> (i32, Vec<Value>) {
    let home = Home::new();
    // Another file is another library, with a device and settings of its own.
    let other = home.path().join("other.so");
    std::fs::copy(stand_in().join("libcuda.so"), &other).unwrap();
    let log = home.path().join("comparisons");
    let mut all = vec![
        ("STAND_IN_BESIDE", other.to_str().unwrap()),
        ("STAND_IN_COMPARISONS", log.to_str().unwrap()),
        ("STAND_IN_MEMORY", "4000000"),
    ];
    all.extend_from_slice(knobs);
    let mut arguments = vec!["probe", "-d", "cuda:0", "--check", "--effort", "quick", "--json"];
    arguments.extend(patterns.iter().flat_map(|pattern| ["-p", pattern]));
    let (code, out, err) = run(&home, &arguments, &all);
    assert!(log.exists(), "nothing was compared: {out}{err}");
    let text = std::fs::read_to_string(&log).unwrap();
    (code, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn every_kernel_leaves_the_same_memory_on_another_driver() {
    let (code, lines) = beside(&["*"], &[]);
    assert_eq!(code, 0);
    let mut kernels = std::collections::BTreeSet::new();
    for line in &lines {
        assert_eq!(line["verdict"], "equal", "{line}");
        kernels.extend(line["kernel"].as_str());
    }
    assert!(kernels.len() > 80, "{kernels:?}");
    for call in ["cuMemcpyHtoD", "cuMemcpyDtoH", "cuMemsetD8"] {
        assert!(lines.iter().any(|line| line["call"] == call && line["compared"] != 0), "{call}");
    }
}

#[test]
fn a_kernel_that_another_driver_computes_wrong_is_named() {
    let patterns = ["rowwise.softmax.f32", "rowwise.add.f32", "gemv.f32"];
    for kernel in ["softmax_f32_t256", "gemv_f32_r4w1"] {
        let (_, lines) = beside(&patterns, &[("STAND_IN_BESIDE_WRONG", kernel)]);
        let (wrong, right): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line["verdict"] == "wrong");
        assert!(!wrong.is_empty(), "nothing was found");
        for line in wrong {
            assert_eq!((&line["kernel"], &line["wrong"]), (&kernel.into(), &1.into()), "{line}");
            assert_ne!(line["first"]["interpreter"], line["first"]["device"]);
        }
        assert!(right.iter().all(|line| line["verdict"] == "equal"));
    }
}

#[test]
fn a_fault_of_the_interpreter_does_not_end_a_comparison() {
    // With so few instructions no launch comes to its end here. The results are the other driver's then.
    let (code, lines) = beside(&["rowwise.add.f32"], &[("STAND_IN_BUDGET", "1000")]);
    assert_eq!(code, 0);
    let of_kernels: Vec<_> = lines.iter().filter(|line| line["kernel"] == "add_f32_t256").collect();
    assert!(!of_kernels.is_empty());
    for line in of_kernels {
        assert_eq!(line["verdict"], "fault", "{line}");
        assert!(line["fault"].as_str().unwrap().contains("1000"), "{line}");
        assert_ne!(line["compared"], line["equal"]);
    }
}

#[test]
fn another_driver_decides_which_kernels_there_are() {
    let home = Home::new();
    let other = home.path().join("other.so");
    std::fs::copy(stand_in().join("libcuda.so"), &other).unwrap();
    let knobs = [("STAND_IN_BESIDE", other.to_str().unwrap()), ("STAND_IN_BESIDE_CAPABILITY", "7.5")];
    let arguments = ["probe", "-d", "cuda:0", "--check", "-p", "compute.vector.bf16"];
    let (_, out, err) = run(&home, &arguments, &knobs);
    assert!(format!("{out}{err}").contains("bf16 needs compute capability 8.0"), "{out}{err}");
    // A library that is no driver is told, and the command goes on without.
    let (code, out, err) = run(&home, &["devices"], &[("STAND_IN_BESIDE", "/nonexistent.so")]);
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains("Stand-in GPU"), "{out}");
}
