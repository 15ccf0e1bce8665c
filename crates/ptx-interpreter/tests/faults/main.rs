//! Kernels with a mistake in them, each of which must be found; and the same kernels without it, which must pass.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod hostile;
mod reduction;
mod support;
mod waiting;
