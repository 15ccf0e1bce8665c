//! Operators on rows of activations: softmax, RMSNorm, silu(gate) · up, rotary embedding, residual addition, embedding gather.
//!
//! Work per element of the result: one or two elements loaded, one stored, up to five FLOPs. Bound: the bandwidth of the level that holds the rows;
//! what is needed several times within a row stays in the first-level cache.

use std::sync::atomic::{AtomicU64, Ordering};

use half::bf16;

use super::Program;
use super::dot::wide::{Bf16, F32, Widen};
use super::element::{Element, PERIOD, fill_rows, near};
use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::isa::{Compiled, Vector, best, exp, for_every_isa};
use crate::backend::reference::rowwise::{self as reference, EPSILON};
use crate::backend::{BackendError, CycleLimit};
use crate::data::Seed;
use crate::dtype::DType;
use crate::resource::RowwiseOp;
use crate::workload::{HEADS, ROW};

const LENGTH: usize = ROW as usize;
const HEAD: usize = HEADS.dim as usize;
/// Bytes between arrays, so that they do not compete for the same cache sets.
const STAGGER: usize = 1344;

/// Some rows to work on. Arrays that an operator has no use for are those before them.
#[derive(Clone, Copy)]
struct Rows {
    /// Array 0 is read, and written where the operator works in place; of the others the last is written.
    arrays: [*mut u8; 3],
    rows: usize,
    /// The number of the first row: it decides about positions and, for a gather, the place.
    first: usize,
    /// Weights of a norm, or the table of angles: cosines, then sines.
    table: *const f32,
    /// For a gather: rows of the whole table, and from one place to the next.
    all: usize,
    jump: usize,
}

/// A format that results are rounded to.
trait Narrow: Widen {
    /// # Safety
    /// The vector's instruction set is available, and `WIDTH` elements can be written.
    unsafe fn store<V: Vector>(vector: V, to: *mut u8);
}

impl Narrow for F32 {
    #[inline(always)]
    unsafe fn store<V: Vector>(vector: V, to: *mut u8) {
        // SAFETY: the caller's.
        unsafe { vector.store_unaligned(to.cast()) }
    }
}

impl Narrow for Bf16 {
    #[inline(always)]
    unsafe fn store<V: Vector>(vector: V, to: *mut u8) {
        // SAFETY: the caller's.
        unsafe { vector.to_bf16(to.cast()) }
    }
}

/// One operator over some rows; `OP` is its number.
///
/// # Safety
/// The vector's instruction set is available; everything lies where `rows` says.
#[inline(always)]
unsafe fn operate<V: Vector, F: Narrow, const OP: u8>(rows: &Rows) {
    const SOFTMAX: u8 = RowwiseOp::Softmax as u8;
    const NORM: u8 = RowwiseOp::RmsNorm as u8;
    const SILU: u8 = RowwiseOp::SiluMul as u8;
    const ROPE: u8 = RowwiseOp::Rope as u8;
    const ADD: u8 = RowwiseOp::Add as u8;
    // SAFETY: the caller's.
    unsafe {
        for row in 0..rows.rows {
            let at = row * LENGTH * F::BYTES;
            let [x, y, z] = rows.arrays.map(|array| array.add(at));
            match OP {
                SOFTMAX => softmax::<V, F>(x),
                NORM => norm::<V, F>(x, y, rows.table),
                SILU => silu_mul::<V, F>(x, y, z),
                ROPE => rope::<V, F>(x, rows.table.add((rows.first + row) % PERIOD * HEAD)),
                ADD => add::<V, F>(x, y),
                _ => {
                    let place = (rows.first + row) * rows.jump % rows.all;
                    std::ptr::copy_nonoverlapping(rows.arrays[0].add(place * LENGTH * F::BYTES), y, LENGTH * F::BYTES);
                }
            }
        }
    }
}

/// # Safety
/// The vector's instruction set is available; a row can be read and written.
#[inline(always)]
unsafe fn softmax<V: Vector, F: Narrow>(x: *mut u8) {
    // SAFETY: the caller's.
    unsafe {
        let step = 4 * V::WIDTH;
        let mut largest = [V::splat(f32::NEG_INFINITY); 4];
        for at in (0..LENGTH).step_by(step) {
            for (vector, largest) in largest.iter_mut().enumerate() {
                *largest = largest.max(F::load(x.add((at + vector * V::WIDTH) * F::BYTES)));
            }
        }
        let largest = V::splat(largest[0].max(largest[1]).max(largest[2].max(largest[3])).largest());
        let mut sums = [V::splat(0.0); 4];
        for at in (0..LENGTH).step_by(step) {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let place = x.add((at + vector * V::WIDTH) * F::BYTES);
                let power = exp(F::load::<V>(place).sub(largest));
                *sum = sum.add(power);
                F::store(power, place);
            }
        }
        let factor = V::splat(1.0 / sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum());
        for at in (0..LENGTH).step_by(V::WIDTH) {
            let place = x.add(at * F::BYTES);
            F::store(F::load::<V>(place).mul(factor), place);
        }
    }
}

/// # Safety
/// The vector's instruction set is available; a row and the weights can be read, and a row be written.
#[inline(always)]
unsafe fn norm<V: Vector, F: Narrow>(x: *const u8, y: *mut u8, weights: *const f32) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [V::splat(0.0); 4];
        for at in (0..LENGTH).step_by(4 * V::WIDTH) {
            for (vector, sum) in sums.iter_mut().enumerate() {
                let x = F::load::<V>(x.add((at + vector * V::WIDTH) * F::BYTES));
                *sum = x.mul_add(x, *sum);
            }
        }
        let mean = sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum() / LENGTH as f32;
        let factor = V::splat(1.0 / (mean + EPSILON).sqrt());
        for at in (0..LENGTH).step_by(V::WIDTH) {
            let x = F::load::<V>(x.add(at * F::BYTES)).mul(factor);
            F::store(x.mul(V::load_unaligned(weights.add(at))), y.add(at * F::BYTES));
        }
    }
}

/// # Safety
/// The vector's instruction set is available; two rows can be read, and one be written.
#[inline(always)]
unsafe fn silu_mul<V: Vector, F: Narrow>(gate: *const u8, up: *const u8, y: *mut u8) {
    // SAFETY: the caller's.
    unsafe {
        let (zero, one) = (V::splat(0.0), V::splat(1.0));
        for at in (0..LENGTH).step_by(V::WIDTH) {
            let gate = F::load::<V>(gate.add(at * F::BYTES));
            let silu = gate.div(one.add(exp(zero.sub(gate))));
            F::store(silu.mul(F::load::<V>(up.add(at * F::BYTES))), y.add(at * F::BYTES));
        }
    }
}

/// The two halves of every head are turned against each other.
///
/// # Safety
/// The vector's instruction set is available; a row can be read and written, and the angles of a position be read.
#[inline(always)]
unsafe fn rope<V: Vector, F: Narrow>(x: *mut u8, angles: *const f32) {
    // SAFETY: the caller's.
    unsafe {
        for head in (0..LENGTH).step_by(HEAD) {
            for at in (0..HEAD / 2).step_by(V::WIDTH) {
                let (cosine, sine) = (V::load_unaligned(angles.add(at)), V::load_unaligned(angles.add(HEAD / 2 + at)));
                let (first, second) = (x.add((head + at) * F::BYTES), x.add((head + HEAD / 2 + at) * F::BYTES));
                let (a, b) = (F::load::<V>(first), F::load::<V>(second));
                F::store(a.mul(cosine).sub(b.mul(sine)), first);
                F::store(b.mul_add(cosine, a.mul(sine)), second);
            }
        }
    }
}

/// # Safety
/// The vector's instruction set is available; two rows can be read, and the first be written.
#[inline(always)]
unsafe fn add<V: Vector, F: Narrow>(x: *mut u8, y: *const u8) {
    // SAFETY: the caller's.
    unsafe {
        for at in (0..LENGTH).step_by(V::WIDTH) {
            let place = x.add(at * F::BYTES);
            F::store(F::load::<V>(place).add(F::load::<V>(y.add(at * F::BYTES))), place);
        }
    }
}

type Operate = unsafe fn(&Rows);

macro_rules! operators {
    ($format:ty) => {
        [
            // SAFETY, of all: the caller's; the kernel is compiled for the instruction set of `V`.
            // SAFETY: as above.
            for_every_isa!(fn(rows: &Rows) { unsafe { operate::<V, $format, { RowwiseOp::Softmax as u8 }>(rows) } }),
            // SAFETY: as above.
            for_every_isa!(fn(rows: &Rows) { unsafe { operate::<V, $format, { RowwiseOp::RmsNorm as u8 }>(rows) } }),
            // SAFETY: as above.
            for_every_isa!(fn(rows: &Rows) { unsafe { operate::<V, $format, { RowwiseOp::SiluMul as u8 }>(rows) } }),
            // SAFETY: as above.
            for_every_isa!(fn(rows: &Rows) { unsafe { operate::<V, $format, { RowwiseOp::Rope as u8 }>(rows) } }),
            // SAFETY: as above.
            for_every_isa!(fn(rows: &Rows) { unsafe { operate::<V, $format, { RowwiseOp::Add as u8 }>(rows) } }),
            // SAFETY: as above.
            for_every_isa!(fn(rows: &Rows) { unsafe { operate::<V, $format, { RowwiseOp::Gather as u8 }>(rows) } }),
        ]
    };
}

static F32_OPERATORS: [&[Compiled<Operate>]; RowwiseOp::ALL.len()] = operators!(F32);
static BF16_OPERATORS: [&[Compiled<Operate>]; RowwiseOp::ALL.len()] = operators!(Bf16);

/// What depends on the format of the elements.
struct Format {
    bytes: usize,
    operators: &'static [&'static [Compiled<Operate>]],
    fill: fn(&mut [u8], Seed),
    value: fn(&[u8], usize) -> f64,
    rounding: f64,
}

impl Format {
    const fn of<T: Element>(operators: &'static [&'static [Compiled<Operate>]]) -> Self {
        Self { bytes: size_of::<T>(), operators, fill: fill::<T>, value: value::<T>, rounding: T::ROUNDING }
    }
}

static F32_FORMAT: Format = Format::of::<f32>(&F32_OPERATORS);
static BF16_FORMAT: Format = Format::of::<bf16>(&BF16_OPERATORS);

fn fill<T: Element>(rows: &mut [u8], seed: Seed) {
    // SAFETY: the rows are aligned to 64 bytes and hold so many elements, of which every pattern of bits is one.
    let elements =
        unsafe { std::slice::from_raw_parts_mut(rows.as_mut_ptr().cast::<T>(), rows.len() / size_of::<T>()) };
    fill_rows(elements, LENGTH, seed);
}

fn value<T: Element>(row: &[u8], index: usize) -> f64 {
    // SAFETY: callers stay within the row.
    unsafe { row.as_ptr().cast::<T>().add(index).read_unaligned() }.value()
}

/// An operator on its lanes' memory: its arrays, then its table.
pub(in crate::backend::cpu) struct Rowwise {
    op: RowwiseOp,
    format: &'static Format,
    rows: usize,
    parts: usize,
    jump: usize,
    lanes: Lanes,
    operate: Operate,
    names: [String; 1],
    /// The part each lane comes to next.
    next: Vec<AtomicU64>,
}

impl Rowwise {
    /// Bytes a lane needs.
    pub(in crate::backend::cpu) fn bytes(op: RowwiseOp, dtype: DType, rows: u64) -> u64 {
        let array = rows * ROW * u64::from(dtype.format().bits / 8) + STAGGER as u64;
        op.arrays() * array + 4 * reference::table(op) as u64 + STAGGER as u64
    }

    pub(in crate::backend::cpu) fn new(
        (op, dtype): (RowwiseOp, DType),
        (rows, parts): (u64, u64),
        lanes: Lanes,
    ) -> Result<Self, BackendError> {
        let format = match dtype {
            DType::F32 => &F32_FORMAT,
            DType::Bf16 => &BF16_FORMAT,
            _ => return Err(BackendError::no_kernel(format!("there is no kernel for {op} of {dtype}"))),
        };
        if rows == 0 || parts == 0 || !rows.is_multiple_of(parts) {
            return Err(BackendError::unsupported(format!("{rows} rows are no multiple of {parts} parts")));
        }
        let compiled = format.operators.get(op as usize).and_then(|compiled| best(compiled));
        let Some(compiled) = compiled else {
            return Err(BackendError::no_kernel(format!("there is no kernel for {op}")));
        };
        Ok(Self {
            op,
            format,
            rows: rows as usize,
            parts: parts as usize,
            jump: reference::coprime_near_golden_section(rows as usize),
            next: (0..lanes.count()).map(|_| AtomicU64::new(0)).collect(),
            lanes,
            operate: compiled.function,
            names: [compiled.isa.to_owned()],
        })
    }

    /// Where an array begins, in bytes; behind the last, the table.
    fn offset(&self, array: usize) -> usize {
        array * (self.rows * LENGTH * self.format.bytes + STAGGER)
    }

    /// Arrays that are filled and read.
    fn inputs(&self) -> usize {
        self.op.elements_read() as usize
    }

    fn arrays(&self) -> usize {
        self.op.arrays() as usize
    }

    fn rows(&self, lane: usize, part: usize) -> Rows {
        let (start, rows) = (self.lanes.start(lane), self.rows / self.parts);
        let row_bytes = LENGTH * self.format.bytes;
        let last = self.arrays() - 1;
        // A gather takes rows from everywhere.
        let skipped =
            |array: usize| if self.op == RowwiseOp::Gather && array == 0 { 0 } else { part * rows * row_bytes };
        // SAFETY: arrays and table lie within the lane's memory.
        let place = |array: usize| unsafe { start.add(self.offset(array) + skipped(array)) };
        Rows {
            arrays: [place(0), place(last.min(1)), place(last)],
            rows,
            first: part * rows,
            // SAFETY: as above.
            table: unsafe { start.add(self.offset(self.arrays())).cast() },
            all: self.rows,
            jump: self.jump,
        }
    }

    fn operate(&self, lane: usize, part: usize) {
        // SAFETY: the kernel is available on this machine, and the part fits the lane's memory.
        unsafe { (self.operate)(&self.rows(lane, part)) }
    }

    fn fill_array(&self, lane: usize, array: usize) {
        (self.format.fill)(self.array(lane, array), Seed(950 + (2 * lane + array) as u32));
    }

    #[allow(clippy::mut_from_ref, reason = "each lane has its own memory, and uses one slice of it at a time")]
    fn array(&self, lane: usize, array: usize) -> &mut [u8] {
        // SAFETY: the array lies within the lane's memory, which nobody else uses.
        unsafe {
            let start = self.lanes.start(lane).add(self.offset(array));
            std::slice::from_raw_parts_mut(start, self.rows * LENGTH * self.format.bytes)
        }
    }
}

impl Program for Rowwise {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn fill(&self, lane: usize) {
        (0..self.inputs()).for_each(|array| self.fill_array(lane, array));
        // SAFETY: the table lies within the lane's memory.
        let table = unsafe {
            let start = self.lanes.start(lane).add(self.offset(self.arrays())).cast::<f32>();
            std::slice::from_raw_parts_mut(start, reference::table(self.op))
        };
        table.iter_mut().enumerate().for_each(|(index, entry)| *entry = reference::table_of(self.op, index));
    }

    fn run(&self, _: usize, lane: usize, iterations: u64) {
        let first = self.next[lane].load(Ordering::Relaxed);
        for iteration in 0..iterations {
            self.operate(lane, ((first + iteration) % self.parts as u64) as usize);
        }
        self.next[lane].store((first + iterations) % self.parts as u64, Ordering::Relaxed);
    }

    /// Rows repeat, and so do their results: those of the first period are compared with a reference, the others with those.
    fn verify(&self, _: usize, lane: usize) -> Result<(), String> {
        let row_bytes = LENGTH * self.format.bytes;
        let distinct = self.rows.min(PERIOD);
        let output = match self.op {
            RowwiseOp::Softmax | RowwiseOp::Rope | RowwiseOp::Add => 0,
            RowwiseOp::RmsNorm | RowwiseOp::Gather => 1,
            RowwiseOp::SiluMul => 2,
        };
        if output < self.inputs() {
            // An operator in place has changed its input.
            self.fill_array(lane, output);
        } else {
            self.array(lane, output).fill(0xff);
        }
        let inputs: Vec<Vec<u8>> =
            (0..self.inputs()).map(|array| self.array(lane, array)[..distinct * row_bytes].to_vec()).collect();
        (0..self.parts).for_each(|part| self.operate(lane, part));
        let results = self.array(lane, output);
        for row in 0..self.rows {
            let found = &results[row * row_bytes..][..row_bytes];
            let source = if self.op == RowwiseOp::Gather { row * self.jump % self.rows } else { row };
            if self.op == RowwiseOp::Gather {
                if *found != inputs[0][source % PERIOD * row_bytes..][..row_bytes] {
                    return Err(format!("row {row} is not row {source} of the table"));
                }
                continue;
            }
            if row >= PERIOD {
                if *found != results[row % PERIOD * row_bytes..][..row_bytes] {
                    return Err(format!("row {row} differs from row {}, of the same input", row % PERIOD));
                }
                continue;
            }
            let x = |array: usize, index: usize| (self.format.value)(&inputs[array][row * row_bytes..], index);
            let expected = reference::row(self.op, row, &x);
            for (index, expected) in expected.into_iter().enumerate() {
                let found = (self.format.value)(found, index);
                if !near(found, expected, reference::tolerance(self.op, self.format.rounding, expected)) {
                    return Err(format!("row {row}, element {index} is {found}, the reference says {expected}"));
                }
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

    #[test]
    fn every_operator_is_right_on_every_instruction_set() {
        let mut arena = Arena::default();
        for dtype in [DType::F32, DType::Bf16] {
            for &op in RowwiseOp::ALL {
                let lanes = arena.lanes(1, Rowwise::bytes(op, dtype, 520)).unwrap();
                let mut operator = Rowwise::new((op, dtype), (520, 4), lanes).unwrap();
                operator.fill(0);
                for compiled in operator.format.operators[op as usize].iter().filter(|compiled| (compiled.available)())
                {
                    operator.operate = compiled.function;
                    operator.verify(0, 0).unwrap_or_else(|error| panic!("{op} {dtype} {}: {error}", compiled.isa));
                }
            }
        }
    }

    #[test]
    fn every_row_is_gathered_once() {
        for rows in [1, 2, 6, 100, 509, 1024] {
            let jump = reference::coprime_near_golden_section(rows);
            let places: std::collections::BTreeSet<usize> = (0..rows).map(|row| row * jump % rows).collect();
            assert_eq!(places.len(), rows);
        }
    }
}
