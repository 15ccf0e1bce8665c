//! A run with everything that it is held against, and the diagnosis of it.

use jiff::Timestamp;

use super::document::{Checked, Diagnosis, SCHEMA};
use super::finding::Finding;
use super::link::LinkFacts;
use super::phase::{Figures, Kind, Phase, measured};
use super::restless::doubts;
use super::rules::RULES;
use super::waterfall::{Cause, Ladder, Level, steps};
use crate::estimate::cost::{CostError, Costing, Launching, Options};
use crate::estimate::link::{Link, MeasuredLink};
use crate::estimate::memory::Admission;
use crate::estimate::serving::{Engine, Metrics};
use crate::estimate::{
    Deployment, EstimateError, Estimator, Hardware, Load, ModelFacts, Placed, Scenario, ScenarioFacts, Served,
    StagedCost, Subject,
};
use crate::graph::{Graph, Layout, Sequences, Step};
use crate::observe::{Observation, Quantity};
use crate::profile::{CalibratedEngine, Profile, Source};
use crate::units::{Bytes, BytesPerSecond, Seconds};

/// What a diagnosis is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// What was measured.
    pub run: &'a Observation,
    /// The model that ran, in its formats.
    pub subject: Subject<'a>,
    /// What the formats of its weights and of its cache are called.
    pub formats: (&'a str, &'a str),
    /// The device.
    pub profile: &'a Profile,
    /// The engine that ran, where it was measured on the device.
    pub engine: Option<&'a CalibratedEngine>,
    /// The device's datasheet, where it is known.
    pub datasheet: Option<&'a Profile>,
    /// What the run was given to do, and on how many devices.
    pub scenario: Scenario,
    /// The link between them, where it is known.
    pub link: Option<Link>,
    /// The measurement that the link comes from, where it was measured.
    pub measured_link: Option<&'a MeasuredLink>,
    /// Files beside the run that nothing was taken from, each with the reason.
    pub unused: &'a [String],
    /// The link to what lies outside of their memory, where it is given; else that to the host, as far as the profile says.
    pub host_link: Option<Link>,
    /// The draft of speculative decoding, where it is known.
    pub draft: Option<Subject<'a>>,
}

/// Why there is no diagnosis.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DiagnoseError {
    /// There is nothing to hold the run against.
    #[error(transparent)]
    Estimate(#[from] EstimateError),
    /// Nothing that was measured is of prompts or of decoding.
    #[error("there is neither a time to the first token nor a time per token, nor anything that they follow from")]
    NoTime,
}

/// A run with everything that it is held against: what rules ask.
#[derive(Debug)]
pub struct Case<'a> {
    /// What it is made of.
    pub inputs: &'a Inputs<'a>,
    /// How steps are costed beside the profile.
    options: Options,
    /// The estimator of the model on the device.
    pub estimator: Estimator<'a>,
    /// The model on the run's devices.
    pub placed: Placed<'a>,
    /// What fits into memory.
    pub admission: Admission,
    /// The engines that have room for it.
    pub engine: Deployment,
    /// What requests see by the estimate; none where they are not answered.
    pub served: Option<Metrics>,
    /// The phases that were measured.
    pub phases: Vec<Phase>,
}

/// Tokens of prompts that an engine goes through at once where nothing else is said, as in vLLM.
const USUAL_TOKENS: u64 = 8192;

/// Proposed tokens beyond which a draft is a mistake in the number.
const LONGEST_DRAFT: u64 = 256;

/// A link over which nothing takes any time.
const NO_TIME: BytesPerSecond = BytesPerSecond(f64::MAX);

/// Diagnoses a run.
///
/// # Errors
/// When the profile lacks what a step needs, the model cannot be divided like that, or no time of a phase was measured.
pub fn diagnose(inputs: &Inputs<'_>, rooflab: Source, created: Timestamp) -> Result<Diagnosis, DiagnoseError> {
    let no_time = || Link::new(Seconds(0.0), NO_TIME).ok();
    let link = inputs.link.or_else(no_time);
    let known = Options { launching: None, link, host_link: inputs.host_link };
    let unreachable = unreachable(inputs, known);
    let host_link = if unreachable.is_some() { no_time() } else { inputs.host_link };
    let options = Options { host_link, ..known };
    let at_once = Options { launching: Some(Launching::Graph { kernel: Seconds(0.0) }), ..options };
    let own = Profile { datasheet: Vec::new(), ..inputs.profile.clone() };
    let full = Costing::new(inputs.profile, inputs.datasheet, options);
    let unlaunched = Costing::new(inputs.profile, inputs.datasheet, at_once);
    let measured = Costing::new(&own, None, options);
    let engined = inputs.engine.map(|engine| full.clone().with_engine(engine));
    let has_figures = !inputs.profile.datasheet.is_empty() || inputs.datasheet.is_some();
    let ladder = Ladder {
        full: &full,
        engine: engined.as_ref(),
        unlaunched: &unlaunched,
        measured: match (own.ceilings.is_empty(), has_figures) {
            (true, _) => Err("nothing was measured on this device: the profile holds the maker's figures alone"),
            (false, false) => Err("no datasheet of this device is known: the floor is that of its measured peaks"),
            (false, true) => Ok(&measured),
        },
        no_link: inputs
            .link
            .is_none()
            .then_some("nothing is known of the link between the devices: give it with `--link`"),
        no_host_link: unreachable,
    };
    let costing = engined.as_ref().unwrap_or(&full);
    let case = Case::new(inputs, costing, options, &ladder)?;
    let (mut findings, mut checked) = (Vec::new(), Vec::new());
    for rule in RULES {
        match (rule.check)(&case) {
            Some(found) => findings.push(Finding { rule: rule.id, name: rule.name, found }),
            None => checked.push(Checked { rule: rule.id, name: rule.name }),
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.found.severity));
    let mut caveats: Vec<String> = inputs.run.caveats.iter().map(ToString::to_string).collect();
    caveats.extend(between_others(inputs));
    caveats.extend_from_slice(inputs.unused);
    caveats.extend(doubts(&case));
    let (weights, kv) = inputs.formats;
    let mut assumptions: Vec<String> = Vec::new();
    for phase in &case.phases {
        let Ok(cost) = case.placed.cost(&phase.step()) else { continue };
        for assumption in cost.stages.iter().flat_map(|stage| costing.assumptions(stage)) {
            let text = assumption.to_string();
            if !assumptions.contains(&text) {
                assumptions.push(text);
            }
        }
    }
    Ok(Diagnosis {
        schema: SCHEMA,
        rooflab,
        created,
        sources: inputs.run.sources.clone(),
        model: ModelFacts::new(inputs.subject.model, weights, kv),
        scenario: ScenarioFacts::from(&inputs.scenario),
        hardware: Hardware {
            engine: inputs.engine.map(ToString::to_string),
            ..Hardware::new(inputs.profile, case.engine.devices())
        },
        datasheet: inputs.datasheet.map(|sheet| sheet.name.clone()),
        phases: case.phases,
        findings,
        checked,
        link: inputs.link.map(|link| LinkFacts {
            latency: link.latency(),
            bandwidth: link.bandwidth(),
            from: inputs.link_from().to_owned(),
        }),
        caveats,
        contradictions: inputs.run.contradictions().iter().map(ToString::to_string).collect(),
        assumptions,
    })
}

impl Inputs<'_> {
    /// Where the link comes from.
    #[must_use]
    pub fn link_from(&self) -> &str {
        self.measured_link.map_or("`--link`", |measured| measured.from.as_str())
    }
}

/// What is said where the link was measured between more or fewer devices than share a layer.
fn between_others(inputs: &Inputs<'_>) -> Option<String> {
    let (measured, tensor) = (inputs.measured_link?.devices?, inputs.scenario.layout.tensor);
    (tensor > 1 && measured != tensor)
        .then(|| format!("the link was measured between {measured} devices, and {tensor} share each layer"))
}

/// Why nothing is known of the link that offloaded bytes come over, where there are any.
fn unreachable(inputs: &Inputs<'_>, options: Options) -> Option<String> {
    if inputs.scenario.offload.is_none() {
        return None;
    }
    let error = Costing::new(inputs.profile, inputs.datasheet, options).host(Bytes(1e9)).err()?;
    Some(format!("{error}: give it with `--host-link`"))
}

impl<'a> Case<'a> {
    fn new(
        inputs: &'a Inputs<'a>,
        costing: &'a Costing<'a>,
        options: Options,
        ladder: &Ladder<'_>,
    ) -> Result<Self, DiagnoseError> {
        // Where nobody knows how much memory there is, nothing is said not to fit.
        let memory = match inputs.profile.device.memory {
            0 => Bytes(f64::MAX),
            known => Bytes(known as f64),
        };
        let estimator = Estimator { subject: inputs.subject, costing, memory };
        let placed = estimator.place(&inputs.scenario).map_err(EstimateError::from)?;
        // Engines cut what they go through at once, also where nobody said how; memory is not set aside for all prompts of a large batch.
        let at_once = inputs.scenario.chunk.unwrap_or_else(|| inputs.scenario.request.prompt.max(USUAL_TOKENS));
        let (admission, engine) = estimator.admit(&Scenario { chunk: Some(at_once), ..inputs.scenario })?;
        let each = Engine { max_batched_tokens: inputs.scenario.chunk, ..engine.engine };
        let engine = Deployment { engine: each, ..engine };
        let served = match estimator.serve(&inputs.scenario, &placed, &engine)? {
            Served::Steady(metrics) => Some(metrics),
            Served::Saturated { .. } | Served::TooMany { .. } => None,
        };
        let mut case = Self { inputs, options, estimator, placed, admission, engine, served, phases: Vec::new() };
        for kind in [Kind::Prefill, Kind::Decode] {
            case.phases.extend(case.account(kind, ladder)?);
        }
        if case.phases.is_empty() {
            return Err(DiagnoseError::NoTime);
        }
        Ok(case)
    }

    /// The account of a phase, where it was measured.
    fn account(&self, kind: Kind, ladder: &Ladder<'_>) -> Result<Option<Phase>, DiagnoseError> {
        let Some(timed) = measured(self.inputs.run, kind) else { return Ok(None) };
        let group = self.group(kind);
        let staged = self.placed.lower(&Step::of(group));
        // What cannot be costed at all is an error that says what to do, and not a waterfall of nothing.
        let _ = staged.cost(ladder.full).map_err(EstimateError::from)?;
        let mut levels = ladder.levels(&staged);
        if kind == Kind::Decode {
            levels.extend(self.drafting(group, timed.accepted.is_some(), &levels));
        }
        levels.extend(self.waiting(kind, timed.accepted.is_some()));
        let estimate = levels.iter().rev().find_map(|(_, level)| level.clone().ok()).unwrap_or_default();
        let (spent, absent) = steps(levels, timed.time);
        let floor = staged.floor(ladder.full).ok().flatten();
        // The stage that needs the most decides the floor.
        let light = |graph: &Graph| ladder.full.floor(graph).map_or(0.0, |floor| floor.time().get());
        let slowest = staged.graphs.iter().reduce(|a, b| if light(b) > light(a) { b } else { a });
        let figures = floor.zip(slowest).map(|(floor, graph)| {
            let parts = staged.parts as f64;
            let bytes = graph.total(|operator| operator.weights + operator.kv);
            Figures::new(&floor, graph.model_flops() * parts, bytes * parts, timed.time)
        });
        Ok(Some(Phase {
            kind,
            quantity: timed.quantity,
            measured: timed.time,
            from: timed.from,
            sequences: group.count,
            new_tokens: group.new_tokens,
            context: group.context(),
            accepted: timed.accepted,
            estimate,
            floor: figures,
            spent,
            absent,
        }))
    }

    /// The sequences of a phase's step: the prompts of a batch, or that of one request; and what decodes together, in the middle of the output.
    pub(super) fn group(&self, kind: Kind) -> Sequences {
        let scenario = &self.inputs.scenario;
        let sequences = scenario.sequences(self.engine.admitted(), self.served.map(|served| served.running));
        match kind {
            Kind::Prefill => {
                let depth = self.inputs.run.load.depth.map_or(0, |depth| depth.round() as u64);
                let prompt = scenario.request.prompt.saturating_sub(depth);
                let hit = self.inputs.run.typical(Quantity::CacheHitRate).map_or(0.0, |share| share.clamp(0.0, 1.0));
                let found = ((prompt as f64 * hit).round() as u64).min(prompt.saturating_sub(1));
                let (cached, new_tokens) = (depth.saturating_add(found), (prompt - found).max(1));
                let count = if self.starts_together() { sequences } else { 1 };
                Sequences { count, new_tokens, cached, logits: 1 }
            }
            Kind::Decode => {
                let cached = scenario.decode_context().saturating_sub(1);
                let proposed = self.draft_length().map_or(0, |tokens| tokens as u64);
                let checked = proposed.min(LONGEST_DRAFT) + 1;
                Sequences { count: sequences, new_tokens: checked, cached, logits: checked }
            }
        }
    }

    /// Tokens that a draft proposed for a step, as a whole number: what the run says, or what follows from how many a step yields and the share that was accepted.
    #[must_use]
    pub fn draft_length(&self) -> Option<f64> {
        let run = self.inputs.run;
        let by_rate =
            || Some((run.typical(Quantity::AcceptanceLength)? - 1.0) / run.typical(Quantity::AcceptanceRate)?);
        let length = run.load.draft_length.or_else(by_rate)?.round();
        (length >= 1.0 && length.is_finite()).then_some(length)
    }

    /// The time with the steps of the draft, where one proposed tokens; nothing is added where its model or their number is not known.
    fn drafting(&self, group: Sequences, yields_several: bool, levels: &[Level]) -> Option<Level> {
        let proposed = group.new_tokens.saturating_sub(1);
        if proposed == 0 {
            let why = "the run does not say how many tokens were proposed: give `--draft-length`";
            return yields_several.then(|| (Cause::Draft, Err(why.to_owned())));
        }
        let reached = levels.iter().rev().find_map(|(_, level)| level.as_ref().ok())?;
        let own = self.draft_step(group.count, group.cached.saturating_add(1));
        let why = || "nothing is known of the draft's model: give it with `--draft`".to_owned();
        Some((Cause::Draft, own.map(|step| *reached + step * proposed as f64).ok_or_else(why)))
    }

    /// The draft by itself, where its model is known.
    #[must_use]
    pub fn draft(&self) -> Option<Placed<'a>> {
        Placed::new(&self.inputs.draft?, self.estimator.costing, &Layout::default()).ok()
    }

    fn draft_step(&self, sequences: u64, context: u64) -> Option<Seconds> {
        self.draft()?.cost(&Step::decode(sequences, context)).ok().map(|cost| cost.time)
    }

    /// The time with what requests wait for, where they do.
    fn waiting(&self, kind: Kind, yields_several: bool) -> Option<Level> {
        let chunked = self.inputs.scenario.chunk.is_some();
        if self.starts_together() && !(kind == Kind::Prefill && chunked) {
            return None;
        }
        let time = |metrics: Metrics| match kind {
            Kind::Prefill => Some(metrics.ttft.mean),
            Kind::Decode => metrics.tpot,
        };
        let group = self.group(kind);
        let level = match kind {
            Kind::Prefill if group.cached > 0 => {
                Err("what requests wait for is not estimated where some of their tokens were in a cache")
            }
            Kind::Decode if group.new_tokens > 1 || yields_several => {
                Err("what tokens wait for is not estimated with a draft")
            }
            _ => self
                .served
                .and_then(time)
                .ok_or("requests are not answered by the estimate: they do not fit into memory"),
        };
        let level = level.map_err(str::to_owned);
        Some((if kind == Kind::Prefill { Cause::Queueing } else { Cause::Interference }, level))
    }

    /// Whether all requests start together, and nothing else runs.
    #[must_use]
    pub fn starts_together(&self) -> bool {
        matches!(self.inputs.scenario.load, Load::Batch(_))
    }

    /// A phase, where it was measured.
    #[must_use]
    pub fn phase(&self, kind: Kind) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.kind == kind)
    }

    /// Whether the profile holds measurements.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        !self.inputs.profile.ceilings.is_empty()
    }

    /// A step of the run as it is.
    ///
    /// # Errors
    /// The profile lacks what it needs.
    pub fn cost(&self, kind: Kind) -> Result<StagedCost, CostError> {
        self.placed.cost(&Step::of(self.group(kind)))
    }

    /// What if so many sequences were decoded together?
    #[must_use]
    pub fn decode_of(&self, sequences: u64) -> Option<Seconds> {
        let group = Sequences { count: sequences, ..self.group(Kind::Decode) };
        self.placed.cost(&Step::of(group)).ok().map(|cost| cost.time)
    }

    /// What if the model, its formats or the devices were others?
    #[must_use]
    pub fn with(&self, kind: Kind, subject: &Subject<'_>, layout: &Layout) -> Option<Seconds> {
        let placed = Placed::new(subject, self.estimator.costing, layout).ok()?;
        let placed = placed.with_offload(self.inputs.scenario.offload);
        placed.cost(&Step::of(self.group(kind))).ok().map(|cost| cost.time)
    }

    /// What if the device were another one?
    #[must_use]
    pub fn on(&self, kind: Kind, profile: &Profile) -> Option<Seconds> {
        let costing = Costing::new(profile, self.inputs.datasheet, self.options);
        let scenario = &self.inputs.scenario;
        let placed = Placed::new(&self.inputs.subject, &costing, &scenario.layout).ok()?;
        placed.with_offload(scenario.offload).cost(&Step::of(self.group(kind))).ok().map(|cost| cost.time)
    }

    /// What if everything were in the devices' memory?
    #[must_use]
    pub fn all_here(&self, kind: Kind) -> Option<Seconds> {
        let step = self.placed.lower(&Step::of(self.group(kind))).all_here();
        step.cost(self.estimator.costing).ok().map(|cost| cost.time)
    }

    /// Whether something lies outside of the devices' memory, and nothing is known of the link to it.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        unreachable(self.inputs, Options { host_link: self.inputs.host_link, ..self.options }).is_some()
    }

    /// A measured number, and where it comes from.
    #[must_use]
    pub fn stated(&self, quantity: Quantity) -> Option<(f64, String)> {
        let measured = self.inputs.run.metrics.get(&quantity)?;
        Some((measured.values.typical()?, super::phase::origin(quantity, measured)))
    }
}

impl Phase {
    /// The step it is the time of.
    pub(super) fn step(&self) -> Step {
        let cached = self.context.saturating_sub(self.new_tokens);
        let logits = if self.kind == Kind::Decode { self.new_tokens } else { 1 };
        Step::of(Sequences { count: self.sequences, new_tokens: self.new_tokens, cached, logits })
    }
}
