//! The estimator from outside: every worked number of its sources, and the laws that hold on any device.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod costs;
mod device;
mod engines;
mod floors;
mod laws;
mod lower;
mod memory;
mod offload;
mod sharing;
