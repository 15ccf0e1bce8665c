//! From a profile and a model to time, memory and throughput: each number with its bound and how it is known.
//!
//! [`Estimator`] puts the parts together: [`memory`] says what fits, [`cost`] how long steps take, [`serving`] what requests see. `rooflab estimate` is this and
//! no more.

mod account;
pub mod cost;
mod deployment;
mod document;
pub mod energy;
mod estimator;
pub mod link;
pub mod memory;
pub mod offload;
mod scenario;
pub mod search;
pub mod serving;
pub mod speculation;
mod subject;
mod sweep;
mod table;

pub use account::{Account, Entry, Fetched, FloorOf};
pub use deployment::{Deployment, Limit};
pub use document::{Answer, Document, Hardware, LoadFacts, ModelFacts, SCHEMA, ScenarioFacts, ServedFacts, schema};
pub use estimator::{Estimate, EstimateError, Estimator, Served};
pub use scenario::{Load, Scenario};
pub use subject::{Placed, Staged, StagedCost, Subject};
pub use sweep::{Dimension, MOST_POINTS, Sweep, SweepError, combinations};
pub use table::{Point, Row};
