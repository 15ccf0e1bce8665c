//! Drives `rooflab profile`, `explain` and `generate`; and the laws of the profile reader.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod common;

use common::{Home, finish, stable};
use proptest::prelude::*;
use rooflab::profile::{Ceiling, Ceilings, Demand, Place, check, from_json};
use rooflab::workload::Shape;

fn quick(home: &Home) -> String {
    home.run(&["probe", "-d", "mock", "--effort", "quick", "--no-save", "--json"]).1
}

#[test]
fn an_empty_store_says_so() {
    let home = Home::new();
    let (code, out, err) = home.run(&["profile", "list"]);
    assert_eq!(code, 0);
    // What ships with rooflab is listed all the same.
    assert!(out.starts_with("bundled"), "{out}");
    assert!(err.contains("no profiles in") && err.contains("`rooflab probe` measures this machine"), "{err}");
}

#[test]
fn list_path_and_lookup() {
    let home = Home::new();
    for name in ["alpha", "beta"] {
        assert_eq!(home.run(&["probe", "-d", "mock", "--effort", "quick", "--name", name]).0, 0);
    }
    std::fs::write(home.profiles().join("broken.json"), "{").unwrap();
    let (code, out, _) = home.run(&["profile", "list"]);
    assert_eq!(code, 0);
    assert!(out.contains("alpha") && out.contains("unreadable: it is truncated"), "{out}");
    let (_, path, _) = home.run(&["profile", "path", "alp"]);
    assert_eq!(stable(&path, &home).trim(), "HOME/data/rooflab/profiles/alpha.json");
    let (_, folder, _) = home.run(&["profile", "path"]);
    assert_eq!(stable(&folder, &home).trim(), "HOME/data/rooflab/profiles");
    let (code, _, err) = home.run(&["profile", "show", "a-name-nobody-has"]);
    assert_eq!(code, 2);
    assert!(err.contains("hint: there are: alpha, beta, broken"), "{err}");
}

#[test]
fn the_document_is_what_the_snapshot_says() {
    let home = Home::new();
    let (_, out, _) =
        home.run(&["probe", "-d", "mock", "-p", "compute.vector.f*", "-p", "memory.dram.read", "--no-save", "--json"]);
    insta::assert_snapshot!("document", stable(&out, &home));
}

#[test]
fn profiles_are_read_from_standard_input() {
    let home = Home::new();
    let profile = quick(&home);
    let (code, out, _) = finish(home.rooflab(&["profile", "check", "-"]).write_stdin(profile));
    assert_eq!((code, out.as_str()), (0, "-: ok\n"));
}

#[test]
fn a_broken_profile_does_not_keep_the_others_from_being_checked() {
    let home = Home::new();
    std::fs::write(home.path().join("a.json"), "{").unwrap();
    std::fs::write(home.path().join("b.json"), quick(&home)).unwrap();
    let (code, out, err) = home.run(&["profile", "check", "a.json", "b.json"]);
    assert_eq!((code, out.as_str()), (2, "b.json: ok\n"));
    assert!(err.contains("`a.json`"), "{err}");
}

#[test]
fn comparing_tells_better_worse_and_the_same() {
    let home = Home::new();
    let before = quick(&home);
    std::fs::write(home.path().join("before.json"), &before).unwrap();
    let (code, out, _) = home.run(&["profile", "diff", "before.json", "before.json"]);
    assert_eq!(code, 0);
    assert!(out.contains("0 better, 0 worse"), "{out}");
    // The throttling device is slower at all compute; its points carry the flag, so that nothing is said for certain.
    let throttled = home.run(&["probe", "-d", "mock:5", "--effort", "quick", "--no-save", "--json"]).1;
    std::fs::write(home.path().join("throttled.json"), throttled).unwrap();
    let (code, out, _) = home.run(&["profile", "diff", "before.json", "throttled.json", "--fail-on-regression"]);
    assert_eq!(code, 0);
    assert!(out.contains("unsure: limited, throttled"), "{out}");
    // The same loss without a flag is a regression.
    let mut slower: rooflab::profile::Profile = from_json(before.as_bytes()).unwrap().0;
    for ceiling in &mut slower.ceilings {
        if let rooflab::profile::Outcome::Ok { points, .. } = &mut ceiling.outcome {
            for point in points {
                let factor = if ceiling.unit.more_is_better() { 0.8 } else { 1.25 };
                for value in [&mut point.value, &mut point.best, &mut point.p10, &mut point.p90] {
                    *value *= factor;
                }
                point.confidence = point.confidence.map(|bound| bound * factor);
            }
        }
    }
    std::fs::write(home.path().join("slower.json"), slower.to_json()).unwrap();
    let (code, out, _) = home.run(&["profile", "diff", "before.json", "slower.json", "--fail-on-regression"]);
    assert_eq!(code, 1);
    assert!(out.contains("0 better") && out.contains("0.800") && out.contains("1.250"), "{out}");
    assert_eq!(home.run(&["profile", "diff", "slower.json", "before.json", "--fail-on-regression"]).0, 0);
}

#[test]
fn explain_and_generate() {
    let home = Home::new();
    let (code, out, _) = home.run(&["explain", "memory.dram.triad*"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("explain", out);
    let (code, out, _) = home.run(&["generate", "schema"]);
    assert_eq!(code, 0);
    assert!(out.contains("\"const\": \"rooflab.profile/1\""), "{out}");
    assert!(home.run(&["generate", "man"]).1.contains(".TH rooflab 1"));
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(home.run(&["generate", "completions", shell]).1.contains("rooflab"));
    }
}

/// Reads and checks every profile of a folder, and gives their number.
fn all_sound(folder: &str) -> usize {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    files
        .map(|path| {
            let read = from_json(&std::fs::read(&path).unwrap());
            let (profile, notes) = read.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(notes.is_empty(), "{}: {notes:?}", path.display());
            assert_eq!(check(&profile), [], "{}", path.display());
        })
        .count()
}

#[test]
fn profiles_of_version_1_are_readable_forever() {
    assert!(all_sound("tests/profiles") >= 3);
}

#[test]
fn measured_profiles_that_ship_keep_their_promises() {
    assert!(all_sound("profiles/measured") >= 1);
}

/// A profile measured by the mock, made once.
fn sample() -> &'static str {
    static SAMPLE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let home = Home::new();
        home.run(&["probe", "-d", "mock", "-p", "memory.dram.*", "-p", "compute.*", "--no-save", "--json"]).1
    })
}

#[test]
fn writing_and_reading_are_inverse() {
    let (profile, _) = from_json(sample().as_bytes()).unwrap();
    assert!(profile.to_json() == sample(), "a profile that was read is not written as it was");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = from_json(&bytes);
    }

    #[test]
    fn a_truncated_profile_is_an_error(share in 0.0..0.999_f64) {
        let text = sample().trim_end();
        let cut = (text.len() as f64 * share) as usize;
        prop_assert!(from_json(&text.as_bytes()[..cut]).is_err());
    }

    #[test]
    fn a_damaged_profile_is_read_or_refused_and_checked_without_a_panic(
        place in 0.0..1.0_f64, length in 0..20_usize, with in prop::collection::vec(any::<u8>(), 0..20)
    ) {
        let mut bytes = sample().as_bytes().to_vec();
        let start = (bytes.len() as f64 * place) as usize;
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, with);
        if let Ok((profile, _)) = from_json(&bytes) {
            let _ = check(&profile);
            let _ = rooflab::report::profile(&profile);
            let _ = rooflab::report::advice(&profile);
            let _ = rooflab::profile::diff(&profile, &profile, 0.0);
            for &Ceiling { resource, scope, .. } in &profile.ceilings {
                for at in [Place::Anywhere, Place::Bytes(1e6), Place::Tokens(1e3), Place::Shape(Shape::square(1000))] {
                    let _ = Ceilings::new(&profile).ask(&Demand { resource, scope, at });
                }
            }
        }
    }

    #[test]
    fn hostile_numbers_are_noticed(number in prop::num::f64::ANY) {
        let (mut profile, _) = from_json(sample().as_bytes()).unwrap();
        for ceiling in &mut profile.ceilings {
            if let rooflab::profile::Outcome::Ok { points, .. } = &mut ceiling.outcome {
                points[0].value = number;
            }
        }
        let inside = number > 0.0 && number.is_finite();
        prop_assert!(inside || !check(&profile).is_empty());
        let style = rooflab::report::Style { width: Some(80), unicode: true, colour: false };
        let _ = rooflab::report::text(&rooflab::report::profile(&profile), style);
    }
}
