//! What was measured against what is predicted: errors, by operators, classes and steps, and what is too large of them.

use super::document::{
    About, Absent, Accuracy, ClassAccuracy, Compared, Document, Finding, Header, OperatorOutcome, OperatorRow, SCHEMA,
    Samples, StepOutcome, StepRow, Verdict, Whole,
};
use super::kernel::Class;
use super::plan::{Entry, Phase, Plan, Planned};
use super::run::{Measured, Outcome, Timed};
use crate::estimate::cost::Costing;
use crate::graph::Graph;
use crate::units::{Seconds, percent};

/// The error of a class of operators beyond which it is a finding, where nothing else is said.
pub const FAR_OFF: f64 = 0.1;

/// The document of a plan that was run.
#[must_use]
pub fn document(header: Header, plan: &Plan, measured: &[Measured], costing: &Costing<'_>) -> Document {
    let steps: Vec<StepRow> = plan.steps.iter().zip(measured).map(|(step, of)| step_row(step, of, costing)).collect();
    let classes = classes(&steps);
    let errors: Vec<f64> = comparisons(&steps).map(|(_, _, compared)| compared.error).collect();
    let operators = accuracy(&errors);
    let errors: Vec<f64> = steps.iter().filter_map(whole).map(|whole| whole.compared.error).collect();
    let whole = accuracy(&errors);
    let findings = findings(&header, &classes, whole.as_ref(), &steps);
    let verdict = operators.or(whole).map(|_| if findings.is_empty() { Verdict::Holds } else { Verdict::Fails });
    let all = comparisons(&steps).map(|(.., compared)| compared);
    let all = all.chain(steps.iter().filter_map(self::whole).map(|whole| &whole.compared));
    let doubtful = all.filter(|compared| compared.is_doubtful()).count() as u64;
    Document { schema: SCHEMA, header, steps, classes, operators, whole, doubtful, findings, verdict }
}

fn step_row(step: &Planned, measured: &Measured, costing: &Costing<'_>) -> StepRow {
    let outcomes = || step.entries.iter().zip(&measured.operators);
    let operators = outcomes().map(|(entry, outcome)| operator_row(entry, outcome)).collect();
    let run = || outcomes().filter(|(_, outcome)| matches!(outcome, Outcome::Timed(_))).map(|(entry, _)| entry);
    // A backend may have no kernel for what was planned: then it is in neither time.
    let graph = Graph { operators: run().map(|entry| entry.operator).collect(), layers: step.layers.0 };
    let whole = match (&measured.whole, costing.graph(&graph)) {
        (Outcome::Timed(timed), Ok(cost)) => StepOutcome::Compared(Whole {
            compared: compared(cost.time, timed, 1),
            sum_of_operators: outcomes().filter_map(|(entry, outcome)| sum(entry, outcome)).sum(),
        }),
        (Outcome::Timed(_), Err(error)) => StepOutcome::Absent(Absent { reason: error.to_string() }),
        (Outcome::Absent(reason), _) => StepOutcome::Absent(Absent { reason: reason.clone() }),
    };
    let time = |entry: &Entry| entry.run.as_ref().map_or(0.0, |run| run.cost.total().get());
    let planned: f64 = step.entries.iter().map(time).sum();
    let left: f64 = run().map(time).sum();
    let covered = if planned > 0.0 { step.covered * left / planned } else { 0.0 };
    StepRow { load: step.load, layers: step.layers.0, of_layers: step.layers.1, covered, whole, operators }
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
        (Err(reason), _) | (Ok(_), Outcome::Absent(reason)) => {
            OperatorOutcome::Absent(Absent { reason: reason.clone() })
        }
    };
    OperatorRow { part: entry.operator.part, count: entry.operator.count, outcome }
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
        OperatorOutcome::Absent(_) => None,
    })
}

const fn whole(step: &StepRow) -> Option<&Whole> {
    match &step.whole {
        StepOutcome::Compared(whole) => Some(whole),
        StepOutcome::Absent(_) => None,
    }
}

fn classes(steps: &[StepRow]) -> Vec<ClassAccuracy> {
    let of = |class: Class| {
        let own = || comparisons(steps).filter(move |(other, ..)| *other == class);
        let errors: Vec<f64> = own().map(|(.., compared)| compared.error).collect();
        Some(ClassAccuracy {
            class,
            accuracy: accuracy(&errors)?,
            predicted: own().map(|(_, count, compared)| compared.predicted * count as f64).sum(),
            measured: own().map(|(_, count, compared)| compared.measured * count as f64).sum(),
        })
    };
    Class::ALL.into_iter().filter_map(of).collect()
}

/// How far some predictions are off; none where there are none.
pub(super) fn accuracy(errors: &[f64]) -> Option<Accuracy> {
    let worst = errors.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    let count = errors.len() as f64;
    Some(Accuracy {
        count: errors.len() as u64,
        mape: errors.iter().map(|error| error.abs()).sum::<f64>() / count,
        bias: errors.iter().sum::<f64>() / count,
        worst,
    })
}

fn findings(header: &Header, classes: &[ClassAccuracy], whole: Option<&Accuracy>, steps: &[StepRow]) -> Vec<Finding> {
    let too_far = |accuracy: &Accuracy| accuracy.mape > header.threshold;
    let device = &header.device;
    let mut findings = Vec::new();
    for class in classes.iter().filter(|class| too_far(&class.accuracy)) {
        findings.push(Finding {
            about: About::Class(class.class),
            mape: class.accuracy.mape,
            says: format!("{} {}", class.class, direction(&class.accuracy)),
            remedy: format!(
                "measure anew on a quiet machine: `rooflab probe -d {device}`; if it stays, these ceilings do not carry to these sizes"
            ),
        });
    }
    if let Some(accuracy) = whole.filter(|accuracy| too_far(accuracy)) {
        // Where every class is right by itself, it is what operators do to one another.
        let alone = findings.is_empty();
        let phases: Vec<Phase> = steps.iter().map(|step| step.load.phase).collect();
        let what = match phases.as_slice() {
            [first, rest @ ..] if rest.iter().all(|phase| phase == first) => format!("{} steps", first.word()),
            _ => "steps".to_owned(),
        };
        findings.push(Finding {
            about: About::Steps,
            mape: accuracy.mape,
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
