//! What caches and activations take on a device.

use super::{Allocation, Policy};
use crate::dtype::DType;
use crate::graph::{Cache, Lowering};
use crate::model::{Attention, Block, Dense, FeedForward, Mixer, Model, Recurrent};
use crate::units::Bytes;

/// Bytes of a logit: they are computed in f32.
const LOGIT: f64 = 4.0;

/// The most that activations take while some tokens go through a layer of a device, and the logits of some sequences after the last one. Logits are whole on every device.
#[must_use]
pub fn peak_activations(model: &Model, blocks: &[Block], activations: DType, tokens: u64, sequences: u64) -> Bytes {
    let widest = blocks.iter().flat_map(|block| [mixed(&block.mixer), spread(&block.ffn)]).fold(0.0, f64::max);
    let vectors = tokens as f64 * widest.max(model.hidden as f64) * activations.bytes_per_element();
    Bytes(vectors + sequences as f64 * model.vocab as f64 * LOGIT)
}

/// What goes through the model at once, for which there are activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtOnce {
    /// Tokens of a prompt.
    pub prompt: u64,
    /// Prompts that go through together, of as many sequences as there are.
    pub prompts: u64,
    /// Most tokens of a step, where there is such a limit.
    pub chunk: Option<u64>,
}

impl AtOnce {
    /// Tokens that go through the model together while some sequences run: prompts, or one token of each.
    #[must_use]
    pub fn tokens(&self, sequences: u64) -> u64 {
        let prompts = self.prompt.saturating_mul(self.prompts.min(sequences));
        prompts.min(self.chunk.unwrap_or(u64::MAX)).max(sequences)
    }
}

/// Elements of a token between the matrices of a mixer.
fn mixed(mixer: &Mixer) -> f64 {
    match mixer {
        Mixer::Attention(Attention { heads, kv_heads, head_dim, output_gate, .. }) => {
            let queries = *heads as f64 * if *output_gate { 2.0 } else { 1.0 };
            (queries + 2.0 * *kv_heads as f64) * *head_dim as f64
        }
        Mixer::Latent(latent) => {
            let queries = latent.qk_nope_head_dim as f64 + latent.qk_rope_head_dim as f64;
            latent.heads as f64 * (queries + latent.qk_nope_head_dim as f64 + latent.v_head_dim as f64)
        }
        Mixer::Recurrent(Recurrent { inputs, .. }) => inputs.iter().map(|&width| width as f64).sum(),
        Mixer::None => 0.0,
    }
}

/// Elements of a token between the matrices of a feed-forward network; of experts, of all that it goes through.
fn spread(ffn: &FeedForward) -> f64 {
    let wide = |dense: &Dense| dense.intermediate as f64 * if dense.gated { 2.0 } else { 1.0 };
    match ffn {
        FeedForward::Dense(dense) => wide(dense),
        FeedForward::Experts(experts) => {
            experts.per_token as f64 * wide(&experts.expert) + experts.shared.as_ref().map_or(0.0, wide)
        }
        FeedForward::None => 0.0,
    }
}

/// What a device of a stage keeps.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    /// Bytes of its weights.
    pub(super) weights: Bytes,
    caches: Vec<Cache>,
}

impl Stage {
    pub(super) fn new(lowering: &Lowering) -> Self {
        Self { weights: lowering.weights(), caches: lowering.caches() }
    }

    /// Bytes of the caches and states of a sequence of some tokens.
    pub(super) fn cache(&self, tokens: u64, policy: &Policy) -> Bytes {
        let block = policy.block.max(1);
        let in_blocks = |tokens: u64| tokens.div_ceil(block) as f64 * block as f64;
        let of_layers = |cache: &Cache| {
            let kept = match (policy.allocation, cache.window) {
                (Allocation::Capped, Some(window)) => tokens.min(window),
                (Allocation::Capped, None) | (Allocation::EveryLayerAlike, _) => tokens,
            };
            (cache.token * in_blocks(kept) + cache.state) * cache.layers as f64
        };
        self.caches.iter().map(of_layers).sum()
    }
}
