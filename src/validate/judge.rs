//! What was measured against what is predicted: errors, by operators, classes and steps, and what is too large of them.

use super::document::{
    About, Absent, Accuracy, ClassAccuracy, Compared, Document, Failed, Finding, Header, LeftOut, OperatorOutcome,
    OperatorRow, SCHEMA, Samples, StepOutcome, StepRow, Verdict, Whole,
};
use super::kernel::Class;
use super::plan::{Entry, Phase, Plan, Planned};
use super::run::{Measured, Outcome, Results, Timed};
use crate::estimate::cost::{CostError, Costing, StepCost};
use crate::graph::Graph;
use crate::units::{Seconds, percent};

/// The error of a class of operators beyond which it is a finding, where nothing else is said.
pub const FAR_OFF: f64 = 0.1;

/// The share of a step's predicted time below which what was run of its operators is a part of it.
const MOST_OF_IT: f64 = 0.9;

/// The document of a plan that was run.
#[must_use]
pub fn document(header: Header, plan: &Plan, results: &Results, costing: &Costing<'_>) -> Document {
    let rows = plan.steps.iter().zip(&results.steps);
    let steps: Vec<StepRow> = rows.map(|(step, measured)| step_row(step, measured, costing)).collect();
    let classes = classes(&steps);
    let operators = accuracy(comparisons(&steps).map(|(.., compared)| compared));
    let whole = accuracy(wholes(&steps));
    let judged = Judged::of(&steps, header.threshold);
    let mut findings = failures(&header, &plan.steps, &results.steps);
    findings.extend(off(&header, &classes, whole.as_ref(), &judged, &steps));
    let left_out = left_out(&steps);
    let verdict = if !findings.is_empty() {
        Some(Verdict::Fails)
    } else if operators.or(whole).is_none() {
        None
    } else if !judged.unclear.is_empty() {
        Some(Verdict::Unclear)
    } else if results.interrupted || !left_out.is_empty() {
        Some(Verdict::Partly)
    } else {
        Some(Verdict::Holds)
    };
    let all = comparisons(&steps).map(|(.., compared)| compared).chain(wholes(&steps));
    let doubtful = all.filter(|compared| compared.is_doubtful()).count() as u64;
    Document {
        schema: SCHEMA,
        interrupted: results.interrupted,
        header,
        steps,
        classes,
        operators,
        whole,
        doubtful,
        findings,
        unclear: judged.unclear,
        left_out,
        verdict,
    }
}

/// What follows of classes of operators, and of steps.
struct Judged {
    /// What is off by more than the threshold.
    off: Vec<About>,
    /// What nothing can be told of.
    unclear: Vec<About>,
}

impl Judged {
    fn of(steps: &[StepRow], threshold: f64) -> Self {
        let mut judged = Self { off: Vec::new(), unclear: Vec::new() };
        for class in Class::ALL {
            let own = comparisons(steps).filter(|(other, ..)| *other == class);
            judged.judge(About::Class(class), &own.map(|(.., compared)| compared).collect::<Vec<_>>(), threshold);
        }
        judged.judge(About::Steps, &wholes(steps).collect::<Vec<_>>(), threshold);
        judged
    }

    /// Something is off, or is not, where all times say so and those that tell by themselves do as well, which are half of them at least.
    fn judge(&mut self, about: About, all: &[&Compared], threshold: f64) {
        let telling: Vec<&Compared> = all.iter().copied().filter(|compared| compared.tells(threshold)).collect();
        let is_off = |of: &[&Compared]| accuracy(of.iter().copied()).is_some_and(|of| of.mape > threshold);
        match (is_off(all), is_off(&telling)) {
            (of_all, of_telling) if of_all != of_telling || 2 * telling.len() < all.len() => self.unclear.push(about),
            (true, _) => self.off.push(about),
            (false, _) => {}
        }
    }
}

fn left_out(steps: &[StepRow]) -> Vec<LeftOut> {
    let lacks_steps = steps.iter().any(|step| whole(&step.whole).is_none());
    let lacks_operators = steps.iter().any(|step| step.covered < MOST_OF_IT);
    let all = [(lacks_steps, LeftOut::Steps), (lacks_operators, LeftOut::Operators)];
    all.into_iter().filter(|(lacks, _)| *lacks).map(|(_, what)| what).collect()
}

fn step_row(step: &Planned, measured: &Measured, costing: &Costing<'_>) -> StepRow {
    let outcomes = || step.entries.iter().zip(&measured.operators);
    let operators = outcomes().map(|(entry, outcome)| operator_row(entry, outcome)).collect();
    let run = || outcomes().filter(|(_, outcome)| matches!(outcome, Outcome::Timed(_))).map(|(entry, _)| entry);
    // A backend may have no kernel for what was planned: then it is in neither time.
    let graph = Graph { operators: run().map(|entry| entry.operator).collect(), layers: step.layers.0 };
    let sum_of_operators = outcomes().filter_map(|(entry, outcome)| sum(entry, outcome)).sum();
    let whole = step_outcome(&measured.whole, costing.graph(&graph), sum_of_operators);
    let of_graph = |outcome| step_outcome(outcome, costing.with_graphs().graph(&graph), sum_of_operators);
    let as_graph = measured.as_graph.as_ref().map(of_graph);
    let time = |entry: &Entry| entry.run.as_ref().map_or(0.0, |run| run.cost.total().get());
    let planned: f64 = step.entries.iter().map(time).sum();
    let left: f64 = run().map(time).sum();
    let covered = if planned > 0.0 { step.covered * left / planned } else { 0.0 };
    StepRow { load: step.load, layers: step.layers.0, of_layers: step.layers.1, covered, whole, as_graph, operators }
}

/// A step as it was measured, beside what it is predicted to cost.
fn step_outcome(outcome: &Outcome, predicted: Result<StepCost, CostError>, sum_of_operators: Seconds) -> StepOutcome {
    match (outcome, predicted) {
        (Outcome::Timed(timed), Ok(cost)) => {
            StepOutcome::Compared(Whole { compared: compared(cost.time, timed, 1), sum_of_operators })
        }
        (Outcome::Timed(_), Err(error)) => StepOutcome::Absent(Absent { reason: error.to_string() }),
        (Outcome::NotRun(reason), _) => StepOutcome::Absent(Absent { reason: reason.clone() }),
        (Outcome::Failed(failure), _) => StepOutcome::Failed(Failed { failure: failure.clone() }),
        (Outcome::Interrupted, _) => StepOutcome::Absent(interrupted()),
    }
}

fn operator_row(entry: &Entry, outcome: &Outcome) -> OperatorRow {
    let outcome = match (&entry.run, outcome) {
        (Ok(run), Outcome::Timed(timed)) => OperatorOutcome::Compared {
            class: run.kernel.class,
            kernel: run.kernel.words(),
            variant: timed.variant.clone(),
            compared: compared(run.predicted(), timed, run.kernel.iterations),
            bound: run.cost.bound,
            knowledge: run.cost.knowledge,
        },
        (Err(reason), _) | (Ok(_), Outcome::NotRun(reason)) => {
            OperatorOutcome::Absent(Absent { reason: reason.clone() })
        }
        (Ok(_), Outcome::Failed(failure)) => OperatorOutcome::Failed(Failed { failure: failure.clone() }),
        (Ok(_), Outcome::Interrupted) => OperatorOutcome::Absent(interrupted()),
    };
    OperatorRow { part: entry.operator.part, count: entry.operator.count, outcome }
}

fn interrupted() -> Absent {
    Absent { reason: "interrupted".to_owned() }
}

/// Both times of what takes some iterations.
fn compared(predicted: Seconds, timed: &Timed, iterations: u64) -> Compared {
    let measured = timed.time * iterations as f64;
    let (clean, total) = timed.samples;
    Compared {
        predicted,
        measured,
        error: predicted / measured - 1.0,
        uncertainty: timed.uncertainty,
        samples: Samples { clean: clean as u64, total: total as u64 },
    }
}

/// The measured time of all executions of an operator.
fn sum(entry: &Entry, outcome: &Outcome) -> Option<Seconds> {
    match (&entry.run, outcome) {
        (Ok(run), Outcome::Timed(timed)) => {
            Some(timed.time * (entry.operator.count as f64 * run.kernel.iterations as f64))
        }
        _ => None,
    }
}

/// Every operator that was compared, with its class and how often it is executed.
fn comparisons(steps: &[StepRow]) -> impl Iterator<Item = (Class, u64, &Compared)> {
    steps.iter().flat_map(|step| &step.operators).filter_map(|row| match &row.outcome {
        OperatorOutcome::Compared { class, compared, .. } => Some((*class, row.count, compared)),
        OperatorOutcome::Absent(_) | OperatorOutcome::Failed(_) => None,
    })
}

/// Every step that was compared as a whole, and every one as a graph.
fn wholes(steps: &[StepRow]) -> impl Iterator<Item = &Compared> {
    let outcomes = steps.iter().flat_map(|step| std::iter::once(&step.whole).chain(&step.as_graph));
    outcomes.filter_map(whole).map(|whole| &whole.compared)
}

const fn whole(outcome: &StepOutcome) -> Option<&Whole> {
    match outcome {
        StepOutcome::Compared(whole) => Some(whole),
        StepOutcome::Absent(_) | StepOutcome::Failed(_) => None,
    }
}

fn classes(steps: &[StepRow]) -> Vec<ClassAccuracy> {
    let of = |class: Class| {
        let own = || comparisons(steps).filter(move |(other, ..)| *other == class);
        Some(ClassAccuracy {
            class,
            accuracy: accuracy(own().map(|(.., compared)| compared))?,
            predicted: own().map(|(_, count, compared)| compared.predicted * count as f64).sum(),
            measured: own().map(|(_, count, compared)| compared.measured * count as f64).sum(),
        })
    };
    Class::ALL.into_iter().filter_map(of).collect()
}

/// How far some predictions are off; none where there are none.
fn accuracy<'a>(of: impl Iterator<Item = &'a Compared>) -> Option<Accuracy> {
    accuracy_of(&of.map(|compared| compared.error).collect::<Vec<_>>())
}

/// The same of their errors.
pub(super) fn accuracy_of(errors: &[f64]) -> Option<Accuracy> {
    let worst = errors.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    let count = errors.len() as f64;
    Some(Accuracy {
        count: errors.len() as u64,
        mape: errors.iter().map(|error| error.abs()).sum::<f64>() / count,
        bias: errors.iter().sum::<f64>() / count,
        worst,
    })
}

/// What failed: a kernel that computes something else is no kernel of this device, and one that gives nothing is as bad.
fn failures(header: &Header, plan: &[Planned], measured: &[Measured]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut put = |about: About, says: String| {
        let remedy = format!("verify all kernels: `rooflab probe --check -d {}`", header.device);
        let finding = Finding { about, mape: None, says, remedy };
        // Equal operators of several steps are run once.
        if !findings.contains(&finding) {
            findings.push(finding);
        }
    };
    for (step, of) in plan.iter().zip(measured) {
        for (entry, outcome) in step.entries.iter().zip(&of.operators) {
            if let (Ok(run), Outcome::Failed(failure)) = (&entry.run, outcome) {
                put(About::Class(run.kernel.class), format!("`{}` failed: {failure}", run.kernel.words()));
            }
        }
        let phase = step.load.phase.word();
        if let Outcome::Failed(failure) = &of.whole {
            put(About::Steps, format!("a {phase} step failed: {failure}"));
        }
        if let Some(Outcome::Failed(failure)) = &of.as_graph {
            put(About::Steps, format!("a {phase} step as a graph failed: {failure}"));
        }
    }
    findings
}

/// What is off by more than the threshold.
fn off(
    header: &Header,
    classes: &[ClassAccuracy],
    whole: Option<&Accuracy>,
    judged: &Judged,
    steps: &[StepRow],
) -> Vec<Finding> {
    let device = &header.device;
    let mut findings = Vec::new();
    for class in classes.iter().filter(|class| judged.off.contains(&About::Class(class.class))) {
        findings.push(Finding {
            about: About::Class(class.class),
            mape: Some(class.accuracy.mape),
            says: format!("{} {}", class.class, direction(&class.accuracy)),
            remedy: format!(
                "measure anew on a quiet machine: `rooflab probe -d {device}`; if it stays, these ceilings do not carry to these sizes"
            ),
        });
    }
    if let Some(accuracy) = whole.filter(|_| judged.off.contains(&About::Steps)) {
        // Where every class is right by itself, it is what operators do to one another.
        let alone = findings.is_empty() && judged.unclear.is_empty();
        let phases: Vec<Phase> = steps.iter().map(|step| step.load.phase).collect();
        let what = match phases.as_slice() {
            [first, rest @ ..] if rest.iter().all(|phase| phase == first) => format!("{} steps", first.word()),
            _ => "steps".to_owned(),
        };
        findings.push(Finding {
            about: About::Steps,
            mape: Some(accuracy.mape),
            says: format!("{what} {}", direction(accuracy)),
            remedy: if alone {
                "compare `sum_of_operators` with the whole in `--json`: the operators are right by themselves, and wait for one another or for memory".to_owned()
            } else {
                "see the operators first: a step is off by what they are".to_owned()
            },
        });
    }
    findings
}

fn direction(accuracy: &Accuracy) -> String {
    let size = percent(accuracy.mape);
    if accuracy.bias.abs() < 0.5 * accuracy.mape {
        format!("are {size} off the prediction, to both sides")
    } else if accuracy.bias < 0.0 {
        format!("take longer than predicted: the prediction is {size} too low")
    } else {
        format!("take less than predicted: the prediction is {size} too high")
    }
}
