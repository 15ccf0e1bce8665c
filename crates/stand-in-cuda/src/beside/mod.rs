//! Another driver beside this one, usually NVIDIA's: it gets the same calls, and after each that changes memory, its device's memory is
//! compared with the interpreter's.
//!
//! Handles and addresses are those of the other driver, so that calls are handed on as they are, and pointers in memory are the same on
//! both sides. After a comparison the interpreter's memory takes over what the other one holds: differences do not add up.

mod calls;
mod compare;
mod log;
mod rules;

use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ptx_interpreter::{Fault, Memory};
use serde_json::{Value, json};

use self::calls::Calls;
use self::compare::{Difference, Place, Tolerance};
pub(crate) use self::log::{Log, append};
use self::rules::Rule;
use crate::code::Code;
use crate::objects::{Handle, Work};
use crate::pointer::{HostBuffer, In, Out, Parameters};

/// What fresh memory of the interpreter holds. The other driver's is made to hold the same.
const FRESH: u8 = 0xff;
/// Room for what the other driver's assembler says.
const LOG_BYTES: usize = 8 << 10;

/// The other driver, with its first device.
pub(crate) struct Beside {
    calls: Calls,
    device: c_int,
    /// The device's primary context, once it was retained.
    context: AtomicUsize,
    /// Allocations by their addresses.
    allocations: Mutex<BTreeMap<u64, u64>>,
    /// Compute capability times ten.
    pub(crate) capability: u32,
    /// As `cuDriverGetVersion` says it.
    pub(crate) version: u32,
    /// The most shared memory that a block may ask for.
    pub(crate) shared_limit: u32,
}

impl Deref for Beside {
    type Target = Calls;

    fn deref(&self) -> &Calls {
        &self.calls
    }
}

/// What two memories are compared after.
pub(crate) enum After<'w> {
    /// Launches, and the fault that the interpreter found, if it found one.
    Launches(&'w [Work], Option<Fault>),
    /// Another call that writes to a range.
    Call(&'static str, Range<u64>),
}

impl Beside {
    /// Loads the other driver and asks for its first device.
    pub(crate) fn open(path: &Path, log: Log) -> Result<Self, String> {
        let calls = Calls::load(path, log)?;
        calls.tell();
        let refused = |what: &str, code: Code| {
            let name = code.name().map(|name| name.to_string_lossy().into_owned());
            format!("`STAND_IN_BESIDE`: {what}: {}", name.unwrap_or_else(|| format!("error {}", code.0)))
        };
        let number = |what: &str, ask: &dyn Fn(Out<c_int>) -> Result<(), Code>| {
            let mut number = 0;
            ask(Out(&raw mut number)).map_err(|code| refused(what, code))?;
            Ok::<c_int, String>(number)
        };
        calls.cuInit(0).map_err(|code| refused("cuInit", code))?;
        let device = number("cuDeviceGet", &|out| calls.cuDeviceGet(out, 0))?;
        let attribute = |attribute: c_int| {
            let found = number("cuDeviceGetAttribute", &|out| calls.cuDeviceGetAttribute(out, attribute, device))?;
            Ok::<u32, String>(u32::try_from(found).unwrap_or(0))
        };
        let capability = 10 * attribute(75)? + attribute(76)?;
        let shared_limit = attribute(97)?;
        let version = number("cuDriverGetVersion", &|out| calls.cuDriverGetVersion(out))?;
        let version = u32::try_from(version).unwrap_or(0);
        let (context, allocations) = (AtomicUsize::new(0), Mutex::default());
        Ok(Self { calls, device, context, allocations, capability, version, shared_limit })
    }

    /// Retains the primary context.
    pub(crate) fn retain(&self) -> Result<(), Code> {
        let mut context = Handle(0);
        self.cuDevicePrimaryCtxRetain(Out(&raw mut context), self.device)?;
        self.context.store(context.0, Relaxed);
        Ok(())
    }

    /// Gives the primary context back.
    pub(crate) fn release(&self) -> Result<(), Code> {
        self.cuDevicePrimaryCtxRelease_v2(self.device)
    }

    /// Makes the primary context this thread's, or none.
    pub(crate) fn set_current(&self, some: bool) -> Result<(), Code> {
        self.cuCtxSetCurrent(Handle(if some { self.context.load(Relaxed) } else { 0 }))
    }

    /// Allocates memory on both sides, where the other driver has it.
    pub(crate) fn allocate(&self, memory: &Memory, bytes: u64) -> Result<u64, Code> {
        if bytes > memory.free_bytes() {
            return Err(Code::OUT_OF_MEMORY);
        }
        let mut address = 0;
        self.cuMemAlloc_v2(Out(&raw mut address), bytes as usize)?;
        if let Err(error) = memory.allocate_at(address, bytes) {
            self.cuMemFree_v2(address)?;
            return Err(error.into());
        }
        self.allocations().insert(address, bytes);
        self.cuMemsetD8_v2(address, FRESH, bytes as usize)?;
        self.cuCtxSynchronize()?;
        Ok(address)
    }

    /// Gives memory of the other driver's back.
    pub(crate) fn free(&self, address: u64) -> Result<(), Code> {
        self.allocations().remove(&address);
        self.cuMemFree_v2(address)
    }

    /// Loads a module, or tells what the other driver's assembler said.
    pub(crate) fn load(&self, module: Out<Handle>, text: In<c_char>) -> Result<(), (Code, String)> {
        let mut said = vec![0_u8; LOG_BYTES];
        let options = [crate::api::ERROR_LOG, crate::api::ERROR_LOG_BYTES];
        let values = [said.as_mut_ptr() as usize, said.len()];
        self.cuModuleLoadDataEx(module, text, 2, In(options.as_ptr()), In(values.as_ptr())).map_err(|code| {
            let end = said.iter().position(|byte| *byte == 0).unwrap_or(said.len());
            (code, String::from_utf8_lossy(&said[..end]).into_owned())
        })
    }

    /// Launches a kernel, whose handle is the other driver's.
    pub(crate) fn launch(&self, work: &Work, stream: Handle, parameters: Parameters) -> Result<(), Code> {
        let ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]) = (work.grid, work.block);
        let (function, shared, extra) = (work.handle, work.dynamic_shared, std::ptr::null::<c_void>());
        self.cuLaunchKernel(
            function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, parameters, extra,
        )
    }

    fn allocations(&self) -> MutexGuard<'_, BTreeMap<u64, u64>> {
        self.allocations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the other device, compares what was written, notes it, and takes over what is different.
    pub(crate) fn compare(&self, memory: &Memory, after: &After<'_>) -> Result<(), Code> {
        self.cuCtxSynchronize()?;
        let allocations = self.allocations().clone();
        let whole = |(start, bytes): (u64, u64)| start..start + bytes;
        let (ranges, allowed) = match after {
            After::Launches(works, _) => (allocations.into_iter().map(whole).collect(), Allowed::of(works)),
            After::Call(_, range) => (vec![range.clone()], Allowed::default()),
        };
        let mut difference = Difference::default();
        for range in ranges {
            let count = range.end.saturating_sub(range.start) as usize;
            if count == 0 {
                continue;
            }
            let (mut ours, mut theirs) = (vec![0; count], vec![0; count]);
            memory.read(range.start, &mut ours)?;
            self.cuMemcpyDtoH_v2(HostBuffer(theirs.as_mut_ptr()), range.start, count)?;
            difference.add(range.start, (&ours, &theirs), &allowed.free, allowed.tolerance);
            for (address, bytes) in different(range.start, &ours, &theirs) {
                memory.write(address, bytes)?;
            }
        }
        self.log.note(&row(after, &allowed, &difference));
        Ok(())
    }

    /// Compares what a copy to the host came to.
    pub(crate) fn compare_host(&self, call: &'static str, ours: &[u8], theirs: &[u8]) {
        let mut difference = Difference::default();
        difference.add(0, (ours, theirs), &[], None);
        self.log.note(&row(&After::Call(call, 0..0), &Allowed::default(), &difference));
    }
}

/// Pieces of memory that are different, with what they are on the other side.
fn different<'t>(start: u64, ours: &'t [u8], theirs: &'t [u8]) -> impl Iterator<Item = (u64, &'t [u8])> {
    const PIECE: usize = 4;
    let pieces = (start..).step_by(PIECE).zip(ours.chunks(PIECE).zip(theirs.chunks(PIECE)));
    pieces.filter(|(_, (ours, theirs))| ours != theirs).map(|(address, (_, theirs))| (address, theirs))
}

/// What launches may differ in.
#[derive(Default)]
struct Allowed {
    free: Vec<Range<u64>>,
    tolerance: Option<Tolerance>,
    because: Option<&'static str>,
}

impl Allowed {
    fn of(works: &[Work]) -> Self {
        let mut allowed = Self::default();
        for work in works {
            let Some(Rule { free, tolerance, because, .. }) = rules::rule(&work.function.name) else { continue };
            allowed.tolerance = allowed.tolerance.or(*tolerance);
            allowed.because = allowed.because.or(Some(*because));
            for (parameter, range) in *free {
                allowed.free.extend(pointer(work, *parameter).map(|start| start + range.start..start + range.end));
            }
        }
        allowed
    }
}

/// A parameter that is a pointer.
fn pointer(work: &Work, index: usize) -> Option<u64> {
    let kernel = work.function.module.loaded.kernel(&work.function.name)?;
    let start = kernel.parameters().get(index)?.offset as usize;
    let bytes = work.parameters.get(start..start + 8)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?)).filter(|start| *start < u64::MAX / 2)
}

/// A comparison as a line of JSON.
fn row(after: &After<'_>, allowed: &Allowed, difference: &Difference) -> Value {
    let (mut line, fault) = match after {
        After::Call(call, _) => (json!({ "call": call }), None),
        After::Launches([one], fault) => {
            (json!({"kernel": one.function.name, "grid": one.grid, "block": one.block}), fault.as_ref())
        }
        After::Launches(several, fault) => {
            let name = several.first().map(|work| work.function.name.as_str());
            (json!({"kernel": name, "launches": several.len()}), fault.as_ref())
        }
    };
    let verdict = match fault {
        Some(_) => "fault",
        None if difference.wrong > 0 => "wrong",
        None if difference.is_equal() => "equal",
        None => "near",
    };
    line["compared"] = difference.compared.into();
    line["equal"] = difference.equal.into();
    line["verdict"] = verdict.into();
    if difference.free > 0 {
        line["free"] = difference.free.into();
    }
    if let Some(tolerance) = allowed.tolerance {
        line["format"] = tolerance.format.name().into();
        line["largest"] = difference.largest.into();
    }
    if let Some(because) = allowed.because {
        line["because"] = because.into();
    }
    if let Some(fault) = fault {
        line["fault"] = fault.to_string().into();
    }
    if let Some(Place { address, ours, theirs }) = &difference.first {
        let hexadecimal = |bytes: &[u8]| bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect::<String>();
        line["wrong"] = difference.wrong.into();
        line["first"] = json!({"address": format!("{address:#x}"), "interpreter": hexadecimal(ours), "device": hexadecimal(theirs)});
    }
    line
}
