//! Who goes on next.

use super::block::Run;
use super::lanes::lanes_of;
use super::warp::{Group, Wait};

/// Instructions after which another group gets its turn in the plain schedule, so that waiting loops see their change.
const TURN: u64 = 1 << 16;

/// A group that goes on, and how far.
#[derive(Clone, Copy)]
pub(super) struct Turn {
    pub(super) warp: usize,
    pub(super) group: Group,
    /// Instructions after which it stops.
    pub(super) quantum: u64,
    /// The instruction at which it meets another group.
    pub(super) meets_at: u32,
}

impl Run<'_> {
    /// Whether a group can go on.
    fn is_ready(&self, warp: usize, group: &Group) -> bool {
        match group.wait {
            None => !self.warps[warp].spin.holds(group.lanes, self.block.events),
            Some(Wait::Lanes) => false,
            Some(Wait::Barrier { barrier, round, .. }) => self.barriers[usize::from(barrier)].round > round,
            Some(Wait::Cluster { round }) => self.block.meeting.round > round,
            // Whoever waits for a barrier that is gone goes on, and finds that out.
            Some(Wait::Phase { barrier, phase, .. }) => {
                self.block.phases.ended(barrier).map_or(true, |ended| ended > phase)
            }
        }
    }

    /// Warp after warp, and within a warp the group that is furthest behind: so lanes meet again where their ways join.
    pub(super) fn next_plain(&mut self) -> Option<Turn> {
        let count = self.warps.len();
        let exhausted = std::mem::take(&mut self.warps[self.current].exhausted);
        let skip = usize::from(exhausted);
        for step in 0..count {
            let warp = (self.current + skip + step) % count;
            let ready = |index: &usize| self.is_ready(warp, &self.warps[warp].groups[*index]);
            let mut candidates = (0..self.warps[warp].groups.len()).filter(ready);
            // Who has waited longest gets a turn when another one did not come to an end.
            let chosen = if exhausted {
                candidates.next()
            } else {
                candidates.min_by_key(|index| self.warps[warp].groups[*index].pc)
            };
            if let Some(index) = chosen {
                self.current = warp;
                let group = self.take(warp, index);
                let others = self.warps[warp].groups.iter().filter(|other| other.wait.is_none());
                let ahead = others.map(|other| other.pc).filter(|pc| *pc > group.pc);
                let meets_at = if exhausted { u32::MAX } else { ahead.min().unwrap_or(u32::MAX) };
                return Some(Turn { warp, group, quantum: TURN, meets_at });
            }
        }
        None
    }

    /// Any group, or a part of one, for a few instructions.
    pub(super) fn next_random(&mut self) -> Option<Turn> {
        let mut ready = Vec::new();
        for (warp, state) in self.warps.iter().enumerate() {
            let groups = state.groups.iter().enumerate();
            ready.extend(groups.filter(|(_, group)| self.is_ready(warp, group)).map(|(index, _)| (warp, index)));
        }
        let chosen = ready.get(self.block.random.below(ready.len().max(1) as u64) as usize);
        let (warp, index) = *chosen?;
        let mut group = self.take(warp, index);
        if self.block.random.below(4) == 0 {
            let part = lanes_of(self.block.random.next() as u32 & group.lanes).fold(0, |mask, lane| mask | 1 << lane);
            if part != 0 && part != group.lanes {
                self.warps[warp].groups.push(Group { lanes: group.lanes & !part, ..group });
                group.lanes = part;
            }
        }
        let quantum = 1 << self.block.random.below(8);
        Some(Turn { warp, group, quantum, meets_at: u32::MAX })
    }

    /// Takes out a group that is ready, and lets it pass the barrier that it waited at.
    fn take(&mut self, warp: usize, index: usize) -> Group {
        let mut group = self.warps[warp].groups.remove(index);
        let result = match group.wait.take() {
            Some(Wait::Barrier { barrier, result, .. }) => {
                group.pc += 1;
                result.map(|(to, reduction)| (to, self.barriers[usize::from(barrier)].result(reduction)))
            }
            Some(Wait::Phase { to, .. }) => {
                group.pc += 1;
                Some((to, 1))
            }
            Some(Wait::Cluster { .. }) => {
                group.pc += 1;
                None
            }
            Some(Wait::Lanes) | None => None,
        };
        if let Some((to, value)) = result {
            self.lanes(warp, group.lanes).write(to, |_| value);
        }
        group
    }
}
