//! The document `rooflab.product/1`: its types are its schema.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use crate::diagnose::document::Checked;
use crate::diagnose::finding::{Finding, Severity};
use crate::diagnose::waterfall::{Absent, Spent};
use crate::dtype::DType;
use crate::estimate::Hardware;
use crate::profile::Source;
use crate::resource::Resource;
use crate::units::{Seconds, Unit};
use crate::workload::Shape;

/// What stands in the field `schema`.
pub const SCHEMA: &str = "rooflab.product/1";

/// Where the time of a matrix product went, and what speaks in it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ProductDiagnosis {
    /// The schema and its major version.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// The program that wrote the document.
    pub rooflab: Source,
    /// When, in UTC.
    pub created: Timestamp,
    /// The shape of the product.
    pub shape: Shape,
    /// The format of both factors.
    pub dtype: DType,
    /// Threads that took part, where that was said.
    pub threads: Option<u64>,
    /// The device, by its profile.
    pub hardware: Hardware,
    /// The name of its datasheet, where one beside the profile was used.
    pub datasheet: Option<String>,
    /// Cores that the product is held against; none where it is a whole device that has no cores of its own.
    pub cores: Option<u32>,
    /// The time of one product.
    pub measured: Seconds,
    /// Operations of one product.
    pub operations: u64,
    /// Bytes of its three matrices.
    pub bytes: u64,
    /// Operations per second.
    pub rate: f64,
    /// The unit of all rates.
    pub unit: Unit,
    /// Whether moving the matrices takes longer than the operations.
    pub is_memory_bound: bool,
    /// The rates that it is held against.
    pub against: Vec<Against>,
    /// The time by the maker's figures, where there are any.
    pub floor: Option<Seconds>,
    /// The time with every cause that is known.
    pub estimate: Seconds,
    /// Where the measured time went; it sums up to it.
    pub spent: Vec<Spent>,
    /// Causes of which nothing can be said; what they add is in what is unexplained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// What rules found, the gravest first.
    pub findings: Vec<Finding>,
    /// Rules that found nothing.
    pub checked: Vec<Checked>,
    /// What it rests on that was not measured at this very place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
}

/// A rate that a product is held against.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Against {
    /// What it is.
    pub what: Reference,
    /// The resource whose rate it is.
    pub resource: Resource,
    /// Operations per second.
    pub rate: f64,
    /// The share of it that was reached. Never cut at 1.
    pub share: f64,
    /// Where it comes from.
    pub from: String,
}

/// What a product is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The maker's peak: the datasheet's, or width × units × clock.
    Maker,
    /// The measured peak of multiply-adds in registers.
    Peak,
    /// The ceiling of products at this very shape.
    Shape,
}

impl Reference {
    /// What it is, in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Maker => "the maker's peak",
            Self::Peak => "the measured peak",
            Self::Shape => "the ceiling of this shape",
        }
    }
}

impl ProductDiagnosis {
    /// The gravest of what was found.
    #[must_use]
    pub fn gravest(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.found.severity).max()
    }

    /// The share of its estimate that was reached: 1 where the product was as fast as that.
    #[must_use]
    pub fn reached(&self) -> f64 {
        self.estimate / self.measured
    }

    /// A rate that it is held against, where that is known.
    #[must_use]
    pub fn against(&self, what: Reference) -> Option<&Against> {
        self.against.iter().find(|against| against.what == what)
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = schema_for!(ProductDiagnosis);
    schema.insert("$id".to_owned(), "urn:rooflab:product:1".into());
    schema.insert("title".to_owned(), SCHEMA.into());
    schema
}
