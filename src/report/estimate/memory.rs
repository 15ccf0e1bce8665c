//! What fits into memory, and what would make it fit.

use super::super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::estimate::memory::{Budget, Remedy};
use crate::estimate::{Answer, ScenarioFacts};
use crate::units::{Bytes, Unit, human, percent};

/// Where the memory of a device goes.
pub(super) fn memory(answer: &Answer, scenario: &ScenarioFacts) -> Vec<Block> {
    let admission = &answer.memory;
    let total = answer.hardware.memory;
    let row = |label: &str, bytes: Bytes| Row {
        label: label.to_owned(),
        cells: vec![
            Cell::plain(human(bytes.get(), Unit::Byte).to_string()),
            Cell::new(share(bytes, total), Tone::Dim),
            Cell::plain(""),
        ],
    };
    let mut rows: Vec<Row> =
        admission.lines.iter().filter(|line| line.bytes.get() > 0.0).map(|line| row(line.what, line.bytes)).collect();
    rows.push(row("room for the cache", Bytes(admission.cache_budget.get().max(0.0))));
    if let Some(last) = rows.last_mut() {
        last.cells[2] = Cell::new(policy(scenario.budget), Tone::Dim);
    }
    let columns = ["bytes", "of the device", ""].map(str::to_owned).to_vec();
    let title = if answer.hardware.devices > 1 { "memory of a device" } else { "memory" };
    let table =
        Table { columns, right: vec![true, true, false], groups: vec![Group { title: title.to_owned(), rows }] };
    let blocks = [Block::Table(table), verdict(answer)].into_iter().chain(outside(answer));
    blocks.chain(unreserved(scenario)).collect()
}

/// What is counted as nothing.
fn unreserved(scenario: &ScenarioFacts) -> Option<Block> {
    let text = "drivers, libraries and captured graphs are counted as nothing: `--reserve` says what they keep";
    (scenario.reserve.get() <= 0.0).then(|| Block::line(text, Tone::Dim))
}

/// What lies outside of the device's memory.
fn outside(answer: &Answer) -> Option<Block> {
    let lines = &answer.memory.outside;
    let words: Vec<String> =
        lines.iter().map(|line| format!("{} of {}", human(line.bytes.get(), Unit::Byte), line.what)).collect();
    (!words.is_empty()).then(|| Block::line(format!("outside of it: {}", words.join(", ")), Tone::Plain))
}

fn share(bytes: Bytes, total: Bytes) -> String {
    if total.get() > 0.0 { percent(bytes / total) } else { "–".to_owned() }
}

fn policy(budget: Budget) -> String {
    match budget {
        Budget::OfTotal(fraction) => format!("{} of all memory may be used", percent(fraction)),
        Budget::OfFree(fraction) => format!("{} of what is free after the weights", percent(fraction)),
    }
}

fn verdict(answer: &Answer) -> Block {
    let admission = &answer.memory;
    let many = |count: Option<u64>| count.map_or_else(|| "any number of".to_owned(), |count| count.to_string());
    match admission.over {
        None => Block::line(
            format!(
                "fits: up to {} sequences of this length; up to {} tokens each",
                many(admission.largest_batch),
                many(admission.longest_context)
            ),
            Tone::Plain,
        ),
        Some(over) => {
            let remedies: Vec<String> = admission.remedies.iter().map(remedy).collect();
            let remedies =
                if remedies.is_empty() { "nothing tried makes it fit".to_owned() } else { remedies.join("; or ") };
            Block::line(format!("does not fit, by {}: {remedies}", human(over.get(), Unit::Byte)), Tone::Bad)
        }
    }
}

/// A change that makes it fit, in words.
fn remedy(remedy: &Remedy) -> String {
    match remedy {
        Remedy::Batch(batch) => format!("no more than {batch} sequences"),
        Remedy::Context(tokens) => format!("no more than {tokens} tokens each"),
        Remedy::Kv(format) => format!("a cache of {format}"),
        Remedy::WeightBits(bits) => format!("weights of {bits:.1} bits, as `--weights` gives them"),
        Remedy::Devices(devices) => format!("`--tp {devices}`"),
        Remedy::Chunk(tokens) => format!("`--chunk {tokens}`"),
    }
}
