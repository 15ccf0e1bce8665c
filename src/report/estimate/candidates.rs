//! Ways to serve, the best first, and why the others are not.

use serde::Serialize;

use super::super::block::{Block, Cell, Group, Row, Table, Tone};
use super::served::rate;
use crate::estimate::Dimension;
use crate::estimate::serving::Metrics;

/// A way to serve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The format of the weights.
    pub weights: String,
    /// What else was changed.
    pub at: Vec<(Dimension, u64)>,
    /// Requests in flight, or in the batch.
    pub requests: Option<u64>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a way to serve.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It meets every requirement with the most throughput per device.
    Best(Metrics),
    /// It meets every requirement, with less.
    Slower(Metrics),
    /// It misses some requirements.
    Missed(Metrics, Vec<String>),
    /// It cannot be served.
    Impossible(String),
}

/// Ways that are not the best, of which so many are shown.
const SHOWN: usize = 20;

/// Ways to serve as a table.
#[must_use]
pub fn candidates(candidates: &[Candidate]) -> Vec<Block> {
    let (best, others): (Vec<_>, Vec<_>) =
        candidates.iter().partition(|candidate| matches!(candidate.verdict, Verdict::Best(_)));
    let mut groups = Vec::new();
    if !best.is_empty() {
        groups.push(Group { title: "best".to_owned(), rows: best.into_iter().map(row).collect() });
    }
    let more = others.len().saturating_sub(SHOWN);
    if !others.is_empty() {
        groups.push(Group { title: "others".to_owned(), rows: others.into_iter().take(SHOWN).map(row).collect() });
    }
    let columns = ["tokens/s a device", "for each user", "TTFT", "TPOT", "verdict"].map(str::to_owned).to_vec();
    let table = Block::Table(Table { columns, right: vec![true, true, true, true, false], groups });
    let mut blocks = vec![table];
    if more > 0 {
        blocks.push(Block::line(format!("and {more} more; `--format json` has all"), Tone::Dim));
    }
    if !candidates.iter().any(|candidate| matches!(candidate.verdict, Verdict::Best(_))) {
        blocks.push(Block::line("nothing that was tried meets the requirements", Tone::Bad));
    }
    blocks
}

fn row(candidate: &Candidate) -> Row {
    let mut label = candidate.weights.clone();
    for (dimension, value) in &candidate.at {
        label += &format!("  {dimension} {value}");
    }
    if let Some(requests) = candidate
        .requests
        .filter(|_| !candidate.at.iter().any(|(name, _)| matches!(name, Dimension::Batch | Dimension::Concurrency)))
    {
        label += &format!("  {requests} in flight");
    }
    let cells = match &candidate.verdict {
        Verdict::Best(metrics) => measured(metrics, Cell::new("meets all", Tone::Strong)),
        Verdict::Slower(metrics) => measured(metrics, Cell::new("meets all, slower", Tone::Dim)),
        Verdict::Missed(metrics, missed) => {
            measured(metrics, Cell::new(format!("misses {}", missed.join(", ")), Tone::Warn))
        }
        Verdict::Impossible(reason) => vec![Cell::new(reason.clone(), Tone::Bad)],
    };
    Row { label, cells }
}

fn measured(metrics: &Metrics, verdict: Cell) -> Vec<Cell> {
    vec![
        Cell::plain(rate(metrics.throughput_per_device)),
        Cell::plain(rate(metrics.throughput_per_user)),
        Cell::plain(metrics.ttft.mean.to_string()),
        Cell::plain(metrics.tpot.map_or_else(|| "–".to_owned(), |tpot| tpot.to_string())),
        verdict,
    ]
}
