//! What is measured, one file per family of workloads; each has its kernels in the folder `kernels`, which say what they compute.

pub(super) mod atomic;
pub(super) mod chase;
pub(super) mod copy;
pub(super) mod decode;
pub(super) mod empty;
pub(super) mod gemv;
pub(super) mod multiply_add;
pub(super) mod peer;
pub(super) mod rowwise;
pub(super) mod stream;
