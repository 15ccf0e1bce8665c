//! Stands in for the CUDA backend in builds without the feature `cuda`.

use super::{Backend, BackendError, Device, Host};
use crate::facts::Identity;

/// The CUDA backend, not built.
pub struct CudaBackend;

impl Backend for CudaBackend {
    fn name(&self) -> &'static str {
        "cuda"
    }

    fn devices(&self, _: &dyn Host) -> Result<Vec<Identity>, BackendError> {
        Err(BackendError::unsupported("this rooflab was built without the feature `cuda`"))
    }

    fn open(&self, _: usize, _: &dyn Host) -> Result<Box<dyn Device>, BackendError> {
        Err(BackendError::unsupported("this rooflab was built without the feature `cuda`"))
    }
}
