//! Stands in for the CPU backend in builds without the feature `cpu`.

use super::{Backend, BackendError, Device, Host};
use crate::facts::Identity;

/// The CPU backend, not built.
pub struct CpuBackend;

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn devices(&self, _: &dyn Host) -> Result<Vec<Identity>, BackendError> {
        Err(BackendError::unsupported("this rooflab was built without the feature `cpu`"))
    }

    fn open(&self, _: usize, _: &dyn Host) -> Result<Box<dyn Device>, BackendError> {
        Err(BackendError::unsupported("this rooflab was built without the feature `cpu`"))
    }
}
