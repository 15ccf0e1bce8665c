//! The stand-in driver's memory, by its own functions: addresses of a device are no pointers of the host's.

use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

type Done = Result<(), i32>;

/// The functions that copy from and to a device, and that say which.
pub(crate) struct Driver {
    read: extern "C" fn(*mut c_void, u64, usize) -> i32,
    write: extern "C" fn(u64, *const c_void, usize) -> i32,
    retain: extern "C" fn(*mut usize, c_int) -> i32,
    current: extern "C" fn(*mut usize) -> i32,
    set_current: extern "C" fn(usize) -> i32,
}

impl Driver {
    /// The driver that the program has loaded already.
    pub(crate) fn get() -> Option<&'static Self> {
        static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
        DRIVER.get_or_init(Self::load).as_ref()
    }

    fn load() -> Option<Self> {
        // SAFETY: the stand-in's initialisers do nothing.
        let library = unsafe { libloading::Library::new("libcuda.so") }.ok()?;
        // SAFETY: the functions have these types.
        let driver = unsafe {
            Self {
                read: *library.get("cuMemcpyDtoH_v2").ok()?,
                write: *library.get("cuMemcpyHtoD_v2").ok()?,
                retain: *library.get("cuDevicePrimaryCtxRetain").ok()?,
                current: *library.get("cuCtxGetCurrent").ok()?,
                set_current: *library.get("cuCtxSetCurrent").ok()?,
            }
        };
        // Its functions are called from now on.
        std::mem::forget(library);
        Some(driver)
    }

    /// Copies from the device of this thread's context.
    pub(crate) fn read(&self, from: u64, to: &mut [u8]) -> Done {
        done((self.read)(to.as_mut_ptr().cast(), from, to.len()))
    }

    /// Copies to the device of this thread's context.
    pub(crate) fn write(&self, to: u64, from: &[u8]) -> Done {
        done((self.write)(to, from.as_ptr().cast(), from.len()))
    }

    /// Does something on a device, whatever this thread's is.
    pub(crate) fn on(&self, device: c_int, work: impl FnOnce() -> Done) -> Done {
        let (mut before, mut context) = (0, 0);
        done((self.current)(&raw mut before))?;
        done((self.retain)(&raw mut context, device))?;
        done((self.set_current)(context))?;
        let worked = work();
        done((self.set_current)(before))?;
        worked
    }
}

fn done(code: i32) -> Done {
    if code == 0 { Ok(()) } else { Err(code) }
}
