//! The open device: memory, modules and launches, each given back when it is dropped, and each error a [`BackendError`].

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::rc::Rc;

use cudarc::driver::sys;

use super::context::Context;
use super::driver::{self, Code, Driver, OUT_OF_MEMORY, SUCCESS, said};
use super::ptx::{self, Ptx, Source};
use super::survey::Found;
use super::telemetry::Watch;
use super::tensor_map::TensorMap;
use crate::backend::{BackendError, Glance};
use crate::facts::GpuObserved;
use crate::units::Seconds;

/// Bytes that are written or read back at a time.
const CHUNK: usize = 8 << 20;

/// The open device.
pub(super) struct Gpu {
    pub(super) found: Found,
    pub(super) context: Rc<Context>,
    main: Stream,
    /// What passes between the host's memory and the device's goes through here, while nobody else is at it.
    staging: Cell<Option<Pinned>>,
    modules: RefCell<BTreeMap<&'static str, Rc<Module>>>,
    /// Looks at the sensors, where there are any.
    watch: Option<Watch>,
    /// Kernels that were launched so far, or captured.
    launches: Cell<u64>,
    /// How long a run may take before the device counts as lost.
    pub(super) patience: Seconds,
}

/// Device memory, counted as long as it lives.
pub(super) struct Buffer {
    pub(super) address: sys::CUdeviceptr,
    pub(super) bytes: u64,
    context: Rc<Context>,
}

/// A queue of work, done in order.
pub(super) struct Stream {
    pub(super) raw: sys::CUstream,
    context: Rc<Context>,
}

/// Memory of the host that the device reads and writes by itself.
pub(super) struct Pinned {
    start: *mut u8,
    bytes: usize,
    context: Rc<Context>,
}

/// Kernels, compiled for the device by its driver.
struct Module {
    raw: sys::CUmodule,
    context: Rc<Context>,
}

/// A kernel.
#[derive(Clone)]
pub(super) struct Function {
    raw: sys::CUfunction,
    /// Kept loaded as long as any of its kernels can be launched.
    _module: Rc<Module>,
}

/// Blocks, threads of each, and bytes of shared memory that each asks for beside what its kernel states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) blocks: u32,
    pub(super) threads: u32,
    pub(super) shared: u32,
}

impl Grid {
    /// One thread.
    pub(super) const ONE: Self = Self { blocks: 1, threads: 1, shared: 0 };

    /// Threads of all blocks.
    pub(super) fn threads_in_all(self) -> u64 {
        u64::from(self.blocks) * u64::from(self.threads)
    }
}

/// An argument of a kernel: what the driver copies from, of which a kernel takes as many bytes as its parameter has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Argument {
    Word(u64),
    Map(TensorMap),
}

impl From<TensorMap> for Argument {
    fn from(map: TensorMap) -> Self {
        Self::Map(map)
    }
}

impl From<&Buffer> for Argument {
    fn from(buffer: &Buffer) -> Self {
        Self::Word(buffer.address)
    }
}

impl From<u64> for Argument {
    fn from(value: u64) -> Self {
        Self::Word(value)
    }
}

impl From<u32> for Argument {
    fn from(value: u32) -> Self {
        Self::Word(value.into())
    }
}

impl From<f32> for Argument {
    fn from(value: f32) -> Self {
        Self::Word(value.to_bits().into())
    }
}

impl From<f64> for Argument {
    fn from(value: f64) -> Self {
        Self::Word(value.to_bits())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.context.discount(self.bytes);
        // SAFETY: the driver gave it, and it is given back once.
        self.context.give_back(|| unsafe { driver::cuMemFree_v2(self.address) });
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: the driver gave it, and it is given back once.
        self.context.give_back(|| unsafe { driver::cuStreamDestroy_v2(self.raw) });
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the driver gave it, and it is given back once.
        self.context.give_back(|| unsafe { driver::cuMemFreeHost(self.start.cast()) });
    }
}

impl Pinned {
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the driver gave so many bytes, which were written when they were given; copies into them are waited for before anything else is done.
        unsafe { std::slice::from_raw_parts(self.start, self.bytes) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // SAFETY: the driver gave it, and it is given back once.
        self.context.give_back(|| unsafe { driver::cuModuleUnload(self.raw) });
    }
}

impl Gpu {
    /// Opens a device that is measured.
    pub(super) fn open(found: &Found, patience: Seconds) -> Result<Self, BackendError> {
        // Where the survey found no sensors, there are none.
        let watch = found.conditions.as_ref().and_then(|_| Watch::start(found.key()));
        Ok(Self { watch, ..Self::beside(found, patience)? })
    }

    /// Opens a device that another one exchanges data with.
    pub(super) fn beside(found: &Found, patience: Seconds) -> Result<Self, BackendError> {
        Driver::load()?;
        let context = Context::retain(found.index)?;
        let main = new_stream(&context)?;
        let (staging, modules) = (Cell::default(), RefCell::default());
        let launches = Cell::default();
        Ok(Self { found: found.clone(), context, main, staging, modules, watch: None, launches, patience })
    }

    /// Makes it the device that this thread uses.
    pub(super) fn enter(&self) -> Result<(), BackendError> {
        self.context.enter()
    }

    /// What the sensors said since this was asked last, if they were looked at.
    pub(super) fn glance(&self) -> Option<Glance> {
        self.watch.as_ref()?.glance()
    }

    /// What the sensors said so far.
    pub(super) fn observed(&self) -> Option<GpuObserved> {
        self.watch.as_ref()?.observed()
    }

    /// The queue that everything goes into that is not said to go into another.
    pub(super) const fn main(&self) -> &Stream {
        &self.main
    }

    /// A queue beside the main one.
    pub(super) fn stream(&self) -> Result<Stream, BackendError> {
        self.checked(SUCCESS)?;
        new_stream(&self.context)
    }

    /// Notes a device that does not answer any more, and gives that reason from then on.
    pub(super) fn checked(&self, code: Code) -> Result<(), BackendError> {
        self.context.checked(code)
    }

    /// Bytes of device memory that nobody uses now.
    pub(super) fn available(&self) -> Option<u64> {
        let (mut free, mut total) = (0, 0);
        // SAFETY: the pointers are to locals that outlive the call.
        self.checked(unsafe { driver::cuMemGetInfo_v2(&raw mut free, &raw mut total) }).ok().map(|()| free as u64)
    }

    /// Device memory.
    pub(super) fn buffer(&self, bytes: u64) -> Result<Buffer, BackendError> {
        // Vectors are read whole.
        let bytes = bytes.max(16).next_multiple_of(16);
        let mut address = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        let result = unsafe { driver::cuMemAlloc_v2(&raw mut address, bytes as usize) };
        if result == OUT_OF_MEMORY {
            return Err(BackendError::OutOfMemory { bytes, cause: said(result) });
        }
        self.checked(result)?;
        self.context.count(bytes);
        Ok(Buffer { address, bytes, context: Rc::clone(&self.context) })
    }

    /// Memory of the host that the device can reach.
    pub(super) fn pinned(&self, bytes: usize) -> Result<Pinned, BackendError> {
        let mut start = std::ptr::null_mut();
        // SAFETY: the pointer is to a local that outlives the call.
        let result = unsafe { driver::cuMemHostAlloc(&raw mut start, bytes.max(1), 0) };
        if result == OUT_OF_MEMORY {
            return Err(BackendError::OutOfMemory { bytes: bytes as u64, cause: said(result) });
        }
        self.checked(result)?;
        let start = start.cast::<u8>();
        // SAFETY: the driver gave so many bytes.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Pinned { start, bytes, context: Rc::clone(&self.context) })
    }

    /// Waits until everything that was enqueued is done.
    ///
    /// A loop that asks, because a device that hangs would never let go of a thread that waits.
    pub(super) fn wait(&self) -> Result<(), BackendError> {
        self.wait_for(&self.main)
    }

    /// The same of another queue.
    pub(super) fn wait_for(&self, stream: &Stream) -> Result<(), BackendError> {
        let event = super::timing::Event::new(self)?;
        event.record(self, stream)?;
        event.wait(self)
    }

    /// Copies to the device, and waits until it is there.
    pub(super) fn send(&self, buffer: &Buffer, start: u64, from: &[u8]) -> Result<(), BackendError> {
        self.staged(|staging| {
            for (at, piece) in (start..).step_by(CHUNK).zip(from.chunks(CHUNK)) {
                let staged = &mut staging.bytes_mut()[..piece.len()];
                staged.copy_from_slice(piece);
                self.send_later(&self.main, buffer, at, staged)?;
                self.wait()?;
            }
            Ok(())
        })
    }

    /// Does something with memory of [`CHUNK`] bytes that the device reaches by itself. Of other memory the driver makes copies, and waits for the device where it likes.
    fn staged<T>(&self, work: impl FnOnce(&mut Pinned) -> Result<T, BackendError>) -> Result<T, BackendError> {
        let mut staging = match self.staging.take() {
            Some(staging) => staging,
            None => self.pinned(CHUNK)?,
        };
        let done = work(&mut staging);
        self.staging.set(Some(staging));
        done
    }

    /// Copies to the device at some time before anything that is enqueued later.
    pub(super) fn send_later(
        &self,
        stream: &Stream,
        buffer: &Buffer,
        start: u64,
        from: &[u8],
    ) -> Result<(), BackendError> {
        within(buffer, start, from.len())?;
        // SAFETY: both ends were just found to hold so many bytes, and the caller waits before the host's end changes.
        let result = unsafe {
            driver::cuMemcpyHtoDAsync_v2(buffer.address + start, from.as_ptr().cast(), from.len(), stream.raw)
        };
        self.checked(result)
    }

    /// Copies from the device at some time before it is next waited for.
    pub(super) fn fetch_later(
        &self,
        stream: &Stream,
        buffer: &Buffer,
        start: u64,
        to: &mut [u8],
    ) -> Result<(), BackendError> {
        within(buffer, start, to.len())?;
        // SAFETY: both ends were just found to hold so many bytes, and the caller waits before it looks.
        let result = unsafe {
            driver::cuMemcpyDtoHAsync_v2(to.as_mut_ptr().cast(), buffer.address + start, to.len(), stream.raw)
        };
        self.checked(result)
    }

    /// Writes a buffer from its start, in pieces that a function fills: it is given a place in bytes and what to fill from there.
    pub(super) fn write(&self, buffer: &Buffer, mut fill: impl FnMut(u64, &mut [u8])) -> Result<(), BackendError> {
        self.staged(|staging| {
            for start in (0..buffer.bytes).step_by(CHUNK) {
                let piece = &mut staging.bytes_mut()[..CHUNK.min((buffer.bytes - start) as usize)];
                fill(start, piece);
                self.send_later(&self.main, buffer, start, piece)?;
                self.wait()?;
            }
            Ok(())
        })
    }

    /// Writes the start of a buffer and repeats it to the end, on the device.
    pub(super) fn write_repeated(&self, buffer: &Buffer, period: &[u8]) -> Result<(), BackendError> {
        let first = &period[..period.len().min(buffer.bytes as usize)];
        self.send(buffer, 0, first)?;
        let mut done = first.len() as u64;
        while done > 0 && done < buffer.bytes {
            let count = done.min(buffer.bytes - done);
            // SAFETY: the two stretches lie side by side within the buffer.
            let result = unsafe {
                driver::cuMemcpyDtoDAsync_v2(buffer.address + done, buffer.address, count as usize, self.main.raw)
            };
            self.checked(result)?;
            done += count;
        }
        self.wait()
    }

    /// Sets every byte of a buffer.
    pub(super) fn fill(&self, buffer: &Buffer, byte: u8) -> Result<(), BackendError> {
        // SAFETY: the buffer has so many bytes.
        let result = unsafe { driver::cuMemsetD8Async(buffer.address, byte, buffer.bytes as usize, self.main.raw) };
        self.checked(result)
    }

    /// Fills a buffer with bytes that no kernel writes: in floating-point formats no number.
    pub(super) fn poison(&self, buffer: &Buffer) -> Result<(), BackendError> {
        self.fill(buffer, 0xFF)
    }

    /// Reads a buffer from its start, in pieces that a function looks at until it fails: it is given a place in bytes and what lies there.
    pub(super) fn read(
        &self,
        buffer: &Buffer,
        mut look: impl FnMut(u64, &[u8]) -> Result<(), String>,
    ) -> Result<(), BackendError> {
        self.staged(|staging| {
            for start in (0..buffer.bytes).step_by(CHUNK) {
                let piece = &mut staging.bytes_mut()[..CHUNK.min((buffer.bytes - start) as usize)];
                self.fetch_later(&self.main, buffer, start, piece)?;
                self.wait()?;
                look(start, piece).map_err(BackendError::WrongResult)?;
            }
            Ok(())
        })
    }

    /// All of a small buffer.
    pub(super) fn contents(&self, buffer: &Buffer) -> Result<Vec<u8>, BackendError> {
        let mut all = Vec::with_capacity(buffer.bytes as usize);
        self.read(buffer, |_, piece| {
            all.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(all)
    }

    /// A kernel by its name.
    pub(super) fn function(&self, source: Source, name: &str) -> Result<Function, BackendError> {
        let module = self.module(ptx::choose(source, name, &self.found)?)?;
        let symbol = CString::new(name).map_err(|_| BackendError::System("a kernel's name holds a 0".to_owned()))?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: the pointers are to locals that outlive the call, and the module is loaded.
        let result = unsafe { driver::cuModuleGetFunction(&raw mut raw, module.raw, symbol.as_ptr()) };
        self.checked(result).map_err(|error| match error {
            BackendError::System(said) => BackendError::System(format!("kernel `{name}`: {said}")),
            other => other,
        })?;
        Ok(Function { raw, _module: module })
    }

    /// A kernel by its name, which may have so many bytes of shared memory beside what it states itself.
    pub(super) fn function_with_shared(
        &self,
        source: Source,
        name: &str,
        shared: u32,
    ) -> Result<Function, BackendError> {
        let function = self.function(source, name)?;
        let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        // SAFETY: the function's module is loaded.
        self.checked(unsafe { driver::cuFuncSetAttribute(function.raw, attribute, shared as i32) })?;
        Ok(function)
    }

    fn module(&self, ptx: &'static Ptx) -> Result<Rc<Module>, BackendError> {
        if let Some(module) = self.modules.borrow().get(ptx.name) {
            return Ok(Rc::clone(module));
        }
        let module = Rc::new(self.load(ptx)?);
        self.modules.borrow_mut().insert(ptx.name, Rc::clone(&module));
        Ok(module)
    }

    /// Has the driver compile PTX. What its compiler says against it is part of the error.
    fn load(&self, ptx: &Ptx) -> Result<Module, BackendError> {
        use sys::CUjit_option_enum::{CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
        const LOG: usize = 8 << 10;
        let text = CString::new(ptx.text).map_err(|_| BackendError::System(format!("`{}` holds a 0", ptx.name)))?;
        let mut log = vec![0_u8; LOG];
        let mut options = [CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
        let mut values = [log.as_mut_ptr().cast::<c_void>(), std::ptr::without_provenance_mut(LOG)];
        let mut raw = std::ptr::null_mut();
        // SAFETY: the text ends with 0, both lists have as many entries as are stated, the log has as many bytes as are stated, and all outlive the call.
        let result = unsafe {
            driver::cuModuleLoadDataEx(
                &raw mut raw,
                text.as_ptr().cast(),
                options.len() as u32,
                options.as_mut_ptr(),
                values.as_mut_ptr(),
            )
        };
        if result == SUCCESS {
            return Ok(Module { raw, context: Rc::clone(&self.context) });
        }
        self.checked(result).map_err(|error| {
            let length = log.iter().position(|&byte| byte == 0).unwrap_or(0);
            let log = String::from_utf8_lossy(&log[..length]).split_whitespace().collect::<Vec<_>>().join(" ");
            let log = if log.is_empty() { String::new() } else { format!(": {log}") };
            match error {
                BackendError::System(said) => {
                    BackendError::System(format!("the driver does not load `{}.ptx`: {said}{log}", ptx.name))
                }
                other => other,
            }
        })?;
        Err(BackendError::System(format!("the driver does not load `{}.ptx`", ptx.name)))
    }

    /// Blocks of a grid that a multiprocessor can run at one time.
    pub(super) fn resident_blocks(&self, function: &Function, grid: Grid) -> Result<u32, BackendError> {
        let mut blocks = 0;
        // SAFETY: the pointer is to a local that outlives the call, and the function's module is loaded.
        let result = unsafe {
            driver::cuOccupancyMaxActiveBlocksPerMultiprocessor(
                &raw mut blocks,
                function.raw,
                grid.threads as i32,
                grid.shared as usize,
            )
        };
        self.checked(result)?;
        Ok(u32::try_from(blocks).unwrap_or(0).max(1))
    }

    /// Kernels that were launched so far, or captured.
    pub(super) fn launches(&self) -> u64 {
        self.launches.get()
    }

    /// Enqueues a kernel with its arguments, in the order and of the sizes of its parameters.
    pub(super) fn launch(&self, function: &Function, grid: Grid, arguments: &[Argument]) -> Result<(), BackendError> {
        /// Parameters of a kernel at most.
        const MOST: usize = 16;
        let mut pointers = [std::ptr::null_mut::<c_void>(); MOST];
        if arguments.len() > MOST {
            return Err(BackendError::System(format!("a kernel has {MOST} arguments at most")));
        }
        for (pointer, argument) in pointers.iter_mut().zip(arguments) {
            *pointer = match argument {
                Argument::Word(word) => std::ptr::from_ref(word).cast_mut().cast(),
                Argument::Map(map) => std::ptr::from_ref(map).cast_mut().cast(),
            };
        }
        // SAFETY: each pointer is to 8 bytes, or to a map, of which the driver copies as many as the parameter has before it returns. What the kernel does with them is stated and
        // tested with each kernel: every index stays below a size that the host has checked.
        let result = unsafe {
            driver::cuLaunchKernel(
                function.raw,
                grid.blocks,
                1,
                1,
                grid.threads,
                1,
                1,
                grid.shared,
                self.main.raw,
                pointers.as_mut_ptr(),
                std::ptr::null_mut(),
            )
        };
        self.checked(result)?;
        self.launches.set(self.launches.get() + 1);
        Ok(())
    }
}

fn new_stream(context: &Rc<Context>) -> Result<Stream, BackendError> {
    let mut raw = std::ptr::null_mut();
    let flags = sys::CUstream_flags::CU_STREAM_NON_BLOCKING as u32;
    // SAFETY: the pointer is to a local that outlives the call.
    context.checked(unsafe { driver::cuStreamCreate(&raw mut raw, flags) })?;
    Ok(Stream { raw, context: Rc::clone(context) })
}

/// Refuses a copy beyond the end of a buffer.
fn within(buffer: &Buffer, start: u64, bytes: usize) -> Result<(), BackendError> {
    if start.checked_add(bytes as u64).is_some_and(|end| end <= buffer.bytes) {
        return Ok(());
    }
    Err(BackendError::System(format!("{bytes} bytes from {start} on are not within {}", buffer.bytes)))
}
