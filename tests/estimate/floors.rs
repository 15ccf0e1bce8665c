//! Speed of light, utilisation and ridges: worked numbers of the sources, by their case ids.

use rooflab::dtype::DType;
use rooflab::estimate::cost::{Costing, Floor, Knowledge, Options, ridge_batch, ridge_point};
use rooflab::facts::DeviceKind;
use rooflab::model::WeightFormat;
use rooflab::profile::{Profile, bundled_named};
use rooflab::units::{Bytes, Flops, Seconds};

use super::device::{curve, profile};
use super::lower::{EIGHT, HALF, MISTRAL, QWEN, Sizes};

fn sheet(name: &str) -> &'static Profile {
    bundled_named(name).and_then(|bundled| bundled.profile()).unwrap()
}

/// The floor of a decode step.
fn decode(device: &str, sizes: &Sizes, weights: WeightFormat, batch: u64, context: u64) -> Floor {
    Costing::new(sheet(device), None, Options::default()).floor(&sizes.decode(weights, batch, context)).unwrap()
}

#[track_caller]
fn close(case: &str, found: f64, right: f64) {
    assert!((found / right - 1.0).abs() < 0.005, "{case}: {found} instead of {right}");
}

#[test]
fn ridges() {
    for (case, peak, bandwidth, right) in [
        ("C1", 2735e9, 67e9, 40.82),
        ("C2", 83e12, 1008e9, 82.34),
        // 494 TFLOP/s are TF32.
        ("C3", 494e12, 3350e9, 147.46),
        ("C3", 67e12, 3350e9, 20.0),
        ("C3", 989.5e12, 3350e9, 295.4),
        ("C4", 1979e12, 3350e9, 590.75),
        // The post printed 208 tokens; 153.0 belongs to the part with 2039 GB/s.
        ("C41", 312e12, 1555e9, 200.64),
        ("C41", 312e12, 2039e9, 153.0),
        ("C53", 300e12, 1.6e12, 187.5),
    ] {
        close(case, ridge_point(peak, bandwidth), right);
    }
}

#[test]
fn mistral_on_an_rtx_4090() {
    let device = "nvidia-geforce-rtx-4090";
    let no_window = Sizes { window: None, ..MISTRAL };
    let weights = |format| MISTRAL.decode(format, 1, 1).total(|operator| operator.weights).get();
    close("C9", weights(HALF) / 2.0, 7_110_393_856.0);
    close("C11", weights(HALF), 14.2208e9);
    close("C13", weights(EIGHT), 7.110e9);
    // At a context of 0 only weights are read; the printed 7.0 ms were rounded down.
    close("C12", decode(device, &MISTRAL, HALF, 1, 0).time().get(), 14.108e-3);
    close("C13", decode(device, &MISTRAL, EIGHT, 1, 0).time().get(), 7.054e-3);
    let read = MISTRAL.decode(HALF, 1, 1000).total(|operator| operator.kv).get();
    close("C15", read, 131.07e6);
    close("C15", read / weights(HALF), 0.0092);
    close("C17", decode(device, &MISTRAL, HALF, 1, 8192).time().get(), 14.641e-3);
    close("C17", decode(device, &no_window, HALF, 1, 8192).time().get(), 15.173e-3);
    let floor = decode(device, &MISTRAL, HALF, 1, 0);
    assert!(!floor.is_compute_bound());
    assert_eq!(floor.knowledge(), Knowledge::Datasheet);
}

#[test]
fn intensity_of_decode() {
    // C16: the post says 2 operations per element; per byte that is 1 at 16 bits, 2 at 8, 4 at 4.
    for (element, right) in [(DType::F16, 1.0), (DType::Int8, 2.0), (DType::Int4, 4.0)] {
        let graph = MISTRAL.decode(WeightFormat { element, ..HALF }, 1, 0);
        let flops = graph.total(|operator| operator.flops).get();
        close("C16", flops / graph.total(|operator| operator.weights).get(), right);
    }
}

#[test]
fn qwen_on_an_npu() {
    let device = "npu-64gb-300tflops";
    let (peak, bandwidth) = (300e12, 1.6e12);
    let by_operations = |flops: f64| Floor::of(Flops(flops), Bytes(0.0), peak, bandwidth).time().get();
    // The article's own formulas, which square the hidden size for all four projections and count all pairs of tokens.
    let (l, h, i, v) = (28.0, 3584.0, 18_944.0, 152_064.0);
    let printed_prefill = |s: f64| l * (8.0 * s * h * h + 4.0 * s * s * h + 6.0 * s * h * i) + 2.0 * s * h * v;
    let printed_decode = |t: f64| l * (8.0 * h * h + 4.0 * h * t + 6.0 * h * i) + 2.0 * h * v;
    assert_eq!(printed_prefill(1024.0), 16_163_572_547_584.0);
    close("C49", by_operations(16.0 * printed_prefill(1024.0)), 862.06e-3);
    assert_eq!(printed_decode(1536.0), 15_990_259_712.0);
    close("C50", by_operations(16.0 * printed_decode(1536.0)), 0.8528e-3);
    // The same exactly: grouped keys and values, causal, logits of the last token only.
    let prefill = QWEN.prefill(HALF, 16, 1024);
    close("C51", prefill.total(|operator| operator.flops).get(), 217.2e12);
    let costing = Costing::new(sheet(device), None, Options::default());
    let prefill = costing.floor(&prefill).unwrap();
    close("C51", prefill.time().get(), 724.0e-3);
    let decode_flops = QWEN.decode(HALF, 1, 1536).total(|operator| operator.flops).get();
    assert_eq!(decode_flops, 14_757_134_336.0);
    let floor = decode(device, &QWEN, HALF, 16, 1536);
    close("C51", floor.compute.get(), 0.787e-3);
    // C52: "about 60 %" was printed.
    let ttft = Seconds(1088.62e-3);
    close("C52", Floor::of(Flops(16.0 * printed_prefill(1024.0)), Bytes(0.0), peak, bandwidth).mfu(ttft), 0.792);
    close("C52", prefill.mfu(ttft), 0.665);
    // C53: 0.85 ms were expected, and software blamed for 18.77. The bytes explain half of it.
    let tpot = Seconds(18.77e-3);
    close("C53", floor.time().get(), 9.72e-3);
    close("C53", tpot / floor.time(), 1.93);
    let graph = QWEN.decode(HALF, 16, 1536);
    close("C53", graph.total(|operator| operator.weights).get(), 14.141e9);
    close("C53", graph.total(|operator| operator.kv).get(), 1.409e9);
    let bytes = graph.total(|operator| operator.weights + operator.kv).get();
    close("C53", graph.total(|operator| operator.flops).get() / bytes, 15.2);
    assert!(!floor.is_compute_bound());
}

#[test]
fn a_measured_slope_below_the_speed_of_light_shows_as_utilisation_above_one() {
    // C20 and C23: 20.8 ms per unit of batch were predicted, 19.68 measured.
    let predicted = Floor::of(Flops(20.8e-3 * 312e12), Bytes(0.0), 312e12, 2039e9);
    close("C23", predicted.mfu(Seconds(19.68e-3)), 1.057);
    close("C20", 20.8e-3 * 312e12 / (2.0 * 7e9), 463.5);
}

#[test]
fn the_batch_that_turns_decode_into_arithmetic() {
    let costing = Costing::new(sheet("npu-64gb-300tflops"), None, Options::default());
    let at = |batch, context| costing.floor(&QWEN.decode(HALF, batch, context)).map(|floor| floor.is_compute_bound());
    // Without a cache: 1 operation per byte and sequence, so that the ridge point is the batch.
    assert_eq!(ridge_batch(1 << 20, |batch| at(batch, 0)).unwrap(), Some(188));
    // With one, later; with a long one, never: its bytes grow with the batch.
    let short = ridge_batch(1 << 20, |batch| at(batch, 100)).unwrap().unwrap();
    assert!(short > 188 && short < 400, "{short}");
    assert!(at(short, 100).unwrap() && !at(short - 1, 100).unwrap());
    assert_eq!(ridge_batch(1 << 20, |batch| at(batch, 8192)).unwrap(), None);
    assert_eq!(ridge_batch(100, |batch| at(batch, 0)).unwrap(), None);
    assert_eq!(ridge_batch(188, |batch| at(batch, 0)).unwrap(), Some(188));
}

#[test]
fn a_processor_that_multiplies_wider_numbers_faster_has_the_wider_peak_for_its_floor() {
    let at = |value| curve([(1e9, value)]);
    let device = |narrow: f64| {
        let ceilings = vec![
            ("memory.dram.read", at(1e9)),
            ("compute.vector.f32", at(300e9)),
            ("compute.vector.bf16.f32", at(narrow)),
        ];
        profile(DeviceKind::Cpu, ceilings, Vec::new())
    };
    let graph = QWEN.decode(WeightFormat { element: DType::Bf16, activations: DType::Bf16, ..HALF }, 1024, 0);
    for (narrow, peak) in [(150e9, 300e9), (600e9, 600e9)] {
        let device = device(narrow);
        let floor = Costing::new(&device, None, Options::default()).floor(&graph).unwrap();
        let flops = graph.model_flops().get();
        close("peak", flops / floor.compute.get(), peak);
        assert_eq!((floor.knowledge(), floor.is_compute_bound()), (Knowledge::Measured, true));
    }
}
