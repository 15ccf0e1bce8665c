//! Models that tests lower: published shapes, and random small ones.

use proptest::prelude::*;

use crate::dtype::DType;
use crate::graph::{Graph, Lowering, Operator, Routing, Step};
use crate::model::{
    Attention, Block, Dense, Experts, FeedForward, KvFormat, LatentAttention, Mixer, Model, Norm, Precision, QkNorm,
    Recurrent, WeightFormat,
};
use crate::units::{Bytes, Flops};

pub(super) const CACHE: KvFormat = KvFormat::plain(DType::Bf16);

/// All matrices in one format, everything else in bf16.
pub(super) fn precision(model: &Model, format: WeightFormat) -> Precision {
    let formats = |block: &Block| block.matrices(model.hidden).iter().map(|matrix| (matrix.role, format)).collect();
    Precision {
        blocks: model.blocks.iter().map(formats).collect(),
        embedding: WeightFormat::plain(DType::Bf16),
        head: format,
        vectors: DType::Bf16,
        activations: DType::Bf16,
    }
}

pub(super) fn lowering(model: &Model) -> Lowering {
    let formats = precision(model, WeightFormat::plain(DType::Bf16));
    Lowering::new(model, &formats, CACHE, Routing::default())
}

pub(super) fn lower(model: &Model, step: &Step) -> Graph {
    lowering(model).lower(step)
}

pub(super) fn flops(graph: &Graph, of: impl Fn(&Operator) -> bool) -> f64 {
    graph.total(|operator| if of(operator) { operator.flops } else { Flops(0.0) }).get()
}

pub(super) fn weights(graph: &Graph, of: impl Fn(&Operator) -> bool) -> f64 {
    graph.total(|operator| if of(operator) { operator.weights } else { Bytes(0.0) }).get()
}

pub(super) fn kv(graph: &Graph, of: impl Fn(&Operator) -> bool) -> f64 {
    graph.total(|operator| if of(operator) { operator.kv } else { Bytes(0.0) }).get()
}

pub(super) fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-9 * expected.abs()
}

fn dense(heads: u64, kv_heads: u64, intermediate: u64) -> Block {
    let attention = Attention { heads, kv_heads, head_dim: 128, rope: true, ..Attention::default() };
    let ffn = FeedForward::Dense(Dense { intermediate, gated: true, bias: false });
    Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Rms, norms: 2 }
}

/// mistralai/Mistral-7B-v0.1, `config.json`.
pub(super) fn mistral_7b() -> Model {
    let mut block = dense(32, 8, 14_336);
    if let Mixer::Attention(attention) = &mut block.mixer {
        attention.window = Some(4096);
    }
    Model::new("mistral-7b", 4096, 32_000, vec![(32, block)])
}

/// Qwen/Qwen2.5-7B, `config.json`.
pub(super) fn qwen2_5_7b() -> Model {
    let mut block = dense(28, 4, 18_944);
    if let Mixer::Attention(attention) = &mut block.mixer {
        attention.qkv_bias = true;
    }
    Model::new("qwen2.5-7b", 3584, 152_064, vec![(28, block)])
}

/// meta-llama/Llama-2-13b, `config.json`.
pub(super) fn llama2_13b() -> Model {
    Model::new("llama2-13b", 5120, 32_000, vec![(40, dense(40, 40, 13_824))])
}

/// mistralai/Mixtral-8x7B-v0.1, `config.json`.
pub(super) fn mixtral_8x7b() -> Model {
    let expert = Dense { intermediate: 14_336, gated: true, bias: false };
    let experts = Experts { count: 8, per_token: 2, expert, shared: None, shared_gate: false, router_bias: false };
    let block = Block { ffn: FeedForward::Experts(experts), ..dense(32, 8, 1) };
    Model::new("mixtral-8x7b", 4096, 32_000, vec![(32, block)])
}

/// deepseek-ai/DeepSeek-V3, `config.json`, without the layer that predicts further tokens.
pub(super) fn deepseek_v3() -> Model {
    let latent = LatentAttention {
        heads: 128,
        q_lora_rank: Some(1536),
        kv_lora_rank: 512,
        qk_nope_head_dim: 128,
        qk_rope_head_dim: 64,
        v_head_dim: 128,
    };
    let network = |intermediate| Dense { intermediate, gated: true, bias: false };
    let experts = Experts {
        count: 256,
        per_token: 8,
        expert: network(2048),
        shared: Some(network(2048)),
        shared_gate: false,
        router_bias: true,
    };
    let block = |ffn| Block { mixer: Mixer::Latent(latent.clone()), ffn, norm: Norm::Rms, norms: 2 };
    let runs = vec![(3, block(FeedForward::Dense(network(18_432)))), (58, block(FeedForward::Experts(experts)))];
    Model::new("deepseek-v3", 7168, 129_280, runs)
}

fn attention() -> impl Strategy<Value = Attention> {
    let sizes = (1_u64..5, 1_u64..5, 1_u64..20, proptest::option::of(1_u64..64));
    let norms = prop_oneof![Just(QkNorm::None), Just(QkNorm::PerHead), Just(QkNorm::Full)];
    (sizes, norms, any::<[bool; 5]>()).prop_map(|((kv_heads, group, dim, window), qk_norm, flags)| Attention {
        heads: kv_heads * group * 8,
        kv_heads: kv_heads * 8,
        head_dim: dim * 2,
        window,
        qkv_bias: flags[0],
        output_bias: flags[1],
        output_gate: flags[2],
        qk_norm,
        sinks: flags[3],
        rope: flags[4],
    })
}

/// Compressed vectors are wider than those of a head, as in all published models; otherwise absorbing would pay without any cache.
fn latent() -> impl Strategy<Value = LatentAttention> {
    (1_u64..5, proptest::option::of(1_u64..40), 40_u64..80, 1_u64..40, 1_u64..20, 1_u64..40).prop_map(
        |(heads, q_lora_rank, kv_lora_rank, qk_nope_head_dim, qk_rope_head_dim, v_head_dim)| LatentAttention {
            heads: heads * 8,
            q_lora_rank,
            kv_lora_rank,
            qk_nope_head_dim,
            qk_rope_head_dim,
            v_head_dim,
        },
    )
}

fn recurrent() -> impl Strategy<Value = Recurrent> {
    (proptest::collection::vec(1_u64..10, 1..4), 5_u64..10, 1_u64..4, any::<[bool; 3]>()).prop_map(
        |(inputs, inner, small, [between, conv_bias, bias])| Recurrent {
            inputs: inputs.iter().map(|outputs| outputs * 8).collect(),
            inner: inner * 8,
            between: if between { vec![(inner * 8, small, false), (small, inner * 8, true)] } else { Vec::new() },
            conv_channels: inner * 8,
            conv_kernel: small,
            conv_bias,
            state: inner * 8 * 16,
            state_ops: 6,
            vectors: 8,
            bias,
        },
    )
}

fn network() -> impl Strategy<Value = Dense> {
    (1_u64..12, any::<bool>(), any::<bool>()).prop_map(|(intermediate, gated, bias)| Dense {
        intermediate: intermediate * 8,
        gated,
        bias,
    })
}

fn experts() -> impl Strategy<Value = Experts> {
    (1_u64..4, 1_u64..4, network(), proptest::option::of(network()), any::<bool>(), any::<bool>()).prop_map(
        |(count, per_token, expert, shared, gate, router_bias)| Experts {
            count: count * 8,
            per_token,
            expert,
            shared,
            shared_gate: gate && shared.is_some(),
            router_bias,
        },
    )
}

fn block() -> impl Strategy<Value = Block> {
    let mixer = prop_oneof![
        3 => attention().prop_map(Mixer::Attention),
        2 => latent().prop_map(Mixer::Latent),
        2 => recurrent().prop_map(Mixer::Recurrent),
        1 => Just(Mixer::None),
    ];
    let ffn = prop_oneof![
        2 => network().prop_map(FeedForward::Dense),
        2 => experts().prop_map(FeedForward::Experts),
        1 => Just(FeedForward::None),
    ];
    let norm = prop_oneof![Just(Norm::Rms), Just(Norm::Layer), Just(Norm::Plain)];
    (mixer, ffn, norm, 0_u64..5).prop_map(|(mixer, ffn, norm, norms)| Block { mixer, ffn, norm, norms })
}

/// Small models of all kinds of layers. Everything that devices share is divisible by 8.
pub(super) fn models() -> impl Strategy<Value = Model> {
    (proptest::collection::vec((1_usize..5, block()), 1..4), 1_u64..40, 1_u64..40, any::<[bool; 3]>()).prop_map(
        |(runs, hidden, vocab, [head_bias, positions, narrow])| Model {
            head_bias,
            learned_positions: if positions { 100 } else { 0 },
            embedding_width: narrow.then_some(hidden),
            ..Model::new("random", hidden * 2, vocab * 8, runs)
        },
    )
}

/// The formats of weights that differ in how they are counted.
pub(super) fn formats() -> impl Strategy<Value = WeightFormat> {
    let int8 = WeightFormat { activations: DType::Int8, ..WeightFormat::plain(DType::Int8) };
    let groups = crate::model::Scales { shared_by: crate::model::Granularity::Group(16), bits: 16, zero_bits: 4 };
    let int4 = WeightFormat { activations: DType::Bf16, scales: Some(groups), ..WeightFormat::plain(DType::Int4) };
    prop_oneof![Just(WeightFormat::plain(DType::Bf16)), Just(int8), Just(int4)]
}
