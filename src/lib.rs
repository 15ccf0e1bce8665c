//! rooflab: measured ceilings of the hardware in front of you, and what they mean for an LLM.
//!
//! The upper half of the crate touches hardware ([`backend`], [`probe`]); the lower half is pure functions between
//! versioned documents ([`profile`], [`estimate`], [`observe`], [`adopt`], [`diagnose`], [`report`]) and builds with `--no-default-features`. The table of who may import whom
//! is in `ARCHITECTURE.md` and is held by `tests/layers.rs`.
//!
//! The library never prints, ends the process, reads the environment or asks for the date: the command passes those in.

pub mod adopt;
pub mod backend;
pub mod data;
pub mod diagnose;
pub mod dtype;
pub mod estimate;
pub mod facts;
pub mod fit;
pub mod graph;
pub mod model;
pub mod observe;
pub mod probe;
pub mod profile;
pub mod report;
pub mod resource;
pub mod stats;
pub mod units;
pub mod validate;
pub mod workload;
