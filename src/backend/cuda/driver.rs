//! NVIDIA's driver: whether there is one that has every function rooflab calls, and its errors as [`BackendError`]s.
//!
//! The bindings load each function when it is first called, and panic when it is missing: therefore all are looked for before any is called.

use std::ffi::CStr;

use cudarc::driver::sys;

use crate::backend::BackendError;

/// Declares the functions that are called, and lists their names.
macro_rules! functions {
    ($($name:ident),* $(,)?) => {
        /// Every function of the driver that rooflab calls. All are in drivers from R470 on.
        const FUNCTIONS: &[&str] = &[$(stringify!($name)),*];
        #[allow(unused_imports, reason = "some are called in this file alone")]
        pub(super) use sys::{$($name),*};
    };
}

functions![
    cuCtxSetCurrent,
    cuDeviceGet,
    cuDeviceGetAttribute,
    cuDeviceGetCount,
    cuDeviceGetName,
    cuDeviceGetPCIBusId,
    cuDeviceGetUuid,
    cuDevicePrimaryCtxRelease_v2,
    cuDevicePrimaryCtxRetain,
    cuDeviceTotalMem_v2,
    cuDriverGetVersion,
    cuEventCreate,
    cuEventDestroy_v2,
    cuEventElapsedTime,
    cuEventQuery,
    cuEventRecord,
    cuFuncSetAttribute,
    cuGetErrorName,
    cuGetErrorString,
    cuGraphDestroy,
    cuGraphExecDestroy,
    cuGraphInstantiateWithFlags,
    cuGraphLaunch,
    cuInit,
    cuLaunchKernel,
    cuMemAlloc_v2,
    cuMemFreeHost,
    cuMemFree_v2,
    cuMemGetInfo_v2,
    cuMemHostAlloc,
    cuMemcpyDtoDAsync_v2,
    cuMemcpyDtoHAsync_v2,
    cuMemcpyHtoDAsync_v2,
    cuMemsetD8Async,
    cuModuleGetFunction,
    cuModuleLoadDataEx,
    cuModuleUnload,
    cuOccupancyMaxActiveBlocksPerMultiprocessor,
    cuStreamBeginCapture_v2,
    cuStreamCreate,
    cuStreamDestroy_v2,
    cuStreamEndCapture,
];

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
        let missing = FUNCTIONS.iter().find(|name| !has(name));
        if let Some(name) = missing {
            return Err(BackendError::Driver {
                what: format!("the CUDA driver lacks `{name}`"),
                hint: "update the driver: rooflab needs R470 or later".to_owned(),
            });
        }
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

/// Whether the loaded driver has a function.
fn has(name: &str) -> bool {
    // SAFETY: the symbol is only looked for, not called.
    unsafe { sys::culib().get::<*const ()>(name.as_bytes()).is_ok() }
}

/// What a call of the driver came to.
pub(super) fn check(result: sys::CUresult) -> Result<(), BackendError> {
    use sys::CUresult as Code;
    match result {
        Code::CUDA_SUCCESS => Ok(()),
        // After these nothing works any more in this process.
        Code::CUDA_ERROR_ILLEGAL_ADDRESS
        | Code::CUDA_ERROR_LAUNCH_FAILED
        | Code::CUDA_ERROR_LAUNCH_TIMEOUT
        | Code::CUDA_ERROR_ILLEGAL_INSTRUCTION
        | Code::CUDA_ERROR_MISALIGNED_ADDRESS
        | Code::CUDA_ERROR_INVALID_ADDRESS_SPACE
        | Code::CUDA_ERROR_INVALID_PC
        | Code::CUDA_ERROR_HARDWARE_STACK_ERROR
        | Code::CUDA_ERROR_ECC_UNCORRECTABLE
        | Code::CUDA_ERROR_CONTEXT_IS_DESTROYED
        | Code::CUDA_ERROR_DEVICE_NOT_LICENSED
        | Code::CUDA_ERROR_DEVICE_UNAVAILABLE
        | Code::CUDA_ERROR_ASSERT => Err(BackendError::Lost(said(result))),
        Code::CUDA_ERROR_OUT_OF_MEMORY => Err(BackendError::OutOfMemory { bytes: 0, cause: said(result) }),
        _ => Err(BackendError::System(said(result))),
    }
}

/// The driver's own words for a code.
pub(super) fn said(result: sys::CUresult) -> String {
    let text = |ask: unsafe fn(sys::CUresult, *mut *const std::ffi::c_char) -> sys::CUresult| {
        let mut text = std::ptr::null();
        // SAFETY: the pointer is to a local; what it is set to is a constant of the driver's, or nothing.
        let found = unsafe { ask(result, &raw mut text) };
        if found != sys::CUresult::CUDA_SUCCESS || text.is_null() {
            return None;
        }
        // SAFETY: the driver gives a text that ends with 0 and is never freed.
        Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
    };
    match (text(cuGetErrorName), text(cuGetErrorString)) {
        (Some(name), Some(meaning)) => format!("{meaning} (`{name}`)"),
        (Some(name), None) => format!("`{name}`"),
        _ => format!("`{result:?}`"),
    }
}
