//! What is measured, one file per family of workloads; each has its kernels in the folder `kernels`, which say what they compute.

pub(super) mod atomic;
pub(super) mod chase;
pub(super) mod collective;
pub(super) mod copy;
mod dealt;
pub(super) mod decode;
mod elements;
pub(super) mod empty;
pub(super) mod gemm;
mod gemm_warpgroup;
pub(super) mod gemv;
pub(super) mod in_turn;
pub(super) mod matrix;
pub(super) mod multiply_add;
pub(super) mod peer;
pub(super) mod prefill;
pub(super) mod product;
pub(super) mod rowwise;
mod sparse;
pub(super) mod stream;
mod vendor;
pub(super) mod warpgroup;
