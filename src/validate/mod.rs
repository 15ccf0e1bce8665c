//! How true estimates are: a model's steps, run on the device by the backend's own kernels, beside what a profile predicts for them.
//!
//! `kernel` says which kernel does an operator's work, and why some have none. `plan` takes as many layers as memory and time allow and lays the steps out; `run`
//! measures each operator by itself and each step as a whole, with the one measuring loop of [`crate::probe`]. `judge` holds both against each other; `document`
//! is what is written.

mod document;
mod judge;
mod kernel;
mod plan;
mod run;
#[cfg(test)]
mod tests;

pub use document::{
    About, Absent, Accuracy, ClassAccuracy, Compared, Document, Failed, Finding, Header, LeftOut, OperatorOutcome,
    OperatorRow, SCHEMA, Samples, StepOutcome, StepRow, Verdict, Whole, schema,
};
pub use judge::{FAR_OFF, document};
pub use kernel::Class;
pub use plan::{Load, Phase, Plan, PlanError, Planned, Request, plan};
pub use run::{Measured, Observer, Outcome, Results, Timed, run};
