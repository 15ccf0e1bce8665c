//! Dot products of packed integers.

use super::Plain;
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::Lanes;
use crate::text::{ParseError, Register, Source, Statement};

/// `dp4a`: four products of bytes and a sum. `dp2a`: two products of 16-bit values with bytes.
#[derive(Debug)]
pub(super) struct Dot {
    a_signed: bool,
    b_signed: bool,
    /// For `dp2a`, which two bytes of the second operand.
    half: Option<u32>,
    to: Register,
    from: [Source; 3],
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Dot, ParseError> {
    let half = if s.name == "dp2a" { Some(s.require("half", &[("lo", 0), ("hi", 2)])?) } else { None };
    let kinds = [s.kind()?, s.kind()?];
    if kinds.iter().any(|kind| !matches!(kind, Kind::U32 | Kind::S32)) {
        return Err(s.error("the type does not go with the instruction"));
    }
    let [a_signed, b_signed] = kinds.map(Kind::is_signed);
    Ok(Dot { a_signed, b_signed, half, to: s.register()?, from: s.sources()? })
}

/// A value of some bytes within a word.
fn part(word: u32, index: u32, bits: u32, signed: bool) -> i32 {
    let value = word >> (index * bits) << (32 - bits);
    if signed { value as i32 >> (32 - bits) } else { (value >> (32 - bits)) as i32 }
}

impl Plain for Dot {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let &Self { a_signed, b_signed, half, to, from } = self;
        lanes.block.counters.operations.integer_dot += lanes.count() * if half.is_some() { 4 } else { 8 };
        match half {
            None => lanes.map3(to, from, |a: u32, b: u32, c: u32| {
                let product = |i| part(a, i, 8, a_signed).wrapping_mul(part(b, i, 8, b_signed));
                (0..4).fold(c, |sum, i| sum.wrapping_add(product(i) as u32))
            }),
            Some(first) => lanes.map3(to, from, |a: u32, b: u32, c: u32| {
                let product = |i| part(a, i, 16, a_signed).wrapping_mul(part(b, first + i, 8, b_signed));
                (0..2).fold(c, |sum, i| sum.wrapping_add(product(i) as u32))
            }),
        }
    }
}
