//! Files made of bytes: whole ones, truncated ones, hostile ones.

use proptest::prelude::*;

use super::*;
use crate::dtype::DType;
use crate::model::{Mixer, Role};
use crate::units::Bytes;

/// A file under construction.
#[derive(Default)]
struct File {
    metadata: Vec<(String, Vec<u8>)>,
    tensors: Vec<(String, Vec<u64>, u32)>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl File {
    fn number(mut self, key: &str, value: u32) -> Self {
        self.metadata.push((key.to_owned(), [4_u32.to_le_bytes(), value.to_le_bytes()].concat()));
        self
    }

    fn text(mut self, key: &str, value: &str) -> Self {
        self.metadata.push((key.to_owned(), [&8_u32.to_le_bytes()[..], &text(value)].concat()));
        self
    }

    fn tensor(mut self, name: &str, shape: &[u64], kind: u32) -> Self {
        self.tensors.push((name.to_owned(), shape.to_vec(), kind));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3_u32.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.metadata.len() as u64).to_le_bytes());
        for (key, value) in &self.metadata {
            bytes.extend(text(key));
            bytes.extend(value);
        }
        for (name, shape, kind) in &self.tensors {
            bytes.extend(text(name));
            bytes.extend((shape.len() as u32).to_le_bytes());
            shape.iter().for_each(|size| bytes.extend(size.to_le_bytes()));
            bytes.extend(kind.to_le_bytes());
            bytes.extend(0_u64.to_le_bytes());
        }
        bytes
    }
}

const F32: u32 = 0;
const Q4_K: u32 = 12;
const Q6_K: u32 = 14;

/// Two layers as a mixture has them: one with a downward projection of more bits.
fn small() -> File {
    let mut file = File::default()
        .text("general.architecture", "llama")
        .number("llama.embedding_length", 256)
        .number("llama.block_count", 2)
        .number("llama.attention.head_count", 4)
        .number("llama.attention.head_count_kv", 2)
        .number("llama.rope.dimension_count", 64)
        .number("llama.context_length", 4096)
        .tensor("token_embd.weight", &[256, 1000], Q4_K)
        .tensor("output.weight", &[256, 1000], Q6_K)
        .tensor("output_norm.weight", &[256], F32)
        .tensor("rope_freqs.weight", &[32], F32);
    for (layer, down) in [(0, Q6_K), (1, Q4_K)] {
        for (name, shape, kind) in [
            ("attn_norm", &[256][..], F32),
            ("ffn_norm", &[256], F32),
            ("attn_q", &[256, 256], Q4_K),
            ("attn_k", &[256, 128], Q4_K),
            ("attn_v", &[256, 128], Q6_K),
            ("attn_output", &[256, 256], Q4_K),
            ("ffn_gate", &[256, 512], Q4_K),
            ("ffn_up", &[256, 512], Q4_K),
            ("ffn_down", &[512, 256], down),
        ] {
            file = file.tensor(&format!("blk.{layer}.{name}.weight"), shape, kind);
        }
    }
    file
}

fn read(bytes: &[u8]) -> Result<Model, GgufError> {
    from_gguf("small", bytes, None)
}

#[test]
fn layers_and_formats_are_read_off_the_tensors() {
    let model = read(&small().bytes()).unwrap();
    assert_eq!((model.hidden, model.vocab, model.tied_embeddings), (256, 1000, false));
    assert_eq!(model.layers, [0, 1], "layers of different formats are of different kinds");
    assert_eq!(model.blocks[0], model.blocks[1]);
    let Mixer::Attention(attention) = &model.blocks[0].mixer else { panic!("not attention") };
    assert_eq!((attention.heads, attention.kv_heads, attention.head_dim, attention.rope), (4, 2, 64, true));
    let stored = model.stored.as_ref().unwrap();
    assert_eq!(stored.of(0, Role::Down).element, DType::Q6K);
    assert_eq!(stored.of(1, Role::Down).element, DType::Q4K);
    assert_eq!(stored.of(1, Role::Value).element, DType::Q6K);
    // Every byte but those of the 32 factors of rotations, which are no weights.
    let rotations = 32.0 * 4.0;
    assert_eq!(model.weight_bytes(stored) + Bytes(rotations), Bytes::new(model.stored_bytes.unwrap()));
}

#[test]
fn a_file_that_ends_before_its_tensors_is_truncated() {
    let bytes = small().bytes();
    assert!(matches!(from_gguf("small", &bytes[..], Some(bytes.len() as u64)), Err(GgufError::Short { .. })));
    assert!(from_gguf("small", &bytes[..], Some(1 << 30)).is_ok());
}

#[test]
fn what_is_not_known_is_named() {
    let error = |file: File| read(&file.bytes()).unwrap_err().to_string();
    assert_eq!(
        error(small().tensor("blk.1.ssm_in.weight", &[256, 512], Q4_K)),
        "not understood: tensor: `blk.1.ssm_in.weight` (layers with such a tensor are not known)"
    );
    let further = error(small().tensor("blk.2.attn_norm.weight", &[256], F32));
    assert_eq!(further, "not understood: tensor: `blk.2.attn_norm.weight` (`block_count` says 2)");
    assert_eq!(error(small().number("llama.block_count", 3)), "metadata `blk.2` is missing");
    assert!(error(small().tensor("v.blk", &[256, 2], F32)).starts_with("not understood: elements of all tensors: `"));
    assert!(
        error(small().number("llama.attention.sliding_window", 128)).contains("which layers of `llama` have a window")
    );
    assert_eq!(error(small().tensor("x", &[1], 99)), "not understood: type of tensor x: `99` (it is not known)");
    assert_eq!(error(File::default()), "metadata `general.architecture` is missing");
    assert_eq!(read(b"GGML").unwrap_err().to_string(), "it is not a GGUF file");
    assert_eq!(read(b"GGUF\0\0\0\x03").unwrap_err().to_string(), "not understood: it is big-endian");
}

#[test]
fn claims_are_not_believed() {
    let claimed = |tensors: u64, entries: u64| {
        [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &entries.to_le_bytes(), &u64::MAX.to_le_bytes()].concat()
    };
    assert!(matches!(read(&claimed(u64::MAX, 0)), Err(GgufError::TooLarge { value: u64::MAX, .. })));
    assert!(matches!(read(&claimed(0, u64::MAX)), Err(GgufError::TooLarge { value: u64::MAX, .. })));
    assert!(matches!(read(&claimed(0, 1)), Err(GgufError::TooLarge { value: u64::MAX, .. })));
    let product = small().tensor("huge", &[1 << 40, 1 << 40], F32);
    assert!(matches!(read(&product.bytes()), Err(GgufError::TooLarge { .. })));
    let layers = small().number("llama.block_count", u32::MAX);
    assert!(matches!(read(&layers.bytes()), Err(GgufError::TooLarge { .. })));
    // A list of lists of lists.
    let nested: Vec<u8> = std::iter::repeat_n([9_u32.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec()].concat(), 9)
        .flatten()
        .collect();
    let mut file = small();
    file.metadata.push(("nested".to_owned(), [&9_u32.to_le_bytes()[..], &nested].concat()));
    assert!(matches!(read(&file.bytes()), Err(GgufError::NotUnderstood { .. })));
}

proptest! {
    #[test]
    fn a_cut_or_changed_file_is_an_error_or_a_model(cut in 0_usize..4000, at in 0_usize..4000, value: u8) {
        let whole = small().bytes();
        let _ = read(&whole[..cut.min(whole.len())]);
        let mut changed = whole;
        let at = at % changed.len();
        changed[at] = value;
        if let Ok(model) = read(&changed) {
            prop_assert_eq!(model.problems(), []);
            let _ = model.weight_bytes(model.stored.as_ref().unwrap());
        }
    }
}
