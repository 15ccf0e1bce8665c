//! The functions of the other driver.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong, c_void};
use std::path::Path;

use libloading::Library;

use super::log::Log;
use crate::api::Map;
use crate::code::Code;
use crate::objects::Handle;
use crate::pointer::{HostBuffer, In, Out, Parameters};

/// Declares functions: their addresses, and methods that call them and note what is refused.
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?);)*) => {
        /// The functions of the other driver that are called.
        pub(crate) struct Calls {
            $($name: extern "C" fn($($type),*) -> Code,)*
            pub(super) log: Log,
            /// The functions are its.
            file: Library,
        }

        impl Calls {
            /// Loads the other driver.
            pub(super) fn load(path: &Path, log: Log) -> Result<Self, String> {
                let said = |error: libloading::Error| format!("`STAND_IN_BESIDE`: {}: {error}", path.display());
                // SAFETY: whoever starts the program says that this is a driver; its initialisers run as they do for every program
                // that uses it.
                let library = unsafe { Library::new(path) }.map_err(said)?;
                Ok(Self {
                    $($name: {
                        // SAFETY: drivers export a function of this type under this name. `Out`, `In` and the like are pointers.
                        let found = unsafe { library.get(concat!(stringify!($name), "\0").as_bytes()) };
                        *found.map_err(said)?
                    },)*
                    log,
                    file: library,
                })
            }

            $(
                #[allow(clippy::too_many_arguments, reason = "the driver's functions have as many")]
                pub(crate) fn $name(&self, $($argument: $type),*) -> Result<(), Code> {
                    match (self.$name)($($argument),*) {
                        Code::SUCCESS => Ok(()),
                        code => {
                            self.log.refused(stringify!($name), code);
                            Err(code)
                        }
                    }
                }
            )*
        }
    };
}

functions! {
    fn cuInit(flags: c_uint);
    fn cuDriverGetVersion(version: Out<c_int>);
    fn cuDeviceGet(device: Out<c_int>, number: c_int);
    fn cuDeviceGetAttribute(value: Out<c_int>, attribute: c_int, device: c_int);
    fn cuDevicePrimaryCtxRetain(context: Out<Handle>, device: c_int);
    fn cuDevicePrimaryCtxRelease_v2(device: c_int);
    fn cuCtxSetCurrent(context: Handle);
    fn cuCtxSynchronize();
    fn cuMemAlloc_v2(address: Out<u64>, bytes: usize);
    fn cuMemFree_v2(address: u64);
    fn cuMemcpyHtoDAsync_v2(to: u64, from: In<u8>, bytes: usize, stream: Handle);
    fn cuMemcpyDtoHAsync_v2(to: HostBuffer, from: u64, bytes: usize, stream: Handle);
    fn cuMemcpyDtoH_v2(to: HostBuffer, from: u64, bytes: usize);
    fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, stream: Handle);
    fn cuMemsetD8_v2(to: u64, byte: u8, count: usize);
    fn cuMemsetD8Async(to: u64, byte: u8, count: usize, stream: Handle);
    fn cuMemsetD32Async(to: u64, word: u32, count: usize, stream: Handle);
    fn cuMemHostAlloc(memory: Out<*mut u8>, bytes: usize, flags: c_uint);
    fn cuMemFreeHost(memory: HostBuffer);
    fn cuModuleLoadDataEx(
        module: Out<Handle>,
        text: In<c_char>,
        count: c_uint,
        options: In<c_int>,
        values: In<usize>,
    );
    fn cuModuleUnload(module: Handle);
    fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: In<c_char>);
    fn cuFuncSetAttribute(function: Handle, attribute: c_int, value: c_int);
    fn cuFuncSetCacheConfig(function: Handle, config: c_int);
    fn cuStreamCreateWithPriority(stream: Out<Handle>, flags: c_uint, priority: c_int);
    fn cuStreamDestroy_v2(stream: Handle);
    fn cuStreamSynchronize(stream: Handle);
    fn cuStreamWaitEvent(stream: Handle, event: Handle, flags: c_uint);
    fn cuStreamBeginCapture_v2(stream: Handle, mode: c_int);
    fn cuStreamEndCapture(stream: Handle, graph: Out<Handle>);
    fn cuGraphInstantiateWithFlags(executable: Out<Handle>, graph: Handle, flags: c_ulonglong);
    fn cuGraphUpload(executable: Handle, stream: Handle);
    fn cuGraphLaunch(executable: Handle, stream: Handle);
    fn cuGraphDestroy(graph: Handle);
    fn cuGraphExecDestroy(executable: Handle);
    fn cuEventCreate(event: Out<Handle>, flags: c_uint);
    fn cuEventDestroy_v2(event: Handle);
    fn cuEventRecord(event: Handle, stream: Handle);
    fn cuEventSynchronize(event: Handle);
    fn cuEventElapsedTime(milliseconds: Out<f32>, start: Handle, end: Handle);
    fn cuLaunchKernel(
        function: Handle,
        grid_x: c_uint,
        grid_y: c_uint,
        grid_z: c_uint,
        block_x: c_uint,
        block_y: c_uint,
        block_z: c_uint,
        shared_bytes: c_uint,
        stream: Handle,
        parameters: Parameters,
        extra: *const c_void,
    );
}

/// `cuTensorMapEncodeTiled`, which came with CUDA 12.
pub(crate) type Encode = extern "C" fn(
    Out<Map>,
    c_uint,
    c_uint,
    u64,
    In<u64>,
    In<u64>,
    In<u32>,
    In<u32>,
    c_int,
    c_int,
    c_int,
    c_int,
) -> Code;

impl Calls {
    /// Has a map of a tensor made, where the other driver can.
    pub(crate) fn encode(&self, call: impl FnOnce(Encode) -> Code) -> Result<(), Code> {
        const NAME: &str = "cuTensorMapEncodeTiled";
        // SAFETY: drivers export a function of this type under this name.
        let code = match unsafe { self.file.get::<Encode>(NAME) } {
            Ok(encode) => call(*encode),
            Err(_) => Code::NOT_SUPPORTED,
        };
        if code == Code::SUCCESS {
            return Ok(());
        }
        self.log.refused(NAME, code);
        Err(code)
    }

    /// Tells a stand-in that it is the other driver. NVIDIA's has no such function, and need not be told.
    pub(super) fn tell(&self) {
        // SAFETY: a library that exports this name is a stand-in, whose function has this type.
        if let Ok(tell) = unsafe { self.file.get::<extern "C" fn()>(b"standInIsBeside\0") } {
            tell();
        }
    }
}
