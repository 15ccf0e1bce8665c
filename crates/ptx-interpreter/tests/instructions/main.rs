//! What each instruction computes, held against the definitions of the PTX ISA.

mod bits;
mod comparisons;
mod conversions;
mod counters;
mod floats;
mod halves;
mod integers;
mod memory;
mod support;
mod warps;
