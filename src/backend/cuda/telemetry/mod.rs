//! What the GPU's sensors and settings are, told by NVIDIA's management library. It comes with the driver, but not into every container, and a machine that lacks it is
//! measured all the same.
//!
//! `library` finds the device there and asks; `tally` gathers what was answered, as pure functions; `watch` asks again and again while something is measured.

mod library;
mod tally;
mod watch;

use crate::facts::GpuConditions;

pub(super) use watch::Watch;

/// What both libraries know a device by. Their numberings differ.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// The device's own name for itself.
    pub(super) uuid: [u8; 16],
    /// Its address on the PCI bus.
    pub(super) bus: String,
}

/// The library, for questions that are asked once.
pub(super) struct Library(nvml_wrapper::Nvml);

impl Library {
    /// Loads the library, if there is one that works.
    pub(super) fn load() -> Option<Self> {
        nvml_wrapper::Nvml::init().ok().map(Self)
    }

    /// The circumstances of a device as they are now, if the library knows it.
    pub(super) fn conditions(&self, key: &Key) -> Option<GpuConditions> {
        library::find(&self.0, key).map(|device| library::conditions(&self.0, &device))
    }
}
