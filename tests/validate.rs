//! Drives `rooflab validate`: with a simulated device, whose timings are deterministic, and with the real CPU on a tiny model, whose timings decide nothing.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::fs;
use std::path::Path;

use common::{Home, stable, tiny_model};
use serde_json::Value;

/// A home in which the simulated device was probed.
fn probed() -> Home {
    let home = Home::new();
    assert_eq!(home.run(&["probe", "-d", "mock", "--effort", "quick"]).0, 0);
    home
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_validation_is_shown_as_tables() {
    let home = probed();
    let (code, out, err) = home.run(&["validate", "-d", "mock", "--effort", "quick"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let undated = |line: &str| match line.split_once("(measured 2") {
        Some((before, _)) => format!("{before}(measured DATE)\n"),
        None => format!("{line}\n"),
    };
    insta::assert_snapshot!("validation", stable(&out, &home).lines().map(undated).collect::<String>());
}

#[test]
fn the_document_keeps_to_its_schema() {
    let home = probed();
    let file = home.path().join("validation.json");
    let path = file.to_str().unwrap();
    let arguments = ["validate", "-d", "mock", "--effort", "quick", "--json", "-o", path];
    let (code, out, _) = home.run(&arguments);
    assert_eq!((code, out.as_str()), (0, ""));
    let document = json(&fs::read_to_string(&file).unwrap());
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/schema/validation-1.json");
    let schema = json(&fs::read_to_string(schema).unwrap());
    let keys = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
    let promised = schema["required"].as_array().unwrap();
    assert!(
        promised.len() > 8 && promised.iter().all(|key| document.get(key.as_str().unwrap()).is_some()),
        "{promised:?}"
    );
    assert_eq!(keys(&document), keys(&schema["properties"]), "what is written is described");
    assert_eq!(document["schema"], "rooflab.validation/1");
    assert_eq!(document["steps"].as_array().unwrap().len(), 3);
}

#[test]
fn the_exit_code_says_whether_a_profile_describes_the_device() {
    let home = probed();
    let run = |more: &[&str]| {
        let arguments = [&["validate", "-d", "mock", "--effort", "quick", "--prompt", "64"][..], more].concat();
        home.run(&arguments)
    };
    let own = ["--against", "simulated", "--within", "1000%"];
    assert_eq!(run(&own).0, 0);
    let (code, out, _) = run(&["--against", "simulated", "--within", "0%"]);
    assert_eq!(code, 1);
    assert!(out.contains("does not describe this device within 0.00 %"), "{out}");
    let (code, out, _) = run(&["--against", "nvidia-h100-sxm"]);
    assert_eq!(code, 1);
    assert!(out.contains("finding  ") && out.contains("take longer than predicted"), "{out}");
    // Without `--against`, what is off is said, and the command has done what it was asked.
    assert_eq!(run(&["--within", "0%"]).0, 0);
}

#[test]
fn wrong_results_and_busy_machines_are_no_proof() {
    let home = probed();
    let run = |device: &str, more: &[&str]| {
        let against = ["--against", "simulated", "--effort", "quick", "--prompt", "64"];
        home.run(&[&["validate", "-d", device][..], &against, more].concat())
    };
    let (code, out, _) = run("mock:1", &["--within", "1000%"]);
    assert_eq!(code, 1, "{out}");
    let says = "failed: wrong result: element 3 is 1.5, the reference says 2.5";
    assert!(out.contains(&format!("finding  `gemm.bf16.f32 64×4096×1024` {says}")), "{out}");
    assert!(out.contains("not run as a whole: one of its operators failed by itself"), "{out}");
    assert!(out.contains("try  verify all kernels: `rooflab probe --check -d mock:1`"), "{out}");
    let (code, out, _) = run("mock:1", &["--json"]);
    let document = json(&out);
    assert_eq!((code, &document["verdict"], &document["findings"][0]["mape"]), (1, &"fails".into(), &Value::Null));
    // Nine of ten samples of this one are disturbed, and a step is too long for many.
    let busy = ["-b", "1", "--within", "30%"];
    let (code, out, _) = run("mock:3", &busy);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("note: nothing can be told of "), "{out}");
    assert!(out.contains("steps: their times rest on few undisturbed samples"), "{out}");
    assert!(
        out.contains("whether simulated-device-steady.mock describes this device within 30 % cannot be told"),
        "{out}"
    );
    let (code, out, _) = run("mock:3", &[&busy[..], &["--json"]].concat());
    let document = json(&out);
    assert_eq!((code, &document["verdict"]), (1, &"unclear".into()));
    assert!(document["unclear"].as_array().unwrap().contains(&"steps".into()), "{}", document["unclear"]);
}

#[test]
fn what_cannot_be_validated_is_an_error_with_a_hint() {
    let home = Home::new();
    let (code, _, err) = home.run(&["validate", "-d", "mock"]);
    assert_eq!(code, 2);
    assert!(err.contains("`rooflab probe -d mock:0` measures this device"), "{err}");
    let home = probed();
    for (arguments, says) in [
        (vec!["-m", "no-such-model"], "`rooflab model list`"),
        (vec!["-d", "mock:99"], "there is no device `mock:99`"),
        (vec!["--against", "no-such-profile"], "no-such-profile"),
        (vec!["-b", "0"], "above zero"),
        (vec!["-b", "5000"], "`batch` 5000 is beyond what can be run"),
        (vec!["-c", "9e6"], "9e6"),
        (vec!["-c", "2000k"], "`context` 2000000 is beyond what can be run"),
        (vec!["--prompt", "2000k"], "`prompt` 2000000 is beyond what can be run"),
        (vec!["--within", "nothing"], "a share such as"),
        (vec!["--weights", "no-such-format"], "no-such-format"),
        (vec!["-o", "/no/such/folder/file"], "/no/such/folder/file"),
    ] {
        let device: &[&str] = if arguments.contains(&"-d") { &[] } else { &["-d", "mock"] };
        let prompt: &[&str] = if arguments.contains(&"--prompt") { &[] } else { &["--prompt", "64"] };
        let (code, _, err) = home.run(&[&["validate", "--effort", "quick"][..], device, prompt, &arguments].concat());
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
}

#[test]
fn the_processor_runs_a_model_against_any_profile() {
    let home = Home::new();
    let model = tiny_model(&home);
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profiles/golden-cove-2c-kvm.json");
    let (code, out, err) = home.run(&[
        "validate",
        "-d",
        "cpu",
        "-m",
        &model,
        "--against",
        profile.to_str().unwrap(),
        "--effort",
        "quick",
        "-b",
        "1,4",
        "-c",
        "128",
        "--prompt",
        "128",
        "--json",
    ]);
    assert!(code == 0 || code == 1, "{err}");
    let document = json(&out);
    let steps = document["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    for step in steps {
        assert_eq!(step["whole"]["status"], "compared", "{}", step["whole"]);
        let compared = |part: &str| {
            let rows = step["operators"].as_array().unwrap();
            rows.iter().filter(|row| row["part"] == part && row["status"] == "compared").count()
        };
        for part in ["qkv", "attention", "attention_output", "gate_up", "down"] {
            assert_eq!(compared(part), 1, "{part} of {step}");
        }
        assert!(step["whole"]["measured"].as_f64().unwrap() > 0.0);
    }
}
