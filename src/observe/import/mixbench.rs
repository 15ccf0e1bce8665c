//! mixbench: the table that it prints with commas between, below what it says of the device. The sources are `mix_kernels_*` and `main-*` of its CUDA, HIP, OpenCL, SYCL and CPU versions.
//!
//! Each row is a kernel with more operations for each byte than the one before, in several formats side by side. The best rate of arithmetic over all rows is a peak, the best rate of bytes the
//! bandwidth of loads. Times are of one launch each, without a spread; formats that the device lacks have the time 0, and `inf` for rates.

use super::{GIGA, Importer, number, observation};
use crate::dtype::DType;
use crate::facts::DeviceKind;
use crate::observe::document::{Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::part::Rate;
use crate::observe::text;
use crate::resource::{Access, ComputeUnit, MemoryLevel, Resource, StreamOp};

pub(super) const IMPORTER: Importer = Importer {
    name: "mixbench",
    gives: "peaks of arithmetic and the bandwidth of memory",
    hardware: true,
    sniff: |input| input.lines().any(|(_, line)| is_head(line)),
    read,
};

/// The columns of a format, by how its title begins, and what is multiplied and summed there.
const GROUPS: &[(&str, DType)] = &[
    ("single precision", DType::F32),
    ("packed single precision", DType::F32),
    ("double precision", DType::F64),
    ("half precision", DType::F16),
    ("integer", DType::Int32),
];

fn is_head(line: &str) -> bool {
    line.trim_start().starts_with("Experiment ID,")
}

/// The columns of one format.
struct Group {
    title: String,
    dtype: DType,
    arithmetic: usize,
    bytes: usize,
}

fn read(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    let mut observation = observation(Tool::Mixbench, None, &input.file);
    let mut titles: Option<&str> = None;
    let mut groups: Vec<Group> = Vec::new();
    for (line_number, line) in input.lines() {
        let line = line.trim();
        let at = || input.line(line_number);
        if let Some(titles) = titles.take() {
            groups = columns(titles, line, &at())?;
        } else if is_head(line) {
            titles = Some(line);
        } else if groups.is_empty() {
            about(line, &mut observation);
        } else if line.starts_with(|c: char| c.is_ascii_digit()) {
            row(&mut observation, &groups, line, &at())?;
        }
    }
    Ok(vec![observation])
}

/// What stands above the table: the version, and the device.
fn about(line: &str, observation: &mut Observation) {
    if let Some(rest) = line.strip_prefix("mixbench") {
        observation.subject.device_kind = kind(rest);
        let version = line.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).map(text::clean);
        observation.sources.iter_mut().for_each(|source| source.version.clone_from(&version));
    } else if let Some(name) = line.strip_prefix("Device:") {
        // OpenCL and SYCL write the maker after the device.
        let name = name.trim();
        let name = name.rsplit_once('/').map_or(name, |(device, _)| device);
        observation.subject.device = Some(text::clean(name)).filter(|name| !name.is_empty());
    }
}

/// What kind of device the program is for, by its name after `mixbench`: that of CUDA has none. OpenCL and SYCL run on all kinds.
fn kind(rest: &str) -> Option<DeviceKind> {
    match rest.split_whitespace().next() {
        Some("-cpu") => Some(DeviceKind::Cpu),
        Some("-cuda" | "-hip") => Some(DeviceKind::Gpu),
        Some(version) if version.starts_with('(') => Some(DeviceKind::Gpu),
        _ => None,
    }
}

/// Which columns belong to which format. The first line names the formats, each above the first of its columns; the second names the columns.
fn columns(titles: &str, names: &str, at: &str) -> Result<Vec<Group>, ReadError> {
    let titles: Vec<&str> = titles.split(',').map(str::trim).collect();
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    let starts: Vec<usize> = (1..titles.len()).filter(|&index| !titles[index].is_empty()).collect();
    let mut groups = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(names.len()).min(names.len());
        let title = titles[start].to_ascii_lowercase();
        let Some((_, dtype)) = GROUPS.iter().find(|(name, _)| title.starts_with(name)) else { continue };
        let column = |wanted: &[&str]| {
            let found = (start..end).find(|&column| wanted.contains(&names[column]));
            found.ok_or_else(|| ReadError::at(at, format!("expected a column `{}` for each format", wanted[0])))
        };
        let (arithmetic, bytes) = (column(&["GFLOPS", "GIOPS"])?, column(&["GB/sec"])?);
        groups.push(Group { title: text::clean(titles[start]), dtype: *dtype, arithmetic, bytes });
    }
    if groups.is_empty() {
        return Err(ReadError::at(at, "expected columns of single or double precision, or of integers"));
    }
    Ok(groups)
}

fn row(observation: &mut Observation, groups: &[Group], line: &str, at: &str) -> Result<(), ReadError> {
    let values: Vec<&str> = line.split(',').map(str::trim).collect();
    let value = |column: usize| {
        let text = values.get(column).ok_or_else(|| ReadError::at(at, "expected as many columns as above"))?;
        // What the device cannot do took no time.
        if ["inf", "-nan", "nan"].contains(text) { Ok(0.0) } else { number(text, at) }
    };
    for group in groups {
        let dtype = group.dtype;
        let peak = Resource::Compute { unit: ComputeUnit::Vector, input: dtype, accumulate: dtype };
        let loads = Resource::Memory { level: Some(MemoryLevel::Dram), access: Access::plain(StreamOp::Read) };
        for (resource, column) in [(peak, group.arithmetic), (loads, group.bytes)] {
            let value = value(column)? * GIGA;
            if value > 0.0 {
                let (name, at) = (group.title.clone(), at.to_owned());
                Rate { resource, bytes: None, value, name, at }.put_if_best(&mut observation.rates);
            }
        }
    }
    Ok(())
}
