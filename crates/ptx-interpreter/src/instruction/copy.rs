//! Asynchronous copies from global to shared memory.

use super::Plain;
use super::memory::store_shared;
use super::space::{HINTS, addresses};
use crate::fault::{Cause, Problem};
use crate::machine::{Copy, Lanes, Row};
use crate::memory::{Access, conflicts};
use crate::text::{Address, ParseError, Source, Statement};

#[derive(Debug)]
pub(super) enum AsyncCopy {
    Start {
        to: Address,
        from: Address,
        bytes: u32,
        read: Source,
    },
    Commit,
    /// Until at most so many groups are on their way, or none and nothing uncommitted.
    Wait {
        left: Option<usize>,
    },
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<AsyncCopy, ParseError> {
    if !s.flag("async") {
        return Err(s.error("only `cp.async` is supported"));
    }
    if s.flag("commit_group") {
        return Ok(AsyncCopy::Commit);
    }
    if s.flag("wait_all") {
        return Ok(AsyncCopy::Wait { left: None });
    }
    let constant = |s: &mut Statement<'_>| match s.source()? {
        Source::Immediate(value) => Ok(value),
        _ => Err(s.error("a constant is expected")),
    };
    if s.flag("wait_group") {
        return Ok(AsyncCopy::Wait { left: Some(constant(s)? as usize) });
    }
    s.ignore(&["ca", "cg", "shared", "shared::cta", "global"]);
    let has_policy = s.flag("L2::cache_hint");
    s.ignore(HINTS);
    let (to, from) = (s.address()?, s.address()?);
    let bytes = constant(s)?;
    if !matches!(bytes, 4 | 8 | 16) {
        return Err(s.error("a copy is of 4, 8 or 16 bytes"));
    }
    let mut read = Source::Immediate(bytes);
    let more = s.operands_left() - usize::from(has_policy && s.operands_left() > 0);
    if more > 0 {
        read = s.source()?;
    }
    if has_policy {
        s.source()?;
    }
    Ok(AsyncCopy::Start { to, from, bytes: bytes as u32, read })
}

impl Plain for AsyncCopy {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        match *self {
            Self::Start { to, from, bytes, read } => {
                let rows = (addresses(lanes, to)?, addresses(lanes, from)?, lanes.read(read)?);
                let (parts, repeats) = conflicts(&rows.0, lanes.mask, bytes);
                lanes.block.counters.shared_accesses += parts;
                lanes.block.counters.bank_conflicts += repeats;
                lanes.for_each(|lanes, lane| start(lanes, lane, &rows, bytes))
            }
            Self::Commit => lanes.for_each(|lanes, lane| {
                lanes.warp.copies[lane].commit();
                Ok(())
            }),
            Self::Wait { left } => lanes.for_each(|lanes, lane| {
                let copies = &mut lanes.warp.copies[lane];
                let arrived = match left {
                    Some(left) => copies.wait(left),
                    None => copies.wait_all(),
                };
                arrived.into_iter().try_for_each(|copy| arrive(lanes, lane, copy))
            }),
        }
    }
}

/// Starts a copy. It may arrive at once, and arrives at the latest when it is waited for: right kernels do not mind which.
fn start(lanes: &mut Lanes<'_, '_>, lane: usize, rows: &(Row, Row, Row), bytes: u32) -> Result<(), Cause> {
    let (to, from, read) = (rows.0[lane], rows.1[lane], (rows.2[lane] as u32).min(bytes));
    lanes.block.shared.check(to, bytes)?;
    if read > 0 {
        lanes.block.global.check(from, bytes)?;
    }
    lanes.block.counters.loaded += u64::from(read);
    let copy = Copy { to, from, bytes, read };
    if lanes.block.launch.is_preemptive() && lanes.block.random.below(2) == 0 {
        return arrive(lanes, lane, copy);
    }
    lanes.warp.copies[lane].start(copy);
    Ok(())
}

fn arrive(lanes: &mut Lanes<'_, '_>, lane: usize, copy: Copy) -> Result<(), Cause> {
    let mut content = [0; 16];
    // Parts of a copy are as long as their alignment allows.
    for at in (0..copy.read).step_by(4) {
        let part = (copy.read - at).min(4);
        for byte in at..at + part {
            let (allocation, offset) = lanes.block.global.load(copy.from + u64::from(byte), 1)?;
            content[byte as usize] = allocation.load(offset, 1) as u8;
        }
    }
    store_shared(lanes, lane, copy.to, &content[..copy.bytes as usize], Access::Write)
}
