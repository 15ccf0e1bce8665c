//! Two profiles side by side.

use super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::profile::{Change, Comparison, Verdict};
use crate::resource::{Overhead, Resource};
use crate::units::{Unit, human};

/// The comparison, without the curves' points: levels, peaks, latencies, links and overheads.
#[must_use]
pub fn comparison(comparison: &Comparison, before: &str, after: &str) -> Vec<Block> {
    let rows: Vec<Row> = comparison.changes.iter().filter(|change| !is_curve(change)).map(row).collect();
    if rows.is_empty() {
        return vec![Block::line("the profiles have nothing in common", Tone::Warn)];
    }
    let count = |wanted: &Verdict| comparison.changes.iter().filter(|change| change.verdict == *wanted).count();
    let total = format!(
        "{} better, {} worse, {} the same",
        count(&Verdict::Better),
        count(&Verdict::Worse),
        count(&Verdict::Same)
    );
    let mut notes = Vec::new();
    if let Some(change) = comparison.changes.iter().find(|change| is_launch(change))
        && let Some(ratio) = change.ratio().filter(|ratio| *ratio > MOVED || *ratio < 1.0 / MOVED)
    {
        notes.push(Block::line(
            format!("the cores lay differently: handing work between them took {ratio:.2}× the time; shared caches and memory differ with it"),
            Tone::Warn,
        ));
    }
    let columns = [before, after, "ratio", "at", "verdict"].map(str::to_owned).to_vec();
    let groups = vec![Group { title: "ceiling".to_owned(), rows }];
    let table = Block::Table(Table { columns, right: vec![true, true, true, true, false], groups });
    [table, Block::line(total, Tone::Strong)].into_iter().chain(notes).collect()
}

/// Change of the time between cores that is not scatter any more.
const MOVED: f64 = 1.5;

fn is_launch(change: &Change) -> bool {
    change.key.resource == Resource::Overhead { of: Overhead::Launch }
}

fn is_curve(change: &Change) -> bool {
    matches!(change.key.resource, Resource::Memory { level: None, .. } | Resource::Latency { level: None })
}

fn row(change: &Change) -> Row {
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| human(v, change.unit).to_string());
    let (verdict, tone) = match &change.verdict {
        Verdict::Same => ("same".to_owned(), Tone::Dim),
        Verdict::Better => ("better".to_owned(), Tone::Strong),
        Verdict::Worse => ("worse".to_owned(), Tone::Bad),
        Verdict::Unsure { flags } => (format!("unsure: {}", flags.join(", ")), Tone::Warn),
        Verdict::Claimed => ("measured against the datasheet".to_owned(), Tone::Dim),
        Verdict::OnlyBefore { reason } => (missing("second", reason.as_deref()), Tone::Dim),
        Verdict::OnlyAfter { reason } => (missing("first", reason.as_deref()), Tone::Dim),
    };
    Row {
        label: change.key.to_string(),
        cells: vec![
            Cell::plain(value(change.before)),
            Cell::plain(value(change.after)),
            Cell::plain(change.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}"))),
            Cell::plain(change.at.map_or_else(String::new, |at| human(at, Unit::Byte).to_string())),
            Cell::new(verdict, tone),
        ],
    }
}

fn missing(which: &str, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("not in the {which}: {reason}"),
        None => format!("not in the {which}"),
    }
}
