//! Products of matrices in shared memory, of which each of four warps makes a quarter (`wgmma`).
//!
//! Each warp goes on by itself here, and its quarter may come at once or as late as it is waited for. Until then sums have
//! no value and must not be written, and rows that are multiplied must stay. Registers and shared memory that were written
//! in the usual way take their fences. What is not looked after: that the four warps come to the same instruction.

use std::sync::Arc;

use super::fragment::{GROUP, whole_warp};
use super::matrix::{ELEMENTS, Element};
use super::sparse::Indices;
use super::{Collective, Operation, collective};
use crate::fault::{Cause, Problem};
use crate::machine::{LANES, Lanes, Pending, Row, lanes_of};
use crate::memory::{Access, slot_of};
use crate::number::exact_sum;
use crate::text::{ParseError, Register, Source, Statement};

/// Rows of A that a warp multiplies, and bytes of a row at a time; of sparse products, B has twice as many.
const ROWS: usize = 16;
const DEPTH_BYTES: usize = 32;
/// The most columns, and the most elements of a row at a time.
const MOST_COLUMNS: usize = 256;
const MOST_DEPTH: usize = 2 * DEPTH_BYTES;
/// Bytes of eight rows.
const PATTERN_BYTES: u64 = 1024;
/// Warps that make a product together.
const WARPS: u32 = 4;

/// Formats, columns and registers of a product.
#[derive(Debug)]
pub(crate) struct Product {
    factors: [Element; 2],
    /// The format of the sums, and their registers.
    sum: Element,
    pub(crate) sums: Vec<Register>,
    columns: usize,
    /// Elements of a row at a time, and where those of A belong that are not zero, if it is sparse.
    depth: usize,
    indices: Option<Indices>,
    /// Whether factors are taken with the other sign.
    negated: bool,
}

/// What goes by the name of `wgmma`.
#[derive(Debug)]
enum Warpgroup {
    Start { product: Arc<Product>, factors: [Source; 2], adds: (Source, bool) },
    Commit,
    Wait { left: usize },
    Fence,
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Operation, ParseError> {
    collective(s, decode_part)
}

fn decode_part(s: &mut Statement<'_>) -> Result<Warpgroup, ParseError> {
    let parts = [("fence", 0), ("commit_group", 1), ("wait_group", 2), ("mma_async", 3)];
    let part = s.require("part", &parts)?;
    if !(s.flag("sync") && s.flag("aligned")) {
        return Err(s.error("only the form with `.sync.aligned` is supported"));
    }
    match part {
        0 => Ok(Warpgroup::Fence),
        1 => Ok(Warpgroup::Commit),
        2 => Ok(Warpgroup::Wait { left: s.constant()? as usize }),
        _ => decode_start(s),
    }
}

fn decode_start(s: &mut Statement<'_>) -> Result<Warpgroup, ParseError> {
    let names: Vec<(String, (usize, usize))> = (1..=MOST_COLUMNS / GROUP)
        .flat_map(|groups| [8, 16, 32, 64].map(|depth| (GROUP * groups, depth)))
        .map(|(columns, depth)| (format!("m64n{columns}k{depth}"), (columns, depth)))
        .collect();
    let shapes: Vec<(&str, (usize, usize))> = names.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
    let (columns, depth) = s.require("shape", &shapes)?;
    let [sum, a, b] = [(); 3].map(|()| s.require("format", ELEMENTS));
    let (sum, a, b) = (sum?, a?, b?);
    let is_sparse = s.flag("sp");
    let bytes = if is_sparse { 2 * DEPTH_BYTES } else { DEPTH_BYTES };
    if !a.goes_with(b, sum) || depth * a.bits() != 8 * bytes {
        return Err(s.error("the formats do not go with one another, or not with the shape"));
    }
    let sums = s.registers()?;
    if sums.len() != ROWS * columns / LANES / sum.packed() {
        return Err(s.error("the registers are not as many as the shape needs"));
    }
    let factors = s.sources()?;
    let indices = if is_sparse { Some(Indices::decode(s, a, depth, false)?) } else { None };
    let adds = s.predicate()?;
    let mut negated = false;
    if s.operands_left() > 0 {
        for _ in 0..2 {
            negated ^= match s.constant()? as i32 {
                1 => false,
                -1 => true,
                _ => return Err(s.error("a scale is 1 or -1")),
            };
        }
    }
    while s.operands_left() > 0 {
        if s.constant()? != 0 {
            return Err(s.error("transposed factors are not supported"));
        }
    }
    let product = Product { factors: [a, b], sum, sums, columns, depth, indices, negated };
    Ok(Warpgroup::Start { product: Arc::new(product), factors, adds })
}

impl Collective for Warpgroup {
    fn members(&self, _: &Lanes<'_, '_>) -> Result<Row, Problem> {
        Ok([u32::MAX.into(); LANES])
    }

    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        whole_warp(lanes)?;
        match self {
            Self::Fence => {
                lanes.warp.order();
                Ok(())
            }
            Self::Commit => {
                lanes.warp.products.commit();
                Ok(())
            }
            Self::Wait { left } => {
                let pending = lanes.warp.products.wait(*left);
                for pending in &pending {
                    if !pending.is_done {
                        finish(lanes, pending)?;
                    }
                }
                for pending in &pending {
                    pending.product.sums.iter().for_each(|register| lanes.warp.release(*register));
                    lanes.block.proxy.release(pending.ticket);
                }
                Ok(())
            }
            Self::Start { product, factors, adds } => start(lanes, product, *factors, *adds),
        }
    }
}

fn start(
    lanes: &mut Lanes<'_, '_>,
    product: &Arc<Product>,
    factors: [Source; 2],
    adds: (Source, bool),
) -> Result<(), Problem> {
    let uniform = |row: Row| match row.iter().all(|value| *value == row[0]) {
        true => Ok(row[0]),
        false => Err(refused("lanes of a warp name different places")),
    };
    let factors = [uniform(lanes.read(factors[0])?)?, uniform(lanes.read(factors[1])?)?];
    let adds = match lanes.predicate(adds.0, adds.1)? {
        0 => false,
        u32::MAX => true,
        _ => return Err(refused("lanes of a warp do not agree whether to add")),
    };
    for register in &product.sums {
        let unset = !lanes.warp.set_lanes(*register);
        if adds && unset != 0 && !lanes.warp.is_held(*register) {
            return Err(Problem::unset(*register, unset));
        }
        if lanes.warp.is_unordered(*register) {
            return Err(Problem::unordered(*register));
        }
    }
    product.sums.iter().for_each(|register| lanes.warp.hold(*register));
    let ticket = lanes.block.proxy.ticket();
    for (descriptor, rows) in factors.into_iter().zip([own_rows(lanes), 0..product.columns]) {
        let place = Place::read(descriptor)?;
        // Rows are in use as a whole, also what of them is not multiplied; where they follow one another, all at once.
        let groups = rows.start / GROUP..rows.end / GROUP;
        let at_once = if place.stride == PATTERN_BYTES { groups.len() } else { 1 };
        for group in groups.step_by(at_once) {
            let bytes = at_once as u64 * PATTERN_BYTES;
            lanes.block.proxy.occupy(ticket, place.rows(group), bytes, "a product of matrices");
        }
    }
    let indices = product.indices.as_ref().map(|indices| indices.read(lanes)).transpose()?;
    let mut pending = Pending { product: Arc::clone(product), factors, indices, adds, is_done: false, ticket };
    let early = lanes.block.launch.is_preemptive() && lanes.block.random.below(2) == 0;
    if early && lanes.warp.products.are_done() {
        finish(lanes, &pending)?;
        pending.is_done = true;
    }
    lanes.warp.products.start(pending);
    Ok(())
}

fn refused(reason: &str) -> Problem {
    Problem::of_block(Cause::Launch { reason: reason.to_owned() })
}

/// Where a matrix lies: rows of 128 bytes, eight of them in a row, whose vectors of 16 bytes are exchanged by the number of
/// their row.
struct Place {
    start: u64,
    /// From eight rows to the next.
    stride: u64,
}

impl Place {
    fn read(descriptor: u64) -> Result<Self, Problem> {
        if descriptor >> 62 != 1 || descriptor >> 49 & 7 != 0 {
            return Err(refused("only matrices exchanged by 128 bytes, from the start of a pattern, are supported"));
        }
        Ok(Self { start: (descriptor & 0x3fff) << 4, stride: (descriptor >> 32 & 0x3fff) << 4 })
    }

    /// The address of eight rows.
    fn rows(&self, group: usize) -> u64 {
        (self.start + group as u64 * self.stride) & !(PATTERN_BYTES - 1)
    }

    /// The address of a vector of a row.
    fn vector(&self, row: usize, vector: usize) -> u64 {
        let (group, within) = (row / GROUP, row % GROUP);
        let straight = self.start + group as u64 * self.stride + 128 * within as u64 + 16 * vector as u64;
        straight ^ (straight >> 7 & 7) << 4
    }
}

/// The rows of A that are a warp's.
fn own_rows(lanes: &Lanes<'_, '_>) -> std::ops::Range<usize> {
    let first = ROWS * (lanes.warp.index % WARPS) as usize;
    first..first + ROWS
}

/// So many bytes of the rows of a factor, from its first row on.
fn factor(
    lanes: &mut Lanes<'_, '_>,
    element: Element,
    (descriptor, bytes): (u64, usize),
    rows: std::ops::Range<usize>,
) -> Result<Vec<[f64; MOST_DEPTH]>, Problem> {
    let place = Place::read(descriptor)?;
    let mut values = vec![[0.0; MOST_DEPTH]; rows.len()];
    for (row, values) in rows.zip(&mut values) {
        let lane = row % LANES;
        let actor = lanes.actor(lane);
        for vector in 0..bytes / 16 {
            let address = place.vector(row, vector);
            let read = lanes.block.proxy.read(actor.thread, address, 16);
            read.map_err(|cause| Problem::of_lane(lane, cause))?;
            if let Some(races) = &mut lanes.block.races {
                races.read(actor, address, 16, Access::Read).map_err(|cause| Problem::of_lane(lane, cause))?;
            }
            let bytes = lanes.block.shared.load(address, 16).map_err(|cause| Problem::of_lane(lane, cause))?;
            let of_word = element.packed();
            for (index, word) in bytes.chunks_exact(4).enumerate() {
                for part in 0..of_word {
                    values[(4 * vector + index) * of_word + part] = element.value(slot_of(word), part);
                }
            }
        }
    }
    Ok(values)
}

/// Computes a warp's quarter of a product.
fn finish(lanes: &mut Lanes<'_, '_>, pending: &Pending) -> Result<(), Problem> {
    let Pending { product, factors, adds, .. } = pending;
    let Product { factors: [a_element, b_element], sum, sums, columns, depth, negated, .. } = &**product;
    let mut a = factor(lanes, *a_element, (factors[0], DEPTH_BYTES), own_rows(lanes))?;
    let b = factor(lanes, *b_element, (factors[1], depth * b_element.bits() / 8), 0..*columns)?;
    if let Some((places, indices)) = product.indices.as_ref().zip(pending.indices) {
        places.spread(&indices, &mut a)?;
    }
    lanes.block.counters.operations.matrix += 2 * (ROWS * columns * depth) as u64;
    let sign = if *negated { -1.0 } else { 1.0 };
    let packed = sum.packed();
    for (index, register) in sums.iter().enumerate() {
        for lane in lanes_of(u32::MAX) {
            let before = lanes.warp.row(*register)[lane];
            let value = (0..packed).fold(0, |slot, part| {
                let element = index * packed + part;
                let row = lane / 4 + GROUP * (element / 2 % 2);
                let column = element / 4 * GROUP + lane % 4 * 2 + element % 2;
                let first = if *adds { sum.value(before, part) } else { 0.0 };
                let pairs = a[row][..*depth].iter().zip(&b[column][..*depth]);
                let total = exact_sum(first, pairs.map(|(a, b)| sign * a * b));
                slot | sum.rounded(total, false) << (part * sum.bits() % 64)
            });
            lanes.warp.row_mut(*register)[lane] = value;
        }
    }
    lanes.block.events += 1;
    Ok(())
}
