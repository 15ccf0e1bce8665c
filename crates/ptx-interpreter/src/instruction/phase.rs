//! Barriers that lie in shared memory, as instructions (`mbarrier`); `machine::phases` is what they work on.

use super::space::{StateSpace, addresses, resolve};
use super::{Operation, Plain, plain};
use crate::fault::{Cause, Problem};
use crate::machine::{BARRIER_BYTES, Lanes, Told, lanes_of, split_address};
use crate::text::{Address, ParseError, Register, Source, Statement};

/// What does not wait.
#[derive(Debug)]
enum Phase {
    Make {
        barrier: Address,
        arrivals: Source,
    },
    Remove {
        barrier: Address,
    },
    /// Announces bytes where `bytes` are, and arrives where `arrivals` do. The phase goes to a register.
    Change {
        to: Option<Register>,
        barrier: Address,
        bytes: Option<Source>,
        arrivals: Option<Source>,
    },
}

/// Asks whether a phase has ended, and may wait until it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PhaseWait {
    pub(crate) to: Register,
    pub(crate) barrier: Address,
    /// The number of a phase, or its parity.
    pub(crate) phase: Source,
    pub(crate) is_parity: bool,
    pub(crate) waits: bool,
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Operation, ParseError> {
    s.ignore(&["shared", "shared::cta", "b64", "release", "acquire", "cta", "cluster", "shared::cluster"]);
    for (name, waits) in [("test_wait", false), ("try_wait", true)] {
        if s.flag(name) {
            let is_parity = s.flag("parity");
            let (to, barrier, phase) = (s.register()?, s.address()?, s.source()?);
            if waits && s.operands_left() > 0 {
                // How long a thread sleeps.
                s.source()?;
            }
            s.finish()?;
            return Ok(Operation::Phase(PhaseWait { to, barrier, phase, is_parity, waits }));
        }
    }
    plain(s, decode_change)
}

fn decode_change(s: &mut Statement<'_>) -> Result<Phase, ParseError> {
    if s.flag("init") {
        return Ok(Phase::Make { barrier: s.address()?, arrivals: s.source()? });
    }
    if s.flag("inval") {
        return Ok(Phase::Remove { barrier: s.address()? });
    }
    let arrives = s.flag("arrive");
    let announces = s.flag("expect_tx");
    if !(arrives || announces) {
        return Err(s.error("the part is missing or unknown"));
    }
    let to = if arrives { Some(s.register()?) } else { None };
    let barrier = s.address()?;
    let bytes = if announces { Some(s.source()?) } else { None };
    let arrivals = match arrives {
        true if !announces && s.operands_left() > 0 => Some(s.source()?),
        true => Some(Source::Immediate(1)),
        false => None,
    };
    Ok(Phase::Change { to, barrier, bytes, arrivals })
}

impl Plain for Phase {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        match *self {
            Self::Make { barrier, arrivals } => {
                let (barriers, arrivals) = (addresses(lanes, barrier)?, lanes.read(arrivals)?);
                lanes.for_each(|lanes, lane| {
                    let (_, address) = resolve(StateSpace::Shared, barriers[lane]);
                    lanes.block.shared.check(address, BARRIER_BYTES)?;
                    let thread = lanes.thread(lane);
                    // What copies of tensors find there must have been fenced, as whatever else they read.
                    lanes.block.proxy.write(thread, address, BARRIER_BYTES.into())?;
                    lanes.block.shared.forget(address, BARRIER_BYTES.into())?;
                    lanes.block.phases.make(address, arrivals[lane] & 0xffff_ffff)
                })?;
            }
            Self::Remove { barrier } => {
                let barriers = addresses(lanes, barrier)?;
                lanes.for_each(|lanes, lane| lanes.block.phases.remove(barriers[lane]))?;
            }
            Self::Change { to, barrier, bytes, arrivals } => {
                let barriers = addresses(lanes, barrier)?;
                let bytes = bytes.map(|bytes| lanes.read(bytes)).transpose()?;
                let arrivals = arrivals.map(|arrivals| lanes.read(arrivals)).transpose()?;
                lanes.for_each(|lanes, lane| {
                    let bytes = bytes.map_or(0, |bytes| i64::from(bytes[lane] as u32));
                    let arrivals = arrivals.map_or(0, |arrivals| arrivals[lane] & 0xffff_ffff);
                    let own = lanes.block.rank();
                    let (rank, barrier) = split_address(barriers[lane], own);
                    if rank != own {
                        let what = Told::Change { barrier, bytes, arrivals };
                        lanes.tell(lane, rank, what);
                        return Ok(());
                    }
                    let phase = lanes.block.phases.change(barrier, bytes, arrivals)?;
                    if let Some(to) = to {
                        lanes.write_lane(to, lane, phase);
                    }
                    Ok(())
                })?;
            }
        }
        lanes.block.events += 1;
        Ok(())
    }
}

impl PhaseWait {
    /// The number of the phase that a lane asks for, and whether it has ended.
    pub(crate) fn ask(&self, lanes: &Lanes<'_, '_>, address: u64, phase: u64) -> Result<(u64, bool), Cause> {
        let ended = lanes.block.phases.ended(address)?;
        if self.is_parity {
            // Of the phase that goes on and the one before it, the one of that parity.
            let goes_on = ended & 1 == phase & 1;
            return Ok((if goes_on { ended } else { ended.wrapping_sub(1) }, !goes_on));
        }
        Ok((phase, ended > phase))
    }
}

/// `fence.proxy.async` and what is like it: what was written is there for those that work by themselves.
#[derive(Debug)]
pub(super) struct ProxyFence;

pub(super) fn decode_fence(s: &mut Statement<'_>) -> Result<ProxyFence, ParseError> {
    if s.flag("mbarrier_init") {
        s.ignore(&["release", "cluster"]);
    } else if !(s.flag("proxy") && (s.flag("async") || s.flag("async::shared::cta"))) {
        return Err(s.error("the fence is not supported"));
    }
    s.ignore(&["shared::cta"]);
    Ok(ProxyFence)
}

impl Plain for ProxyFence {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let first = lanes.thread(0);
        let threads = lanes_of(lanes.mask).map(|lane| first + lane as u32);
        lanes.block.proxy.fence(threads);
        Ok(())
    }
}
