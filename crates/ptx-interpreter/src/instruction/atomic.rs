//! Atomic operations.

use super::Plain;
use super::memory::store_shared;
use super::space::{HINTS, SPACES, StateSpace, addresses, resolve};
use crate::fault::{Cause, Problem, Space};
use crate::kind::Kind;
use crate::machine::{Lanes, lanes_of};
use crate::memory::{Access, slot_of};
use crate::number::{BF16, F16, Format, Rounding, sum_to_odd};
use crate::text::{Address, ParseError, Register, Source, Statement};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add,
    Min,
    Max,
    Increment,
    Decrement,
    And,
    Or,
    Xor,
    Exchange,
    CompareAndSwap,
}

const OPS: &[(&str, Op)] = &[
    ("add", Op::Add),
    ("min", Op::Min),
    ("max", Op::Max),
    ("inc", Op::Increment),
    ("dec", Op::Decrement),
    ("and", Op::And),
    ("or", Op::Or),
    ("xor", Op::Xor),
    ("exch", Op::Exchange),
    ("cas", Op::CompareAndSwap),
];

#[derive(Debug)]
pub(super) struct Atomic {
    op: Op,
    kind: Kind,
    space: StateSpace,
    /// Where the old value goes: nowhere for `red`.
    to: Option<Register>,
    address: Address,
    from: [Source; 2],
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Atomic, ParseError> {
    s.ignore(HINTS);
    s.ignore(&["noftz"]);
    let space = s.choose(SPACES).unwrap_or(StateSpace::Generic);
    let op = s.require("operation", OPS)?;
    let kind = s.kind()?;
    let floats = matches!(kind, Kind::F32 | Kind::F64 | Kind::F16 | Kind::Bf16 | Kind::F16x2 | Kind::Bf16x2);
    let fits = match op {
        Op::Add => floats || (kind.is_integer() && kind.bytes() >= 4),
        Op::Increment | Op::Decrement => kind == Kind::U32,
        Op::CompareAndSwap | Op::Exchange => kind.is_integer() && kind.bytes() >= 2,
        _ => kind.is_integer() && kind.bytes() >= 4,
    };
    if !fits || matches!(space, StateSpace::Local | StateSpace::Parameters) {
        return Err(s.error("the type or the space does not go with the operation"));
    }
    let to = if s.name == "atom" { Some(s.register()?) } else { None };
    let address = s.address()?;
    let first = s.source()?;
    let second = if op == Op::CompareAndSwap { s.source()? } else { Source::Immediate(0) };
    Ok(Atomic { op, kind, space, to, address, from: [first, second] })
}

/// The sum of pairs of 16-bit floats, or of the lower halves.
fn add_halves(format: Format, a: u64, b: u64) -> u64 {
    let half = |shift: u32| {
        let value = |x: u64| f64::from(format.decode((x >> shift) as u32 & 0xffff));
        u64::from(format.encode(sum_to_odd(value(a), value(b)), Rounding::Nearest)) << shift
    };
    half(0) | half(16)
}

impl Atomic {
    /// What takes the place of the old value.
    fn new_value(&self, old: u64, a: u64, b: u64) -> u64 {
        let kind = self.kind;
        let wide = kind.bytes() == 8;
        // As numbers whose order is that of the type.
        let less = |x: u64, y: u64| match kind {
            Kind::S32 => (x as i32) < y as i32,
            Kind::S64 => (x as i64) < y as i64,
            _ => x < y,
        };
        match self.op {
            Op::Add => match kind {
                Kind::F32 => u64::from((f32::from_bits(old as u32) + f32::from_bits(a as u32)).to_bits()),
                Kind::F64 => (f64::from_bits(old) + f64::from_bits(a)).to_bits(),
                Kind::F16 | Kind::F16x2 => add_halves(F16, old, a),
                Kind::Bf16 | Kind::Bf16x2 => add_halves(BF16, old, a),
                _ if wide => old.wrapping_add(a),
                _ => u64::from((old as u32).wrapping_add(a as u32)),
            },
            Op::Min => {
                if less(a, old) {
                    a
                } else {
                    old
                }
            }
            Op::Max => {
                if less(old, a) {
                    a
                } else {
                    old
                }
            }
            Op::Increment => {
                if old >= a {
                    0
                } else {
                    old + 1
                }
            }
            Op::Decrement => {
                if old == 0 || old > a {
                    a
                } else {
                    old - 1
                }
            }
            Op::And => old & a,
            Op::Or => old | a,
            Op::Xor => old ^ a,
            Op::Exchange => a,
            Op::CompareAndSwap => {
                if old == a {
                    b
                } else {
                    old
                }
            }
        }
    }

    fn execute_lane(&self, lanes: &mut Lanes<'_, '_>, lane: usize, address: u64, a: u64, b: u64) -> Result<u64, Cause> {
        let bytes = self.kind.bytes();
        let mask = u64::MAX >> (64 - 8 * bytes);
        let (a, b) = (a & mask, b & mask);
        let (space, address) = resolve(self.space, address);
        match space {
            Space::Global => {
                lanes.block.global.load(address, bytes)?;
                let (allocation, offset) = lanes.block.global.store(address, bytes)?;
                let old = allocation.update(offset, bytes, |old| self.new_value(old, a, b) & mask);
                let counters = &mut lanes.block.counters;
                counters.atomics += 1;
                counters.loaded += u64::from(bytes);
                counters.stored += u64::from(bytes);
                lanes.block.events += u64::from(self.new_value(old, a, b) & mask != old);
                Ok(old)
            }
            Space::Shared => {
                let actor = lanes.actor(lane);
                if let Some(races) = &mut lanes.block.races {
                    races.read(actor, address, bytes, Access::Synchronising)?;
                }
                let old = slot_of(lanes.block.shared.load(address, bytes)?);
                let new = (self.new_value(old, a, b) & mask).to_le_bytes();
                store_shared(lanes, lane, address, &new[..bytes as usize], Access::Synchronising)?;
                Ok(old)
            }
            _ => Err(Cause::OutOfBounds { space, address, bytes, nearest: None }),
        }
    }
}

impl Plain for Atomic {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let addresses = addresses(lanes, self.address)?;
        let (a, b) = (lanes.read(self.from[0])?, lanes.read(self.from[1])?);
        for lane in lanes_of(lanes.mask) {
            let old = self.execute_lane(lanes, lane, addresses[lane], a[lane], b[lane]);
            let old = old.map_err(|cause| Problem::of_lane(lane, cause))?;
            if let Some(to) = self.to {
                lanes.write_lane(to, lane, old);
            }
        }
        Ok(())
    }
}
