//! Drives `rooflab profile import`: what other tools measured becomes a profile or a part of one, and is never shown as measured by rooflab.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::fs;
use std::path::Path;

use common::Home;
use proptest::prelude::*;
use rooflab::profile::{Imported, ImportedPoint, Origin, Profile, Unknown, check, from_json};
use serde_json::Value;

fn fixture(file: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/observations").join(file).display().to_string()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_profile_of_its_own_says_who_measured_it() {
    let home = Home::new();
    let (code, out, err) = home.run(&["profile", "import", &fixture("clpeak.xml")]);
    assert_eq!(code, 0, "{err}");
    for part in [
        "measured by clpeak 2.1.2",
        "compute.vector.f32",
        "19.2 TFLOP/s",
        "OpenCL, float2",
        "clpeak.xml:",
        "not known of any: its spread",
        "rooflab measured none of them",
    ] {
        assert!(out.contains(part), "no `{part}` in:\n{out}");
    }
    assert!(err.contains("stand for no resource of rooflab's"), "{err}");
    let name = "nvidia-imaginary-100.imported";
    let text = fs::read_to_string(home.profiles().join(format!("{name}.json"))).unwrap();
    let (profile, notes) = from_json(text.as_bytes()).unwrap();
    assert_eq!((check(&profile), notes), (Vec::new(), Vec::new()));
    assert!(profile.ceilings.is_empty() && profile.instrument.is_none());
    // Every reader of it says that it is imported.
    assert_eq!(home.run(&["profile", "check", name]).0, 0);
    let (_, list, _) = home.run(&["profile", "list"]);
    assert!(list.lines().any(|line| line.contains(name) && line.contains("imported")), "{list}");
    let (_, shown, _) = home.run(&["profile", "show", name]);
    assert!(shown.contains("nothing measured by rooflab"), "{shown}");
    let (code, asked, _) = home.run(&["profile", "ask", "memory.dram.read", name, "--json"]);
    assert_eq!((code, &json(&asked)[0]["how"]["is"]), (0, &"imported".into()), "{asked}");
    let (code, asked, _) = home.run(&["profile", "ask", "memory.dram.read", name]);
    assert!(code == 0 && asked.contains("measured by clpeak 2.1.2 and not by rooflab"), "{asked}");
    let (_, csv, _) = home.run(&["profile", "export", name, "--to", "csv"]);
    assert!(csv.contains("imported from clpeak 2.1.2") && !csv.contains(",measured"), "{csv}");
    let (_, gauges, _) = home.run(&["profile", "export", name, "--to", "prometheus"]);
    assert!(
        gauges.contains("known=\"imported\",by=\"clpeak 2.1.2\"") && !gauges.contains("known=\"measured\""),
        "{gauges}"
    );
    let (code, _, notes) = home.run(&["profile", "export", name, "--to", "blis"]);
    assert!(code == 0 || notes.contains("memory"), "{notes}");
    assert!(code != 0 || notes.contains("measured by another tool, not by rooflab"), "{notes}");
    let (code, chart, _) = home.run(&["plot", "roofline", name, "--format", "csv"]);
    assert!(code == 0 && chart.contains("clpeak"), "{chart}");
}

#[test]
fn values_are_added_to_what_was_measured_and_stay_apart() {
    let home = Home::new();
    let (_, text, _) = home.run(&["profile", "show", "amd-epyc-zen4-2c-kvm.cpu", "--json"]);
    let file = home.path().join("mine.json");
    fs::write(&file, &text).unwrap();
    let into =
        |file: &str, more: &[&str]| home.run(&[&["profile", "import", file, "--into", "mine.json"], more].concat());
    // The file names another device.
    let (code, _, err) = into(&fixture("clpeak-1.txt"), &[]);
    assert!(code == 2 && err.contains("and the file of `NVIDIA Imaginary 100`") && err.contains("hint: "), "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text, "nothing was written");
    let (code, out, err) = into(&fixture("clpeak-1.txt"), &["--device", "imaginary"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("measured by clpeak"), "{out}");
    // mixbench on a processor names no device; the profile is of one.
    assert_eq!(into(&fixture("mixbench-cpu.txt"), &[]).0, 0);
    let (before, _) = from_json(text.as_bytes()).unwrap();
    let (after, _) = from_json(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(Profile { imported: Vec::new(), ..after.clone() }, before);
    let tools: Vec<&str> = after.imported.iter().map(|imported| imported.by.tool.as_str()).collect();
    assert_eq!((tools.iter().filter(|tool| **tool == "clpeak").count(), tools.len()), (6, 10), "{tools:?}");
    // rooflab's own value is the answer, and the same file again changes nothing.
    let (_, asked, _) = home.run(&["profile", "ask", "memory.dram.read", "mine.json", "--json"]);
    assert_eq!(json(&asked)[0]["how"]["is"], "measured");
    assert_eq!(into(&fixture("mixbench-cpu.txt"), &[]).0, 0);
    assert_eq!(from_json(&fs::read(&file).unwrap()).unwrap().0, after);
    // A comparison does not judge what others measured.
    let (code, out, _) = home.run(&["profile", "diff", "amd-epyc-zen4-2c-kvm.cpu", "mine.json", "--json"]);
    let rows = json(&out);
    let foreign: Vec<&Value> =
        rows.as_array().unwrap().iter().filter(|row| row["verdict"]["is"] == "imported").collect();
    assert!(code == 0 && !foreign.is_empty(), "{out}");
    assert!(foreign.iter().all(|row| row["verdict"]["by"][0].is_string()));
    assert_eq!(home.run(&["profile", "diff", "amd-epyc-zen4-2c-kvm.cpu", "mine.json", "--threshold", "1%"]).0, 0);
}

/// An exchange between devices takes what nccl-tests measured of it, unless a link is given.
#[test]
fn imported_exchanges_are_the_link_of_an_estimate_and_of_a_diagnosis() {
    let home = Home::new();
    let (_, text, _) = home.run(&["profile", "show", "nvidia-h200-sxm", "--json"]);
    fs::write(home.path().join("mine.json"), &text).unwrap();
    let estimate = ["estimate", "-m", "llama-3.1-70b", "-f", "mine.json", "--tp", "2"];
    let (code, _, err) = home.run(&estimate);
    assert!(code == 2 && err.contains("neither `--link` nor the profile") && err.contains("profile import"), "{err}");
    assert_eq!(home.run(&["profile", "import", &fixture("nccl-tests.txt"), "--into", "mine.json"]).0, 0);
    let (code, out, err) = home.run(&estimate);
    assert_eq!(code, 0, "{err}");
    let said = "`all_reduce` between 8 devices at 3 sizes from 1.02 kB to 8.39 MB";
    assert!(out.contains(said) && out.contains("nccl-tests 2.19.6, `nccl-tests.txt:18`"), "{out}");
    let (_, out, _) = home.run(&[&estimate[..], &["--link", "450GB/s,5us"]].concat());
    assert!(out.contains("the link between devices is as given") && !out.contains(said), "{out}");
    let diagnose = "diagnose -m llama-3.1-70b -f mine.json --tp 2 --tpot 30ms -b 1 --prompt 1000 --generate 100";
    let diagnose: Vec<&str> = diagnose.split(" ").collect();
    let (code, out, err) = home.run(&diagnose);
    assert!(code == 0 && out.contains(said), "{out}{err}");
}

#[test]
fn where_it_goes_is_what_was_said() {
    let home = Home::new();
    let file = fixture("nvbandwidth.json");
    let (code, out, err) = home.run(&["profile", "import", &file, "--output", "-"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(json(&out)["imported"][0]["resource"], "link.host.h2d");
    assert_eq!(json(&out)["imported"][0]["by"]["tool"], "nvbandwidth");
    assert!(!home.profiles().exists());
    assert_eq!(home.run(&["profile", "import", &file, "--output", "links.json"]).0, 0);
    assert_eq!(home.run(&["profile", "check", "links.json"]).0, 0);
    assert_eq!(home.run(&["profile", "import", &file, "--name", "Links"]).0, 0);
    assert!(home.profiles().join("links.json").is_file());
    // What was there goes to the history.
    assert_eq!(home.run(&["profile", "import", &file, "--name", "links"]).0, 0);
    assert_eq!(fs::read_dir(home.profiles().join("history")).unwrap().count(), 1);
}

/// Whatever a device is called: a processor's numbers are not a GPU's, and a file without a name is of no particular one.
#[test]
fn what_is_of_another_kind_of_device_is_refused() {
    let home = Home::new();
    let (_, gpu, _) = home.run(&["profile", "show", "nvidia-h200-sxm", "--json"]);
    let file = home.path().join("gpu.json");
    fs::write(&file, &gpu).unwrap();
    let (processor, copies) = (fixture("mixbench-cpu.txt"), fixture("nvbandwidth.json"));
    let refused = |arguments: &[&str], says: &str| {
        let (code, out, err) = home.run(&[&["profile", "import"], arguments].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains(says) && err.contains("hint: "), "{arguments:?}: {err}");
        assert_eq!(fs::read_to_string(&file).unwrap(), gpu, "nothing was written");
    };
    let kinds = "and `mixbench-cpu.txt` of a processor";
    refused(&[&processor, "--into", "./gpu.json"], kinds);
    refused(&[&processor, "--into", "./gpu.json", "--device", "H200"], kinds);
    let kinds = "`mixbench-cpu.txt` is of a processor, and `nvbandwidth.json` of a GPU";
    refused(&[&processor, &copies, "-o", "-"], kinds);
    refused(&[&processor, &copies, "-o", "-", "--device", "H200"], kinds);
    // The same program for OpenCL, with neither a name nor a kind.
    let text = fs::read_to_string(&processor).unwrap().replace("mixbench-cpu", "mixbench-ocl");
    fs::write(home.path().join("nameless.txt"), text).unwrap();
    let nameless = "`nameless.txt` does not say which device it is of";
    refused(&["nameless.txt", &copies, "-o", "-"], nameless);
    refused(&["nameless.txt", "--into", "./gpu.json"], nameless);
    let (code, out, err) = home.run(&["profile", "import", "nameless.txt", &copies, "-o", "-", "--device", "h200"]);
    assert_eq!((code, &json(&out)["device"]["name"]), (0, &"NVIDIA H200".into()), "{err}");
    let (code, out, err) = home.run(&["profile", "import", "nameless.txt", "-o", "-", "--device", "Arc"]);
    assert_eq!((code, &json(&out)["device"]["name"]), (0, &"Arc".into()), "{err}");
    let (code, out, err) = home.run(&["profile", "import", &processor, "-o", "-"]);
    assert_eq!((code, &json(&out)["device"]["kind"]), (0, &"cpu".into()), "{err}");
    let into = ["profile", "import", "nameless.txt", "--into", "./gpu.json", "--device", "h200"];
    assert_eq!(home.run(&into).0, 0);
}

#[test]
fn files_that_give_nothing_are_refused_with_the_reason() {
    let home = Home::new();
    let fails = |arguments: &[&str], says: &[&str]| {
        let (code, out, err) = home.run(&[&["profile", "import"], arguments].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        for part in says {
            assert!(err.contains(part), "{arguments:?} does not say `{part}`:\n{err}");
        }
    };
    fails(&[&fixture("vllm-serve.json")], &["`rooflab diagnose` explains such files", "hint: "]);
    fails(&["nowhere.txt"], &["cannot take anything over from `nowhere.txt`"]);
    fs::write(home.path().join("empty.txt"), "").unwrap();
    fails(&["empty.txt"], &["it is empty"]);
    fs::write(home.path().join("other.txt"), "hello\n").unwrap();
    fails(&["other.txt"], &["it is of none of the kinds that are read"]);
    fails(
        &[&fixture("clpeak.txt"), &fixture("mixbench-hip.txt")],
        &["of several devices", "hint: name one with `--device`"],
    );
    fails(
        &[&fixture("clpeak.txt"), "--device", "nobody"],
        &["no device is called `nobody`", "there are: `NVIDIA Imaginary 100`"],
    );
    fails(&[&fixture("clpeak.txt"), "--into", "nvidia-h200-sxm"], &["ships inside rooflab", "hint: "]);
    fails(&[&fixture("clpeak.txt"), "--into", "-"], &["nothing can be added to standard input"]);
    fails(&[&fixture("clpeak.txt"), "--into", "x", "--name", "y"], &["cannot be used with"]);
    assert!(!home.profiles().exists());
}

fn imported() -> impl Strategy<Value = Imported> {
    let key = prop::sample::select(vec!["memory.dram.read", "compute.vector.f32", "link.host.h2d", "latency.dram"]);
    let point = (prop::option::of(any::<f64>()), any::<f64>());
    (key, prop::collection::vec(point, 0..4), "[a-z]{0,3}").prop_map(|(key, points, tool)| {
        let resource: rooflab::resource::Resource = key.parse().unwrap();
        let points = points.into_iter().map(|(at, value)| ImportedPoint { at, value, name: None }).collect();
        let by = Origin {
            tool,
            version: None,
            file: "x".to_owned(),
            device: None,
            lacks: vec![Unknown::Spread],
            caveats: Vec::new(),
        };
        Imported { resource, unit: resource.unit(), devices: None, points, by }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever a profile claims that others measured: nothing panics, and what is answered is a number.
    #[test]
    fn wild_values_are_found_or_left(values in prop::collection::vec(imported(), 0..4), at in any::<f64>()) {
        use rooflab::profile::{Answer, Ceilings, Demand, Place, bundled_named};
        let mut profile = bundled_named("nvidia-h200-sxm").and_then(|bundled| bundled.profile()).unwrap().clone();
        profile.datasheet.clear();
        let keys: Vec<_> = values.iter().map(|value| value.resource).collect();
        values.into_iter().for_each(|value| profile.take_over(value));
        let sound = check(&profile).iter().all(|problem| !problem.place.starts_with("imported"));
        for resource in keys {
            for at in [Place::Anywhere, Place::Bytes(at), Place::Bytes(1e6)] {
                let demand = Demand { resource, scope: rooflab::resource::Scope::Device, at };
                if let Answer::Known(known) = Ceilings::new(&profile).ask(&demand) {
                    prop_assert!(known.value.is_finite() && known.value > 0.0, "{known:?}");
                    prop_assert!(["imported", "substituted"].contains(&known.how.word()), "{known:?}");
                } else {
                    prop_assert!(!sound || at != Place::Anywhere);
                }
            }
        }
        let _ = rooflab::report::profile(&profile);
        let _ = rooflab::report::roofline(&[&profile], &[]);
    }
}
