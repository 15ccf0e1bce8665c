//! Two profiles side by side.

use super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::profile::{Change, Comparison, Verdict};
use crate::resource::{Overhead, Resource};
use crate::units::{Unit, human, percent};

/// The comparison, without the curves' points: levels, peaks, latencies, links and overheads.
#[must_use]
pub fn comparison(comparison: &Comparison, before: &str, after: &str) -> Vec<Block> {
    let rows: Vec<Row> = comparison.changes.iter().filter(|change| !is_curve(change)).map(row).collect();
    if rows.is_empty() {
        return vec![Block::line("the profiles have nothing in common", Tone::Warn)];
    }
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
    [table, Block::line(total(comparison), Tone::Strong)].into_iter().chain(notes).collect()
}

/// The comparison in a line.
fn total(comparison: &Comparison) -> String {
    let verdicts = || comparison.changes.iter().map(|change| &change.verdict);
    let count = |wanted: fn(&Verdict) -> bool| verdicts().filter(|verdict| wanted(verdict)).count();
    let shares = || {
        verdicts().filter_map(|verdict| match verdict {
            Verdict::Claimed { share, .. } => Some(*share),
            _ => None,
        })
    };
    let unmeasured = count(|verdict| matches!(verdict, Verdict::Unmeasured { .. }));
    if let Some(least) = shares().reduce(f64::min) {
        let most = shares().fold(least, f64::max);
        return format!(
            "{} measured: {} to {} of the datasheet; {unmeasured} not measured",
            shares().count(),
            percent(least),
            percent(most)
        );
    }
    if unmeasured > 0 {
        return "nothing that the datasheet states was measured".to_owned();
    }
    let stated = count(|verdict| *verdict == Verdict::Stated);
    if stated > 0 {
        return format!("two datasheets, {stated} figures in common; nothing of this was measured");
    }
    format!(
        "{} better, {} worse, {} the same",
        count(|verdict| *verdict == Verdict::Better),
        count(|verdict| *verdict == Verdict::Worse),
        count(|verdict| *verdict == Verdict::Same)
    )
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
        Verdict::Claimed { share, flags } if flags.is_empty() => {
            (format!("{} of the datasheet", percent(*share)), Tone::Strong)
        }
        Verdict::Claimed { share, flags } => {
            (format!("{} of the datasheet: {}", percent(*share), flags.join(", ")), Tone::Warn)
        }
        Verdict::Unmeasured { reason: Some(reason) } => (format!("not measured: {reason}"), Tone::Dim),
        Verdict::Unmeasured { reason: None } => ("not measured".to_owned(), Tone::Dim),
        Verdict::Imported { by } => (format!("by {}, not judged", by.join(" and ")), Tone::Warn),
        Verdict::Stated => ("stated by both".to_owned(), Tone::Dim),
        Verdict::OnlyBefore { reason } => (missing("second", reason.as_deref()), Tone::Dim),
        Verdict::OnlyAfter { reason } => (missing("first", reason.as_deref()), Tone::Dim),
    };
    Row {
        label: change.key.to_string(),
        cells: vec![
            Cell::plain(value(change.before)),
            Cell::plain(value(change.after)),
            Cell::plain(change.ratio().map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}"))),
            Cell::plain(match (change.at, change.shape) {
                (Some(at), _) => human(at, Unit::Byte).to_string(),
                (None, Some(shape)) => shape.to_string(),
                (None, None) => String::new(),
            }),
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
