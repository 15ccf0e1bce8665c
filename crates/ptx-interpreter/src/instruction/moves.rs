//! Moves: between registers, into and out of pairs, between address spaces.

use super::Plain;
use super::space::{SPACES, StateSpace};
use crate::fault::{Problem, Space};
use crate::machine::{Lanes, map_address};
use crate::memory::{LOCAL_WINDOW, PARAMETER_WINDOW, SHARED_WINDOW, resolve_generic};
use crate::text::{Operand, ParseError, Register, Source, Statement};

#[derive(Debug)]
pub(super) enum Move {
    /// A value as it is, also one that is not set: compilers move what is never used.
    Copy { to: Register, from: Source, bytes: u32 },
    /// Several values into one, the first lowest.
    Pack { to: Register, from: Vec<Source>, bits: u32 },
    /// One value into several.
    Unpack { to: Vec<Register>, from: Source, bits: u32 },
    /// From an address of a space to a generic one, or back.
    Address { to: Register, from: Source, add: u64 },
    /// From an address of shared memory to that of the same place in another block of the cluster.
    Map { to: Register, from: Source, rank: Source },
    /// Whether a generic address lies in a space.
    IsIn { to: Register, from: Source, space: Space },
}

/// Where a space begins among generic addresses.
fn window(space: StateSpace) -> u64 {
    match space {
        StateSpace::Shared => SHARED_WINDOW,
        StateSpace::Local => LOCAL_WINDOW,
        StateSpace::Parameters => PARAMETER_WINDOW,
        StateSpace::Global | StateSpace::Generic => 0,
    }
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Move, ParseError> {
    match s.name {
        "cvta" => {
            let back = s.flag("to");
            let space = s.require("space", SPACES)?;
            s.flag("u64");
            let base = window(space);
            let add = if back { base.wrapping_neg() } else { base };
            return Ok(Move::Address { to: s.register()?, from: s.source()?, add });
        }
        "mapa" => {
            if !(s.flag("shared::cluster") && (s.flag("u32") || s.flag("u64"))) {
                return Err(s.error("only the form with `.shared::cluster` is supported"));
            }
            return Ok(Move::Map { to: s.register()?, from: s.source()?, rank: s.source()? });
        }
        "isspacep" => {
            let space = match s.require("space", SPACES)? {
                StateSpace::Shared => Space::Shared,
                StateSpace::Local => Space::Local,
                StateSpace::Parameters => Space::Parameters,
                StateSpace::Global | StateSpace::Generic => Space::Global,
            };
            return Ok(Move::IsIn { to: s.register()?, from: s.source()?, space });
        }
        _ => {}
    }
    let kind = s.kind()?;
    let (to, from) = (s.operand()?, s.operand()?);
    let part = |count: usize| {
        let bits = (8 * kind.bytes()).checked_div(count as u32).filter(|bits| matches!(bits, 8 | 16 | 32));
        bits.ok_or_else(|| s.error("the values do not fit into one another"))
    };
    match (to, from) {
        (Operand::Source(Source::Register(to)), Operand::Source(from)) => {
            Ok(Move::Copy { to, from, bytes: kind.bytes() })
        }
        (Operand::Source(Source::Register(to)), Operand::Vector(from)) => {
            Ok(Move::Pack { to, bits: part(from.len())?, from })
        }
        (Operand::Vector(to), Operand::Source(from)) => {
            let register = |source| match source {
                Source::Register(register) => Ok(register),
                _ => Err(s.error("a register is expected")),
            };
            Ok(Move::Unpack {
                bits: part(to.len())?,
                to: to.into_iter().map(register).collect::<Result<_, _>>()?,
                from,
            })
        }
        _ => Err(s.error("the operands are not supported")),
    }
}

impl Plain for Move {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        match *self {
            Self::Copy { to, from, bytes } => {
                if let Source::Register(register) = from
                    && lanes.warp.is_held(register)
                {
                    return Err(Problem::unset(register, lanes.mask));
                }
                let (row, set) = lanes.read_unset(from);
                let mask = if bytes == 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 };
                lanes.write(to, |lane| row[lane] & mask);
                let unset = lanes.mask & !set;
                lanes.warp.mark(to, unset, false);
                Ok(())
            }
            Self::Pack { to, ref from, bits } => {
                let mut sum = [0; 32];
                for (index, source) in from.iter().enumerate() {
                    let row = lanes.read(*source)?;
                    for (sum, value) in sum.iter_mut().zip(row) {
                        *sum |= (value & ((1 << bits) - 1)) << (bits * index as u32);
                    }
                }
                lanes.write(to, |lane| sum[lane]);
                Ok(())
            }
            Self::Unpack { ref to, from, bits } => {
                let row = lanes.read(from)?;
                for (index, register) in to.iter().enumerate() {
                    lanes.write(*register, |lane| row[lane] >> (bits * index as u32) & ((1 << bits) - 1));
                }
                Ok(())
            }
            Self::Address { to, from, add } => lanes.map(to, from, |a: u64| a.wrapping_add(add)),
            Self::Map { to, from, rank } => {
                lanes.map2(to, [from, rank], |a: u64, rank: u32| map_address(a, rank.into()))
            }
            Self::IsIn { to, from, space } => lanes.map(to, from, |a: u64| resolve_generic(a).0 == space),
        }
    }
}
