//! Multiply-adds of Hopper's matrix units: `kernels/warpgroup_multiply_add.cu`.

use super::dealt::{Dealt, Workers};
use super::elements::{Elements, float, note, random};
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::rates;
use crate::backend::cuda::timing::Program;
use crate::backend::{BackendError, CycleLimit};
use crate::dtype::DType;
use crate::workload::MULTIPLY_ADD_OPS;

/// Rows and columns of a product, words of a row of its factors, and stretches of it, as the kernels have them.
const ROWS: u32 = 64;
const COLUMNS: u32 = 192;
const WORDS: u32 = 32;
const STRETCHES: u32 = 4;
const OF_STRETCH: u32 = WORDS / STRETCHES;
/// Threads of a warpgroup, and warpgroups of a block.
const THREADS: u32 = 128;
const GROUPS: u32 = 2;
/// Bytes of shared memory: the rows of A of each warpgroup, and those of B twice.
const SHARED: u32 = (GROUPS * ROWS + 2 * COLUMNS) * WORDS * 4;
/// Steps of a launch at most: a few milliseconds.
const MOST_STEPS: u64 = 65_536;

/// A pair of formats.
struct Format {
    input: DType,
    accumulate: DType,
    name: &'static str,
    elements: Elements,
}

const FORMATS: [Format; 5] = [
    Format { input: DType::F16, accumulate: DType::F32, name: "f16", elements: float(8) },
    Format { input: DType::Bf16, accumulate: DType::F32, name: "bf16", elements: float(7) },
    Format { input: DType::Tf32, accumulate: DType::F32, name: "tf32", elements: float(8) },
    // Sums of fp8 keep some 14 bits (DeepSeek-V3 Technical Report, 3.3.2).
    Format { input: DType::Fp8E4m3, accumulate: DType::F32, name: "fp8", elements: float(2) },
    Format { input: DType::Int8, accumulate: DType::Int32, name: "int8", elements: Elements::Integer },
];

/// Whether a pair of formats is measured by these kernels on a compute capability.
pub(in crate::backend::cuda) fn suits(capability: (u32, u32), formats: (DType, DType)) -> bool {
    capability == (9, 0) && FORMATS.iter().any(|format| (format.input, format.accumulate) == formats)
}

/// The sums of one stretch with the first B, or the second, row by row.
type Sums = Vec<Vec<f64>>;

impl Format {
    /// Elements of a word.
    const fn packed(&self) -> u32 {
        32 / self.input.format().bits
    }

    /// Operations of a step of a warpgroup.
    const fn step_ops(&self) -> u64 {
        (2 * ROWS * COLUMNS * OF_STRETCH * self.packed()) as u64
    }

    /// The product of a stretch of a warpgroup.
    fn product(&self, group: u32, stretch: u32, second: bool) -> Sums {
        let packed = self.packed();
        let matrix = |number: u32, rows: u32, second: bool| -> Sums {
            let element = |row, index: u32| {
                let random = random(number, row, stretch * OF_STRETCH + index / packed);
                self.elements.of(random >> (32 / packed * (index % packed)), index, second)
            };
            let row = |row| (0..OF_STRETCH * packed).map(|index| element(row, index)).collect();
            (0..rows).map(row).collect()
        };
        let (a, b) = (matrix(group, ROWS, false), matrix(GROUPS, COLUMNS, second));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        a.iter().map(|a| b.iter().map(|b| dot(a, b)).collect()).collect()
    }

    /// Every sum of a warpgroup after some steps, exactly.
    fn sums(&self, group: u32, steps: u64) -> Sums {
        let mut sums = vec![vec![0.0; COLUMNS as usize]; ROWS as usize];
        for (stretch, second) in (0..STRETCHES).flat_map(|stretch| [(stretch, false), (stretch, true)]) {
            // Steps go through stretches with either B, and after the last one each is multiplied by the first once more.
            let place = u64::from(2 * stretch + u32::from(second));
            let times = (steps + u64::from(2 * STRETCHES - 1) - place) / u64::from(2 * STRETCHES);
            let times = (times + u64::from(!second)) as f64;
            let product = self.product(group, stretch, second);
            for (sum, product) in sums.iter_mut().flatten().zip(product.iter().flatten()) {
                *sum += times * product;
            }
        }
        sums
    }

    /// What a thread of a warpgroup comes to.
    fn result(&self, sums: &Sums, thread: u32) -> u32 {
        let (warp, lane) = (thread / 32, thread % 32);
        (0..ROWS * COLUMNS / THREADS).fold(0, |total, element| {
            let row = 16 * warp + lane / 4 + 8 * (element / 2 % 2);
            let column = element / 4 * 8 + lane % 4 * 2 + element % 2;
            note(total, self.accumulate, sums[row as usize][column as usize] + 0.0)
        })
    }
}

/// Multiply-adds of a pair of formats by warpgroups.
pub(in crate::backend::cuda) struct Warpgroup<'device> {
    gpu: &'device Gpu,
    format: &'static Format,
    function: Function,
    grid: Grid,
    results: Buffer,
    names: [String; 1],
    /// Operations that were asked for and are less than a step.
    owed: u64,
}

impl<'device> Warpgroup<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        (input, accumulate): (DType, DType),
        multiprocessors: u32,
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.input, format.accumulate) == (input, accumulate);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::no_kernel(format!(
                "this rooflab has no `wgmma` of {input} summed in {accumulate}"
            )));
        };
        let name = format!("warpgroup_{}", format.name);
        let function = gpu.function_with_shared(Source::WarpgroupMultiplyAdd, &name, SHARED)?;
        let grid = Grid { blocks: multiprocessors, threads: GROUPS * THREADS, shared: SHARED };
        let depth = OF_STRETCH * format.packed();
        let names = [format!("wgmma m{ROWS}n{COLUMNS}k{depth}, {GROUPS} warpgroups")];
        let results = gpu.buffer(4 * grid.threads_in_all())?;
        Ok(Self { gpu, format, function, grid, results, names, owed: 0 })
    }

    /// Warpgroups of all blocks.
    fn groups(&self) -> u64 {
        self.grid.threads_in_all() / u64::from(THREADS)
    }

    fn put(&self, steps: u64) -> Result<(), BackendError> {
        let [steps, longer] = Dealt::to(self.groups(), steps).arguments();
        self.gpu.launch(&self.function, self.grid, &[Argument::from(&self.results), steps, longer])
    }
}

impl Program for Warpgroup<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        MOST_STEPS * u64::from(GROUPS) * self.format.step_ops() / MULTIPLY_ADD_OPS
    }

    /// Steps are longer than iterations in some formats: what is left of a launch is made up for in the next one.
    fn launch(&mut self, _: usize, iterations: u64) -> Result<(), BackendError> {
        let ops = self.owed + iterations * MULTIPLY_ADD_OPS * u64::from(self.grid.blocks);
        self.owed = ops % self.format.step_ops();
        self.put(ops / self.format.step_ops())
    }

    /// Fewer steps than warpgroups, and more: every thread is looked at, and its result is the reference's bit by bit.
    fn verify(&mut self, _: usize) -> Result<(), BackendError> {
        let groups = self.groups();
        for steps in [groups / 2, 11 * groups + 1] {
            self.gpu.poison(&self.results)?;
            self.put(steps)?;
            let results = self.gpu.contents(&self.results)?;
            let workers = Workers { kinds: GROUPS, threads: THREADS, bytes: 4 };
            Dealt::to(groups, steps).verify(&results, self.grid.threads_in_all(), workers, |group, steps| {
                let sums = self.format.sums(group, steps);
                (0..THREADS).map(|thread| self.format.result(&sums, thread).into()).collect()
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
    use super::*;
    use crate::backend::cuda::ptx;

    #[test]
    fn sums_are_exact_for_as_many_steps_as_are_verified() {
        for format in &FORMATS {
            for steps in [0, 1, 12] {
                let sums = format.sums(1, steps);
                let held = |sum: f64| match format.input {
                    // 14 bits, with those of the largest.
                    DType::Fp8E4m3 => (sum * 64.0).fract() == 0.0 && sum.abs() < 128.0,
                    DType::Int8 => sum.abs() < 2e9,
                    _ => f64::from(sum as f32) == sum,
                };
                assert!(sums.into_iter().flatten().all(held), "{} after {steps} steps", format.name);
            }
        }
    }

    #[test]
    fn a_step_too_few_has_another_result() {
        for format in &FORMATS {
            let result = |steps| format.result(&format.sums(0, steps), 77);
            for steps in 1..9 {
                assert_ne!(result(steps), result(steps - 1), "{} after {steps} steps", format.name);
            }
            assert_ne!(result(800), result(792), "{}", format.name);
        }
    }

    #[test]
    fn every_format_has_its_kernel() {
        for format in &FORMATS {
            let entry = format!(".entry warpgroup_{}(", format.name);
            let mut modules = ptx::ALL.iter().filter(|ptx| ptx.source == Source::WarpgroupMultiplyAdd);
            assert!(modules.all(|ptx| ptx.text.contains(&entry)), "{entry}");
        }
        assert!(suits((9, 0), (DType::Bf16, DType::F32)) && !suits((10, 0), (DType::Bf16, DType::F32)));
        assert!(!suits((9, 0), (DType::F64, DType::F64)));
    }
}
