//! Bad input and bad days: a clear error with a hint, exit code 2, nothing lost, no panic.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Home, finish};

/// The command fails with exit code 2 and says all of these; it shows neither a panic nor a stack trace.
fn fails(home: &Home, arguments: &[&str], says: &[&str]) {
    let (code, out, err) = home.run(arguments);
    assert_eq!(code, 2, "{arguments:?}: {out}{err}");
    for part in says {
        assert!(err.contains(part), "{arguments:?} does not say `{part}`:\n{err}");
    }
    assert!(!err.contains("panicked") && !err.contains("RUST_BACKTRACE"), "{err}");
    assert_eq!(out, "", "{arguments:?}: errors belong on standard error");
}

#[test]
fn unknown_devices_and_patterns() {
    let home = Home::new();
    fails(&home, &["probe", "-d", "tpu"], &["error: there is no device `tpu`", "hint: `rooflab devices`"]);
    fails(&home, &["probe", "-d", "cpu:7"], &["there is no device `cpu:7`; the backend has 1", "hint:"]);
    fails(&home, &["probe", "-d", "cpu:x"], &["there is no device `cpu:x`"]);
    fails(&home, &["probe", "-p", "dram"], &["`dram` matches no ceiling", "hint: `rooflab explain`"]);
    fails(&home, &["probe", "-p", "["], &["`[` is not a pattern", "hint:"]);
    fails(&home, &["explain", "nonsense"], &["`nonsense` matches no ceiling"]);
    fails(&home, &["probe", "--sustain", "3parsecs"], &["a duration such as"]);
    fails(&home, &["probe", "--effort", "huge"], &["possible values: quick, normal, thorough"]);
    fails(&home, &["probe", "--plan", "--check"], &["cannot be used with"]);
    fails(&home, &["nonsense"], &["unrecognized subcommand"]);
}

#[test]
fn profiles_that_are_none() {
    let home = Home::new();
    let good = home.run(&["probe", "-d", "mock", "-p", "overhead.*", "--no-save", "--json"]).1;
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1)
    };
    let cases: &[(&str, String, &[&str])] = &[
        ("empty", String::new(), &["it is empty", "hint: measure again"]),
        ("truncated", good[..good.len() / 2].to_owned(), &["it is truncated", "hint: measure again"]),
        ("text", "hello".to_owned(), &["it is not JSON"]),
        ("list", "[1,2]".to_owned(), &["the outermost value is not an object"]),
        ("other", r#"{"a": 1}"#.to_owned(), &["there is no field `schema`"]),
        ("foreign", r#"{"schema": "somebody/1"}"#.to_owned(), &["its schema is `somebody/1`"]),
        ("newer", with("rooflab.profile/1", "rooflab.profile/2"), &["is of version 2", "hint: update rooflab"]),
        ("odd-version", with("rooflab.profile/1", "rooflab.profile/x"), &["its schema is `rooflab.profile/x`"]),
        ("wrong-type", with("\"cores\": 4", "\"cores\": \"four\""), &["field `device.cores`", "invalid type"]),
        ("missing", with("\"value\":", "\"worth\":"), &["field `ceilings[0]", ".value`: it is missing"]),
        ("deep", "[".repeat(100_000), &["it is not JSON", "recursion limit"]),
        ("escape", "{\"schema\": \"\\u001b[31mred\"}".to_owned(), &["its schema is `\u{fffd}[31mred`"]),
    ];
    for (name, text, says) in cases {
        let path = home.path().join(format!("{name}.json"));
        fs::write(&path, text).unwrap();
        for command in ["show", "check"] {
            fails(&home, &["profile", command, path.to_str().unwrap()], says);
        }
        let (code, _, err) = finish(home.rooflab(&["profile", "show", "-"]).write_stdin(text.clone()));
        assert_eq!(code, 2);
        assert!(err.contains("standard input") && says.iter().all(|part| err.contains(part)), "{name}: {err}");
    }
    fs::write(home.path().join("binary.json"), [0xff, 0xfe, 0x00]).unwrap();
    fails(&home, &["profile", "show", "binary.json"], &["it is not JSON"]);
    fails(&home, &["profile", "show", "no/such.json"], &["cannot use `no/such.json`", "hint: `rooflab profile list`"]);
    fails(&home, &["profile", "show", "nobody"], &["there is no profile `nobody`", "hint: no profile is stored yet"]);
    fails(&home, &["profile", "show", "."], &["hint:"]);
    fails(&home, &["profile", "diff", "-", "-"], &["standard input holds one profile"]);
}

#[test]
fn profiles_that_break_their_promises_answer_no() {
    let home = Home::new();
    let good = home.run(&["probe", "-d", "mock", "-p", "overhead.launch", "--no-save", "--json"]).1;
    for (from, to, says) in [
        ("\"clean\": ", "\"clean\": 999", "the sample counts contradict"),
        ("\"unit\": \"s\"", "\"unit\": \"B/s\"", "its unit is `B/s`, not `s`"),
        ("\"value\": ", "\"value\": -", "a value is not a positive number"),
        ("\"iterations\": ", "\"iterations\": 0, \"was\": ", "nothing was run"),
        ("\"lanes\": 4", "\"lanes\": 0", "nothing was run"),
    ] {
        let path = home.path().join("bad.json");
        assert!(good.contains(from));
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let (code, out, err) = home.run(&["profile", "check", "bad.json"]);
        assert_eq!(code, 1, "{out}{err}");
        assert!(out.contains(says), "{out}");
    }
}

#[test]
fn fields_and_ceilings_of_later_versions_are_skipped_with_a_note() {
    let home = Home::new();
    let good = home.run(&["probe", "-d", "mock", "-p", "overhead.*", "--no-save", "--json"]).1;
    let later = good
        .replacen("\"ceilings\": [", "\"ceilings\": [{\"resource\": \"quantum.flux\", \"anything\": 1},", 1)
        .replacen("\"lanes\": 4", "\"colour\": \"blue\", \"lanes\": 4", 1);
    fs::write(home.path().join("later.json"), later).unwrap();
    let (code, out, err) = home.run(&["profile", "check", "later.json"]);
    assert_eq!((code, out.as_str()), (0, "later.json: ok\n"));
    assert!(err.contains("1 ceilings of unknown kinds were left out: quantum.flux"), "{err}");
}

#[test]
fn a_store_that_cannot_be_written_is_known_before_anything_is_measured() {
    let home = Home::new();
    fs::write(home.path().join("data"), "a file where the folder should be").unwrap();
    fails(&home, &["probe", "-d", "mock", "--effort", "quick"], &["cannot write", "hint: measure without storing"]);
    fails(&home, &["probe", "-d", "mock", "--no-save", "-o", "no/such/folder.json"], &["cannot write to", "hint:"]);
    assert_eq!(home.run(&["probe", "-d", "mock", "--effort", "quick", "--no-save"]).0, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_loses_nothing() {
    let home = Home::new();
    let (code, out, err) = home.run(&["probe", "-d", "mock", "-p", "overhead.*", "--no-save", "-o", "/dev/full"]);
    assert_eq!(code, 2, "{err}");
    assert!(out.contains("overhead") && err.contains("No space left on device"), "{out}{err}");
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let binary = assert_cmd::cargo::cargo_bin("rooflab");
    let output = Command::new(binary).args(["devices"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[test]
#[cfg(target_os = "linux")]
fn little_memory_is_a_reason_and_not_a_crash() {
    let home = Home::new();
    let binary = assert_cmd::cargo::cargo_bin("rooflab");
    let limited = |patterns: &str| {
        let line =
            format!("ulimit -v 400000; exec {} probe -d cpu --effort quick --no-save {patterns}", binary.display());
        let output = Command::new("bash").args(["-c", &line]).current_dir(home.path()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, err) = limited("-p memory.dram.read -p compute.vector.f32");
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("failed: ") && out.contains("bytes of memory could not be had"), "{out}");
    let (code, _, err) = limited("-p memory.dram.read@core");
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("nothing could be measured") && err.contains("hint:"), "{err}");
}

#[test]
fn no_home_directory() {
    let home = Home::new();
    let command = |arguments: &[&str]| {
        let mut command = home.rooflab(arguments);
        command.env_remove("XDG_DATA_HOME").env_remove("HOME");
        finish(&mut command)
    };
    // Where the system knows the user's home without `HOME`, that home would be used: only what needs none is tried.
    assert_eq!(command(&["probe", "-d", "mock", "-p", "overhead.*", "--no-save"]).0, 0);
    assert_eq!(command(&["devices"]).0, 0);
    let (_, profile, _) = command(&["probe", "-d", "mock", "-p", "overhead.*", "--no-save", "--json"]);
    fs::write(home.path().join("p.json"), profile).unwrap();
    assert_eq!(command(&["profile", "check", "./p.json"]).0, 0);
    let mut nowhere = home.rooflab(&["probe", "-d", "mock", "--effort", "quick"]);
    nowhere.env("XDG_DATA_HOME", "relative/path").env("HOME", "/proc/nonexistent");
    let (code, _, err) = finish(&mut nowhere);
    assert_eq!(code, 2);
    assert!(err.contains("cannot write") && err.contains("hint:"), "{err}");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let home = Home::new();
    let binary = assert_cmd::cargo::cargo_bin("rooflab");
    let mut child = Command::new(binary)
        .args(["generate", "schema"])
        .current_dir(home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

/// Starts a long run on the real processor, interrupts it once a file is there, and gives its output.
#[cfg(unix)]
fn interrupted(home: &Home, name: &str, once: &std::path::Path) -> (Option<i32>, String, String) {
    let child = Command::new(assert_cmd::cargo::cargo_bin("rooflab"))
        .args(["probe", "-d", "cpu", "--effort", "thorough", "--name", name])
        .env("XDG_DATA_HOME", home.path().join("data"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first probes take a few seconds at most; a machine that needs a minute is given it.
    for _ in 0..600 {
        if once.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
#[cfg(unix)]
fn an_interrupt_keeps_what_is_finished() {
    let home = Home::new();
    let (code, out, err) = interrupted(&home, "cut", &home.profiles().join("cut.json"));
    assert_eq!(code, Some(130), "{out}{err}");
    assert!(err.contains("interrupted: what was finished is kept"), "{err}");
    assert!(out.contains("skipped: interrupted"), "{out}");
    let (code, out, _) = home.run(&["profile", "check", "cut"]);
    assert_eq!(code, 0, "{out}");
    let (_, out, _) = home.run(&["profile", "list"]);
    assert!(out.contains("incomplete"), "{out}");
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_leaves_a_complete_profile_in_its_place() {
    let home = Home::new();
    assert_eq!(home.run(&["probe", "-d", "mock", "--effort", "quick", "--name", "kept"]).0, 0);
    let before = fs::read_to_string(home.profiles().join("kept.json")).unwrap();
    let (code, _, _) = interrupted(&home, "kept", &home.profiles().join("kept.partial.json"));
    assert_eq!(code, Some(130));
    assert_eq!(fs::read_to_string(home.profiles().join("kept.json")).unwrap(), before);
    assert_eq!(home.run(&["profile", "check", "kept.partial"]).0, 0);
}
