//! Drives `rooflab probe` and `rooflab devices` with the simulated devices, whose timings are deterministic, and once with the real CPU.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use common::{Home, stable};
use rooflab::profile::{Flag, Outcome, Point, Profile, from_json};
use serde_json::Value;

fn profile(text: &str) -> Profile {
    from_json(text.as_bytes()).unwrap().0
}

fn flags(profile: &Profile) -> Vec<&Flag> {
    profile.ceilings.iter().flat_map(rooflab::profile::Ceiling::points).flat_map(|point| &point.flags).collect()
}

#[test]
fn a_whole_run_is_shown_as_a_tree() {
    let home = Home::new();
    let (code, out, err) = home.run(&["probe", "-d", "mock", "--effort", "quick"]);
    assert_eq!((code, err.as_str()), (0, ""));
    insta::assert_snapshot!("quick", stable(&out, &home));
}

#[test]
fn the_plan_of_every_effort() {
    let home = Home::new();
    for effort in ["quick", "normal", "thorough"] {
        let (code, out, _) = home.run(&["probe", "-d", "mock", "--plan", "--effort", effort]);
        assert_eq!(code, 0);
        insta::assert_snapshot!(format!("plan-{effort}"), out);
    }
    assert!(!home.profiles().exists(), "a plan stores nothing");
}

#[test]
fn the_profile_is_stored_checked_and_shown_again() {
    let home = Home::new();
    let (code, out, _) = home.run(&["probe", "-d", "mock", "--effort", "quick", "--json"]);
    assert_eq!(code, 0);
    let stored = home.profiles().join("simulated-device-steady.mock.json");
    assert_eq!(std::fs::read_to_string(&stored).unwrap(), out, "--json prints what is stored");
    assert!(profile(&out).header.complete);
    let (code, out, _) = home.run(&["profile", "check"]);
    assert_eq!(code, 0, "{out}");
    let (code, out, _) = home.run(&["profile", "show", "simulated"]);
    assert_eq!(code, 0);
    assert!(out.contains("SIMULATED") && out.contains("dram.read"), "{out}");
}

#[test]
fn an_older_profile_goes_to_the_history() {
    let home = Home::new();
    for _ in 0..3 {
        assert_eq!(home.run(&["probe", "-d", "mock", "--effort", "quick"]).0, 0);
    }
    let count = |folder: std::path::PathBuf| {
        std::fs::read_dir(folder).unwrap().filter(|e| e.as_ref().unwrap().path().is_file()).count()
    };
    assert_eq!((count(home.profiles()), count(home.profiles().join("history"))), (1, 2));
}

#[test]
fn what_other_tools_measured_outlives_a_new_run() {
    let home = Home::new();
    assert_eq!(home.run(&["probe", "-d", "mock", "--effort", "quick"]).0, 0);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/observations/clpeak-1.txt");
    let (code, _, err) = home.run(&["profile", "import", file, "--into", "simulated", "--device", "imaginary"]);
    assert_eq!(code, 0, "{err}");
    let imported = |text: &str| profile(text).imported.len();
    let (_, before, _) = home.run(&["profile", "show", "simulated", "--json"]);
    let (code, after, _) = home.run(&["probe", "-d", "mock", "--effort", "quick", "--json"]);
    assert_eq!((code, imported(&after), imported(&before) > 0), (0, imported(&before), true));
    // Of another device nothing is kept, whatever its profile is called.
    let other = ["probe", "-d", "mock", "--effort", "quick", "--json", "--name", "links"];
    assert_eq!(home.run(&["profile", "import", file, "--name", "links"]).0, 0);
    assert_eq!(imported(&home.run(&other).1), 0);
}

#[test]
fn levels_of_the_hierarchy_are_found_with_their_values() {
    let home = Home::new();
    let (_, out, _) = home.run(&["probe", "-d", "mock", "--json", "-p", "memory.*.read", "-p", "latency.*"]);
    let profile = profile(&out);
    // The model's values: 4 lanes at 200, 100 and 50 GB/s; three lanes' worth of 15 GB/s from main memory.
    for (key, value) in [
        ("memory.l1.read", 800e9),
        ("memory.l2.read", 400e9),
        ("memory.l3.read", 200e9),
        ("memory.dram.read", 45e9),
        ("latency.l1", 1e-9),
        ("latency.l2", 4e-9),
        ("latency.l3", 12e-9),
        ("latency.dram", 90e-9),
    ] {
        let ceiling = profile.ceilings.iter().find(|ceiling| ceiling.key().to_string() == key).unwrap();
        let found = ceiling.single().unwrap().value;
        assert!((found / value - 1.0).abs() < 0.01, "{key} is {found}");
    }
}

#[test]
fn naming_one_ceiling_measures_just_that_and_stores_nothing() {
    let home = Home::new();
    let (code, out, _) = home.run(&["probe", "-d", "mock", "-p", "memory.dram.read", "--json"]);
    assert_eq!(code, 0);
    let keys: Vec<String> = profile(&out).ceilings.iter().map(|ceiling| ceiling.key().to_string()).collect();
    assert_eq!(keys, ["memory.dram.read"]);
    assert!(std::fs::read_dir(home.profiles()).is_err());
    let (_, out, _) = home.run(&["probe", "-d", "mock", "-p", "memory.dram.read"]);
    assert!(out.contains("not saved: only a part was measured; `--name` keeps it"), "{out}");
    assert_eq!(home.run(&["probe", "-d", "mock", "-p", "memory.dram.read", "--name", "My Part"]).0, 0);
    assert!(home.profiles().join("my-part.json").is_file());
}

#[test]
fn wrong_results_have_no_speed() {
    let home = Home::new();
    let (code, out, _) = home.run(&["probe", "-d", "mock:1", "--effort", "quick", "--json", "--strict"]);
    assert_eq!(code, 1, "--strict says no");
    let profile = profile(&out);
    let wrong: Vec<_> =
        profile.ceilings.iter().filter(|ceiling| matches!(&ceiling.outcome, Outcome::Failed { .. })).collect();
    let multiplies = |key: String| key.starts_with("compute.") || key.starts_with("gemm.");
    assert!(wrong.len() >= 6 && wrong.iter().all(|ceiling| multiplies(ceiling.key().to_string())));
    assert!(matches!(&wrong[0].outcome, Outcome::Failed { reason } if reason.contains("the reference says 2.5")));
    assert_eq!(home.run(&["probe", "-d", "mock:1", "--effort", "quick"]).0, 0, "the rest of the profile stands");
    let (code, out, _) = home.run(&["probe", "-d", "mock:1", "--check", "-p", "compute.vector.f32"]);
    assert_eq!(code, 1);
    assert!(out.contains("wrong result: element 3 is 1.5, the reference says 2.5"), "{out}");
}

#[test]
fn bad_days_are_flagged() {
    let home = Home::new();
    let run = |device: &str| {
        let (code, out, _) = home.run(&["probe", "-d", device, "--effort", "quick", "--json", "--no-save"]);
        assert_eq!(code, 0);
        profile(&out)
    };
    assert!(flags(&run("mock:0")).is_empty(), "a steady device has no flags");
    assert!(flags(&run("mock:2")).iter().any(|flag| matches!(flag, Flag::Unstable { .. })));
    assert!(flags(&run("mock:3")).iter().any(|flag| matches!(flag, Flag::Preempted { .. })));
    let two_modes = run("mock:4");
    assert!(flags(&two_modes).iter().any(|flag| matches!(flag, Flag::Bimodal { .. })), "{:?}", flags(&two_modes));
    let throttling = run("mock:5");
    assert!(flags(&throttling).iter().any(|flag| matches!(flag, Flag::Throttled { .. })));
    let limited = |flag: &&Flag| matches!(flag, Flag::Limited { power: Some(_), power_limit: Some(_), .. });
    assert!(flags(&throttling).iter().any(limited), "{:?}", flags(&throttling));
    let lost = run("mock:6");
    let failed = |profile: &Profile, reason: &str| {
        profile
            .ceilings
            .iter()
            .any(|c| matches!(&c.outcome, Outcome::Failed { reason: found } if found.contains(reason)))
    };
    assert!(failed(&lost, "the device was lost"));
    assert!(failed(&run("mock:8"), "bytes of memory could not be had"));
}

#[test]
fn a_device_lost_on_the_second_visit_keeps_the_first() {
    let home = Home::new();
    let (code, out, _) = home.run(&["probe", "-d", "mock:7", "--effort", "quick", "--json", "--no-save"]);
    assert_eq!(code, 0);
    let late = profile(&out);
    let (_, out, _) = home.run(&["probe", "-d", "mock:0", "--effort", "quick", "--json", "--no-save"]);
    let values = |profile: &Profile| profile.ceilings.iter().filter(|ceiling| !ceiling.points().is_empty()).count();
    assert_eq!(values(&late), values(&profile(&out)), "nothing that was measured is lost");
    let once = flags(&late).iter().filter(|flag| matches!(flag, Flag::VisitedOnce { .. })).count();
    assert!(once > 40, "only {once} points say that they were visited once");
}

#[test]
fn what_was_measured_under_worse_conditions_is_measured_again() {
    let home = Home::new();
    let run = |device: &str| {
        let (code, out, _) = home.run(&["probe", "-d", device, "-p", "memory.read", "--json"]);
        assert_eq!(code, 0);
        let profile = profile(&out);
        profile.ceilings.iter().find(|ceiling| ceiling.key().to_string() == "memory.read").unwrap().points().to_vec()
    };
    let (steady, slow) = (run("mock:0"), run("mock:9"));
    // What was seen at half the speed is set aside, and the value is that of the second visit; for whatever there was no time, the flag says it.
    let is_flagged = |point: &Point| point.flags.iter().any(|flag| matches!(flag, Flag::Throttled { .. }));
    let again = slow.iter().filter(|point| point.samples.clean < point.samples.total).count();
    assert!(again > 0, "nothing was measured again: {slow:?}");
    for (point, right) in slow.iter().zip(&steady) {
        let off = (point.value / right.value - 1.0).abs();
        assert!(off < 0.02 || is_flagged(point), "{} instead of {} at {:?}", point.value, right.value, point.at);
    }
}

#[test]
fn samples_and_sustained_values_are_kept_when_asked_for() {
    let home = Home::new();
    let (_, out, _) =
        home.run(&["probe", "-d", "mock", "-p", "compute.vector.f32", "--json", "--samples", "--sustain", "2s"]);
    let profile = profile(&out);
    let point = profile.ceilings[0].single().unwrap();
    assert_eq!(point.raw.as_ref().unwrap().len(), point.samples.clean as usize);
    let steady = point.steady.as_ref().unwrap();
    assert!(steady.after.get() >= 2.0 && (steady.value / point.value - 1.0).abs() < 0.01);
}

#[test]
fn the_output_file_holds_the_profile() {
    let home = Home::new();
    let (code, out, _) = home.run(&["probe", "-d", "mock", "-p", "overhead.*", "--no-save", "-o", "out.json"]);
    assert_eq!(code, 0);
    assert!(out.contains("overhead"), "the tree is still shown: {out}");
    let written = std::fs::read_to_string(home.path().join("out.json")).unwrap();
    let measured = |profile: Profile| profile.ceilings.iter().filter(|ceiling| !ceiling.points().is_empty()).count();
    assert_eq!(measured(profile(&written)), 2);
    let (_, out, _) = home.run(&["probe", "-d", "mock", "-p", "overhead.*", "--no-save", "-o", "-"]);
    assert_eq!(measured(profile(&out)), 2);
}

#[test]
fn what_is_asked_for_in_vain_is_not_passed_over() {
    let home = Home::new();
    let both = ["probe", "-d", "mock", "-p", "gemm.f16.f32", "-p", "overhead.launch"];
    let (code, out, _) = home.run(&[&both[..], &["--plan"]].concat());
    assert_eq!(code, 0);
    assert!(out.contains("gemm.f16.f32 left out: devices of this kind"), "{out}");
    let (_, out, _) = home.run(&[&both[..], &["--no-save", "--json"]].concat());
    let profile = profile(&out);
    let product = profile.ceilings.iter().find(|ceiling| ceiling.key().to_string() == "gemm.f16.f32").unwrap();
    assert!(matches!(&product.outcome, Outcome::Skipped { reason } if reason.contains("this kind")));
    for extra in [&[][..], &["--shape", "256x256x256"]] {
        let (code, _, err) = home.run(&[&["probe", "-d", "mock", "-p", "gemm.f16.f32"][..], extra].concat());
        assert!(code == 2 && err.contains("can be measured on `mock:0`: devices of this kind"), "{err}");
    }
}

#[test]
fn devices_lists_this_processor_and_no_simulated_one() {
    let home = Home::new();
    let (code, out, _) = home.run(&["devices", "--json"]);
    assert_eq!(code, 0);
    let offers: Value = serde_json::from_str(&out).unwrap();
    let ids: Vec<&str> = offers
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|offer| offer["devices"].as_array().into_iter().flatten())
        // GPUs depend on the machine; software that stands in for one, on what is installed.
        .filter(|device| device["backend"] != "wgpu")
        .filter_map(|device| device["id"].as_str())
        .collect();
    assert_eq!(ids, ["cpu:0"]);
}

#[test]
fn every_kernel_of_this_processor_equals_its_reference() {
    let home = Home::new();
    let (code, out, err) = home.run(&["probe", "-d", "cpu", "--check", "--effort", "quick", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    let verified = rows.iter().filter(|row| row["ok"] == true).count();
    assert!(verified > 100, "only {verified} kernels were verified");
}

#[test]
fn the_real_processor_is_measured_and_its_profile_keeps_its_promises() {
    let home = Home::new();
    let patterns = ["-p", "compute.vector.f32*", "-p", "memory.l1.read@core", "-p", "overhead.*", "-p", "latency"];
    let mut arguments = vec!["probe", "-d", "cpu", "--effort", "quick", "--name", "here"];
    arguments.extend(patterns);
    let (code, out, err) = home.run(&arguments);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (code, out, _) = home.run(&["profile", "check", "here"]);
    assert_eq!(code, 0, "{out}");
    let (_, out, _) = home.run(&["profile", "show", "here", "--json"]);
    let profile = profile(&out);
    let compute =
        profile.ceilings.iter().find(|ceiling| ceiling.key().to_string() == "compute.vector.f32@core").unwrap();
    let point = compute.single().unwrap();
    // No machine that runs this does fewer than 0.1 or more than 10 000 operations per nanosecond with a core.
    assert!((1e8..1e13).contains(&point.value), "{}", point.value);
    assert_eq!(point.work.ops, rooflab::workload::MULTIPLY_ADD_OPS);
}
