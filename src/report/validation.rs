//! A validation as people read it: predicted beside measured, for operators, classes and steps.

use super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::units::{Seconds, Unit, human, percent};
use crate::validate::{
    About, Accuracy, ClassAccuracy, Compared, Document, LeftOut, OperatorOutcome, OperatorRow, Phase, StepOutcome,
    StepRow, Verdict, Whole,
};

/// A validation.
#[must_use]
pub fn validation(document: &Document) -> Vec<Block> {
    let header = &document.header;
    let known = if header.hardware.measured { "measured" } else { "the maker's figures" };
    let mut blocks = vec![
        Block::line(
            format!(
                "{} · weights {} · cache {} · random data, the model's own shapes",
                header.model.name, header.model.weights, header.model.kv
            ),
            Tone::Strong,
        ),
        Block::line(
            format!(
                "{} · {} · predicted by the profile {} ({known} {})",
                header.hardware.device,
                header.device,
                header.hardware.profile,
                header.hardware.created.strftime("%Y-%m-%d")
            ),
            Tone::Plain,
        ),
    ];
    if document.interrupted {
        blocks.push(Block::line("interrupted: only what was finished before is below", Tone::Warn));
    }
    for step in &document.steps {
        blocks.push(Block::blank());
        blocks.extend(of_step(step, header.threshold));
    }
    if !document.classes.is_empty() {
        blocks.push(Block::blank());
        blocks.push(accuracies(document));
    }
    for finding in &document.findings {
        blocks.push(Block::blank());
        blocks.push(Block::Line(vec![Cell::new("finding  ", Tone::Warn), Cell::new(&finding.says, Tone::Strong)]));
        blocks.push(Block::line(format!("    try  {}", finding.remedy), Tone::Dim));
    }
    blocks.push(Block::blank());
    blocks.extend(
        notes(document).into_iter().map(|note| Block::Line(vec![Cell::new("note: ", Tone::Warn), Cell::plain(note)])),
    );
    blocks.push(verdict(document));
    blocks
}

fn of_step(step: &StepRow, threshold: f64) -> Vec<Block> {
    let load = step.load;
    let what = match load.phase {
        Phase::Prefill => format!("{} × {} tokens", load.sequences, load.tokens),
        Phase::Decode => format!("{} × 1 token at {} of context", load.sequences, load.tokens),
    };
    let layers = if step.layers == step.of_layers {
        format!("all {} layers", step.layers)
    } else {
        format!("{} of {} layers", step.layers, step.of_layers)
    };
    let title = format!("{}, {what}, {layers}", load.phase.word());
    let (compared, absent): (Vec<_>, Vec<_>) =
        step.operators.iter().partition(|row| matches!(row.outcome, OperatorOutcome::Compared { .. }));
    let mut rows: Vec<Row> = compared.into_iter().filter_map(|row| operator(row, threshold)).collect();
    let sum = |whole: &Whole| format!("operators alone sum up to {}", time(whole.sum_of_operators));
    rows.push(as_whole("the step", "as a whole", &step.whole, sum, threshold));
    if let Some(outcome) = &step.as_graph {
        let words = |_: &Whole| "the same launches, started together".to_owned();
        rows.push(as_whole("as a graph", "as a graph", outcome, words, threshold));
    }
    let columns = ["×", "kernel", "predicted", "measured", "error", "±", "known"].map(str::to_owned).to_vec();
    let right = vec![true, false, true, true, true, true, false];
    let mut blocks = vec![Block::Table(Table { columns, right, groups: vec![Group { title, rows }] })];
    let share = format!("{} of the predicted time is of operators that were run", percent(step.covered));
    blocks.push(Block::line(if absent.is_empty() { share } else { share + "; in neither time are" }, Tone::Dim));
    blocks.extend(reasons(&absent).into_iter().map(|line| Block::line(format!("  {line}"), Tone::Dim)));
    blocks
}

/// A step's row: what it is, and how it was run, for those that were not.
fn as_whole(label: &str, how: &str, outcome: &StepOutcome, words: impl Fn(&Whole) -> String, threshold: f64) -> Row {
    let cells = match outcome {
        StepOutcome::Compared(whole) => {
            cells(String::new(), Cell::new(words(whole), Tone::Dim), &whole.compared, "", threshold)
        }
        StepOutcome::Absent(absent) => vec![Cell::new(format!("not run {how}: {}", absent.reason), Tone::Warn)],
        StepOutcome::Failed(failed) => vec![Cell::new(format!("failed {how}: {}", failed.failure), Tone::Bad)],
    };
    Row { label: label.to_owned(), cells }
}

/// What was not run, the operators of one reason together.
fn reasons(absent: &[&OperatorRow]) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<&str>)> = Vec::new();
    for row in absent {
        let why = match &row.outcome {
            OperatorOutcome::Compared { .. } => continue,
            OperatorOutcome::Absent(absent) => absent.reason.clone(),
            OperatorOutcome::Failed(failed) => format!("failed: {}", failed.failure),
        };
        let word = row.part.word();
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, parts)) if parts.contains(&word) => {}
            Some((_, parts)) => parts.push(word),
            None => reasons.push((why, vec![word])),
        }
    }
    reasons.into_iter().map(|(reason, parts)| format!("{}: {reason}", parts.join(", "))).collect()
}

fn operator(row: &OperatorRow, threshold: f64) -> Option<Row> {
    let OperatorOutcome::Compared { kernel, compared, knowledge, .. } = &row.outcome else { return None };
    let count = row.count.to_string();
    Some(Row {
        label: row.part.word().to_owned(),
        cells: cells(count, Cell::plain(kernel), compared, knowledge.word(), threshold),
    })
}

fn cells(count: String, kernel: Cell, compared: &Compared, known: &str, threshold: f64) -> Vec<Cell> {
    vec![
        Cell::new(count, Tone::Dim),
        kernel,
        Cell::plain(time(compared.predicted)),
        Cell::plain(time(compared.measured)),
        Cell::new(signed(compared.error), tone(compared.error.abs(), threshold)),
        Cell::new(percent(compared.uncertainty), if compared.is_doubtful() { Tone::Warn } else { Tone::Dim }),
        Cell::new(known, Tone::Dim),
    ]
}

fn accuracies(document: &Document) -> Block {
    let threshold = document.header.threshold;
    let row = |label: String, accuracy: &Accuracy, times: Option<(Seconds, Seconds)>| {
        let (predicted, measured) = times.map_or_else(Default::default, |(a, b)| (time(a), time(b)));
        Row {
            label,
            cells: vec![
                Cell::plain(accuracy.count.to_string()),
                Cell::new(percent(accuracy.mape), tone(accuracy.mape, threshold)),
                Cell::plain(signed(accuracy.bias)),
                Cell::plain(signed(accuracy.worst)),
                Cell::plain(predicted),
                Cell::plain(measured),
            ],
        }
    };
    let of_class = |class: &ClassAccuracy| {
        row(class.class.words().to_owned(), &class.accuracy, Some((class.predicted, class.measured)))
    };
    let mut rows: Vec<Row> = document.classes.iter().map(of_class).collect();
    rows.extend(document.operators.map(|accuracy| row("all operators".to_owned(), &accuracy, None)));
    rows.extend(document.whole.map(|accuracy| row("steps".to_owned(), &accuracy, None)));
    let columns = ["compared", "MAPE", "bias", "worst", "predicted", "measured"].map(str::to_owned).to_vec();
    let title = "error of predictions".to_owned();
    Block::Table(Table { columns, right: vec![true; 6], groups: vec![Group { title, rows }] })
}

/// What speaks against taking the times as they are.
fn notes(document: &Document) -> Vec<String> {
    let mut notes = Vec::new();
    if document.doubtful > 0 {
        notes.push(format!(
            "{} of these times rest on few undisturbed samples, or scatter by more than 5 %: run it again on a quiet machine",
            document.doubtful
        ));
    }
    if !document.unclear.is_empty() {
        let called = |about: &About| match about {
            About::Class(class) => class.words(),
            About::Steps => "steps",
        };
        let what: Vec<&str> = document.unclear.iter().map(called).collect();
        let within = percent(document.header.threshold);
        notes.push(format!(
            "nothing can be told of {}: their times rest on few undisturbed samples, or scatter by more than {within}",
            what.join(", ")
        ));
    }
    notes
}

/// What was left out, in words.
fn left_out(document: &Document) -> String {
    let mut parts: Vec<String> = Vec::new();
    parts.extend(document.interrupted.then(|| "the run was interrupted".to_owned()));
    parts.extend(document.left_out.iter().map(|left_out| match left_out {
        LeftOut::Steps => {
            let is_absent = |step: &&StepRow| !matches!(step.whole, StepOutcome::Compared(_));
            match document.steps.iter().filter(is_absent).count() {
                count if count == document.steps.len() => "steps were not run as a whole".to_owned(),
                count => format!("{count} of {} steps were not run as a whole", document.steps.len()),
            }
        }
        LeftOut::Operators => {
            let least = document.steps.iter().map(|step| step.covered).fold(1.0, f64::min);
            format!("operators of up to {} of a step's predicted time were not run", percent(1.0 - least))
        }
    }));
    parts.join("; ")
}

fn verdict(document: &Document) -> Block {
    let (profile, within) = (&document.header.hardware.profile, percent(document.header.threshold));
    match document.verdict {
        None => Block::line("nothing could be compared", Tone::Bad),
        Some(Verdict::Holds) => Block::line(format!("{profile} describes this device within {within}"), Tone::Strong),
        Some(Verdict::Partly) => {
            let says = format!("what was run holds within {within} of {profile}; {}", left_out(document));
            Block::line(says, Tone::Strong)
        }
        Some(Verdict::Unclear) => {
            Block::line(format!("whether {profile} describes this device within {within} cannot be told"), Tone::Warn)
        }
        Some(Verdict::Fails) => {
            Block::line(format!("{profile} does not describe this device within {within}"), Tone::Warn)
        }
    }
}

fn time(time: Seconds) -> String {
    human(time.get(), Unit::Second).to_string()
}

/// A share with its sign.
fn signed(share: f64) -> String {
    let text = percent(share.abs());
    if share < 0.0 { format!("−{text}") } else { format!("+{text}") }
}

const fn tone(error: f64, threshold: f64) -> Tone {
    if error > threshold { Tone::Warn } else { Tone::Plain }
}
