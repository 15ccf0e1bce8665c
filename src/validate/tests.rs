//! A device that keeps to a formula, and a profile that knows it: predictions are right to the bit, and what is slower is found.

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::judge::accuracy_of;
use super::*;
use crate::backend::{
    Backend, BackendError, CycleLimit, Device, InPlace, Kernel, Sample, Sequence, Stopwatch, Turn, mock::MockBackend,
};
use crate::dtype::DType;
use crate::estimate::cost::{Costing, Options};
use crate::estimate::{Hardware, ModelFacts};
use crate::facts::{ClockReading, Conditions, DeviceKind, Identity, Observed, Timer, TimerSource};
use crate::graph::Part;
use crate::model::{Attention, Block, Dense, FeedForward, KvFormat, Mixer, Model, Norm, Precision, Role, WeightFormat};
use crate::profile::{Builder, Ceiling, Effort, Outcome as Measurable, Point, Profile, Source};
use crate::resource::{Key, Phase as AttentionPhase, Resource, Scope};
use crate::units::Seconds;
use crate::workload::{Kind, Workload};

/// Powers of two, so that no time is rounded.
const BANDWIDTH: f64 = (1_u64 << 34) as f64;
const PEAK: f64 = (1_u64 << 42) as f64;
/// Pure loads are faster than any kernel.
const LOADS_ALONE: f64 = 2.0 * BANDWIDTH;
const LAUNCH: f64 = 1.0 / (1 << 20) as f64;
/// What a kernel takes at least within a graph: more than the passes over few tokens, less than a product.
const GRAPH_LAUNCH: f64 = 1.0 / (1 << 14) as f64;

/// Seconds of an iteration by the formula: weights and caches at the bandwidth, operations at the peak.
fn formula(workload: &Workload) -> f64 {
    let work = workload.work();
    match workload.kind {
        Kind::Gemv { weights, activations, columns, parts, .. } => {
            let vector = (columns as f64 * activations.bytes_per_element()) as u64 / parts;
            assert_eq!(weights, DType::Bf16);
            (work.bytes_read - vector) as f64 / BANDWIDTH
        }
        Kind::Gemm { shape, .. } => {
            let weights = 2.0 * (shape.n * shape.k) as f64;
            (work.ops as f64 / PEAK).max(weights / LOADS_ALONE)
        }
        Kind::Attention { phase: AttentionPhase::Prefill, .. } => work.ops as f64 / PEAK,
        Kind::Attention { .. } => work.bytes_read as f64 / BANDWIDTH,
        _ => (work.bytes_read + work.bytes_written) as f64 / BANDWIDTH,
    }
}

/// What the device is slower at, and by how much.
type Slower = Option<(fn(&Workload) -> bool, f64)>;

struct Exact {
    identity: Identity,
    slower: Slower,
    lacks: Option<fn(&Workload) -> bool>,
    /// Bytes of the largest array it takes.
    largest_array: Option<u64>,
    /// What it computes wrongly.
    wrong: Option<fn(&Workload) -> bool>,
    /// Whether it runs several kernels as one step.
    runs_steps: bool,
    takes_caches_in_turn: bool,
    /// What comes of a step as a graph, where it has graphs.
    graphs: Option<Result<(), BackendError>>,
    /// How far samples lie from the formula at most, as a share.
    scatter: f64,
    /// How much slower whatever is prepared for the first time is, as where a neighbour was busy then.
    at_first: f64,
    prepared: Vec<String>,
    time: Rc<Cell<f64>>,
}

impl Exact {
    fn new(slower: Slower) -> Self {
        let identity = MockBackend.devices(&InPlace).unwrap().swap_remove(0);
        let identity = Identity { cores: 1, memory: 1 << 40, kind: DeviceKind::Cpu, ..identity };
        Self {
            identity,
            slower,
            lacks: None,
            largest_array: None,
            wrong: None,
            runs_steps: true,
            takes_caches_in_turn: true,
            graphs: None,
            scatter: 0.0,
            at_first: 1.0,
            prepared: Vec::new(),
            time: Rc::default(),
        }
    }

    /// How much slower than the formula something is that is prepared now.
    fn mood(&mut self, what: &impl std::fmt::Debug) -> f64 {
        let what = format!("{what:?}");
        if self.prepared.contains(&what) {
            return 1.0;
        }
        self.prepared.push(what);
        self.at_first
    }

    fn seconds(&self, workload: &Workload) -> f64 {
        let factor = self.slower.filter(|(of, _)| of(workload)).map_or(1.0, |(_, factor)| factor);
        formula(workload) * factor
    }

    fn kernel(&self, seconds: f64, is_right: bool) -> Box<dyn Kernel> {
        let (names, scatter) = (vec!["formula".to_owned()], self.scatter);
        Box::new(Formula { names, seconds, graph: None, is_right, scatter, runs: 0, time: Rc::clone(&self.time) })
    }
}

struct Formula {
    names: Vec<String>,
    seconds: f64,
    /// Seconds of the second implementation, or what comes of it.
    graph: Option<Result<f64, BackendError>>,
    is_right: bool,
    scatter: f64,
    runs: u32,
    time: Rc<Cell<f64>>,
}

impl Kernel for Formula {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn is_graph(&self, variant: usize) -> bool {
        variant == 1
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        if let (1, Some(Err(error))) = (variant, &self.graph) {
            return Err(error.clone());
        }
        if self.is_right { Ok(()) } else { Err(BackendError::WrongResult("1 instead of 2".to_owned())) }
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        let seconds = match (variant, &self.graph) {
            (1, Some(Ok(seconds))) => *seconds,
            _ => self.seconds,
        };
        self.runs += 1;
        // Evenly over the range, whatever the number of samples.
        let place = (f64::from(self.runs) * 0.618).fract() * 2.0 - 1.0;
        let elapsed = Seconds(seconds * iterations as f64 * (1.0 + self.scatter * place));
        self.time.set(self.time.get() + elapsed.get());
        Ok(Sample { elapsed, clock: None, disturbance: None, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}

impl Device for Exact {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn conditions(&mut self) -> Conditions {
        Conditions::default()
    }

    fn observed(&self) -> Observed {
        Observed::default()
    }

    fn timer(&mut self) -> Timer {
        Timer { source: TimerSource::Virtual, resolution: Seconds(1e-9), cost: Seconds(0.0) }
    }

    fn clock(&mut self) -> Option<ClockReading> {
        None
    }

    fn stopwatch(&self) -> Stopwatch {
        let time = Rc::clone(&self.time);
        Box::new(move || Seconds(time.get()))
    }

    fn lanes(&self, _: Scope) -> u32 {
        1
    }

    fn largest_array(&self) -> Option<u64> {
        self.largest_array
    }

    fn takes_caches_in_turn(&self) -> bool {
        self.takes_caches_in_turn
    }

    fn prepare<'device>(&'device mut self, workload: &Workload) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        if self.lacks.is_some_and(|lacks| lacks(workload)) {
            return Err(BackendError::unsupported("this device cannot do that"));
        }
        let is_right = self.wrong.is_none_or(|wrong| !wrong(workload));
        let mood = self.mood(workload);
        Ok(self.kernel(self.seconds(workload) * mood, is_right))
    }

    fn prepare_sequence<'device>(
        &'device mut self,
        sequence: &Sequence,
    ) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        if !self.runs_steps {
            return Err(BackendError::unsupported("one kernel at a time"));
        }
        let Sequence { stages, turns } = sequence.checked()?;
        let of_turn = |turn: &Turn| self.seconds(&stages[turn.stage].workload) * turn.iterations as f64;
        let (names, scatter) = (vec!["in turn".to_owned(), "as a graph".to_owned()], self.scatter);
        let names = names[..if self.graphs.is_some() { 2 } else { 1 }].to_vec();
        let in_graph = turns.iter().map(|turn| of_turn(turn).max(GRAPH_LAUNCH)).sum();
        let is_gpu_like = self.identity.kind.is_gpu_like();
        // A GPU is told of the next kernel while it is at one.
        let (device, launches) = (turns.iter().map(of_turn).sum::<f64>(), LAUNCH * turns.len() as f64);
        let seconds = if is_gpu_like { device.max(launches) } else { device + launches };
        let seconds = seconds * self.mood(sequence);
        let graph = self.graphs.clone().map(|result| result.map(|()| in_graph));
        Ok(Box::new(Formula { names, seconds, graph, is_right: true, scatter, runs: 0, time: Rc::clone(&self.time) }))
    }
}

/// The profile of a device that keeps to the formula.
fn profile() -> Profile {
    let identity = Exact::new(None).identity;
    let source = Source { version: "0".to_owned(), commit: None, target: None };
    let instrument = crate::profile::Instrument {
        timer: Exact::new(None).timer(),
        empty_launch: None,
        clock: None,
        effort: Effort::Quick,
        goal: 0.01,
        elapsed: Seconds(0.0),
        libraries: Vec::new(),
    };
    let created = jiff::Timestamp::UNIX_EPOCH;
    let mut builder = Builder::new("exact".to_owned(), created, source, identity, Conditions::default(), instrument);
    let mut put = |resource: &str, at: Option<f64>, value: f64| {
        let resource: Resource = resource.parse().unwrap();
        let shape = resource.to_string().starts_with("gemm").then(|| crate::workload::Shape::square(4096));
        let point = Point { shape, ..Point::exact(at, value) };
        let outcome = Measurable::Ok { points: vec![point], limit: None, plateau: None, fit: None };
        builder.put(Ceiling::new(Key { resource, scope: Scope::Device }, outcome));
    };
    for resource in ["gemv.bf16", "rowwise.rmsnorm.bf16", "rowwise.add.bf16", "rowwise.silu_mul.bf16"] {
        put(resource, Some(1.0), BANDWIDTH);
    }
    for resource in ["rowwise.rope.bf16", "rowwise.softmax.f32", "attention.decode.bf16"] {
        put(resource, Some(1.0), BANDWIDTH);
    }
    put("memory.read", Some(1.0), LOADS_ALONE);
    put("rowwise.gather.bf16", Some(1.0), BANDWIDTH);
    put("gemm.bf16.f32", None, PEAK);
    put("attention.prefill.bf16", Some(1.0), PEAK);
    put("overhead.launch", None, LAUNCH);
    put("overhead.graph_launch", None, GRAPH_LAUNCH);
    builder.profile().clone()
}

fn model(layers: usize, head_dim: u64) -> Model {
    let attention = Attention { heads: 32, kv_heads: 8, head_dim, rope: true, ..Attention::default() };
    let ffn = FeedForward::Dense(Dense { intermediate: 8192, gated: true, bias: false });
    let block = Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Plain, norms: 2 };
    Model { final_norm: Some(Norm::Plain), ..Model::new("exact", 4096, 8192, vec![(layers, block)]) }
}

const LOADS: [Load; 3] = [
    Load { phase: Phase::Prefill, sequences: 1, tokens: 256 },
    Load { phase: Phase::Decode, sequences: 1, tokens: 1024 },
    Load { phase: Phase::Decode, sequences: 4, tokens: 512 },
];

fn validate(device: &mut Exact, model: &Model, loads: &[Load], memory: Option<u64>) -> Result<Document, PlanError> {
    validate_until(device, model, loads, memory, &|| false)
}

fn validate_until(
    device: &mut Exact,
    model: &Model,
    loads: &[Load],
    memory: Option<u64>,
    interrupted: &dyn Fn() -> bool,
) -> Result<Document, PlanError> {
    validate_against(&profile(), device, model, loads, memory, interrupted)
}

fn validate_against(
    profile: &Profile,
    device: &mut Exact,
    model: &Model,
    loads: &[Load],
    memory: Option<u64>,
    interrupted: &dyn Fn() -> bool,
) -> Result<Document, PlanError> {
    struct Nobody;
    impl Observer for Nobody {
        fn measuring(&mut self, done: usize, of: usize, _: &str) {
            assert!(done < of);
        }
    }
    let costing = Costing::new(profile, None, Options::default());
    let precision = Precision::uniform(model, WeightFormat::plain(DType::Bf16));
    let (kv, effort) = (KvFormat::plain(DType::Bf16), Effort::Quick);
    let request = Request { model, precision: &precision, kv, loads, effort, layers: None, memory };
    let plan = plan(device, &costing, &request)?;
    let results = run(device, &plan, &mut Nobody, interrupted);
    let header = Header {
        rooflab: profile.header.rooflab.clone(),
        created: jiff::Timestamp::UNIX_EPOCH,
        model: ModelFacts::new(model, "bf16", "bf16"),
        device: "exact:0".to_owned(),
        hardware: Hardware::new(profile, 1),
        effort,
        threshold: FAR_OFF,
    };
    Ok(document(header, &plan, &results, &costing))
}

fn compared(document: &Document) -> impl Iterator<Item = (&OperatorRow, Class, &Compared)> {
    document.steps.iter().flat_map(|step| &step.operators).filter_map(|row| match &row.outcome {
        OperatorOutcome::Compared { class, compared, .. } => Some((row, *class, compared)),
        OperatorOutcome::Absent(_) | OperatorOutcome::Failed(_) => None,
    })
}

#[test]
fn a_device_that_keeps_to_its_profile_is_predicted_to_the_bit() {
    let document = validate(&mut Exact::new(None), &model(2, 128), &LOADS, None).unwrap();
    assert!(compared(&document).count() > 25);
    for (row, _, compared) in compared(&document) {
        assert_eq!(compared.predicted, compared.measured, "{row:?}");
    }
    for step in &document.steps {
        let StepOutcome::Compared(whole) = &step.whole else { panic!("{:?}", step.whole) };
        assert_eq!(whole.compared.predicted, whole.compared.measured, "{:?}", step.load);
        // What is left is starting the operators.
        assert!(whole.sum_of_operators < whole.compared.measured);
        assert_eq!((step.layers, step.of_layers), (2, 2));
        let absent: Vec<Part> = step.operators.iter().filter(|row| reason(row).is_some()).map(|row| row.part).collect();
        // Tables are not validated, and a single token's rotation is no whole number of rows.
        let one = step.load.phase == Phase::Decode && step.load.sequences == 1;
        let expected: &[Part] =
            if one { &[Part::Embedding, Part::Rope, Part::CacheWrite] } else { &[Part::Embedding, Part::CacheWrite] };
        assert_eq!(absent, expected);
        assert!(step.covered > 0.9 && step.covered < 1.0, "{}", step.covered);
    }
    assert_eq!(document.whole.unwrap(), Accuracy { count: 3, mape: 0.0, bias: 0.0, worst: 0.0 });
    assert_eq!((document.findings.len(), document.verdict), (0, Some(Verdict::Holds)));
    let classes: Vec<Class> = document.classes.iter().map(|class| class.class).collect();
    assert_eq!(classes, Class::ALL);
}

#[test]
fn what_held_a_device_back_on_one_of_two_visits_does_not_count() {
    let mut device = Exact { at_first: 1.5, ..Exact::new(None) };
    let document = validate(&mut device, &model(2, 128), &LOADS, None).unwrap();
    assert_eq!((document.operators.unwrap().worst, document.whole.unwrap().worst), (0.0, 0.0));
    assert_eq!(document.verdict, Some(Verdict::Holds));
}

/// Both ways of starting a step are predicted, each as what it is.
#[test]
fn a_graph_is_predicted_by_what_launches_cost_within_one() {
    let mut device = Exact { graphs: Some(Ok(())), ..Exact::new(None) };
    device.identity.kind = DeviceKind::Gpu;
    let profile = Profile { device: device.identity.clone(), ..profile() };
    let document = validate_against(&profile, &mut device, &model(2, 128), &LOADS, None, &|| false).unwrap();
    for step in &document.steps {
        let (StepOutcome::Compared(whole), Some(StepOutcome::Compared(graph))) = (&step.whole, &step.as_graph) else {
            panic!("{step:?}")
        };
        for compared in [&whole.compared, &graph.compared] {
            assert!(compared.error.abs() < 1e-12, "{compared:?}");
        }
        // Every step has a kernel that is shorter than a launch within a graph: that of the choice of a token.
        assert!(graph.compared.measured > whole.compared.measured, "{:?}", step.load);
    }
    assert_eq!((document.whole.unwrap().count, document.verdict), (6, Some(Verdict::Holds)));
    // Where a graph takes longer than its kernels do, that is found of steps.
    let slow = Exact { graphs: Some(Ok(())), ..Exact::new(Some((|_| true, 1.25))) };
    let document = validate(&mut { slow }, &model(2, 128), &LOADS, None).unwrap();
    assert_eq!(document.findings.last().unwrap().about, About::Steps);
}

#[test]
fn a_graph_that_is_refused_is_absent_and_one_that_is_wrong_is_a_finding() {
    let validated = |error| {
        let mut device = Exact { graphs: Some(Err(error)), ..Exact::new(None) };
        validate(&mut device, &model(2, 128), &LOADS, None).unwrap()
    };
    let document = validated(BackendError::unsupported("no graphs"));
    let absent = Some(StepOutcome::Absent(Absent { reason: "no graphs".to_owned() }));
    assert!(document.steps.iter().all(|step| step.as_graph == absent));
    assert_eq!((document.whole.unwrap().count, document.verdict), (3, Some(Verdict::Holds)));
    let document = validated(BackendError::WrongResult("a launch less".to_owned()));
    assert_eq!(document.verdict, Some(Verdict::Fails));
    assert_eq!(document.findings[0].says, "a prefill step as a graph failed: wrong result: a launch less");
    // A device that is lost in the first step runs no other.
    let document = validated(BackendError::Lost("gone".to_owned()));
    let is_failed = |step: &StepRow| matches!(step.as_graph, Some(StepOutcome::Failed(_)));
    assert!(is_failed(&document.steps[0]) && document.steps[1..].iter().all(|step| step.as_graph.is_none()));
    assert!(document.steps[1..].iter().all(|step| matches!(step.whole, StepOutcome::Absent(_))));
}

#[test]
fn what_is_slower_by_a_fifth_is_found_and_nothing_else() {
    let decode = |workload: &Workload| matches!(workload.kind, Kind::Attention { phase: AttentionPhase::Decode, .. });
    let document = validate(&mut Exact::new(Some((decode, 1.25))), &model(2, 128), &LOADS, None).unwrap();
    let [finding] = document.findings.as_slice() else { panic!("{:?}", document.findings) };
    assert_eq!(finding.about, About::Class(Class::DecodeAttention));
    assert!((finding.mape.unwrap() - 0.2).abs() < 1e-12, "{finding:?}");
    assert!(finding.says.contains("take longer than predicted: the prediction is 20 % too low"), "{}", finding.says);
    assert_eq!(document.verdict, Some(Verdict::Fails));
    for (_, class, compared) in compared(&document) {
        assert_eq!(compared.error != 0.0, class == Class::DecodeAttention);
    }
    // A device that is slower at everything is also slower as a whole.
    let document = validate(&mut Exact::new(Some((|_| true, 1.25))), &model(2, 128), &LOADS, None).unwrap();
    assert_eq!(document.findings.len(), Class::ALL.len() + 1);
    assert_eq!(document.findings.last().unwrap().about, About::Steps);
}

#[test]
fn what_a_device_cannot_do_is_in_neither_time() {
    let mut device = Exact::new(None);
    device.lacks = Some(|workload| matches!(workload.kind, Kind::Gemv { .. }));
    let document = validate(&mut device, &model(2, 128), &LOADS[1..2], None).unwrap();
    let [step] = document.steps.as_slice() else { panic!() };
    let StepOutcome::Compared(whole) = &step.whole else { panic!("{:?}", step.whole) };
    assert_eq!(whole.compared.predicted, whole.compared.measured);
    assert!(step.covered > 0.0 && step.covered < 0.2, "{}", step.covered);
    let reason = Absent { reason: "this device cannot do that".to_owned() };
    let absent = step.operators.iter().filter(|row| row.outcome == OperatorOutcome::Absent(reason.clone()));
    assert_eq!(absent.count(), 5, "queries with keys and values, output, gate with up, down, head");
    // What was run holds, and most was not.
    assert_eq!((document.verdict, document.left_out), (Some(Verdict::Partly), vec![LeftOut::Operators]));
}

#[test]
fn a_profile_holds_in_part_where_steps_are_not_run() {
    let mut device = Exact::new(None);
    device.runs_steps = false;
    let document = validate(&mut device, &model(2, 128), &LOADS, None).unwrap();
    assert!(document.whole.is_none() && document.operators.is_some() && document.findings.is_empty());
    assert_eq!((document.verdict, document.left_out), (Some(Verdict::Partly), vec![LeftOut::Steps]));
    // What is off is off all the same.
    let mut device = Exact { runs_steps: false, ..Exact::new(Some((|_| true, 1.25))) };
    let document = validate(&mut device, &model(2, 128), &LOADS, None).unwrap();
    assert_eq!(document.verdict, Some(Verdict::Fails));
}

/// A kernel that computes something else has no time, and its step none either; that is no want of a kernel.
#[test]
fn wrong_results_are_a_finding() {
    let mut device = Exact::new(None);
    device.wrong = Some(|workload| matches!(workload.kind, Kind::Gemm { .. }));
    let document = validate(&mut device, &model(2, 128), &LOADS, None).unwrap();
    assert_eq!(document.verdict, Some(Verdict::Fails));
    assert!(document.findings.len() > 5 && document.findings.iter().all(|finding| finding.mape.is_none()));
    assert_eq!(document.findings[0].about, About::Class(Class::ManyTokens));
    assert!(document.findings[0].says.ends_with("failed: wrong result: 1 instead of 2"), "{:?}", document.findings[0]);
    let failed = |step: &StepRow| step.operators.iter().any(|row| matches!(row.outcome, OperatorOutcome::Failed(_)));
    for step in &document.steps {
        assert_eq!(failed(step), matches!(step.whole, StepOutcome::Absent(_)), "{:?}", step.load);
    }
    assert!(!failed(&document.steps[1]), "one token is multiplied as a vector");
}

#[test]
fn an_interrupt_is_said_at_the_top_and_nothing_is_claimed() {
    let never_began = validate_until(&mut Exact::new(None), &model(2, 128), &LOADS, None, &|| true).unwrap();
    assert_eq!((never_began.interrupted, never_began.verdict), (true, None));
    let json = serde_json::to_string(&never_began).unwrap();
    assert!(json.starts_with(r#"{"schema":"rooflab.validation/1","interrupted":true,"#), "{json}");
    let asked = Cell::new(0);
    let later = || asked.replace(asked.get() + 1) > 200;
    let document = validate_until(&mut Exact::new(None), &model(2, 128), &LOADS, None, &later).unwrap();
    assert_eq!((document.interrupted, document.verdict), (true, Some(Verdict::Partly)));
    let cut = document.steps.iter().flat_map(|step| &step.operators).filter_map(reason);
    assert!(cut.filter(|reason| *reason == "interrupted").count() > 3);
}

#[test]
fn what_scatters_beyond_the_threshold_says_nothing() {
    let mut device = Exact { scatter: 0.8, ..Exact::new(None) };
    let document = validate(&mut device, &model(2, 128), &LOADS, None).unwrap();
    assert_eq!((document.verdict, document.findings.len()), (Some(Verdict::Unclear), 0), "{:?}", document.classes);
    assert!(document.unclear.contains(&About::Steps) && document.doubtful > 20);
    // Twice the time is off, scatter or not.
    let mut device = Exact { scatter: 0.8, ..Exact::new(Some((|_| true, 3.0))) };
    let document = validate(&mut device, &model(2, 128), &LOADS, None).unwrap();
    assert_eq!((document.verdict, document.unclear.len()), (Some(Verdict::Fails), 0));
}

#[test]
fn a_time_tells_where_its_interval_lies_on_one_side() {
    let tells = |error: f64, uncertainty: f64, clean: u64| {
        let (predicted, measured) = (Seconds(1.0 + error), Seconds(1.0));
        Compared { predicted, measured, error, uncertainty, samples: Samples { clean, total: 20 } }.tells(0.1)
    };
    assert!(tells(0.0, 0.1, 20) && tells(0.5, 0.05, 20) && tells(0.5, 0.3, 20) && tells(-0.5, 0.3, 20));
    assert!(!tells(0.0, 0.11, 20) && !tells(0.5, 0.4, 20) && !tells(-0.3, 0.25, 20));
    assert!(!tells(0.0, 0.0, 5) && !tells(9.0, 0.0, 5) && !tells(-0.99, 2.0, 20) && !tells(0.0, f64::NAN, 20));
}

#[test]
fn heads_that_no_kernel_has_are_absent_with_the_reason() {
    let document = validate(&mut Exact::new(None), &model(1, 64), &LOADS, None).unwrap();
    let reasons: Vec<&str> = document.steps.iter().flat_map(|step| &step.operators).filter_map(reason).collect();
    let heads = reasons.iter().filter(|reason| **reason == "kernels have heads of 128 elements, not 64");
    assert_eq!(heads.count(), 3);
    assert!(document.steps.iter().all(|step| step.covered < 1.0));
}

fn reason(row: &OperatorRow) -> Option<&str> {
    match &row.outcome {
        OperatorOutcome::Compared { .. } => None,
        OperatorOutcome::Absent(absent) => Some(&absent.reason),
        OperatorOutcome::Failed(failed) => Some(&failed.failure),
    }
}

#[test]
fn as_many_layers_are_run_as_fit() {
    // A layer has 302 MB of bf16 weights, the head 67 MB.
    let layers = |memory: u64| {
        let document = validate(&mut Exact::new(None), &model(64, 128), &LOADS[1..2], Some(memory)).unwrap();
        let [step] = document.steps.as_slice() else { panic!() };
        let StepOutcome::Compared(whole) = &step.whole else { panic!("{:?}", step.whole) };
        assert_eq!(whole.compared.predicted, whole.compared.measured);
        (step.layers, step.of_layers)
    };
    assert_eq!(layers(2_500_000_000), (3, 64));
    let (few, many) = (layers(5_000_000_000).0, layers(1 << 40).0);
    assert!(few > 3 && many >= few && many < 64, "{few} by memory, {many} by time");
}

/// Plans for the exact device.
fn planned(load: Load, memory: Option<u64>) -> Planned {
    let (model, profile) = (model(2, 128), profile());
    let costing = Costing::new(&profile, None, Options::default());
    let precision = Precision::uniform(&model, WeightFormat::plain(DType::Bf16));
    let (kv, effort) = (KvFormat::plain(DType::Bf16), Effort::Quick);
    let request = Request { model: &model, precision: &precision, kv, loads: &[load], effort, layers: None, memory };
    let planned = plan(&Exact::new(None), &costing, &request).unwrap().steps.remove(0);
    // Whatever was refused, the prediction is of what is left.
    let run = planned.entries.iter().filter(|entry| entry.run.is_ok()).map(|entry| entry.operator);
    let graph = crate::graph::Graph { operators: run.collect(), layers: 2 };
    assert_eq!(planned.predicted, costing.graph(&graph).unwrap().time);
    planned
}

#[test]
fn what_takes_too_long_is_not_run_and_neither_is_a_layer() {
    let planned = planned(Load { phase: Phase::Prefill, sequences: 1, tokens: 4096 }, None);
    assert_eq!(planned.layers.0, 1);
    let whole = planned.not_whole.clone().unwrap();
    assert!(whole.starts_with("even a single layer is predicted to take"), "{whole}");
    assert!(whole.ends_with("of 100 ms that effort `quick` allows"), "{whole}");
    let refused = |part: Part| {
        planned.entries.iter().find(|entry| entry.operator.part == part).and_then(|entry| entry.run.as_ref().err())
    };
    let reason = refused(Part::Matrix(Role::Gate)).unwrap();
    assert!(reason.starts_with("it is predicted to take 125 ms, of 100 ms"), "{reason}");
    assert_eq!(refused(Part::Matrix(Role::Query)), None);
}

#[test]
fn what_has_no_room_is_in_neither_time() {
    let load = Load { phase: Phase::Decode, sequences: 1, tokens: 1024 };
    let all = planned(load, None);
    // Gate with up has 134 MB of weights, nothing else more than 67 MB.
    let some = planned(load, Some(250_000_000));
    let reasons: Vec<(Part, &str)> = some
        .entries
        .iter()
        .filter_map(|entry| Some((entry.operator.part, entry.run.as_ref().err()?.as_str())))
        .filter(|(_, reason)| reason.contains("that may be used"))
        .collect();
    assert!(matches!(reasons[..], [(Part::Matrix(Role::Gate), _)]), "{reasons:?}");
    assert!(some.covered < 0.7 * all.covered && some.covered > 0.3, "{} of {}", some.covered, all.covered);
}

#[test]
fn numbers_that_cannot_be_run_are_refused() {
    let of = |load| validate(&mut Exact::new(None), &model(1, 128), &[load], None).unwrap_err();
    let decode = Load { phase: Phase::Decode, sequences: 1, tokens: 1 };
    assert_eq!(of(Load { sequences: 0, ..decode }), PlanError::Nothing { field: "batch" });
    let error = of(Load { tokens: u64::MAX, ..decode }).to_string();
    assert_eq!(error, "`context` 18446744073709551615 is beyond what can be run: 1048576 at most");
    let error = validate(&mut Exact::new(None), &model(1, 128), &[], None).unwrap_err();
    assert!(matches!(error, PlanError::NothingToCompare { .. }), "{error}");
}

proptest! {
    #[test]
    fn errors_are_summed_up_fairly(errors in prop::collection::vec(-0.9_f64..10.0, 1..50)) {
        let of = accuracy_of(&errors).unwrap();
        prop_assert!(of.bias.abs() <= of.mape * (1.0 + 1e-12) && of.mape <= of.worst.abs() * (1.0 + 1e-12));
        prop_assert!(errors.contains(&of.worst));
    }

    #[test]
    fn every_execution_has_a_turn_and_weights_and_a_cache_of_its_own(
        layers in 1_usize..40, batch in 1_u64..40, tokens in 1_u64..5000, limit in 0_u64..500, is_gpu: bool, in_turn: bool,
    ) {
        let (model, profile) = (model(layers, 128), profile());
        let costing = Costing::new(&profile, None, Options::default());
        let precision = Precision::uniform(&model, WeightFormat::plain(DType::Bf16));
        let (kv, effort) = (KvFormat::plain(DType::Bf16), Effort::Thorough);
        let loads = [Load { phase: Phase::Decode, sequences: batch, tokens }];
        let request =
            Request { model: &model, precision: &precision, kv, loads: &loads, effort, layers: None, memory: None };
        let mut device = Exact::new(None);
        device.largest_array = (limit > 0).then_some(limit << 20);
        device.identity.kind = if is_gpu { DeviceKind::Gpu } else { DeviceKind::Cpu };
        device.takes_caches_in_turn = in_turn;
        let plan = plan(&device, &costing, &request).unwrap();
        let step = &plan.steps[0];
        let run: Vec<(usize, usize)> =
            step.entries.iter().enumerate().filter(|(_, entry)| entry.run.is_ok()).map(|(index, _)| (index, 0)).collect();
        let sequence = step.sequence(&run);
        let mut first = 0;
        for &(index, _) in &run {
            let own = first..first + step.entries[index].run.as_ref().unwrap().within.len();
            let turns: Vec<&Turn> = sequence.turns.iter().filter(|turn| own.contains(&turn.stage)).collect();
            prop_assert_eq!(turns.len() as u64, step.entries[index].operator.count);
            prop_assert!(turns.is_sorted_by_key(|turn| turn.stage), "what lies in several arrays is taken in order");
            for stage in own.clone() {
                let iterations: u64 = turns.iter().filter(|turn| turn.stage == stage).map(|turn| turn.iterations).sum();
                let (copies, weights) = match sequence.stages[stage].workload.kind {
                    Kind::Gemm { shape, copies, .. } => (copies, 2 * shape.n * shape.k),
                    Kind::Gemv { rows, columns, parts, .. } => (parts, 2 * rows / parts * columns),
                    // Where heads are taken in several rounds, each finds the same caches again.
                    Kind::Attention { phase: AttentionPhase::Decode, caches, .. } if in_turn || iterations == 1 => (caches, 0),
                    _ => continue,
                };
                prop_assert_eq!(copies, iterations, "an execution finds what no other has had");
                prop_assert!(copies == 1 || limit == 0 || copies * weights <= limit << 20, "{} of {}", copies, weights);
            }
            first = own.end;
        }
        prop_assert!(sequence.checked().is_ok());
    }

    #[test]
    fn whatever_is_asked_there_is_a_plan_or_a_reason(
        hidden: u64, vocab: u64, heads: u64, kv_heads in 1_u64.., intermediate: u64, batch: u64, tokens: u64, memory: Option<u64>,
    ) {
        let attention = Attention { heads, kv_heads, head_dim: 128, rope: true, ..Attention::default() };
        let ffn = FeedForward::Dense(Dense { intermediate, gated: true, bias: false });
        let block = Block { mixer: Mixer::Attention(attention), ffn, norm: Norm::Rms, norms: 2 };
        let (model, profile) = (Model::new("any", hidden, vocab, vec![(3, block)]), profile());
        let costing = Costing::new(&profile, None, Options::default());
        let precision = Precision::uniform(&model, WeightFormat::plain(DType::Bf16));
        let (kv, effort) = (KvFormat::plain(DType::Bf16), Effort::Quick);
        let both = [(Phase::Decode, tokens), (Phase::Prefill, tokens % 4096)];
        let loads = both.map(|(phase, tokens)| Load { phase, sequences: batch % 5000, tokens: tokens % (1 << 21) });
        let request =
            Request { model: &model, precision: &precision, kv, loads: &loads, effort, layers: None, memory };
        if let Ok(plan) = plan(&Exact::new(None), &costing, &request) {
            prop_assert!(plan.steps.iter().all(|step| (0.0..=1.0 + 1e-9).contains(&step.covered)));
        }
    }
}
