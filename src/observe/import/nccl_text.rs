//! nccl-tests, the table that it prints. Lines that begin with `#` are headers; one of them names the columns.
//!
//! Versions differ in their columns, so that a value is found by the name of its column: five that say what, then `time`, `algbw`, `busbw` and more, once out of
//! place and once in place. The source is `writeResultHeader` in `src/util.cu` of nccl-tests.

use super::nccl_json::{add, version};
use super::{GIGA, Importer, MICRO, observation};
use crate::facts::DeviceKind;
use crate::observe::caveat::Caveat;
use crate::observe::document::{Format, Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::object::within;
use crate::observe::part::{Collective, CollectivePoint, CollectiveTiming, Operation};
use crate::observe::text;
use crate::units::{Bytes, BytesPerSecond, Seconds};

pub(super) const IMPORTER: Importer = Importer {
    name: "nccl-tests",
    gives: "times of collective operations over message sizes",
    hardware: true,
    sniff: |input| input.lines().any(|(_, line)| columns(line).is_some()),
    read,
};

/// The names of the columns, when a line has them.
fn columns(line: &str) -> Option<Vec<&str>> {
    let names: Vec<&str> = line.trim_start().strip_prefix('#')?.split_whitespace().collect();
    (names.first() == Some(&"size") && names.contains(&"algbw") && names.contains(&"busbw")).then_some(names)
}

/// Whether a line is a row of the table. NCCL's own messages, which begin with the name of a host, may stand between the rows.
fn is_row(line: &str) -> bool {
    line.split_whitespace().next().is_some_and(|size| size.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What the headers say.
#[derive(Default)]
struct Head {
    operation: Option<Operation>,
    version: Option<String>,
    nccl: Option<u64>,
    ranks: u64,
    device: Option<String>,
}

impl Head {
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.trim_start_matches('#').split_whitespace().collect();
        if let Some(rest) = line.strip_prefix("# nccl-tests version ") {
            self.version = rest.split_whitespace().next().map(text::clean);
            self.nccl = words
                .iter()
                .find_map(|word| word.strip_prefix("nccl-library="))
                .and_then(|code| code.parse::<u32>().ok())
                .map(u64::from);
        } else if let Some(program) = line.strip_prefix("# Collective test starting: ") {
            self.operation = Operation::of_program(program);
        } else if words.first() == Some(&"Rank") && words.contains(&"device") {
            self.ranks += 1;
            // The name of the host stands before `device`, that of the device after its address.
            let name = line.rsplit_once(']').map(|(_, name)| text::clean(name)).filter(|name| !name.is_empty());
            self.device = self.device.take().or(name);
        }
    }
}

fn read(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    let mut head = Head::default();
    let mut names = Vec::new();
    let mut observation = observation(Tool::NcclTests, None, &input.file);
    for (number, line) in input.lines() {
        if line.trim_start().starts_with('#') {
            head.read(line.trim_start());
            if let Some(found) = columns(line) {
                names = found;
            }
        } else if !names.is_empty() && is_row(line) {
            let row = Row { names: &names, values: line.split_whitespace().collect(), at: input.line(number) };
            let mut curve = row.curve(&mut observation)?;
            curve.operation = head.operation;
            curve.ranks = Some(head.ranks).filter(|&ranks| ranks > 0);
            add(&mut observation, curve);
        }
    }
    if let Some(source) = observation.sources.first_mut() {
        source.version = head.version;
    }
    observation.subject.engine = Some("nccl".to_owned());
    observation.subject.engine_version = head.nccl.map(version);
    observation.subject.device = head.device;
    observation.subject.device_kind = Some(DeviceKind::Gpu);
    observation.subject.devices = Some(head.ranks).filter(|&ranks| ranks > 0);
    Ok(vec![observation])
}

/// A line of the table.
struct Row<'a> {
    names: &'a [&'a str],
    values: Vec<&'a str>,
    at: String,
}

impl Row<'_> {
    fn fault(&self, column: &str, expected: &str) -> ReadError {
        ReadError::at(format!("{}, column `{column}`", self.at), format!("expected {expected}"))
    }

    fn number(&self, column: usize) -> Result<f64, ReadError> {
        let name = self.names.get(column).copied().unwrap_or_default();
        let word = self.values.get(column).copied().unwrap_or_default();
        let number = word.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
        within(number.ok_or_else(|| self.fault(name, "a number"))?, || self.at.clone())
    }

    fn word(&self, column: &str) -> Option<&str> {
        let index = self.names.iter().position(|name| *name == column)?;
        self.values.get(index).copied()
    }

    fn curve(&self, observation: &mut Observation) -> Result<Collective, ReadError> {
        let is_time = |name: &&str| matches!(*name, "time" | "cputime");
        let first = self.names.iter().position(is_time).ok_or_else(|| self.fault("time", "such a column"))?;
        let second = self.names.iter().skip(first + 1).position(is_time).map(|index| first + 1 + index);
        let block = second.map_or(self.names.len(), |second| second) - first;
        // Some runs are in place only, and leave the columns of the other empty.
        let is_half = second.is_some() && self.values.len() < first + 2 * block && self.values.len() >= first + block;
        let mut timing = |start: usize| self.timing(start, block, observation);
        let (out_of_place, in_place) = match second {
            _ if is_half => (None, Some(timing(first)?)),
            Some(second) => (Some(timing(first)?), Some(timing(second)?)),
            None => (Some(timing(first)?), None),
        };
        Ok(Collective {
            operation: None,
            ranks: None,
            format: self.word("type").and_then(Format::named),
            reduction: self.word("redop").map(text::clean).filter(|name| name != "none"),
            points: vec![CollectivePoint { size: Bytes(self.number(0)?), out_of_place, in_place, at: self.at.clone() }],
        })
    }

    fn timing(&self, start: usize, block: usize, observation: &mut Observation) -> Result<CollectiveTiming, ReadError> {
        let column = |name: &str| self.names.iter().skip(start).take(block).position(|other| *other == name);
        let rate = |name: &str| -> Result<Option<BytesPerSecond>, ReadError> {
            let rate = column(name).map(|index| self.number(start + index)).transpose()?;
            Ok(rate.filter(|&rate| rate > 0.0).map(|rate| BytesPerSecond(rate * GIGA)))
        };
        let time = self.number(start)?;
        if time <= 0.0 {
            return Err(self.fault("time", "a time above 0"));
        }
        if self.names.get(start) == Some(&"cputime") {
            observation.note(Caveat::HostTimed);
        }
        let wrong = column("#wrong").and_then(|index| self.values.get(start + index)?.parse::<f64>().ok());
        if let Some(elements) = wrong.filter(|&elements| elements > 0.0 && elements.is_finite()) {
            observation.note(Caveat::WrongResults { elements });
        }
        Ok(CollectiveTiming { time: Seconds(time * MICRO), algorithm_rate: rate("algbw")?, bus_rate: rate("busbw")? })
    }
}
