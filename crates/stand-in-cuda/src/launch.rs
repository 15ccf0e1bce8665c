//! Launches: run, counted, noted down.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use ptx_interpreter::{Cause, Counters, Fault, Launch, Options, Space};
use serde_json::json;

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

    /// Runs a launch. A fault is not its result: as on hardware, the calls after it fail.
    pub(crate) fn run(&self, work: &Work) -> Result<(), Code> {
        let device = self.devices.get(work.function.module.device).ok_or(Code::INVALID_CONTEXT)?;
        device.alive()?;
        let before = device.count_launch();
        if self.knobs.lose_after.is_some_and(|after| before >= after) {
            device.lose(self.knobs.lose_as);
            return Ok(());
        }
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
                device.lose(code_of(&fault));
            }
        }
        Ok(())
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
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // One write, so that lines of several processes stay whole.
    file.write_all(format!("{line}\n").as_bytes())
}
