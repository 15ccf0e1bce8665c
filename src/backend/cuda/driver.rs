//! NVIDIA's driver: whether there is one that has every function rooflab calls, and its errors as [`BackendError`]s.

use std::ffi::{CStr, c_char};

use cudarc::driver::sys::{self, CUresult as Said};

pub(super) use super::functions::*;
use crate::backend::BackendError;

/// A version of CUDA: 12.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u32,
    pub(super) minor: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The driver, loaded, complete and initialised: whoever has one may call its functions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Driver {
    /// The newest version of CUDA it understands.
    pub(super) cuda: Version,
}

impl Driver {
    /// Loads the driver.
    ///
    /// # Errors
    /// When there is none, when it is too old, or when it says that it cannot be used.
    pub(super) fn load() -> Result<Self, BackendError> {
        // SAFETY: the driver's library is loaded, which runs its initialisers, as it is for every program that uses the GPU.
        if !unsafe { sys::is_culib_present() } {
            return Err(BackendError::unsupported("no CUDA driver found"));
        }
        // SAFETY: the library was just found to be there.
        unsafe { find_all() }.map_err(|name| BackendError::Driver {
            what: format!("the CUDA driver lacks `{name}`"),
            hint: "update the driver: rooflab needs R470 or later".to_owned(),
        })?;
        // SAFETY: takes no pointer.
        let result = unsafe { cuInit(0) };
        check(result).map_err(|error| BackendError::Driver {
            what: format!("the CUDA driver cannot be used: {error}"),
            hint: "see whether `nvidia-smi` works; in a container, whether it was started with access to GPUs"
                .to_owned(),
        })?;
        let mut number = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        check(unsafe { cuDriverGetVersion(&raw mut number) })?;
        let number = u32::try_from(number).unwrap_or(0);
        Ok(Self { cuda: Version { major: number / 1000, minor: number % 1000 / 10 } })
    }
}

/// Results that are told apart.
pub(super) const SUCCESS: Code = Said::CUDA_SUCCESS as Code;
pub(super) const OUT_OF_MEMORY: Code = Said::CUDA_ERROR_OUT_OF_MEMORY as Code;
pub(super) const NOT_READY: Code = Said::CUDA_ERROR_NOT_READY as Code;
pub(super) const PEER_ACCESS_ALREADY_ENABLED: Code = Said::CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED as Code;
pub(super) const TOO_MANY_PEERS: Code = Said::CUDA_ERROR_TOO_MANY_PEERS as Code;

/// Results after which nothing works any more in this process.
const LOST: [Said; 17] = [
    Said::CUDA_ERROR_ILLEGAL_ADDRESS,
    Said::CUDA_ERROR_LAUNCH_FAILED,
    Said::CUDA_ERROR_LAUNCH_TIMEOUT,
    Said::CUDA_ERROR_ILLEGAL_INSTRUCTION,
    Said::CUDA_ERROR_MISALIGNED_ADDRESS,
    Said::CUDA_ERROR_INVALID_ADDRESS_SPACE,
    Said::CUDA_ERROR_INVALID_PC,
    Said::CUDA_ERROR_HARDWARE_STACK_ERROR,
    Said::CUDA_ERROR_ECC_UNCORRECTABLE,
    Said::CUDA_ERROR_NVLINK_UNCORRECTABLE,
    Said::CUDA_ERROR_CONTAINED,
    Said::CUDA_ERROR_CONTEXT_IS_DESTROYED,
    Said::CUDA_ERROR_DEVICE_NOT_LICENSED,
    Said::CUDA_ERROR_DEVICE_UNAVAILABLE,
    Said::CUDA_ERROR_ASSERT,
    Said::CUDA_ERROR_MPS_CLIENT_TERMINATED,
    Said::CUDA_ERROR_EXTERNAL_DEVICE,
];

/// What a call of the driver came to.
pub(super) fn check(code: Code) -> Result<(), BackendError> {
    match code {
        SUCCESS => Ok(()),
        OUT_OF_MEMORY => Err(BackendError::OutOfMemory { bytes: 0, cause: said(code) }),
        _ if LOST.iter().any(|&lost| lost as Code == code) => Err(BackendError::Lost(said(code))),
        _ => Err(BackendError::System(said(code))),
    }
}

/// The driver's own words for a code.
pub(super) fn said(code: Code) -> String {
    let text = |ask: unsafe fn(Code, *mut *const c_char) -> Code| {
        let mut text = std::ptr::null();
        // SAFETY: the pointer is to a local; what it is set to is a constant of the driver's, or nothing.
        let found = unsafe { ask(code, &raw mut text) };
        if found != SUCCESS || text.is_null() {
            return None;
        }
        // SAFETY: the driver gives a text that ends with 0 and is never freed.
        Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    match (text(cuGetErrorName), text(cuGetErrorString)) {
        (Some(name), Some(meaning)) => format!("{meaning} (`{name}`)"),
        (Some(name), None) => format!("`{name}`"),
        _ => format!("CUDA error {code}"),
    }
}
