//! What kernels must compute, told once for all backends: seeded inputs, exact results, and how near a result has to be.

#![allow(dead_code, reason = "processors compute in more formats than shaders, and a build may be without them")]

pub(super) mod attention;
pub(super) mod cycle;
pub(super) mod decode;
pub(super) mod element;
pub(super) mod factors;
pub(super) mod gemv;
pub(super) mod parallel;
pub(super) mod prefill;
pub(super) mod product;
pub(super) mod rows;
pub(super) mod rowwise;
pub(super) mod stream;
