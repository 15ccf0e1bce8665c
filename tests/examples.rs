//! The two examples read the profiles that ship, and say the same of them. The one in Python runs where there is a `python3`.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

#[path = "../examples/read_profile.rs"]
mod read_profile;

use std::path::{Path, PathBuf};
use std::process::Command;

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

const PROFILES: [&str; 3] = [
    "profiles/measured/amd-epyc-zen4-2c-kvm.cpu.json",
    "profiles/datasheet/nvidia-h200-sxm.json",
    "tests/profiles/golden-cove-2c-kvm.json",
];

fn in_rust(path: &Path) -> String {
    let mut out = Vec::new();
    read_profile::run(path, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_example_prints_a_roofline() {
    let measured = in_rust(&in_repository(PROFILES[0]));
    assert!(measured.contains("(measured)") && measured.contains("ridge at "), "{measured}");
    let sheet = in_rust(&in_repository(PROFILES[1]));
    assert!(sheet.contains("memory.dram.read: 4800.0 GB/s, datasheet"), "{sheet}");
    assert!(read_profile::run(Path::new("Cargo.toml"), &mut Vec::new()).is_err());
}

#[test]
fn both_examples_say_the_same() {
    let is_there = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        return;
    }
    for path in PROFILES.map(in_repository) {
        let output =
            Command::new("python3").arg(in_repository("examples/read_profile.py")).arg(&path).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{}: {said}", path.display());
        // Windows ends lines in another way.
        assert_eq!(String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n"), in_rust(&path));
    }
}
