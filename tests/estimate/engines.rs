//! An engine on a device: its operators in place of the device's, its own time beside them, and what is said of both.

use rooflab::dtype::DType;
use rooflab::estimate::cost::*;
use rooflab::facts::DeviceKind;
use rooflab::graph::Part;
use rooflab::model::WeightFormat;
use rooflab::profile::{CalibratedEngine, Profile};
use serde_json::{Value, json};

use super::device::LAWS;
use super::lower::{HALF, MISTRAL};

/// An engine whose products reach a tenth of the device's peak, whatever their shape, and whose own time is a millisecond and 10 microseconds for each layer.
fn engine(changes: &[(&str, Value)]) -> CalibratedEngine {
    let point = |m: u64| json!({ "shape": { "m": m, "n": 4096, "k": 4096 }, "value": LAWS.peak / 10.0 });
    let points: Vec<Value> = [1, 16, 4096].into_iter().map(point).collect();
    let mut document = json!({
        "schema": "rooflab.engine/1", "created": "2026-11-22T00:00:00Z", "name": "slow", "version": "1.2", "device": "x", "step": 1e-3, "layer": 1e-5,
        "ceilings": [{ "resource": "gemm.f16.f32", "points": points }],
    });
    for (field, value) in changes {
        document[field] = value.clone();
    }
    CalibratedEngine::from_json(document.to_string().as_bytes()).unwrap()
}

fn device() -> Profile {
    LAWS.measured(DeviceKind::Cpu)
}

fn of(step: &StepCost, part: fn(&Part) -> bool) -> Vec<&OperatorCost> {
    step.operators.iter().filter(|operator| part(&operator.part)).collect()
}

#[test]
fn an_engines_operators_and_its_own_time_are_in_the_step_and_not_in_the_floor() {
    let (device, engine) = (device(), engine(&[]));
    let graph = MISTRAL.prefill(HALF, 1, 4096);
    let alone = Costing::new(&device, None, Options::default());
    let without = alone.graph(&graph).unwrap();
    let with = alone.clone().with_engine(&engine).graph(&graph).unwrap();
    for product in of(&with, |part| matches!(part, Part::Matrix(_))) {
        if product.flops.get() > 1e10 {
            assert_eq!(product.knowledge, Knowledge::Engine);
            assert!((product.time.get() / (product.flops.get() / (LAWS.peak / 10.0)) - 1.0).abs() < 1e-9);
        }
    }
    assert_eq!(with.exposed, engine.own_time(graph.layers));
    assert!((with.exposed.get() - (1e-3 + 32.0 * 1e-5)).abs() < 1e-12);
    // What starts kernels is in the engine's own time.
    assert!(with.operators.iter().all(|operator| operator.overhead.get() <= 0.0));
    assert_eq!(with.floor, without.floor);
    assert!(with.time > without.time);
}

#[test]
fn what_rests_on_an_engine_is_said_with_its_name() {
    let (device, engine) = (device(), engine(&[]));
    let costing = Costing::new(&device, None, Options::default()).with_engine(&engine);
    let step = costing.graph(&MISTRAL.prefill(HALF, 1, 4096)).unwrap();
    let said = costing.assumptions(&step);
    let find = |text: &str| said.iter().find(|one| one.why.contains(text)).unwrap();
    assert!(find("as slow 1.2 runs it here").share > 0.5);
    let own = find("slow 1.2 itself takes 1.00 ms for a step and 10.0 µs for each layer beside its operators");
    assert_eq!(own.time, step.exposed);
    let by_knowledge = step.by_knowledge();
    assert_eq!(by_knowledge.iter().max_by(|a, b| a.share.total_cmp(&b.share)).unwrap().of, Knowledge::Engine);
    let shares: f64 = by_knowledge.iter().map(|share| share.share).sum();
    assert!((shares - 1.0).abs() < 1e-9);
}

#[test]
fn a_host_that_runs_ahead_is_waited_for_only_where_it_is_slower() {
    let device = device();
    let overlapped = [("host", json!("overlapped")), ("ceilings", json!([]))];
    let graph = MISTRAL.decode(HALF, 1, 128);
    let time = |engine: &CalibratedEngine| {
        Costing::new(&device, None, Options::default()).with_engine(engine).graph(&graph).unwrap()
    };
    let hidden = time(&engine(&overlapped));
    assert!(hidden.exposed.get() <= 0.0);
    let slow = engine(&[overlapped[0].clone(), overlapped[1].clone(), ("step", json!(1.0))]);
    assert!((time(&slow).time.get() - slow.own_time(graph.layers).get()).abs() < 1e-12);
}

#[test]
fn passes_that_are_within_products_are_not_counted_again() {
    let (device, graph) = (device(), MISTRAL.decode(HALF, 4, 128));
    let norms = |passes_within: bool| {
        let engine = engine(&[("passes_within", json!(passes_within))]);
        let step = Costing::new(&device, None, Options::default()).with_engine(&engine).graph(&graph).unwrap();
        of(&step, |part| *part == Part::Norm).iter().map(|norm| norm.total().get()).sum::<f64>()
    };
    assert!(norms(false) > 0.0 && norms(true) <= 0.0);
}

#[test]
fn a_matrix_is_asked_for_in_the_format_that_it_is_stored_in() {
    let stored = WeightFormat { element: DType::Q8_0, scales: None, activations: DType::F16, sparsity: None };
    let point = json!({ "shape": { "m": 16, "n": 4096, "k": 4096 }, "value": 1e12 });
    let engine = engine(&[("ceilings", json!([{ "resource": "gemm.q8_0.int32", "points": [point] }]))]);
    let mut device = device();
    let as_is = device.ceilings.iter().find(|ceiling| ceiling.resource.to_string() == "gemv.f16").unwrap();
    let read = rooflab::profile::Ceiling { resource: "gemv.q8_0.f16".parse().unwrap(), ..as_is.clone() };
    device.ceilings.push(read);
    let step = Costing::new(&device, None, Options::default())
        .with_engine(&engine)
        .graph(&MISTRAL.decode(stored, 16, 128))
        .unwrap();
    for product in of(&step, |part| matches!(part, Part::Matrix(_))) {
        assert!((product.time.get() / (product.flops.get() / 1e12) - 1.0).abs() < 1e-9, "{:?}", product.part);
    }
}
