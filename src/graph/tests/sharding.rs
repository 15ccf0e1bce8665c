//! What sharding conserves: all devices together do and read what one would, but for what is copied.

use proptest::prelude::*;

use super::models::{
    CACHE, close, deepseek_v3, flops, kv, lowering, mixtral_8x7b, models, precision, qwen2_5_7b, weights,
};
use crate::dtype::DType;
use crate::graph::{Collective, Graph, Kind, Layout, LayoutError, Lowering, Operator, Part, Routing, Step};
use crate::model::{Attention, FeedForward, Mixer, Model, Role, WeightFormat};

fn sharded(model: &Model, layout: Layout) -> Result<Vec<Lowering>, LayoutError> {
    let formats = precision(model, WeightFormat::plain(DType::Bf16));
    Lowering::sharded(model, &formats, CACHE, Routing::default(), &layout)
}

/// Vectors that are added are copied where matrices are split by inputs.
fn without_bias(mut model: Model) -> Model {
    for block in &mut model.blocks {
        match &mut block.mixer {
            Mixer::Attention(attention) => *attention = Attention { output_bias: false, ..attention.clone() },
            Mixer::Recurrent(recurrent) => recurrent.bias = false,
            _ => {}
        }
        match &mut block.ffn {
            FeedForward::Dense(dense) => dense.bias = false,
            FeedForward::Experts(experts) => {
                experts.expert.bias = false;
                experts.shared = experts.shared.map(|shared| crate::model::Dense { bias: false, ..shared });
            }
            FeedForward::None => {}
        }
    }
    model.embedding_width = None;
    model
}

/// Matrices that every device of a tensor-parallel group has whole.
fn is_copied(operator: &Operator) -> bool {
    let roles = [Role::Router, Role::QueryDown, Role::LatentDown, Role::SharedScale];
    matches!(operator.part, Part::Matrix(role) if roles.contains(&role))
}

fn is_split(operator: &Operator) -> bool {
    operator.kind.multiplies() && !is_copied(operator)
}

/// Whether queries are compressed on every device, beside their split projection, in one product.
fn has_plain_latent_queries(model: &Model) -> bool {
    model.blocks.iter().any(|block| matches!(&block.mixer, Mixer::Latent(latent) if latent.q_lora_rank.is_none()))
}

fn is_expert(operator: &Operator) -> bool {
    matches!(operator.kind, Kind::Experts { .. })
}

fn communication(graph: &Graph) -> impl Iterator<Item = &Operator> {
    graph.operators.iter().filter(|operator| operator.part == Part::Communication)
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_u64..6, 1_u64..300).prop_map(|(batch, context)| Step::decode(batch * 8, context)),
        (1_u64..6, 2_u64..100).prop_map(|(batch, prompt)| Step::prefill(batch * 8, prompt)),
    ]
}

proptest! {
    #[test]
    fn one_device_is_the_model_itself(model in models()) {
        prop_assert_eq!(sharded(&model, Layout::default()).unwrap(), [lowering(&model)]);
    }

    #[test]
    fn tensor_parallel_devices_share_all_products(model in models(), power in 1_u32..4, step in steps()) {
        let model = without_bias(model);
        prop_assume!(!has_plain_latent_queries(&model));
        let devices = 2_u64.pow(power);
        let device = sharded(&model, Layout { tensor: devices, ..Layout::default() }).unwrap()[0].lower(&step);
        let whole = lowering(&model).lower(&step);
        let all = |one: f64| one * devices as f64;
        prop_assert!(close(all(flops(&device, is_split)), flops(&whole, is_split)));
        prop_assert!(close(all(weights(&device, is_split)), weights(&whole, is_split)));
        prop_assert!(close(flops(&device, is_copied), flops(&whole, is_copied)));
        let state = |operator: &Operator| operator.part == Part::Recurrence;
        prop_assert!(close(all(kv(&device, state)), kv(&whole, state)));
        prop_assert!(close(all(flops(&device, state)), flops(&whole, state)));
    }

    #[test]
    fn stages_of_a_pipeline_have_all_layers(model in models(), stages in 1_u64..5, step in steps()) {
        prop_assume!(stages <= model.layers.len() as u64);
        let graphs: Vec<Graph> = sharded(&model, Layout { pipeline: stages, ..Layout::default() })
            .unwrap().iter().map(|stage| stage.lower(&step)).collect();
        let whole = lowering(&model).lower(&step);
        let sum = |of: &dyn Fn(&Graph) -> f64| graphs.iter().map(of).sum::<f64>();
        prop_assert!(close(sum(&|graph| flops(graph, |_| true)), flops(&whole, |_| true)));
        prop_assert!(close(sum(&|graph| weights(graph, |_| true)), weights(&whole, |_| true)));
        prop_assert!(close(sum(&|graph| kv(graph, |_| true)), kv(&whole, |_| true)));
        let kept = sharded(&model, Layout { pipeline: stages, ..Layout::default() }).unwrap();
        prop_assert!(close(kept.iter().map(|stage| stage.weights().get()).sum(), lowering(&model).weights().get()));
        let bytes = crate::units::Bytes(2.0 * model.hidden as f64 * step.tokens() as f64);
        for (place, graph) in graphs.iter().enumerate() {
            let sent: Vec<Kind> = communication(graph).map(|operator| operator.kind).collect();
            let expected = if place + 1 < graphs.len() { vec![Kind::Exchange(Collective::Send { bytes })] } else { vec![] };
            prop_assert_eq!(sent, expected);
        }
    }

    #[test]
    fn replicas_share_the_sequences(model in models(), power in 1_u32..4, step in steps()) {
        let replicas = 2_u64.pow(power);
        let one = sharded(&model, Layout { data: replicas, ..Layout::default() }).unwrap()[0].lower(&step);
        let whole = lowering(&model).lower(&step);
        prop_assert!(close(flops(&one, |_| true) * replicas as f64, flops(&whole, |_| true)));
        prop_assert!(close(kv(&one, |_| true) * replicas as f64, kv(&whole, |_| true)));
        prop_assert_eq!(communication(&one).count(), 0);
    }

    #[test]
    fn devices_share_experts_and_sequences(model in models(), power in 1_u32..4, step in steps()) {
        let devices = 2_u64.pow(power);
        let layout = Layout { expert: devices, ..Layout::default() };
        let has_experts = model.blocks.iter().any(|block| matches!(block.ffn, FeedForward::Experts(_)));
        if !has_experts {
            prop_assert_eq!(sharded(&model, layout), Err(LayoutError::NoExperts { devices }));
            return Ok(());
        }
        let device = sharded(&model, layout).unwrap()[0].lower(&step);
        let whole = lowering(&model).lower(&step);
        let all = |one: f64| one * devices as f64;
        prop_assert!(close(all(flops(&device, |_| true)), flops(&whole, |_| true)));
        prop_assert!(close(all(weights(&device, is_expert)), weights(&whole, is_expert)));
        let layers: u64 = model.groups().filter(|(_, block)| matches!(block.ffn, FeedForward::Experts(_))).map(|(count, _)| count).sum();
        prop_assert_eq!(communication(&device).map(|operator| operator.count).sum::<u64>(), 2 * layers);
    }

    #[test]
    fn no_layout_makes_it_panic(model in models(), sizes: [u64; 4], small in 0_u64..20, which in 0_usize..4) {
        let mut sizes = sizes;
        sizes[which] = small;
        let [tensor, pipeline, expert, data] = sizes;
        if let Ok(stages) = sharded(&model, Layout { tensor, pipeline, expert, data }) {
            prop_assert!(stages[0].lower(&Step::decode(3, 10)).model_flops().get().is_finite());
        }
    }
}

#[test]
fn keys_and_values_are_copied_where_there_are_fewer_heads_than_devices() {
    let model = mixtral_8x7b();
    let attention = |devices| {
        let device =
            sharded(&model, Layout { tensor: devices, ..Layout::default() }).unwrap()[0].lower(&Step::decode(4, 1000));
        let found = *device.operators.iter().find(|operator| operator.part == Part::Attention).unwrap();
        (found.kv.get(), found.flops.get(), found.kind)
    };
    let (of_8, of_16) = (attention(8), attention(16));
    assert_eq!(of_8.0, 4.0 * 1000.0 * 2.0 * 128.0 * 2.0);
    assert_eq!((of_16.0, of_16.1), (of_8.0, of_8.1 / 2.0));
    assert!(matches!(
        (of_8.2, of_16.2),
        (Kind::DecodeAttention { group: 4, .. }, Kind::DecodeAttention { group: 2, .. })
    ));
}

#[test]
fn what_cannot_be_divided_is_named() {
    let why = |model: &Model, layout| sharded(model, layout).unwrap_err().to_string();
    let one = Layout::default();
    let qwen = qwen2_5_7b();
    assert_eq!(why(&qwen, Layout { tensor: 3, ..one }), "`tp` 3 does not divide `heads` 28");
    assert_eq!(why(&qwen, Layout { tensor: 14, ..one }), "`tp` 14 does not divide `kv_heads` 4");
    assert_eq!(why(&qwen, Layout { pipeline: 29, ..one }), "`pp` 29 is more than the 28 layers of the model");
    assert_eq!(why(&qwen, Layout { expert: 2, ..one }), "`ep` 2 needs experts, and the model has none");
    assert_eq!(why(&qwen, Layout { data: 0, ..one }), "`dp` is 0; it counts devices, from 1");
    assert_eq!(why(&mixtral_8x7b(), Layout { expert: 3, ..one }), "`ep` 3 does not divide `experts` 8");
    let many = Layout { tensor: u64::MAX, data: 2, ..one };
    assert_eq!(
        why(&qwen, many),
        "`tp` 18446744073709551615 · `pp` 1 · `ep` 1 · `dp` 2 are more devices than can be counted"
    );
}

/// DeepSeek-V3 on 8 · 8 · 2 devices: what each way of dividing leaves to a device.
#[test]
fn ways_of_dividing_multiply() {
    let model = deepseek_v3();
    let layout = Layout { tensor: 8, pipeline: 1, expert: 8, data: 2 };
    assert_eq!(layout.devices(), Ok(128));
    let device = sharded(&model, layout).unwrap()[0].lower(&Step::decode(256, 1000));
    let part = |part| device.operators.iter().find(|operator| operator.part == part).unwrap();
    // 16 of 256 sequences on each device, 16 of 128 heads.
    assert!(matches!(part(Part::Attention).kind, Kind::DecodeAttention { sequences: 16, group: 16, .. }));
    // The experts of 8 devices get 128 tokens, 8 experts each; a device has an eighth of the experts and of their columns.
    match part(Part::Matrix(Role::ExpertGate)).kind {
        Kind::Experts { pairs, distinct, n, k, .. } => {
            assert_eq!((pairs, n, k), (128, 2 * 2048 / 8, 7168));
            assert!(close(distinct, 32.0 * (1.0 - (1.0 - 8.0 / 256.0_f64).powi(128))), "{distinct}");
        }
        other => panic!("{other:?}"),
    }
    let exchanged = |operator: &&Operator| matches!(operator.kind, Kind::Exchange(Collective::AllToAll { .. }));
    let bytes = crate::units::Bytes(16.0 * 8.0 * 7168.0 * 2.0);
    let all_to_all = device.operators.iter().find(exchanged).unwrap();
    assert_eq!((all_to_all.count, all_to_all.kind), (116, Kind::Exchange(Collective::AllToAll { devices: 8, bytes })));
}
