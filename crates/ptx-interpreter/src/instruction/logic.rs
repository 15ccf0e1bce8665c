//! Bits: logic, shifts, fields, counts, permutations.

use super::Plain;
use super::integer::for_integer;
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::Lanes;
use crate::text::{ParseError, Register, Source, Statement};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    And,
    Or,
    Xor,
    Not,
    Cnot,
    Shl,
    Shr,
    Funnel { left: bool, wrap: bool },
    Lop3,
    Permute(Permute),
    Extract,
    Insert,
    Count,
    LeadingZeros,
    FindLeading { as_shift: bool },
    Reverse,
    SignExtend { clamp: bool },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permute {
    Index,
    Forward4,
    Backward4,
    Replicate8,
    EdgeLeft,
    EdgeRight,
    Replicate16,
}

const PERMUTES: &[(&str, Permute)] = &[
    ("f4e", Permute::Forward4),
    ("b4e", Permute::Backward4),
    ("rc8", Permute::Replicate8),
    ("ecl", Permute::EdgeLeft),
    ("ecr", Permute::EdgeRight),
    ("rc16", Permute::Replicate16),
];

#[derive(Debug)]
pub(super) struct Logic {
    op: Op,
    kind: Kind,
    to: Register,
    from: [Source; 4],
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Logic, ParseError> {
    let (op, operands) = match s.name {
        "and" => (Op::And, 2),
        "or" => (Op::Or, 2),
        "xor" => (Op::Xor, 2),
        "not" => (Op::Not, 1),
        "cnot" => (Op::Cnot, 1),
        "shl" => (Op::Shl, 2),
        "shr" => (Op::Shr, 2),
        "shf" => {
            let left = s.require("direction", &[("l", true), ("r", false)])?;
            (Op::Funnel { left, wrap: s.require("mode", &[("wrap", true), ("clamp", false)])? }, 3)
        }
        "lop3" => (Op::Lop3, 4),
        "bfe" => (Op::Extract, 3),
        "bfi" => (Op::Insert, 4),
        "popc" => (Op::Count, 1),
        "clz" => (Op::LeadingZeros, 1),
        "bfind" => (Op::FindLeading { as_shift: s.flag("shiftamt") }, 1),
        "brev" => (Op::Reverse, 1),
        "szext" => (Op::SignExtend { clamp: s.require("mode", &[("clamp", true), ("wrap", false)])? }, 2),
        // Only `prmt` is left; its mode may stand behind the type.
        _ => (Op::Permute(s.choose(PERMUTES).unwrap_or(Permute::Index)), 3),
    };
    let kind = s.kind()?;
    let is_logic = matches!(op, Op::And | Op::Or | Op::Xor | Op::Not);
    if !(kind.is_integer() && kind.bytes() >= 2 || kind == Kind::Pred && is_logic) {
        return Err(s.error("the type does not go with the instruction"));
    }
    let to = s.register()?;
    let mut from = [Source::Immediate(0); 4];
    for source in &mut from[..operands] {
        *source = s.source()?;
    }
    Ok(Logic { op, kind, to, from })
}

impl Plain for Logic {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let Self { op, kind, to, from } = *self;
        let [a, b, c, _] = from;
        let ones = if kind == Kind::Pred { 1 } else { u64::MAX >> (64 - 8 * kind.bytes()) };
        match op {
            Op::And => lanes.map2(to, [a, b], |a: u64, b: u64| a & b & ones),
            Op::Or => lanes.map2(to, [a, b], |a: u64, b: u64| (a | b) & ones),
            Op::Xor => lanes.map2(to, [a, b], |a: u64, b: u64| (a ^ b) & ones),
            Op::Not => lanes.map(to, a, |a: u64| !a & ones),
            Op::Cnot => lanes.map(to, a, |a: u64| u64::from(a & ones == 0)),
            Op::Shl => for_integer!(kind, T, W => lanes.map2(to, [a, b], |a: T, by: u32| {
                if by < T::BITS { a << by } else { 0 }
            })),
            Op::Shr => for_integer!(kind, T, W => lanes.map2(to, [a, b], |a: T, by: u32| {
                // A shift to the right fills with the sign, by however many places.
                if by < T::BITS { a >> by } else if T::MIN != 0 { a >> (T::BITS - 1) } else { 0 }
            })),
            Op::Funnel { left, wrap } => lanes.map3(to, [a, b, c], |low: u32, high: u32, by: u32| {
                let by = if wrap { by & 31 } else { by.min(32) };
                let both = u64::from(high) << 32 | u64::from(low);
                if left { (both << by >> 32) as u32 } else { (both >> by) as u32 }
            }),
            Op::Lop3 => self.lop3(lanes),
            Op::Permute(mode) => lanes.map3(to, [a, b, c], |a: u32, b: u32, c: u32| permute(mode, a, b, c)),
            Op::Extract => lanes.map3(to, [a, b, c], |a: u64, position: u32, length: u32| {
                extract(a & ones, position & 0xff, length & 0xff, kind) & ones
            }),
            Op::Insert => self.insert(lanes),
            Op::Count => lanes.map(to, a, |a: u64| (a & ones).count_ones()),
            Op::LeadingZeros => lanes.map(to, a, |a: u64| (a & ones).leading_zeros() - ones.leading_zeros()),
            Op::FindLeading { as_shift } => for_integer!(kind, T, W => lanes.map(to, a, |a: T| {
                // The highest bit that differs from the sign.
                let differing = if T::MIN != 0 && a >> (T::BITS - 1) != 0 { !a } else { a };
                match differing.leading_zeros() {
                    T::BITS => u32::MAX,
                    zeros if as_shift => zeros,
                    zeros => T::BITS - 1 - zeros,
                }
            })),
            Op::Reverse => lanes.map(to, a, |a: u64| a.reverse_bits() >> ones.leading_zeros()),
            Op::SignExtend { clamp } => lanes.map2(to, [a, b], |a: u32, bits: u32| {
                let bits = if clamp { bits.min(32) } else { bits & 31 };
                match 32 - bits {
                    0 => a,
                    32 => 0,
                    up if kind.is_signed() => ((a << up) as i32 >> up) as u32,
                    up => a << up >> up,
                }
            }),
        }
    }
}

impl Logic {
    /// Any function of three bits, as the table of its eight results.
    fn lop3(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let table = lanes.read(self.from[3])?[0] as u32;
        let of = |a: u32, b: u32, c: u32| {
            let term = |row: u32| {
                let pick = |x: u32, bit: u32| if row >> bit & 1 != 0 { x } else { !x };
                if table >> row & 1 != 0 { pick(a, 2) & pick(b, 1) & pick(c, 0) } else { 0 }
            };
            (0..8).fold(0, |result, row| result | term(row))
        };
        lanes.map3(self.to, [self.from[0], self.from[1], self.from[2]], of)
    }

    fn insert(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let length = lanes.read(self.from[3])?;
        let [field, base, position] = [lanes.read(self.from[0])?, lanes.read(self.from[1])?, lanes.read(self.from[2])?];
        let bits = 8 * self.kind.bytes();
        let ones = u64::MAX >> (64 - bits);
        lanes.write(self.to, |lane| {
            let (position, length) = (position[lane] as u32 & 0xff, length[lane] as u32 & 0xff);
            if length == 0 || position >= bits {
                return base[lane] & ones;
            }
            let mask = (u64::MAX >> (64 - length.min(bits))) << position;
            (base[lane] & !mask | field[lane] << position & mask) & ones
        });
        Ok(())
    }
}

/// A field of bits, filled with its sign, which is the value's highest bit where the field reaches beyond it.
fn extract(value: u64, position: u32, length: u32, kind: Kind) -> u64 {
    let last = 8 * kind.bytes() - 1;
    let signed = kind.is_signed() && length > 0;
    let sign = if signed { value >> (position + length - 1).min(last) & 1 } else { 0 };
    let fill = if sign != 0 { u64::MAX } else { 0 };
    let field = if position > last { 0 } else { value >> position };
    let available = (last + 1).saturating_sub(position).min(length);
    let mask = if available == 0 { 0 } else { u64::MAX >> (64 - available) };
    field & mask | fill & !mask
}

/// Four bytes of eight.
fn permute(mode: Permute, a: u32, b: u32, selector: u32) -> u32 {
    let bytes = (u64::from(b) << 32 | u64::from(a)).to_le_bytes();
    let s = selector & 3;
    let picked = |index: u32| -> u32 {
        match mode {
            Permute::Index => selector >> (4 * index) & 0xf,
            Permute::Forward4 => s + index,
            Permute::Backward4 => (s + 8 - index) & 7,
            Permute::Replicate8 => s,
            Permute::EdgeLeft => index.max(s),
            Permute::EdgeRight => index.min(s),
            Permute::Replicate16 => (s & 1) * 2 + index % 2,
        }
    };
    let of = |index: u32| {
        let which = picked(index);
        let byte = bytes[(which & 7) as usize];
        // The highest bit of an index asks for the byte's sign in all its bits.
        let byte = if which & 8 != 0 { (byte as i8 >> 7) as u8 } else { byte };
        u32::from(byte) << (8 * index)
    };
    (0..4).fold(0, |result, index| result | of(index))
}
