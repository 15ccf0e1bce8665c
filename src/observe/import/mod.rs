//! The kinds of files that are read: one file each, one row each.

mod aiperf;
mod clpeak;
mod genai_perf;
mod llama_bench;
mod llama_bench_table;
mod mixbench;
mod nccl_json;
mod nccl_text;
mod nsight;
mod nvbandwidth;
mod own;
mod perf;
mod sglang_one_batch;
mod sglang_serving;
mod telemetry;
mod trtllm_bench;
mod vllm_latency;
mod vllm_serve;
mod vllm_throughput;

use super::document::{Observation, Source, Tool};
use super::error::ReadError;
use super::input::Input;
use super::metric::{Distribution, Measured, Quantity};
use super::object::{Object, within};

/// A kind of file that is read.
pub struct Importer {
    /// What the kind is called.
    pub name: &'static str,
    /// What such a file gives.
    pub gives: &'static str,
    /// Whether it is of what a device can do, whatever runs on it: a profile takes that over.
    pub hardware: bool,
    /// Whether a file is of this kind, by its content: what only this tool writes.
    pub(super) sniff: fn(&Input<'_>) -> bool,
    /// Its observations, one for each measurement.
    pub(super) read: fn(&Input<'_>) -> Result<Vec<Observation>, ReadError>,
}

/// Every kind of file that is read. No file is of two kinds.
pub static IMPORTERS: &[Importer] = &[
    llama_bench::IMPORTER,
    llama_bench_table::IMPORTER,
    vllm_serve::IMPORTER,
    vllm_latency::IMPORTER,
    vllm_throughput::IMPORTER,
    sglang_serving::IMPORTER,
    sglang_one_batch::IMPORTER,
    aiperf::IMPORTER,
    genai_perf::IMPORTER,
    trtllm_bench::IMPORTER,
    nccl_json::IMPORTER,
    nccl_text::IMPORTER,
    nvbandwidth::IMPORTER,
    clpeak::IMPORTER,
    mixbench::IMPORTER,
    nsight::IMPORTER,
    own::IMPORTER,
];

const MILLI: f64 = 1e-3;
const MICRO: f64 = 1e-6;
const NANO: f64 = 1e-9;
const GIGA: f64 = 1e9;

/// An observation of a tool, from an entry of its file.
fn observation(tool: Tool, version: Option<String>, at: &str) -> Observation {
    Observation::new(vec![Source { tool, version, file: Some(at.to_owned()) }])
}

/// A number that stands in a text: finite, and not negative.
fn number(text: &str, at: &str) -> Result<f64, ReadError> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    within(number.ok_or_else(|| ReadError::at(at, "expected a number, which is not negative"))?, || at.to_owned())
}

/// Reads each entry of a file by itself.
fn each(
    input: &Input<'_>,
    read: fn(&Object<'_>) -> Result<Observation, ReadError>,
) -> Result<Vec<Observation>, ReadError> {
    input.objects()?.iter().map(read).collect()
}

impl Observation {
    /// Takes a quantity that stands in one field; what is zero or absent was not measured.
    fn take(&mut self, object: &Object<'_>, quantity: Quantity, field: &str, factor: f64) -> Result<(), ReadError> {
        self.metrics.extend(object.measured(quantity, field, factor)?);
        Ok(())
    }

    /// Takes the distribution of a quantity, unless nothing is said of it.
    fn put(&mut self, quantity: Quantity, values: Distribution, at: String) {
        if !values.is_empty() {
            self.metrics.insert(quantity, Measured::stated(quantity, values, Some(at)));
        }
    }
}
