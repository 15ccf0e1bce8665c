//! Multiply-adds of Hopper's matrix units: `kernels/warpgroup_multiply_add.cu`, and `kernels/warpgroup_sparse.cu`.

use super::dealt::{Dealt, Workers};
use super::elements::{Elements, float, note, random};
use super::sparse::spread;
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
/// Bits of factors that kernels keep.
const ALL_BITS: u32 = u32::MAX;
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
    Format { input: DType::Int8, accumulate: DType::Int32, name: "int8", elements: Elements::Integer { bits: 8 } },
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
}

/// Products of a pair of formats, with a dense A or a sparse one.
#[derive(Clone, Copy)]
struct Products {
    format: &'static Format,
    sparse: bool,
}

impl Products {
    /// The length that is summed over in a step.
    const fn depth(&self) -> u32 {
        OF_STRETCH * self.format.packed() * if self.sparse { 2 } else { 1 }
    }

    /// Operations of a step of a warpgroup, those that are with zeros among them.
    const fn step_ops(&self) -> u64 {
        (2 * ROWS * COLUMNS * self.depth()) as u64
    }

    /// The kernel, and the file that it is in.
    fn kernel(&self) -> (Source, String) {
        let name = self.format.name;
        if self.sparse {
            (Source::WarpgroupSparse, format!("warpgroup_sparse_{name}"))
        } else {
            (Source::WarpgroupMultiplyAdd, format!("warpgroup_{name}"))
        }
    }

    /// What a step is told as.
    fn told(&self) -> String {
        let (instruction, counted) = if self.sparse { ("wgmma.sp", ", counted as dense") } else { ("wgmma", "") };
        format!("{instruction} m{ROWS}n{COLUMNS}k{}, {GROUPS} warpgroups{counted}", self.depth())
    }

    /// The product of a stretch of a warpgroup.
    fn product(&self, group: u32, stretch: u32, second: bool) -> Sums {
        let Self { format, sparse } = *self;
        let packed = format.packed();
        // The places of a second row that differ in a digit: a sparse row may have a zero in the first.
        let nudged = if sparse { 4 } else { 1 };
        let matrix = |number: u32, rows: u32, (first, length): (u32, u32), second: bool| -> Sums {
            let element = |row, index: u32| {
                let random = random(number, row, first + index / packed);
                format.elements.of(random >> (32 / packed * (index % packed)), index < nudged, second)
            };
            let row = |row| (0..length).map(|index| element(row, index)).collect();
            (0..rows).map(row).collect()
        };
        let mut a = matrix(group, ROWS, (stretch * OF_STRETCH, OF_STRETCH * packed), false);
        // Rows of B are longer than those that are held of a sparse A, and have half as many stretches.
        let of_b = if sparse { stretch % 2 * 2 * OF_STRETCH } else { stretch * OF_STRETCH };
        let b = matrix(GROUPS, COLUMNS, (of_b, self.depth()), second);
        if sparse {
            let groups = a[0].len() as u32 / if packed == 1 { 1 } else { 2 };
            for (row, a) in (0..).zip(&mut a) {
                *a = spread(format.input, a, |place| random(GROUPS + 1 + group, row, stretch * groups + place));
            }
        }
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
            note(total, self.format.accumulate, sums[row as usize][column as usize] + 0.0)
        })
    }
}

/// Multiply-adds of a pair of formats by warpgroups.
pub(in crate::backend::cuda) struct Warpgroup<'device> {
    gpu: &'device Gpu,
    products: Products,
    function: Function,
    grid: Grid,
    results: Buffer,
    names: [String; 1],
    /// Operations that were asked for and are less than a step.
    owed: u64,
}

impl<'device> Warpgroup<'device> {
    /// Products of dense matrices, or of a sparse one.
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        sparse: bool,
        (input, accumulate): (DType, DType),
        multiprocessors: u32,
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.input, format.accumulate) == (input, accumulate);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::no_kernel(format!(
                "this rooflab has no `wgmma` of {input} summed in {accumulate}"
            )));
        };
        let products = Products { format, sparse };
        let (source, name) = products.kernel();
        let function = gpu.function_with_shared(source, &name, SHARED)?;
        let grid = Grid { blocks: multiprocessors, threads: GROUPS * THREADS, shared: SHARED };
        let names = [products.told()];
        let results = gpu.buffer(4 * grid.threads_in_all())?;
        Ok(Self { gpu, products, function, grid, results, names, owed: 0 })
    }

    /// Warpgroups of all blocks.
    fn groups(&self) -> u64 {
        self.grid.threads_in_all() / u64::from(THREADS)
    }

    fn put(&self, steps: u64) -> Result<(), BackendError> {
        let [steps, longer] = Dealt::to(self.groups(), steps).arguments();
        self.gpu.launch(&self.function, self.grid, &[Argument::from(&self.results), steps, longer, ALL_BITS.into()])
    }
}

impl Program for Warpgroup<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        MOST_STEPS * u64::from(GROUPS) * self.products.step_ops() / MULTIPLY_ADD_OPS
    }

    /// Steps are longer than iterations in some formats: what is left of a launch is made up for in the next one.
    fn launch(&mut self, _: usize, iterations: u64) -> Result<(), BackendError> {
        let ops = self.owed + iterations * MULTIPLY_ADD_OPS * u64::from(self.grid.blocks);
        self.owed = ops % self.products.step_ops();
        self.put(ops / self.products.step_ops())
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
                let sums = self.products.sums(group, steps);
                (0..THREADS).map(|thread| self.products.result(&sums, thread).into()).collect()
            })?;
        }
        Ok(())
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        let Products { format, sparse } = self.products;
        rates::matrix(&self.gpu.found, sparse, (format.input, format.accumulate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::ptx;

    fn all() -> impl Iterator<Item = Products> {
        FORMATS.iter().flat_map(|format| [false, true].map(|sparse| Products { format, sparse }))
    }

    #[test]
    fn sums_are_exact_for_as_many_steps_as_are_verified() {
        for products in all() {
            for steps in [0, 1, 12] {
                let sums = products.sums(1, steps);
                let held = |sum: f64| match products.format.input {
                    // 14 bits, with those of the largest.
                    DType::Fp8E4m3 => (sum * 64.0).fract() == 0.0 && sum.abs() < 128.0,
                    DType::Int8 => sum.abs() < 2e9,
                    _ => f64::from(sum as f32) == sum,
                };
                assert!(sums.into_iter().flatten().all(held), "{:?} after {steps} steps", products.kernel());
            }
        }
    }

    #[test]
    fn a_step_too_few_has_another_result() {
        for products in all() {
            let result = |steps| products.result(&products.sums(0, steps), 77);
            for steps in 1..9 {
                assert_ne!(result(steps), result(steps - 1), "{:?} after {steps} steps", products.kernel());
            }
            assert_ne!(result(800), result(792), "{:?}", products.kernel());
        }
    }

    #[test]
    fn every_format_has_its_kernel() {
        for products in all() {
            let (source, name) = products.kernel();
            let entry = format!(".entry {name}(");
            let mut modules = ptx::ALL.iter().filter(|ptx| ptx.source == source).peekable();
            assert!(modules.peek().is_some() && modules.all(|ptx| ptx.text.contains(&entry)), "{entry}");
        }
        assert!(suits((9, 0), (DType::Bf16, DType::F32)) && !suits((10, 0), (DType::Bf16, DType::F32)));
        assert!(!suits((9, 0), (DType::F64, DType::F64)));
    }
}
