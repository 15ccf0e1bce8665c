//! The functions of NVIDIA's driver, by name.
//!
//! The types of their arguments are those of the bindings; their results are plain numbers. Drivers newer than the bindings answer with numbers that those do not know, and
//! an enum of Rust's must never hold one. The bindings also load each function when it is first called, and panic when it is missing: here all are looked for at once.

#![allow(non_snake_case, reason = "the functions have the names of the driver's")]

use std::ffi::{c_char, c_int, c_uchar, c_uint, c_ulonglong, c_void};
use std::sync::OnceLock;

use cudarc::driver::sys::{
    self, CUcontext, CUdevice, CUdevice_attribute, CUdeviceptr, CUevent, CUfunction, CUfunction_attribute, CUgraph,
    CUgraphExec, CUgraphNode, CUjit_option, CUmodule, CUstream, CUstreamCaptureMode, CUuuid,
};

/// What a call came to, by the driver's numbers.
pub(super) type Code = u32;

/// Declares functions, and where they are once they were found.
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        struct Functions { $($name: unsafe extern "C" fn($($type),*) -> Code,)* }

        impl Functions {
            fn find() -> Result<Self, &'static str> {
                // SAFETY: each has the type that the driver's header declares it with; its result is an enum of C's, which is passed as a number of 32 bits.
                unsafe { Ok(Self { $($name: look_up(stringify!($name))?,)* }) }
            }
        }

        $(
            /// The driver's function of this name.
            #[allow(clippy::too_many_arguments, reason = "they are the driver's")]
            pub(super) unsafe fn $name($($argument: $type),*) -> Code {
                match FOUND.get() {
                    // SAFETY: the caller keeps to what the driver's documentation asks of the function's callers.
                    Some(Ok(found)) => unsafe { (found.$name)($($argument),*) },
                    _ => sys::CUresult::CUDA_ERROR_NOT_INITIALIZED as Code,
                }
            }
        )*
    };
}

// Every function of the driver that rooflab calls. All are in drivers from R470 on.
functions! {
    fn cuCtxEnablePeerAccess(peer: CUcontext, flags: c_uint);
    fn cuCtxSetCurrent(context: CUcontext);
    fn cuDeviceCanAccessPeer(can: *mut c_int, device: CUdevice, peer: CUdevice);
    fn cuDeviceGet(device: *mut CUdevice, ordinal: c_int);
    fn cuDeviceGetAttribute(value: *mut c_int, attribute: CUdevice_attribute, device: CUdevice);
    fn cuDeviceGetCount(count: *mut c_int);
    fn cuDeviceGetName(name: *mut c_char, room: c_int, device: CUdevice);
    fn cuDeviceGetPCIBusId(text: *mut c_char, room: c_int, device: CUdevice);
    fn cuDeviceGetUuid(uuid: *mut CUuuid, device: CUdevice);
    fn cuDevicePrimaryCtxRelease_v2(device: CUdevice);
    fn cuDevicePrimaryCtxRetain(context: *mut CUcontext, device: CUdevice);
    fn cuDeviceTotalMem_v2(bytes: *mut usize, device: CUdevice);
    fn cuDriverGetVersion(version: *mut c_int);
    fn cuEventCreate(event: *mut CUevent, flags: c_uint);
    fn cuEventDestroy_v2(event: CUevent);
    fn cuEventElapsedTime(milliseconds: *mut f32, start: CUevent, end: CUevent);
    fn cuEventQuery(event: CUevent);
    fn cuEventRecord(event: CUevent, stream: CUstream);
    fn cuFuncSetAttribute(function: CUfunction, attribute: CUfunction_attribute, value: c_int);
    fn cuGetErrorName(code: Code, text: *mut *const c_char);
    fn cuGetErrorString(code: Code, text: *mut *const c_char);
    fn cuGraphDestroy(graph: CUgraph);
    fn cuGraphExecDestroy(executable: CUgraphExec);
    fn cuGraphGetNodes(graph: CUgraph, nodes: *mut CUgraphNode, count: *mut usize);
    fn cuGraphInstantiateWithFlags(executable: *mut CUgraphExec, graph: CUgraph, flags: c_ulonglong);
    fn cuGraphLaunch(executable: CUgraphExec, stream: CUstream);
    fn cuInit(flags: c_uint);
    fn cuLaunchKernel(
        function: CUfunction,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared_bytes: c_uint,
        stream: CUstream,
        parameters: *mut *mut c_void,
        extra: *mut *mut c_void,
    );
    fn cuMemAlloc_v2(address: *mut CUdeviceptr, bytes: usize);
    fn cuMemFreeHost(memory: *mut c_void);
    fn cuMemFree_v2(address: CUdeviceptr);
    fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize);
    fn cuMemHostAlloc(memory: *mut *mut c_void, bytes: usize, flags: c_uint);
    fn cuMemcpyDtoDAsync_v2(to: CUdeviceptr, from: CUdeviceptr, bytes: usize, stream: CUstream);
    fn cuMemcpyDtoHAsync_v2(to: *mut c_void, from: CUdeviceptr, bytes: usize, stream: CUstream);
    fn cuMemcpyHtoDAsync_v2(to: CUdeviceptr, from: *const c_void, bytes: usize, stream: CUstream);
    fn cuMemcpyPeerAsync(
        to: CUdeviceptr,
        to_context: CUcontext,
        from: CUdeviceptr,
        from_context: CUcontext,
        bytes: usize,
        stream: CUstream,
    );
    fn cuMemsetD8Async(to: CUdeviceptr, byte: c_uchar, count: usize, stream: CUstream);
    fn cuModuleGetFunction(function: *mut CUfunction, module: CUmodule, name: *const c_char);
    fn cuModuleLoadDataEx(
        module: *mut CUmodule,
        image: *const c_void,
        count: c_uint,
        options: *mut CUjit_option,
        values: *mut *mut c_void,
    );
    fn cuModuleUnload(module: CUmodule);
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        blocks: *mut c_int,
        function: CUfunction,
        threads: c_int,
        shared_bytes: usize,
    );
    fn cuStreamBeginCapture_v2(stream: CUstream, mode: CUstreamCaptureMode);
    fn cuStreamCreate(stream: *mut CUstream, flags: c_uint);
    fn cuStreamDestroy_v2(stream: CUstream);
    fn cuStreamEndCapture(stream: CUstream, graph: *mut CUgraph);
}

/// The functions, or the name of the first that is missing.
static FOUND: OnceLock<Result<Functions, &'static str>> = OnceLock::new();

/// Looks for all functions.
///
/// # Errors
/// The name of one that the driver lacks.
///
/// # Safety
/// The driver's library is there: the bindings panic where it is not.
pub(super) unsafe fn find_all() -> Result<(), &'static str> {
    FOUND.get_or_init(Functions::find).as_ref().map(|_| ()).map_err(|name| *name)
}

/// A function by its name.
///
/// # Safety
/// `F` is the function's type.
pub(super) unsafe fn look_up<F: Copy>(name: &'static str) -> Result<F, &'static str> {
    // SAFETY: the library stays loaded until the process ends, and the caller knows the function's type.
    unsafe { sys::culib().get::<F>(name.as_bytes()) }.map(|symbol| *symbol).map_err(|_| name)
}
