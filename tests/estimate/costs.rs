//! Which ceiling decides, how well it is known, and what is said when there is none.

use rooflab::dtype::DType;
use rooflab::estimate::cost::*;
use rooflab::estimate::link::Link;
use rooflab::facts::DeviceKind;
use rooflab::graph::{Collective, Graph, Kind, Operator, Part};
use rooflab::model::{Granularity, Role, Scales, Sparsity, WeightFormat};
use rooflab::profile::{Place, Profile, bundled_named};
use rooflab::units::{Bytes, BytesPerSecond, Seconds};

use super::device::{LAWS, profile};
use super::lower::{HALF, MISTRAL, operator};

fn costing(profile: &Profile) -> Costing<'_> {
    Costing::new(profile, None, Options::default())
}

fn product(m: u64, n: u64, k: u64, weights: WeightFormat) -> Operator {
    let kind = Kind::Product { m, n, k, weights };
    Operator { weights: weights.bytes(n, k), ..operator(Part::Matrix(Role::Up), kind, 2 * m * n * k) }
}

const FOUR: WeightFormat = WeightFormat {
    element: DType::Int4,
    scales: Some(Scales { shared_by: Granularity::Group(128), bits: 16, zero_bits: 0 }),
    ..HALF
};

fn close(found: f64, right: f64, tolerance: f64) {
    assert!((found / right - 1.0).abs() < tolerance, "{found} instead of {right}");
}

#[test]
fn few_tokens_cost_the_weights_and_many_the_arithmetic() {
    let device = LAWS.measured(DeviceKind::Gpu);
    let costing = costing(&device);
    let streamed = Bytes(14e9);
    for (weights, bits) in [(HALF, 16.0), (FOUR, 4.125)] {
        let one = costing.operator(&product(1, 8192, 8192, weights), streamed).unwrap();
        assert_eq!(one.bound, Bound::Weights);
        let bytes: f64 = 8192.0 * 8192.0 * bits / 8.0;
        close(one.time.get(), bytes / LAWS.bandwidth + LAWS.floor, 0.02);
        let many = costing.operator(&product(4096, 8192, 8192, weights), streamed).unwrap();
        assert_eq!(many.bound, Bound::Compute);
        close(many.time.get(), 2.0 * 4096.0 * 8192.0 * 8192.0 / LAWS.peak + LAWS.floor, 0.05);
    }
}

#[test]
fn a_token_is_asked_for_where_it_is_better_known() {
    let device = LAWS.measured(DeviceKind::Gpu);
    let costing = costing(&device);
    let one = |n, k, streamed| {
        let cost = costing.operator(&product(1, n, k, HALF), Bytes(streamed)).unwrap();
        let Some(Need { from: Source::Ceiling { resource, at, .. }, .. }) = cost.decisive().copied() else { panic!() };
        (resource.to_string(), at, cost.knowledge)
    };
    // Measured as a product.
    let (resource, at, knowledge) = one(4096, 4096, 14e9);
    assert_eq!((resource.as_str(), knowledge), ("gemm.f16.f32", Knowledge::Measured));
    assert!(matches!(at, Place::Shape(_)));
    // Far from all measured products, but between measured matrices.
    let (resource, _, knowledge) = one(600_000, 8000, 14e9);
    assert_eq!((resource.as_str(), knowledge), ("gemv.f16", Knowledge::Interpolated));
    // Beyond the largest matrix: main memory, as measured.
    let (resource, at, knowledge) = one(10_000_000, 8000, 200e9);
    assert_eq!((resource.as_str(), at, knowledge), ("gemv.f16", Place::Anywhere, Knowledge::Measured));
}

#[test]
fn small_matrices_of_a_large_model_do_not_come_from_a_cache() {
    // A cache that is five times as fast, up to 32 MB.
    let mut device = LAWS.measured(DeviceKind::Cpu);
    for ceiling in &mut device.ceilings {
        let name = ceiling.resource.to_string();
        if let rooflab::profile::Outcome::Ok { points, .. } = &mut ceiling.outcome
            && (name == "gemv.f16" || name == "memory.read")
        {
            points.iter_mut().for_each(|point| {
                point.value = if point.at.unwrap() < 32e6 { 5.0 } else { 1.0 } * LAWS.bandwidth;
            });
        }
    }
    let costing = costing(&device);
    let time = |streamed| costing.operator(&product(1, 1500, 1500, HALF), Bytes(streamed)).unwrap();
    let far = time(14e9);
    assert!((far.time - far.overhead).get() >= 0.999 * 1500.0 * 1500.0 * 2.0 / LAWS.bandwidth);
    let near = time(5e6);
    assert!((near.time - near.overhead) < (far.time - far.overhead) * 0.3, "{near:?} {far:?}");
}

#[test]
fn makers_figures_alone_are_labelled_and_reach_no_less_than_the_floor() {
    let sheet = bundled_named("nvidia-geforce-rtx-4090").and_then(|bundled| bundled.profile()).unwrap();
    let costing = costing(sheet);
    let cost = costing.graph(&MISTRAL.decode(HALF, 1, 1000)).unwrap();
    let known: Vec<Knowledge> = cost.by_knowledge().iter().map(|share| share.of).collect();
    assert_eq!(known, [Knowledge::Datasheet]);
    assert_eq!(cost.bound(), Bound::Weights);
    // Norms are not in the floor.
    close(cost.time.get(), cost.floor.unwrap().time().get(), 0.001);
    close(cost.mbu().unwrap(), 1.0, 0.001);
    assert!(cost.mfu().unwrap() < 0.01);
    let assumptions = costing.assumptions(&cost);
    let said = |what: &str| assumptions.iter().any(|assumption| assumption.to_string().contains(what));
    assert!(said("1,008 GB/s") || said("datasheet"));
    assert!(said("overhead.launch"), "{assumptions:?}");
    // Each once, with all that it stands for; no time rests on two.
    for (index, assumption) in assumptions.iter().enumerate() {
        assert!(assumptions[..index].iter().all(|other| !other.is_like(assumption)), "{assumptions:?}");
    }
    let shares: f64 = assumptions.iter().map(|assumption| assumption.share).sum();
    assert!(shares <= 1.0 + 1e-9, "{shares}");
    assert!(assumptions.windows(2).all(|pair| pair[0].time.get() >= pair[1].time.get()));
}

#[test]
fn shares_add_up() {
    let device = LAWS.measured(DeviceKind::Cpu);
    for options in [Launching::Barrier, Launching::Eager, Launching::Graph { kernel: Seconds(3e-6) }] {
        let options = Options { launching: Some(options), ..Options::default() };
        let cost = Costing::new(&device, None, options).graph(&MISTRAL.decode(HALF, 4, 1000)).unwrap();
        let sums = [
            cost.by_bound().iter().map(|share| share.share).sum::<f64>(),
            cost.by_knowledge().iter().map(|share| share.share).sum::<f64>(),
        ];
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-9), "{options:?}: {sums:?}");
    }
}

#[test]
fn starting_kernels_costs_what_the_way_of_starting_them_does() {
    let device = super::device::Laws { launch: 1e-3, ..LAWS }.measured(DeviceKind::Gpu);
    let graph = MISTRAL.decode(HALF, 1, 1000);
    let time =
        |launching| Costing::new(&device, None, Options { launching, ..Options::default() }).graph(&graph).unwrap();
    let kernels: f64 = graph.operators.iter().map(|operator| operator.count as f64).sum();
    let free = time(Some(Launching::Graph { kernel: Seconds(0.0) }));
    close(time(Some(Launching::Barrier)).time.get(), free.time.get() + kernels * 1e-3, 1e-9);
    // A GPU's host goes ahead of it: the slower of the two counts.
    let eager = time(None);
    close(eager.time.get(), kernels * 1e-3, 1e-9);
    assert_eq!(eager.bound(), Bound::Overhead);
}

#[test]
fn sparsity_halves_the_bytes_and_speeds_up_the_arithmetic() {
    let device = LAWS.measured(DeviceKind::Gpu);
    let costing = costing(&device);
    let sparse = WeightFormat { sparsity: Some(Sparsity { kept: 2, of: 4, index_bits: 2, speedup: 1.5 }), ..HALF };
    let time = |m, weights| costing.operator(&product(m, 16_384, 16_384, weights), Bytes(14e9)).unwrap().time.get();
    close(time(1, HALF) / time(1, sparse), 1.0 / 0.5625, 0.03);
    close(time(16_384, HALF) / time(16_384, sparse), 1.5, 0.03);
}

#[test]
fn groups_of_another_size_are_not_what_was_measured() {
    let device = LAWS.measured(DeviceKind::Gpu);
    let groups = |group| {
        let scales = Scales { shared_by: Granularity::Group(group), bits: 16, zero_bits: 0 };
        let weights = WeightFormat { scales: Some(scales), ..FOUR };
        costing(&device).operator(&product(1, 4096, 4096, weights), Bytes(1e9)).unwrap().knowledge
    };
    assert_eq!((groups(128), groups(32)), (Knowledge::Interpolated, Knowledge::Substituted));
}

#[test]
fn narrow_weights_gain_less_as_the_batch_grows() {
    // C35.
    let device = LAWS.measured(DeviceKind::Gpu);
    let costing = costing(&device);
    let time = |batch, weights| costing.graph(&MISTRAL.decode(weights, batch, 1000)).unwrap().time.get();
    let gain = |batch| time(batch, HALF) / time(batch, FOUR);
    assert!(gain(1) > 2.0 && gain(1) < 16.0 / 4.125, "{}", gain(1));
    let gains = [1, 8, 32, 128, 512, 2048].map(gain);
    assert!(gains.windows(2).all(|pair| pair[1] < pair[0] + 0.01) && gains[5] < 1.1, "{gains:?}");
}

#[test]
fn what_is_no_size_is_refused_by_name() {
    let device = LAWS.measured(DeviceKind::Gpu);
    let good = product(1, 4096, 4096, HALF);
    for value in [f64::NAN, f64::INFINITY, -1.0] {
        let error = costing(&device).operator(&Operator { kv: Bytes(value), ..good }, Bytes(1e9)).unwrap_err();
        assert!(error.to_string().contains("`kv` of"), "{error}");
    }
    let huge = Operator { count: u64::MAX, flops: rooflab::units::Flops(f64::MAX), ..good };
    assert!(matches!(costing(&device).operator(&huge, Bytes(1e9)), Err(CostError::NotATime { .. })));
}

#[test]
fn experts_cost_the_matrices_that_are_read() {
    let device = LAWS.measured(DeviceKind::Gpu);
    let costing = costing(&device);
    let time = |pairs: u64, distinct: f64| {
        let kind = Kind::Experts { pairs, distinct, n: 4096, k: 4096, weights: HALF };
        let weights = HALF.bytes(4096, 4096) * distinct;
        let experts = Operator { weights, ..operator(Part::Matrix(Role::ExpertUp), kind, 2 * pairs * 4096 * 4096) };
        costing.operator(&experts, Bytes(60e9)).unwrap()
    };
    close(time(8, 8.0).time.get() / time(8, 4.0).time.get(), 2.0, 0.05);
    assert_eq!(time(8, 8.0).bound, Bound::Weights);
    assert_eq!(time(100_000, 32.0).bound, Bound::Compute);
}

#[test]
fn exchanges_need_a_link() {
    let device = LAWS.measured(DeviceKind::Gpu);
    let exchange = Collective::AllReduce { devices: 4, bytes: Bytes(163_840.0) };
    let graph = Graph { operators: vec![operator(Part::Communication, Kind::Exchange(exchange), 0)], layers: 0 };
    let error = costing(&device).graph(&graph).unwrap_err();
    assert_eq!(error, CostError::NoLink);
    assert!(error.to_string().contains("`--link`"));
    let link = Link::new(Seconds(5e-6), BytesPerSecond(450e9)).unwrap();
    let options = Options { link: Some(link), ..Options::default() };
    let cost = Costing::new(&device, None, options).graph(&graph).unwrap();
    assert_eq!((cost.time, cost.bound()), (link.time(&exchange), Bound::Communication));
    assert_eq!(cost.by_knowledge()[0].of, Knowledge::Given);
}

#[test]
fn what_a_profile_lacks_is_named_once_and_all_together() {
    let empty = profile(DeviceKind::Gpu, Vec::new(), Vec::new());
    let error = costing(&empty).graph(&MISTRAL.decode(HALF, 2, 100)).unwrap_err();
    let CostError::Missing { lacks, .. } = &error else { panic!("{error:?}") };
    let names: Vec<String> = lacks.iter().map(|lack| lack.resource.to_string()).collect();
    assert_eq!(names, ["memory.dram.read", "rowwise.rmsnorm.f16", "attention.decode.f16"]);
    let text = error.to_string();
    assert!(text.starts_with("the profile `test` lacks `memory.dram.read` (it is not in this profile), "), "{text}");
}

#[test]
fn the_other_16_bit_format_stands_in_and_says_so() {
    let device = LAWS.measured(DeviceKind::Gpu);
    let other = WeightFormat::plain(DType::Bf16);
    let costing = costing(&device);
    let graph = Graph { operators: vec![product(64, 4096, 4096, other)], layers: 1 };
    let (cost, own) =
        (costing.graph(&graph).unwrap(), Graph { operators: vec![product(64, 4096, 4096, HALF)], layers: 1 });
    assert_eq!(cost.operators[0].knowledge, Knowledge::Substituted);
    assert_eq!(cost.time, costing.graph(&own).unwrap().time);
    let assumptions = costing.assumptions(&cost);
    let text = assumptions[0].to_string();
    assert!(text.starts_with("`gemm.f16.f32` for `gemm.bf16.f32`: the profile lacks it"), "{text}");
}
