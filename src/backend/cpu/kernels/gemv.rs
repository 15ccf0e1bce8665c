//! Matrix–vector products `y[n] = W[n, k] · x[k]`: what decoding one sequence is made of. Each lane has its own rows.
//!
//! Work: 2·n·k operations; every weight loaded once with its scales, the vector and the result once. Bound: the bandwidth of the level that holds
//! the weights; with few bits per weight, unpacking them.

use std::sync::atomic::{AtomicU64, Ordering};

use half::{bf16, f16};

use super::Program;
use super::dot::wide::{self, GROUP, Int4, Wide};
use super::dot::{Rows, multiply};
use super::element::{Element, PERIOD, fill_rows, near};
use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::isa::{Compiled, best, for_every_isa};
use crate::backend::{BackendError, CycleLimit};
use crate::data::{Seed, bits};
use crate::dtype::DType;
use crate::workload::matrix_row_bytes;

type Multiply = unsafe fn(&Rows);

/// A pair of formats, and how to compute with them.
struct Format {
    weights: DType,
    activations: DType,
    /// Kernels of special instructions.
    special: &'static [&'static [Compiled<Multiply>]],
    /// Kernels that widen to `f32`, for every instruction set, in both walks.
    wide: [(&'static str, &'static [Compiled<Multiply>]); 2],
    /// The exact value of an activation, and of a weight in a row of some columns.
    activation: fn(*const u8, usize) -> f64,
    weight: fn(*const u8, usize, usize) -> f64,
    /// Fills rows of some columns.
    fill: fn(&mut [u8], usize, Seed),
    fill_activations: fn(&mut [u8]),
}

impl Format {
    /// Whether each row has a scale of its own, which lies apart from it.
    fn row_scales(&self) -> bool {
        self.weights == DType::Int8
    }
}

/// The walks of a dot product: without asking for weights ahead, which is faster in caches, and with it.
macro_rules! walks {
    ($dot:ty) => {
        [
            // SAFETY, of all: the caller's; the kernel is compiled for the instruction set of `V`.
            // SAFETY: as above.
            ("4 rows", for_every_isa!(fn(rows: &Rows) { unsafe { multiply::<$dot, AT_ONCE, false>(rows) } })),
            // SAFETY: as above.
            ("4 rows, ahead", for_every_isa!(fn(rows: &Rows) { unsafe { multiply::<$dot, AT_ONCE, true>(rows) } })),
        ]
    };
}

/// A special kernel of AVX-512 in the same walks.
#[cfg(target_arch = "x86_64")]
macro_rules! avx512 {
    ($name:literal, $feature:tt, $dot:ty) => {
        [avx512!($name, $feature, "4 rows", $dot, false), avx512!($name, $feature, "4 rows, ahead", $dot, true)]
    };
    ($name:literal, $feature:tt, $walk:literal, $dot:ty, $ahead:literal) => {
        Compiled {
            isa: concat!($name, ", ", $walk),
            available: || crate::backend::cpu::isa::has_avx512() && std::arch::is_x86_feature_detected!($feature),
            function: {
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")]
                #[target_feature(enable = $feature)]
                unsafe fn compiled(rows: &Rows) {
                    // SAFETY: the caller's; this function has the instruction set enabled.
                    unsafe { multiply::<$dot, AT_ONCE, $ahead>(rows) }
                }
                compiled as Multiply
            },
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod special {
    use super::super::dot::{vnni, x86};
    use super::{AT_ONCE, Compiled, Multiply, Rows, multiply};

    pub(super) static BF16: [Compiled<Multiply>; 2] = avx512!("AVX-512 BF16 dot", "avx512bf16", x86::Bf16Dot<2>);
    pub(super) static INT8: [Compiled<Multiply>; 2] = avx512!("AVX-512 VNNI, 16-bit", "avx512vnni", vnni::Int8);
    pub(super) static INT4_LOOKUP: [Compiled<Multiply>; 2] =
        avx512!("AVX-512 lookup and BF16 dot", "avx512bf16", x86::Int4Dot);
    pub(super) static INT4: [Compiled<Multiply>; 2] = avx512!("AVX-512 VNNI, 16-bit", "avx512vnni", vnni::Int4);
}

#[cfg(not(target_arch = "x86_64"))]
mod special {
    use super::{Compiled, Multiply};

    pub(super) static BF16: [Compiled<Multiply>; 0] = [];
    pub(super) static INT8: [Compiled<Multiply>; 0] = [];
    pub(super) static INT4_LOOKUP: [Compiled<Multiply>; 0] = [];
    pub(super) static INT4: [Compiled<Multiply>; 0] = [];
}

static FORMATS: [Format; 5] = [
    Format {
        weights: DType::F32,
        activations: DType::F32,
        special: &[],
        wide: walks!(Wide<V, wide::F32, wide::F32, 2>),
        activation: value::<f32>,
        weight: |row, _, index| value::<f32>(row, index),
        fill: fill_elements::<f32>,
        fill_activations: fill_vector::<f32>,
    },
    Format {
        weights: DType::F16,
        activations: DType::F16,
        special: &[],
        wide: walks!(Wide<V, wide::F16, wide::F16, 2>),
        activation: value::<f16>,
        weight: |row, _, index| value::<f16>(row, index),
        fill: fill_elements::<f16>,
        fill_activations: fill_vector::<f16>,
    },
    Format {
        weights: DType::Bf16,
        activations: DType::Bf16,
        special: &[&special::BF16],
        wide: walks!(Wide<V, wide::Bf16, wide::Bf16, 2>),
        activation: value::<bf16>,
        weight: |row, _, index| value::<bf16>(row, index),
        fill: fill_elements::<bf16>,
        fill_activations: fill_vector::<bf16>,
    },
    Format {
        weights: DType::Int8,
        activations: DType::Bf16,
        special: &[&special::INT8],
        wide: walks!(Wide<V, wide::Int8, wide::Bf16, 2>),
        activation: value::<bf16>,
        weight: |row, _, index| value::<i8>(row, index),
        fill: fill_elements::<i8>,
        fill_activations: fill_vector::<bf16>,
    },
    Format {
        weights: DType::Int4G128,
        activations: DType::Bf16,
        special: &[&special::INT4, &special::INT4_LOOKUP],
        wide: walks!(Int4<V, wide::Bf16>),
        activation: value::<bf16>,
        weight: int4,
        fill: fill_int4,
        fill_activations: fill_vector::<bf16>,
    },
];

/// The exact value of an element.
fn value<T: Element>(elements: *const u8, index: usize) -> f64 {
    // SAFETY: callers stay within their rows.
    unsafe { elements.cast::<T>().add(index).read_unaligned() }.value()
}

/// The exact value of a weight in a row of 4-bit integers; see [`Int4`] for where it stands.
fn int4(row: *const u8, columns: usize, index: usize) -> f64 {
    let (group, within) = (index / GROUP, index % GROUP);
    // SAFETY: callers stay within their rows.
    let word = unsafe { row.cast::<u16>().add(group * 32 + within % 32).read_unaligned() };
    let integer = i32::from(word >> (within / 32 * 4) & 15) - 8;
    // SAFETY: as above; the scales follow the integers.
    let scale = unsafe { row.add(columns / 2).cast::<f16>().add(group).read_unaligned() };
    f64::from(integer) * scale.to_f64()
}

fn fill_elements<T: Element>(rows: &mut [u8], columns: usize, seed: Seed) {
    let count = rows.len() / size_of::<T>();
    // SAFETY: the rows are aligned to 64 bytes and hold so many elements, of which every pattern of bits is one.
    fill_rows(unsafe { std::slice::from_raw_parts_mut(rows.as_mut_ptr().cast::<T>(), count) }, columns, seed);
}

/// Integers of all values, and scales between 2⁻⁵ and 2⁻⁴.
fn fill_int4(rows: &mut [u8], columns: usize, seed: Seed) {
    let stride = matrix_row_bytes(DType::Int4G128, columns as u64) as usize;
    fill_elements::<i8>(rows, stride, seed);
    for row in rows.chunks_exact_mut(stride).take(PERIOD) {
        for scale in row[columns / 2..].chunks_exact_mut(2) {
            scale[1] = 0x28 | scale[1] & 3;
        }
    }
    let (first, rest) = rows.split_at_mut(rows.len().min(PERIOD * stride));
    for chunk in rest.chunks_mut(PERIOD * stride) {
        chunk.copy_from_slice(&first[..chunk.len()]);
    }
}

fn fill_vector<T: Element>(vector: &mut [u8]) {
    let count = vector.len() / size_of::<T>();
    // SAFETY: the vector is aligned to 64 bytes and holds so many elements.
    let vector = unsafe { std::slice::from_raw_parts_mut(vector.as_mut_ptr().cast::<T>(), count) };
    vector.iter_mut().enumerate().for_each(|(index, x)| *x = T::random(VECTOR, index as u32));
}

/// The seed of the vector, the same on all lanes.
const VECTOR: Seed = Seed(900);
/// Rows that are multiplied at a time, and that come in multiples of it.
const AT_ONCE: usize = 4;

/// A matrix–vector product on its lanes' memory: the rows, their scales, the vector, the vector prepared, and the results.
pub(in crate::backend::cpu) struct Gemv {
    format: &'static Format,
    rows: usize,
    columns: usize,
    parts: usize,
    stride: usize,
    lanes: Lanes,
    kernels: Vec<Multiply>,
    names: Vec<String>,
    /// The part each lane comes to next.
    next: Vec<AtomicU64>,
}

/// The sizes of a lane's product.
#[derive(Clone, Copy, Debug)]
pub(in crate::backend::cpu) struct Sizes {
    pub(in crate::backend::cpu) rows: u64,
    pub(in crate::backend::cpu) columns: u64,
    pub(in crate::backend::cpu) parts: u64,
}

impl Gemv {
    /// Bytes a lane needs.
    pub(in crate::backend::cpu) fn bytes(weights: DType, sizes: Sizes) -> u64 {
        // Scales and results have four bytes for each row, vectors at most four for each column.
        (stride(weights, sizes.columns) * sizes.rows).next_multiple_of(64)
            + 2 * (4 * sizes.rows).next_multiple_of(64)
            + 2 * (4 * sizes.columns).next_multiple_of(64)
            + 4096
    }

    pub(in crate::backend::cpu) fn new(
        (weights, activations): (DType, DType),
        sizes: Sizes,
        lanes: Lanes,
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.weights, format.activations) == (weights, activations);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for {weights} times {activations}")));
        };
        let Sizes { rows, columns, parts } = sizes;
        if rows == 0
            || parts == 0
            || columns == 0
            || !rows.is_multiple_of(parts * AT_ONCE as u64)
            || !columns.is_multiple_of(256)
        {
            return Err(BackendError::unsupported(format!(
                "{rows} rows of {columns} are not {parts} times a multiple of {AT_ONCE} rows, of a multiple of 256"
            )));
        }
        let special = format.special.iter().copied().flatten().filter(|kernel| (kernel.available)());
        let mut kernels: Vec<(String, Multiply)> =
            special.map(|kernel| (kernel.isa.to_owned(), kernel.function)).collect();
        for (walk, compiled) in &format.wide {
            kernels.extend(best(compiled).map(|kernel| (format!("{}, {walk}", kernel.isa), kernel.function)));
        }
        let (names, kernels) = kernels.into_iter().unzip();
        Ok(Self {
            format,
            rows: rows as usize,
            columns: columns as usize,
            parts: parts as usize,
            stride: stride(weights, columns) as usize,
            next: (0..lanes.count()).map(|_| AtomicU64::new(0)).collect(),
            lanes,
            kernels,
            names,
        })
    }

    /// Where a lane's scales, vector, prepared vector and results begin, in bytes.
    fn offsets(&self) -> [usize; 4] {
        let scales = (self.stride * self.rows).next_multiple_of(64);
        let vector = scales + (4 * self.rows).next_multiple_of(64);
        // Apart from one another, so that they do not compete for the same cache sets.
        let prepared = vector + (4 * self.columns).next_multiple_of(64) + 1024;
        [scales, vector, prepared, prepared + (4 * self.columns).next_multiple_of(64) + 1024]
    }

    fn part(&self, lane: usize, part: usize) -> Rows {
        let (start, rows) = (self.lanes.start(lane), self.rows / self.parts);
        let [_, vector, prepared, results] = self.offsets();
        // SAFETY: the part lies within the lane's rows, and everything within the lane's memory.
        unsafe {
            Rows {
                weights: start.add(part * rows * self.stride),
                stride: self.stride,
                rows,
                columns: self.columns,
                activations: start.add(vector),
                prepared: start.add(prepared),
                results: start.add(results).cast::<f32>().add(part * rows),
            }
        }
    }

    fn multiply(&self, variant: usize, lane: usize, part: usize) {
        let rows = self.part(lane, part);
        // SAFETY: the kernel is available on this machine; the part fits the lane's memory and the kernel's granules.
        unsafe { (self.kernels[variant])(&rows) };
        if self.format.row_scales() {
            let [scales, ..] = self.offsets();
            // SAFETY: there is a scale for every row, and a result.
            unsafe {
                let scales = self.lanes.start(lane).add(scales).cast::<f32>().add(part * rows.rows);
                for row in 0..rows.rows {
                    *rows.results.add(row) *= *scales.add(row);
                }
            }
        }
    }

    /// A lane's memory from one byte on, for some bytes.
    #[allow(clippy::mut_from_ref, reason = "each lane has its own memory, and uses one slice of it at a time")]
    fn slice(&self, lane: usize, start: usize, bytes: usize) -> &mut [u8] {
        // SAFETY: callers stay within the lane's memory, which nobody else uses.
        unsafe { std::slice::from_raw_parts_mut(self.lanes.start(lane).add(start), bytes) }
    }

    /// The scale of a row: a power of two, so that it rounds nothing.
    fn row_scale(&self, row: usize) -> f32 {
        if self.format.row_scales() { 1.0 / (1 << (4 + bits(Seed(901), row as u32) % 4)) as f32 } else { 1.0 }
    }
}

/// Bytes from one row to the next: a scale of the whole row lies apart.
fn stride(weights: DType, columns: u64) -> u64 {
    matrix_row_bytes(weights, columns) - if weights == DType::Int8 { 4 } else { 0 }
}

impl Program for Gemv {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn fill(&self, lane: usize) {
        let [scales, vector, ..] = self.offsets();
        (self.format.fill)(self.slice(lane, 0, self.stride * self.rows), self.columns, Seed(910 + lane as u32));
        for (row, scale) in self.slice(lane, scales, 4 * self.rows).chunks_exact_mut(4).enumerate() {
            scale.copy_from_slice(&self.row_scale(row).to_ne_bytes());
        }
        let bytes = self.columns * self.format.activations.format().bits as usize / 8;
        (self.format.fill_activations)(self.slice(lane, vector, bytes));
    }

    fn run(&self, variant: usize, lane: usize, iterations: u64) {
        let first = self.next[lane].load(Ordering::Relaxed);
        for iteration in 0..iterations {
            self.multiply(variant, lane, ((first + iteration) % self.parts as u64) as usize);
        }
        self.next[lane].store((first + iterations) % self.parts as u64, Ordering::Relaxed);
    }

    fn verify(&self, variant: usize, lane: usize) -> Result<(), String> {
        let [_, vector, _, results] = self.offsets();
        self.slice(lane, results, 4 * self.rows).fill(0xff);
        (0..self.parts).for_each(|part| self.multiply(variant, lane, part));
        let (start, format) = (self.lanes.start(lane).cast_const(), self.format);
        let mut period: Vec<(f64, f64)> = Vec::with_capacity(PERIOD);
        for (row, result) in self.slice(lane, results, 4 * self.rows).chunks_exact(4).enumerate() {
            if row < PERIOD {
                // SAFETY: the row and the vector lie within the lane's memory.
                let (weights, vector) = unsafe { (start.add(row * self.stride), start.add(vector)) };
                let products = (0..self.columns)
                    .map(|index| (format.weight)(weights, self.columns, index) * (format.activation)(vector, index));
                period.push(products.fold((0.0, 0.0), |(sum, size), product| (sum + product, size + product.abs())));
            }
            let scale = f64::from(self.row_scale(row));
            let (expected, size) = (period[row % PERIOD].0 * scale, period[row % PERIOD].1 * scale);
            let found = f64::from(f32::from_ne_bytes([result[0], result[1], result[2], result[3]]));
            // Far more than rounding adds up to, and far less than one product of thousands.
            if !near(found, expected, 4e-6 * size) {
                return Err(format!("row {row} is {found}, the reference says {expected}"));
            }
        }
        Ok(())
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::arena::Arena;

    fn gemv(format: &Format, arena: &mut Arena, sizes: Sizes) -> Gemv {
        let lanes = arena.lanes(2, Gemv::bytes(format.weights, sizes)).unwrap();
        let gemv = Gemv::new((format.weights, format.activations), sizes, lanes).unwrap();
        (0..2).for_each(|lane| gemv.fill(lane));
        gemv
    }

    #[test]
    fn every_kernel_of_this_machine_is_right() {
        let mut arena = Arena::default();
        for format in &FORMATS {
            // More rows than repeat.
            let gemv = gemv(format, &mut arena, Sizes { rows: 1032, columns: 768, parts: 3 });
            let every_isa = format.wide.iter().flat_map(|(_, compiled)| compiled.iter());
            let native =
                every_isa.chain(format.special.iter().copied().flatten()).filter(|kernel| (kernel.available)());
            for kernel in native {
                let one = Gemv {
                    kernels: vec![kernel.function],
                    names: vec![kernel.isa.to_owned()],
                    next: Vec::new(),
                    ..gemv_copy(&gemv)
                };
                for lane in 0..2 {
                    one.verify(0, lane).unwrap_or_else(|error| panic!("{} {}: {error}", format.weights, kernel.isa));
                }
            }
        }
    }

    fn gemv_copy(gemv: &Gemv) -> Gemv {
        Gemv {
            format: gemv.format,
            rows: gemv.rows,
            columns: gemv.columns,
            parts: gemv.parts,
            stride: gemv.stride,
            lanes: gemv.lanes.clone(),
            kernels: gemv.kernels.clone(),
            names: gemv.names.clone(),
            next: Vec::new(),
        }
    }

    #[test]
    fn a_changed_weight_is_found() {
        let mut arena = Arena::default();
        for format in &FORMATS {
            let gemv = gemv(format, &mut arena, Sizes { rows: 1024, columns: 512, parts: 1 });
            // The second appearance of a row: the reference is taken from the first.
            let at = (PERIOD + 3) * gemv.stride + 19;
            gemv.slice(0, at, 1)[0] ^= 0x80;
            assert!(gemv.verify(0, 0).is_err(), "{}", format.weights);
        }
    }
}
