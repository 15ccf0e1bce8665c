//! Laws that hold on any device, for any model and step.

use proptest::prelude::*;

use rooflab::dtype::DType;
use rooflab::estimate::cost::{Costing, Options, StepCost};
use rooflab::facts::DeviceKind;
use rooflab::graph::{Graph, Kind, Operator, Part};
use rooflab::model::{KvFormat, Role, WeightFormat};
use rooflab::profile::Profile;
use rooflab::resource::RowwiseOp;
use rooflab::units::{Bytes, Flops};

use super::device::{LAWS, Laws};
use super::lower::{EIGHT, HALF, Sizes};

fn cost(profile: &Profile, graph: &Graph) -> StepCost {
    Costing::new(profile, None, Options::default()).graph(graph).unwrap()
}

/// Room for the lines between points, which are not quite the curves.
const ROOM: f64 = 1.01;

fn models() -> impl Strategy<Value = Sizes> {
    (1_usize..100, 4_u64..64, 1_u64..8, 1_u64..16, 1_u64..300).prop_map(|(layers, width, share, group, vocab)| Sizes {
        layers,
        hidden: width * 128,
        intermediate: width * 128 * share,
        vocab: vocab * 1000,
        heads: group * share,
        kv_heads: share,
        head_dim: 128,
        window: None,
        qkv_bias: false,
    })
}

/// Devices whose arithmetic keeps up with a matrix–vector product, as the curves of one take it to.
fn devices() -> impl Strategy<Value = Laws> {
    (4.0..1000.0_f64, 1e10..1e13_f64, 1e-9..1e-4_f64, 1e-9..1e-5_f64)
        .prop_map(|(ridge, bandwidth, floor, launch)| Laws { peak: ridge * bandwidth, bandwidth, floor, launch })
}

fn formats() -> impl Strategy<Value = WeightFormat> {
    prop_oneof![Just(HALF), Just(EIGHT)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn half_the_bandwidth_doubles_what_memory_bounds(model in models(), context in 1_u64..100_000) {
        let laws = Laws { peak: 1e18, ..LAWS };
        let slow = Laws { bandwidth: laws.bandwidth / 2.0, ..laws };
        let graph = model.decode(HALF, 1, context);
        let (fast, slow) = (cost(&laws.claimed(), &graph), cost(&slow.claimed(), &graph));
        prop_assert!((slow.time / fast.time - 2.0).abs() < 1e-9);
    }

    #[test]
    fn more_sequences_never_lower_throughput(
        model in models(), laws in devices(), weights in formats(), context in 1_u64..50_000, cpu in any::<bool>(),
    ) {
        let device = laws.measured(if cpu { DeviceKind::Cpu } else { DeviceKind::Gpu });
        let costing = Costing::new(&device, None, Options::default());
        let mut before = 0.0;
        for batch in [1, 2, 3, 7, 16, 50, 200, 511, 512, 513, 3000] {
            let throughput = batch as f64 / costing.graph(&model.decode(weights, batch, context)).unwrap().time.get();
            prop_assert!(throughput * ROOM >= before, "{batch}: {throughput} after {before}");
            before = throughput;
        }
    }

    #[test]
    fn steps_take_longer_with_tokens_and_context(model in models(), laws in devices(), weights in formats()) {
        let device = laws.measured(DeviceKind::Gpu);
        let costing = Costing::new(&device, None, Options::default());
        let mut before = [0.0; 3];
        for size in [1, 2, 3, 8, 15, 64, 300, 512, 1000, 8191] {
            let graphs = [model.prefill(weights, 1, size), model.decode(weights, size, 500), model.decode(weights, 4, size)];
            for (graph, before) in graphs.iter().zip(&mut before) {
                let time = costing.graph(graph).unwrap().time.get();
                prop_assert!(time * ROOM >= *before, "{size}: {time} after {before}");
                *before = time;
            }
        }
    }

    #[test]
    fn no_step_beats_the_ceilings_it_rests_on(
        model in models(), laws in devices(), weights in formats(),
        batch in 1_u64..5000, context in 1_u64..100_000, prefill in any::<bool>(), measured in any::<bool>(),
    ) {
        let device = if measured { laws.measured(DeviceKind::Gpu) } else { laws.claimed() };
        let graph = if prefill { model.prefill(weights, 1, batch) } else { model.decode(weights, batch, context) };
        let cost = cost(&device, &graph);
        let floor = cost.floor.unwrap();
        prop_assert!(floor.time().get() <= cost.time.get() * (1.0 + 1e-9), "{floor:?} {}", cost.time);
        prop_assert!(cost.mfu().unwrap() <= 1.0 + 1e-9 && cost.mbu().unwrap() <= 1.0 + 1e-9);
        for operator in &cost.operators {
            prop_assert!(operator.needs.iter().all(|need| need.time <= operator.time));
        }
    }

    #[test]
    fn whatever_the_sizes_there_is_a_time_or_a_reason(
        m in any::<u64>(), n in any::<u64>(), k in any::<u64>(), distinct in prop::num::f64::ANY,
        flops in prop::num::f64::ANY, weights in prop::num::f64::ANY, kv in prop::num::f64::ANY, count in any::<u64>(),
    ) {
        let device = LAWS.measured(DeviceKind::Cpu);
        let costing = Costing::new(&device, None, Options::default());
        let cache = KvFormat::plain(DType::F16);
        for kind in [
            Kind::Product { m, n, k, weights: HALF },
            Kind::Experts { pairs: m, distinct, n, k, weights: EIGHT },
            Kind::DecodeAttention { sequences: m, queries: n, context: k, heads: n, group: m, dim: k, kv: cache },
            Kind::PrefillAttention { sequences: m, queries: n, cached: k, heads: n, group: m, dim: k, dtype: DType::F16 },
            Kind::Rowwise { op: RowwiseOp::RmsNorm, dtype: DType::F16 },
            Kind::Recurrence,
        ] {
            let (flops, weights, kv) = (Flops(flops), Bytes(weights), Bytes(kv));
            let part = Part::Matrix(Role::Up);
            let operator = Operator { part, count, kind, flops, weights, kv, activations: kv };
            if let Ok(cost) = costing.graph(&Graph { operators: vec![operator], layers: 1 }) {
                prop_assert!(cost.time.get().is_finite() && cost.time.get() >= 0.0, "{cost:?}");
            }
        }
    }
}
