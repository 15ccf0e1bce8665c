//! Multiply-adds of matrix units: `kernels/matrix_multiply_add.cu`.

use super::dealt::{Dealt, Workers};
use super::elements::{Elements, float, note, random};
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::rates;
use crate::backend::cuda::timing::Program;
use crate::backend::{BackendError, CycleLimit};
use crate::dtype::DType;
use crate::workload::MULTIPLY_ADD_OPS;

/// Operations of a turn of a warp, and kinds of warps, as the kernels have them.
const TURN_OPS: u64 = 131_072;
const KINDS: u32 = 4;
const WARP: u32 = 32;
/// Columns of B in one instruction.
const COLUMNS: u32 = 8;

/// A pair of formats on the generations that have its instruction.
struct Format {
    input: DType,
    accumulate: DType,
    entry: &'static str,
    /// The first compute capability whose matrix units have the instruction, and the first that does something better.
    from: (u32, u32),
    until: (u32, u32),
    /// Rows of A and the length that is summed over in one instruction.
    rows: u32,
    depth: u32,
    /// Factors A and factors B of a warp.
    tall: u32,
    wide: u32,
    elements: Elements,
    /// Threads of a block at most.
    most_threads: u32,
    /// Turns of a launch at most: a few milliseconds on most devices, and a fraction of a second where the format is there for show.
    most_turns: u64,
}

/// Beyond all generations.
const NEVER: (u32, u32) = (u32::MAX, 0);

const fn format(input: DType, accumulate: DType, entry: &'static str, elements: Elements) -> Format {
    Format {
        input,
        accumulate,
        entry,
        from: (8, 0),
        until: NEVER,
        rows: 16,
        depth: 16,
        tall: 2,
        wide: 4,
        elements,
        most_threads: 512,
        most_turns: 8192,
    }
}

/// f16 and integers as Turing has them. f64 as Hopper has it.
const FORMATS: [Format; 11] = [
    Format { from: (7, 5), until: (8, 0), depth: 8, ..format(DType::F16, DType::F32, "f16_f32_m16n8k8", float(8)) },
    Format { from: (7, 5), until: (8, 0), depth: 8, ..format(DType::F16, DType::F16, "f16_f16_m16n8k8", float(2)) },
    Format {
        from: (7, 5),
        until: (8, 0),
        rows: 8,
        tall: 4,
        ..format(DType::Int8, DType::Int32, "int8_m8n8k16", Elements::Integer)
    },
    format(DType::F16, DType::F32, "f16_f32_m16n8k16", float(8)),
    format(DType::F16, DType::F16, "f16_f16_m16n8k16", float(2)),
    format(DType::Bf16, DType::F32, "bf16_m16n8k16", float(7)),
    Format { depth: 8, ..format(DType::Tf32, DType::F32, "tf32_m16n8k8", float(8)) },
    Format { depth: 32, ..format(DType::Int8, DType::Int32, "int8_m16n8k32", Elements::Integer) },
    Format { from: (8, 9), depth: 32, ..format(DType::Fp8E4m3, DType::F32, "fp8_m16n8k32", float(3)) },
    Format { rows: 8, depth: 4, tall: 4, most_turns: 256, ..format(DType::F64, DType::F64, "f64_m8n8k4", float(20)) },
    Format {
        from: (9, 0),
        until: (10, 0),
        wide: 2,
        most_threads: 256,
        most_turns: 256,
        ..format(DType::F64, DType::F64, "f64_m16n8k16", float(20))
    },
];

/// The row of a pair of formats on a compute capability, or why there is none: the device's matrix units do not have it, or this rooflab has no kernel for them.
fn choose(capability: (u32, u32), (input, accumulate): (DType, DType)) -> Result<&'static Format, BackendError> {
    let rows = || FORMATS.iter().filter(|format| (format.input, format.accumulate) == (input, accumulate));
    let (Some(first), Some(units)) = (rows().map(|format| format.from).min(), rates::matrix_units(input)) else {
        return Err(BackendError::unsupported(format!(
            "NVIDIA's matrix units have no {input} multiply-adds summed in {accumulate}"
        )));
    };
    if capability < units {
        let (major, minor) = units;
        return Err(BackendError::unsupported(format!(
            "{input} on matrix units needs compute capability {major}.{minor}"
        )));
    }
    if capability < first {
        return Err(BackendError::no_kernel("this rooflab has no kernel for Volta's matrix units yet"));
    }
    // A lower figure must not stand where the peak is looked for.
    let faster = match capability.0 {
        9 => Some("`wgmma`, and this rooflab has no kernel of it for these formats yet"),
        10 | 11 => Some("`tcgen05`, for which this rooflab has no kernels yet"),
        _ => None,
    };
    if let Some(faster) = faster.filter(|_| input != DType::F64) {
        let (major, minor) = capability;
        return Err(BackendError::no_kernel(format!(
            "matrix units of compute capability {major}.{minor} reach their peak through {faster}"
        )));
    }
    let suits = |format: &&Format| (format.from..format.until).contains(&capability);
    let best = rows().filter(suits).max_by_key(|format| format.from);
    best.ok_or_else(|| BackendError::no_kernel("there is no kernel for this device"))
}

impl Format {
    /// The name of its kernel.
    fn kernel(&self) -> String {
        format!("matrix_{}", self.entry)
    }

    /// Steps of a turn with either factor B.
    const fn pairs(&self) -> u64 {
        TURN_OPS / (4 * (self.tall * self.wide * self.rows * COLUMNS * self.depth) as u64)
    }

    /// The product of all factors A of a kind of warp with the first factors B, or the second, row by row.
    fn product(&self, kind: u32, second: bool) -> Vec<Vec<f64>> {
        let matrix = |number: u32, rows: u32, second: bool| -> Vec<Vec<f64>> {
            let packed = (32 / self.input.format().bits).max(1);
            let element = |row, depth| {
                let random = random(number, row, depth / packed) >> (32 / packed * (depth % packed));
                self.elements.of(random, depth, second)
            };
            let row = |row| (0..self.depth).map(|depth| element(row, depth)).collect();
            (0..rows).map(row).collect()
        };
        let a = matrix(2 * kind, self.tall * self.rows, false);
        let b = matrix(2 * kind + 1, self.wide * COLUMNS, second);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        a.iter().map(|a| b.iter().map(|b| dot(a, b)).collect()).collect()
    }

    /// Every sum after some turns, exactly.
    fn sums(&self, kind: u32, turns: u64) -> Vec<Vec<f64>> {
        let (mut first, second) = (self.product(kind, false), self.product(kind, true));
        let pairs = (turns * self.pairs()) as f64;
        for (first, second) in first.iter_mut().flatten().zip(second.iter().flatten()) {
            // One zero alone.
            *first = pairs * (*first + second) + *first + 0.0;
        }
        first
    }

    /// What a lane's sums come to.
    fn result(&self, sums: &[Vec<f64>], lane: u32) -> u32 {
        let mut total = 0_u32;
        for (tall, wide) in (0..self.tall).flat_map(|tall| (0..self.wide).map(move |wide| (tall, wide))) {
            for element in 0..self.rows * COLUMNS / WARP {
                let row = tall * self.rows + lane / 4 + 8 * (element / 2);
                let column = wide * COLUMNS + lane % 4 * 2 + element % 2;
                total = note(total, self.accumulate, sums[row as usize][column as usize]);
            }
        }
        total
    }
}

/// Threads of a multiprocessor that are tried, all in one block.
const THREADS: [u32; 3] = [512, 256, 128];

/// Multiply-adds of a pair of formats on matrix units.
pub(in crate::backend::cuda) struct Matrix<'device> {
    gpu: &'device Gpu,
    format: &'static Format,
    multiprocessors: u32,
    function: Function,
    grids: Vec<Grid>,
    results: Buffer,
    names: Vec<String>,
}

impl<'device> Matrix<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        formats: (DType, DType),
        multiprocessors: u32,
    ) -> Result<Self, BackendError> {
        let format = choose(gpu.found.capability, formats)?;
        let function = gpu.function(Source::MatrixMultiplyAdd, &format.kernel())?;
        let threads = || THREADS.into_iter().filter(|&threads| threads <= format.most_threads);
        let grids: Vec<Grid> = threads().map(|threads| Grid { blocks: multiprocessors, threads, shared: 0 }).collect();
        let (_, shape) = format.entry.rsplit_once('_').unwrap_or_default();
        let chains = format.tall * format.wide;
        let name = |threads| format!("mma.sync {shape}, {chains} chains, {} warps", threads / WARP);
        let names = threads().map(name).collect();
        let most = grids.iter().map(|grid| grid.threads_in_all()).max().unwrap_or(1);
        Ok(Self { gpu, format, multiprocessors, function, grids, results: gpu.buffer(4 * most)?, names })
    }

    /// Deals the turns of some iterations out to all warps.
    fn deal(&self, grid: Grid, iterations: u64) -> Dealt {
        let turns = iterations * MULTIPLY_ADD_OPS / TURN_OPS * u64::from(self.multiprocessors);
        Dealt::to(grid.threads_in_all() / u64::from(WARP), turns)
    }

    fn put(&self, grid: Grid, iterations: u64) -> Result<(), BackendError> {
        let [turns, longer] = self.deal(grid, iterations).arguments();
        self.gpu.launch(&self.function, grid, &[Argument::from(&self.results), turns, longer])
    }
}

impl Program for Matrix<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, variant: usize) -> u64 {
        let warps = u64::from(self.grids[variant].threads / WARP);
        (self.format.most_turns * warps * TURN_OPS / MULTIPLY_ADD_OPS).max(1)
    }

    fn launch(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError> {
        self.put(self.grids[variant], iterations)
    }

    /// Fewer turns than warps, and more: every thread is looked at, and its result is the reference's bit by bit.
    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let grid = self.grids[variant];
        for iterations in [1, 17] {
            self.gpu.poison(&self.results)?;
            self.put(grid, iterations)?;
            let results = self.gpu.contents(&self.results)?;
            let warps = Workers { kinds: KINDS, threads: WARP, bytes: 4 };
            self.deal(grid, iterations).verify(&results, grid.threads_in_all(), warps, |kind, turns| {
                let sums = self.format.sums(kind, turns);
                (0..WARP).map(|lane| self.format.result(&sums, lane).into()).collect()
            })?;
        }
        Ok(())
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        rates::matrix(&self.gpu.found, (self.format.input, self.format.accumulate))
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::backend::cuda::ptx;
    use crate::backend::cuda::survey::Found;

    #[test]
    fn an_iteration_is_a_whole_number_of_turns_and_a_turn_of_steps() {
        assert_eq!(MULTIPLY_ADD_OPS % TURN_OPS, 0);
        for format in &FORMATS {
            let step = u64::from(2 * format.tall * format.wide * format.rows * COLUMNS * format.depth);
            assert_eq!(format.pairs() * 2 * step, TURN_OPS, "{}", format.entry);
        }
    }

    /// Hardware adds up in an order of its own: nothing may depend on it.
    #[test]
    fn sums_are_exact_for_as_many_turns_as_are_verified() {
        for format in &FORMATS {
            // With few warps, 17 iterations are 13 turns of each.
            for turns in [0, 1, 13] {
                for sum in format.sums(1, turns).into_iter().flatten() {
                    let held = match format.accumulate {
                        DType::F16 => f16::from_f64(sum).to_f64(),
                        DType::F32 => f64::from(sum as f32),
                        _ => sum,
                    };
                    assert!(held == sum && sum.abs() < 9e15, "{}: {sum} after {turns} turns", format.entry);
                }
            }
        }
    }

    #[test]
    fn a_turn_too_few_has_another_result() {
        for format in &FORMATS {
            let result = |turns| format.result(&format.sums(2, turns), 17);
            assert_ne!(result(1), result(0), "{}", format.entry);
            assert_ne!(result(1000), result(999), "{}", format.entry);
        }
    }

    const CAPABILITIES: [(u32, u32); 12] =
        [(7, 0), (7, 2), (7, 5), (8, 0), (8, 6), (8, 7), (8, 9), (9, 0), (10, 0), (10, 3), (12, 0), (12, 1)];
    /// Versions of CUDA of drivers: those that a file is for, those just before, and the newest.
    const DRIVERS: [(u32, u32); 10] =
        [(11, 4), (11, 8), (12, 0), (12, 1), (12, 2), (12, 3), (12, 4), (12, 7), (12, 8), (13, 0)];

    #[test]
    fn every_format_has_its_kernel_where_it_is_chosen_or_waits_for_a_driver() {
        for (capability, format) in
            CAPABILITIES.into_iter().flat_map(|capability| FORMATS.iter().map(move |row| (capability, row)))
        {
            let Ok(format) = choose(capability, (format.input, format.accumulate)) else { continue };
            for cuda in DRIVERS {
                let device = Found::of("", capability, cuda);
                match ptx::choose(Source::MatrixMultiplyAdd, &format.kernel(), &device) {
                    Ok(ptx) => assert!(ptx.text.contains(&format!(".entry {}(", format.kernel())), "{}", ptx.name),
                    Err(BackendError::NoKernel { reason }) => {
                        assert!(
                            cuda < (13, 0) && reason.contains("it needs a driver for CUDA 12."),
                            "{device:?}: {reason}"
                        );
                    }
                    Err(error) => panic!("{device:?}: {error}"),
                }
            }
        }
    }

    #[test]
    fn a_device_is_said_to_lack_only_what_its_matrix_units_lack() {
        let entry = |capability, formats| choose(capability, formats).map(|format| format.entry);
        assert_eq!(entry((7, 5), (DType::Int8, DType::Int32)), Ok("int8_m8n8k16"));
        assert_eq!(entry((12, 0), (DType::Fp8E4m3, DType::F32)), Ok("fp8_m16n8k32"));
        assert_eq!(entry((9, 0), (DType::F64, DType::F64)), Ok("f64_m16n8k16"));
        assert_eq!(entry((10, 0), (DType::F64, DType::F64)), Ok("f64_m8n8k4"));
        let lacks = |capability, formats, what: &str| {
            let found = choose(capability, formats).map(|format| format.entry);
            assert!(matches!(&found, Err(BackendError::Unsupported { reason }) if reason.contains(what)), "{found:?}");
        };
        lacks((8, 6), (DType::Fp8E4m3, DType::F32), "8.9");
        lacks((7, 5), (DType::Bf16, DType::F32), "8.0");
        lacks((7, 0), (DType::Int8, DType::Int32), "7.2");
        lacks((6, 1), (DType::F16, DType::F32), "7.0");
        lacks((9, 0), (DType::F32, DType::F32), "have no f32");
        let no_kernel = |capability, formats, what: &str| {
            let found = choose(capability, formats).map(|format| format.entry);
            assert!(matches!(&found, Err(BackendError::NoKernel { reason }) if reason.contains(what)), "{found:?}");
        };
        no_kernel((7, 0), (DType::F16, DType::F32), "Volta");
        no_kernel((7, 2), (DType::Int8, DType::Int32), "Volta");
        no_kernel((9, 0), (DType::Bf16, DType::F32), "wgmma");
        no_kernel((10, 0), (DType::Bf16, DType::F32), "tcgen05");
        no_kernel((10, 3), (DType::Fp8E4m3, DType::F32), "tcgen05");
    }
}
