//! What lies outside of a device's memory: bytes over the link, what waits for them, and what is said when there is no link.

use proptest::prelude::*;

use rooflab::dtype::DType;
use rooflab::estimate::cost::{Bound, Costing, Knowledge, Options};
use rooflab::estimate::link::Link;
use rooflab::estimate::offload::{Offload, OffloadError, Offloaded, Share};
use rooflab::estimate::{Estimate, EstimateError, Estimator, Scenario, Served, Subject};
use rooflab::facts::DeviceKind;
use rooflab::graph::{Graph, Kind, Lowering, Operator, Part, Routing, Step};
use rooflab::model::{KvFormat, Precision, Role};
use rooflab::profile::Profile;
use rooflab::units::{Bytes, BytesPerSecond, Seconds};

use super::device::{LAWS, curve, profile};
use super::lower::{HALF, QWEN, operator, uniform};

const KV: KvFormat = KvFormat::plain(DType::F16);
const LATENCY: f64 = 10e-6;
const SLOW: f64 = 25e9;

/// A device whose maker's figures are all that is known, with a link to outside.
fn estimate(kind: DeviceKind, link: Option<f64>, offload: Offload) -> Result<Estimate, EstimateError> {
    let (model, device) = (QWEN.model(), Profile { device: profile(kind, vec![], vec![]).device, ..LAWS.claimed() });
    let precision: Precision = uniform(HALF, &model);
    let subject = Subject { model: &model, precision: &precision, kv: KV, routing: Routing::default() };
    let host_link = link.map(|bandwidth| Link::new(Seconds(LATENCY), BytesPerSecond(bandwidth)).unwrap());
    let costing = Costing::new(&device, None, Options { host_link, ..Options::default() });
    let estimator = Estimator { subject, costing: &costing, memory: Bytes(40e9) };
    estimator.estimate(&Scenario { offload, ..Scenario::default() })
}

fn over(bandwidth: f64, offload: Offload) -> Estimate {
    estimate(DeviceKind::Gpu, Some(bandwidth), offload).unwrap()
}

fn weights(share: f64) -> Offload {
    Offload { weights: share, ..Offload::default() }
}

/// Bytes of weights and of cache that the decode step reads.
fn read() -> (f64, f64) {
    let model = QWEN.model();
    let scenario = Scenario::default();
    let lowering = Lowering::new(&model, &uniform(HALF, &model), KV, Routing::default());
    let graph = lowering.lower(&Step::decode(1, scenario.decode_context()));
    let cache = graph.total(|operator| if operator.part == Part::Attention { operator.kv } else { Bytes(0.0) });
    (graph.total(|operator| operator.weights).get(), cache.get())
}

fn tpot(estimate: &Estimate) -> f64 {
    let Served::Steady(metrics) = estimate.served else { panic!("{:?}", estimate.served) };
    metrics.tpot.unwrap().get()
}

#[test]
fn nothing_outside_is_the_same_as_without() {
    let without = estimate(DeviceKind::Gpu, None, Offload::default()).unwrap();
    assert_eq!(over(SLOW, weights(0.0)), without);
    assert_eq!(over(SLOW, Offload { serial: true, ..Offload::default() }), without);
    assert!(without.memory.outside.is_empty() && without.decode.fetched.is_none());
}

#[test]
fn all_weights_over_a_slow_link_take_their_bytes() {
    let (bytes, _) = read();
    let without = over(SLOW, Offload::default());
    let found = over(SLOW, weights(1.0));
    let right = LATENCY + bytes / SLOW;
    assert!((found.decode.time.get() / right - 1.0).abs() < 1e-12, "{:?}", found.decode.time);
    assert_eq!(found.decode.fetched.map(|fetched| fetched.bytes), Some(Bytes(bytes)));
    assert!((tpot(&found) / right - 1.0).abs() < 1e-9);
    assert_eq!(found.decode.operators[0].part, Part::Transfer);
    let (most, known) = (found.decode.by_bound[0], found.decode.by_knowledge[0]);
    assert_eq!((most.of, known.of), (Bound::Host, Knowledge::Given));
    assert!(found.decode.assumptions[0].why.contains("the link that offloaded bytes come over"));
    // In turns, they take the time of both.
    let serial = over(SLOW, Offload { serial: true, ..weights(1.0) }).decode.time.get();
    assert!((serial / (right + without.decode.time.get()) - 1.0).abs() < 1e-12);
    // And leave the memory to the cache.
    let line = |estimate: &Estimate| estimate.memory.lines[0].bytes.get();
    assert_eq!((line(&found), found.memory.outside[0].bytes.get()), (0.0, line(&without)));
    assert!(found.memory.largest_batch > without.memory.largest_batch);
}

#[test]
fn a_cache_outside_is_fetched_and_what_is_added_sent_out() {
    let (_, cache) = read();
    let found = over(1e6, Offload { kv: 0.5, ..Offload::default() });
    let right = LATENCY + 0.5 * cache / 1e6;
    assert!((found.decode.time.get() / right - 1.0).abs() < 1e-12, "{:?}", found.decode.time);
    // The prompt's keys and values are made on the device: they go out, and nothing comes back.
    let prompt = Scenario::default().request.prompt as f64;
    let sent = found.prefill.fetched.unwrap().bytes.get();
    assert_eq!(sent, 0.5 * prompt * QWEN.model().kv_bytes_per_token(KV).get());
}

#[test]
fn a_fast_link_hides_behind_computing() {
    let without = over(SLOW, Offload::default());
    let hidden = over(1e15, weights(0.5));
    assert!(hidden.decode.time <= without.decode.time * 1.001);
    assert!(hidden.prefill.fetched.unwrap().exposed.get() == 0.0);
}

#[test]
fn without_a_link_the_error_says_why() {
    let error = |kind, offload| estimate(kind, None, offload).unwrap_err().to_string();
    let missing = error(DeviceKind::Gpu, weights(0.5));
    assert!(missing.contains("`link.host.h2d`") && missing.contains("`--host-link`"), "{missing}");
    let same = error(DeviceKind::Cpu, weights(0.5));
    assert!(same.contains("a processor, whose memory is the host's own"), "{same}");
    for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let wrong = error(DeviceKind::Gpu, weights(share));
        assert!(wrong.contains("a share of `weights`"), "{wrong}");
    }
}

#[test]
fn a_measured_link_is_asked_at_the_bytes_of_the_step() {
    let graph = |bytes: f64| {
        let kind = Kind::Product { m: 1, n: 1, k: 1, weights: HALF };
        Graph {
            operators: vec![Operator { weights: Bytes(bytes), ..operator(Part::Matrix(Role::Up), kind, 0) }],
            layers: 1,
        }
    };
    let link = curve([(1e6, 5e9), (1e8, 20e9)]);
    let device = profile(DeviceKind::Gpu, vec![("link.host.h2d", link)], Vec::new());
    let costing = Costing::new(&device, None, Options::default());
    for (bytes, rate, knowledge) in [
        (1e6, 5e9, Knowledge::Measured),
        (1e7, 10e9, Knowledge::Interpolated),
        (1e8, 20e9, Knowledge::Measured),
        // Beyond the largest transfer, several of them.
        (1e10, 20e9, Knowledge::Measured),
    ] {
        let need = costing.host(weights(0.5).transferred(&graph(2.0 * bytes))).unwrap();
        assert!((need.time.get() * rate / bytes - 1.0).abs() < 1e-9, "{bytes}: {need:?}");
        assert_eq!((need.of, need.knowledge), (Bound::Host, knowledge));
    }
}

#[test]
fn shares_are_read() {
    let share: Share = " kv = 0.25".parse().unwrap();
    assert_eq!(share, Share { of: Offloaded::Kv, share: 0.25 });
    let both = [share, "weights=1".parse().unwrap()];
    assert_eq!(Offload::of(&both, true), Ok(Offload { weights: 1.0, kv: 0.25, serial: true }));
    assert_eq!(Offload::of(&[share, share], false), Err(OffloadError::Twice("kv")));
    for text in ["", "kv", "kv=", "kv=x", "layers=0.5", "kv=-1", "kv=NaN", "weights=1e9"] {
        assert!(text.parse::<Share>().is_err(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn more_outside_never_takes_less_time_nor_more_memory(
        a in 0.0..=1.0_f64, b in 0.0..=1.0_f64, of_cache: bool, serial: bool, bandwidth in 1e6..1e12_f64,
    ) {
        let of = |share| {
            let (weights, kv) = if of_cache { (0.3, share) } else { (share, 0.3) };
            over(bandwidth, Offload { weights, kv, serial })
        };
        let (less, more) = (of(a.min(b)), of(a.max(b)));
        prop_assert!(less.decode.time <= more.decode.time && less.prefill.time <= more.prefill.time);
        prop_assert!(tpot(&less) <= tpot(&more) * (1.0 + 1e-12));
        let here = |estimate: &Estimate| estimate.memory.lines.iter().map(|line| line.bytes.get()).sum::<f64>();
        prop_assert!(here(&less) >= here(&more));
        for account in [&less.decode, &more.prefill] {
            let shares: f64 = account.by_bound.iter().map(|share| share.share).sum();
            prop_assert!((shares - 1.0).abs() < 1e-9);
        }
    }
}
