//! Multiply-adds of matrix units: `kernels/matrix_multiply_add.cu`.

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
    /// The first compute capability whose matrix units have it, and the first that does something better.
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

/// The row of a pair of formats on a compute capability, or why there is none.
fn choose(capability: (u32, u32), (input, accumulate): (DType, DType)) -> Result<&'static Format, String> {
    let rows = || FORMATS.iter().filter(|format| (format.input, format.accumulate) == (input, accumulate));
    let Some(first) = rows().map(|format| format.from).min() else {
        return Err(format!("NVIDIA's matrix units have no {input} multiply-adds summed in {accumulate}"));
    };
    if capability < first {
        return Err(format!("{input} on matrix units needs compute capability {}.{}", first.0, first.1));
    }
    // A lower figure must not stand where the peak is looked for.
    let faster = match capability.0 {
        9 => Some("`wgmma`, and this rooflab has no kernel of it for these formats yet"),
        10 | 11 => Some("`tcgen05`, for which this rooflab has no kernels yet"),
        _ => None,
    };
    if let Some(faster) = faster.filter(|_| input != DType::F64) {
        let (major, minor) = capability;
        return Err(format!("matrix units of compute capability {major}.{minor} reach their peak through {faster}"));
    }
    let suits = |format: &&Format| (format.from..format.until).contains(&capability);
    rows().filter(suits).max_by_key(|format| format.from).ok_or_else(|| "there is no kernel for this device".to_owned())
}

impl Format {
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
        let format = choose(gpu.found.capability, formats).map_err(BackendError::unsupported)?;
        let function = gpu.function(Source::MatrixMultiplyAdd, &format!("matrix_{}", format.entry))?;
        let threads = || THREADS.into_iter().filter(|&threads| threads <= format.most_threads);
        let grids: Vec<Grid> = threads().map(|threads| Grid { blocks: multiprocessors, threads, shared: 0 }).collect();
        let (_, shape) = format.entry.rsplit_once('_').unwrap_or_default();
        let chains = format.tall * format.wide;
        let name = |threads| format!("mma.sync {shape}, {chains} chains, {} warps", threads / WARP);
        let names = threads().map(name).collect();
        let most = grids.iter().map(|grid| grid.threads_in_all()).max().unwrap_or(1);
        Ok(Self { gpu, format, multiprocessors, function, grids, results: gpu.buffer(4 * most)?, names })
    }

    /// Deals the turns of some iterations out to all warps, as evenly as can be: turns of each, and warps with one more.
    fn deal(&self, grid: Grid, iterations: u64) -> (u64, u64) {
        let turns = iterations * MULTIPLY_ADD_OPS / TURN_OPS * u64::from(self.multiprocessors);
        let warps = grid.threads_in_all() / u64::from(WARP);
        (turns / warps, turns % warps)
    }

    fn put(&self, grid: Grid, iterations: u64) -> Result<(), BackendError> {
        let (turns, longer) = self.deal(grid, iterations);
        let arguments = [Argument::from(&self.results), (turns as u32).into(), (longer as u32).into()];
        self.gpu.launch(&self.function, grid, &arguments)
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
            let (turns, longer) = self.deal(grid, iterations);
            let mut known = std::collections::BTreeMap::new();
            for thread in 0..grid.blocks * grid.threads {
                let (warp, lane) = (thread / WARP, thread % WARP);
                let turns = turns + u64::from(u64::from(warp) < longer);
                let sums = known.entry((warp % KINDS, turns)).or_insert_with_key(|&(kind, turns)| {
                    let sums = self.format.sums(kind, turns);
                    (0..WARP).map(|lane| self.format.result(&sums, lane)).collect::<Vec<u32>>()
                });
                let expected = sums[lane as usize];
                let found = bytemuck::pod_read_unaligned::<u32>(&results[4 * thread as usize..][..4]);
                if found != expected {
                    return Err(BackendError::WrongResult(format!(
                        "thread {thread} has {found:#x} after {turns} turns, the reference has {expected:#x}"
                    )));
                }
            }
        }
        Ok(())
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        let Format { input, accumulate, .. } = *self.format;
        let known = !self.gpu.found.is_software();
        known.then(|| rates::matrix(self.gpu.found.capability, input, accumulate)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::backend::cuda::ptx;

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

    #[test]
    fn every_format_has_its_kernel_where_it_is_chosen() {
        for format in &FORMATS {
            let entry = format!(".entry matrix_{}(", format.entry);
            let modules = ptx::ALL.iter().filter(|ptx| ptx.source == Source::MatrixMultiplyAdd);
            assert!(modules.filter(|ptx| ptx.text.contains(&entry)).count() > 0, "{entry}");
        }
        let entry = |capability, formats| choose(capability, formats).map(|format| format.entry);
        assert_eq!(entry((7, 5), (DType::Int8, DType::Int32)), Ok("int8_m8n8k16"));
        assert_eq!(entry((12, 0), (DType::Fp8E4m3, DType::F32)), Ok("fp8_m16n8k32"));
        assert_eq!(entry((9, 0), (DType::F64, DType::F64)), Ok("f64_m16n8k16"));
        assert_eq!(entry((10, 0), (DType::F64, DType::F64)), Ok("f64_m8n8k4"));
        let refused = |capability, formats| choose(capability, formats).err().unwrap_or_default();
        assert!(refused((8, 6), (DType::Fp8E4m3, DType::F32)).contains("8.9"));
        assert!(refused((7, 0), (DType::F16, DType::F32)).contains("7.5"));
        assert!(refused((9, 0), (DType::Bf16, DType::F32)).contains("wgmma"));
        assert!(refused((9, 0), (DType::F32, DType::F32)).contains("have no f32"));
    }
}
