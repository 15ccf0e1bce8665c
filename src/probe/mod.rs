//! The only planner: what to measure on a device, at which sizes, and when to stop.
//!
//! `catalogue` says what can be measured and `plan` which of it a run will measure. `run` carries the plan out: `measure` is the one
//! measuring loop, `point` turns its times into a value with flags, `ceiling` turns points into ceilings, with `plateau` finding the
//! levels of the memory hierarchy in a curve.

mod again;
mod catalogue;
mod ceiling;
mod contest;
mod effort;
mod measure;
mod plan;
mod plateau;
mod point;
mod run;
mod select;
mod shapes;

pub use catalogue::{Family, Grid, Probe, probes};
pub use contest::{Beside, Rival, measure, measure_variant};
pub use effort::Settings;
pub use measure::Measurement;
pub use plan::{LeftOut, Plan, Request, Step, plan};
pub use plateau::{Level, Plateau, plateaus};
pub use run::{Context, Observer, Verification, run, verify};
pub use select::{Selection, SelectionError};
