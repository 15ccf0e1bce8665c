//! Instructions: one file for each family, with what it understands and what it does.

mod atomic;
mod barrier;
mod carry;
mod collective;
mod compare;
mod convert;
mod copy;
mod dot;
mod float;
mod fragment;
mod half;
mod integer;
mod logic;
mod matrix;
mod memory;
mod moves;
mod phase;
mod space;
mod sparse;
mod special;
mod tensor;
mod warpgroup;

pub(crate) use barrier::Barrier;
pub(crate) use phase::PhaseWait;
pub(crate) use space::addresses;
pub(crate) use warpgroup::Product;

use std::fmt::Debug;
use std::sync::Arc;

use crate::fault::Problem;
use crate::kind::Kind;
use crate::machine::{Lanes, Row};
use crate::text::{Guard, ParseError, Statement};

/// An instruction with its guard.
#[derive(Clone, Debug)]
pub(crate) struct Instruction {
    pub(crate) guard: Option<Guard>,
    pub(crate) operation: Operation,
    pub(crate) line: u32,
}

/// What an instruction does.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Something that lanes do by themselves, and then go on.
    Plain(Arc<dyn Plain>),
    /// Something that lanes of a warp do together.
    Collective(Arc<dyn Collective>),
    /// Something that threads of a block wait for.
    Barrier(Barrier),
    /// Something that threads wait for at a barrier in memory.
    Phase(PhaseWait),
    /// Threads arrive at the barrier of their cluster, or wait there.
    Meet {
        waits: bool,
    },
    Branch {
        target: u32,
    },
    Exit,
    Trap,
    Nothing,
}

/// An instruction that lanes execute without waiting for others.
pub(crate) trait Plain: Debug + Send + Sync {
    /// Executes it in at least one lane.
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem>;
}

/// An instruction that lanes of a warp execute together.
pub(crate) trait Collective: Debug + Send + Sync {
    /// The lanes that each lane waits for.
    fn members(&self, lanes: &Lanes<'_, '_>) -> Result<Row, Problem>;

    /// Executes it when they have come. Members that have ended are not among the lanes.
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem>;
}

/// Decodes with a family's function, and checks that nothing was left over.
fn plain<P: Plain + 'static>(
    statement: &mut Statement<'_>,
    decode: impl FnOnce(&mut Statement<'_>) -> Result<P, ParseError>,
) -> Result<Operation, ParseError> {
    let decoded = decode(statement)?;
    statement.finish()?;
    Ok(Operation::Plain(Arc::new(decoded)))
}

fn collective<C: Collective + 'static>(
    statement: &mut Statement<'_>,
    decode: impl FnOnce(&mut Statement<'_>) -> Result<C, ParseError>,
) -> Result<Operation, ParseError> {
    let decoded = decode(statement)?;
    statement.finish()?;
    Ok(Operation::Collective(Arc::new(decoded)))
}

impl Operation {
    /// What a statement means.
    pub(crate) fn decode(mut statement: Statement<'_>) -> Result<Self, ParseError> {
        let s = &mut statement;
        match s.name {
            "add" | "sub" | "mul" | "mad" | "fma" | "min" | "max" | "abs" | "neg" | "div" => Self::arithmetic(s),
            "rem" | "sad" | "mul24" | "mad24" => plain(s, integer::decode),
            "addc" | "subc" | "madc" => plain(s, carry::decode),
            "dp4a" | "dp2a" => plain(s, dot::decode),
            "copysign" => plain(s, float::decode),
            "sqrt" | "rsqrt" | "rcp" | "ex2" | "lg2" | "sin" | "cos" | "tanh" => plain(s, special::decode),
            "and" | "or" | "xor" | "not" | "cnot" | "shl" | "shr" | "shf" | "lop3" | "prmt" | "bfe" | "bfi"
            | "popc" | "clz" | "bfind" | "brev" | "szext" => plain(s, logic::decode),
            "setp" | "set" | "selp" | "slct" | "testp" => plain(s, compare::decode),
            "cvt" => plain(s, convert::decode),
            "mov" | "cvta" | "isspacep" | "mapa" => plain(s, moves::decode),
            "ld" | "ldu" | "st" | "prefetch" | "prefetchu" | "discard" | "applypriority" => plain(s, memory::decode),
            "atom" | "red" => plain(s, atomic::decode),
            "cp" if s.has("bulk") => plain(s, tensor::decode),
            "mbarrier" => phase::decode(s),
            "fence" if s.has("proxy") || s.has("mbarrier_init") => plain(s, phase::decode_fence),
            "cp" => plain(s, copy::decode),
            "activemask" => plain(s, collective::decode_active_mask),
            "shfl" | "vote" | "redux" | "match" => collective::decode(s),
            "mma" => collective(s, matrix::decode),
            "wgmma" => warpgroup::decode(s),
            "ldmatrix" => collective(s, fragment::decode_load),
            "bar" | "barrier" => barrier::decode(s),
            _ => Self::control(s),
        }
    }

    /// What goes by the same name for integers and all kinds of floats.
    fn arithmetic(s: &mut Statement<'_>) -> Result<Self, ParseError> {
        match s.peek_kind() {
            Some(Kind::F32 | Kind::F64) => plain(s, float::decode),
            Some(Kind::F16 | Kind::F16x2 | Kind::Bf16 | Kind::Bf16x2) => plain(s, half::decode),
            _ if s.has("cc") => plain(s, carry::decode),
            _ => plain(s, integer::decode),
        }
    }

    fn control(s: &mut Statement<'_>) -> Result<Self, ParseError> {
        let operation = match s.name {
            "bra" => {
                s.flag("uni");
                s.operand()?;
                // The target is filled in where the label is known.
                Self::Branch { target: 0 }
            }
            "ret" | "exit" => {
                s.flag("uni");
                Self::Exit
            }
            "trap" => Self::Trap,
            // One warp's order of accesses is everybody's.
            "membar" | "fence" => {
                s.ignore(&["gl", "cta", "sys", "gpu", "cluster", "sc", "acq_rel", "acquire", "release"]);
                Self::Nothing
            }
            // How many registers a thread has is not looked at.
            "setmaxnreg" => {
                s.ignore(&["inc", "dec", "sync", "aligned", "u32"]);
                s.source()?;
                Self::Nothing
            }
            "nanosleep" => {
                s.ignore(&["u32"]);
                s.source()?;
                Self::Nothing
            }
            "brkpt" | "pmevent" | "griddepcontrol" => {
                s.ignore(&["wait", "launch_dependents", "mask"]);
                while s.operands_left() > 0 {
                    s.operand()?;
                }
                Self::Nothing
            }
            _ => return Err(s.error("the instruction is not supported")),
        };
        s.finish()?;
        Ok(operation)
    }
}
