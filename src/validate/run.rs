//! Carries out a plan: every operator by itself, then the step of all of them.

use super::plan::{Entry, Plan, Planned, Run};
use crate::backend::{BackendError, Device, Kernel, Stopwatch};
use crate::probe::{Measurement, Settings, measure, measure_variant};
use crate::profile::Stop;
use crate::units::Seconds;
use crate::workload::Workload;

/// Is told how a run goes on.
pub trait Observer {
    /// Something is measured next: so many of so many are done.
    fn measuring(&mut self, done: usize, of: usize, what: &str);
}

/// What came of an operator, or of a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It took this long.
    Timed(Timed),
    /// It was not run, and why: there is no kernel for it, or no room. That says nothing of the profile.
    NotRun(String),
    /// It was run and failed, and how: its results were wrong, or the device gave none.
    Failed(String),
    /// The user interrupted before enough of it was measured.
    Interrupted,
}

/// A time.
#[derive(Clone, Debug, PartialEq)]
pub struct Timed {
    /// Of one iteration.
    pub time: Seconds,
    /// Half the width of its confidence interval, as a share of it.
    pub uncertainty: f64,
    /// Samples that nothing disturbed, and all.
    pub samples: (usize, usize),
    /// The implementation.
    pub variant: String,
    /// All that was measured of it.
    measurement: Box<Measurement>,
}

impl Outcome {
    /// What comes of it together with a later visit: a machine that is shared shows another face minutes later, and what held it back the one time did not the other.
    fn joined(self, later: Self) -> Self {
        match (self, later) {
            (Self::Timed(first), Self::Timed(later)) if first.measurement.variant == later.measurement.variant => {
                outcome((*first.measurement).joined(*later.measurement), first.variant)
            }
            // Another implementation was the fastest.
            (Self::Timed(first), Self::Timed(later)) => {
                Self::Timed(if later.time.get() < first.time.get() { later } else { first })
            }
            // What computes something else the second time is not to be believed the first.
            (Self::Timed(_), Self::Failed(failure)) => Self::Failed(failure),
            (first, _) => first,
        }
    }
}

/// What was measured of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Of each operator, one iteration by itself.
    pub operators: Vec<Outcome>,
    /// Of the step.
    pub whole: Outcome,
    /// Of the step as a graph of launches, where the device's backend has such a thing.
    pub as_graph: Option<Outcome>,
}

impl Measured {
    fn joined(self, later: Self) -> Self {
        let operators = self.operators.into_iter().zip(later.operators);
        let as_graph = match (self.as_graph, later.as_graph) {
            (Some(first), Some(later)) => Some(first.joined(later)),
            (first, _) => first,
        };
        Self {
            operators: operators.map(|(first, later)| first.joined(later)).collect(),
            whole: self.whole.joined(later.whole),
            as_graph,
        }
    }
}

/// What was measured of a plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Its steps.
    pub steps: Vec<Measured>,
    /// Whether the user interrupted.
    pub interrupted: bool,
}

/// Clean samples that an interrupted measurement must have to count.
const WORTH_KEEPING: usize = 3;

/// Visits of everything.
const VISITS: usize = 2;

/// Runs a plan, twice from the beginning to the end. An interrupt ends it early; what was measured stays, what was not says so.
pub fn run(
    device: &mut dyn Device,
    plan: &Plan,
    observer: &mut dyn Observer,
    interrupted: &dyn Fn() -> bool,
) -> Results {
    let settings = Settings::of(plan.effort);
    let of_step = |step: &Planned| 1 + step.entries.iter().filter(|entry| entry.run.is_ok()).count();
    let of = VISITS * plan.steps.iter().map(of_step).sum::<usize>();
    let mut bench = Bench { device, settings, observer, interrupted, known: Vec::new(), lost: None, done: 0, of };
    let mut steps = bench.visit(plan);
    for _ in 1..VISITS {
        if interrupted() || bench.lost.is_some() {
            break;
        }
        let later = bench.visit(plan);
        steps = steps.into_iter().zip(later).map(|(first, later)| first.joined(later)).collect();
    }
    Results { steps, interrupted: interrupted() }
}

/// A device under measurement.
struct Bench<'run> {
    device: &'run mut dyn Device,
    settings: Settings,
    observer: &'run mut dyn Observer,
    interrupted: &'run dyn Fn() -> bool,
    /// Workloads that were measured in this visit: equal operators of several steps are measured once.
    known: Vec<(Workload, Outcome)>,
    /// Why the device answers no more.
    lost: Option<String>,
    done: usize,
    of: usize,
}

impl Bench<'_> {
    fn visit(&mut self, plan: &Plan) -> Vec<Measured> {
        self.known.clear();
        plan.steps.iter().map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: &Planned) -> Measured {
        let operators: Vec<Outcome> = step.entries.iter().map(|entry| self.operator(step, entry)).collect();
        let (whole, as_graph) = self.whole(step, &operators);
        Measured { operators, whole, as_graph }
    }

    fn operator(&mut self, step: &Planned, entry: &Entry) -> Outcome {
        let run = match &entry.run {
            Ok(run) => run,
            Err(reason) => return Outcome::NotRun(reason.clone()),
        };
        self.next(&format!("{} {}", step.load.phase.word(), entry.operator.part));
        self.alone(run)
    }

    /// An operator by itself.
    fn alone(&mut self, run: &Run) -> Outcome {
        if let Some((_, outcome)) = self.known.iter().find(|(workload, _)| *workload == run.alone) {
            return outcome.clone();
        }
        let outcome = self.timed(|bench| {
            let mut kernel = bench.device.prepare(&run.alone)?;
            let Limits { settings, stopwatch, interrupted } = &bench.limits;
            let measurement = measure(kernel.as_mut(), settings, None, stopwatch.as_ref(), interrupted)?;
            let variant = kernel.variants()[measurement.variant].clone();
            Ok((measurement, variant))
        });
        self.known.push((run.alone, outcome.clone()));
        outcome
    }

    /// All operators of a step in turn, and the same as a graph.
    fn whole(&mut self, step: &Planned, operators: &[Outcome]) -> (Outcome, Option<Outcome>) {
        self.next(&format!("{} step", step.load.phase.word()));
        let variants = match fastest_alone(step, operators) {
            Ok(variants) => variants,
            Err(outcome) => return (outcome, None),
        };
        let sequence = step.sequence(&variants);
        let mut as_graph = None;
        let whole = self.timed(|bench| {
            let mut kernel = bench.device.prepare_sequence(&sequence)?;
            let whole = bench.limits.measure(kernel.as_mut(), 0)?;
            let graph = (0..kernel.variants().len()).find(|&variant| kernel.is_graph(variant));
            as_graph = graph.map(|variant| {
                let goes_on = !(bench.limits.interrupted)();
                goes_on.then(|| bench.limits.measure(kernel.as_mut(), variant))
            });
            Ok(whole)
        });
        let graph = |measured: Option<_>| measured.map_or(Outcome::Interrupted, |measured| self.outcome(measured));
        (whole, as_graph.map(graph))
    }

    fn next(&mut self, what: &str) {
        self.observer.measuring(self.done, self.of, what);
        self.done += 1;
    }

    /// What a measurement comes to, or why there is none.
    fn timed(&mut self, measured: impl FnOnce(&mut At<'_>) -> Result<(Measurement, String), BackendError>) -> Outcome {
        if let Some(reason) = &self.lost {
            return Outcome::NotRun(reason.clone());
        }
        if (self.interrupted)() {
            return Outcome::Interrupted;
        }
        let stopwatch = self.device.stopwatch();
        let limits = Limits { settings: self.settings, stopwatch, interrupted: self.interrupted };
        let mut at = At { device: &mut *self.device, limits };
        let measured = measured(&mut at);
        self.outcome(measured)
    }

    /// What became of a measurement. A device that was lost is noted.
    fn outcome(&mut self, measured: Result<(Measurement, String), BackendError>) -> Outcome {
        match measured {
            Ok((measurement, variant)) => outcome(measurement, variant),
            Err(
                error @ (BackendError::Unsupported { .. }
                | BackendError::NoKernel { .. }
                | BackendError::OutOfMemory { .. }),
            ) => Outcome::NotRun(error.to_string()),
            Err(error) => {
                if matches!(error, BackendError::Lost(_)) {
                    self.lost = Some(error.to_string());
                }
                Outcome::Failed(error.to_string())
            }
        }
    }
}

/// The operators that run within a step, each with the implementation that was fastest by itself; or what becomes of the step without them.
fn fastest_alone(step: &Planned, operators: &[Outcome]) -> Result<Vec<(usize, usize)>, Outcome> {
    if let Some(reason) = &step.not_whole {
        return Err(Outcome::NotRun(reason.clone()));
    }
    let mut variants = Vec::new();
    for (index, outcome) in operators.iter().enumerate() {
        match outcome {
            Outcome::Timed(timed) => variants.push((index, timed.measurement.variant)),
            // What there is no kernel for is left out of both sides.
            Outcome::NotRun(_) => {}
            Outcome::Failed(_) => return Err(Outcome::NotRun("one of its operators failed by itself".to_owned())),
            Outcome::Interrupted => return Err(Outcome::Interrupted),
        }
    }
    if variants.is_empty() {
        return Err(Outcome::NotRun("none of its operators was run".to_owned()));
    }
    Ok(variants)
}

/// What a single measurement needs.
struct At<'run> {
    device: &'run mut dyn Device,
    limits: Limits<'run>,
}

/// How long is measured.
struct Limits<'run> {
    settings: Settings,
    stopwatch: Stopwatch,
    interrupted: &'run dyn Fn() -> bool,
}

impl Limits<'_> {
    /// Measures one implementation of a kernel.
    fn measure(&self, kernel: &mut dyn Kernel, variant: usize) -> Result<(Measurement, String), BackendError> {
        let now = self.stopwatch.as_ref();
        let measurement = measure_variant(kernel, variant, &self.settings, now, self.interrupted)?;
        Ok((measurement, kernel.variants()[variant].clone()))
    }
}

fn outcome(measurement: Measurement, variant: String) -> Outcome {
    if measurement.stop == Stop::Interrupted && measurement.clean.len() < WORTH_KEEPING {
        return Outcome::Interrupted;
    }
    let Some((summary, _)) = measurement.summary() else { return Outcome::Failed("it gave no samples".to_owned()) };
    Outcome::Timed(Timed {
        time: Seconds(summary.median),
        uncertainty: summary.uncertainty(),
        samples: (measurement.clean.len(), measurement.total()),
        variant,
        measurement: Box::new(measurement),
    })
}
