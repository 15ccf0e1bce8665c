//! Multi-head latent attention: one compressed vector per token is cached. Prompts expand it to keys and values; decoding takes the expansion into the queries and the
//! results instead, and attends to the compressed vectors themselves.

use super::Sequences;
use super::layer::{Layer, Merged};
use super::operator::{Kind, Operator, Part};
use super::plan::{Rows, Work};
use crate::dtype::DType;
use crate::model::{KvFormat, LatentAttention, Role};
use crate::resource::RowwiseOp;
use crate::units::{Bytes, Flops};

/// The heads of a latent attention with the matrices that expand its cache.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Latent {
    heads: f64,
    /// Query heads that share the one compressed vector: all.
    group: u64,
    rank: f64,
    nope: f64,
    rope: f64,
    values: f64,
    kv: KvFormat,
    /// Bytes of a cached token.
    pub(super) token: Bytes,
    dtype: DType,
    /// The upward projection, with one row.
    pub(super) expand: Operator,
}

impl Layer<'_> {
    /// Adds a latent attention.
    pub(super) fn latent(&mut self, latent: &LatentAttention) {
        let LatentAttention { heads, kv_lora_rank: rank, qk_rope_head_dim: rope, .. } = *latent;
        match latent.q_lora_rank {
            Some(queries) => {
                self.products(&[Role::QueryDown, Role::LatentDown]);
                let both = queries.saturating_add(rank);
                self.inner_norm(both, both);
                self.products(&[Role::QueryUp]);
            }
            None => {
                self.products(&[Role::Query, Role::LatentDown]);
                self.inner_norm(rank, rank);
            }
        }
        // One rotated key is shared by all heads.
        let rotated = heads.saturating_add(1).saturating_mul(rope) as f64;
        self.rowwise(Rows::Tokens, Part::Rope, RowwiseOp::Rope, rotated);
        self.cache_write(rank.saturating_add(rope) as f64);
        let (kv, token, dtype) = (self.device.kv, self.cached(), self.dtype());
        for expand in self.merged(&[Role::LatentUp]) {
            self.push(Work::Latent(Latent::new(latent, expand, kv, token, dtype)));
        }
        self.products(&[Role::Output]);
    }
}

impl Latent {
    fn new(latent: &LatentAttention, expand: Merged, kv: KvFormat, token: Bytes, dtype: DType) -> Self {
        Self {
            heads: latent.heads as f64,
            group: latent.heads,
            rank: latent.kv_lora_rank as f64,
            nope: latent.qk_nope_head_dim as f64,
            rope: latent.qk_rope_head_dim as f64,
            values: latent.v_head_dim as f64,
            kv,
            token,
            dtype,
            expand: expand.operator(dtype),
        }
    }

    /// The operators of a step: the upward projection, once for all groups that absorb it and once for all that expand with it, then the attention of each group.
    pub(super) fn operators<I>(&self, groups: impl Fn() -> I, mut emit: impl FnMut(Operator))
    where
        I: Iterator<Item = Sequences>,
    {
        let (mut absorbing, mut new, mut cached) = (0_u64, 0_u64, 0_u64);
        for group in groups() {
            let tokens = group.count.saturating_mul(group.new_tokens);
            if self.absorbs(group) {
                absorbing = absorbing.saturating_add(tokens);
            } else {
                new = new.saturating_add(tokens);
                cached = cached.saturating_add(group.count.saturating_mul(group.cached));
            }
        }
        if absorbing > 0 {
            // Queries become as wide as the latent vector, results as narrow as values.
            let widths = self.heads * (self.nope + 2.0 * self.rank + self.values);
            emit(self.projection(absorbing, widths * absorbing as f64, 0));
        }
        if new > 0 {
            let expanded = self.heads * (self.nope + self.values) * (new as f64 + cached as f64);
            emit(self.projection(new.saturating_add(cached), expanded + self.rank * new as f64, cached));
        }
        groups().for_each(|group| emit(if self.absorbs(group) { self.decode(group) } else { self.prefill(group) }));
    }

    /// Whether the expansion is taken into queries and results: where that takes fewer operations than expanding all that is cached. It is so for some hundred new
    /// tokens after a long context, and for a single one always.
    fn absorbs(&self, group: Sequences) -> bool {
        let more = 2.0 * self.rank - self.nope - self.values;
        let expansion = self.rank * (self.nope + self.values) * group.cached as f64;
        group.new_tokens == 1 || more * group.pairs(None) < expansion
    }

    /// The upward projection of some rows, with so many elements of activations and so many tokens that are read from the cache.
    fn projection(&self, rows: u64, elements: f64, cached: u64) -> Operator {
        let kind = match self.expand.kind {
            Kind::Product { n, k, weights, .. } => Kind::Product { m: rows, n, k, weights },
            kind => kind,
        };
        Operator {
            kind,
            flops: self.expand.flops * rows as f64,
            kv: self.token * cached as f64,
            activations: Bytes(elements * self.dtype.bytes_per_element()),
            ..self.expand
        }
    }

    /// Attention to the compressed vectors: every head's keys are rank + rope wide, its values rank.
    fn decode(&self, group: Sequences) -> Operator {
        let Sequences { count: sequences, new_tokens: queries, .. } = group;
        let widths = 2.0 * self.rank + self.rope;
        let kind = Kind::DecodeAttention {
            sequences,
            queries,
            context: group.context(),
            heads: 1,
            group: self.group,
            dim: (self.rank + self.rope) as u64,
            kv: self.kv,
        };
        let tokens = sequences as f64 * queries as f64;
        Operator {
            flops: Flops(2.0 * sequences as f64 * group.pairs(None) * self.heads * widths),
            kv: self.token * (sequences as f64 * group.context() as f64),
            activations: Bytes(tokens * self.heads * widths * self.dtype.bytes_per_element()),
            ..Operator::new(Part::Attention, kind)
        }
    }

    /// Attention to expanded keys and values.
    fn prefill(&self, group: Sequences) -> Operator {
        let Sequences { count: sequences, new_tokens: queries, cached, .. } = group;
        let widths = self.nope + self.rope + self.values;
        // Queries and results of the new tokens; keys and values of all, but for the part of the keys that the heads share.
        let elements = widths * queries as f64 + (self.nope + self.values) * group.context() as f64;
        let shared = self.rope * group.context() as f64;
        let kind = Kind::PrefillAttention {
            sequences,
            queries,
            cached,
            heads: self.heads as u64,
            group: 1,
            dim: (self.nope + self.rope) as u64,
            dtype: self.dtype,
        };
        Operator {
            flops: Flops(2.0 * sequences as f64 * group.pairs(None) * self.heads * widths),
            activations: Bytes(sequences as f64 * (self.heads * elements + shared) * self.dtype.bytes_per_element()),
            ..Operator::new(Part::Attention, kind)
        }
    }
}
