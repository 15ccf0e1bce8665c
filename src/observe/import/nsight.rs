//! Nsight Compute: CSV with a line for each metric (`--csv`), or a line for each kernel and the units below the names (`--page raw --csv`).
//!
//! Numbers have thousands separators, units vary by version. Names of processes and hosts are not looked at. The profiler replays each kernel, so that its bytes hold
//! and its times do not.

mod metric;

use std::collections::BTreeMap;

use csv::StringRecord;

use super::{Importer, observation};
use crate::observe::caveat::Caveat;
use crate::observe::document::{Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::metric::Distribution;
use crate::observe::part::{Kernel, KernelOperations};
use crate::observe::text;
use metric::{FORMATS, Item, item, number};

pub(super) const IMPORTER: Importer = Importer {
    name: "Nsight Compute (CSV)",
    gives: "times and bytes of kernels",
    hardware: false,
    sniff: |input| header(input).is_some(),
    read,
};

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
    /// Metrics of operations that were counted: the same one may stand in several sections.
    counted: Vec<String>,
}

impl Launch {
    /// Takes a number, the first of each kind; operations of one format add up over their instructions.
    fn add(&mut self, item: Item, metric: &str, number: f64) {
        if !matches!(item, Item::Operations(_)) {
            self.items.entry(item).or_insert(number);
            return;
        }
        // Newer versions count the same instructions for the multiprocessor and for its parts.
        let name = metric.strip_prefix("smsp__").or_else(|| metric.strip_prefix("sm__")).unwrap_or(metric);
        if !self.counted.iter().any(|counted| counted == name) {
            self.counted.push(name.to_owned());
            *self.items.entry(item).or_insert(0.0) += number;
        }
    }

    /// Bytes of main memory that are not told apart: themselves, or their rate over the time.
    fn moved(&self) -> Option<f64> {
        let of = |item| self.items.get(&item).copied();
        if of(Item::Read).is_some() || of(Item::Written).is_some() {
            return None;
        }
        of(Item::Moved).or_else(|| Some(of(Item::MovedRate)? * of(Item::Time)?))
    }
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
        let Some((item, counts)) = item(&row[metric], &row[unit]) else { continue };
        if let (Some(number), Some(launch)) = (number(item, &row[value], &row[unit], at)?, launches.get_mut(place)) {
            launch.add(item, &row[metric], number * counts);
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
    let Some(((_, units), rows)) = table.rows.split_first() else { return Ok(Vec::new()) };
    let columns = table.names.iter().zip(units).enumerate();
    let metrics: Vec<(usize, &str, (Item, f64))> =
        columns.filter_map(|(column, (name, unit))| Some((column, name, item(name, unit)?))).collect();
    rows.iter()
        .map(|(at, row)| {
            let mut launch = launch(row, name, grid, at);
            for &(column, metric, (item, counts)) in &metrics {
                if let Some(number) = number(item, &row[column], &units[column], at)? {
                    launch.add(item, metric, number * counts);
                }
            }
            Ok(launch)
        })
        .collect()
}

fn launch(row: &StringRecord, name: usize, grid: Option<usize>, at: &str) -> Launch {
    let grid = grid.and_then(|column| row.get(column)).map(text::clean).filter(|grid| !grid.is_empty());
    Launch { name: text::clean(&row[name]), grid, at: at.to_owned(), items: BTreeMap::new(), counted: Vec::new() }
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
                Distribution::of_samples(samples)
            };
            let first = group.first()?;
            let moved: Vec<f64> = group.iter().filter_map(Launch::moved).collect();
            let operations = FORMATS.iter().enumerate().map(|(index, &(tensor, input, accumulate))| KernelOperations {
                tensor,
                input,
                accumulate,
                count: values(Item::Operations(index)),
            });
            Some(Kernel {
                name: first.name.clone(),
                grid: first.grid.clone(),
                launches: group.len() as u64,
                time: values(Item::Time),
                memory_read: values(Item::Read),
                memory_written: values(Item::Written),
                memory_moved: Distribution::of_samples(moved),
                cache_moved: values(Item::Cache),
                operations: operations.filter(|operations| !operations.count.is_empty()).collect(),
                clock: values(Item::Clock),
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
    fn what_stands_twice_counts_once_and_a_rate_is_bytes_over_the_time() {
        let mut launch =
            Launch { name: String::new(), grid: None, at: String::new(), items: BTreeMap::new(), counted: Vec::new() };
        for (metric, number) in [
            ("sm__sass_thread_inst_executed_op_ffma_pred_on.sum", 10.0),
            ("smsp__sass_thread_inst_executed_op_ffma_pred_on.sum", 10.0),
            ("sm__sass_thread_inst_executed_op_fadd_pred_on.sum", 1.0),
        ] {
            launch.add(Item::Operations(1), metric, number);
        }
        assert_eq!(launch.items[&Item::Operations(1)], 11.0);
        launch.add(Item::MovedRate, "Memory Throughput", 2e12);
        launch.add(Item::Time, "Duration", 1e-6);
        assert_eq!(launch.moved(), Some(2e6));
        launch.add(Item::Read, "dram__bytes_read.sum", 5.0);
        assert_eq!(launch.moved(), None);
    }
}
