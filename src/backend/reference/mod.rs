//! What kernels must compute, told once for all backends: seeded inputs, exact results, and how near a result has to be.

pub(super) mod cycle;
pub(super) mod element;
pub(super) mod stream;
