//! Multiply-adds in registers: `kernels/multiply_add.cu`.

use half::{bf16, f16};

use super::dealt::{Dealt, Workers};
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::rates;
use crate::backend::cuda::survey::Found;
use crate::backend::cuda::timing::Program;
use crate::backend::{BackendError, CycleLimit};
use crate::dtype::DType;
use crate::workload::MULTIPLY_ADD_OPS;

/// Chains of a thread and rounds of a turn, of two steps each, as the kernels have them.
const CHAINS: u32 = 8;
const ROUNDS: u64 = 16;
/// What the first sums are multiples of.
const UNIT: f64 = 0.125;
/// Cycles of a launch at most: a few hundredths of a second, with which no system loses its patience.
const MOST_CYCLES: f64 = 50e6;
/// Operations in a cycle of a multiprocessor where nothing is stated: the least that any has of formats that it computes in hardware, and of f64.
const LEAST_RATE: f64 = 128.0;
const LEAST_RATE_OF_F64: f64 = 4.0;
/// Threads after which all begins again: eight factors and 61 first sums.
const KINDS: u32 = 8 * 61;

/// A format, and how its kernel computes.
struct Format {
    input: DType,
    accumulate: DType,
    entry: &'static str,
    numbers: Numbers,
    /// Operations of a step of a chain.
    ops: u64,
}

/// How a step rounds, what a thread is given, and how its chains are added up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    F64,
    F32,
    /// Two to a chain, added up in f32.
    F16,
    /// The same.
    Bf16,
    /// Wrapping integers of 32 bits.
    Int32,
    /// Four products of bytes added to an integer of 32 bits.
    Int8,
}

const FORMATS: [Format; 6] = [
    Format { input: DType::F64, accumulate: DType::F64, entry: "multiply_add_f64", numbers: Numbers::F64, ops: 2 },
    Format { input: DType::F32, accumulate: DType::F32, entry: "multiply_add_f32", numbers: Numbers::F32, ops: 2 },
    Format { input: DType::F16, accumulate: DType::F16, entry: "multiply_add_f16", numbers: Numbers::F16, ops: 4 },
    Format { input: DType::Bf16, accumulate: DType::Bf16, entry: "multiply_add_bf16", numbers: Numbers::Bf16, ops: 4 },
    Format {
        input: DType::Int32,
        accumulate: DType::Int32,
        entry: "multiply_add_int32",
        numbers: Numbers::Int32,
        ops: 2,
    },
    Format { input: DType::Int8, accumulate: DType::Int32, entry: "multiply_add_int8", numbers: Numbers::Int8, ops: 8 },
];

/// Factors of the first thread, how much less the next one's is, and what is added: numbers that stay small for as long as anybody likes.
const FACTORS: [f32; 3] = [0.875, 1.0 / 128.0, 0.718_75];
/// The same in integers. All factors are odd: a sum that is multiplied by an even one again and again forgets how often.
const WORDS: [u32; 3] = [0x5AC3_917F, 0x0101_0106, 0x7D83_2FB5];
/// What the second of two added integers differs by.
const FLIP: u32 = 0x1032_5476;

impl Numbers {
    const fn is_integer(self) -> bool {
        matches!(self, Self::Int32 | Self::Int8)
    }

    /// The first factor, the step from thread to thread, and what is added, as arguments.
    fn arguments(self) -> [Argument; 3] {
        match self {
            Self::F64 => FACTORS.map(|factor| f64::from(factor).into()),
            Self::F32 | Self::F16 | Self::Bf16 => FACTORS.map(Argument::from),
            Self::Int32 | Self::Int8 => WORDS.map(Argument::from),
        }
    }

    /// A value as a chain holds it.
    fn rounded(self, value: f64) -> f64 {
        match self {
            Self::F32 => f64::from(value as f32),
            Self::F16 => f16::from_f64(value).to_f64(),
            Self::Bf16 => bf16::from_f64(value).to_f64(),
            Self::F64 | Self::Int32 | Self::Int8 => value,
        }
    }

    /// A step of a chain of floating-point numbers, rounded once.
    fn step(self, sum: f64, x: f64, y: f64) -> f64 {
        match self {
            Self::F32 => f64::from((sum as f32).mul_add(x as f32, y as f32)),
            // Products and sums of so few digits are exact in f64.
            _ => self.rounded(sum.mul_add(x, y)),
        }
    }

    /// Elements of a chain.
    const fn width(self) -> u32 {
        match self {
            Self::F16 | Self::Bf16 => 2,
            _ => 1,
        }
    }

    /// Bytes of a result.
    const fn bytes(self) -> u64 {
        if matches!(self, Self::F64) { 8 } else { 4 }
    }

    /// What a thread must arrive at, bit by bit.
    fn expected(self, thread: u32, turns: u64) -> u64 {
        let start = |element: u32| thread.wrapping_add(37 * element) % 61;
        let elements = 0..CHAINS * self.width();
        let rounds = turns * ROUNDS;
        if self.is_integer() {
            let [x, step, y] = WORDS;
            let x = x.wrapping_sub((thread & 7).wrapping_mul(step));
            let once = |sum: u32, y: u32| match self {
                Self::Int8 => x.wrapping_add(dot(sum, y)),
                _ => sum.wrapping_mul(x).wrapping_add(y),
            };
            let chain = |element| (0..rounds).fold(start(element), |sum, _| once(once(sum, y), y ^ FLIP));
            return elements.map(chain).fold(0, u32::wrapping_add).into();
        }
        let [x, step, y] = FACTORS.map(f64::from);
        let (x, second) = (self.rounded(x - f64::from(thread & 7) * step), self.rounded(y * -0.5));
        let y = self.rounded(y);
        let chain = |element| {
            let first = f64::from(start(element)) * UNIT;
            (0..rounds).fold(first, |sum, _| self.step(self.step(sum, x, y), x, second))
        };
        if self == Self::F64 {
            return elements.map(chain).sum::<f64>().to_bits();
        }
        u64::from(elements.map(chain).fold(0.0_f32, |total, sum| total + sum as f32).to_bits())
    }
}

/// The product of four pairs of signed bytes, added up.
fn dot(a: u32, b: u32) -> u32 {
    let pairs = a.to_le_bytes().into_iter().zip(b.to_le_bytes());
    pairs.map(|(a, b)| i32::from(a.cast_signed()) * i32::from(b.cast_signed())).sum::<i32>().cast_unsigned()
}

/// Iterations that take [`MOST_CYCLES`] at most.
fn most_iterations(device: &Found, format: DType) -> u64 {
    let least = if format == DType::F64 { LEAST_RATE_OF_F64 } else { LEAST_RATE };
    let rate = rates::multiply_add(device, format).map_or(least, |limit| limit.per_cycle);
    (MOST_CYCLES * rate / MULTIPLY_ADD_OPS as f64).max(1.0) as u64
}

/// Threads of a multiprocessor that are tried, in blocks of so many.
const SHAPES: [(u32, u32); 3] = [(2048, 256), (1024, 256), (512, 128)];
/// The same where one block has to do, because there is no other way to keep to one multiprocessor.
const SHAPES_OF_ONE: [(u32, u32); 2] = [(1024, 1024), (512, 512)];

/// Multiply-adds of a pair of formats.
pub(in crate::backend::cuda) struct MultiplyAdd<'device> {
    gpu: &'device Gpu,
    format: &'static Format,
    multiprocessors: u32,
    function: Function,
    grids: Vec<Grid>,
    results: Buffer,
    names: Vec<String>,
}

impl<'device> MultiplyAdd<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        (input, accumulate): (DType, DType),
        multiprocessors: u32,
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.input, format.accumulate) == (input, accumulate);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::unsupported(format!(
                "NVIDIA's vector units have no {input} multiply-adds summed in {accumulate}"
            )));
        };
        if format.numbers == Numbers::Bf16 && gpu.found.capability < (8, 0) {
            return Err(BackendError::unsupported("bf16 needs compute capability 8.0"));
        }
        let function = gpu.function(Source::MultiplyAdd, format.entry)?;
        let shapes: &[(u32, u32)] = if multiprocessors == 1 { &SHAPES_OF_ONE } else { &SHAPES };
        let grid = |&(of_multiprocessor, threads): &(u32, u32)| {
            let grid = Grid { blocks: 1, threads, shared: 0 };
            let most = gpu.resident_blocks(&function, grid)?;
            Ok(Grid { blocks: (of_multiprocessor / threads).min(most) * multiprocessors, ..grid })
        };
        let mut grids = shapes.iter().map(grid).collect::<Result<Vec<_>, BackendError>>()?;
        // Not all devices hold as many threads as the largest shape asks for.
        grids.dedup();
        let names = grids.iter().map(|grid| {
            format!("{CHAINS} chains, {} threads of {}", grid.blocks / multiprocessors * grid.threads, grid.threads)
        });
        let names = names.collect();
        let most = grids.iter().map(|grid| grid.threads_in_all()).max().unwrap_or(1);
        let results = gpu.buffer(format.numbers.bytes() * most)?;
        Ok(Self { gpu, format, multiprocessors, function, grids, results, names })
    }

    /// Deals the turns of some iterations out to all threads.
    fn deal(&self, grid: Grid, iterations: u64) -> Dealt {
        let of_turn = self.format.ops * 2 * ROUNDS * u64::from(CHAINS);
        let turns = iterations * MULTIPLY_ADD_OPS / of_turn * u64::from(self.multiprocessors);
        Dealt::to(grid.threads_in_all(), turns)
    }

    fn put(&self, grid: Grid, iterations: u64) -> Result<(), BackendError> {
        let [turns, longer] = self.deal(grid, iterations).arguments();
        let [x, step, y] = self.format.numbers.arguments();
        let arguments = [Argument::from(&self.results), turns, longer, x, step, y];
        self.gpu.launch(&self.function, grid, &arguments)
    }
}

impl Program for MultiplyAdd<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    /// A fraction of a second also where a format is slow: f64 has a thirty-second of the rate of f32 on many devices.
    fn most_at_once(&self, _: usize) -> u64 {
        most_iterations(&self.gpu.found, self.format.input)
    }

    fn launch(&mut self, variant: usize, iterations: u64) -> Result<(), BackendError> {
        self.put(self.grids[variant], iterations)
    }

    /// Fewer turns than threads, and more: every thread is looked at, and its result is the reference's bit by bit.
    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let (grid, numbers) = (self.grids[variant], self.format.numbers);
        for iterations in [1, 17] {
            self.gpu.poison(&self.results)?;
            self.put(grid, iterations)?;
            let results = self.gpu.contents(&self.results)?;
            let threads = Workers { kinds: KINDS, threads: 1, bytes: numbers.bytes() as usize };
            let reference = |thread, turns| vec![numbers.expected(thread, turns)];
            self.deal(grid, iterations).verify(&results, grid.threads_in_all(), threads, reference)?;
        }
        Ok(())
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        rates::multiply_add(&self.gpu.found, self.format.input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_iteration_is_a_whole_number_of_turns() {
        for format in &FORMATS {
            assert_eq!(MULTIPLY_ADD_OPS % (format.ops * 2 * ROUNDS * u64::from(CHAINS)), 0, "{}", format.entry);
        }
    }

    #[test]
    fn a_launch_is_short_also_where_a_format_is_slow() {
        let device = |name, capability| Found::of(name, capability, (12, 9));
        let hopper = || device("NVIDIA H100 80GB HBM3", (9, 0));
        let seconds = |device: &Found, format, rate: f64| {
            (most_iterations(device, format) * MULTIPLY_ADD_OPS) as f64 / rate / 1.5e9
        };
        for (device, format) in [
            (device("Tesla T4", (7, 5)), DType::F64),
            (device("NVIDIA L4", (8, 9)), DType::F64),
            (hopper(), DType::F16),
            (hopper(), DType::F64),
        ] {
            let seconds = seconds(&device, format, rates::multiply_add(&device, format).unwrap().per_cycle);
            assert!((0.02..0.05).contains(&seconds), "{device:?} {format}: {seconds} s");
        }
        // A product whose units were cut down to a few: 1 TFLOP/s of f64 in all.
        assert!(seconds(&device("NVIDIA H20", (9, 0)), DType::F64, 1e12 / 78.0 / 1.98e9) < 0.05);
        // Turns of a launch are counted in 32 bits.
        assert!(most_iterations(&hopper(), DType::F16) * MULTIPLY_ADD_OPS < 1 << 40);
    }

    #[test]
    fn threads_are_alike_again_after_all_kinds() {
        for format in &FORMATS {
            let expected = |thread| format.numbers.expected(thread, 2);
            assert!((0..KINDS).all(|thread| expected(thread) == expected(thread + KINDS)), "{}", format.entry);
        }
    }

    #[test]
    fn a_turn_too_few_has_another_result() {
        for format in &FORMATS {
            for thread in [0, 5, 487] {
                assert_ne!(format.numbers.expected(thread, 1), format.numbers.expected(thread, 0), "{}", format.entry);
            }
        }
        for numbers in [Numbers::Int32, Numbers::Int8] {
            assert_ne!(numbers.expected(3, 1000), numbers.expected(3, 999));
        }
    }
}
