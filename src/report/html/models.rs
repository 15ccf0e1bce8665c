//! What models would do on a machine: those that fit, those that are too large, and those of which nothing can be said.

use super::{Part, Section};
use crate::estimate::cost::Knowledge;
use crate::estimate::{Account, Document, LoadFacts};
use crate::profile::Profile;
use crate::report::estimate::load_line;
use crate::report::{Block, Cell, Group, Row, Table, Tone, breakdown, frontier};
use crate::units::{Bytes, Unit, human, percent};

/// A model that was tried on a device.
#[derive(Clone, Debug)]
pub struct Rated {
    /// What it is called.
    pub model: String,
    /// What it comes to in each format of its weights that was tried.
    pub runs: Vec<Run>,
}

/// What a model in a format comes to on a device.
#[derive(Clone, Debug)]
pub enum Run {
    /// An estimate, with the frontier. Whether the model fits is in it.
    Estimated(Box<Document>),
    /// There is no estimate.
    Refused {
        /// The format of its weights, in words.
        weights: String,
        /// Why.
        why: String,
    },
}

impl Rated {
    fn estimates(&self) -> impl Iterator<Item = &Document> {
        self.runs.iter().filter_map(|run| match run {
            Run::Estimated(document) => Some(document.as_ref()),
            Run::Refused { .. } => None,
        })
    }

    /// The estimates in formats that fit.
    fn fitting(&self) -> impl Iterator<Item = &Document> {
        self.estimates().filter(|document| document.estimate.memory.over.is_none())
    }

    /// The estimate in the format that needs the least memory, where none fits.
    fn too_large(&self) -> Option<&Document> {
        let least = self.estimates().min_by(|a, b| needs(a).get().total_cmp(&needs(b).get()));
        least.filter(|_| self.fitting().next().is_none())
    }

    /// What there is no estimate of, and why. A model that is refused in each format for one reason is named once.
    fn refused(&self) -> Vec<(String, &str)> {
        let refused = self.runs.iter().filter_map(|run| match run {
            Run::Estimated(_) => None,
            Run::Refused { weights, why } => Some((weights, why.as_str())),
        });
        let refused: Vec<(&String, &str)> = refused.collect();
        match refused.as_slice() {
            [] => Vec::new(),
            [(_, why), ..] if refused.len() == self.runs.len() && refused.iter().all(|(_, other)| other == why) => {
                vec![(self.model.clone(), why)]
            }
            _ => {
                let name = |weights: &String| format!("{} with {} weights", self.model, bare(weights));
                refused.into_iter().map(|(weights, why)| (name(weights), why)).collect()
            }
        }
    }
}

/// Requests in flight of the column for several.
const SEVERAL: u64 = 16;

/// What models would do here.
pub(super) fn models(profile: &Profile, models: &[Rated]) -> Option<Section> {
    if models.is_empty() {
        return None;
    }
    let rows: Vec<Row> = models.iter().flat_map(Rated::fitting).map(model_row).collect();
    let mut blocks = Vec::new();
    if !rows.is_empty() {
        let columns = ["weights", "tokens/s", "first token", "16 users", "memory", "a token waits for", "known"];
        blocks.push(Block::Table(Table {
            columns: columns.map(str::to_owned).to_vec(),
            right: vec![false, true, true, true, true, false, false],
            groups: vec![Group { title: "model".to_owned(), rows }],
        }));
    }
    let too_large: Vec<String> = models
        .iter()
        .filter_map(|rated| {
            let document = rated.too_large()?;
            Some(format!("{} ({} with {} weights)", rated.model, needs(document), weights(document)))
        })
        .collect();
    if !too_large.is_empty() {
        blocks.push(Block::line(format!("Too large for this memory: {}.", too_large.join(", ")), Tone::Dim));
    }
    blocks.extend(refusals(models).into_iter().map(|text| Block::line(text, Tone::Warn)));
    let mut parts = vec![Part::Blocks(blocks)];
    if let Some(document) = example(models) {
        parts.extend(breakdown(document).into_iter().map(|chart| Part::Chart(Box::new(chart))));
        let name = format!("{} with {} weights", document.model.name, document.model.weights);
        let chart = frontier(&[(name, &document.estimate)]);
        if !chart.is_empty() && document.estimate.frontier.len() > 1 {
            parts.push(Part::Chart(Box::new(chart)));
        }
    }
    Some(Section { title: "What models would do here".to_owned(), lead: lead(profile, models), parts })
}

/// What the estimates are of, and what the columns say.
fn lead(profile: &Profile, models: &[Rated]) -> String {
    let known = if profile.instrument.is_some() {
        "from the ceilings measured here"
    } else if profile.is_imported() {
        "from values of other tools and the maker's figures: rooflab measured nothing, so that these are bounds rather than predictions"
    } else {
        "from the maker's figures alone: nothing was measured, so that these are bounds rather than predictions"
    };
    let Some(document) = models.iter().flat_map(Rated::estimates).next() else { return format!("Estimates {known}.") };
    let memory = document.estimate.hardware.memory.get();
    let memory = if memory == profile.device.memory as f64 {
        String::new()
    } else {
        format!(", with {} of memory", human(memory, Unit::Byte))
    };
    let user = if document.scenario.load == LoadFacts::Batch(1) { "a single user" } else { "each user" };
    format!(
        "Estimates {known}. They are of {}{memory}. “tokens/s” and “first token” are what {user} gets; “16 users” is the tokens per second of 16 requests in flight together, or of as many as fit. “known” says what they rest on most; where it says substituted, another resource was measured and stands for it.",
        load_line(&document.scenario)
    )
}

/// What there is no estimate of, a line for each reason.
fn refusals(models: &[Rated]) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for (name, why) in models.iter().flat_map(Rated::refused) {
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    reasons.into_iter().map(|(why, names)| format!("{}: {why}", names.join(", "))).collect()
}

/// Bytes that a device keeps.
fn needs(document: &Document) -> Bytes {
    document.estimate.memory.lines.iter().map(|line| line.bytes).sum()
}

/// The format of the weights.
fn weights(document: &Document) -> String {
    bare(&document.model.weights)
}

/// A format without the word that it is the model's own.
fn bare(weights: &str) -> String {
    weights.replace(" (as stored)", "")
}

fn model_row(document: &Document) -> Row {
    let estimate = &document.estimate;
    let metrics = estimate.served.metrics();
    let number = |value: f64| match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    let dash = || Cell::new("–", Tone::Dim);
    let several = estimate.frontier.iter().rfind(|point| point.concurrency <= SEVERAL);
    let several = several.map(|point| match point.concurrency {
        SEVERAL => Cell::plain(number(point.metrics.throughput)),
        fewer => Cell::plain(format!("{} ({fewer})", number(point.metrics.throughput))),
    });
    let bound = estimate.decode.by_bound.first().map_or("", |share| share.of.word());
    Row {
        label: document.model.name.clone(),
        cells: vec![
            Cell::new(weights(document), Tone::Dim),
            metrics.map_or_else(dash, |metrics| Cell::new(number(metrics.throughput_per_user), Tone::Strong)),
            metrics.map_or_else(dash, |metrics| Cell::plain(metrics.ttft.mean.to_string())),
            several.unwrap_or_else(dash),
            Cell::plain(needs(document).to_string()),
            Cell::plain(bound),
            known(&estimate.decode),
        ],
    }
}

/// How most of a step's time is known.
fn known(account: &Account) -> Cell {
    let own: f64 = account.by_knowledge.iter().filter(|share| share.of.is_own()).map(|share| share.share).sum();
    match account.by_knowledge.first() {
        Some(most) if most.of == Knowledge::Datasheet => Cell::new("datasheet", Tone::Dim),
        _ if own > 0.995 => Cell::new("measured", Tone::Dim),
        Some(most) if own < 0.5 => Cell::new(most.of.word(), Tone::Warn),
        _ => Cell::new(format!("{} measured", percent(own)), Tone::Dim),
    }
}

/// The estimate that is shown in pictures: of the most parameters among those of up to ten billion that fit; else the first that does.
pub(super) fn example(models: &[Rated]) -> Option<&Document> {
    let fitting = || models.iter().filter_map(|rated| rated.fitting().next());
    let common = fitting().filter(|document| document.model.parameters <= 10_000_000_000);
    common.max_by_key(|document| document.model.parameters).or_else(|| fitting().next())
}
