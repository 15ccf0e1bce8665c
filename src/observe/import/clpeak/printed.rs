//! What clpeak prints: devices, below each its tests, below each its readings.

use super::form::device;
use super::{Reading, Run, meaning};
use crate::observe::error::ReadError;
use crate::observe::import::number;
use crate::observe::input::Input;
use crate::observe::text;

pub(super) fn runs(input: &Input<'_>) -> Result<Vec<Run>, ReadError> {
    let mut runs: Vec<Run> = Vec::new();
    let mut backend = None;
    let mut test: Option<(&str, String)> = None;
    for (line_number, line) in input.lines() {
        let line = line.trim();
        if line.is_empty() {
            test = None;
        } else if let Some(name) = line.strip_prefix("Backend: ") {
            backend = Some(text::clean(name));
        } else if let Some(name) = device(line) {
            test = None;
            runs.push(Run { backend: backend.clone(), device: Some(text::clean(name)), readings: Vec::new() });
        } else if let Some(found) = meaning::title(line) {
            test = Some(found);
        } else if let (Some((title, unit)), Some(run), Some((metric, value))) =
            (&test, runs.last_mut(), line.split_once(" : ").or_else(|| cut(line)))
        {
            // A reason in brackets stands in the place of a value that there is none of.
            if value.trim_start().starts_with('[') {
                continue;
            }
            let at = input.line(line_number);
            // A comparison with an earlier run may follow.
            let value = number(value.split_whitespace().next().unwrap_or_default(), &at)?;
            if value > 0.0 {
                let metric = text::clean(metric);
                run.readings.push(Reading { test: (*title).to_owned(), metric, unit: unit.clone(), value, at });
            }
        }
    }
    Ok(runs)
}

/// A line that ends where its value should begin.
fn cut(line: &str) -> Option<(&str, &str)> {
    line.strip_suffix(" :").map(|metric| (metric, ""))
}
