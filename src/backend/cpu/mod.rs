//! The native CPU backend: all cores, pinned, with the widest vectors the machine has.
//!
//! `device` ties together: `topology` and `microarch` (who the machine is), `team` (the pinned workers), `arena` (their
//! memory), `timing` (what a sample is), `isa` (vectors) and `kernels` (what is measured).

#![allow(unsafe_code, reason = "intrinsics, inline assembly and raw memory are what a backend is for")]

mod arena;
mod clock;
mod device;
mod isa;
mod kernels;
mod microarch;
mod team;
mod time;
mod timing;
mod topology;

use super::{Backend, BackendError, Device, Host};
use crate::facts::Identity;

/// The backend of the processor rooflab runs on: one device, `cpu:0`.
pub struct CpuBackend;

impl Backend for CpuBackend {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn devices(&self, _: &dyn Host) -> Result<Vec<Identity>, BackendError> {
        Ok(vec![topology::Topology::read().identity])
    }

    /// Opens the processor. The calling thread becomes the first worker and is bound to its core until the device is
    /// dropped.
    fn open(&self, index: usize, _: &dyn Host) -> Result<Box<dyn Device>, BackendError> {
        if index > 0 {
            return Err(BackendError::NoSuchDevice { backend: "cpu", index, count: 1 });
        }
        Ok(Box::new(device::CpuDevice::open()?))
    }
}
