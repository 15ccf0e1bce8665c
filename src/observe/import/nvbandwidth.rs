//! nvbandwidth: `-j`. The source of the fields is `json_output.cpp` of nvbandwidth.
//!
//! Values are text, `N/A` where a pair was not measured; GB are 1e9 bytes, latencies are in nanoseconds and their description says so. The sums count missing values
//! as 0 and are not taken. A fatal error may print the document twice, of which the last one counts.

use super::{GIGA, Importer, NANO, observation};
use crate::facts::DeviceKind;
use crate::observe::caveat::Caveat;
use crate::observe::document::{Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::node::Node;
use crate::observe::object::{Object, within};
use crate::observe::part::{Copy, Direction, End};
use crate::observe::text;
use crate::units::Unit;

pub(super) const IMPORTER: Importer = Importer {
    name: "nvbandwidth",
    gives: "rates of copies between host and devices, and between devices",
    hardware: true,
    sniff: |input| input.has(&["nvbandwidth"]),
    read,
};

fn read(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    let objects = input.objects()?;
    let Some(last) = objects.last() else { return Ok(Vec::new()) };
    let root = last.needed_object("nvbandwidth")?;
    let mut observation = observation(Tool::Nvbandwidth, root.word("version"), last.at());
    observation.subject.device_kind = Some(DeviceKind::Gpu);
    let names: Vec<String> = root.list("GPU Device list")?.iter().filter_map(Node::as_str).map(device).collect();
    observation.subject.devices = Some(names.len() as u64).filter(|&count| count > 0);
    observation.subject.device = names.into_iter().next().filter(|name| !name.is_empty());
    let mut not_run = 0;
    for case in root.objects("testcases")? {
        match case.raw("status") {
            Some("Passed") => observation.copies.push(copy(&case)?),
            _ => not_run += 1,
        }
    }
    if not_run > 0 {
        observation.note(Caveat::NotRun { cases: not_run });
    }
    Ok(vec![observation])
}

/// `0: NVIDIA H200 (00000000:19:00): (node0)` is an index, the name, an address, and the name of the host.
fn device(listed: &str) -> String {
    let name = listed.split_once(": ").map_or(listed, |(_, rest)| rest);
    text::clean(name.split(" (").next().unwrap_or(name))
}

fn copy(case: &Object<'_>) -> Result<Copy, ReadError> {
    let description = case.raw("bandwidth_description").unwrap_or_default();
    let is_latency = description.contains("(ns)");
    let (unit, factor) = if is_latency { (Unit::Second, NANO) } else { (Unit::BytePerSecond, GIGA) };
    let (rows, columns) = (end(description, "(row)"), end(description, "(column)"));
    let mut values = Vec::new();
    for (index, row) in case.list("bandwidth_matrix")?.iter().enumerate() {
        let at = || format!("{}[{index}]", case.place("bandwidth_matrix"));
        let Node::List(row) = row else { return Err(ReadError::at(at(), "expected a list of texts")) };
        values.push(row.iter().map(|value| cell(value, factor, &at)).collect::<Result<Vec<_>, _>>()?);
    }
    let name = case.word("name").ok_or_else(|| ReadError::at(case.place("name"), "expected a test case's name"))?;
    // Some cases write three tables, one below the other (there, back, and both), and describe the last one.
    let width = values.first().map_or(0, Vec::len);
    let height = if rows == Some(End::Device) && columns == Some(End::Device) { width } else { 1 };
    if height > 0 && values.len() > height && values.len() % height == 0 {
        values.drain(..values.len() - height);
    }
    Ok(Copy { name, rows, columns, direction: direction(description), unit, values, at: case.at().to_owned() })
}

fn cell(value: &Node, factor: f64, at: &impl Fn() -> String) -> Result<Option<f64>, ReadError> {
    let number = match value {
        Node::Text(word) if word == "N/A" => return Ok(None),
        Node::Text(word) => word.trim().parse().ok(),
        Node::Number(number) => number.as_f64(),
        _ => None,
    };
    let number = number.filter(|number: &f64| number.is_finite());
    let number = number.ok_or_else(|| ReadError::at(at(), "expected numbers, or `N/A`"))?;
    within(number, at).map(|number| (number > 0.0).then_some(number * factor))
}

/// What stands before `(row)` or `(column)`: `CPU(row) -> GPU(column)`.
fn end(description: &str, mark: &str) -> Option<End> {
    match description.split_once(mark)?.0.rsplit([' ', '>', '-', '<']).next()? {
        "CPU" => Some(End::Host),
        "GPU" => Some(End::Device),
        _ => None,
    }
}

fn direction(description: &str) -> Option<Direction> {
    if description.contains("<->") {
        Some(Direction::Both)
    } else if description.contains("->") {
        Some(Direction::RowToColumn)
    } else if description.contains("<-") {
        Some(Direction::ColumnToRow)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_device_loses_its_address_and_host() {
        assert_eq!(device("0: NVIDIA H200 (00000000:19:00): (node0)"), "NVIDIA H200");
        assert_eq!(device("1: NVIDIA H200 (00000000:3B:00)"), "NVIDIA H200");
    }

    #[test]
    fn ends_and_direction_stand_in_the_description() {
        let text = "memcpy CE CPU(row) <- GPU(column) bandwidth (GB/s)";
        assert_eq!((end(text, "(row)"), end(text, "(column)")), (Some(End::Host), Some(End::Device)));
        assert_eq!(direction(text), Some(Direction::ColumnToRow));
        assert_eq!(direction("GPU(row) <-> GPU(column)"), Some(Direction::Both));
        assert_eq!((end("", "(row)"), direction("")), (None, None));
    }
}
