//! Tests of lowering: worked numbers, closed forms over random models, and what sharding conserves.

mod conformance;
mod conservation;
mod models;
mod sharding;
