//! Models of the worked examples, and their steps as operators: products, attention, norms; written out by hand, apart from the library's own lowering.

use rooflab::dtype::DType;
use rooflab::graph::{Graph, Kind, Operator, Part};
use rooflab::model::*;
use rooflab::resource::RowwiseOp;
use rooflab::units::{Bytes, Flops};

/// What a worked example says of a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) layers: usize,
    pub(super) hidden: u64,
    pub(super) intermediate: u64,
    pub(super) vocab: u64,
    pub(super) heads: u64,
    pub(super) kv_heads: u64,
    pub(super) head_dim: u64,
    pub(super) window: Option<u64>,
    pub(super) qkv_bias: bool,
}

/// Mistral-7B, with the window that it had when it came out.
pub(super) const MISTRAL: Sizes = Sizes {
    layers: 32,
    hidden: 4096,
    intermediate: 14_336,
    vocab: 32_000,
    heads: 32,
    kv_heads: 8,
    head_dim: 128,
    window: Some(4096),
    qkv_bias: false,
};

/// Qwen2.5-7B.
pub(super) const QWEN: Sizes = Sizes {
    layers: 28,
    hidden: 3584,
    intermediate: 18_944,
    vocab: 152_064,
    heads: 28,
    kv_heads: 4,
    head_dim: 128,
    window: None,
    qkv_bias: true,
};

impl Sizes {
    pub(super) fn attention(&self) -> Attention {
        Attention {
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            window: self.window,
            qkv_bias: self.qkv_bias,
            rope: true,
            ..Attention::default()
        }
    }

    pub(super) fn model(&self) -> Model {
        let ffn = FeedForward::Dense(Dense { intermediate: self.intermediate, gated: true, bias: false });
        let block = Block { mixer: Mixer::Attention(self.attention()), ffn, norm: Norm::Rms, norms: 2 };
        Model::new("test", self.hidden, self.vocab, vec![(self.layers, block)])
    }

    /// One new token for each sequence of a batch.
    pub(super) fn decode(&self, weights: WeightFormat, batch: u64, context: u64) -> Graph {
        let seen = self.window.map_or(context, |window| context.min(window));
        let kv = KvFormat::plain(DType::F16);
        let read = kv.bytes(self.head_dim) * (2 * self.kv_heads * batch * seen) as f64;
        let group = self.heads / self.kv_heads;
        let (heads, dim) = (self.kv_heads, self.head_dim);
        let kind = Kind::DecodeAttention { sequences: batch, queries: 1, context: seen, heads, group, dim, kv };
        let flops = 4 * batch * self.heads * self.head_dim * seen;
        self.step(weights, batch, batch, Operator { kv: read, ..operator(Part::Attention, kind, flops) })
    }

    /// Whole prompts.
    pub(super) fn prefill(&self, weights: WeightFormat, batch: u64, prompt: u64) -> Graph {
        let (heads, group, dim) = (self.kv_heads, self.heads / self.kv_heads, self.head_dim);
        let (queries, dtype) = (prompt, DType::F16);
        let kind = Kind::PrefillAttention { sequences: batch, queries, cached: 0, heads, group, dim, dtype };
        let flops = 2 * batch * self.heads * self.head_dim * prompt * (prompt + 1);
        self.step(weights, batch * prompt, batch, operator(Part::Attention, kind, flops))
    }

    fn step(&self, weights: WeightFormat, tokens: u64, logits: u64, attention: Operator) -> Graph {
        let layers = self.layers as u64;
        let product = |role, m, n, k| {
            let kind = Kind::Product { m, n, k, weights };
            Operator { weights: weights.bytes(n, k), ..operator(Part::Matrix(role), kind, 2 * m * n * k) }
        };
        let model = self.model();
        let matrices = model.blocks[0].matrices(self.hidden);
        let mut operators: Vec<Operator> = matrices
            .iter()
            .map(|matrix| Operator { count: layers, ..product(matrix.role, tokens, matrix.outputs, matrix.inputs) })
            .collect();
        let norm = Kind::Rowwise { op: RowwiseOp::RmsNorm, dtype: DType::F16 };
        let passed = Bytes::new(2 * 2 * tokens * self.hidden);
        operators.push(Operator { activations: passed, count: 2 * layers, ..operator(Part::Norm, norm, 0) });
        operators.push(Operator { count: layers, ..attention });
        operators.push(product(Role::Head, logits, self.vocab, self.hidden));
        Graph { operators, layers }
    }
}

/// An operator without any bytes.
pub(super) fn operator(part: Part, kind: Kind, flops: u64) -> Operator {
    let none = Bytes(0.0);
    Operator { part, count: 1, kind, flops: Flops(flops as f64), weights: none, kv: none, activations: none }
}

/// All matrices in one format, vectors in 16 bits.
pub(super) fn uniform(format: WeightFormat, model: &Model) -> Precision {
    let roles = model
        .blocks
        .iter()
        .map(|block| block.matrices(model.hidden).into_iter().map(|matrix| (matrix.role, format)).collect());
    Precision { blocks: roles.collect(), embedding: format, head: format, vectors: DType::F16, activations: DType::F16 }
}

pub(super) const HALF: WeightFormat = WeightFormat::plain(DType::F16);
/// 8-bit weights without scales, multiplied with 16-bit vectors.
pub(super) const EIGHT: WeightFormat = WeightFormat { element: DType::Int8, ..HALF };
