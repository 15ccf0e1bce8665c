//! Which devices there are, and what the driver says of them.

use std::ffi::CStr;

use cudarc::driver::sys::{self, CUdevice_attribute as Attribute};
use serde::{Deserialize, Serialize};

use super::driver::{self, Code, Driver, check};
use super::telemetry::{Key, Library};
use super::{NAME, rates};
use crate::backend::BackendError;
use crate::facts::{Cache, DeviceKind, GpuConditions, Identity};

/// Words in the names of devices that a processor stands in for.
const SOFTWARE: [&str; 1] = ["interpreter"];

/// What was found, as one process hands it to another.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Survey {
    devices: Vec<Found>,
    /// Why there are none.
    failure: Option<Failure>,
}

/// An error that survives the way from one process to another.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Failure {
    what: String,
    hint: Option<String>,
}

/// A device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Found {
    /// Its place among those that the driver lists for this process.
    pub(super) index: usize,
    pub(super) name: String,
    /// Compute capability: 9 and 0.
    pub(super) capability: (u32, u32),
    pub(super) multiprocessors: u32,
    memory: u64,
    l2: u64,
    /// Bytes that a multiprocessor's L1 cache and shared memory have together at least: the shared memory it can be set to.
    shared: u64,
    /// The newest version of CUDA that the driver understands.
    cuda: (u32, u32),
    /// Address on the PCI bus, by which other libraries know the device.
    bus: String,
    /// The device's own name for itself, as 16 bytes.
    uuid: [u8; 16],
    /// Its circumstances, where the management library tells them. They are asked for before this program uses the device.
    pub(super) conditions: Option<GpuConditions>,
}

impl Survey {
    /// Asks the driver, in this process.
    pub(super) fn take() -> Self {
        match Self::find() {
            Ok(devices) => Self { devices, failure: None },
            Err(error) => {
                let failure = Failure { what: error.to_string(), hint: error.hint().map(str::to_owned) };
                Self { devices: Vec::new(), failure: Some(failure) }
            }
        }
    }

    fn find() -> Result<Vec<Found>, BackendError> {
        let driver = Driver::load()?;
        let mut count = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { driver::cuDeviceGetCount(&raw mut count) })?;
        let library = Library::load();
        (0..count).map(|index| Found::ask(driver, library.as_ref(), index)).collect()
    }

    /// The survey as text.
    pub(super) fn written(&self) -> Result<String, BackendError> {
        serde_json::to_string(self)
            .map_err(|error| BackendError::System(format!("the survey cannot be written: {error}")))
    }

    /// A survey from its text.
    pub(super) fn read(text: &str) -> Result<Self, BackendError> {
        serde_json::from_str(text).map_err(|error| BackendError::Driver {
            what: format!("the survey of CUDA devices is not what was expected: {error}"),
            hint: "a driver may print while it is loaded: update it".to_owned(),
        })
    }

    /// The devices, or why there are none.
    pub(super) fn devices(self) -> Result<Vec<Found>, BackendError> {
        match self.failure {
            None if self.devices.is_empty() => Err(BackendError::unsupported("the CUDA driver has no device")),
            None => Ok(self.devices),
            Some(Failure { what, hint: Some(hint) }) => Err(BackendError::Driver { what, hint }),
            Some(Failure { what, hint: None }) => Err(BackendError::unsupported(what)),
        }
    }
}

impl Found {
    /// A device of a name and a compute capability, with a driver for a version of CUDA.
    #[cfg(test)]
    pub(super) fn of(name: &str, capability: (u32, u32), cuda: (u32, u32)) -> Self {
        Self {
            index: 0,
            name: name.to_owned(),
            capability,
            multiprocessors: 4,
            memory: 1 << 30,
            l2: 1 << 20,
            shared: 1 << 16,
            cuda,
            bus: String::new(),
            uuid: [0; 16],
            conditions: None,
        }
    }

    fn ask(driver: Driver, library: Option<&Library>, index: i32) -> Result<Self, BackendError> {
        let mut device = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { driver::cuDeviceGet(&raw mut device, index) })?;
        let attribute = |attribute: Attribute| {
            let mut value = 0;
            // SAFETY: the pointer is to a local that outlives the call.
            check(unsafe { driver::cuDeviceGetAttribute(&raw mut value, attribute, device) })?;
            Ok::<_, BackendError>(u32::try_from(value).unwrap_or(0))
        };
        let mut memory = 0_usize;
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { driver::cuDeviceTotalMem_v2(&raw mut memory, device) })?;
        let mut uuid = sys::CUuuid { bytes: [0; 16] };
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { driver::cuDeviceGetUuid(&raw mut uuid, device) })?;
        let mut found = Self {
            index: usize::try_from(index).unwrap_or(0),
            name: text(|buffer, bytes| {
                // SAFETY: the buffer has as many bytes as are stated.
                unsafe { driver::cuDeviceGetName(buffer, bytes, device) }
            })?,
            capability: (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            memory: memory as u64,
            l2: attribute(Attribute::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE)?.into(),
            shared: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR)?.into(),
            cuda: (driver.cuda.major, driver.cuda.minor),
            bus: text(|buffer, bytes| {
                // SAFETY: the buffer has as many bytes as are stated.
                unsafe { driver::cuDeviceGetPCIBusId(buffer, bytes, device) }
            })?,
            uuid: uuid.bytes.map(i8::cast_unsigned),
            conditions: None,
        };
        found.conditions = library.and_then(|library| library.conditions(&found.key()));
        Ok(found)
    }

    /// What the management library knows it by.
    pub(super) fn key(&self) -> Key {
        Key { uuid: self.uuid, bus: self.bus.clone() }
    }

    /// The newest version of CUDA that the driver understands.
    pub(super) const fn cuda(&self) -> driver::Version {
        driver::Version { major: self.cuda.0, minor: self.cuda.1 }
    }

    /// Whether a processor stands in for it.
    pub(super) fn is_software(&self) -> bool {
        SOFTWARE.iter().any(|word| self.name.to_lowercase().contains(word))
    }

    /// Who it is.
    pub(super) fn identity(&self) -> Identity {
        let (major, minor) = self.capability;
        let software = self.is_software();
        let kind = if software { DeviceKind::Software } else { DeviceKind::Gpu };
        let l1 = rates::l1(self.capability).unwrap_or(self.shared);
        let cache = |level, bytes, shared_by| Cache { level, bytes, shared_by };
        let caches = [cache(1, l1, 1), cache(2, self.l2, self.multiprocessors)];
        Identity {
            id: format!("{NAME}:{}", self.index),
            backend: NAME.to_owned(),
            vendor: (!software).then(|| "NVIDIA".to_owned()),
            architecture: rates::architecture(self.capability).map(str::to_owned),
            isa: Some(format!("compute {major}.{minor}")),
            cores: self.multiprocessors,
            caches: caches.into_iter().filter(|cache| cache.bytes > 0).collect(),
            // Of both caches, on every device since Volta; a sector is 32.
            cache_line: 128,
            memory: self.memory,
            bus: self.bus.parse().ok(),
            driver: Some(format!("CUDA {}", self.cuda())),
            ..Identity::named(&self.name, kind)
        }
    }
}

/// A text that the driver writes into a buffer.
fn text(ask: impl FnOnce(*mut std::ffi::c_char, i32) -> Code) -> Result<String, BackendError> {
    const BYTES: usize = 256;
    let mut buffer = [0_u8; BYTES];
    check(ask(buffer.as_mut_ptr().cast(), BYTES as i32))?;
    Ok(CStr::from_bytes_until_nul(&buffer).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default())
}
