//! The hardware profile: what was measured on a device, under which conditions, and what could not be measured and why.

mod build;
mod ceilings;
mod check;
mod datasheet;
mod diff;
mod document;
mod engine;
mod export;
mod fleet;
mod imported;
mod name;
mod point;
mod read;
mod shares;
mod store;

pub use build::Builder;
pub use ceilings::{Answer, Ceilings, Demand, How, Known, Place};
pub use check::{Problem, check};
pub use datasheet::{Bundled, bundled, bundled_named, datasheet_of};
pub use diff::{Change, Comparison, NEGLIGIBLE, Verdict, diff};
pub use document::{
    Ceiling, Claim, Effort, Header, Instrument, Limit, Match, Outcome, Profile, Range, SCHEMA, SCHEMA_MAJOR,
    SCHEMA_NAME, Source, schema,
};
pub use engine::{
    CalibratedEngine, ENGINE_SCHEMA, Engine, EngineCeiling, EngineError, EnginePoint, HostTime, engine_schema,
};
pub use export::{EXPORTERS, Export, ExportError, Exporter, exporter};
pub use fleet::{Common, Fleet, LEAST as LEAST_OF_FLEET, Missing, Outlier, fleet};
pub use imported::{Imported, ImportedPoint, Origin, Unknown};
pub use name::slug;
pub use point::{Beside, Flag, Mode, Point, Rival, Samples, Steady, Stop};
pub use read::{MAX_BYTES, ReadError, ReadNote, SCRIPT_END, SCRIPT_START, from_json, from_reader};
pub use shares::Shares;
pub use store::{Entry, Store, StoreError};
