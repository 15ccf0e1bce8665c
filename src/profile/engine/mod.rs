//! The document `rooflab.engine/1`: what an engine itself costs on a device, measured through it and kept apart from what the device can do.

mod check;
mod read;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use super::document::{Ceiling, Header, Outcome, Profile, SCHEMA as PROFILE_SCHEMA, Source};
use super::point::{Point, Samples, Stop};
use crate::facts::{Conditions, DeviceKind, Identity, Implementer, Observed};
use crate::fit::fit;
use crate::resource::{Key, Resource, Scope};
use crate::units::Seconds;
use crate::workload::{Shape, Work};

pub use read::{CalibratedEngine, EngineError};

/// What stands in the field `schema`.
pub const ENGINE_SCHEMA: &str = "rooflab.engine/1";

/// What an engine costs on a device: its operators, as fast as it runs them, and its own time beside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Engine {
    /// The schema and its major version.
    #[schemars(extend("const" = ENGINE_SCHEMA))]
    pub schema: String,
    /// When it was measured, in UTC.
    pub created: Timestamp,
    /// What the engine is called.
    pub name: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How it ran, such as its threads, and whether it compiled the model.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// The name of the device, as that of its profile.
    pub device: String,
    /// The models and the shapes that were run, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calibrated_on: Vec<String>,
    /// Whether the device waits for the engine's own time.
    #[serde(default)]
    pub host: HostTime,
    /// The engine's own time for a step, in seconds, whatever the model.
    pub step: Seconds,
    /// Its own time for each layer, in seconds.
    pub layer: Seconds,
    /// Whether the times of products have those of the passes over activations around them in them (norms, rotations, residuals, the choice of a token): then these are counted
    /// there alone.
    #[serde(default)]
    pub passes_within: bool,
    /// How fast it runs operators, each at the sizes of a hardware profile's ceiling of that name, and in its unit. Products are with the matrices as they are stored
    /// (`gemm.q4_0.int32`), and no operator's time has the engine's own in it. Resources a reader does not know are to be skipped.
    #[serde(default)]
    pub ceilings: Vec<EngineCeiling>,
}

/// Whether the device waits for the engine's own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostTime {
    /// It does: that time comes on top of the operators', as on a processor and in a captured graph.
    #[default]
    Added,
    /// It does not: the host runs ahead of the device, and a step takes as long as the slower of the two.
    Overlapped,
}

/// How fast an engine runs an operator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EngineCeiling {
    /// The operator.
    pub resource: Resource,
    /// One value, or a curve.
    pub points: Vec<EnginePoint>,
}

/// How fast an engine ran an operator at a size.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EnginePoint {
    /// Place on the resource's axis: bytes, or tokens of context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// Place on an axis of shapes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    /// The value, in the resource's unit.
    pub value: f64,
    /// How far repetitions are from it, relative to it.
    #[serde(default)]
    pub scatter: f64,
}

/// The ceilings of an engine, with a formula where there are enough products for one.
fn ceilings(engine: &Engine) -> Profile {
    Profile {
        header: Header {
            schema: PROFILE_SCHEMA.to_owned(),
            rooflab: Source { version: String::new(), commit: None, target: None },
            created: engine.created,
            complete: true,
        },
        name: engine.name.clone(),
        device: Identity::named(&engine.device, DeviceKind::Software),
        conditions: Conditions::default(),
        instrument: None,
        observed: Observed::default(),
        ceilings: engine.ceilings.iter().map(EngineCeiling::ceiling).collect(),
        datasheet: Vec::new(),
        imported: Vec::new(),
        matches: Vec::new(),
    }
}

impl EngineCeiling {
    fn ceiling(&self) -> Ceiling {
        let mut points: Vec<Point> = self.points.iter().map(|point| point.point(self.resource)).collect();
        points.sort_by(|a, b| a.shape.cmp(&b.shape).then(a.at.unwrap_or(0.0).total_cmp(&b.at.unwrap_or(0.0))));
        let products: Vec<(Work, Seconds)> =
            points.iter().filter(|point| point.shape.is_some()).map(|point| (point.work, point.time)).collect();
        let outcome = Outcome::Ok { points, limit: None, plateau: None, fit: fit(&products) };
        Ceiling::new(Key { resource: self.resource, scope: Scope::Device }, outcome)
    }
}

impl EnginePoint {
    fn point(&self, resource: Resource) -> Point {
        let Self { at, shape, value, scatter } = *self;
        let work = match (resource, shape) {
            (Resource::Gemm { input, accumulate }, Some(shape)) => shape.work(input, accumulate),
            _ => Work::default(),
        };
        let (low, high) = (value / (1.0 + scatter), value * (1.0 + scatter));
        Point {
            at,
            shape,
            value,
            best: high,
            p10: low,
            p90: high,
            mad: value * scatter,
            confidence: [low, high],
            samples: Samples { clean: 0, total: 0 },
            iterations: 1,
            time: Seconds(work.ops as f64 / value),
            work,
            lanes: 0,
            devices: None,
            variant: String::new(),
            by: Implementer::Open,
            beside: None,
            clock: None,
            stop: Stop::Budget,
            flags: Vec::new(),
            steady: None,
            raw: None,
        }
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn engine_schema() -> Schema {
    let mut schema = schema_for!(Engine);
    schema.insert("$id".to_owned(), "urn:rooflab:engine:1".into());
    schema.insert("title".to_owned(), ENGINE_SCHEMA.into());
    schema
}
