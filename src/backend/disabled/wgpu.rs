//! Stands in for the wgpu backend in builds without the feature `wgpu`.

use super::{Backend, BackendError, Device, Host};
use crate::facts::Identity;

/// The wgpu backend, not built.
pub struct WgpuBackend;

impl Backend for WgpuBackend {
    fn name(&self) -> &'static str {
        "wgpu"
    }

    fn devices(&self, _: &dyn Host) -> Result<Vec<Identity>, BackendError> {
        Err(BackendError::unsupported("this rooflab was built without the feature `wgpu`"))
    }

    fn open(&self, _: usize, _: &dyn Host) -> Result<Box<dyn Device>, BackendError> {
        Err(BackendError::unsupported("this rooflab was built without the feature `wgpu`"))
    }
}
