//! The document `rooflab.kernels/1`: its types are its schema.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use crate::estimate::Hardware;
use crate::estimate::cost::Knowledge;
use crate::observe;
use crate::profile::Source;
use crate::resource::Resource;
use crate::units::{Bytes, Flops, Hertz, Seconds};

/// What stands in the field `schema`.
pub const SCHEMA: &str = "rooflab.kernels/1";

/// Kernels on the roofline, the one that loses the most time first.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct KernelsDiagnosis {
    /// The schema and its major version.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// The program that wrote the document.
    pub rooflab: Source,
    /// When, in UTC.
    pub created: Timestamp,
    /// The tools and files that the kernels come from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<observe::Source>,
    /// The device, by its profile.
    pub hardware: Hardware,
    /// The name of its datasheet, where one beside the profile was used.
    pub datasheet: Option<String>,
    /// Launches of all kernels.
    pub launches: u64,
    /// Time of all launches.
    pub time: Seconds,
    /// Time of those that have a ceiling.
    pub known: Seconds,
    /// Time that those would take at their ceilings.
    pub ceiling: Seconds,
    /// The kernels; those without a ceiling come last.
    pub kernels: Vec<KernelAccount>,
    /// What the file does not say, with the metric that would.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Ceilings that the profile does not have, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// What speaks against taking the numbers as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
}

/// A kernel, over its launches with one grid.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct KernelAccount {
    /// Its name.
    pub name: String,
    /// Its grid.
    pub grid: Option<String>,
    /// Where its first launch stands.
    pub at: String,
    /// Launches.
    pub launches: u64,
    /// Mean time of a launch.
    pub time: Seconds,
    /// Time of all of them.
    pub total: Seconds,
    /// That as a share of all kernels' time.
    pub share: f64,
    /// Bytes of main memory of a launch, where they were counted.
    pub bytes: Option<Bytes>,
    /// Operations of a launch, where they were counted.
    pub flops: Option<Flops>,
    /// Operations per byte of main memory.
    pub intensity: Option<f64>,
    /// Clock of the multiprocessors.
    pub clock: Option<Hertz>,
    /// What a launch needs at the least.
    pub needs: Vec<KernelNeed>,
    /// The longest of these.
    pub bound: Option<Bound>,
    /// How long that is.
    pub ceiling: Option<Seconds>,
    /// That as a share of the time. Never cut at 1.
    pub reached: Option<f64>,
    /// Time of all launches beyond it; below 0 where the kernel was faster.
    pub lost: Option<Seconds>,
}

/// Something that a kernel needs, and how long it takes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct KernelNeed {
    /// What it is spent on.
    pub of: Bound,
    /// The ceiling; none where the profiler says the share of a peak by itself.
    pub resource: Option<Resource>,
    /// Its value.
    pub rate: Option<f64>,
    /// How long it takes.
    pub time: Seconds,
    /// How the ceiling is known.
    pub knowledge: Knowledge,
}

/// What bounds a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Bytes of main memory.
    Memory,
    /// Bytes that pass the second-level cache.
    Cache,
    /// Operations of one format.
    Compute,
    /// The busiest unit of the multiprocessors, by the profiler's own share of its peak: where operations were not counted.
    Issue,
}

impl Bound {
    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cache => "cache",
            Self::Compute => "compute",
            Self::Issue => "issue",
        }
    }
}

impl KernelsDiagnosis {
    /// The share of the time that kernels with a ceiling would take at it; none where no kernel has one.
    #[must_use]
    pub fn reached(&self) -> Option<f64> {
        (self.known.get() > 0.0).then(|| self.ceiling / self.known)
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = schema_for!(KernelsDiagnosis);
    schema.insert("$id".to_owned(), "urn:rooflab:kernels:1".into());
    schema.insert("title".to_owned(), SCHEMA.into());
    schema
}
