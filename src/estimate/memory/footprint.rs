//! What weights, caches and activations take, from the numbers of a model.

use super::{Allocation, Plan};
use crate::dtype::DType;
use crate::model::{Attention, Block, Dense, FeedForward, Matrix, Mixer, Model, Precision, Recurrent, Role};
use crate::units::Bytes;

/// Bytes of a logit: they are computed in f32.
const LOGIT: f64 = 4.0;

/// Bytes of all weights as they are stored: matrices with their scales, vectors, the table of tokens, the output head where it is not that table.
#[must_use]
pub fn weights(model: &Model, precision: &Precision) -> Bytes {
    let vectors = Bytes(vectors(model) * precision.vectors.bytes_per_element());
    let stored = |(layers, kind, matrix): (f64, usize, Matrix)| {
        precision.of(kind, matrix.role).bytes(matrix.outputs, matrix.inputs) * (layers * matrix.copies as f64)
    };
    matrices(model).map(stored).sum::<Bytes>() + vectors
}

/// Parameters of a model: elements of its matrices and vectors.
pub(super) fn parameters(model: &Model) -> f64 {
    matrices(model).map(|(layers, _, matrix)| matrix.elements() as f64 * layers).sum::<f64>() + vectors(model)
}

/// All matrices, as (how many layers have it, their kind, the matrix).
fn matrices(model: &Model) -> impl Iterator<Item = (f64, usize, Matrix)> {
    let width = model.embedding_width.unwrap_or(model.hidden);
    let table = Matrix::new(Role::Embedding, width, model.vocab, false);
    let head = Matrix::new(Role::Head, width, model.vocab, model.head_bias);
    let ends = std::iter::once(table).chain((!model.tied_embeddings).then_some(head));
    let layers = model.groups().enumerate().flat_map(|(kind, (layers, block))| {
        block.matrices(model.hidden).into_iter().map(move |matrix| (layers as f64, kind, matrix))
    });
    ends.map(|matrix| (1.0, 0, matrix)).chain(layers)
}

/// Elements of everything that is no matrix: vectors of layers, learned positions, the last norm, and the projections of an embedding that is not as wide as
/// the residual stream.
fn vectors(model: &Model) -> f64 {
    let of_layers = model.groups().map(|(layers, block)| block.vectors(model.hidden) as f64 * layers as f64);
    let added = matrices(model).map(|(layers, _, matrix)| matrix.bias_elements() as f64 * layers);
    let hidden = model.hidden as f64;
    let norm = model.final_norm.map_or(0, |norm| norm.parameters(model.hidden)) as f64;
    let projections = model.embedding_width.map_or(0.0, |width| 2.0 * width as f64 * hidden);
    of_layers.sum::<f64>() + added.sum::<f64>() + model.learned_positions as f64 * hidden + norm + projections
}

/// The most that activations take while some tokens go through a layer, and the logits of some sequences after the last one.
#[must_use]
pub fn peak_activations(model: &Model, activations: DType, tokens: u64, sequences: u64) -> Bytes {
    let widest = model.blocks.iter().flat_map(|block| [mixed(&block.mixer), spread(&block.ffn)]).fold(0.0, f64::max);
    let vectors = tokens as f64 * widest.max(model.hidden as f64) * activations.bytes_per_element();
    Bytes(vectors + sequences as f64 * model.vocab as f64 * LOGIT)
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

impl Plan<'_> {
    /// Bytes of a layer's cache or state on each device that shares it, for a sequence of some tokens.
    pub(super) fn layer(&self, block: &Block, tokens: u64) -> Bytes {
        let shared_by = self.split.tensor.max(1);
        match &block.mixer {
            Mixer::Attention(attention) => {
                let heads = attention.kv_heads.div_ceil(shared_by) as f64;
                let window = attention.window.filter(|_| self.allocation == Allocation::Capped);
                let kept = window.map_or(tokens, |window| tokens.min(window));
                self.kv.bytes(attention.head_dim) * (2.0 * heads * self.in_blocks(kept))
            }
            Mixer::Latent(latent) => {
                let width = latent.kv_lora_rank.saturating_add(latent.qk_rope_head_dim);
                self.kv.bytes(width) * self.in_blocks(tokens)
            }
            Mixer::Recurrent(recurrent) => {
                let convolved = recurrent.conv_channels as f64 * recurrent.conv_kernel.saturating_sub(1) as f64;
                Bytes((recurrent.state as f64 + convolved) * self.state.bytes_per_element() / shared_by as f64)
            }
            Mixer::None => Bytes(0.0),
        }
    }

    /// Tokens of the blocks that some tokens need.
    fn in_blocks(&self, tokens: u64) -> f64 {
        let block = self.block.max(1);
        tokens.div_ceil(block) as f64 * block as f64
    }
}
