//! Factors without their zeros (`mma.sp`, `wgmma.mma_async.sp`), and the indices that say where their elements belong.
//!
//! A row falls into groups of four places, of which two are held; where elements have 32 bits, of two places, of which one
//! is. A group has 4 bits of indices, a register of a lane those of eight groups. Which lanes of the four that hold a row
//! have them is said by a selector, because not all of them are needed. What an index that names no place would do is not
//! stated: it is a fault.

use super::fragment::GROUP;
use super::matrix::Element;
use crate::fault::{Cause, Problem};
use crate::machine::{Lanes, Row};
use crate::text::{ParseError, Source, Statement};

/// Lanes that hold a row.
const QUAD: usize = 4;
/// Groups whose indices a register has.
const GROUPS: usize = 8;

/// Where a factor of 16 rows has its elements.
#[derive(Debug)]
pub(super) struct Indices {
    source: Source,
    selector: usize,
    /// Whether they must be in ascending order.
    ordered: bool,
    /// Bits of an element.
    bits: usize,
    /// Groups of a row.
    groups: usize,
}

impl Indices {
    /// The next operands, of a factor whose rows have so many places.
    pub(super) fn decode(
        s: &mut Statement<'_>,
        element: Element,
        depth: usize,
        ordered: bool,
    ) -> Result<Self, ParseError> {
        let source = s.source()?;
        let selector = s.constant()? as usize;
        let indices = Self { source, selector, ordered, bits: element.bits(), groups: 0 };
        let groups = depth / indices.places();
        let indices = Self { groups, ..indices };
        if selector >= QUAD / indices.lanes() {
            return Err(s.error("the selector names no lanes"));
        }
        Ok(indices)
    }

    /// What the lanes of a warp have of them.
    pub(super) fn read(&self, lanes: &Lanes<'_, '_>) -> Result<Row, Problem> {
        lanes.read(self.source)
    }

    /// Places of a group, and elements that are held of it.
    const fn places(&self) -> usize {
        if self.bits == 32 { 2 } else { 4 }
    }

    /// Lanes of four that have the indices of a row.
    const fn lanes(&self) -> usize {
        2 * self.groups / GROUPS
    }

    /// The lane that has a group's indices, and their place in its register.
    const fn at(&self, row: usize, group: usize) -> (usize, usize) {
        let first = QUAD * (row % GROUP) + self.selector * self.lanes();
        if self.bits == 8 {
            // A lane has one row.
            (first + row / GROUP + 2 * (group / GROUPS), group % GROUPS)
        } else {
            // A lane has half of the groups of two rows.
            let half = GROUPS / 2;
            (first + group / half, row / GROUP * half + group % half)
        }
    }

    /// Moves the elements of each row to their places.
    pub(super) fn spread<const N: usize>(&self, indices: &Row, rows: &mut [[f64; N]]) -> Result<(), Problem> {
        let (places, held) = (self.places(), self.places() / 2);
        for (row, values) in rows.iter_mut().enumerate() {
            let elements = std::mem::replace(values, [0.0; N]);
            for group in 0..self.groups {
                let (lane, nibble) = self.at(row, group);
                let bits = (indices[lane] >> (4 * nibble) & 15) as u8;
                let found = self.named(bits).ok_or_else(|| Problem::of_lane(lane, Cause::Indices { bits }))?;
                for (index, place) in found.into_iter().take(held).enumerate() {
                    values[group * places + place] = elements[group * held + index];
                }
            }
        }
        Ok(())
    }

    /// The places that a group's indices name, of which the second counts where two are held.
    const fn named(&self, bits: u8) -> Option<[usize; 2]> {
        let (first, second) = ((bits & 3) as usize, (bits >> 2) as usize);
        match (self.bits, bits) {
            (32, 0b0100) => Some([0, 0]),
            (32, 0b1110) => Some([1, 0]),
            (32, _) => None,
            _ if first == second || self.ordered && first > second => None,
            _ => Some([first, second]),
        }
    }
}
