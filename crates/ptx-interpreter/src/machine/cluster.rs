//! Clusters: blocks that run together, reach one another's barriers in shared memory, and wait for one another. A block by
//! itself is a cluster of one.

use super::block::Run;
use super::launch::Shape;
use crate::counters::Counters;
use crate::fault::{Cause, Fault, Problem};
use crate::machine::Fetch;

/// Bits of an address within a block's shared memory. Above them an address has the block's rank and one more, where it is
/// that of a certain block of the cluster.
const ADDRESS_BITS: u32 = 24;

/// The address that all blocks of a cluster know a place of one of them by (`mapa`).
pub(crate) fn map_address(address: u64, rank: u64) -> u64 {
    address & ((1 << ADDRESS_BITS) - 1) | (rank + 1) << ADDRESS_BITS
}

/// The rank and the address within the block, of an address that may be one's own.
pub(crate) fn split_address(address: u64, own: u32) -> (u32, u64) {
    match (address >> ADDRESS_BITS) as u32 {
        0 => (own, address),
        rank => (rank - 1, address & ((1 << ADDRESS_BITS) - 1)),
    }
}

/// What a block tells another one.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The rank of who is told.
    pub(crate) to: u32,
    pub(crate) what: Told,
    /// Who tells and where.
    pub(crate) warp: u32,
    pub(crate) lane: usize,
    pub(crate) pc: u32,
}

/// What it is told.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    /// Bytes are announced to a barrier, and threads arrive.
    Change { barrier: u64, bytes: i64, arrivals: u64 },
    /// A copy is on its way to it.
    Fetch(Fetch),
}

/// The barrier of all threads of a cluster, as a block knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meeting {
    arrived: u32,
    pub(crate) round: u64,
    /// The round that each thread arrived at last.
    rounds: Vec<u64>,
}

impl Meeting {
    pub(super) fn new(threads: u32) -> Self {
        Self { rounds: vec![0; threads as usize], ..Self::default() }
    }

    /// A thread arrives.
    pub(crate) fn arrive(&mut self, thread: u32) {
        self.arrived += 1;
        self.rounds[thread as usize] = self.round;
    }

    /// The round that a thread waits for the end of.
    pub(super) fn awaited(&self, thread: u32) -> u64 {
        self.rounds[thread as usize]
    }
}

/// Runs the blocks of a cluster to their end, from the number of its first one on.
pub(super) fn run(shape: &Shape<'_>, first: u64) -> Result<Counters, Box<Fault>> {
    let mut runs: Vec<Run<'_>> =
        (0..u64::from(shape.kernel.cluster)).map(|rank| Run::new(shape, first + rank)).collect();
    let (mut current, count) = (0, runs.len());
    while runs.iter().any(|run| run.alive > 0) {
        if shape.is_preemptive() && count > 1 {
            current = runs[0].block.random.below(count as u64) as usize;
        }
        let mut went_on = None;
        // What comes late comes when nobody can go on without it.
        for step in 0..2 * count {
            let index = (current + step) % count;
            let run = &mut runs[index];
            if if step < count { run.go_on()? } else { run.wait_no_longer()? } {
                went_on = Some(index);
                break;
            }
        }
        let Some(index) = went_on else {
            let stuck = runs.iter().flat_map(|run| run.stuck(|_, _| true)).collect();
            return Err(runs[current].fault_anywhere(Cause::Deadlock { stuck }));
        };
        current = index;
        deliver(&mut runs, index)?;
    }
    let mut counters = Counters::default();
    for run in runs {
        counters += run.finish()?;
    }
    Ok(counters)
}

/// Tells other blocks what one of them has for them, and lets all go on who have met.
fn deliver(runs: &mut [Run<'_>], from: usize) -> Result<(), Box<Fault>> {
    for Message { to, what, warp, lane, pc } in std::mem::take(&mut runs[from].block.outbox) {
        let told = match runs.get_mut(to as usize) {
            Some(run) if run.alive > 0 => match what {
                Told::Change { barrier, bytes, arrivals } => {
                    run.block.events += 1;
                    run.block.phases.change(barrier, bytes, arrivals).map(|_| ())
                }
                Told::Fetch(fetch) => fetch.start(&mut run.block, None),
            },
            Some(_) => Err(Cause::Cluster { reason: "the block that is told something has ended".to_owned() }),
            None => Err(Cause::Cluster { reason: format!("there is no block {to} in it") }),
        };
        told.map_err(|cause| runs[from].fault(0, 0, 1, Problem::of_warp(warp, pc, lane, cause)))?;
    }
    let arrived: u32 = runs.iter().map(|run| run.block.meeting.arrived).sum();
    if arrived > 0 && arrived >= runs.iter().map(|run| run.alive).sum() {
        for run in runs {
            run.block.meeting.arrived = 0;
            run.block.meeting.round += 1;
            run.block.epoch += 1;
            run.block.events += 1;
        }
    }
    Ok(())
}
