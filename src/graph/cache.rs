//! What a layer keeps of a sequence: keys and values of its tokens, or a state of fixed size.

use super::Sequences;
use crate::dtype::DType;
use crate::model::{Block, KvFormat, Mixer};
use crate::units::Bytes;

/// Recurrent states are kept in 32 bits, as the reference implementations keep them: errors would add up over a whole sequence.
const STATE: DType = DType::F32;

/// What a layer keeps of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Cache {
    /// Bytes of a token.
    pub token: Bytes,
    /// Bytes of a sequence, however long: recurrent state and the last inputs of a convolution.
    pub sequence: Bytes,
    /// Tokens that are needed, where not all are.
    pub window: Option<u64>,
}

impl Cache {
    /// The cache of a layer. Keys and values are in the cache's format; convolutions keep their inputs in that of the activations.
    #[must_use]
    pub fn of(block: &Block, kv: KvFormat, activations: DType) -> Self {
        match &block.mixer {
            Mixer::Attention(attention) => Self {
                token: kv.bytes(attention.head_dim) * (2.0 * attention.kv_heads as f64),
                window: attention.window,
                ..Self::default()
            },
            // One vector for all heads, in place of keys and of values.
            Mixer::Latent(latent) => {
                Self { token: kv.bytes(latent.kv_lora_rank.saturating_add(latent.qk_rope_head_dim)), ..Self::default() }
            }
            Mixer::Recurrent(recurrent) => {
                let inputs = recurrent.conv_channels as f64 * recurrent.conv_kernel.saturating_sub(1) as f64;
                let state = recurrent.state as f64 * STATE.bytes_per_element();
                Self { sequence: Bytes(inputs * activations.bytes_per_element() + state), ..Self::default() }
            }
            Mixer::None => Self::default(),
        }
    }

    /// Bytes that a sequence of some tokens needs, when tokens that left the window are dropped.
    #[must_use]
    pub fn bytes(&self, tokens: u64) -> Bytes {
        let kept = self.window.map_or(tokens, |window| tokens.min(window));
        self.token * kept as f64 + self.sequence
    }

    /// Bytes of keys and values that some sequences' new tokens read, each once.
    pub(super) fn read(&self, sequences: Sequences) -> Bytes {
        self.token * sequences.reach(self.window) as f64 * sequences.count as f64
    }
}
