//! What a sequence keeps between its tokens: keys and values, compressed ones, and the states of recurrences.

use super::Model;
use super::format::KvFormat;
use super::layer::{Block, Mixer};
use crate::dtype::DType;
use crate::units::Bytes;

impl Block {
    /// Bytes that one token adds to the layer's cache.
    #[must_use]
    pub fn kv_bytes_per_token(&self, format: KvFormat) -> Bytes {
        match &self.mixer {
            Mixer::Attention(attention) => format.bytes(attention.head_dim) * 2.0 * attention.kv_heads as f64,
            Mixer::Latent(latent) => format.bytes(latent.kv_lora_rank.saturating_add(latent.qk_rope_head_dim)),
            Mixer::Recurrent(_) | Mixer::None => Bytes(0.0),
        }
    }

    /// How many of a context's tokens the layer looks back on: no more than its window.
    #[must_use]
    pub fn visible_tokens(&self, context: u64) -> u64 {
        match &self.mixer {
            Mixer::Attention(attention) => attention.window.map_or(context, |window| window.min(context)),
            Mixer::Latent(_) => context,
            Mixer::Recurrent(_) | Mixer::None => 0,
        }
    }

    /// Bytes of the layer's cache for one sequence, of which only what the window shows is kept.
    #[must_use]
    pub fn kv_bytes(&self, context: u64, format: KvFormat) -> Bytes {
        self.kv_bytes_per_token(format) * self.visible_tokens(context) as f64
    }

    /// Bytes of one sequence's state in the layer: the recurrence, and the tokens that the convolution still looks at.
    #[must_use]
    pub fn state_bytes(&self, state: DType, convolution: DType) -> Bytes {
        let Mixer::Recurrent(recurrent) = &self.mixer else { return Bytes(0.0) };
        let taps = recurrent.conv_kernel.saturating_sub(1) as f64;
        let convolved = recurrent.conv_channels as f64 * taps * convolution.bytes_per_element();
        Bytes(recurrent.state as f64 * state.bytes_per_element() + convolved)
    }
}

impl Model {
    /// Bytes that one token adds to the caches of all layers, while it is within every window.
    #[must_use]
    pub fn kv_bytes_per_token(&self, format: KvFormat) -> Bytes {
        self.over_layers(|block| block.kv_bytes_per_token(format))
    }

    /// Bytes of one sequence's cache where layers with a window keep no more than that.
    #[must_use]
    pub fn kv_bytes(&self, context: u64, format: KvFormat) -> Bytes {
        self.over_layers(|block| block.kv_bytes(context, format))
    }

    /// Bytes of one sequence's cache in an engine that keeps all tokens in every layer.
    #[must_use]
    pub fn kv_bytes_without_windows(&self, context: u64, format: KvFormat) -> Bytes {
        self.kv_bytes_per_token(format) * context as f64
    }

    /// Bytes of one sequence's recurrent states, whatever its length.
    #[must_use]
    pub fn state_bytes(&self, state: DType, convolution: DType) -> Bytes {
        self.over_layers(|block| block.state_bytes(state, convolution))
    }

    fn over_layers(&self, of: impl Fn(&Block) -> Bytes) -> Bytes {
        self.groups().map(|(count, block)| of(block) * count as f64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_window_never_makes_a_cache_larger(window in 1_u64..9000, context in 0_u64..20_000, heads in 1_u64..16) {
            let of = |window| {
                let attention = Attention { heads, kv_heads: heads, head_dim: 64, window, ..Attention::default() };
                let block = Block { mixer: Mixer::Attention(attention), ffn: FeedForward::None, norm: Norm::Rms, norms: 1 };
                Model::new("m", 64, 10, vec![(3, block)])
            };
            let format = KvFormat::plain(DType::Bf16);
            let (all, some) = (of(None), of(Some(window)));
            prop_assert_eq!(all.kv_bytes(context, format), all.kv_bytes_without_windows(context, format));
            prop_assert_eq!(all.kv_bytes_without_windows(context, format), some.kv_bytes_without_windows(context, format));
            prop_assert_eq!(some.kv_bytes(context, format), all.kv_bytes(context.min(window), format));
        }
    }

    #[test]
    fn a_recurrence_keeps_its_state_and_nothing_per_token() {
        let recurrent = Recurrent {
            inputs: vec![64],
            inner: 32,
            between: Vec::new(),
            conv_channels: 10,
            conv_kernel: 4,
            conv_bias: false,
            state: 1000,
            state_ops: 6,
            vectors: 0,
            bias: false,
        };
        let block = Block { mixer: Mixer::Recurrent(recurrent), ffn: FeedForward::None, norm: Norm::Rms, norms: 1 };
        let model = Model::new("m", 64, 10, vec![(2, block)]);
        assert_eq!(model.kv_bytes(1 << 20, KvFormat::plain(DType::Bf16)), Bytes(0.0));
        assert_eq!(model.state_bytes(DType::F32, DType::Bf16), Bytes(2.0 * (4000.0 + 60.0)));
    }
}
