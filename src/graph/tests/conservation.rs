//! What must come out whatever the model: every parameter is read once, every product and pair is counted, the cache is what its tokens are.

use proptest::prelude::*;

use super::models::{
    CACHE, close, deepseek_v3, flops, formats, kv, lower, lowering, mixtral_8x7b, models, precision, qwen2_5_7b,
    weights,
};
use crate::dtype::DType;
use crate::graph::{Graph, Kind, Lowering, Operator, Part, Routing, Sequences, Step};
use crate::model::{
    Attention, Block, Dense, FeedForward, KvFormat, LatentAttention, Mixer, Model, Norm, Role, WeightFormat,
};

/// So many sequences that every expert gets a token.
const ALL: u64 = 1 << 40;

/// Bytes of everything but the table of tokens, from the list of matrices.
fn stored(model: &Model, format: WeightFormat) -> f64 {
    let vectors = |elements: u64| 2.0 * elements as f64;
    let of_block = |block: &Block| -> f64 {
        let matrices = block.matrices(model.hidden);
        let matrices = matrices.iter().map(|matrix| {
            format.bytes(matrix.outputs, matrix.inputs).get() * matrix.copies as f64 + vectors(matrix.bias_elements())
        });
        matrices.sum::<f64>() + vectors(block.vectors(model.hidden))
    };
    let layers: f64 = model.groups().map(|(count, block)| count as f64 * of_block(block)).sum();
    let head = format.bytes(model.vocab, model.embedding_width.unwrap_or(model.hidden)).get();
    let bias = vectors(if model.head_bias { model.vocab } else { 0 });
    // The projections on both sides of a narrow embedding: that before the layers is stored as the table is, in bf16.
    let narrow = model
        .embedding_width
        .map_or(0.0, |width| format.bytes(width, model.hidden).get() + 2.0 * (model.hidden * width) as f64);
    layers + head + bias + narrow + vectors(model.final_norm.map_or(0, |norm| norm.parameters(model.hidden)))
}

/// Operations of the output head for one token.
fn head_flops(model: &Model) -> f64 {
    let width = model.embedding_width.unwrap_or(model.hidden);
    let narrow = model.embedding_width.map_or(0, |width| width * model.hidden);
    2.0 * (model.vocab * width + narrow) as f64
}

/// Operations of attention without a cache, for one sequence: expanded where the cache is compressed.
fn prompt_flops(model: &Model, tokens: u64) -> f64 {
    let of_block = |block: &Block| match &block.mixer {
        Mixer::Attention(attention) => {
            let pairs: u64 = (1..=tokens).map(|seen| attention.window.map_or(seen, |window| seen.min(window))).sum();
            4.0 * (pairs * attention.heads * attention.head_dim) as f64
        }
        Mixer::Latent(latent) => {
            let keys = latent.qk_nope_head_dim + latent.qk_rope_head_dim;
            (tokens * (tokens + 1) * latent.heads * (keys + latent.v_head_dim)) as f64
        }
        _ => 0.0,
    };
    model.groups().map(|(count, block)| count as f64 * of_block(block)).sum()
}

/// Bytes of cache that one sequence of some tokens reads to decode another one, its own included; states are written as well.
fn decode_kv(model: &Model, context: u64) -> f64 {
    let of_block = |block: &Block| match &block.mixer {
        Mixer::Attention(attention) => {
            let seen = attention.window.map_or(context, |window| context.min(window));
            4 * seen * attention.kv_heads * attention.head_dim
        }
        Mixer::Latent(latent) => 2 * context * (latent.kv_lora_rank + latent.qk_rope_head_dim),
        Mixer::Recurrent(recurrent) => {
            2 * 2 * (recurrent.state + recurrent.conv_channels * (recurrent.conv_kernel - 1))
        }
        Mixer::None => 0,
    };
    model.groups().map(|(count, block)| (count * of_block(block)) as f64).sum()
}

fn multiplied(graph: &Graph) -> f64 {
    graph.model_flops().get()
}

proptest! {
    #[test]
    fn a_step_that_touches_everything_reads_every_parameter_once(model in models(), format in formats()) {
        let formats = precision(&model, format);
        let graph = Lowering::new(&model, &formats, CACHE, Routing::default()).lower(&Step::decode(ALL, 10));
        let (found, expected) = (weights(&graph, |_| true), stored(&model, format));
        prop_assert!(close(found, expected), "{found} of {expected}");
    }

    #[test]
    fn a_device_keeps_every_parameter_once(model in models(), tied: bool) {
        let model = Model { tied_embeddings: tied, ..model };
        let (found, expected) = (lowering(&model).weights().get(), 2.0 * model.parameters().total as f64);
        prop_assert!(close(found, expected), "{found} of {expected}");
    }

    #[test]
    fn a_prompt_multiplies_every_token_with_every_matrix(model in models(), batch in 1_u64..20, tokens in 2_u64..100) {
        let step = Step::of(Sequences { count: batch, new_tokens: tokens, cached: 0, logits: 1 });
        let found = multiplied(&lower(&model, &step));
        // All that a token is multiplied with, but for the output head, which only the last one sees.
        let streamed = 2.0 * model.parameters().streamed as f64;
        let each = tokens as f64 * streamed - (tokens - 1) as f64 * head_flops(&model) + prompt_flops(&model, tokens);
        prop_assert!(close(found, batch as f64 * each), "{found} of {}", batch as f64 * each);
    }

    #[test]
    fn decoding_reads_the_cache_of_every_sequence(model in models(), batch in 1_u64..20, context in 2_u64..100) {
        let graph = lower(&model, &Step::decode(batch, context));
        let found = kv(&graph, |operator| operator.part != Part::CacheWrite);
        let expected = batch as f64 * decode_kv(&model, context);
        prop_assert!(close(found, expected), "{found} of {expected}");
        let expands = |operator: &Operator| matches!(operator.kind, Kind::PrefillAttention { .. });
        prop_assert!(!graph.operators.iter().any(expands));
    }

    #[test]
    fn chunks_of_a_prompt_come_to_the_same_as_the_prompt(
        model in models(), batch in 1_u64..5, first in 1_u64..60, second in 2_u64..60,
    ) {
        // Latent attention expands what is cached again for every chunk: its extra work is what chunks cost.
        let latent = model.blocks.iter().any(|block| matches!(block.mixer, Mixer::Latent(_)));
        let chunk = |new_tokens, cached, logits| Sequences { count: batch, new_tokens, cached, logits };
        let whole = multiplied(&lower(&model, &Step::prefill(batch, first + second)));
        let parts = multiplied(&lower(&model, &Step::of(chunk(first, 0, 0))))
            + multiplied(&lower(&model, &Step::of(chunk(second, first, 1))));
        prop_assert!(if latent { parts >= whole * (1.0 - 1e-9) } else { close(parts, whole) }, "{parts} of {whole}");
    }

    #[test]
    fn products_of_mixed_steps_see_all_tokens_at_once(model in models(), prompt in 20_u64..80, batch in 1_u64..20) {
        let chunk = Sequences { count: 1, new_tokens: prompt, cached: 0, logits: 0 };
        let decode = Step::decode(batch, 200);
        let mixed = lower(&model, &decode.clone().with(chunk));
        let (alone, prompts) = (lower(&model, &decode), lower(&model, &Step::of(chunk)));
        prop_assert!(close(multiplied(&mixed), multiplied(&alone) + multiplied(&prompts)));
        for operator in &mixed.operators {
            if let (Kind::Product { m, .. }, Part::Matrix(role)) = (operator.kind, operator.part) {
                let expected = match role {
                    Role::Head => batch,
                    // Absorbed for the ones, expanded for the others.
                    Role::LatentUp => continue,
                    _ => batch + prompt,
                };
                prop_assert_eq!(m, expected);
            }
        }
    }

    #[test]
    fn no_number_is_too_large(numbers: [u64; 16], step: [u64; 4], latent: bool, fraction in 0.0..8.0) {
        let [heads, kv_heads, head_dim, rank, rope, values, intermediate, experts, ..] = numbers;
        let attention = Attention { heads, kv_heads, head_dim, window: Some(numbers[8]), rope: true, ..Attention::default() };
        let compressed = LatentAttention {
            heads, q_lora_rank: Some(numbers[9]), kv_lora_rank: rank, qk_nope_head_dim: head_dim,
            qk_rope_head_dim: rope, v_head_dim: values,
        };
        let mixer = if latent { Mixer::Latent(compressed) } else { Mixer::Attention(attention) };
        let expert = Dense { intermediate, gated: true, bias: true };
        let ffn = FeedForward::Experts(crate::model::Experts {
            count: experts, per_token: numbers[10], expert, shared: Some(expert), shared_gate: true, router_bias: true,
        });
        let block = Block { mixer, ffn, norm: Norm::Layer, norms: numbers[11] };
        let model = Model::new("hostile", numbers[12], numbers[13], vec![(2, block)]);
        let formats = precision(&model, WeightFormat::plain(DType::Bf16));
        let lowering = Lowering::new(&model, &formats, CACHE, Routing::skewed(fraction).unwrap());
        let group = Sequences { count: step[0], new_tokens: step[1], cached: step[2], logits: step[3] };
        let graph = lowering.lower(&Step::of(group).with(group));
        prop_assert!(graph.operators.iter().all(|operator| operator.bytes().get().is_finite() && operator.flops.get().is_finite()));
    }
}

#[test]
fn published_models_read_every_parameter_once() {
    let format = WeightFormat::plain(DType::Bf16);
    for model in [qwen2_5_7b(), mixtral_8x7b(), deepseek_v3()] {
        let (found, expected) = (weights(&lower(&model, &Step::decode(ALL, 10)), |_| true), stored(&model, format));
        assert!(close(found, expected), "{}: {found} of {expected}", model.name);
    }
    // 7,615,616,512 parameters with the table of tokens, as its model card says: "7.61B".
    let table = 2.0 * 152_064.0 * 3584.0;
    assert_eq!(weights(&lower(&qwen2_5_7b(), &Step::decode(1, 1)), |_| true) + table, 2.0 * 7_615_616_512.0);
}

#[test]
fn layers_of_one_shape_are_one_operator_whatever_their_window() {
    let Some(block) = super::models::mistral_7b().blocks.pop() else { unreachable!("it has one") };
    let mut global = block.clone();
    if let Mixer::Attention(attention) = &mut global.mixer {
        attention.window = None;
    }
    let mut model = Model::new("alternating", 4096, 32_000, vec![(1, block), (1, global)]);
    model.layers = [0, 1].repeat(12);
    let graph = lower(&model, &Step::decode(4, 10_000));
    let attention: Vec<_> = graph.operators.iter().filter(|operator| operator.part == Part::Attention).collect();
    assert_eq!(attention.iter().map(|operator| operator.count).collect::<Vec<_>>(), [12, 12]);
    assert_eq!(attention[0].kv.get() / attention[1].kv.get(), 4096.0 / 10_000.0);
    let products = |operator: &&Operator| matches!(operator.kind, Kind::Product { .. });
    // Queries with keys and values; output; gate with up; down; head.
    assert_eq!(
        graph.operators.iter().filter(products).map(|operator| operator.count).collect::<Vec<_>>(),
        [24, 24, 24, 24, 1]
    );
}

#[test]
fn nothing_to_do_is_no_operator() {
    for sequences in [Vec::new(), vec![Sequences { count: 0, new_tokens: 5, cached: 5, logits: 1 }]] {
        assert_eq!(lower(&deepseek_v3(), &Step { sequences }), Graph::default());
    }
    let chunk = Sequences { count: 1, new_tokens: 512, cached: 0, logits: 0 };
    let graph = lower(&qwen2_5_7b(), &Step::of(chunk));
    assert!(!graph.operators.iter().any(|operator| operator.part == Part::Sampling));
    assert_eq!(flops(&graph, |operator| operator.part == Part::Matrix(Role::Head)), 0.0);
}

#[test]
fn few_queries_after_a_long_context_are_bound_by_the_cache() {
    let is_decode = |new_tokens, cached| {
        let step = Step::of(Sequences { count: 1, new_tokens, cached, logits: new_tokens });
        let graph = lower(&qwen2_5_7b(), &step);
        graph.operators.iter().any(|operator| matches!(operator.kind, Kind::DecodeAttention { .. }))
    };
    // Seven query heads share one of keys and values: nine tokens make 63 rows.
    assert!(is_decode(1, 0) && is_decode(1, 5000) && is_decode(9, 5000));
    assert!(!is_decode(10, 5000) && !is_decode(9, 8));
}

#[test]
fn verifying_drafts_reads_the_cache_once() {
    let verify = Step::of(Sequences { count: 8, new_tokens: 4, cached: 1020, logits: 4 });
    let graph = lower(&qwen2_5_7b(), &verify);
    let read = kv(&graph, |operator| operator.part == Part::Attention);
    assert_eq!(read, 8.0 * 1024.0 * 57_344.0);
    let head = |operator: &&Operator| operator.part == Part::Matrix(Role::Head);
    assert!(matches!(graph.operators.iter().find(head).unwrap().kind, Kind::Product { m: 32, .. }));
}

#[test]
fn prompts_expand_latent_vectors_and_decoding_absorbs_the_expansion() {
    let model = deepseek_v3();
    let attention = |step: &Step| flops(&lower(&model, step), |operator| operator.part == Part::Attention) / 61.0;
    // 2·b·nh·S·(2·kv_lora_rank + qk_rope): the cost of attention to the compressed vectors.
    assert_eq!(attention(&Step::decode(32, 4096)), 2.0 * 32.0 * 128.0 * 4096.0 * (2.0 * 512.0 + 64.0));
    let pairs = 4096.0 * 4097.0 / 2.0;
    assert_eq!(attention(&Step::prefill(2, 4096)), 2.0 * 2.0 * 128.0 * pairs * (128.0 + 64.0 + 128.0));
    // What is cached is expanded again for a chunk.
    let chunk = Step::of(Sequences { count: 1, new_tokens: 512, cached: 3584, logits: 0 });
    let up = |operator: &Operator| operator.part == Part::Matrix(Role::LatentUp);
    let graph = lower(&model, &chunk);
    assert_eq!(flops(&graph, up), 61.0 * 2.0 * 4096.0 * 512.0 * 128.0 * 256.0);
    assert_eq!(kv(&graph, up), 61.0 * 3584.0 * 576.0 * 2.0);
}

#[test]
fn experts_are_read_as_often_as_they_are_expected_to_be_chosen() {
    let model = mixtral_8x7b();
    let experts = |operator: &Operator| matches!(operator.kind, Kind::Experts { .. });
    let all = 32.0 * 8.0 * 3.0 * 4096.0 * 14_336.0 * 2.0;
    for (batch, distinct) in [(1, 2.0), (2, 3.5), (4, 8.0 * (1.0 - 0.75_f64.powi(4)))] {
        let graph = lower(&model, &Step::decode(batch, 100));
        assert!(close(weights(&graph, experts), all * distinct / 8.0), "batch {batch}");
        assert!(close(flops(&graph, experts), batch as f64 * all * 2.0 / 8.0));
    }
}

#[test]
fn activations_are_rounded_once_for_each_product_in_a_narrower_format() {
    let model = qwen2_5_7b();
    let int8 = WeightFormat { activations: DType::Int8, ..WeightFormat::plain(DType::Int8) };
    let rounded =
        |format| {
            let formats = precision(&model, format);
            let graph = Lowering::new(&model, &formats, KvFormat::plain(DType::Int8), Routing::default())
                .lower(&Step::prefill(1, 100));
            graph
                .total(|operator| {
                    if operator.part == Part::Quantization { operator.activations } else { crate::units::Bytes(0.0) }
                })
                .get()
        };
    // 3 bytes for each element: 3 products with the residual stream, one with the wide vector; the head for one token.
    assert_eq!(rounded(int8), 3.0 * (28.0 * 100.0 * (3.0 * 3584.0 + 18_944.0) + 3584.0));
    assert_eq!(rounded(WeightFormat { activations: DType::Bf16, ..int8 }), 0.0);
}
