//! Reading an engine profile, which may be none.

use std::fmt;
use std::io::Read;

use serde_json::Value;

use super::check::problem;
use super::{ENGINE_SCHEMA, Engine, ceilings};
use crate::profile::document::Profile;
use crate::profile::read::{MAX_BYTES, leave_out_unknown, place_and_cause, shortened};
use crate::units::Seconds;

/// Name of the schema, without its version.
const SCHEMA_NAME: &str = "rooflab.engine";
/// The highest major version that this rooflab reads.
const SCHEMA_MAJOR: u32 = 1;

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
        let engine = serde_path_to_error::deserialize(value).map_err(|error| {
            let (path, cause) = place_and_cause(&error);
            EngineError::Field { path, cause }
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

    /// Its ceilings, in the form that [`Ceilings`](crate::profile::Ceilings) asks. They are no ceilings of the device.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{Ceilings, Demand, Place};
    use crate::resource::Scope;
    use crate::workload::Shape;
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
        for (place, field) in [("", "step"), ("/ceilings/0", "resource")] {
            let mut document = document();
            document.pointer_mut(place).and_then(Value::as_object_mut).unwrap().remove(field);
            let path = if place.is_empty() { field.to_owned() } else { format!("ceilings[0].{field}") };
            assert_eq!(read(&document).unwrap_err().to_string(), format!("field `{path}`: it is missing"));
        }
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
