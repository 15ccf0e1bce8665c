//! Arithmetic on integers of several words: the carry flag.

use super::Plain;
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::{Lanes, lanes_of};
use crate::text::{ParseError, Register, Source, Statement};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add,
    Sub,
    MadLow,
    MadHigh,
}

/// An addition, subtraction or multiply-add that reads the carry, writes it, or both.
#[derive(Debug)]
pub(super) struct Carry {
    op: Op,
    bits: u32,
    signed: bool,
    reads: bool,
    writes: bool,
    to: Register,
    from: [Source; 3],
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Carry, ParseError> {
    let reads = s.name.ends_with('c');
    let op = match s.name {
        "add" | "addc" => Op::Add,
        "sub" | "subc" => Op::Sub,
        _ => s.require("part of the product", &[("lo", Op::MadLow), ("hi", Op::MadHigh)])?,
    };
    let writes = s.flag("cc");
    let kind = s.kind()?;
    if !matches!(kind, Kind::U32 | Kind::S32 | Kind::B32 | Kind::U64 | Kind::S64 | Kind::B64) {
        return Err(s.error("the type does not go with the instruction"));
    }
    let to = s.register()?;
    let [a, b] = s.sources()?;
    let c = if matches!(op, Op::MadLow | Op::MadHigh) { s.source()? } else { Source::Immediate(0) };
    let (bits, signed) = (8 * kind.bytes(), kind.is_signed());
    Ok(Carry { op, bits, signed, reads, writes, to, from: [a, b, c] })
}

impl Carry {
    /// The result, and the carry or borrow that comes out.
    fn compute(&self, [a, b, c]: [u64; 3], carry: bool) -> (u64, bool) {
        let mask = u64::MAX >> (64 - self.bits);
        let (a, b, c) = (a & mask, b & mask, c & mask);
        if self.op == Op::Sub {
            let wide = i128::from(a) - i128::from(b) - i128::from(carry);
            return (wide as u64 & mask, wide < 0);
        }
        let extend = |x: u64| {
            let up = 64 - self.bits;
            if self.signed { i128::from((x << up) as i64 >> up) as u128 } else { u128::from(x) }
        };
        let addends = match self.op {
            Op::MadLow => (extend(a).wrapping_mul(extend(b)) as u64 & mask, c),
            Op::MadHigh => ((extend(a).wrapping_mul(extend(b)) >> self.bits) as u64 & mask, c),
            _ => (a, b),
        };
        let wide = u128::from(addends.0) + u128::from(addends.1) + u128::from(carry);
        (wide as u64 & mask, wide >> self.bits != 0)
    }
}

impl Plain for Carry {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let rows = [lanes.read(self.from[0])?, lanes.read(self.from[1])?, lanes.read(self.from[2])?];
        let before = if self.reads { lanes.warp.carry } else { 0 };
        let of_lane = |lane: usize| self.compute(rows.map(|row| row[lane]), before >> lane & 1 != 0);
        if self.writes {
            let mask = lanes.mask;
            let after = lanes_of(mask).fold(0, |after, lane| after | u32::from(of_lane(lane).1) << lane);
            lanes.warp.carry = lanes.warp.carry & !mask | after;
        }
        lanes.write(self.to, |lane| of_lane(lane).0);
        Ok(())
    }
}
