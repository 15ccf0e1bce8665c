//! What each instruction computes, held against the definitions of the PTX ISA.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod bits;
mod comparisons;
mod conversions;
mod counters;
mod floats;
mod halves;
mod integers;
mod matrices;
mod memory;
mod sparse;
mod support;
mod tensors;
mod warpgroups;
mod warps;
