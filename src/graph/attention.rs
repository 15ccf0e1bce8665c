//! Softmax attention: queries, keys and values in one product; norms and positions; the cache; attention; the way back.

use super::Sequences;
use super::layer::Layer;
use super::operator::{Kind, Operator, Part, ROWS_OF_A_TILE};
use super::plan::{Rows, Work};
use crate::dtype::DType;
use crate::model::{Attention, KvFormat, QkNorm, Role};
use crate::resource::RowwiseOp;
use crate::units::{Bytes, Flops};

/// The heads of an attention, and what they read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Heads {
    heads: u64,
    kv_heads: u64,
    head_dim: u64,
    kv: KvFormat,
    /// Bytes of a cached token.
    pub(super) token: Bytes,
    pub(super) window: Option<u64>,
    dtype: DType,
    /// Learned logits beside the scores.
    pub(super) sinks: Bytes,
}

impl Layer<'_> {
    /// Adds a softmax attention.
    pub(super) fn attention(&mut self, attention: &Attention) {
        let Attention { heads, kv_heads, head_dim, window, .. } = *attention;
        let queries = heads.saturating_mul(head_dim);
        let keys = kv_heads.saturating_mul(head_dim);
        let both = queries.saturating_add(keys);
        self.products(&[Role::Query, Role::Key, Role::Value]);
        match attention.qk_norm {
            QkNorm::None => {}
            QkNorm::PerHead => self.inner_norm(both, head_dim.saturating_mul(2)),
            QkNorm::Full => self.inner_norm(both, both),
        }
        if attention.rope {
            self.rowwise(Rows::Tokens, Part::Rope, RowwiseOp::Rope, both as f64);
        }
        self.cache_write(keys as f64 * 2.0);
        let sinks = self.vectors(if attention.sinks { heads } else { 0 });
        let (kv, token, dtype) = (self.device.kv, self.cached(), self.dtype());
        self.push(Work::Attention(Heads { heads, kv_heads, head_dim, kv, token, window, dtype, sinks }));
        if attention.output_gate {
            self.rowwise(Rows::Tokens, Part::Activation, RowwiseOp::SiluMul, queries as f64);
        }
        self.products(&[Role::Output]);
    }

    /// Adds the writing of a token's so many elements to the cache.
    pub(super) fn cache_write(&mut self, elements: f64) {
        let dtype = self.dtype();
        let kind = Kind::Rowwise { op: RowwiseOp::Gather, dtype };
        let one = Operator {
            kv: self.cached(),
            activations: Bytes(elements * dtype.bytes_per_element()),
            ..Operator::new(Part::CacheWrite, kind)
        };
        self.push(Work::Rows(Rows::Tokens, one));
    }
}

impl Heads {
    /// The attention of a group of sequences. The cache is read once for all queries that share it, also in prefill, where tiles of it stay in fast memory.
    pub(super) fn operator(&self, group: Sequences) -> Operator {
        let Sequences { count: sequences, new_tokens: queries, cached, .. } = group;
        let (heads, dim) = (self.heads as f64, self.head_dim as f64);
        let tokens = sequences as f64 * queries as f64;
        let sharing = self.heads / self.kv_heads.max(1);
        let kind = if is_decode(group, sharing) {
            let context = group.reach(self.window);
            Kind::DecodeAttention {
                sequences,
                queries,
                context,
                heads: self.kv_heads,
                group: sharing,
                dim: self.head_dim,
                kv: self.kv,
            }
        } else {
            Kind::PrefillAttention {
                sequences,
                queries,
                cached,
                heads: self.kv_heads,
                group: sharing,
                dim: self.head_dim,
                dtype: self.dtype,
            }
        };
        Operator {
            flops: Flops(4.0 * sequences as f64 * group.pairs(self.window) * heads * dim),
            weights: self.sinks,
            kv: self.token * (sequences as f64 * group.reach(self.window) as f64),
            activations: Bytes(2.0 * tokens * heads * dim * self.dtype.bytes_per_element()),
            ..Operator::new(Part::Attention, kind)
        }
    }
}

/// Whether the bytes of the cache bound an attention: see [`Kind::DecodeAttention`].
fn is_decode(group: Sequences, sharing: u64) -> bool {
    let few = group.new_tokens.saturating_mul(sharing.max(1)) <= ROWS_OF_A_TILE;
    group.new_tokens == 1 || (few && group.cached >= group.new_tokens)
}
