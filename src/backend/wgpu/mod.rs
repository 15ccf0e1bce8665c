//! The portable GPU backend: whatever Vulkan, Metal, DirectX 12 or, last, OpenGL reaches, with kernels in WGSL.
//!
//! `adapters` finds devices, in a process of its own because drivers crash, hang and print there. `device` ties together: `gpu` (the
//! open device: buffers, pipelines, errors), `matrices` (what it has of cooperative matrices), `timing` (submissions and what times them), `shaders` (the
//! sources and their template) and `kernels` (what is measured).

#![allow(
    unsafe_code,
    reason = "shaders without run-time checks, a feature on trial, and what only the driver below wgpu can tell"
)]

mod adapters;
mod device;
mod gpu;
mod kernels;
mod matrices;
mod shaders;
mod timing;

use super::{Backend, BackendError, Device, Host};
use crate::facts::Identity;

const NAME: &str = "wgpu";

/// The backend of GPUs through wgpu.
pub struct WgpuBackend;

impl Backend for WgpuBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self, host: &dyn Host) -> Result<Vec<Identity>, BackendError> {
        let adapters = adapters::Survey::read(&host.survey(self)?)?.adapters()?;
        Ok(adapters.iter().enumerate().map(|(index, adapter)| adapter.identity(index)).collect())
    }

    /// Opens a device in this process, once a survey has shown that its driver can be asked.
    fn open(&self, index: usize, host: &dyn Host) -> Result<Box<dyn Device>, BackendError> {
        let adapters = adapters::Survey::read(&host.survey(self)?)?.adapters()?;
        let Some(adapter) = adapters.get(index) else {
            return Err(BackendError::NoSuchDevice { backend: NAME, index, count: adapters.len() });
        };
        Ok(Box::new(device::WgpuDevice::open(adapter, index, host.wants_checks())?))
    }

    fn survey(&self) -> Result<String, BackendError> {
        adapters::Survey::take().written()
    }
}
