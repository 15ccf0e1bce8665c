//! Products of small matrices, of which every lane of a warp holds a part (`mma.sync`).
//!
//! Neither the order in which matrix units add nor where they round is stated. Here a sum is that of the exact products
//! and of what was there, rounded once to the nearest; sums of f64 are chains of fused multiply-adds.

use super::Collective;
use super::fragment::{GROUP, factor_at, sum_at, whole_warp};
use super::sparse::Indices;
use crate::fault::Problem;
use crate::machine::{LANES, Lanes, Row};
use crate::number::{BF16, E4M3, E5M2, F16, Rounding, TF32, exact_sum};
use crate::text::{ParseError, Register, Source, Statement};

/// A format of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    Tf32,
    Bf16,
    F16,
    E5m2,
    E4m3,
    S32,
    S8,
    U8,
    S4,
    U4,
}

use Element::{Bf16, E4m3, E5m2, F16 as Half, F32, F64, S4, S8, S32, Tf32, U4, U8};

pub(super) const ELEMENTS: &[(&str, Element)] = &[
    ("f64", F64),
    ("f32", F32),
    ("tf32", Tf32),
    ("bf16", Bf16),
    ("f16", Half),
    ("e5m2", E5m2),
    ("e4m3", E4m3),
    ("s32", S32),
    ("s8", S8),
    ("u8", U8),
    ("s4", S4),
    ("u4", U4),
];

/// Rows of A, and the length that is summed over; B always has eight columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    rows: usize,
    depth: usize,
}

const fn shape(rows: usize, depth: usize) -> Shape {
    Shape { rows, depth }
}

const SHAPES: &[(&str, Shape)] = &[
    ("m8n8k4", shape(8, 4)),
    ("m8n8k16", shape(8, 16)),
    ("m8n8k32", shape(8, 32)),
    ("m16n8k4", shape(16, 4)),
    ("m16n8k8", shape(16, 8)),
    ("m16n8k16", shape(16, 16)),
    ("m16n8k32", shape(16, 32)),
    ("m16n8k64", shape(16, 64)),
];

const MOST_ROWS: usize = 16;
const MOST_DEPTH: usize = 64;

/// Rows and depths of products with a sparse A, by its format.
fn has_sparse_shape(element: Element, Shape { rows, depth }: Shape) -> bool {
    rows == 16
        && match element {
            Tf32 => matches!(depth, 8 | 16),
            Half | Bf16 => matches!(depth, 16 | 32),
            S8 | U8 => matches!(depth, 32 | 64),
            E4m3 | E5m2 => depth == 64,
            F64 | F32 | S32 | S4 | U4 => false,
        }
}

/// Rows and depths by the format of A. The other arrangement of m8n8k4, for f16 on Volta, is not among them.
fn has_shape(element: Element, Shape { rows, depth }: Shape) -> bool {
    match element {
        F64 => (rows, depth) == (8, 4) || rows == 16 && depth <= 16,
        Tf32 => rows == 16 && depth <= 8,
        Half | Bf16 => rows == 16 && matches!(depth, 8 | 16),
        E4m3 | E5m2 => rows == 16 && matches!(depth, 16 | 32),
        S8 | U8 => depth == 16 || rows == 16 && depth == 32,
        S4 | U4 => depth == 32 || rows == 16 && depth == 64,
        F32 | S32 => false,
    }
}

impl Element {
    pub(super) const fn bits(self) -> usize {
        match self {
            F64 => 64,
            F32 | Tf32 | S32 => 32,
            Bf16 | Half => 16,
            E5m2 | E4m3 | S8 | U8 => 8,
            S4 | U4 => 4,
        }
    }

    /// Elements in a register.
    pub(super) const fn packed(self) -> usize {
        if matches!(self, F64) { 1 } else { 32 / self.bits() }
    }

    /// Whether factors of these formats go together, and with what they are summed in.
    pub(super) const fn goes_with(self, other: Self, sum: Self) -> bool {
        match (self, other) {
            (F64, F64) => matches!(sum, F64),
            (Tf32, Tf32) | (Bf16, Bf16) => matches!(sum, F32),
            (Half, Half) | (E4m3 | E5m2, E4m3 | E5m2) => matches!(sum, F32 | Half),
            (S8 | U8, S8 | U8) | (S4 | U4, S4 | U4) => matches!(sum, S32),
            _ => false,
        }
    }

    /// The value of an element of a register.
    pub(super) fn value(self, slot: u64, index: usize) -> f64 {
        let bits = (slot >> (index * self.bits() % 64)) as u32;
        let float = |value: f32| f64::from(value);
        match self {
            F64 => f64::from_bits(slot),
            F32 => float(f32::from_bits(bits)),
            Tf32 => float(TF32.decode(bits)),
            Bf16 => float(BF16.decode(bits & 0xffff)),
            Half => float(F16.decode(bits & 0xffff)),
            E5m2 => float(E5M2.decode(bits & 0xff)),
            E4m3 => float(E4M3.decode(bits & 0xff)),
            S32 => f64::from(bits as i32),
            S8 => f64::from(bits as i8),
            U8 => f64::from(bits as u8),
            S4 => f64::from((bits << 28) as i32 >> 28),
            U4 => f64::from(bits & 15),
        }
    }

    /// The bits of a sum, rounded once.
    pub(super) fn rounded(self, value: f64, saturate: bool) -> u64 {
        match self {
            F64 => value.to_bits(),
            Half => F16.encode(value, Rounding::Nearest).into(),
            S32 if saturate => u64::from(value as i32 as u32),
            S32 => u64::from(value as i64 as u32),
            _ if value.is_nan() => 0x7fff_ffff,
            _ => u64::from((value as f32).to_bits()),
        }
    }
}

/// D = A · B + C.
#[derive(Debug)]
pub(super) struct MultiplyAdd {
    shape: Shape,
    a: (Element, Vec<Source>),
    b: (Element, Vec<Source>),
    c: (Element, Vec<Source>),
    d: Vec<Register>,
    /// Where the elements of A belong, if it is sparse.
    indices: Option<Indices>,
    /// Whether integer sums stay within bounds.
    saturate: bool,
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<MultiplyAdd, ParseError> {
    if !(s.flag("sync") && s.flag("aligned") && s.flag("row") && s.flag("col")) {
        return Err(s.error("only the form with `.sync.aligned` and `.row.col` is supported"));
    }
    let shape = s.require("shape", SHAPES)?;
    let saturate = s.flag("satfinite");
    let ordered = s.flag("sp::ordered_metadata");
    let is_sparse = ordered || s.flag("sp");
    let [to, a, b, c] = [(); 4].map(|()| s.require("format", ELEMENTS));
    let (to, a, b, c) = (to?, a?, b?, c?);
    if to != c
        || !(if is_sparse { has_sparse_shape } else { has_shape })(a, shape)
        || !a.goes_with(b, c)
        || saturate && c != S32
    {
        return Err(s.error("the formats do not go with one another, or not with the shape"));
    }
    let d = s.registers()?;
    let (of_a, of_b, of_c) = (s.values()?, s.values()?, s.values()?);
    let registers = |elements: usize, element: Element| elements / LANES / element.packed();
    let sums = registers(shape.rows * GROUP, c);
    let held = if is_sparse { shape.depth / 2 } else { shape.depth };
    let expected = [registers(shape.rows * held, a), registers(GROUP * shape.depth, b), sums, sums];
    if [of_a.len(), of_b.len(), of_c.len(), d.len()] != expected {
        return Err(s.error("the registers are not as many as the shape needs"));
    }
    let indices = if is_sparse { Some(Indices::decode(s, a, shape.depth, ordered)?) } else { None };
    Ok(MultiplyAdd { shape, a: (a, of_a), b: (b, of_b), c: (c, of_c), d, indices, saturate })
}

/// A factor, by rows of A or columns of B.
type Factor = [[f64; MOST_DEPTH]; MOST_ROWS];

fn factor(
    lanes: &Lanes<'_, '_>,
    (element, sources): &(Element, Vec<Source>),
    groups: usize,
) -> Result<Factor, Problem> {
    let mut values = [[0.0; MOST_DEPTH]; MOST_ROWS];
    for (register, source) in sources.iter().enumerate() {
        let row = lanes.read(*source)?;
        for (lane, slot) in row.into_iter().enumerate() {
            for index in 0..element.packed() {
                let (at, depth) = factor_at(lane, register, index, groups, element.packed());
                values[at][depth] = element.value(slot, index);
            }
        }
    }
    Ok(values)
}

impl Collective for MultiplyAdd {
    fn members(&self, _: &Lanes<'_, '_>) -> Result<Row, Problem> {
        Ok([u32::MAX.into(); LANES])
    }

    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        whole_warp(lanes)?;
        let Shape { rows, depth } = self.shape;
        lanes.block.counters.operations.matrix += 2 * (rows * GROUP * depth) as u64;
        let (mut a, b) = (factor(lanes, &self.a, rows / GROUP)?, factor(lanes, &self.b, 1)?);
        if let Some(indices) = &self.indices {
            indices.spread(&indices.read(lanes)?, &mut a)?;
        }
        let (element, sources) = &self.c;
        let packed = element.packed();
        let before = sources.iter().map(|source| lanes.read(*source)).collect::<Result<Vec<_>, _>>()?;
        for (index, register) in self.d.iter().enumerate() {
            lanes.write(*register, |lane| {
                (0..packed).fold(0, |slot, part| {
                    let (row, column) = sum_at(lane, index * packed + part);
                    let first = element.value(before[index][lane], part);
                    let pairs = a[row][..depth].iter().zip(&b[column][..depth]);
                    let sum = match element {
                        F64 => pairs.fold(first, |sum, (a, b)| a.mul_add(*b, sum)),
                        _ => exact_sum(first, pairs.map(|(a, b)| a * b)),
                    };
                    slot | element.rounded(sum, self.saturate) << (part * element.bits() % 64)
                })
            });
        }
        Ok(())
    }
}
