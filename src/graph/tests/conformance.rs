//! Worked numbers of published articles, by their ids in the project's list. The comments say what an article printed where that was something else.

use super::models::{flops, kv, llama2_13b, lower, mistral_7b, precision, qwen2_5_7b, weights};
use crate::dtype::DType;
use crate::graph::{Collective, Kind, Layout, Lowering, Operator, Part, Routing, Step};
use crate::model::{Mixer, Model, Role, WeightFormat};
use crate::units::Bytes;

fn is_matrix(operator: &Operator) -> bool {
    matches!(operator.part, Part::Matrix(_))
}

/// C6 to C9, C11: parameters that a token of Mistral-7B streams. C5: of the table of tokens only one row is read, as an activation.
#[test]
fn mistral_streams_its_matrices_and_not_its_table_of_tokens() {
    let graph = lower(&mistral_7b(), &Step::decode(1, 1));
    let parameters = |roles: &[Role]| {
        weights(&graph, |operator| matches!(operator.part, Part::Matrix(role) if roles.contains(&role))) / 2.0
    };
    assert_eq!(parameters(&[Role::Query, Role::Output]), 1_342_177_280.0);
    assert_eq!(parameters(&[Role::Gate, Role::Down]), 5_637_144_576.0);
    assert_eq!(parameters(&[Role::Head]), 131_072_000.0);
    assert_eq!(weights(&graph, is_matrix) / 2.0, 7_110_393_856.0);
    // C10: the total has the norms and the table.
    assert_eq!(weights(&graph, |_| true) / 2.0 + 131_072_000.0, 7_241_732_096.0);
    let table = graph.operators.iter().find(|operator| operator.part == Part::Embedding).unwrap();
    assert_eq!((table.weights, table.activations), (Bytes(0.0), Bytes(2.0 * 2.0 * 4096.0)));
}

/// C14, C15, C18: the cache. C17: bytes of a step at 8192 tokens, over the 1008 GB/s of an RTX 4090.
#[test]
fn mistral_reads_no_more_of_its_cache_than_the_window() {
    let read = |model: &Model, context| {
        kv(&lower(model, &Step::decode(1, context)), |operator| operator.part == Part::Attention)
    };
    let windowed = mistral_7b();
    let mut whole = windowed.clone();
    let mut every_head = windowed.clone();
    if let (Mixer::Attention(first), Mixer::Attention(second)) =
        (&mut whole.blocks[0].mixer, &mut every_head.blocks[0].mixer)
    {
        first.window = None;
        second.kv_heads = 32;
    }
    assert_eq!(read(&windowed, 1), 131_072.0);
    assert_eq!(read(&windowed, 1000), 131_072_000.0);
    assert_eq!(read(&every_head, 1), 524_288.0);
    let milliseconds = |model: &Model| (2.0 * 7_110_393_856.0 + read(model, 8192)) / 1008e9 * 1e3;
    assert!((milliseconds(&windowed) - 14.641).abs() < 1e-3);
    assert!((milliseconds(&whole) - 15.173).abs() < 1e-3);
}

/// C39, C40: a product of m tokens with n outputs and k inputs is 2·m·n·k operations.
#[test]
fn products_are_two_operations_for_each_element_and_token() {
    let model = llama2_13b();
    let keys_and_values = 2.0 * 2.0 * 5120.0 * 5120.0;
    for tokens in [1, 100] {
        let graph = lower(&model, &Step::prefill(1, tokens));
        let queries = flops(&graph, |operator| operator.part == Part::Matrix(Role::Query));
        assert_eq!(queries, 40.0 * tokens as f64 * (keys_and_values + 2.0 * 5120.0 * 5120.0));
    }
}

/// C49, C51 (prefill): matrices, scores and values. The article counts 16,163,572,547,584 for a sequence: keys of every query head, the whole square, logits of every token.
#[test]
fn a_prompt_of_qwen_is_causal_and_has_grouped_heads() {
    let (layers, hidden, wide, vocab, tokens) = (28.0, 3584.0, 18_944.0, 152_064.0, 1024.0);
    let model = qwen2_5_7b();
    let exact = lower(&model, &Step::prefill(16, 1024)).model_flops().get();
    assert!((exact / 217.2e12 - 1.0).abs() < 5e-4, "{exact}");
    assert!((exact / 300e12 - 724.0e-3).abs() < 0.1e-3);
    let article = layers
        * (8.0 * tokens * hidden * hidden + 4.0 * tokens * tokens * hidden + 6.0 * tokens * hidden * wide)
        + 2.0 * tokens * hidden * vocab;
    assert_eq!(article, 16_163_572_547_584.0);
    // The difference is what grouped heads save in projections, what causality saves in pairs, and the logits that nobody wants.
    let grouped = layers * 2.0 * tokens * hidden * 2.0 * (hidden - 512.0);
    let causal = layers * 4.0 * hidden * (tokens * tokens - tokens * (tokens + 1.0) / 2.0);
    let unwanted = (tokens - 1.0) * 2.0 * hidden * vocab;
    assert_eq!(exact / 16.0, article - grouped - causal - unwanted);
    // Not causal: 735.2 ms.
    assert!(((exact / 16.0 + causal) * 16.0 / 300e12 - 735.2e-3).abs() < 0.1e-3);
}

/// C50, C51 (decode), C53: operations and bytes of a step. The article counts 15,990,259,712 operations for a token.
#[test]
fn a_token_of_qwen_is_counted_exactly() {
    let (layers, hidden, wide, vocab, context) = (28.0, 3584.0, 18_944.0, 152_064.0, 1536.0);
    let graph = lower(&qwen2_5_7b(), &Step::decode(16, 1536));
    assert_eq!(graph.model_flops().get() / 16.0, 14_757_134_336.0);
    let article =
        layers * (8.0 * hidden * hidden + 4.0 * hidden * context + 6.0 * hidden * wide) + 2.0 * hidden * vocab;
    assert_eq!(article, 15_990_259_712.0);
    assert_eq!(kv(&graph, |operator| operator.part == Part::Attention), 16.0 * 1536.0 * 57_344.0);
    assert!((weights(&graph, |_| true) - 14.141e9).abs() < 1e6);
}

/// C26 to C29: two all-reduces for each layer; S is hidden · tokens · bytes. The article printed 60K for a token, which lacks the division by the devices.
#[test]
fn llama_adds_up_twice_in_every_layer() {
    let model = llama2_13b();
    let formats = precision(&model, WeightFormat::plain(DType::F16));
    let layout = Layout { tensor: 4, ..Layout::default() };
    let stages = Lowering::sharded(&model, &formats, super::models::CACHE, Routing::default(), &layout).unwrap();
    for (tokens, on_the_bus) in [(1, 15_360.0), (16, 245_760.0), (128, 1_966_080.0)] {
        let graph = stages[0].lower(&Step::decode(tokens, 100));
        let sums = graph.operators.iter().filter_map(|operator| match operator.kind {
            Kind::Exchange(Collective::AllReduce { devices, bytes }) => Some((operator.count, devices, bytes.get())),
            _ => None,
        });
        let sums: Vec<_> = sums.collect();
        assert_eq!(sums, [(80, 4, 5120.0 * tokens as f64 * 2.0)]);
        assert_eq!(2.0 * 3.0 / 4.0 * sums[0].2, on_the_bus);
    }
}

/// C46: what a token of Qwen2.5-7B adds to the cache.
#[test]
fn a_step_writes_what_its_tokens_add_to_the_cache() {
    let graph = lower(&qwen2_5_7b(), &Step::prefill(16, 10));
    assert_eq!(kv(&graph, |operator| operator.part == Part::CacheWrite), 16.0 * 10.0 * 57_344.0);
}
