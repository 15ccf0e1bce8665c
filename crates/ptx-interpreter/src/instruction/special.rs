//! Functions of one number: roots, reciprocals, exponentials, logarithms, sines. Approximations are computed exactly and
//! rounded once, which is within the error that PTX allows.

use super::Plain;
use super::float::{Finish, ROUNDINGS, flushed};
use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::Lanes;
use crate::number::{BF16, F16, Format, Rounding};
use crate::text::{ParseError, Register, Source, Statement};

/// A function of one number, from f64 to f64.
type Function = fn(f64) -> f64;

const FUNCTIONS: &[(&str, Function)] = &[
    ("sqrt", f64::sqrt),
    ("rsqrt", |x| 1.0 / x.sqrt()),
    ("rcp", |x| 1.0 / x),
    ("ex2", f64::exp2),
    ("lg2", f64::log2),
    ("sin", f64::sin),
    ("cos", f64::cos),
    ("tanh", f64::tanh),
];

#[derive(Debug)]
pub(super) struct Special {
    function: Function,
    kind: Kind,
    finish: Finish,
    to: Register,
    from: Source,
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Special, ParseError> {
    let row = FUNCTIONS.iter().find(|row| row.0 == s.name);
    let function = row.ok_or_else(|| s.error("the instruction is not supported"))?.1;
    let finish = Finish { flush: s.flag("ftz"), saturate: false };
    if !s.flag("approx") && s.require("rounding", ROUNDINGS)? != Rounding::Nearest {
        return Err(s.error("directed rounding is not supported here"));
    }
    let kind = s.kind()?;
    if !matches!(kind, Kind::F32 | Kind::F64 | Kind::F16 | Kind::F16x2 | Kind::Bf16 | Kind::Bf16x2) {
        return Err(s.error("the type does not go with the instruction"));
    }
    Ok(Special { function, kind, finish, to: s.register()?, from: s.source()? })
}

impl Plain for Special {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let &Self { function, kind, finish, to, from } = self;
        let packed = matches!(kind, Kind::F16x2 | Kind::Bf16x2);
        lanes.block.counters.operations.special += lanes.count() * if packed { 2 } else { 1 };
        let half = |format: Format, bits: u16| {
            let result = function(f64::from(format.decode(u32::from(bits))));
            format.encode(result, Rounding::Nearest) as u16
        };
        match kind {
            Kind::F64 => lanes.map(to, from, function),
            Kind::F16 => lanes.map(to, from, |a: u16| half(F16, a)),
            Kind::Bf16 => lanes.map(to, from, |a: u16| half(BF16, a)),
            Kind::F16x2 => lanes.map(to, from, |a: [u16; 2]| a.map(|a| half(F16, a))),
            Kind::Bf16x2 => lanes.map(to, from, |a: [u16; 2]| a.map(|a| half(BF16, a))),
            _ => lanes.map(to, from, |a: f32| finish.apply(function(f64::from(flushed(a, finish.flush))) as f32)),
        }
    }
}
