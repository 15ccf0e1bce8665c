//! Conversions between types.

use super::Plain;
use super::float::{NAN_F32, flushed};
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::Lanes;
use crate::number::{BF16, E4M3, E5M2, F16, Format, Rounding, TF32, round_f32, round_integer, round_to_integral};
use crate::text::{ParseError, Register, Source, Statement};

/// How a conversion rounds: to a representable number, or to an integral one.
const ROUNDINGS: &[(&str, (Rounding, bool))] = &[
    ("rn", (Rounding::Nearest, false)),
    ("rna", (Rounding::NearestAway, false)),
    ("rz", (Rounding::Zero, false)),
    ("rm", (Rounding::Down, false)),
    ("rp", (Rounding::Up, false)),
    ("rni", (Rounding::Nearest, true)),
    ("rzi", (Rounding::Zero, true)),
    ("rmi", (Rounding::Down, true)),
    ("rpi", (Rounding::Up, true)),
];

#[derive(Clone, Copy, Debug)]
struct Mode {
    rounding: Rounding,
    integral: bool,
    flush: bool,
    /// Results lie within the range of the type, or between zero and one (`.sat`, `.satfinite`).
    saturate: bool,
    relu: bool,
}

#[derive(Debug)]
pub(super) struct Convert {
    to_kind: Kind,
    from_kind: Kind,
    mode: Mode,
    to: Register,
    /// The second is the lower half of a pair.
    from: [Source; 2],
    pair: bool,
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Convert, ParseError> {
    let (rounding, integral) = s.choose(ROUNDINGS).unwrap_or((Rounding::Nearest, false));
    let flush = s.flag("ftz");
    let saturate = s.flag("sat") | s.flag("satfinite");
    let relu = s.flag("relu");
    let (to_kind, from_kind) = (s.kind()?, s.kind()?);
    let to = s.register()?;
    let pair = s.operands_left() == 2;
    let from = if pair { s.sources()? } else { [s.source()?, Source::Immediate(0)] };
    let small = |kind| matches!(kind, Kind::E4m3x2 | Kind::E5m2x2);
    let halves = |kind| matches!(kind, Kind::F16x2 | Kind::Bf16x2);
    let supported = match (to_kind, from_kind, pair) {
        (to, Kind::F32, true) => halves(to) || small(to),
        (to, from, false) if small(to) || small(from) => (small(to) && halves(from)) || (halves(to) && small(from)),
        (_, _, true) => false,
        (to, from, false) => ![to, from].iter().any(|kind| halves(*kind) || *kind == Kind::Pred),
    };
    if !supported {
        return Err(s.error("a conversion between these types is not supported"));
    }
    Ok(Convert { to_kind, from_kind, mode: Mode { rounding, integral, flush, saturate, relu }, to, from, pair })
}

/// A value on its way between types.
#[derive(Clone, Copy)]
enum Number {
    Integer(i128),
    Float(f64),
}

/// The format of a half of a pair or of a value of up to 19 bits.
fn format(kind: Kind) -> Format {
    match kind {
        Kind::F16 | Kind::F16x2 => F16,
        Kind::Bf16 | Kind::Bf16x2 => BF16,
        Kind::E4m3x2 => E4M3,
        Kind::E5m2x2 => E5M2,
        _ => TF32,
    }
}

/// An integer's value in a slot.
fn integer(kind: Kind, slot: u64) -> i128 {
    let up = 64 - 8 * kind.bytes();
    if kind.is_signed() { i128::from((slot << up) as i64 >> up) } else { i128::from(slot << up >> up) }
}

/// The least and the largest value of an integer type.
fn range(kind: Kind) -> (i128, i128) {
    let bits = 8 * kind.bytes();
    if kind.is_signed() { (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) } else { (0, (1 << bits) - 1) }
}

impl Mode {
    fn read(self, kind: Kind, slot: u64) -> Number {
        match kind {
            Kind::F64 => Number::Float(f64::from_bits(slot)),
            Kind::F32 | Kind::Tf32 => Number::Float(f64::from(flushed(f32::from_bits(slot as u32), self.flush))),
            Kind::F16 | Kind::Bf16 => Number::Float(f64::from(format(kind).decode(slot as u32 & 0xffff))),
            _ => Number::Integer(integer(kind, slot)),
        }
    }

    fn write(self, kind: Kind, value: Number) -> u64 {
        match (kind, value) {
            (Kind::F64, _) => self.to_float(value, 53).to_bits(),
            (Kind::F32, _) => u64::from(self.to_f32(value).to_bits()),
            (Kind::F16 | Kind::Bf16 | Kind::Tf32, _) => u64::from(self.encode(format(kind), self.to_float(value, 53))),
            (_, Number::Integer(value)) => self.clamp(kind, value, self.saturate) as u64 & mask(kind),
            // Floats always saturate, and a NaN is zero.
            (_, Number::Float(value)) if value.is_nan() => 0,
            (_, Number::Float(value)) => {
                let integral = round_to_integral(value, self.rounding);
                self.clamp(kind, integral as i128, true) as u64 & mask(kind)
            }
        }
    }

    fn clamp(self, kind: Kind, value: i128, saturate: bool) -> i128 {
        let (least, largest) = range(kind);
        if saturate { value.clamp(least, largest) } else { value }
    }

    fn to_float(self, value: Number, digits: u32) -> f64 {
        match value {
            Number::Integer(value) => round_integer(value, digits, self.rounding),
            Number::Float(value) if self.integral => round_to_integral(value, self.rounding),
            Number::Float(value) => value,
        }
    }

    fn to_f32(self, value: Number) -> f32 {
        let wide = self.to_float(value, 24);
        let rounded = flushed(round_f32(wide, self.rounding), self.flush);
        match rounded {
            x if self.saturate => {
                if x.is_nan() {
                    0.0
                } else {
                    x.clamp(0.0, 1.0)
                }
            }
            x if x.is_nan() => NAN_F32,
            x => x,
        }
    }

    fn encode(self, format: Format, value: f64) -> u32 {
        let value = if self.relu && value < 0.0 { 0.0 } else { value };
        if !self.saturate {
            return format.encode(value, self.rounding);
        }
        // For f16, to saturate is to stay between zero and one; for smaller formats, to stay finite.
        if format == F16 {
            return format.encode(if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }, self.rounding);
        }
        format.encode_saturating(value, self.rounding)
    }
}

fn mask(kind: Kind) -> u64 {
    u64::MAX >> (64 - 8 * kind.bytes())
}

impl Plain for Convert {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let &Self { to_kind, from_kind, mode, to, from: [high, low], pair } = self;
        let is_small = |kind| matches!(kind, Kind::E4m3x2 | Kind::E5m2x2);
        if pair {
            let (target, bits) = (format(to_kind), 4 * to_kind.bytes());
            return lanes.map2(to, [high, low], |high: f32, low: f32| {
                let half = |x: f32| u64::from(mode.encode(target, f64::from(flushed(x, mode.flush))));
                half(high) << bits | half(low)
            });
        }
        if is_small(to_kind) || is_small(from_kind) {
            let (source, target) = (format(from_kind), format(to_kind));
            let (from_bits, to_bits) = (4 * from_kind.bytes(), 4 * to_kind.bytes());
            return lanes.map(to, high, |a: u64| {
                let half = |x: u64| {
                    let value = source.decode(x as u32 & (u32::MAX >> (32 - from_bits)));
                    u64::from(mode.encode(target, f64::from(value)))
                };
                half(a >> from_bits) << to_bits | half(a)
            });
        }
        match (to_kind, from_kind) {
            // What compilers emit by the dozen goes the short way.
            (Kind::F32, Kind::F16) if !mode.integral && !mode.saturate => {
                lanes.map(to, high, |a: u16| F16.decode(u32::from(a)))
            }
            (Kind::F32, Kind::S32) if mode.rounding == Rounding::Nearest => lanes.map(to, high, |a: i32| a as f32),
            (Kind::F32, Kind::S16) if mode.rounding == Rounding::Nearest => lanes.map(to, high, |a: i16| f32::from(a)),
            (Kind::F32, Kind::U32) if mode.rounding == Rounding::Nearest => lanes.map(to, high, |a: u32| a as f32),
            _ if to_kind.is_integer() && from_kind.is_integer() && !mode.saturate => {
                let (up, keep) = (64 - 8 * from_kind.bytes(), mask(to_kind));
                if from_kind.is_signed() {
                    lanes.map(to, high, |a: u64| ((a << up) as i64 >> up) as u64 & keep)
                } else {
                    lanes.map(to, high, |a: u64| a << up >> up & keep)
                }
            }
            _ => lanes.map(to, high, |a: u64| mode.write(to_kind, mode.read(from_kind, a))),
        }
    }
}
