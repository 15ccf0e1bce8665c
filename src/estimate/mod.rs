//! From a profile and a model to time, memory and throughput: each number with its bound and how it is known.

pub mod cost;
pub mod energy;
pub mod link;
pub mod memory;
