//! How fast estimates are. The figures to reach: 100,000 steps a second on one core, lowered and costed; a sweep of 10,000 points within a second; from start to
//! answer within 50 ms.
//!
//! `cargo bench --bench estimate` shows the first two, the rates in items per second. The third is that of the program, alternated with one that only starts, so that
//! what the machine does meanwhile falls on both alike:
//!
//! ```sh
//! cargo build --release
//! for turn in $(seq 20); do for arguments in --version "estimate -m mistral-7b -f rtx-4090"; do
//!     begin=$(date +%s%N); target/release/rooflab $arguments > /dev/null; echo "$arguments: $((($(date +%s%N) - begin) / 1000)) µs"
//! done; done | sort -t: -k1,1 -k2n
//! ```

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up fails")]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use rooflab::dtype::DType;
use rooflab::estimate::cost::{Costing, Options};
use rooflab::estimate::{Estimator, Scenario, Subject, Sweep, combinations};
use rooflab::graph::{Graph, Lowering, Routing, Step};
use rooflab::model::{KvFormat, Model, Precision, WeightFormat, find_preset};
use rooflab::profile::{Profile, bundled_named};
use rooflab::units::Bytes;

/// A profile with whole curves, and one of the maker's figures alone.
const PROFILES: [&str; 2] = ["amd-epyc-zen4-2c-kvm.cpu", "nvidia-geforce-rtx-4090"];
/// A dense model, and the one with the most kinds of operators.
const MODELS: [&str; 2] = ["mistral-7b", "deepseek-v3"];
const BF16: WeightFormat = WeightFormat::plain(DType::Bf16);
const KV: KvFormat = KvFormat::plain(DType::Bf16);

fn main() {
    divan::main();
}

fn model(name: &str) -> Model {
    find_preset(name).unwrap().model().unwrap()
}

fn profile(name: &str) -> &'static Profile {
    bundled_named(name).and_then(|bundled| bundled.profile()).unwrap()
}

/// A step that is lowered and costed; which one, follows from how many there were before.
fn steps(bencher: Bencher<'_, '_>, name: &str, of: impl Fn(u64) -> Step) {
    for_each_step(bencher, &model("mistral-7b"), name, of);
}

fn for_each_step(bencher: Bencher<'_, '_>, model: &Model, name: &str, of: impl Fn(u64) -> Step) {
    let precision = Precision::uniform(model, BF16);
    let lowering = Lowering::new(model, &precision, KV, Routing::default());
    let costing = Costing::new(profile(name), None, Options::default());
    let mut graph = Graph::default();
    let mut before = 0_u64;
    bencher.counter(ItemsCount::new(1_u64)).bench_local(|| {
        before += 1;
        lowering.lower_into(black_box(&of(before)), &mut graph);
        costing.graph(&graph).unwrap()
    });
}

#[divan::bench(args = PROFILES, min_time = 1)]
fn one_step_again_and_again(bencher: Bencher<'_, '_>, profile: &str) {
    steps(bencher, profile, |_| Step::decode(16, 2048));
}

#[divan::bench(args = PROFILES, min_time = 1)]
fn steps_at_growing_contexts(bencher: Bencher<'_, '_>, profile: &str) {
    steps(bencher, profile, |before| Step::decode(16, 1 + before % 30_000));
}

#[divan::bench(args = PROFILES, min_time = 1)]
fn steps_of_every_batch(bencher: Bencher<'_, '_>, profile: &str) {
    steps(bencher, profile, |before| Step::decode(1 + before % 4096, 2048));
}

#[divan::bench(args = PROFILES, min_time = 1)]
fn prompts_of_every_length(bencher: Bencher<'_, '_>, profile: &str) {
    steps(bencher, profile, |before| Step::prefill(1, 1 + before % 30_000));
}

#[divan::bench(args = MODELS, min_time = 1)]
fn models(bencher: Bencher<'_, '_>, name: &str) {
    for_each_step(bencher, &model(name), PROFILES[0], |before| Step::decode(16, 1 + before % 30_000));
}

/// Every combination of 100 batches and 100 contexts, with what requests see: memory, a prompt and a whole decode each.
#[divan::bench(args = PROFILES, sample_count = 10, sample_size = 1)]
fn sweep_of_10_000_points(bencher: Bencher<'_, '_>, name: &str) {
    let (model, profile) = (model("mistral-7b"), profile(name));
    let precision = Precision::uniform(&model, BF16);
    let subject = Subject { model: &model, precision: &precision, kv: KV, routing: Routing::default() };
    let sweeps: Vec<Sweep> = ["batch=1-100", "prompt=100-10000+100"].iter().map(|text| text.parse().unwrap()).collect();
    let points = combinations(&sweeps).unwrap();
    assert_eq!(points.len(), 10_000);
    bencher.counter(ItemsCount::new(points.len())).with_inputs(|| points.clone()).bench_local_values(|points| {
        let costing = Costing::new(profile, None, Options::default());
        let estimator = Estimator { subject, costing: &costing, memory: Bytes(1e12) };
        estimator.sweep(&Scenario::default(), points).filter(|row| row.outcome.is_ok()).count()
    });
}
