//! Load that is shared by replicas, by devices that share experts, and by the stages of a pipeline.

use proptest::prelude::*;

use rooflab::dtype::DType;
use rooflab::estimate::cost::{Costing, Options};
use rooflab::estimate::link::Link;
use rooflab::estimate::memory::Remedy;
use rooflab::estimate::serving::{Metrics, Request};
use rooflab::estimate::{Estimate, Estimator, Limit, Load, Scenario, Served, Subject};
use rooflab::graph::{Layout, Routing};
use rooflab::model::{KvFormat, Precision, WeightFormat, find_preset};
use rooflab::profile::bundled_named;
use rooflab::units::{Bytes, BytesPerSecond, Seconds};

const KV: KvFormat = KvFormat::plain(DType::Bf16);
/// A link over which nothing takes any time.
const FREE: (f64, f64) = (0.0, f64::MAX);

/// A model that ships with rooflab on an H100, over a link with this latency and bandwidth.
fn estimate_over(link: (f64, f64), model: &str, scenario: &Scenario) -> Estimate {
    let model = find_preset(model).unwrap().model().unwrap();
    let precision = Precision::uniform(&model, WeightFormat::plain(DType::Bf16));
    let profile = bundled_named("nvidia-h100-sxm").and_then(|bundled| bundled.profile()).unwrap();
    let link = Link::new(Seconds(link.0), BytesPerSecond(link.1)).unwrap();
    let costing = Costing::new(profile, None, Options { link: Some(link), ..Options::default() });
    let subject = Subject { model: &model, precision: &precision, kv: KV, routing: Routing::default() };
    let memory = Bytes(profile.device.memory as f64);
    Estimator { subject, costing: &costing, memory }.estimate(scenario).unwrap()
}

fn metrics(estimate: &Estimate) -> Metrics {
    let Served::Steady(metrics) = estimate.served else { panic!("{:?}", estimate.served) };
    metrics
}

fn served(model: &str, layout: Layout, load: Load, request: Request, chunk: Option<u64>) -> Metrics {
    metrics(&estimate_over(FREE, model, &Scenario { layout, load, request, chunk, ..Scenario::default() }))
}

/// What they see, where they are answered.
fn answered(layout: Layout, load: Load, request: Request, chunk: Option<u64>) -> Option<Metrics> {
    let scenario = Scenario { layout, load, request, chunk, ..Scenario::default() };
    estimate_over(FREE, "llama-3.1-8b", &scenario).served.metrics().copied()
}

fn times(load: Load, factor: u64) -> Load {
    match load {
        Load::Batch(batch) => Load::Batch(batch * factor),
        Load::Closed(concurrency) => Load::Closed(concurrency * factor),
        Load::Open(rate) => Load::Open(rate * factor as f64),
    }
}

fn is_close(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-6
}

fn requests() -> impl Strategy<Value = Request> {
    (16..6000_u64, 2..600_u64).prop_map(|(prompt, output)| Request { prompt, output })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn replicas_with_as_many_times_the_load_are_each_as_one(
        replicas in 2..9_u64, requests in 1..100_u64, rate in 0.01..3.0_f64, request in requests(),
        chunk in prop::option::of(200..9000_u64), how in 0..3_usize,
    ) {
        let load = [Load::Batch(requests), Load::Closed(requests), Load::Open(rate)][how];
        let at = |data, load| answered(Layout { data, ..Layout::default() }, load, request, chunk);
        let (one, all) = (at(1, load), at(replicas, times(load, replicas)));
        prop_assert_eq!(one.is_some(), all.is_some());
        let (Some(one), Some(all)) = (one, all) else { return Ok(()) };
        prop_assert!(is_close(one.ttft.mean.get(), all.ttft.mean.get()), "{one:?} {all:?}");
        prop_assert!(is_close(one.latency.p99.get(), all.latency.p99.get()));
        prop_assert!(is_close(one.tpot.unwrap().get(), all.tpot.unwrap().get()));
        prop_assert!(is_close(one.throughput_per_device, all.throughput_per_device));
        prop_assert!(is_close(one.running * replicas as f64, all.running));
        prop_assert!(is_close(one.concurrency * replicas as f64, all.concurrency));
    }

    #[test]
    fn every_request_is_at_some_device(
        sizes in (1..4_u64, 0..3_u32, 0..3_u32), concurrency in 1..100_u64, request in requests(),
    ) {
        let (data, expert, pipeline) = (sizes.0, 1 << sizes.1, 1 << sizes.2);
        let layout = Layout { data, expert, pipeline, tensor: 2 };
        let found = served("qwen3-30b-a3b", layout, Load::Closed(concurrency), request, None);
        prop_assert!(is_close(found.concurrency, concurrency as f64));
        prop_assert!(found.running <= concurrency as f64 * (1.0 + 1e-9));
        // Whoever shares a load with more has no more of it to do.
        let alone = Layout { data: 1, ..layout };
        let alone = served("qwen3-30b-a3b", alone, Load::Closed(concurrency), request, None);
        prop_assert!(found.tpot.unwrap() <= alone.tpot.unwrap() * (1.0 + 1e-9), "{found:?} {alone:?}");
        prop_assert!(found.throughput >= alone.throughput * (1.0 - 1e-9));
    }

    #[test]
    fn more_stages_never_lower_throughput_over_a_free_link(
        concurrency in 1..200_u64, request in requests(), chunk in prop::option::of(256..9000_u64), closed: bool,
    ) {
        let load = if closed { Load::Closed(concurrency) } else { Load::Batch(concurrency) };
        let at = |pipeline| answered(Layout { pipeline, ..Layout::default() }, load, request, chunk);
        let mut before = 0.0;
        for stages in [1, 2, 4, 8] {
            // What is too much for one may still be for two.
            let throughput = at(stages).map_or(0.0, |metrics| metrics.throughput);
            prop_assert!(throughput >= before * 0.98, "{stages}: {throughput} after {before}");
            before = throughput;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_batch_fits_if_it_is_no_larger_than_the_largest_whatever_was_asked_for(
        asked in 1..3000_u64, sizes in (1..4_u64, 0..2_u32, 0..3_u32), request in requests(), chunk in prop::option::of(64..9000_u64),
    ) {
        let (data, expert, pipeline) = (sizes.0, 1 << sizes.1, 1 << sizes.2);
        let layout = Layout { data, expert, pipeline, tensor: 1 };
        let at = |batch| {
            let load = Load::Batch(batch);
            estimate_over(FREE, "qwen3-30b-a3b", &Scenario { layout, load, request, chunk, ..Scenario::default() })
        };
        let found = at(asked);
        let largest = found.memory.largest_batch.unwrap();
        prop_assert_eq!(at(1).memory.largest_batch, Some(largest));
        prop_assert_eq!(found.memory.over.is_none(), asked <= largest);
        prop_assert!(largest == 0 || at(largest).memory.over.is_none());
        prop_assert!(at(largest + 1).memory.over.is_some());
        if asked > largest && largest > 0 {
            prop_assert_eq!(found.memory.remedies[0], Remedy::Batch(largest));
        }
        if let Served::TooMany { admitted, limit } = found.served {
            prop_assert!(admitted < asked);
            prop_assert_eq!(limit == Limit::Memory, admitted == largest);
        }
    }

    #[test]
    fn requests_that_wait_take_neither_memory_nor_throughput(
        beyond in 1..100_000_u64, more in 1..500_000_u64, data in 1..4_u64, request in requests(),
    ) {
        let layout = Layout { data, ..Layout::default() };
        let at = |concurrency| {
            let load = Load::Closed(concurrency);
            estimate_over(FREE, "llama-3.1-8b", &Scenario { layout, load, request, ..Scenario::default() })
        };
        let admitted = at(1).memory.largest_batch.unwrap();
        let (full, less, most) = (at(admitted), at(admitted + beyond), at(admitted + beyond + more));
        prop_assert_eq!(&full.memory, &most.memory);
        prop_assert!(metrics(&less).throughput >= metrics(&full).throughput * (1.0 - 1e-9));
        prop_assert!(metrics(&most).throughput >= metrics(&less).throughput * (1.0 - 1e-9));
        prop_assert_eq!(most.decode.sequences, admitted);
    }

    #[test]
    fn the_account_of_an_open_loop_is_of_those_that_run(rate in 0.1..25.0_f64, data in 1..4_u64) {
        let (layout, load) = (Layout { data, ..Layout::default() }, Load::Open(rate));
        let found = estimate_over(FREE, "llama-3.1-8b", &Scenario { layout, load, ..Scenario::default() });
        let running = (metrics(&found).running.ceil() as u64).max(1);
        prop_assert_eq!((found.decode.sequences, found.prefill.sequences), (running, 1));
        let alone = Scenario { load: Load::Batch(1), ..Scenario::default() };
        let cache = |estimate: &Estimate| estimate.memory.lines.iter().find(|line| line.what == "cache").unwrap().bytes;
        let each = cache(&estimate_over(FREE, "llama-3.1-8b", &alone));
        prop_assert!(is_close(cache(&found).get(), each.get() * running.div_ceil(data) as f64));
    }
}

#[test]
fn what_drivers_keep_is_taken_from_the_cache() {
    let at =
        |reserve| estimate_over(FREE, "llama-3.1-8b", &Scenario { reserve: Bytes(reserve), ..Scenario::default() });
    let (none, some) = (at(0.0).memory, at(1.5e9).memory);
    assert!((none.cache_budget - some.cache_budget - Bytes(1.5e9)).get().abs() < 1.0);
    assert!(some.largest_batch < none.largest_batch);
}

#[test]
fn a_chunk_is_proposed_where_it_makes_a_batch_fit() {
    let request = Request { prompt: 8192, output: 8 };
    let at = |batch, chunk| {
        let scenario = Scenario { load: Load::Batch(batch), request, chunk, ..Scenario::default() };
        estimate_over(FREE, "llama-3.1-8b", &scenario).memory
    };
    let found = at(45, None);
    let Some(Remedy::Chunk(tokens)) = found.remedies.last().copied() else { panic!("{found:?}") };
    assert!(found.over.is_some() && tokens.is_power_of_two());
    assert!(at(45, Some(tokens)).over.is_none() && at(45, Some(2 * tokens)).over.is_some());
    // Not where the cache alone is too large.
    assert!(!at(60, None).remedies.iter().any(|remedy| matches!(remedy, Remedy::Chunk(_))));
}

#[test]
fn no_context_is_longer_than_the_model_was_made_for() {
    let found = estimate_over(FREE, "qwen3-30b-a3b", &Scenario::default());
    assert_eq!(found.memory.longest_context, Some(40_960));
}

#[test]
fn prompts_of_other_replicas_delay_nobody() {
    let request = Request { prompt: 1024, output: 256 };
    let at = |data, concurrency| {
        served("llama-3.1-8b", Layout { data, ..Layout::default() }, Load::Closed(concurrency), request, None)
    };
    let (one, four) = (at(1, 16), at(4, 64));
    assert!(is_close(one.tpot.unwrap().get(), four.tpot.unwrap().get()));
    assert!(is_close(one.throughput_per_device, four.throughput_per_device));
    // One has 17 and decides the latencies; the throughput is that of all.
    let (more, uneven) = (at(1, 17), at(4, 65));
    assert!(is_close(more.tpot.unwrap().get(), uneven.tpot.unwrap().get()));
    assert!(is_close(uneven.throughput, more.throughput + 3.0 * one.throughput));
}

#[test]
fn devices_that_share_experts_take_prompts_together() {
    let layout = Layout { expert: 8, ..Layout::default() };
    let request = Request { prompt: 1024, output: 256 };
    let at = |load| served("qwen3-30b-a3b", layout, load, request, None);
    let (batch, closed) = (at(Load::Batch(64)), at(Load::Closed(64)));
    // Both decode the same sequences and go through the same prompts.
    assert!((closed.throughput / batch.throughput - 1.0).abs() < 0.02, "{closed:?} {batch:?}");
    // A few requests are at a few devices, and wait for nobody.
    let alone = at(Load::Batch(1));
    for few in [at(Load::Closed(1)), at(Load::Open(1e-4))] {
        assert!((few.tpot.unwrap() / alone.tpot.unwrap() - 1.0).abs() < 1e-3, "{few:?} {alone:?}");
        assert!((few.ttft.mean / alone.ttft.mean - 1.0).abs() < 1e-3);
    }
}

#[test]
fn prompts_follow_one_another_through_stages() {
    let request = Request { prompt: 8192, output: 64 };
    for chunk in [None, Some(2048)] {
        let at = |pipeline| {
            served("llama-3.1-8b", Layout { pipeline, ..Layout::default() }, Load::Closed(64), request, chunk)
        };
        let (one, four) = (at(1), at(4));
        // Each stage has a fourth of the layers, and the last the head besides.
        let gain = four.requests / one.requests;
        assert!((2.5..4.05).contains(&gain), "{chunk:?}: {gain}");
        // A prompt by itself still goes through all of them.
        let alone = |pipeline| {
            let layout = Layout { pipeline, ..Layout::default() };
            served("llama-3.1-8b", layout, Load::Batch(1), request, chunk).ttft.mean
        };
        assert!((alone(4) / alone(1) - 1.0).abs() < 0.01);
    }
}
