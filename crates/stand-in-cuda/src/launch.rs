//! Launches: run, counted, noted down.

use std::path::Path;

use ptx_interpreter::{Cause, Counters, Fault, Launch, Memory, Options, Space};
use serde_json::json;

use crate::beside::append;
use crate::code::Code;
use crate::device::Device;
use crate::driver::Driver;
use crate::objects::Work;

/// Shared memory that a block may have without asking for more.
pub(crate) const USUAL_SHARED: u32 = 48 << 10;

impl Driver {
    /// Checks a launch, before it is run or captured.
    pub(crate) fn check(&self, work: &Work) -> Result<(), Code> {
        let product =
            |extents: [u32; 3]| extents.iter().fold(1_u64, |product, extent| product.saturating_mul((*extent).into()));
        let kernel = work.function.module.loaded.kernel(&work.function.name).ok_or(Code::INVALID_HANDLE)?;
        let most = kernel.max_threads().unwrap_or(1024).min(1024);
        let limits = [(work.grid, [i32::MAX as u32, 65_535, 65_535]), (work.block, [1024, 1024, 64])];
        let outside = limits.iter().any(|(extents, most)| extents.iter().zip(most).any(|(extent, most)| extent > most));
        let shared = u64::from(kernel.shared_bytes()) + u64::from(work.dynamic_shared);
        if product(work.grid) == 0 || product(work.block) == 0 || outside {
            return Err(Code::INVALID_VALUE);
        }
        if product(work.block) > u64::from(most) || work.dynamic_shared > work.function.dynamic_limit {
            return Err(Code::INVALID_VALUE);
        }
        if shared > u64::from(self.knobs.options.shared_limit) {
            return Err(Code::LAUNCH_OUT_OF_RESOURCES);
        }
        Ok(())
    }

    /// Runs a launch. A fault is not its result: as on hardware, the calls after it fail. Beside another driver they do not, because that
    /// one's memory is what everything goes on with; then the fault is returned.
    pub(crate) fn run(&self, work: &Work) -> Result<Option<Fault>, Code> {
        let device = self.devices.get(work.function.module.device).ok_or(Code::INVALID_CONTEXT)?;
        device.alive()?;
        let before = device.count_launch();
        let here = self.knobs.lose_at.as_ref().is_some_and(|name| work.function.name.starts_with(name));
        if here || self.knobs.lose_after.is_some_and(|after| before >= after) {
            device.lose(self.knobs.lose_as);
            return Ok(None);
        }
        if device.is_stalled() {
            return Ok(None);
        }
        let is_wrong = self.knobs.wrong.as_ref().is_some_and(|wrong| *wrong == work.function.name);
        let memory_before = if is_wrong { contents(&device.memory)? } else { Vec::new() };
        match self.interpret(device, work) {
            Ok(counters) => {
                device.pass_launch(&counters);
                if let Some(path) = &self.knobs.launches {
                    note(path, work, &counters).map_err(|error| {
                        eprintln!("stand-in CUDA driver: {}: {error}", path.display());
                        Code::UNKNOWN
                    })?;
                }
            }
            Err(fault) => {
                eprintln!("stand-in CUDA driver: {fault}");
                if self.beside.is_some() {
                    return Ok(Some(fault));
                }
                device.lose(code_of(&fault));
            }
        }
        flip(&device.memory, &memory_before)?;
        Ok(None)
    }

    fn interpret(&self, device: &Device, work: &Work) -> Result<Counters, Fault> {
        let loaded = &work.function.module.loaded;
        // The handle was looked up when it was made.
        let Some(kernel) = loaded.kernel(&work.function.name) else { return Ok(Counters::default()) };
        let launch = Launch {
            grid: work.grid,
            block: work.block,
            dynamic_shared: work.dynamic_shared,
            parameters: &work.parameters,
            options: Options { clock: device.now(), ..self.knobs.options },
        };
        loaded.launch(kernel, &device.memory, &launch)
    }
}

/// The code that hardware would answer.
fn code_of(fault: &Fault) -> Code {
    match fault.cause {
        Cause::OutOfBounds { space: Space::Global, .. } => Code::ILLEGAL_ADDRESS,
        Cause::Misaligned { .. } => Code::MISALIGNED_ADDRESS,
        Cause::Budget { .. } | Cause::Deadlock { .. } => Code::LAUNCH_TIMEOUT,
        _ => Code::LAUNCH_FAILED,
    }
}

/// Appends a line for a launch.
fn note(path: &Path, work: &Work, counters: &Counters) -> std::io::Result<()> {
    let operations = &counters.operations;
    let line = json!({
        "kernel": work.function.name,
        "grid": work.grid,
        "block": work.block,
        "dynamic_shared": work.dynamic_shared,
        "instructions": counters.instructions,
        "operations": {
            "f64": operations.f64,
            "f32": operations.f32,
            "f16": operations.f16,
            "bf16": operations.bf16,
            "integer_dot": operations.integer_dot,
            "integer_multiply_add": operations.integer_multiply_add,
            "matrix": operations.matrix,
            "special": operations.special,
        },
        "loaded": counters.loaded,
        "stored": counters.stored,
        "distinct_loaded": counters.distinct_loaded,
        "distinct_stored": counters.distinct_stored,
        "atomics": counters.atomics,
        "shared_accesses": counters.shared_accesses,
        "bank_conflicts": counters.bank_conflicts,
        "barriers": counters.barriers,
    });
    append(path, &line)
}

/// All of a device's memory: where allocations start, and their bytes.
fn contents(memory: &Memory) -> Result<Vec<(u64, Vec<u8>)>, Code> {
    let read = |(start, bytes): (u64, u64)| {
        let mut content = vec![0; bytes as usize];
        memory.read(start, &mut content)?;
        Ok((start, content))
    };
    memory.allocations().into_iter().map(read).collect()
}

/// Flips the highest bit of the last 16 that are not what they were before: a number of any format is then far off.
fn flip(memory: &Memory, before: &[(u64, Vec<u8>)]) -> Result<(), Code> {
    for (start, old) in before.iter().rev() {
        let mut now = vec![0; old.len()];
        memory.read(*start, &mut now)?;
        let Some(place) = now.iter().zip(old).rposition(|(now, old)| now != old) else { continue };
        let place = place | 1;
        if let Some(byte) = now.get(place) {
            memory.write(start + place as u64, &[byte ^ 0x80])?;
        }
        return Ok(());
    }
    Ok(())
}
