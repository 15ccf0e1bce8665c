//! Each kind of answer, and the laws that hold for all of them.

use proptest::prelude::*;

use super::*;
use crate::facts::Identity;
use crate::fit::fit;
use crate::profile::document::{Claim, Header, Range, SCHEMA, Source};
use crate::profile::point::{Flag, Point};
use crate::units::Seconds;
use crate::workload::Work;

fn point(at: Option<f64>, value: f64) -> Point {
    Point { confidence: [0.99 * value, 1.01 * value], ..Point::exact(at, value) }
}

fn ok(points: Vec<Point>) -> Outcome {
    Outcome::Ok { points, limit: None, plateau: None, fit: None }
}

fn curve(points: &[(f64, f64)]) -> Outcome {
    ok(points.iter().map(|&(at, value)| point(Some(at), value)).collect())
}

fn single(value: f64) -> Outcome {
    ok(vec![point(None, value)])
}

fn key(text: &str) -> Key {
    let (resource, scope) = match text.strip_suffix("@core") {
        Some(resource) => (resource, Scope::Core),
        None => (text, Scope::Device),
    };
    Key { resource: resource.parse().unwrap(), scope }
}

fn claim(resource: &str, value: f64) -> Claim {
    let resource: Resource = resource.parse().unwrap();
    Claim { resource, value, unit: resource.unit(), source: "the maker's page".to_owned() }
}

fn profile(ceilings: Vec<(&str, Outcome)>, datasheet: Vec<Claim>) -> Profile {
    Profile {
        header: Header {
            schema: SCHEMA.to_owned(),
            rooflab: Source { version: "0".to_owned(), commit: None, target: None },
            created: jiff::Timestamp::UNIX_EPOCH,
            complete: true,
        },
        name: "test".to_owned(),
        device: Identity {
            id: "mock:0".to_owned(),
            backend: "mock".to_owned(),
            kind: crate::facts::DeviceKind::Simulated,
            name: "test".to_owned(),
            vendor: None,
            architecture: None,
            isa: None,
            features: Vec::new(),
            cores: 1,
            logical_processors: None,
            caches: Vec::new(),
            cache_line: 64,
            memory: 0,
            driver: None,
            bus: None,
        },
        conditions: crate::facts::Conditions::default(),
        instrument: None,
        observed: crate::facts::Observed::default(),
        ceilings: ceilings.into_iter().map(|(text, outcome)| Ceiling::new(key(text), outcome)).collect(),
        datasheet,
        imported: Vec::new(),
        matches: Vec::new(),
    }
}

fn ask(profile: &Profile, text: &str, at: Place) -> Answer {
    let Key { resource, scope } = key(text);
    Ceilings::new(profile).ask(&Demand { resource, scope, at })
}

fn known(profile: &Profile, text: &str, at: Place) -> Known {
    match ask(profile, text, at) {
        Answer::Known(known) => known,
        Answer::Missing { why } => panic!("{text}: {why}"),
    }
}

fn missing(profile: &Profile, text: &str, at: Place) -> String {
    match ask(profile, text, at) {
        Answer::Missing { why } => why,
        Answer::Known(known) => panic!("{text}: {known:?}"),
    }
}

/// The key that stands for a resource, and why.
fn substitute(profile: &Profile, text: &str, at: Place) -> (f64, String, String) {
    match known(profile, text, at) {
        Known { value, how: How::Substituted { from, why, .. }, error: None, .. } => (value, from.to_string(), why),
        other => panic!("{text}: {other:?}"),
    }
}

fn shape(m: u64, n: u64, k: u64) -> Place {
    Place::Shape(Shape { m, n, k })
}

/// Products with a formula: measured at a grid, `share` of the formula's speed at each.
fn products(with_fit: bool, share: impl Fn(usize) -> f64) -> Outcome {
    let model = crate::fit::PNorm { peak: 400e9, bandwidth: 40e9, p: 2.5, floor: Seconds(10e-6) };
    let Resource::Gemm { input, accumulate } = key("gemm.bf16.f32").resource else { unreachable!() };
    let sizes = [1024, 4096];
    let grid = [1, 16, 256].into_iter().flat_map(|m| sizes.into_iter().map(move |n| (m, n)));
    let shapes: Vec<Shape> = grid.flat_map(|(m, n)| sizes.into_iter().map(move |k| Shape { m, n, k })).collect();
    let measured: Vec<(Work, Seconds)> = shapes
        .iter()
        .enumerate()
        .map(|(index, shape)| {
            let work = shape.work(input, accumulate);
            (work, model.time(&work) / share(index))
        })
        .collect();
    let points = shapes.iter().zip(&measured).map(|(&shape, (work, time))| Point {
        shape: Some(shape),
        time: *time,
        work: *work,
        ..point(None, work.ops as f64 / time.get())
    });
    Outcome::Ok { points: points.collect(), limit: None, plateau: None, fit: with_fit.then(|| fit(&measured).unwrap()) }
}

#[test]
fn a_point_at_that_place_is_measured() {
    let profile = profile(vec![("memory.read", curve(&[(1e6, 100e9), (1e8, 40e9)]))], Vec::new());
    let there = known(&profile, "memory.read", Place::Bytes(1.005e6));
    assert_eq!((there.value, there.unit), (100e9, Unit::BytePerSecond));
    assert_eq!(there.how, How::Measured { at: Place::Bytes(1e6) });
    assert!((there.error.unwrap() - 0.01).abs() < 1e-9);
    // Without a place: the largest.
    assert_eq!(known(&profile, "memory.read", Place::Anywhere).how, How::Measured { at: Place::Bytes(1e8) });
}

#[test]
fn between_points_it_is_a_straight_line_in_logarithms() {
    let profile = profile(vec![("memory.read", curve(&[(1e6, 100e9), (1e8, 25e9)]))], Vec::new());
    let middle = known(&profile, "memory.read", Place::Bytes(1e7));
    assert!((middle.value / 50e9 - 1.0).abs() < 1e-9);
    assert_eq!(middle.how, How::Interpolated { between: vec![Place::Bytes(1e6), Place::Bytes(1e8)] });
    assert!((middle.error.unwrap() - 1.0).abs() < 1e-9);
}

#[test]
fn beyond_its_ends_a_curve_goes_on_as_it_ended() {
    let profile = profile(vec![("memory.read", curve(&[(1e6, 100e9), (1e8, 25e9)]))], Vec::new());
    for (at, end, value) in [(1e9, 1e8, 25e9), (1e3, 1e6, 100e9)] {
        let known = known(&profile, "memory.read", Place::Bytes(at));
        assert_eq!((known.value, known.how), (value, How::Extrapolated { from: Place::Bytes(end) }));
    }
}

#[test]
fn a_level_has_one_value_over_its_stretch() {
    let mut outcome = curve(&[(5e5, 200e9)]);
    if let Outcome::Ok { plateau, .. } = &mut outcome {
        *plateau = Some(Range { from: 1e5, to: 1e6 });
    }
    let profile = profile(vec![("memory.l2.read", outcome)], Vec::new());
    let inside = known(&profile, "memory.l2.read", Place::Bytes(2e5)).how;
    assert_eq!(inside, How::Interpolated { between: vec![Place::Bytes(1e5), Place::Bytes(1e6)] });
    let outside = known(&profile, "memory.l2.read", Place::Bytes(2e6)).how;
    assert_eq!(outside, How::Extrapolated { from: Place::Bytes(5e5) });
}

#[test]
fn flags_of_the_points_come_along() {
    let mut outcome = curve(&[(1e6, 100e9), (1e7, 50e9), (1e8, 25e9)]);
    if let Outcome::Ok { points, .. } = &mut outcome {
        points[1].flags.push(Flag::Drifting { change: 0.05 });
    }
    let profile = profile(vec![("memory.read", outcome)], Vec::new());
    for (at, flags) in [(1e6, 0), (2e6, 1), (1e7, 1), (2e7, 1), (1e9, 0)] {
        assert_eq!(known(&profile, "memory.read", Place::Bytes(at)).flags.len(), flags, "{at}");
    }
}

#[test]
fn products_within_the_measured_ones_reach_the_share_of_their_neighbours() {
    let profile = profile(vec![("gemm.bf16.f32", products(true, |_| 1.0))], Vec::new());
    let at = known(&profile, "gemm.bf16.f32", shape(64, 2048, 2048));
    let How::Interpolated { between } = &at.how else { panic!("{at:?}") };
    assert!(between.len() >= 2 && at.error.unwrap() < 0.01, "{at:?}");
    let model = crate::fit::PNorm { peak: 400e9, bandwidth: 40e9, p: 2.5, floor: Seconds(10e-6) };
    let work = Shape { m: 64, n: 2048, k: 2048 }.work(crate::dtype::DType::Bf16, crate::dtype::DType::F32);
    assert!((at.value * model.time(&work).get() / work.ops as f64 - 1.0).abs() < 0.02, "{at:?}");
}

#[test]
fn a_slow_neighbour_slows_what_is_near_to_it() {
    let slow = |index: usize| if index == 7 { 0.5 } else { 1.0 };
    let profile = profile(vec![("gemm.bf16.f32", products(true, slow))], Vec::new());
    let Some(Outcome::Ok { fit: Some(fit), .. }) = profile.ceilings.first().map(|ceiling| &ceiling.outcome) else {
        panic!("no fit")
    };
    let work = |shape: Shape| shape.work(crate::dtype::DType::Bf16, crate::dtype::DType::F32);
    let share = |m: u64, n: u64, k: u64| {
        let shape = Shape { m, n, k };
        known(&profile, "gemm.bf16.f32", Place::Shape(shape)).value * fit.model.time(&work(shape)).get()
            / work(shape).ops as f64
    };
    // Point 7 is 16×4096×4096.
    assert!(share(17, 4000, 4000) < 0.8 * share(2, 1100, 1100), "{} {}", share(17, 4000, 4000), share(2, 1100, 1100));
}

#[test]
fn products_are_measured_fitted_or_extrapolated() {
    let profile = profile(vec![("gemm.bf16.f32", products(true, |_| 1.0))], Vec::new());
    let how = |at| known(&profile, "gemm.bf16.f32", at).how;
    assert_eq!(how(shape(16, 4096, 4096)), How::Measured { at: shape(16, 4096, 4096) });
    assert_eq!(how(shape(16, 4100, 4100)), How::Measured { at: shape(16, 4096, 4096) });
    assert_eq!(how(shape(16, 8192, 4096)), How::Fitted { points: 12 });
    assert_eq!(how(shape(16, 65536, 4096)), How::Extrapolated { from: shape(16, 4096, 4096) });
    assert_eq!(how(Place::Anywhere), How::Measured { at: shape(256, 4096, 4096) });
    // However large: no overflow.
    known(&profile, "gemm.bf16.f32", shape(u64::MAX, u64::MAX, u64::MAX));
}

#[test]
fn without_a_formula_the_nearest_shape_stands() {
    let profile = profile(vec![("gemm.bf16.f32", products(false, |_| 1.0))], Vec::new());
    let there = known(&profile, "gemm.bf16.f32", shape(16, 4096, 4096)).value;
    let near = known(&profile, "gemm.bf16.f32", shape(20, 4096, 4096));
    assert_eq!((near.value, near.how), (there, How::Extrapolated { from: shape(16, 4096, 4096) }));
}

#[test]
fn every_rule_finds_its_substitute() {
    let stands = |ceilings: Vec<(&str, Outcome)>, wanted: &str, at: Place, from: &str, value: f64| {
        let (found, stands, why) = substitute(&profile(ceilings, Vec::new()), wanted, at);
        assert_eq!((found, stands.as_str()), (value, from), "{wanted}: {why}");
        assert!(why.starts_with("it is not in this profile; "), "{why}");
    };
    let reads = || ("memory.read", curve(&[(1e6, 100e9), (1e8, 25e9)]));
    let dram = || ("memory.dram.read", curve(&[(5e8, 20e9)]));
    let (bytes, tokens) = (Place::Bytes(1e6), Place::Tokens(9e2));
    stands(vec![reads()], "memory.l2.read", bytes, "memory.read", 100e9);
    stands(vec![reads()], "memory.dram.read", Place::Anywhere, "memory.read", 25e9);
    stands(vec![dram()], "memory.read", bytes, "memory.dram.read", 20e9);
    stands(vec![reads(), dram()], "gemv.bf16", bytes, "memory.read", 100e9);
    stands(vec![dram()], "gemv.bf16", bytes, "memory.dram.read", 20e9);

    let cache = |key| vec![reads(), (key, curve(&[(1e3, 7e9)]))];
    stands(cache("attention.decode.f16"), "attention.decode.bf16", tokens, "attention.decode.f16", 7e9);
    stands(cache("attention.decode.int8"), "attention.decode.bf16", tokens, "memory.read", 25e9);
    stands(vec![dram()], "attention.decode.bf16", tokens, "memory.dram.read", 20e9);

    let single_precision = ("rowwise.add.f32", curve(&[(1e6, 9e9)]));
    stands(vec![single_precision], "rowwise.add.bf16", bytes, "rowwise.add.f32", 9e9);
    let streams = || vec![("memory.copy", curve(&[(1e6, 8e9)])), ("memory.triad", curve(&[(1e6, 9e9)]))];
    stands(streams(), "rowwise.softmax.f32", bytes, "memory.copy", 8e9);
    stands(streams(), "rowwise.silu_mul.f32", bytes, "memory.triad", 9e9);
    stands(vec![("memory.dram.copy", curve(&[(5e8, 7e9)]))], "rowwise.rope.bf16", bytes, "memory.dram.copy", 7e9);

    let peak = || vec![("compute.vector.bf16.f32", single(4e11))];
    stands(peak(), "compute.matrix.bf16.f32", Place::Anywhere, "compute.vector.bf16.f32", 4e11);
    stands(peak(), "gemm.bf16.f32", shape(1, 2, 3), "compute.vector.bf16.f32", 4e11);
    stands(peak(), "attention.prefill.bf16", tokens, "compute.vector.bf16.f32", 4e11);
    let products = vec![("gemm.bf16.f32", products(true, |_| 1.0))];
    let product = known(&profile(products.clone(), Vec::new()), "gemm.bf16.f32", shape(900, 900, 128)).value;
    stands(products, "attention.prefill.bf16", tokens, "gemm.bf16.f32", product);
}

#[test]
fn products_of_f32_stand_for_others_where_they_are_slower() {
    let single_precision = || {
        let point = Point { shape: Some(Shape::square(1000)), ..point(None, 2e11) };
        ("gemm.f32", ok(vec![point]))
    };
    let with_peak = |peak: Option<f64>| {
        let mut ceilings = vec![single_precision(), ("compute.vector.f32", single(25e10))];
        ceilings.extend(peak.map(|peak| ("compute.vector.bf16.f32", single(peak))));
        profile(ceilings, Vec::new())
    };
    let stands = |peak| substitute(&with_peak(Some(peak)), "gemm.bf16.f32", shape(1000, 1000, 1000)).1;
    assert_eq!(stands(4e11), "gemm.f32");
    assert_eq!(stands(1e11), "compute.vector.bf16.f32");
    // Without a peak nobody knows which is lower, and wider formats are never stood for.
    missing(&with_peak(None), "gemm.bf16.f32", shape(1000, 1000, 1000));
    missing(&with_peak(None), "gemm.f64", shape(1000, 1000, 1000));
}

#[test]
fn a_level_is_looked_up_within_the_stretch_that_another_access_found() {
    let mut l2 = curve(&[(5e5, 200e9)]);
    if let Outcome::Ok { plateau, .. } = &mut l2 {
        *plateau = Some(Range { from: 1e5, to: 1e7 });
    }
    let reads = curve(&[(1e4, 400e9), (1e6, 150e9), (1e8, 25e9)]);
    let profile = profile(vec![("memory.l2.copy", l2), ("memory.read", reads)], Vec::new());
    assert_eq!(substitute(&profile, "memory.l2.read", Place::Anywhere).0, 150e9);
    // Where nothing was found, nothing is guessed.
    assert_eq!(missing(&profile, "memory.l1.read", Place::Anywhere), "it is not in this profile");
}

#[test]
fn one_core_never_stands_for_the_device() {
    let read = || curve(&[(1e6, 100e9)]);
    let core = profile(vec![("memory.read@core", read())], vec![claim("memory.dram.read", 50e9)]);
    assert!(matches!(known(&core, "memory.read", Place::Anywhere).how, How::Substituted { .. }));
    let device = profile(vec![("memory.read", read())], vec![claim("memory.dram.read", 50e9)]);
    assert_eq!(missing(&device, "memory.read@core", Place::Anywhere), "it is not in this profile");
}

#[test]
fn the_makers_figure_comes_after_what_was_measured() {
    let sheet = vec![claim("memory.dram.read", 50e9), claim("compute.vector.f32", 3e11)];
    let profile = profile(vec![("memory.write", curve(&[(1e8, 30e9)]))], sheet.clone());
    let read = known(&profile, "memory.dram.read", Place::Anywhere);
    assert_eq!((read.value, read.how), (50e9, How::Datasheet { source: "the maker's page".to_owned() }));
    // Measured, even if elsewhere, comes first.
    assert_eq!(substitute(&profile, "memory.dram.write", Place::Anywhere).1, "memory.write");
    for (wanted, at) in [
        ("memory.dram.copy", Place::Anywhere),
        ("memory.triad", Place::Bytes(1e9)),
        ("gemv.bf16", Place::Bytes(1e9)),
        ("attention.decode.bf16", Place::Tokens(1e3)),
        ("rowwise.add.f32", Place::Bytes(1e9)),
    ] {
        assert_eq!(substitute(&profile, wanted, at).1, "memory.dram.read", "{wanted}");
    }
    assert_eq!(substitute(&profile, "gemm.f32", shape(1, 1, 1)).1, "compute.vector.f32");
    // A cache is not main memory.
    assert_eq!(missing(&profile, "memory.l2.copy", Place::Anywhere), "it is not in this profile");
    // From a profile of its own, too.
    let empty = self::profile(Vec::new(), Vec::new());
    let apart = self::profile(Vec::new(), sheet);
    let demand = Demand { resource: key("memory.dram.read").resource, scope: Scope::Device, at: Place::Anywhere };
    assert_eq!(Ceilings::new(&empty).with_datasheet(&apart).ask(&demand).known().map(|known| known.value), Some(50e9));
}

#[test]
fn vector_units_do_not_stand_for_matrix_units_that_the_maker_claims() {
    let vector = || ("compute.vector.bf16.f32", single(6e13));
    let sheet = || vec![claim("compute.matrix.bf16.f32", 1e15)];
    let there = profile(vec![vector()], sheet());
    assert_eq!(known(&there, "compute.matrix.bf16.f32", Place::Anywhere).value, 1e15);
    assert_eq!(substitute(&there, "gemm.bf16.f32", shape(1, 2, 3)).1, "compute.matrix.bf16.f32");
    // What the device cannot use is no ceiling of it.
    let lacking = ("compute.matrix.bf16.f32", Outcome::Unsupported { reason: "no driver".to_owned() });
    let lacking = profile(vec![vector(), lacking], sheet());
    assert_eq!(substitute(&lacking, "compute.matrix.bf16.f32", Place::Anywhere).1, "compute.vector.bf16.f32");
    assert_eq!(substitute(&lacking, "gemm.bf16.f32", shape(1, 2, 3)).1, "compute.vector.bf16.f32");
    // What rooflab cannot measure says nothing of the device.
    let no_kernel = || ("compute.matrix.bf16.f32", Outcome::Skipped { reason: "no kernel".to_owned() });
    let unmeasured = profile(vec![vector(), no_kernel()], sheet());
    assert_eq!(substitute(&unmeasured, "gemm.bf16.f32", shape(1, 2, 3)).1, "compute.matrix.bf16.f32");
}

#[test]
fn vector_units_of_a_gpu_that_nobody_describes_stand_for_wide_products_only() {
    let ceilings = || {
        let no_kernel = Outcome::Skipped { reason: "no kernel".to_owned() };
        let vector = |name| (name, single(6e13));
        vec![vector("compute.vector.bf16.f32"), vector("compute.vector.f32"), ("compute.matrix.bf16.f32", no_kernel)]
    };
    let mut gpu = profile(ceilings(), Vec::new());
    gpu.device.kind = crate::facts::DeviceKind::Gpu;
    for narrow in ["gemm.bf16.f32", "gemm.f16.f32", "gemm.int8.int32"] {
        missing(&gpu, narrow, shape(1, 2, 3));
    }
    assert_eq!(substitute(&gpu, "gemm.f32", shape(1, 2, 3)).1, "compute.vector.f32");
    // Whose sheet has no matrix units, has none.
    gpu.datasheet = vec![claim("compute.vector.f32", 1e14)];
    assert_eq!(substitute(&gpu, "gemm.bf16.f32", shape(1, 2, 3)).1, "compute.vector.bf16.f32");
    assert_eq!(
        substitute(&profile(ceilings(), Vec::new()), "gemm.bf16.f32", shape(1, 2, 3)).1,
        "compute.vector.bf16.f32"
    );
}

#[test]
fn what_is_missing_has_the_reason_of_the_profile() {
    let reason = || "needs AMX".to_owned();
    let ceilings = vec![
        ("compute.vector.f16", Outcome::Unsupported { reason: reason() }),
        ("overhead.wake", Outcome::Skipped { reason: reason() }),
        ("overhead.launch", Outcome::Failed { reason: reason() }),
        ("link.host.h2d", ok(Vec::new())),
    ];
    let profile = profile(ceilings, Vec::new());
    let why = |text| missing(&profile, text, Place::Anywhere);
    assert_eq!(why("compute.vector.f16"), "unsupported: needs AMX");
    assert_eq!(why("overhead.wake"), "skipped: needs AMX");
    assert_eq!(why("overhead.launch"), "failed: needs AMX");
    assert_eq!(why("link.host.h2d"), "it has no points that can be used");
    assert_eq!(why("latency.dram"), "it is not in this profile");
}

#[test]
fn a_place_that_is_none_has_no_answer() {
    let profile = profile(vec![("memory.read", curve(&[(1e6, 100e9)]))], Vec::new());
    let why = missing(&profile, "memory.read", shape(1, 1, 1));
    assert_eq!(why, "`memory.read` is asked at the bytes of a working set");
    for number in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(missing(&profile, "memory.read", Place::Bytes(number)), "its place is not a positive number");
    }
    assert!(missing(&profile, "compute.vector.f32", Place::Bytes(1.0)).contains("has one value"));
}

#[test]
fn answers_are_tagged_in_json() {
    let profile = profile(vec![("memory.read", curve(&[(1e6, 100e9), (1e8, 25e9)]))], Vec::new());
    let json = |text, at| serde_json::to_value(ask(&profile, text, at)).unwrap();
    assert_eq!(
        json("gemv.bf16", Place::Bytes(1e6)),
        serde_json::json!({
            "answer": "known",
            "value": 100e9,
            "unit": "B/s",
            "how": {
                "is": "substituted",
                "from": "memory.read",
                "why": "it is not in this profile; pure loads stand for it: every weight is read once",
                "known": { "is": "measured", "at": { "bytes": 1e6 } },
            },
        })
    );
    assert_eq!(
        json("latency", Place::Anywhere),
        serde_json::json!({ "answer": "missing", "why": "it is not in this profile" })
    );
}

proptest! {
    #[test]
    fn curves_answer_between_their_points(
        points in prop::collection::btree_map(1_u64..1 << 50, 1e-9..1e15_f64, 1..12), at in 0.1..1e18_f64
    ) {
        let points: Vec<(f64, f64)> = points.into_iter().map(|(at, value)| (at as f64, value)).collect();
        let profile = profile(vec![("memory.read", curve(&points))], Vec::new());
        let asked = known(&profile, "memory.read", Place::Bytes(at));
        let value_at = |place: &Place| points.iter().find(|(at, _)| Place::Bytes(*at) == *place).unwrap().1;
        match &asked.how {
            How::Interpolated { between } => {
                let values: Vec<f64> = between.iter().map(value_at).collect();
                prop_assert!(values[0].min(values[1]) <= asked.value && asked.value <= values[0].max(values[1]));
            }
            How::Measured { at } | How::Extrapolated { from: at } => prop_assert_eq!(asked.value, value_at(at)),
            other => prop_assert!(false, "{:?}", other),
        }
        for (at, _) in &points {
            let there = known(&profile, "memory.read", Place::Bytes(*at));
            prop_assert_eq!(there.value, value_at(&Place::Bytes(*at)));
        }
    }

    #[test]
    fn products_answer_with_positive_numbers(
        shares in prop::collection::vec(0.2..1.0_f64, 12),
        size in (1_u64..1 << 40, 1_u64..1 << 40, 1_u64..1 << 40),
        small in (1_u64..300, 900_u64..5000, 900_u64..5000),
        with_fit in any::<bool>(),
    ) {
        let profile = profile(vec![("gemm.bf16.f32", products(with_fit, |index| shares[index]))], Vec::new());
        for (m, n, k) in [size, small] {
            let asked = known(&profile, "gemm.bf16.f32", shape(m, n, k));
            prop_assert!(asked.value.is_finite() && asked.value > 0.0, "{:?}", asked);
            prop_assert!(asked.error.is_none_or(|error| error >= 0.0), "{:?}", asked);
        }
        for point in profile.ceilings[0].points() {
            let there = known(&profile, "gemm.bf16.f32", Place::Shape(point.shape.unwrap()));
            prop_assert_eq!(there.value, point.value);
        }
    }

    #[test]
    fn hostile_points_never_become_values(
        points in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..6), at in prop::num::f64::ANY
    ) {
        let profile = profile(vec![("memory.read", curve(&points)), ("overhead.launch", curve(&points))], Vec::new());
        for (text, at) in [("memory.read", Place::Bytes(at)), ("memory.read", Place::Anywhere), ("overhead.launch", Place::Anywhere), ("gemv.f32", Place::Bytes(at))] {
            if let Answer::Known(known) = ask(&profile, text, at) {
                prop_assert!(known.value.is_finite() && known.value > 0.0);
            }
        }
    }
}
