//! clpeak: what it prints, and what it writes with `--xml-file`, `--json-file` and `--csv-file`, of versions 1 and 2. The sources of the fields are `logger.cpp` and `xml_writer.h` of 1.1,
//! `result_store.cpp` and `logger_text.cpp` of 2.1.
//!
//! Each test has readings by the width of its vectors, of which the best counts. Values are means over iterations, without a spread; a value of 0 is none.

mod form;
mod meaning;
mod printed;
mod rows;
mod xml;

use super::{Importer, Observation, observation};
use crate::facts::DeviceKind;
use crate::observe::caveat::Caveat;
use crate::observe::document::Tool;
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::part::Rate;
use form::Form;

pub(super) const IMPORTER: Importer = Importer {
    name: "clpeak",
    gives: "peaks of arithmetic, bandwidths and latencies of a device",
    hardware: true,
    sniff: |input| Form::of(input).is_some(),
    read,
};

/// What was measured on a device through one interface.
#[derive(Debug, Default)]
struct Run {
    /// The interface, where the file says it: `CUDA`, `OpenCL`.
    backend: Option<String>,
    /// The device as clpeak names it.
    device: Option<String>,
    readings: Vec<Reading>,
}

/// A number of a test.
#[derive(Debug)]
struct Reading {
    /// The test, by its tag or by its title.
    test: String,
    /// Which of its variants.
    metric: String,
    /// The unit, as clpeak writes it.
    unit: String,
    value: f64,
    /// Where it stands.
    at: String,
}

fn read(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    let (version, runs) = match Form::of(input) {
        Some(Form::Json) => rows::json(input)?,
        Some(Form::Csv) => rows::csv(input)?,
        Some(Form::Xml) => xml::runs(input)?,
        Some(Form::Printed) => (None, printed::runs(input)?),
        None => return Ok(Vec::new()),
    };
    Ok(runs.into_iter().map(|run| of_run(input, version.clone(), run)).collect())
}

fn of_run(input: &Input<'_>, version: Option<String>, run: Run) -> Observation {
    let mut observation = observation(Tool::Clpeak, version, &input.file);
    observation.subject.device = run.device.filter(|device| !device.is_empty());
    observation.subject.device_kind = run.backend.as_deref().and_then(kind);
    let backend = run.backend.map_or_else(String::new, |backend| format!("{backend}, "));
    let mut without = 0;
    for reading in run.readings {
        let Some((resource, value)) = meaning::of(&reading) else {
            without += 1;
            continue;
        };
        let name = format!("{backend}{}", reading.metric);
        Rate { resource, bytes: None, value, name, at: reading.at }.put_if_best(&mut observation.rates);
    }
    if without > 0 {
        observation.note(Caveat::NoCounterpart { readings: without });
    }
    observation
}

/// What kind of device an interface reaches, where it reaches one kind alone: OpenCL and Vulkan also run on processors.
fn kind(backend: &str) -> Option<DeviceKind> {
    match backend {
        "CPU" => Some(DeviceKind::Cpu),
        "CUDA" | "ROCm" | "Metal" => Some(DeviceKind::Gpu),
        _ => None,
    }
}
