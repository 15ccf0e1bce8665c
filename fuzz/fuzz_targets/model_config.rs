//! Any bytes are the configuration of a model or an error; a model that was read can be counted and has no problem.
//!
//! Run with `cargo +nightly fuzz run model_config fuzz/corpus src/model/presets`, or on stable with
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none model_config fuzz/corpus src/model/presets`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rooflab::dtype::DType;
use rooflab::model::{KvFormat, from_config};

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = from_config("fuzzed", bytes) else { return };
    assert!(model.problems().is_empty(), "a model with problems was read");
    let count = model.parameters();
    assert!(count.active <= count.total);
    assert!(model.kv_bytes(1 << 20, KvFormat::plain(DType::Bf16)).get().is_finite());
    if let Some(stored) = &model.stored {
        assert!(model.weight_bytes(stored).get() > 0.0);
    }
});
