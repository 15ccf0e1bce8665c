//! A transformer by its numbers: which layers it has, which matrices are in them, and in which formats they are stored.
//!
//! Everything that follows from the numbers follows in one place: [`Block::matrices`] lists what a layer is made of, and parameters, bytes and operators are
//! all derived from that list.

mod cache;
mod check;
mod config;
mod count;
mod error;
mod exceptions;
mod format;
mod gguf;
mod hub;
mod layer;
mod matrix;
mod names;
mod places;
mod precision;
mod presets;
mod safetensors;
mod words;

pub use check::Problem;
pub use config::{ConfigError, from_config, read_config};
pub use count::Parameters;
pub use error::ReadError;
pub use format::{Granularity, KvFormat, Precision, Scales, Sparsity, WeightFormat};
pub use gguf::{GgufError, GgufParts, from_gguf};
pub use layer::{Attention, Block, Dense, Experts, FeedForward, LatentAttention, Mixer, Norm, QkNorm, Recurrent};
pub use matrix::{Matrix, Role};
pub use names::UnknownFormat;
pub use places::{Places, ResolveError, read_path, resolve};
pub use presets::{NoPreset, Preset, find_preset, presets};
pub use safetensors::{SafetensorsError, Tensors, files_of_index};

use std::collections::BTreeMap;

use config::Formats;

/// A decoder-only transformer.
///
/// ```
/// # use rooflab::model::*;
/// let attention = Attention { heads: 8, kv_heads: 2, head_dim: 64, ..Attention::default() };
/// let ffn = FeedForward::Dense(Dense { intermediate: 1024, gated: true, bias: false });
/// let block = Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Rms, norms: 2 };
/// let model = Model::new("small", 512, 32_000, vec![(4, block)]);
/// assert_eq!(model.layers.len(), 4);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What it is called.
    pub name: String,
    /// Width of the residual stream.
    pub hidden: u64,
    /// Rows of the embedding table.
    pub vocab: u64,
    /// Whether the output head is the embedding table itself.
    pub tied_embeddings: bool,
    /// Whether the output head adds a vector.
    pub head_bias: bool,
    /// Rows of a table of learned positions, where it has one.
    pub learned_positions: u64,
    /// Width of the embedding where it is not that of the residual stream; two projections lie between (OPT-350m).
    pub embedding_width: Option<u64>,
    /// The norm before the output head; none where there is no such norm.
    pub final_norm: Option<Norm>,
    /// The longest context it was made for.
    pub max_context: Option<u64>,
    /// The different kinds of layers.
    pub blocks: Vec<Block>,
    /// The layers, first to last, as indices into `blocks`.
    pub layers: Vec<usize>,
    /// The formats its weights are stored in, where the file it was read from says so.
    pub stored: Option<Precision>,
    /// Bytes of all tensors, where the file it was read from lists them.
    pub stored_bytes: Option<u64>,
}

impl Model {
    /// A model of runs of equal layers, with an untied head and root-mean-square norms.
    #[must_use]
    pub fn new(name: &str, hidden: u64, vocab: u64, runs: Vec<(usize, Block)>) -> Self {
        let layers = runs.iter().enumerate().flat_map(|(kind, (count, _))| std::iter::repeat_n(kind, *count)).collect();
        Self {
            name: name.to_owned(),
            hidden,
            vocab,
            tied_embeddings: false,
            head_bias: false,
            learned_positions: 0,
            embedding_width: None,
            final_norm: Some(Norm::Rms),
            max_context: None,
            blocks: runs.into_iter().map(|(_, block)| block).collect(),
            layers,
            stored: None,
            stored_bytes: None,
        }
    }

    /// Takes layers, first to last, and finds those that are alike, in their formats too.
    fn set_layers(&mut self, blocks: Vec<Block>, formats: Option<Formats>) {
        let mut kinds: Vec<BTreeMap<Role, WeightFormat>> = Vec::new();
        self.blocks.clear();
        self.layers.clear();
        for (layer, block) in blocks.into_iter().enumerate() {
            let of_layer = formats.as_ref().and_then(|formats| formats.layers.get(layer)).cloned().unwrap_or_default();
            let found = self.blocks.iter().zip(&kinds).position(|(other, of)| *other == block && *of == of_layer);
            self.layers.push(found.unwrap_or(self.blocks.len()));
            if found.is_none() {
                self.blocks.push(block);
                kinds.push(of_layer);
            }
        }
        self.stored = formats.map(|formats| Precision {
            blocks: kinds,
            embedding: formats.embedding,
            head: formats.head,
            vectors: formats.vectors,
            activations: formats.activations,
        });
    }

    /// The kinds of layers with how many layers are of each.
    pub fn groups(&self) -> impl Iterator<Item = (u64, &Block)> {
        let mut counts = vec![0_u64; self.blocks.len()];
        for &kind in &self.layers {
            if let Some(count) = counts.get_mut(kind) {
                *count += 1;
            }
        }
        counts.into_iter().zip(&self.blocks)
    }
}
