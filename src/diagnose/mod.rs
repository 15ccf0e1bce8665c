//! Why a run took as long as it did: every millisecond between the datasheet and what was measured, and what speaks in it.
//!
//! [`diagnose`] takes a run and the model, the device and the devices' layout it ran on. For prompts and for decoding it gives a [`Phase`]: the time that was measured as a
//! sum of what each cause adds by the estimate, and of what nothing explains. Then every rule of [`RULES`] is asked whether it finds something.
//!
//! [`diagnose_product`] does the same for a single matrix product, and [`diagnose_kernels`] puts the kernels of a profiler on the roofline; neither needs a model.

mod case;
mod document;
mod finding;
mod host;
mod kernels;
mod link;
mod phase;
mod product;
mod restless;
mod rules;
mod scenario;
#[cfg(test)]
mod testing;
mod vectors;
mod waterfall;
mod what_if;

pub use case::{Case, DiagnoseError, Inputs, diagnose};
pub use document::{Checked, Diagnosis, SCHEMA, schema};
pub use finding::{Evidence, EvidenceUnit, Fact, Finding, Found, Severity, Worth};
pub use kernels::{
    Bound as KernelBound, KernelAccount, KernelNeed, KernelsDiagnosis, KernelsError, KernelsInputs,
    SCHEMA as KERNELS_SCHEMA, diagnose_kernels, schema as kernels_schema,
};
pub use link::{LinkFacts, MeasuredLinks, measured_link};
pub use phase::{Figures, Kind, Phase};
pub use product::{
    Against, Product, ProductDiagnosis, ProductError, ProductInputs, Reference, SCHEMA as PRODUCT_SCHEMA,
    diagnose_product, schema as product_schema,
};
pub use rules::{RULES, Rule, rule};
pub use scenario::scenario;
pub use waterfall::{Absent, Cause, Spent};
