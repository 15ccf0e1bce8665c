//! Drives `rooflab profile merge` and the gate of `rooflab profile diff` over copies of one machine, of which one is slow.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::fs;

use common::Home;
use serde_json::Value;

/// Stores copies of a bundled profile in the home's folder, all values multiplied.
fn fleet(home: &Home, factors: &[f64]) {
    let (_, text, _) = home.run(&["profile", "show", "amd-epyc-zen4-2c-kvm.cpu", "--json"]);
    let folder = home.path().join("nodes");
    fs::create_dir(&folder).unwrap();
    for (index, factor) in factors.iter().enumerate() {
        let mut profile: Value = serde_json::from_str(&text).unwrap();
        for ceiling in profile["ceilings"].as_array_mut().unwrap() {
            // Times grow where rates shrink.
            let factor = if ceiling["unit"] == "s" { 1.0 / factor } else { *factor };
            for point in ceiling.get_mut("points").and_then(Value::as_array_mut).into_iter().flatten() {
                for field in ["value", "best", "p10", "p90", "mad"] {
                    point[field] = (point[field].as_f64().unwrap() * factor).into();
                }
                let bounds = point["confidence"].as_array().unwrap().clone();
                point["confidence"] = bounds.iter().map(|bound| bound.as_f64().unwrap() * factor).collect();
                point.as_object_mut().unwrap().remove("flags");
            }
        }
        fs::write(folder.join(format!("node{index}.json")), profile.to_string()).unwrap();
    }
}

#[test]
fn a_fleet_without_a_slow_device_passes() {
    let home = Home::new();
    fleet(&home, &[1.0, 1.01, 0.99, 1.005]);
    let (code, out, err) = home.run(&["profile", "merge", "nodes", "-o", "typical.json"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("4 devices, none falls behind") && out.contains("typical: node"), "{out}");
    assert_eq!(home.run(&["profile", "check", "typical.json"]).0, 0);
}

#[test]
fn the_slow_device_is_named_and_fails_the_gate() {
    let home = Home::new();
    fleet(&home, &[1.0, 1.01, 0.85, 0.99, 1.005]);
    let (code, out, err) = home.run(&["profile", "merge", "nodes"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("node2 falls behind in") && !out.contains("node1 falls behind"), "{out}");
    let (code, out, _) = home.run(&["profile", "merge", "nodes", "--json", "--threshold", "20%"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["threshold"]), (0, &0.2.into()));
    let (code, _, err) = home.run(&["profile", "merge", "nodes/node0.json", "nodes/node1.json"]);
    assert!(code == 2 && err.contains("hint: name three or more"), "{err}");
}

#[test]
fn a_threshold_is_a_gate() {
    let home = Home::new();
    fleet(&home, &[1.0, 0.9]);
    let diff = |threshold: &str| {
        home.run(&["profile", "diff", "nodes/node0.json", "nodes/node1.json", "--threshold", threshold])
    };
    assert_eq!((diff("5%").0, diff("20%").0), (1, 0));
    assert_eq!(home.run(&["profile", "diff", "nodes/node0.json", "nodes/node1.json"]).0, 0);
}

#[test]
fn a_gate_against_a_datasheet_is_refused() {
    let home = Home::new();
    fleet(&home, &[1.0]);
    let sheet = "nvidia-h200-sxm";
    for (before, after) in [(sheet, "nodes/node0.json"), ("nodes/node0.json", sheet)] {
        for gate in [&["--threshold", "1%"][..], &["--fail-on-regression"]] {
            let (code, out, err) = home.run(&[&["profile", "diff", before, after], gate].concat());
            assert!(code == 2 && out.is_empty() && err.contains("`nvidia-h200-sxm` is a datasheet"), "{err}");
        }
        assert_eq!(home.run(&["profile", "diff", before, after]).0, 0);
    }
}

/// Changes a stored profile.
fn change(home: &Home, node: &str, with: impl Fn(&mut Value)) {
    let path = home.path().join("nodes").join(node);
    let mut profile: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    with(&mut profile);
    fs::write(path, profile.to_string()).unwrap();
}

#[test]
fn a_device_that_could_not_be_measured_fails_the_gate() {
    let home = Home::new();
    fleet(&home, &[1.0, 1.01, 0.99]);
    change(&home, "node1.json", |profile| {
        for ceiling in profile["ceilings"].as_array_mut().unwrap() {
            let ceiling = ceiling.as_object_mut().unwrap();
            ceiling.retain(|key, _| ["resource", "scope", "unit", "axis", "counting"].contains(&key.as_str()));
            ceiling.insert("status".to_owned(), "failed".into());
            ceiling.insert("reason".to_owned(), "the device was lost".into());
        }
    });
    let (code, out, err) = home.run(&["profile", "merge", "nodes"]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("node1 has no value of ") && out.contains(" more: the device was lost"), "{out}");
    assert!(!out.contains("none falls behind"), "{out}");
    let (code, out, _) = home.run(&["profile", "merge", "nodes", "--json"]);
    let document: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["fleet"]["missing"][0]["profile"]), (1, &1.into()));
    // Whatever is common to all is missing in one of three: none is typical.
    let (code, _, err) = home.run(&["profile", "merge", "nodes", "-o", "typical.json"]);
    assert!(code == 2 && err.contains("none of the profiles has a value for every ceiling"), "{err}");
    assert!(!home.path().join("typical.json").exists());
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let home = Home::new();
    fleet(&home, &[1.0, 1.01, 0.99]);
    let (code, _, err) = home.run(&["profile", "merge", "nodes/node0.json"]);
    assert!(code == 2 && err.contains("1 profile has no middle"), "{err}");
    let datasheet = "nvidia-h100-sxm";
    let (code, _, err) = home.run(&["profile", "merge", datasheet, datasheet, datasheet, "-o", "typical.json"]);
    assert!(code == 2 && err.contains("no ceiling was measured on 3 of the devices"), "{err}");
    for (field, value) in [("name", "Another processor"), ("kind", "simulated"), ("backend", "mock")] {
        fs::remove_dir_all(home.path().join("nodes")).unwrap();
        fleet(&home, &[1.0, 1.01, 0.99]);
        change(&home, "node2.json", |profile| profile["device"][field] = value.into());
        let (code, out, err) = home.run(&["profile", "merge", "nodes"]);
        assert!(code == 2 && out.is_empty() && err.contains("`node2` of "), "{field}: {err}");
    }
}

#[test]
fn the_typical_profile_can_go_to_standard_output() {
    let home = Home::new();
    fleet(&home, &[1.0, 1.01, 0.99]);
    let (code, out, err) = home.run(&["profile", "merge", "nodes", "-o", "-"]);
    assert_eq!(code, 0, "{err}");
    let profile: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(profile["schema"], "rooflab.profile/1");
    assert!(err.contains("3 devices, none falls behind") && !home.path().join("-").exists(), "{err}");
    let (code, _, err) = home.run(&["profile", "merge", "nodes", "-o", "-", "--json"]);
    assert!(code == 2 && err.contains("both write to standard output"), "{err}");
}

/// The job of a cluster with commands in place of Slurm's and rooflab's that note what they are called with.
#[cfg(unix)]
#[test]
fn a_job_measures_what_its_effort_says_unless_probes_are_named() {
    use std::os::unix::fs::PermissionsExt;

    let home = Home::new();
    let command = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    command("srun", "#!/bin/sh\nshift 2\nSLURMD_NODENAME=node1 exec \"$@\"\n");
    let noting = command("noting", "#!/bin/sh\nprintf '<%s>' \"$@\" >>\"$NOTES\"\necho >>\"$NOTES\"\n");
    #[expect(clippy::disallowed_methods, reason = "the script looks for a shell and for `srun`")]
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap());
    let calls = |probes: Option<&str>| {
        let notes = home.path().join("notes");
        let _ = fs::remove_file(&notes);
        let mut job = std::process::Command::new("bash");
        job.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fleet/slurm.sh")).current_dir(home.path());
        job.env("PATH", &path).env("ROOFLAB", &noting).env("NOTES", &notes).env("SLURM_JOB_ID", "7");
        job.env("EFFORT", "quick").env_remove("PROBES").envs(probes.map(|probes| ("PROBES", probes)));
        assert!(job.status().unwrap().success());
        fs::read_to_string(notes).unwrap()
    };
    let all = calls(None);
    assert!(all.contains("<--effort><quick><--no-save>") && !all.contains("--probe"), "{all}");
    let some = calls(Some("memory.* x"));
    assert!(some.contains("<--effort><quick><--probe><memory.* x><--no-save>"), "{some}");
}
