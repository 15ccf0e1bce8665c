//! Arithmetic on f32 and f64.

use super::Plain;
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::Lanes;
use crate::number::{Rounding, round_f32, sum_to_odd};
use crate::text::{ParseError, Register, Source, Statement};
use crate::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add,
    Sub,
    Mul,
    Fma,
    Div,
    Min { nan: bool },
    Max { nan: bool },
    Abs,
    Neg,
    CopySign,
}

/// What happens to a result of f32 after rounding.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Finish {
    /// Subnormal operands and results are zero (`.ftz`).
    pub(super) flush: bool,
    /// Results lie between zero and one (`.sat`).
    pub(super) saturate: bool,
}

#[derive(Debug)]
pub(super) struct Float {
    op: Op,
    double: bool,
    rounding: Rounding,
    finish: Finish,
    to: Register,
    from: [Source; 3],
}

/// Roundings by their modifiers.
pub(super) const ROUNDINGS: &[(&str, Rounding)] =
    &[("rn", Rounding::Nearest), ("rz", Rounding::Zero), ("rm", Rounding::Down), ("rp", Rounding::Up)];

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Float, ParseError> {
    let nan = s.flag("NaN");
    let (op, operands) = match s.name {
        "add" => (Op::Add, 2),
        "sub" => (Op::Sub, 2),
        "mul" => (Op::Mul, 2),
        "fma" | "mad" => (Op::Fma, 3),
        // Approximate divisions are within two units in the last place, and exact ones are that too.
        "div" => (Op::Div, 2),
        "min" => (Op::Min { nan }, 2),
        "max" => (Op::Max { nan }, 2),
        "abs" => (Op::Abs, 1),
        "neg" => (Op::Neg, 1),
        "copysign" => (Op::CopySign, 2),
        _ => return Err(s.error("the instruction is not supported for floats")),
    };
    let finish = Finish { flush: s.flag("ftz"), saturate: s.flag("sat") };
    if op == Op::Div {
        s.ignore(&["approx", "full"]);
    }
    let rounding = s.choose(ROUNDINGS).unwrap_or(Rounding::Nearest);
    let double = s.kind()? == Kind::F64;
    let to = s.register()?;
    let mut from = [Source::Immediate(0); 3];
    for source in &mut from[..operands] {
        *source = s.source()?;
    }
    let directed = rounding != Rounding::Nearest;
    if directed && (double || op == Op::Div) {
        return Err(s.error("directed rounding is supported for sums and products of f32 only"));
    }
    Ok(Float { op, double, rounding, finish, to, from })
}

/// A float that goes through the operations here.
trait Real: Value {
    fn smaller(self, other: Self, nan: bool) -> Self;
    fn larger(self, other: Self, nan: bool) -> Self;
}

macro_rules! real {
    ($t:ty, $nan:expr) => {
        impl Real for $t {
            fn smaller(self, other: Self, nan: bool) -> Self {
                if self.is_nan() || other.is_nan() {
                    return if nan || self.is_nan() && other.is_nan() { $nan } else { self.min(other) };
                }
                // Minus zero is smaller than zero.
                if self == other { if self.is_sign_negative() { self } else { other } } else { self.min(other) }
            }
            fn larger(self, other: Self, nan: bool) -> Self {
                if self.is_nan() || other.is_nan() {
                    return if nan || self.is_nan() && other.is_nan() { $nan } else { self.max(other) };
                }
                if self == other { if self.is_sign_negative() { other } else { self } } else { self.max(other) }
            }
        }
    };
}
/// The NaN that hardware makes.
pub(super) const NAN_F32: f32 = f32::from_bits(0x7fff_ffff);
real!(f32, NAN_F32);
real!(f64, f64::from_bits(0x7fff_ffff_ffff_ffff));

/// An f32 whose subnormals are zero where that is wanted.
pub(super) fn flushed(value: f32, flush: bool) -> f32 {
    if flush && value.is_subnormal() { 0.0_f32.copysign(value) } else { value }
}

impl Finish {
    pub(super) fn apply(self, value: f32) -> f32 {
        let value = flushed(value, self.flush);
        if self.saturate {
            return if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) };
        }
        if value.is_nan() { NAN_F32 } else { value }
    }
}

impl Plain for Float {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let work = match self.op {
            Op::Add | Op::Sub | Op::Mul | Op::Div => 1,
            Op::Fma => 2,
            _ => 0,
        };
        let count = lanes.count() * work;
        let operations = &mut lanes.block.counters.operations;
        if self.double {
            operations.f64 += count;
            self.execute_f64(lanes)
        } else {
            operations.f32 += count;
            self.execute_f32(lanes)
        }
    }
}

impl Float {
    fn execute_f64(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let (to, [a, b, _]) = (self.to, self.from);
        match self.op {
            Op::Add => lanes.map2(to, [a, b], |a: f64, b: f64| a + b),
            Op::Sub => lanes.map2(to, [a, b], |a: f64, b: f64| a - b),
            Op::Mul => lanes.map2(to, [a, b], |a: f64, b: f64| a * b),
            Op::Fma => lanes.map3(to, self.from, f64::mul_add),
            Op::Div => lanes.map2(to, [a, b], |a: f64, b: f64| a / b),
            Op::Min { nan } => lanes.map2(to, [a, b], |a: f64, b: f64| a.smaller(b, nan)),
            Op::Max { nan } => lanes.map2(to, [a, b], |a: f64, b: f64| a.larger(b, nan)),
            Op::Abs => lanes.map(to, a, f64::abs),
            Op::Neg => lanes.map(to, a, |a: f64| -a),
            Op::CopySign => lanes.map2(to, [a, b], |a: f64, b: f64| b.copysign(a)),
        }
    }

    fn execute_f32(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let (to, [a, b, _], finish) = (self.to, self.from, self.finish);
        let flush = |x: f32| flushed(x, finish.flush);
        let directed = (self.rounding != Rounding::Nearest).then_some(self.rounding);
        // The usual case comes first and without questions: it is what multiply-add kernels do all the time.
        if directed.is_none() && !finish.flush && !finish.saturate {
            let clean = |x: f32| if x.is_nan() { NAN_F32 } else { x };
            match self.op {
                Op::Add => return lanes.map2(to, [a, b], |a: f32, b: f32| clean(a + b)),
                Op::Sub => return lanes.map2(to, [a, b], |a: f32, b: f32| clean(a - b)),
                Op::Mul => return lanes.map2(to, [a, b], |a: f32, b: f32| clean(a * b)),
                Op::Fma => return lanes.map3(to, self.from, |a: f32, b: f32, c: f32| clean(a.mul_add(b, c))),
                _ => {}
            }
        }
        match self.op {
            Op::Add | Op::Sub => lanes.map2(to, [a, b], |a: f32, b: f32| {
                let b = if self.op == Op::Sub { -b } else { b };
                finish.apply(multiply_add(1.0, flush(a), flush(b), directed))
            }),
            // Adding minus zero leaves every product as it is.
            Op::Mul => {
                lanes.map2(to, [a, b], |a: f32, b: f32| finish.apply(multiply_add(flush(a), flush(b), -0.0, directed)))
            }
            Op::Fma => lanes.map3(to, self.from, |a: f32, b: f32, c: f32| {
                finish.apply(multiply_add(flush(a), flush(b), flush(c), directed))
            }),
            Op::Div => lanes.map2(to, [a, b], |a: f32, b: f32| finish.apply(flush(a) / flush(b))),
            Op::Min { nan } => lanes.map2(to, [a, b], |a: f32, b: f32| flush(a).smaller(flush(b), nan)),
            Op::Max { nan } => lanes.map2(to, [a, b], |a: f32, b: f32| flush(a).larger(flush(b), nan)),
            Op::Abs => lanes.map(to, a, |a: f32| flush(a).abs()),
            Op::Neg => lanes.map(to, a, |a: f32| -flush(a)),
            Op::CopySign => lanes.map2(to, [a, b], |a: f32, b: f32| b.copysign(a)),
        }
    }
}

/// `a · b + c` with one rounding. Products of f32 are exact in f64.
fn multiply_add(a: f32, b: f32, c: f32, directed: Option<Rounding>) -> f32 {
    match directed {
        None => a.mul_add(b, c),
        Some(rounding) => round_f32(sum_to_odd(f64::from(a) * f64::from(b), f64::from(c)), rounding),
    }
}
