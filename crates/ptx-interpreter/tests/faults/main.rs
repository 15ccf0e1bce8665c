//! Kernels with a mistake in them, each of which must be found; and the same kernels without it, which must pass.

mod hostile;
mod reduction;
mod support;
mod waiting;
