//! Steps as a whole: operators in turn on one queue, launched one by one and as a graph; and graphs that a driver refuses, that lack a launch, or that the device is lost in.

use super::*;

/// Validates a model of two layers, as a document.
fn validated(arguments: &[&str], knobs: &[(&str, &str)]) -> Value {
    let home = Home::new();
    let model = common::tiny_model(&home);
    let profile = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profiles/golden-cove-2c-kvm.json");
    let sizes = ["-d", "cuda:0", "-m", &model, "--effort", "quick", "-b", "1", "-c", "64", "--prompt", "64", "--json"];
    let against = ["validate", "--against", profile.to_str().unwrap()];
    // One lane, so that passes over few elements are whole rows of it; and a generation with one kind of products.
    let knobs = [&[("STAND_IN_MULTIPROCESSORS", "1"), ("STAND_IN_CAPABILITY", "8.9")], knobs].concat();
    let (code, out, err) = run(&home, &[&against[..], &sizes, arguments].concat(), &knobs);
    assert!(code == 0 || code == 1, "{code}: {out}{err}");
    assert!(!err.contains("stand-in"), "the interpreter found a fault: {err}");
    serde_json::from_str(&out).unwrap()
}

/// The operators of a step that were run, and why the others were not.
fn run_of(step: &Value) -> (Vec<&str>, Vec<&str>) {
    let rows = step["operators"].as_array().unwrap();
    let text = |run: bool, field: &str| {
        let rows = rows.iter().filter(|row| (row["status"] == "compared") == run);
        rows.map(|row| row[field].as_str().unwrap_or("it failed")).collect()
    };
    (text(true, "part"), text(false, "reason"))
}

#[test]
fn steps_run_as_a_whole_and_as_graphs() {
    let document = validated(&[], &[]);
    let steps = document["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 2);
    for step in steps {
        let (run, absent) = run_of(step);
        for part in ["qkv", "attention", "attention_output", "gate_up", "down", "head"] {
            assert!(run.contains(&part), "{part} of {run:?}: {absent:?}");
        }
        for whole in [&step["whole"], &step["as_graph"]] {
            assert_eq!(whole["status"], "compared", "{whole}");
            assert!(whole["measured"].as_f64().unwrap() > 0.0, "{whole}");
        }
    }
    // Each step is a trial both ways.
    assert_eq!(document["whole"]["count"], 4);
}

#[test]
fn steps_with_weights_of_integers_run_as_a_whole() {
    for weights in ["w8a16", "w4a16"] {
        let document = validated(&["--weights", weights], &[]);
        let step = &document["steps"][1];
        let (run, absent) = run_of(step);
        assert!(["qkv", "gate_up", "down"].iter().all(|part| run.contains(part)), "{run:?}: {absent:?}");
        assert_eq!((&step["whole"]["status"], &step["as_graph"]["status"]), (&"compared".into(), &"compared".into()));
    }
}

#[test]
fn a_driver_without_graphs_leaves_steps_one_by_one() {
    let document = validated(&[], &[("STAND_IN_CAPTURE", "801")]);
    for step in document["steps"].as_array().unwrap() {
        assert_eq!(step["whole"]["status"], "compared", "{step}");
        let reason = step["as_graph"]["reason"].as_str().unwrap();
        assert!(reason.starts_with("the driver makes no graph of it: operation not supported"), "{reason}");
    }
    assert_eq!(document["left_out"].as_array().unwrap().iter().filter(|what| **what == "steps").count(), 0);
}

/// Looks for an answer for as long as a test wants to wait.
#[cfg(feature = "cuda")]
struct Impatient;

#[cfg(feature = "cuda")]
impl rooflab::backend::Host for Impatient {
    fn survey(&self, backend: &dyn rooflab::backend::Backend) -> Result<String, rooflab::backend::BackendError> {
        backend.survey()
    }

    fn patience(&self) -> rooflab::units::Seconds {
        rooflab::units::Seconds(0.3)
    }
}

/// Two layers of four operators: a product with the next of two matrices, a norm, a sum in place, and attention to the next of two caches; and the kernels of a layer.
#[cfg(feature = "cuda")]
fn two_layers() -> rooflab::backend::Sequence {
    use rooflab::backend::{Sequence, Stage, Turn};
    use rooflab::dtype::DType::Bf16;
    use rooflab::resource::{Phase, RowwiseOp};
    use rooflab::workload::{Kind, Workload};

    let product = Kind::Gemv { weights: Bf16, activations: Bf16, rows: 32, columns: 256, parts: 2 };
    let pass = |op| Kind::Rowwise { op, dtype: Bf16, rows: 1, parts: 1 };
    let attention = Kind::Attention { phase: Phase::Decode, kv: Bf16, context: 64, caches: 2 };
    let kinds = [(product, 4), (pass(RowwiseOp::RmsNorm), 4), (pass(RowwiseOp::Add), 4), (attention, 2)];
    let stage = |(kind, lanes)| Stage { workload: Workload { kind, lanes }, variant: 0 };
    let turns = [0, 1, 2, 3, 0, 1, 2, 3].map(|stage| Turn { stage, iterations: 1 });
    Sequence { stages: kinds.map(stage).to_vec(), turns: turns.to_vec() }
}

const OF_A_LAYER: [&str; 4] = ["gemv_bf16", "rmsnorm_bf16", "add_bf16", "decode_bf16"];
/// Iterations that are timed.
const TIMED: usize = 3;

/// The path of libraries is read when a process starts.
#[test]
#[ignore = "the tests below run it, in a process of its own"]
#[cfg(feature = "cuda")]
#[allow(clippy::print_stdout, reason = "this is how the process that runs it tells another one")]
fn a_sequence_is_run() {
    use rooflab::backend::cuda::CudaBackend;
    use rooflab::backend::{Backend, BackendError};

    let mut device = CudaBackend.open(0, &Impatient).unwrap();
    let before = device.conditions().memory_available;
    let told = |result: Result<(), BackendError>| match result {
        Ok(()) => "ok".to_owned(),
        Err(BackendError::Unsupported { reason }) => format!("unsupported: {reason}"),
        Err(error) => error.to_string(),
    };
    match device.prepare_sequence(&two_layers()) {
        Err(error) => println!("prepared: {}", told(Err(error))),
        Ok(mut kernel) => {
            for variant in 0..kernel.variants().len() {
                let name = if kernel.is_graph(variant) { "graph" } else { "one by one" };
                println!("{name}, verified: {}", told(kernel.verify(variant)));
                let run = kernel.run(variant, TIMED as u64);
                println!("{name}, timed: {}", told(run.map(|sample| assert!(sample.elapsed.get() > 0.0))));
            }
        }
    }
    println!("memory given back: {}", device.conditions().memory_available == before);
}

/// What becomes of a sequence.
#[cfg(feature = "cuda")]
fn sequence(knobs: &[(&str, &str)]) -> String {
    let mut command = assert_cmd::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "steps::a_sequence_is_run", "--ignored", "--nocapture"])
        .env("LD_LIBRARY_PATH", stand_in())
        .envs(knobs.iter().copied())
        .timeout(std::time::Duration::from_secs(120));
    let (code, out, err) = finish(&mut command);
    assert!(code == 0 && out.contains("1 passed"), "{out}{err}");
    out
}

/// The kernels that were launched, in order.
#[cfg(feature = "cuda")]
fn names(log: &std::path::Path) -> Vec<String> {
    let text = |line: Value| line["kernel"].as_str().unwrap().to_owned();
    launches(log, "").into_iter().map(text).collect()
}

#[test]
#[cfg(feature = "cuda")]
fn a_graph_has_the_launches_of_a_sequence_in_their_order() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let out = sequence(&[("STAND_IN_LAUNCHES", log.path().to_str().unwrap())]);
    for said in ["one by one, verified: ok", "one by one, timed: ok", "graph, verified: ok", "graph, timed: ok"] {
        assert!(out.contains(said), "{said}: {out}");
    }
    assert!(out.contains("memory given back: true"), "{out}");
    // What is timed stands between two stamps of the clock.
    let names = names(log.path());
    let timed: Vec<&[String]> = names.split(|name| name == "stamp").filter(|part| !part.is_empty()).collect();
    let one_by_one = timed.iter().find(|part| part.len() == 2 * TIMED * OF_A_LAYER.len());
    for part in [one_by_one.unwrap(), timed.last().unwrap()] {
        assert_eq!(part.len(), 2 * TIMED * OF_A_LAYER.len());
        for (name, expected) in part.iter().zip(OF_A_LAYER.iter().cycle()) {
            assert!(name.starts_with(expected), "{name} instead of {expected}: {part:?}");
        }
    }
}

#[test]
#[cfg(feature = "cuda")]
fn a_graph_that_lacks_a_launch_is_wrong() {
    // A launch more or less of a product that others write over shows in the number alone.
    for kernel in OF_A_LAYER {
        let out = sequence(&[("STAND_IN_GRAPH_LACKS", kernel)]);
        assert!(out.contains("one by one, verified: ok"), "{out}");
        assert!(
            out.contains("graph, verified: wrong result: as a graph: a graph of 8 launches has 7 of them"),
            "{out}"
        );
    }
    // What is left out where it runs shows in the results.
    for kernel in ["gemv_bf16", "add_bf16", "decode_bf16"] {
        let out = sequence(&[("STAND_IN_GRAPH_SKIPS", kernel)]);
        assert!(out.contains("one by one, verified: ok"), "{out}");
        assert!(out.contains("other results than those of the same launches one by one"), "{kernel}: {out}");
    }
    // A kernel that is wrong is found before it comes to that.
    let out = sequence(&[("STAND_IN_WRONG", "add_bf16_t128")]);
    assert!(out.contains("one by one, verified: wrong result: in turn: 128 threads for each row: "), "{out}");
}

#[test]
#[cfg(feature = "cuda")]
fn a_graph_that_is_refused_leaves_the_launches() {
    let out = sequence(&[("STAND_IN_CAPTURE", "801")]);
    assert!(out.contains("one by one, timed: ok"), "{out}");
    for what in ["verified", "timed"] {
        let said = format!("graph, {what}: unsupported: the driver makes no graph of it: operation not supported");
        assert!(out.contains(&said), "{out}");
    }
    assert!(out.contains("memory given back: true"), "{out}");
}

#[test]
#[cfg(feature = "cuda")]
fn a_device_that_is_lost_within_a_graph_is_an_error() {
    let log = tempfile::NamedTempFile::new().unwrap();
    sequence(&[("STAND_IN_LAUNCHES", log.path().to_str().unwrap())]);
    let names = names(log.path());
    // In the second iteration of the last run, which is one of the graph, between its two stamps.
    let place = (names.len() - 2 - 2 * OF_A_LAYER.len()).to_string();
    let out = sequence(&[("STAND_IN_LOSE_AFTER", &place)]);
    assert!(out.contains("graph, verified: ok"), "{out}");
    assert!(out.contains("graph, timed: the device was lost: unspecified launch failure"), "{out}");
    let out = sequence(&[("STAND_IN_STALL_AFTER", &place)]);
    assert!(out.contains("graph, timed: the device was lost: no answer within 300 ms"), "{out}");
}

#[test]
#[cfg(feature = "cuda")]
fn a_sequence_that_has_no_room_is_an_error() {
    // The clock's memory is there, and the first matrix.
    let out = sequence(&[("STAND_IN_MEMORY", "200000")]);
    assert!(out.contains("prepared: ") && out.contains("bytes of memory could not be had"), "{out}");
    assert!(out.contains("memory given back: true"), "{out}");
}

#[test]
fn products_by_the_library_are_a_part_of_steps() {
    let document = validated(&[], &[("ROOFLAB_CUDA_LIBS", vendor::libraries().to_str().unwrap())]);
    let step = &document["steps"][0];
    let rows = step["operators"].as_array().unwrap();
    let of_library = |row: &&Value| row["variant"].as_str().is_some_and(|name| name.starts_with("cuBLASLt"));
    assert!(rows.iter().filter(of_library).count() > 0, "{rows:?}");
    assert_eq!((&step["whole"]["status"], &step["as_graph"]["status"]), (&"compared".into(), &"compared".into()));
}
