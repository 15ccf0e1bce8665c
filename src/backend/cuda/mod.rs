//! The backend of NVIDIA's GPUs, for which nothing but the driver has to be installed: kernels are PTX that ships with rooflab.
//!
//! `survey` finds devices, in a process of its own because drivers crash and hang there. `device` ties together: `driver` (what is called of the driver, by its
//! `functions`, and its errors), `context` (what all on a device belongs to), `gpu` (the open device: memory, modules, launches), `tensor_map` (how kernels are told of matrices), `ptx` (the kernels that ship, and which of them a device can run), `timing` (what times launches),
//! `kernels` (what is measured), `libraries` (NVIDIA's own, where they are installed) and `telemetry` (what the sensors say meanwhile).

#![allow(unsafe_code, reason = "the driver's interface is one of C")]

mod context;
mod device;
mod driver;
mod functions;
mod gpu;
mod graph;
mod kernels;
mod libraries;
mod ptx;
mod rates;
mod survey;
mod telemetry;
mod tensor_map;
mod timing;

use super::{Backend, BackendError, Device, Host};
use crate::facts::{GpuConditions, Identity, Library, LibraryName};
use survey::Survey;

const NAME: &str = "cuda";

/// The backend of NVIDIA's GPUs.
pub struct CudaBackend;

impl Backend for CudaBackend {
    fn name(&self) -> &'static str {
        NAME
    }

    fn devices(&self, host: &dyn Host) -> Result<Vec<Identity>, BackendError> {
        let found = Survey::read(&host.survey(self)?)?.devices()?;
        Ok(found.iter().map(survey::Found::identity).collect())
    }

    fn gpu_conditions(&self, index: usize, host: &dyn Host) -> Option<GpuConditions> {
        let found = Survey::read(&host.survey(self).ok()?).ok()?.devices().ok()?;
        found.get(index)?.conditions.clone()
    }

    /// Loaded in this process, which is what a probe does with them.
    fn libraries(&self, host: &dyn Host) -> Vec<Library> {
        let Ok(found) = host.survey(self).and_then(|text| Survey::read(&text)?.devices()) else { return Vec::new() };
        let Some(device) = found.first() else { return Vec::new() };
        let found = libraries::cublaslt::find(&host.vendor_folders(), device.cuda());
        let products = libraries::told(LibraryName::CublasLt, &found);
        vec![products, libraries::told(LibraryName::Nccl, &libraries::nccl::find(&host.vendor_folders()))]
    }

    /// Opens a device in this process, once a survey has shown that the driver can be asked.
    fn open(&self, index: usize, host: &dyn Host) -> Result<Box<dyn Device>, BackendError> {
        let found = Survey::read(&host.survey(self)?)?.devices()?;
        let Some(device) = found.get(index) else {
            return Err(BackendError::NoSuchDevice { backend: NAME, index, count: found.len() });
        };
        let others = found.iter().filter(|other| other.index != device.index).cloned().collect();
        Ok(Box::new(device::CudaDevice::open(device, others, host.patience(), host.vendor_folders())?))
    }

    fn survey(&self) -> Result<String, BackendError> {
        Survey::take().written()
    }
}
