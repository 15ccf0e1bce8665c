//! Barriers of a block, as instructions; `machine::barrier` is what they work on.

use super::collective::decode_warp_barrier;
use super::{Operation, collective};
use crate::machine::Reduction;
use crate::text::{ParseError, Register, Source, Statement};

/// `bar.sync`, `bar.arrive`, `bar.red` and their twins called `barrier`.
#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    /// Which of the sixteen.
    pub(crate) number: Source,
    /// How many threads are waited for, otherwise all.
    pub(crate) threads: Option<Source>,
    /// Whether threads that arrive wait.
    pub(crate) waits: bool,
    /// Whether a warp must come as a whole.
    pub(crate) aligned: bool,
    pub(crate) reduces: Option<Reduces>,
}

/// What is computed of a predicate of all who arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reduces {
    pub(crate) to: Register,
    pub(crate) reduction: Reduction,
    pub(crate) predicate: Source,
    pub(crate) negated: bool,
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Operation, ParseError> {
    if s.has("warp") {
        return collective(s, decode_warp_barrier);
    }
    if s.flag("cluster") {
        s.ignore(&["aligned", "release", "acquire", "relaxed"]);
        let waits = s.flag("wait");
        if waits == s.flag("arrive") {
            return Err(s.error("a cluster's barrier is arrived at or waited for"));
        }
        s.finish()?;
        return Ok(Operation::Meet { waits });
    }
    let aligned = s.flag("aligned") || s.name == "bar";
    s.flag("cta");
    let reduction = s.choose(&[("popc", Reduction::Count), ("and", Reduction::And), ("or", Reduction::Or)]);
    let waits = !s.flag("arrive");
    let reduces = s.flag("red");
    s.ignore(&["sync", "u32", "pred"]);
    let to = if reduces { Some(s.register()?) } else { None };
    let number = s.source()?;
    let with_count = s.operands_left() > usize::from(reduces);
    let threads = if with_count { Some(s.source()?) } else { None };
    let reduces = match (to, reduction) {
        (Some(to), Some(reduction)) => {
            let (predicate, negated) = s.predicate()?;
            Some(Reduces { to, reduction, predicate, negated })
        }
        (None, None) => None,
        _ => return Err(s.error("the reduction is missing or unknown")),
    };
    s.finish()?;
    Ok(Operation::Barrier(Barrier { number, threads, waits, aligned, reduces }))
}
