//! Barriers of a block.

use super::block::Run;
use super::lanes::lanes_of;
use super::warp::{Group, Wait};
use crate::fault::{Cause, Problem};
use crate::instruction::{self, Operation, PhaseWait, addresses};

/// How many a block has.
pub(super) const BARRIERS: usize = 16;

/// What a barrier computes of the predicates of those who arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    Count,
    And,
    Or,
}

/// A barrier, and who has arrived at it in this round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Barrier {
    pub(super) round: u64,
    arrived: u32,
    /// Threads that were asked for by number, otherwise all that are alive.
    expected: Option<u32>,
    holds: u32,
    /// What came out of the last round: how many arrived, and in how many the predicate held.
    last: (u32, u32),
}

impl Barrier {
    /// Threads arrive, `holds` of them with a predicate that is true.
    pub(super) fn arrive(&mut self, threads: u32, holds: u32, expected: Option<u32>) {
        self.arrived += threads;
        self.holds += holds;
        self.expected = expected.or(self.expected);
    }

    /// Ends the round if everybody has arrived. Returns whether that is so.
    pub(super) fn complete(&mut self, alive: u32) -> bool {
        let is_complete = self.arrived > 0 && self.arrived >= self.expected.unwrap_or(alive);
        if is_complete {
            *self = Self { round: self.round + 1, last: (self.arrived, self.holds), ..Self::default() };
        }
        is_complete
    }

    /// The result of the last round.
    pub(super) fn result(&self, reduction: Reduction) -> u64 {
        let (arrived, holds) = self.last;
        match reduction {
            Reduction::Count => u64::from(holds),
            Reduction::And => u64::from(holds == arrived),
            Reduction::Or => u64::from(holds > 0),
        }
    }
}

impl Run<'_> {
    /// A barrier's round ends if everybody has arrived.
    pub(super) fn complete(&mut self, number: usize) -> Result<(), Problem> {
        let round = self.barriers[number].round;
        if !self.barriers[number].complete(self.alive) {
            return Ok(());
        }
        self.block.counters.barriers += 1;
        self.block.epoch += 1;
        self.block.events += 1;
        for warp in &self.warps {
            let waits = |group: &&Group| {
                matches!(group.wait, Some(Wait::Barrier { barrier, round: of, .. })
                    if usize::from(barrier) == number && of == round)
            };
            for group in warp.groups.iter().filter(waits) {
                let instruction = &self.block.launch.kernel.code[group.pc as usize];
                let aligned = matches!(&instruction.operation, Operation::Barrier(barrier) if barrier.aligned);
                if aligned && group.lanes != warp.all {
                    let others = self.stuck(|index, other| index == warp.index && other.pc != group.pc);
                    return Err(Problem::of_warp(
                        warp.index,
                        group.pc,
                        group.lanes.trailing_zeros() as usize,
                        Cause::DivergentBarrier { stuck: others },
                    ));
                }
            }
        }
        Ok(())
    }

    /// Threads arrive at a barrier. Returns those that need not wait.
    pub(super) fn arrive(
        &mut self,
        warp: usize,
        pc: u32,
        active: u32,
        barrier: &instruction::Barrier,
    ) -> Result<u32, Problem> {
        let lanes = self.lanes(warp, active);
        let numbers = lanes.read(barrier.number)?;
        let first = active.trailing_zeros() as usize;
        let counts = barrier.threads.map(|threads| lanes.read(threads)).transpose()?;
        let holds = match barrier.reduces {
            Some(reduces) => lanes.predicate(reduces.predicate, reduces.negated)?,
            None => 0,
        };
        let number = numbers[first] as usize;
        let uniform = lanes_of(active).all(|lane| numbers[lane] == numbers[first]);
        if number >= BARRIERS || !uniform {
            let reason = format!("there is no barrier {number}, or lanes of a warp name different ones");
            return Err(Problem::of_lane(first, Cause::Launch { reason }));
        }
        let expected = counts.map(|counts| counts[first] as u32);
        let round = self.barriers[number].round;
        if barrier.aligned {
            self.check_alignment(warp, pc, number, round)?;
        }
        self.barriers[number].arrive(active.count_ones(), holds.count_ones(), expected);
        if barrier.waits {
            let result = barrier.reduces.map(|reduces| (reduces.to, reduces.reduction));
            let wait = Wait::Barrier { barrier: number as u8, round, result };
            self.put_away(warp, Group { pc, lanes: active, wait: Some(wait) });
        }
        self.complete(number)?;
        Ok(if barrier.waits { 0 } else { active })
    }

    /// Threads arrive at the barrier of the cluster, or wait there. Returns those that need not wait.
    pub(super) fn meet_cluster(&mut self, warp: usize, pc: u32, active: u32, waits: bool) -> u32 {
        let mut done = 0;
        for lane in lanes_of(active) {
            let thread = self.lanes(warp, active).thread(lane);
            let meeting = &mut self.block.meeting;
            if !waits {
                meeting.arrive(thread);
                done |= 1 << lane;
            } else if meeting.round > meeting.awaited(thread) {
                done |= 1 << lane;
            } else {
                let round = meeting.awaited(thread);
                self.put_away(warp, Group { pc, lanes: 1 << lane, wait: Some(Wait::Cluster { round }) });
            }
        }
        done
    }

    /// Threads ask whether a phase of a barrier in shared memory has ended. Returns those that need not wait.
    pub(super) fn wait_for_phase(
        &mut self,
        warp: usize,
        pc: u32,
        active: u32,
        wait: &PhaseWait,
    ) -> Result<u32, Problem> {
        let preemptive = self.block.launch.is_preemptive();
        // Whoever may wait may also be told that it is not yet so.
        let gives_up = !wait.waits || preemptive && self.block.random.below(4) == 0;
        let lanes = self.lanes(warp, active);
        let (barriers, phases) = (addresses(&lanes, wait.barrier)?, lanes.read(wait.phase)?);
        let mut done = 0;
        for lane in lanes_of(active) {
            let mut one = self.lanes(warp, 1 << lane);
            let (phase, has_ended) =
                wait.ask(&one, barriers[lane], phases[lane]).map_err(|cause| Problem::of_lane(lane, cause))?;
            if has_ended || gives_up {
                one.write_lane(wait.to, lane, has_ended.into());
                done |= 1 << lane;
            } else {
                let wait = Wait::Phase { barrier: barriers[lane], phase, to: wait.to };
                self.put_away(warp, Group { pc, lanes: 1 << lane, wait: Some(wait) });
            }
        }
        Ok(done)
    }

    /// Lanes of a warp must not wait at different instructions for the same barrier.
    fn check_alignment(&self, warp: usize, pc: u32, number: usize, round: u64) -> Result<(), Problem> {
        let elsewhere = |group: &Group| {
            group.pc != pc
                && matches!(group.wait, Some(Wait::Barrier { barrier, round: of, .. })
                    if usize::from(barrier) == number && of == round)
        };
        if !self.warps[warp].groups.iter().any(elsewhere) {
            return Ok(());
        }
        let stuck = self.stuck(|index, group| index as usize == warp && elsewhere(group));
        Err(Problem::of_block(Cause::DivergentBarrier { stuck }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_ends_when_all_have_arrived() {
        let mut barrier = Barrier::default();
        barrier.arrive(32, 3, None);
        assert!(!barrier.complete(64));
        barrier.arrive(32, 0, None);
        assert!(barrier.complete(64) && !barrier.complete(64));
        assert_eq!(barrier.round, 1);
        let results = [Reduction::Count, Reduction::And, Reduction::Or].map(|reduction| barrier.result(reduction));
        assert_eq!(results, [3, 0, 1]);
        barrier.arrive(32, 0, Some(64));
        assert!(!barrier.complete(32), "a number of threads is waited for whoever is alive");
    }
}
