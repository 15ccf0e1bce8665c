//! From a profile and a model to time, memory and throughput: each number with its bound and how it is known.

mod sweep;

pub use sweep::{Dimension, MOST_POINTS, Sweep, SweepError, combinations};
