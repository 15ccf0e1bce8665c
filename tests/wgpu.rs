//! Drives the real command on software drivers for Vulkan: every kernel against its reference, with and without run-time checks, at several subgroup widths; and the days on
//! which there is no driver, or a broken one. Tests that need a driver are ignored by `cargo test`; `scripts/test` installs both drivers and runs them, or says that it could not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a helper of tests fails the test")]

mod common;

use std::path::{Path, PathBuf};

use common::{Home, finish};
use rooflab::facts::{DeviceKind, TimerSource};
use rooflab::profile::{Outcome, Profile, from_json};
use serde_json::Value;

/// A software driver for Vulkan.
struct Driver {
    manifest: PathBuf,
}

impl Driver {
    /// Mesa's, where Debian and Fedora put it.
    fn lavapipe() -> Self {
        let files = std::fs::read_dir("/usr/share/vulkan/icd.d").expect("`mesa-vulkan-drivers` is installed");
        let mut manifests = files.map(|file| file.unwrap().path());
        let is_it = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("lvp_icd"));
        Self { manifest: manifests.find(is_it).expect("lavapipe is among the drivers") }
    }

    /// Chromium's, where the test command unpacks it.
    fn swiftshader() -> Self {
        let manifest = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../drivers/vk_swiftshader_icd.json");
        assert!(manifest.is_file(), "SwiftShader is unpacked to {}", manifest.display());
        Self { manifest }
    }

    /// Runs the command with this driver alone.
    fn run(&self, home: &Home, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
        with_driver(home, &self.manifest, arguments, environment)
    }

    /// What `probe --check` says of each kernel, as (ceiling, variant, verdict).
    fn verdicts(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Vec<(String, String, Verdict)> {
        let home = Home::new();
        let mut all = vec!["probe", "-d", "wgpu:0", "--check", "--effort", "quick", "--json"];
        // A pattern has also measured what the effort would leave out.
        if !arguments.contains(&"-p") {
            all.extend(["-p", "*"]);
        }
        all.extend(arguments);
        let (code, out, err) = self.run(&home, &all, environment);
        assert_eq!(code, 0, "{out}{err}");
        let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
        let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
        let verdict =
            |row: &Value| if row["ok"] == true { Verdict::Right } else { Verdict::Unsupported(text(row, "reason")) };
        rows.iter().map(|row| (text(row, "ceiling"), text(row, "variant"), verdict(row))).collect()
    }
}

/// Failures end the command with another code, so that only these two are left.
#[derive(Debug, PartialEq)]
enum Verdict {
    Right,
    Unsupported(String),
}

/// Runs the command with one manifest of a driver in place of the installed ones, and without OpenGL.
fn with_driver(
    home: &Home,
    manifest: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (i32, String, String) {
    let mut command = home.rooflab(arguments);
    command
        .env("VK_DRIVER_FILES", manifest)
        .env("__EGL_VENDOR_LIBRARY_DIRS", "/nonexistent")
        // A layer of Mesa's that prints where there is no desktop.
        .env("NODEVICE_SELECT", "1")
        .envs(environment.iter().copied());
    finish(&mut command)
}

fn right(verdicts: &[(String, String, Verdict)]) -> usize {
    verdicts.iter().filter(|(_, _, verdict)| *verdict == Verdict::Right).count()
}

#[test]
#[ignore = "needs lavapipe; `scripts/test` installs it"]
fn every_kernel_is_right_with_and_without_checks() {
    let driver = Driver::lavapipe();
    let unchecked = driver.verdicts(&[], &[]);
    assert!(right(&unchecked) > 100, "only {} kernels were verified", right(&unchecked));
    // Loops that a driver cuts short, indices that a check would clamp: both ways compute the same.
    assert_eq!(driver.verdicts(&["--checked"], &[]), unchecked);
}

#[test]
#[ignore = "needs lavapipe; `scripts/test` installs it"]
fn kernels_do_not_depend_on_the_width_of_subgroups() {
    let driver = Driver::lavapipe();
    let patterns = ["-p", "gemv.f32", "-p", "gemv.int4*", "-p", "rowwise.softmax.f32", "-p", "rowwise.rmsnorm.bf16"];
    for (bits, lanes) in [("128", 4), ("256", 8), ("512", 16)] {
        let environment = [("LP_NATIVE_VECTOR_WIDTH", bits)];
        let home = Home::new();
        let (_, out, _) = driver.run(&home, &["devices", "--json"], &environment);
        assert!(out.contains(&format!("subgroups of {lanes}")), "{out}");
        let verdicts = driver.verdicts(&patterns, &environment);
        assert!(verdicts.iter().any(|(_, variant, _)| variant.contains("subgroups")), "{verdicts:?}");
        assert_eq!(right(&verdicts), verdicts.len(), "{verdicts:?}");
    }
}

/// Lavapipe has cooperative matrices from Mesa 26 on: they are used then, and right, or what is missing is named.
#[test]
#[ignore = "needs lavapipe; `scripts/test` installs it"]
fn matrix_units_are_used_or_what_they_lack_is_named() {
    let driver = Driver::lavapipe();
    let (_, devices, _) = driver.run(&Home::new(), &["devices", "--json"], &[]);
    let has_them = devices.contains("\"cooperative matrices\"");
    let verdicts = driver.verdicts(&["-p", "compute.matrix.f16*", "-p", "gemm.f16*"], &[]);
    let by_matrices = |verdict: &(String, String, Verdict)| verdict.1.contains("cooperative matrices");
    assert_eq!(verdicts.iter().any(by_matrices), has_them, "{verdicts:?}");
    for (ceiling, _, verdict) in verdicts.iter().filter(|(ceiling, ..)| ceiling.starts_with("compute.matrix")) {
        let named = matches!(verdict, Verdict::Unsupported(why) if why.contains("EXPERIMENTAL_COOPERATIVE_MATRIX"));
        assert!(if has_them { *verdict == Verdict::Right } else { named }, "{ceiling}: {verdict:?}");
    }
    assert!(right(&verdicts) > 0, "products are computed one way or the other");
}

#[test]
#[ignore = "needs SwiftShader; `scripts/test` unpacks it"]
fn a_second_driver_agrees_and_says_what_it_lacks() {
    let driver = Driver::swiftshader();
    let verdicts = driver.verdicts(&[], &[]);
    assert!(right(&verdicts) > 80, "only {} kernels were verified", right(&verdicts));
    let of_f16 = verdicts.iter().find(|(ceiling, ..)| ceiling == "compute.vector.f16");
    assert!(
        matches!(of_f16, Some((_, _, Verdict::Unsupported(reason))) if reason.contains("SHADER_F16")),
        "{of_f16:?}"
    );
}

#[test]
#[ignore = "needs lavapipe; `scripts/test` installs it"]
fn a_profile_of_software_is_whole_and_warns() {
    let driver = Driver::lavapipe();
    let home = Home::new();
    let (code, out, err) =
        driver.run(&home, &["probe", "-d", "wgpu:0", "--effort", "quick", "--json", "--name", "soft"], &[]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let (profile, _): (Profile, _) = from_json(out.as_bytes()).unwrap();
    assert_eq!(profile.device.kind, DeviceKind::Software);
    assert_eq!(profile.instrument.as_ref().unwrap().timer.source, TimerSource::DeviceEvents);
    let mut measured = 0;
    for ceiling in &profile.ceilings {
        match &ceiling.outcome {
            Outcome::Ok { points, .. } => measured += usize::from(!points.is_empty()),
            Outcome::Unsupported { reason } | Outcome::Skipped { reason } => assert!(!reason.is_empty()),
            Outcome::Failed { reason } => panic!("{} failed: {reason}", ceiling.key()),
        }
    }
    assert!(measured > 30, "only {measured} ceilings were measured");
    let (code, out, err) = home.run(&["profile", "check", "soft"]);
    assert_eq!(code, 0, "{out}");
    assert!(err.contains("SOFTWARE"), "{err}");
    let (_, _, err) = home.run(&["estimate", "-m", "qwen2.5-0.5b", "-f", "soft"]);
    assert!(err.contains("nothing follows from them"), "{err}");
}

/// Every layer has weights and a cache of its own, and operators wait for one another: times decide nothing here, but all of a step must have run and been right.
#[test]
#[ignore = "needs lavapipe; `scripts/test` installs it"]
fn a_model_runs_in_whole_steps() {
    let driver = Driver::lavapipe();
    let home = Home::new();
    let model = common::tiny_model(&home);
    let profile = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/profiles/golden-cove-2c-kvm.json");
    let against = ["--against", profile.to_str().unwrap(), "--effort", "quick", "--json"];
    let sizes = ["-b", "1,4", "-c", "128", "--prompt", "64"];
    let (code, out, err) =
        driver.run(&home, &[&["validate", "-d", "wgpu:0", "-m", &model][..], &against, &sizes].concat(), &[]);
    assert!(code == 0 || code == 1, "{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let steps = document["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 3);
    for step in steps {
        assert_eq!((&step["layers"], &step["whole"]["status"]), (&2.into(), &"compared".into()), "{}", step["whole"]);
        let measured = |of: &Value| of["measured"].as_f64().unwrap();
        let operators = step["operators"].as_array().unwrap();
        let longest = operators.iter().filter(|row| row["status"] == "compared").map(measured).fold(0.0, f64::max);
        // Medians of a machine that does other things, too.
        assert!(measured(&step["whole"]) > 0.5 * longest, "a step is no shorter than what it consists of: {step}");
    }
}

#[test]
#[ignore = "needs lavapipe; `scripts/test` installs it"]
fn software_is_never_chosen_by_itself() {
    let driver = Driver::lavapipe();
    let home = Home::new();
    let (code, out, _) = driver.run(&home, &["devices"], &[]);
    assert_eq!(code, 0);
    assert!(out.contains("cpu (software)"), "{out}");
    let (_, _, err) = driver.run(&home, &["profile", "show"], &[]);
    assert!(err.contains(".cpu"), "this machine's profile is the processor's: {err}");
}

#[test]
#[ignore = "needs lavapipe; `scripts/test` installs it"]
fn what_cannot_be_measured_on_a_gpu_is_an_error_with_a_hint() {
    let driver = Driver::lavapipe();
    let home = Home::new();
    let (code, _, err) = driver.run(&home, &["probe", "-d", "wgpu:0", "-p", "memory.dram.read@core"], &[]);
    assert_eq!(code, 2);
    assert!(err.contains("hint: `rooflab probe -d wgpu:0 --plan`"), "{err}");
    let (code, _, err) = driver.run(&home, &["probe", "-d", "wgpu:7"], &[]);
    assert_eq!(code, 2);
    assert!(err.contains("there is no device `wgpu:7`"), "{err}");
}

/// The loader reads manifests of drivers before it lists any device, and a pipe that nobody writes to keeps it waiting for ever, as a driver does that hangs.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "needs the loader that comes with lavapipe; `scripts/test` installs it"]
fn a_driver_that_hangs_is_given_up() {
    let home = Home::new();
    let manifest = home.path().join("hangs.json");
    assert!(std::process::Command::new("mkfifo").arg(&manifest).status().unwrap().success());
    let (code, out, err) = with_driver(&home, &manifest, &["probe", "-d", "wgpu:0", "--patience", "1s"], &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("a driver does not list its devices within 1 s") && err.contains("hint: "), "{err}");
}

/// Without a driver, or with one that is none, the other backends are listed, and this one says why it has nothing.
#[test]
#[cfg(target_os = "linux")]
fn without_a_driver_there_is_a_reason_and_a_hint() {
    let home = Home::new();
    let (library, manifest) = (home.path().join("libbroken.so"), home.path().join("broken.json"));
    std::fs::write(&library, "this is no library").unwrap();
    let text = format!(
        r#"{{"file_format_version": "1.0.0", "ICD": {{"library_path": "{}", "api_version": "1.3.0"}}}}"#,
        library.display()
    );
    std::fs::write(&manifest, text).unwrap();
    for manifest in [Path::new("/nonexistent"), &manifest] {
        let (code, out, err) = with_driver(&home, manifest, &["devices", "--json"], &[]);
        assert_eq!((code, err.as_str()), (0, ""));
        let offers: Vec<Value> = serde_json::from_str(&out).unwrap();
        let offer = offers.iter().find(|offer| offer["backend"] == "wgpu").unwrap();
        let reason = offer["reason"].as_str().unwrap();
        assert!(reason.contains("no GPU can be reached: vulkan") && reason.contains("mesa-vulkan-drivers"), "{reason}");
        let (code, _, err) = with_driver(&home, manifest, &["probe", "-d", "wgpu:0"], &[]);
        assert_eq!(code, 2);
        assert!(err.contains("no GPU can be reached") && err.contains("hint: install a Vulkan driver"), "{err}");
    }
}
