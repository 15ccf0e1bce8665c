//! Any bytes are observations or an error; an observation can be merged, checked and written, and what was written reads back.
//!
//! Run with `cargo +nightly fuzz run observations fuzz/corpus/observations tests/observations`, or on stable with
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none observations fuzz/corpus/observations tests/observations`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rooflab::observe::{cases, from_bytes, merge, sniff};

fuzz_target!(|bytes: &[u8]| {
    let Ok(runs) = from_bytes(bytes, "run") else { return };
    assert!(!sniff(bytes).expect("what was read is of some kind").is_empty());
    for run in &runs {
        let _ = (run.lacks(), run.contradictions());
        let again = from_bytes(run.to_json().as_bytes(), "run").expect("what was written reads back");
        assert!(again == [run.clone()], "an observation changed on its way to a file and back");
    }
    assert!(merge(&runs).is_some());
    let _ = cases(&runs);
});
