//! Arithmetic on f16 and bf16, alone and in pairs.

use super::Plain;
use super::float::ROUNDINGS;
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::Lanes;
use crate::number::{BF16, F16, Format, Rounding, sum_to_odd};
use crate::text::{ParseError, Register, Source, Statement};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add,
    Sub,
    Mul,
    Fma,
    Min,
    Max,
    Abs,
    Neg,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    op: Op,
    format: Format,
    packed: bool,
    /// NaNs of either operand stay (`min.NaN`).
    nan: bool,
    /// Negative results are zero (`.relu`).
    relu: bool,
    /// Results lie between zero and one (`.sat`).
    saturate: bool,
    flush: bool,
    to: Register,
    from: [Source; 3],
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Half, ParseError> {
    let (op, operands) = match s.name {
        "add" => (Op::Add, 2),
        "sub" => (Op::Sub, 2),
        "mul" => (Op::Mul, 2),
        "fma" => (Op::Fma, 3),
        "min" => (Op::Min, 2),
        "max" => (Op::Max, 2),
        "abs" => (Op::Abs, 1),
        "neg" => (Op::Neg, 1),
        _ => return Err(s.error("the instruction is not supported for 16-bit floats")),
    };
    let [nan, relu, saturate, flush] = ["NaN", "relu", "sat", "ftz"].map(|name| s.flag(name));
    if s.choose(ROUNDINGS).is_some_and(|rounding| rounding != Rounding::Nearest) {
        return Err(s.error("directed rounding is not supported for 16-bit floats"));
    }
    let kind = s.kind()?;
    let format = if matches!(kind, Kind::F16 | Kind::F16x2) { F16 } else { BF16 };
    let packed = matches!(kind, Kind::F16x2 | Kind::Bf16x2);
    let to = s.register()?;
    let mut from = [Source::Immediate(0); 3];
    for source in &mut from[..operands] {
        *source = s.source()?;
    }
    Ok(Half { op, format, packed, nan, relu, saturate, flush, to, from })
}

/// The bits of a NaN, as hardware makes them, and of the sign, in both formats.
const NAN: u16 = 0x7fff;
const SIGN: u16 = 0x8000;

/// The value of some bits.
#[inline(always)]
fn value<const BRAIN: bool>(bits: u16) -> f64 {
    f64::from(if BRAIN { BF16 } else { F16 }.decode(u32::from(bits)))
}

/// The bits of a value, rounded once.
#[inline(always)]
fn bits<const BRAIN: bool>(value: f64) -> u16 {
    if BRAIN { BF16 } else { F16 }.encode(value, Rounding::Nearest) as u16
}

// Sums and products of two values fit into f64 or are rounded to odd; the format then rounds once.

#[inline(always)]
fn sum<const BRAIN: bool>(a: u16, b: u16, _: u16) -> u16 {
    bits::<BRAIN>(sum_to_odd(value::<BRAIN>(a), value::<BRAIN>(b)))
}

#[inline(always)]
fn difference<const BRAIN: bool>(a: u16, b: u16, _: u16) -> u16 {
    bits::<BRAIN>(sum_to_odd(value::<BRAIN>(a), -value::<BRAIN>(b)))
}

#[inline(always)]
fn product<const BRAIN: bool>(a: u16, b: u16, _: u16) -> u16 {
    bits::<BRAIN>(value::<BRAIN>(a) * value::<BRAIN>(b))
}

#[inline(always)]
fn multiply_add<const BRAIN: bool>(a: u16, b: u16, c: u16) -> u16 {
    bits::<BRAIN>(sum_to_odd(value::<BRAIN>(a) * value::<BRAIN>(b), value::<BRAIN>(c)))
}

impl Half {
    /// The result for one value, in the cases that are not usual.
    fn compute<const BRAIN: bool>(&self, a: u16, b: u16, c: u16) -> u16 {
        let format = if BRAIN { BF16 } else { F16 };
        let decode = |bits: u16| {
            let value = value::<BRAIN>(bits);
            // Subnormals of f16 are normal numbers of f64; only here do they count as what they are.
            let tiny = self.flush && value != 0.0 && bits & !SIGN < self.smallest_normal();
            if tiny { 0.0_f64.copysign(value) } else { value }
        };
        let encode = |value: f64| self.finish(format, bits::<BRAIN>(value));
        match self.op {
            Op::Abs => a & !SIGN,
            Op::Neg => a ^ SIGN,
            Op::Add => encode(sum_to_odd(decode(a), decode(b))),
            Op::Sub => encode(sum_to_odd(decode(a), -decode(b))),
            Op::Mul => encode(decode(a) * decode(b)),
            Op::Fma => encode(sum_to_odd(decode(a) * decode(b), decode(c))),
            Op::Min => self.finish(format, self.choose(a, b, decode(a), decode(b))),
            Op::Max => self.finish(format, self.choose(a, b, -decode(a), -decode(b))),
        }
    }

    fn smallest_normal(&self) -> u16 {
        if self.format == F16 { 0x0400 } else { 0x0080 }
    }

    /// The operand with the smaller key. Zeros are told apart by their signs.
    fn choose(&self, a: u16, b: u16, key_a: f64, key_b: f64) -> u16 {
        match (key_a.is_nan(), key_b.is_nan()) {
            (true, false) if !self.nan => b,
            (false, true) if !self.nan => a,
            (false, false) if key_a.total_cmp(&key_b).is_le() => a,
            (false, false) => b,
            _ => NAN,
        }
    }

    #[inline(always)]
    fn finish(&self, format: Format, bits: u16) -> u16 {
        if !(self.relu || self.saturate || self.flush) {
            // A NaN is the canonical one already.
            return bits;
        }
        let value = format.decode(u32::from(bits));
        if value.is_nan() {
            return if self.saturate { 0 } else { NAN };
        }
        let negative = bits & SIGN != 0;
        let tiny = self.flush && bits & !SIGN < self.smallest_normal();
        if (self.relu || self.saturate) && negative || tiny {
            return if tiny && !self.relu && !self.saturate { bits & SIGN } else { 0 };
        }
        if self.saturate && value > 1.0 {
            return format.encode(1.0, Rounding::Nearest) as u16;
        }
        bits
    }
}

impl Half {
    /// Does something for each value.
    #[inline(always)]
    fn each(&self, lanes: &mut Lanes<'_, '_>, f: impl Fn(u16, u16, u16) -> u16) -> Result<(), Problem> {
        let (to, from) = (self.to, self.from);
        if self.packed {
            lanes.map3(to, from, |a: [u16; 2], b: [u16; 2], c: [u16; 2]| [f(a[0], b[0], c[0]), f(a[1], b[1], c[1])])
        } else {
            lanes.map3(to, from, f)
        }
    }

    /// The usual cases come first, without questions and each compiled by itself: they are what multiply-add kernels do all the time.
    fn execute_in<const BRAIN: bool>(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        if !(self.relu || self.saturate || self.flush) {
            match self.op {
                Op::Add => return self.each(lanes, sum::<BRAIN>),
                Op::Sub => return self.each(lanes, difference::<BRAIN>),
                Op::Mul => return self.each(lanes, product::<BRAIN>),
                Op::Fma => return self.each(lanes, multiply_add::<BRAIN>),
                _ => {}
            }
        }
        self.each(lanes, |a, b, c| self.compute::<BRAIN>(a, b, c))
    }
}

impl Plain for Half {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let work = match self.op {
            Op::Add | Op::Sub | Op::Mul => 1,
            Op::Fma => 2,
            _ => 0,
        };
        let count = lanes.count() * work * if self.packed { 2 } else { 1 };
        let operations = &mut lanes.block.counters.operations;
        if self.format == F16 {
            operations.f16 += count;
        } else {
            operations.bf16 += count;
        }
        if self.format == BF16 { self.execute_in::<true>(lanes) } else { self.execute_in::<false>(lanes) }
    }
}
