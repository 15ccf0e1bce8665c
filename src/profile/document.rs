//! The document `rooflab.profile/1`: its types are its schema.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use super::imported::Imported;
use super::point::Point;
use crate::facts::{ClockReading, Conditions, Identity, Library, Observed, Timer};
use crate::fit::Fit;
use crate::resource::{Access, Axis, ComputeUnit, Key, MemoryLevel, Resource, Scope, StreamOp};
use crate::units::{Seconds, Unit};

/// Name of the schema, without its version.
pub const SCHEMA_NAME: &str = "rooflab.profile";
/// The major version this rooflab writes, and the highest it reads.
pub const SCHEMA_MAJOR: u32 = 1;
/// What stands in the field `schema`.
pub const SCHEMA: &str = "rooflab.profile/1";

/// A hardware profile: measured ceilings of one device, with their conditions and their provenance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Profile {
    /// What kind of document this is and who wrote it.
    #[serde(flatten)]
    pub header: Header,
    /// The name it is stored and looked up under.
    pub name: String,
    /// The device.
    pub device: Identity,
    /// The circumstances when measuring began.
    #[serde(default, skip_serializing_if = "is_default")]
    pub conditions: Conditions,
    /// What measured, and how finely; absent from a profile in which nothing is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instrument: Option<Instrument>,
    /// What was observed by the end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub observed: Observed,
    /// The ceilings, in the order of the catalogue. Resources a reader does not know are to be skipped.
    #[serde(default)]
    pub ceilings: Vec<Ceiling>,
    /// What the maker says of this device.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasheet: Vec<Claim>,
    /// What other tools measured of this device. It is apart from the ceilings, so that no reader takes it for what rooflab measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imported: Vec<Imported>,
    /// For a datasheet profile: which devices it is the datasheet of. A device is one of them when any entry fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
}

/// Facts by which a device is recognised. All that are given must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Match {
    /// Words that the device's name contains, each as a whole and without regard to case: `RTX 4090`. `A10` is no word of `A10G`.
    pub name_contains: Vec<String>,
    /// Words that its name does not contain: `laptop`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name_lacks: Vec<String>,
    /// Bytes of memory between which it lies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Range>,
    /// Cores (on a GPU: multiprocessors) it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
}

/// The first fields of every rooflab document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// The schema and its major version. A reader refuses higher majors and ignores fields it does not know.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The program that wrote the document.
    pub rooflab: Source,
    /// When measuring began, in UTC.
    pub created: Timestamp,
    /// Whether every planned probe was finished.
    pub complete: bool,
}

/// A build of rooflab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Its version.
    pub version: String,
    /// The commit it was built from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The target it was built for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// What measured, and how finely.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Instrument {
    /// What timed the samples.
    pub timer: Timer,
    /// Time of an empty launch over all lanes, in seconds, where the device launches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty_launch: Option<Seconds>,
    /// The clock frequency before the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockReading>,
    /// How much time was allowed.
    pub effort: Effort,
    /// Half-width of the confidence interval that ended sampling, relative to the value.
    pub goal: f64,
    /// How long measuring took, in seconds.
    pub elapsed: Seconds,
    /// Libraries of the device's maker that were measured beside rooflab's own kernels, or why they were not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<Library>,
}

/// How much time a run may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effort {
    /// The least time: each level of the hierarchy once, one product and one size of each operator.
    Quick,
    /// Some minutes: whole curves, and products of the common shapes.
    #[default]
    Normal,
    /// Minutes: finer curves and tighter intervals.
    Thorough,
}

impl Effort {
    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Normal => "normal",
            Self::Thorough => "thorough",
        }
    }
}

/// What a resource can give, or the reason why that is not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ceiling {
    /// What it is a ceiling of.
    pub resource: Resource,
    /// How much of the device takes part.
    pub scope: Scope,
    /// The unit of all its values.
    pub unit: Unit,
    /// What its points are placed along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub axis: Option<Axis>,
    /// How work is counted.
    pub counting: Cow<'static, str>,
    /// The points, or the reason for their absence.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The points of a ceiling, or the reason for their absence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Ok {
        /// One point, or a curve in ascending order of the axis.
        points: Vec<Point>,
        /// What the hardware's data paths allow, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<Limit>,
        /// For a level of the memory hierarchy: the stretch of the curve that it covers.
        #[serde(skip_serializing_if = "Option::is_none")]
        plateau: Option<Range>,
        /// For matrix products: a formula through the points, with its error.
        #[serde(skip_serializing_if = "Option::is_none")]
        fit: Option<Fit>,
    },
    /// The device, the driver or the build lacks what it needs.
    Unsupported {
        /// What is lacking.
        reason: String,
    },
    /// It was left out.
    Skipped {
        /// Why.
        reason: String,
    },
    /// Measuring it went wrong.
    Failed {
        /// How.
        reason: String,
    },
}

/// A physical limit, from the maker's description of the hardware and the clock measured in the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// The limit, in the ceiling's unit.
    pub value: f64,
    /// How it was computed.
    pub formula: String,
    /// Where the figures come from.
    pub source: Cow<'static, str>,
}

/// A stretch of a curve's axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// The first point of the stretch.
    pub from: f64,
    /// The last point of the stretch.
    pub to: f64,
}

/// A figure from a maker's datasheet, for dense data: never one that counts the zeros of 2:4 sparsity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// What it is about.
    pub resource: Resource,
    /// The figure.
    pub value: f64,
    /// The figure's unit.
    pub unit: Unit,
    /// Where it stands, and how it follows where it does not stand there in this form.
    pub source: String,
}

/// Whether there is nothing in it worth writing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Ceiling {
    /// A ceiling of a resource, with the unit, axis and counting that belong to it.
    #[must_use]
    pub fn new(key: Key, outcome: Outcome) -> Self {
        let Key { resource, scope } = key;
        Self { resource, scope, unit: resource.unit(), axis: resource.axis(), counting: resource.counting(), outcome }
    }

    /// What identifies it within its profile.
    #[must_use]
    pub const fn key(&self) -> Key {
        Key { resource: self.resource, scope: self.scope }
    }

    /// Its points; none when it was not measured.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        match &self.outcome {
            Outcome::Ok { points, .. } => points,
            _ => &[],
        }
    }

    /// The point that stands for it where one must: the best of a curve of shapes, the last of any other.
    #[must_use]
    pub fn representative(&self) -> Option<&Point> {
        let points = self.points();
        match self.axis {
            Some(Axis::Shape) => points.iter().max_by(|a, b| a.value.total_cmp(&b.value)),
            _ => points.last(),
        }
    }

    /// Its only point, when it is one value rather than a curve.
    #[must_use]
    pub fn single(&self) -> Option<&Point> {
        match self.points() {
            [point] => Some(point),
            _ => None,
        }
    }
}

impl Profile {
    /// The ceiling of a resource over the whole device or one core.
    #[must_use]
    pub fn ceiling(&self, key: Key) -> Option<&Ceiling> {
        self.ceilings.iter().find(|ceiling| ceiling.key() == key)
    }

    /// The datasheet's figure for a resource, and for no other.
    #[must_use]
    pub fn claim(&self, resource: Resource) -> Option<&Claim> {
        self.datasheet.iter().find(|claim| claim.resource == resource)
    }

    /// The datasheet's figure that a resource reaches a share of: its own; for any access to main memory, that of reading, because
    /// datasheets state one bandwidth; for a matrix product, that of the unit which multiplies these formats.
    #[must_use]
    pub fn claim_above(&self, resource: Resource) -> Option<&Claim> {
        let unit = |unit, input, accumulate| self.claim(Resource::Compute { unit, input, accumulate });
        self.claim(resource).or_else(|| match resource {
            Resource::Memory { level: level @ Some(MemoryLevel::Dram), .. } => {
                self.claim(Resource::Memory { level, access: Access::plain(StreamOp::Read) })
            }
            Resource::Gemm { input, accumulate } => {
                unit(ComputeUnit::Matrix, input, accumulate).or_else(|| unit(ComputeUnit::Vector, input, accumulate))
            }
            _ => None,
        })
    }

    /// The document as it is written: JSON, indented, with a final newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serialising fails only for maps with odd keys and for types that refuse; these types do neither.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = schema_for!(Profile);
    schema.insert("$id".to_owned(), "urn:rooflab:profile:1".into());
    schema.insert("title".to_owned(), SCHEMA.into());
    schema
}
