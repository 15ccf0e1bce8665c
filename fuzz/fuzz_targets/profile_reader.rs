//! Any bytes are a profile or an error; a profile can be checked, shown, compared and written, and what was written reads back.
//!
//! Run with `cargo +nightly fuzz run profile_reader fuzz/corpus tests/profiles`, or on stable with
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none profile_reader fuzz/corpus tests/profiles`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rooflab::profile::{check, diff, from_json};
use rooflab::report::{Style, advice, comparison, profile, text};

fuzz_target!(|bytes: &[u8]| {
    let Ok((read, _)) = from_json(bytes) else { return };
    let problems = check(&read);
    let style = Style { width: Some(80), unicode: true, colour: false };
    let shown = text(&profile(&read), style);
    assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "control characters reach the terminal");
    let _ = advice(&read);
    let _ = comparison(&diff(&read, &read), "a", "b");
    if problems.is_empty() {
        let (again, _) = from_json(read.to_json().as_bytes()).expect("what was written reads back");
        assert!(again == read, "a profile changed on its way to a file and back");
    }
});
