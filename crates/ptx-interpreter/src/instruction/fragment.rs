//! Fragments: the parts of matrices that the lanes of a warp hold in registers, and loading them.

use super::Collective;
use super::space::{StateSpace, addresses, resolve};
use crate::fault::{Cause, Problem, Space};
use crate::machine::{LANES, Lanes, Row};
use crate::memory::{Access, conflicts, slot_of};
use crate::text::{Address, ParseError, Register, Statement};

/// Lanes that hold a row of eight elements of a sum, or a column of factors.
const QUAD: usize = 4;
/// Rows or columns that a register of all lanes reaches over.
pub(super) const GROUP: usize = 8;

/// The place of an element of A, by rows, or of B, by columns: rows (columns) `GROUP` apart come first, then stretches of
/// the length that is summed over. A register holds `packed` elements.
pub(super) fn factor_at(lane: usize, register: usize, element: usize, groups: usize, packed: usize) -> (usize, usize) {
    let row = lane / QUAD + GROUP * (register % groups);
    (row, (register / groups * QUAD + lane % QUAD) * packed + element)
}

/// The row and the column of an element of a sum, of all those that a lane holds.
pub(super) const fn sum_at(lane: usize, element: usize) -> (usize, usize) {
    (lane / QUAD + GROUP * (element / 2), lane % QUAD * 2 + element % 2)
}

/// Every lane must take part.
pub(super) fn whole_warp(lanes: &Lanes<'_, '_>) -> Result<(), Problem> {
    let missing = !lanes.mask;
    if missing == 0 {
        return Ok(());
    }
    let cause = Cause::Membership { mask: u32::MAX, lanes: lanes.mask };
    Err(Problem::of_lane(lanes.mask.trailing_zeros() as usize, cause))
}

/// Bytes of a row of a matrix that is loaded.
const ROW_BYTES: u32 = 16;

/// `ldmatrix`: matrices of eight rows of eight 16-bit elements, the rows of each at addresses that eight lanes give.
#[derive(Debug)]
pub(super) struct Load {
    transposed: bool,
    space: StateSpace,
    to: Vec<Register>,
    from: Address,
}

pub(super) fn decode_load(s: &mut Statement<'_>) -> Result<Load, ParseError> {
    if !(s.flag("sync") && s.flag("aligned") && s.flag("m8n8") && s.flag("b16")) {
        return Err(s.error("only the form with `.sync.aligned.m8n8` and `.b16` is supported"));
    }
    let count = s.require("number of matrices", &[("x1", 1), ("x2", 2), ("x4", 4)])?;
    let transposed = s.flag("trans");
    let shared = s.flag("shared") || s.flag("shared::cta");
    let space = if shared { StateSpace::Shared } else { StateSpace::Generic };
    let to = s.registers()?;
    if to.len() != count {
        return Err(s.error("there must be a register for each matrix"));
    }
    Ok(Load { transposed, space, to, from: s.address()? })
}

impl Collective for Load {
    fn members(&self, _: &Lanes<'_, '_>) -> Result<Row, Problem> {
        Ok([u32::MAX.into(); LANES])
    }

    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        whole_warp(lanes)?;
        let addresses = addresses(lanes, self.from)?.map(|address| resolve(self.space, address));
        let rows = GROUP * self.to.len();
        let of_rows = u32::MAX >> (LANES - rows);
        let (parts, repeats) = conflicts(&addresses.map(|(_, address)| address), of_rows, ROW_BYTES);
        lanes.block.counters.shared_accesses += parts;
        lanes.block.counters.bank_conflicts += repeats;
        let mut matrices = [[0_u16; GROUP]; LANES];
        for (lane, row) in matrices.iter_mut().enumerate().take(rows) {
            *row = load_row(lanes, lane, addresses[lane]).map_err(|cause| Problem::of_lane(lane, cause))?;
        }
        for (matrix, register) in matrices.chunks(GROUP).zip(&self.to) {
            lanes.write(*register, |lane| {
                let (row, column) = (lane / QUAD, lane % QUAD * 2);
                let at = |column: usize| if self.transposed { matrix[column][row] } else { matrix[row][column] };
                u64::from(at(column)) | u64::from(at(column + 1)) << 16
            });
        }
        Ok(())
    }
}

fn load_row(lanes: &mut Lanes<'_, '_>, lane: usize, (space, address): (Space, u64)) -> Result<[u16; GROUP], Cause> {
    if space != Space::Shared {
        return Err(Cause::OutOfBounds { space: Space::Shared, address, bytes: ROW_BYTES, nearest: None });
    }
    let actor = lanes.actor(lane);
    if let Some(races) = &mut lanes.block.races {
        races.read(actor, address, ROW_BYTES, Access::Read)?;
    }
    let bytes = lanes.block.shared.load(address, ROW_BYTES)?;
    Ok(std::array::from_fn(|column| slot_of(&bytes[2 * column..][..2]) as u16))
}
