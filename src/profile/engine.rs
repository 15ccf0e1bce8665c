//! The document `rooflab.engine/1`: what an engine itself costs on a device, measured through it and kept apart from what the device can do.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::{Ceiling, Header, Outcome, Profile, SCHEMA as PROFILE_SCHEMA, Source};
use super::point::{Point, Samples, Stop};
use super::read::{MAX_BYTES, leave_out_unknown, shortened};
use crate::facts::{Conditions, DeviceKind, Identity, Observed};
use crate::fit::fit;
use crate::resource::{Axis, Key, Resource, Scope};
use crate::units::Seconds;
use crate::workload::{Shape, Work};

/// Name of the schema, without its version.
const SCHEMA_NAME: &str = "rooflab.engine";
/// The highest major version that this rooflab reads.
const SCHEMA_MAJOR: u32 = 1;
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

/// Why a text is no engine profile.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It could not be read at all.
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),
    /// It is larger than any.
    #[error("it is larger than {} MiB, which no engine profile is", MAX_BYTES >> 20)]
    TooLarge,
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is JSON of some other kind.
    #[error("it is not an engine profile: its field `schema` is {0}, not `{ENGINE_SCHEMA}`")]
    NotEngine(String),
    /// It was written for a later rooflab.
    #[error("it is of version {found} of `{SCHEMA_NAME}`; this rooflab reads up to version {SCHEMA_MAJOR}")]
    Newer {
        /// Its major version.
        found: u32,
    },
    /// A field is missing, has the wrong type, or a value that none can have.
    #[error("field `{path}`: {cause}")]
    Field {
        /// Where.
        path: String,
        /// What is wrong.
        cause: String,
    },
}

/// An engine profile that was read, with its ceilings ready to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct CalibratedEngine {
    engine: Engine,
    ceilings: Profile,
}

impl CalibratedEngine {
    /// Reads an engine profile from a stream, of which at most [`MAX_BYTES`] are taken.
    ///
    /// # Errors
    /// As [`CalibratedEngine::from_json`], and when the stream fails or holds more.
    pub fn from_reader(reader: impl Read) -> Result<Self, EngineError> {
        let mut bytes = Vec::new();
        reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(EngineError::TooLarge);
        }
        Self::from_json(&bytes)
    }

    /// Reads an engine profile. Fields and resources that this rooflab does not know are ignored.
    ///
    /// # Errors
    /// When the text is none; the error says what is wrong, and where.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EngineError> {
        let mut value: Value = serde_json::from_slice(bytes).map_err(EngineError::NotJson)?;
        check_schema(&value)?;
        leave_out_unknown(&mut value, "ceilings");
        let engine = serde_path_to_error::deserialize(value).map_err(|error| EngineError::Field {
            path: error.path().to_string(),
            cause: error.into_inner().to_string(),
        })?;
        Self::new(engine)
    }

    /// An engine profile whose numbers are some.
    ///
    /// # Errors
    /// When one of them is not: the error says which.
    pub fn new(engine: Engine) -> Result<Self, EngineError> {
        match problem(&engine) {
            Some((path, cause)) => Err(EngineError::Field { path, cause }),
            None => Ok(Self { ceilings: ceilings(&engine), engine }),
        }
    }

    /// The document.
    #[must_use]
    pub const fn document(&self) -> &Engine {
        &self.engine
    }

    /// Its ceilings, in the form that [`super::Ceilings`] asks. They are no ceilings of the device.
    #[must_use]
    pub(crate) const fn ceilings(&self) -> &Profile {
        &self.ceilings
    }

    /// The engine's own time for a step through some layers.
    #[must_use]
    pub fn own_time(&self, layers: u64) -> Seconds {
        self.engine.step + self.engine.layer * layers as f64
    }
}

impl fmt::Display for CalibratedEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.engine.name)?;
        self.engine.version.iter().try_for_each(|version| write!(f, " {version}"))
    }
}

fn check_schema(value: &Value) -> Result<(), EngineError> {
    let Some(schema) = value.get("schema").and_then(Value::as_str) else {
        return Err(EngineError::NotEngine("not there".to_owned()));
    };
    let version = schema.strip_prefix(SCHEMA_NAME).and_then(|rest| rest.strip_prefix('/'));
    match version.and_then(|version| version.parse::<u32>().ok()) {
        Some(found) if found > SCHEMA_MAJOR => Err(EngineError::Newer { found }),
        Some(SCHEMA_MAJOR) => Ok(()),
        _ => Err(EngineError::NotEngine(format!("`{}`", shortened(schema)))),
    }
}

/// The first thing that is wrong with a document, and where.
fn problem(engine: &Engine) -> Option<(String, String)> {
    let wrong = |path: &str, cause: String| Some((path.to_owned(), cause));
    for (path, text) in [("name", &engine.name), ("device", &engine.device)] {
        if text.trim().is_empty() {
            return wrong(path, "it is empty".to_owned());
        }
    }
    for (path, Seconds(time)) in [("step", engine.step), ("layer", engine.layer)] {
        if !(time >= 0.0 && time.is_finite()) {
            return wrong(path, format!("{time} is no time"));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, ceiling) in engine.ceilings.iter().enumerate() {
        let path = format!("ceilings[{index}]");
        if !is_operator(ceiling.resource) {
            return wrong(&path, format!("`{}` is no operator of an engine", ceiling.resource));
        }
        if !seen.insert(ceiling.resource) {
            return wrong(&path, format!("`{}` is there twice", ceiling.resource));
        }
        for (index, point) in ceiling.points.iter().enumerate() {
            if let Some(cause) = problem_of_point(ceiling.resource, point) {
                return wrong(&format!("{path}.points[{index}]"), cause);
            }
        }
    }
    None
}

/// What engines run. Memory and arithmetic are the device's own.
const fn is_operator(resource: Resource) -> bool {
    matches!(
        resource,
        Resource::Gemm { .. } | Resource::Gemv { .. } | Resource::Attention { .. } | Resource::Rowwise { .. }
    )
}

fn problem_of_point(resource: Resource, point: &EnginePoint) -> Option<String> {
    let positive = |number: f64| number > 0.0 && number.is_finite();
    if !positive(point.value) {
        return Some(format!("its value of {} is not a positive number", point.value));
    }
    if !(point.scatter >= 0.0 && point.scatter.is_finite()) {
        return Some(format!("its scatter of {} is not 0 or above", point.scatter));
    }
    match (resource.axis(), point.at, point.shape) {
        (Some(Axis::Shape), None, Some(shape)) if shape.m.min(shape.n).min(shape.k) > 0 => None,
        (Some(Axis::Shape), ..) => Some("it has no shape of 1 and above".to_owned()),
        (_, Some(at), None) if positive(at) => None,
        _ => Some("it has no place that is a positive number".to_owned()),
    }
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
            variant: String::new(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Ceilings, Demand, Place};
    use proptest::prelude::*;
    use serde_json::json;

    fn document() -> Value {
        json!({
            "schema": ENGINE_SCHEMA, "created": "2026-11-22T00:00:00Z", "name": "an engine", "device": "a device", "step": 1e-4, "layer": 2e-5,
            "ceilings": [
                { "resource": "gemm.q8_0.int32", "points": [{ "shape": { "m": 1, "n": 64, "k": 64 }, "value": 1e9 }] },
                { "resource": "rowwise.of.tomorrow", "points": [] },
            ],
        })
    }

    fn read(document: &Value) -> Result<CalibratedEngine, EngineError> {
        CalibratedEngine::from_json(document.to_string().as_bytes())
    }

    #[test]
    fn an_engine_answers_at_the_shapes_that_it_was_measured_at_and_for_no_other_operator() {
        let engine = read(&document()).unwrap();
        let ask = |resource: &str, at| {
            let demand = Demand { resource: resource.parse().unwrap(), scope: Scope::Device, at };
            Ceilings::new(engine.ceilings()).own(&demand).map(|known| known.value)
        };
        assert_eq!(ask("gemm.q8_0.int32", Place::Shape(Shape { m: 1, n: 64, k: 64 })), Some(1e9));
        assert_eq!(ask("gemm.bf16.f32", Place::Anywhere), None);
        assert!((engine.own_time(10).get() - 3e-4).abs() < 1e-12);
        assert_eq!(engine.to_string(), "an engine");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place_and_value() {
        let with = |path: &str, value: Value| {
            let mut document = document();
            *document.pointer_mut(path).unwrap() = value;
            read(&document).unwrap_err().to_string()
        };
        assert_eq!(with("/layer", json!(-1.0)), "field `layer`: -1 is no time");
        assert_eq!(with("/name", json!(" ")), "field `name`: it is empty");
        assert!(with("/ceilings/0/points/0/value", json!(0)).contains("`ceilings[0].points[0]`: its value of 0"));
        assert!(with("/ceilings/0/points/0/shape/m", json!(0)).contains("no shape of 1 and above"));
        assert!(with("/ceilings/0/resource", json!("memory.read")).contains("`memory.read` is no operator"));
        assert!(with("/schema", json!("rooflab.engine/2")).contains("version 2"));
        assert!(with("/schema", json!("rooflab.profile/1")).contains("`rooflab.profile/1`"));
        assert!(with("/step", json!("soon")).contains("field `step`"));
        assert!(CalibratedEngine::from_json(b"{").unwrap_err().to_string().contains("not JSON"));
    }

    proptest! {
        #[test]
        fn no_number_in_a_document_is_beyond_reading(value: f64, at: f64, scatter: f64, layers: u64, step: f64) {
            let mut document = document();
            document["step"] = json!(step);
            document["ceilings"][1] = json!({ "resource": "rowwise.add.f32", "points": [{ "at": at, "value": value, "scatter": scatter }] });
            if let Ok(engine) = read(&document) {
                prop_assert!(engine.own_time(layers).get() >= 0.0);
                let demand = Demand { resource: "rowwise.add.f32".parse().unwrap(), scope: Scope::Device, at: Place::Bytes(1e6) };
                let known = Ceilings::new(engine.ceilings()).own(&demand);
                prop_assert!(known.is_none_or(|known| known.value > 0.0));
            }
        }
    }
}
