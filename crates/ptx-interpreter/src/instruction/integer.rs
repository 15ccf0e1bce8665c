//! Arithmetic on integers, and on pairs of 16-bit integers.

use super::Plain;
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::Lanes;
use crate::text::{ParseError, Register, Source, Statement};

/// Evaluates an expression with `$T` as the Rust type of a kind, and `$W` as the next wider one.
macro_rules! for_integer {
    ($kind:expr, $T:ident, $W:ident => $body:expr) => {
        match $kind {
            Kind::S16 => for_integer!(@ i16, i32, $T, $W, $body),
            Kind::U32 | Kind::B32 => for_integer!(@ u32, u64, $T, $W, $body),
            Kind::S32 => for_integer!(@ i32, i64, $T, $W, $body),
            Kind::U64 | Kind::B64 => for_integer!(@ u64, u128, $T, $W, $body),
            Kind::S64 => for_integer!(@ i64, i128, $T, $W, $body),
            _ => for_integer!(@ u16, u32, $T, $W, $body),
        }
    };
    (@ $t:ty, $w:ty, $T:ident, $W:ident, $body:expr) => {{
        #[allow(dead_code, reason = "not every expression needs both types")]
        type $T = $t;
        #[allow(dead_code, reason = "not every expression needs both types")]
        type $W = $w;
        $body
    }};
}
pub(super) use for_integer;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add,
    AddSaturating,
    Sub,
    SubSaturating,
    Mul(Part),
    Mad(Part),
    MadSaturating,
    Mul24(Part),
    Mad24(Part),
    Sad,
    Div,
    Rem,
    Min,
    Max,
    Abs,
    Neg,
    /// Each half by itself.
    Packed(PackedOp),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PackedOp {
    Add,
    Min,
    Max,
}

/// The part of a product that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Low,
    High,
    Wide,
}

const PARTS: &[(&str, Part)] = &[("lo", Part::Low), ("hi", Part::High), ("wide", Part::Wide)];

#[derive(Debug)]
pub(super) struct Integer {
    op: Op,
    kind: Kind,
    to: Register,
    from: [Source; 3],
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Integer, ParseError> {
    let packed = matches!(s.peek_kind(), Some(Kind::U16x2 | Kind::S16x2));
    let saturating = s.flag("sat");
    let op = match s.name {
        "add" if packed => Op::Packed(PackedOp::Add),
        "min" if packed => Op::Packed(PackedOp::Min),
        "max" if packed => Op::Packed(PackedOp::Max),
        "add" if saturating => Op::AddSaturating,
        "add" => Op::Add,
        "sub" if saturating => Op::SubSaturating,
        "sub" => Op::Sub,
        "mul" => Op::Mul(s.require("part of the product", PARTS)?),
        "mad" => match s.require("part of the product", PARTS)? {
            Part::High if saturating => Op::MadSaturating,
            part => Op::Mad(part),
        },
        "mul24" => Op::Mul24(s.require("part of the product", &PARTS[..2])?),
        "mad24" => Op::Mad24(s.require("part of the product", &PARTS[..2])?),
        "sad" => Op::Sad,
        "div" => Op::Div,
        "rem" => Op::Rem,
        "min" => Op::Min,
        "max" => Op::Max,
        "abs" => Op::Abs,
        "neg" => Op::Neg,
        _ => return Err(s.error("the instruction is not supported for integers")),
    };
    let kind = s.kind()?;
    let wide = matches!(op, Op::Mul(Part::Wide) | Op::Mad(Part::Wide));
    let may_saturate = matches!(op, Op::AddSaturating | Op::SubSaturating | Op::MadSaturating);
    let fits = (kind.is_integer() && kind.bytes() >= 2) || packed;
    if !fits || (wide && kind.bytes() == 8) || (saturating && !(may_saturate && kind == Kind::S32)) {
        return Err(s.error("the type does not go with the instruction"));
    }
    let to = s.register()?;
    let mut from = [Source::Immediate(0); 3];
    let count = match op {
        Op::Abs | Op::Neg => 1,
        Op::Mad(_) | Op::MadSaturating | Op::Mad24(_) | Op::Sad => 3,
        _ => 2,
    };
    for source in &mut from[..count] {
        *source = s.source()?;
    }
    Ok(Integer { op, kind, to, from })
}

impl Plain for Integer {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let Self { op, kind, to, from } = *self;
        let [a, b, _] = from;
        if matches!(op, Op::Mad(_) | Op::MadSaturating | Op::Mad24(_)) {
            lanes.block.counters.operations.integer_multiply_add += 2 * lanes.count();
        }
        match op {
            Op::Add => for_integer!(kind, T, W => lanes.map2(to, [a, b], T::wrapping_add)),
            Op::Sub => for_integer!(kind, T, W => lanes.map2(to, [a, b], T::wrapping_sub)),
            Op::AddSaturating => lanes.map2(to, [a, b], i32::saturating_add),
            Op::SubSaturating => lanes.map2(to, [a, b], i32::saturating_sub),
            Op::Mul(Part::Low) => for_integer!(kind, T, W => lanes.map2(to, [a, b], T::wrapping_mul)),
            Op::Mul(Part::High) => for_integer!(kind, T, W => lanes.map2(to, [a, b], |a: T, b: T| {
                (W::from(a) * W::from(b) >> T::BITS) as T
            })),
            Op::Mul(Part::Wide) => self.multiply_wide(lanes),
            Op::Mad(Part::Low) => for_integer!(kind, T, W => lanes.map3(to, from, |a: T, b: T, c: T| {
                a.wrapping_mul(b).wrapping_add(c)
            })),
            Op::Mad(Part::High) => for_integer!(kind, T, W => lanes.map3(to, from, |a: T, b: T, c: T| {
                ((W::from(a) * W::from(b) >> T::BITS) as T).wrapping_add(c)
            })),
            Op::MadSaturating => lanes.map3(to, from, |a: i32, b: i32, c: i32| {
                ((i64::from(a) * i64::from(b) >> 32) as i32).saturating_add(c)
            }),
            Op::Mad(Part::Wide) => self.multiply_add_wide(lanes),
            Op::Mul24(part) => lanes.map2(to, [a, b], |a: u32, b: u32| multiply_24(a, b, part, kind)),
            Op::Mad24(part) => {
                lanes.map3(to, from, |a: u32, b: u32, c: u32| multiply_24(a, b, part, kind).wrapping_add(c))
            }
            Op::Sad => for_integer!(kind, T, W => lanes.map3(to, from, |a: T, b: T, c: T| {
                c.wrapping_add(a.max(b).wrapping_sub(a.min(b)))
            })),
            // Hardware answers a division by zero with ones.
            Op::Div => for_integer!(kind, T, W => lanes.map2(to, [a, b], |a: T, b: T| {
                if b == 0 { !0 } else { a.wrapping_div(b) }
            })),
            Op::Rem => for_integer!(kind, T, W => lanes.map2(to, [a, b], |a: T, b: T| {
                if b == 0 { a } else { a.wrapping_rem(b) }
            })),
            Op::Min => for_integer!(kind, T, W => lanes.map2(to, [a, b], |a: T, b: T| a.min(b))),
            Op::Max => for_integer!(kind, T, W => lanes.map2(to, [a, b], |a: T, b: T| a.max(b))),
            Op::Abs => match kind {
                Kind::S16 => lanes.map(to, a, i16::wrapping_abs),
                Kind::S32 => lanes.map(to, a, i32::wrapping_abs),
                _ => lanes.map(to, a, i64::wrapping_abs),
            },
            Op::Neg => for_integer!(kind, T, W => lanes.map(to, a, T::wrapping_neg)),
            Op::Packed(op) => lanes.map2(to, [a, b], |a: [u16; 2], b: [u16; 2]| {
                [0, 1].map(|half| packed(op, a[half], b[half], kind == Kind::S16x2))
            }),
        }
    }
}

impl Integer {
    fn multiply_wide(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let ab = [self.from[0], self.from[1]];
        match self.kind {
            Kind::S16 => lanes.map2(self.to, ab, |a: i16, b: i16| i32::from(a) * i32::from(b)),
            Kind::S32 => lanes.map2(self.to, ab, |a: i32, b: i32| i64::from(a) * i64::from(b)),
            Kind::U32 | Kind::B32 => lanes.map2(self.to, ab, |a: u32, b: u32| u64::from(a) * u64::from(b)),
            _ => lanes.map2(self.to, ab, |a: u16, b: u16| u32::from(a) * u32::from(b)),
        }
    }

    fn multiply_add_wide(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        match self.kind {
            Kind::S16 => {
                lanes.map3(self.to, self.from, |a: i16, b: i16, c: i32| (i32::from(a) * i32::from(b)).wrapping_add(c))
            }
            Kind::S32 => {
                lanes.map3(self.to, self.from, |a: i32, b: i32, c: i64| (i64::from(a) * i64::from(b)).wrapping_add(c))
            }
            Kind::U32 | Kind::B32 => {
                lanes.map3(self.to, self.from, |a: u32, b: u32, c: u64| (u64::from(a) * u64::from(b)).wrapping_add(c))
            }
            _ => lanes.map3(self.to, self.from, |a: u16, b: u16, c: u32| (u32::from(a) * u32::from(b)).wrapping_add(c)),
        }
    }
}

/// A part of the product of the low 24 bits: bits 0 to 31 or 16 to 47.
fn multiply_24(a: u32, b: u32, part: Part, kind: Kind) -> u32 {
    let low = |x: u32| {
        if kind.is_signed() { i64::from((x << 8) as i32 >> 8) } else { i64::from(x & 0x00ff_ffff) }
    };
    let product = low(a) * low(b);
    if part == Part::High { (product >> 16) as u32 } else { product as u32 }
}

fn packed(op: PackedOp, a: u16, b: u16, signed: bool) -> u16 {
    match op {
        PackedOp::Add => a.wrapping_add(b),
        PackedOp::Min if signed => (a as i16).min(b as i16) as u16,
        PackedOp::Max if signed => (a as i16).max(b as i16) as u16,
        PackedOp::Min => a.min(b),
        PackedOp::Max => a.max(b),
    }
}
