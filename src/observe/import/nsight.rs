//! Nsight Compute: CSV with a line for each metric (`--csv`), or a line for each kernel and the units below the names (`--page raw --csv`).
//!
//! Numbers have thousands separators, units vary by version. Names of processes and hosts are not looked at. The profiler replays each kernel, so that its bytes hold
//! and its times do not.

use std::collections::BTreeMap;

use csv::StringRecord;

use super::{Importer, observation};
use crate::observe::caveat::Caveat;
use crate::observe::document::{Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::metric::Distribution;
use crate::observe::object::within;
use crate::observe::part::Kernel;
use crate::observe::text;

pub(super) const IMPORTER: Importer = Importer {
    name: "Nsight Compute (CSV)",
    gives: "times and bytes of kernels",
    sniff: |input| header(input).is_some(),
    read,
};

/// A number of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Time,
    Read,
    Written,
    Cache,
    Compute,
}

/// The metrics that are read, by the names of both pages.
const METRICS: [(&str, Item); 7] = [
    ("gpu__time_duration.sum", Item::Time),
    ("gpu__time_duration.avg", Item::Time),
    ("Duration", Item::Time),
    ("dram__bytes_read.sum", Item::Read),
    ("dram__bytes_write.sum", Item::Written),
    ("lts__t_bytes.sum", Item::Cache),
    ("sm__throughput.avg.pct_of_peak_sustained_elapsed", Item::Compute),
];

/// Units and what they are in base units.
const UNITS: [(&str, f64); 17] = [
    ("ns", 1e-9),
    ("nsecond", 1e-9),
    ("us", 1e-6),
    ("usecond", 1e-6),
    ("ms", 1e-3),
    ("msecond", 1e-3),
    ("s", 1.0),
    ("second", 1.0),
    ("byte", 1.0),
    ("Kbyte", 1e3),
    ("Mbyte", 1e6),
    ("Gbyte", 1e9),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
    ("%", 0.01),
];

fn item(name: &str) -> Option<Item> {
    METRICS.iter().find(|(metric, _)| *metric == name).map(|(_, item)| *item)
}

/// The line of the names of the columns. The profiler's own messages may stand before it.
fn header(input: &Input<'_>) -> Option<usize> {
    let is_header = |line: &str| line.trim_start().starts_with("\"ID\",\"Process ID\",\"Process Name\"");
    input.lines().find(|(_, line)| is_header(line)).map(|(number, _)| number)
}

/// The table, and where a fault in it is.
struct Table {
    names: StringRecord,
    rows: Vec<(String, StringRecord)>,
}

impl Table {
    fn read(input: &Input<'_>, header: usize) -> Result<Self, ReadError> {
        // Messages of the profiler may also stand between and after the rows.
        let is_row = |line: &&str| !line.starts_with("==");
        let text: String =
            input.lines().skip(header - 1).map(|(_, line)| line).filter(is_row).flat_map(|line| [line, "\n"]).collect();
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let broken = |_| ReadError::at(&input.file, "expected comma-separated values below the names of the columns");
        let names = reader.headers().map_err(broken)?.clone();
        let mut rows = Vec::new();
        for (index, record) in reader.records().enumerate() {
            let record = record.map_err(broken)?;
            let at = format!("{}, row {}", input.file, index + 1);
            if record.len() != names.len() {
                let problem = format!("expected {} columns; there are {}", names.len(), record.len());
                return Err(ReadError::at(at, problem));
            }
            rows.push((at, record));
        }
        Ok(Self { names, rows })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|column| column == name)
    }
}

/// A launch of a kernel.
struct Launch {
    name: String,
    grid: Option<String>,
    at: String,
    items: BTreeMap<Item, f64>,
}

fn read(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    let Some(header) = header(input) else { return Ok(Vec::new()) };
    let table = Table::read(input, header)?;
    let launches = if table.column("Metric Name").is_some() { long(&table)? } else { wide(&table)? };
    let mut observation = observation(Tool::NsightCompute, None, &input.file);
    observation.kernels = kernels(launches);
    observation.note(Caveat::Profiled);
    Ok(vec![observation])
}

/// A line for each metric of each launch.
fn long(table: &Table) -> Result<Vec<Launch>, ReadError> {
    let column = |name: &str| {
        table.column(name).ok_or_else(|| ReadError::at("the names of the columns", format!("expected `{name}`")))
    };
    let (id, process, name) = (column("ID")?, column("Process ID")?, column("Kernel Name")?);
    let (metric, unit, value) = (column("Metric Name")?, column("Metric Unit")?, column("Metric Value")?);
    let grid = table.column("Grid Size");
    let mut places = BTreeMap::new();
    let mut launches: Vec<Launch> = Vec::new();
    for (at, row) in &table.rows {
        let key = (row[id].to_owned(), row[process].to_owned());
        let place = *places.entry(key).or_insert_with(|| {
            launches.push(launch(row, name, grid, at));
            launches.len() - 1
        });
        let Some(item) = item(&row[metric]) else { continue };
        if let (Some(number), Some(launch)) = (number(&row[value], &row[unit], at)?, launches.get_mut(place)) {
            launch.items.entry(item).or_insert(number);
        }
    }
    Ok(launches)
}

/// A line for each launch, a column for each metric, the units in the first line.
fn wide(table: &Table) -> Result<Vec<Launch>, ReadError> {
    let name = table
        .column("Kernel Name")
        .ok_or_else(|| ReadError::at("the names of the columns", "expected `Kernel Name`"))?;
    let grid = table.column("Grid Size");
    let metrics: Vec<(usize, Item)> =
        table.names.iter().enumerate().filter_map(|(column, name)| item(name).map(|item| (column, item))).collect();
    let Some(((_, units), rows)) = table.rows.split_first() else { return Ok(Vec::new()) };
    rows.iter()
        .map(|(at, row)| {
            let mut launch = launch(row, name, grid, at);
            for &(column, item) in &metrics {
                if let Some(number) = number(&row[column], &units[column], at)? {
                    launch.items.entry(item).or_insert(number);
                }
            }
            Ok(launch)
        })
        .collect()
}

fn launch(row: &StringRecord, name: usize, grid: Option<usize>, at: &str) -> Launch {
    let grid = grid.and_then(|column| row.get(column)).map(text::clean).filter(|grid| !grid.is_empty());
    Launch { name: text::clean(&row[name]), grid, at: at.to_owned(), items: BTreeMap::new() }
}

/// `1,205.00` with its unit in base units; none for `n/a`. Without a unit the value is taken to be in the base unit, as `--print-units base` writes it.
fn number(word: &str, unit: &str, at: &str) -> Result<Option<f64>, ReadError> {
    let word = word.trim();
    if word.is_empty() || word.eq_ignore_ascii_case("n/a") || word.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    let number = ungrouped(word).and_then(|word| word.parse::<f64>().ok()).filter(|number| number.is_finite());
    let number = number.ok_or_else(|| ReadError::at(at, "expected a number such as `1,205.00`"))?;
    let known = UNITS.iter().find(|(name, _)| *name == unit.trim());
    let (_, factor) =
        known.ok_or_else(|| ReadError::at(at, "expected a unit of time, bytes or `%` beside the value"))?;
    let number = within(number, || at.to_owned())?;
    Ok(Some(number * factor).filter(|&number| number >= 0.0))
}

/// A number without its thousands separators. A comma that separates anything but three digits is a decimal comma, which could be mistaken for one.
fn ungrouped(word: &str) -> Option<String> {
    let (whole, part) = word.split_once('.').map_or((word, None), |(whole, part)| (whole, Some(part)));
    let groups_fit = whole.split(',').skip(1).all(|group| group.len() == 3);
    if !groups_fit || part.is_some_and(|part| part.contains(',')) {
        return None;
    }
    Some(word.replace(',', ""))
}

/// Launches of one kernel with one grid together, in the order of their first ones.
fn kernels(launches: Vec<Launch>) -> Vec<Kernel> {
    let mut places: BTreeMap<(String, Option<String>), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<Launch>> = Vec::new();
    for launch in launches.into_iter().filter(|launch| !launch.items.is_empty()) {
        let place = *places.entry((launch.name.clone(), launch.grid.clone())).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(launch),
            None => groups.push(vec![launch]),
        }
    }
    groups
        .into_iter()
        .filter_map(|group| {
            let values = |item| {
                let samples: Vec<f64> = group.iter().filter_map(|launch| launch.items.get(&item).copied()).collect();
                Distribution::of_samples(&samples)
            };
            let first = group.first()?;
            Some(Kernel {
                name: first.name.clone(),
                grid: first.grid.clone(),
                launches: group.len() as u64,
                time: values(Item::Time),
                memory_read: values(Item::Read),
                memory_written: values(Item::Written),
                cache_moved: values(Item::Cache),
                compute_share: values(Item::Compute),
                at: first.at.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(number("1,205.00", "us", "x").unwrap(), Some(1205.0e-6));
        assert_eq!(number("117,571,584", "byte", "x").unwrap(), Some(117_571_584.0));
        assert_eq!(number("n/a", "", "x").unwrap(), None);
        for (word, unit) in [("1205,00", "us"), ("1.205,00", "us"), ("x", "us"), ("1", "furlong"), ("1e300", "us")] {
            assert!(number(word, unit, "x").is_err(), "{word} {unit}");
        }
    }
}
