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
    is_capturing: extern "C" fn(usize, *mut c_int) -> i32,
    call: extern "C" fn(usize, extern "C" fn(usize), usize) -> i32,
}

/// Work that a stream does, once or whenever a graph of it is launched.
type Job = Box<dyn Fn() -> Done>;

/// Does a job. What it comes to shows in what it leaves behind.
extern "C" fn call(job: usize) {
    // SAFETY: `Driver::enqueue` made the address of a job that lives to the end of the process.
    let job = unsafe { &*(job as *const Job) };
    let _ = job();
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
                is_capturing: *library.get("cuStreamIsCapturing").ok()?,
                call: *library.get("cuLaunchHostFunc").ok()?,
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

    /// Has a stream do a job: at once, or as a part of the graph that it is captured for.
    pub(crate) fn enqueue(&self, stream: usize, job: Job) -> Done {
        let mut is_capturing = 0;
        done((self.is_capturing)(stream, &raw mut is_capturing))?;
        if is_capturing == 0 {
            return job();
        }
        // Nobody says when a graph is given back.
        let job: &'static Job = Box::leak(Box::new(job));
        done((self.call)(stream, call, std::ptr::from_ref(job) as usize))
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
