//! clpeak's JSON and CSV: a row for each reading.

use super::{Reading, Run};
use crate::observe::error::ReadError;
use crate::observe::import::number;
use crate::observe::input::Input;
use crate::observe::text;

/// The version that wrote a file, and what is in it.
type File = (Option<String>, Vec<Run>);

pub(super) fn json(input: &Input<'_>) -> Result<File, ReadError> {
    let mut runs = Vec::new();
    let mut version = None;
    for root in input.objects()? {
        version = version.or_else(|| root.word("clpeak_version"));
        for entry in root.objects("entries")? {
            // A row without a result says why.
            if entry.has("status") {
                continue;
            }
            let word =
                |field: &str| entry.word(field).ok_or_else(|| ReadError::at(entry.place(field), "expected a word"));
            let (test, metric, unit) = (word("test")?, word("metric")?, word("unit")?);
            let Some(value) = entry.positive("value")? else { continue };
            let at = entry.at().to_owned();
            add(&mut runs, entry.word("backend"), entry.word("device"), Reading { test, metric, unit, value, at });
        }
    }
    Ok((version, runs))
}

pub(super) fn csv(input: &Input<'_>) -> Result<File, ReadError> {
    let mut reader = ::csv::ReaderBuilder::new().flexible(true).from_reader(input.text().as_bytes());
    let at = |line: u64| input.line(usize::try_from(line).unwrap_or(usize::MAX));
    let names = reader.headers().map_err(|_| ReadError::at(at(1), "expected the names of columns"))?.clone();
    let column = |name: &str| {
        let found = names.iter().position(|column| column == name);
        found.ok_or_else(|| ReadError::at(at(1), format!("expected a column `{name}`")))
    };
    let (test, metric, unit, value) = (column("test")?, column("metric")?, column("unit")?, column("value")?);
    let (backend, device) = (column("backend")?, column("device")?);
    let mut runs = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(1, ::csv::Position::line);
            ReadError::at(at(line), "expected fields in quotes, with commas between")
        })?;
        let at = at(record.position().map_or(1, ::csv::Position::line));
        let field = |column: usize| record.get(column).map(text::clean);
        let needed = |column: usize| {
            let name = names.get(column).unwrap_or_default();
            field(column).ok_or_else(|| ReadError::at(&at, format!("expected a field `{name}`")))
        };
        let text = needed(value)?;
        // A row without a result says why in another column.
        if text.is_empty() {
            continue;
        }
        let value = number(&text, &at)?;
        let reading =
            Reading { test: needed(test)?, metric: needed(metric)?, unit: needed(unit)?, value, at: at.clone() };
        if value > 0.0 {
            add(&mut runs, field(backend), field(device), reading);
        }
    }
    Ok((None, runs))
}

/// Adds a reading to the run it belongs to.
fn add(runs: &mut Vec<Run>, backend: Option<String>, device: Option<String>, reading: Reading) {
    match runs.iter_mut().find(|run| run.backend == backend && run.device == device) {
        Some(run) => run.readings.push(reading),
        None => runs.push(Run { backend, device, readings: vec![reading] }),
    }
}
