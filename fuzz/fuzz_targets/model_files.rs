//! Any bytes are the header of a GGUF or a safetensors file or an error; nothing is allocated that is not there.
//!
//! Run with `cargo +nightly fuzz run model_files`, or on stable with `RUSTC_BOOTSTRAP=1 cargo fuzz run -s none model_files`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rooflab::model::{Tensors, files_of_index, from_gguf};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = from_gguf("fuzzed", bytes, None) {
        assert!(model.problems().is_empty(), "a model with problems was read");
        let stored = model.stored.as_ref().expect("a file states its formats");
        assert!(model.weight_bytes(stored).get() > 0.0);
    }
    if let Ok(tensors) = Tensors::read(bytes, Some(bytes.len() as u64)) {
        assert!(tensors.bytes <= bytes.len() as u64 * tensors.count.max(1));
    }
    let _ = files_of_index(bytes);
});
