//! Loops that wait for a change in memory which never comes: a thread that is at the same place with the same registers as
//! before, while nothing has changed in between, will be there for ever.

use super::lanes::lanes_of;
use super::warp::Row;

/// Instructions of warps without any change, after which loops are looked at.
const QUIET: u64 = 200_000;
/// Looking takes longer than a turn of most loops, so that it happens at every so many turns only.
const EVERY: u32 = 16;

/// What a thread was like.
#[derive(Clone, Debug)]
struct Snapshot {
    pc: u32,
    events: u64,
    registers: Vec<u64>,
    /// After how many more looks it is taken anew. The distance doubles, so that a cycle of any length is found.
    left: u32,
    distance: u32,
}

/// The loops of a warp.
#[derive(Clone, Debug, Default)]
pub(super) struct Spin {
    snapshots: Vec<Option<Snapshot>>,
    turns: u32,
    /// Lanes that go round in circles until something changes.
    lanes: u32,
    events: u64,
}

/// Since when nothing has changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quiet {
    events: u64,
    since: u64,
}

impl Quiet {
    /// Whether nothing has changed for long.
    pub(super) fn is_long(&mut self, events: u64, ticks: u64) -> bool {
        if events != self.events {
            *self = Self { events, since: ticks };
        }
        ticks - self.since > QUIET
    }
}

impl Spin {
    /// Whether all of `lanes` wait for a change that has not come.
    pub(super) fn holds(&self, lanes: u32, events: u64) -> bool {
        self.lanes != 0 && self.events == events && lanes & !self.lanes == 0
    }

    /// Looks at lanes that jump back to `pc`. Returns whether all of them go round in circles.
    pub(super) fn look(&mut self, registers: &[Row], lanes: u32, pc: u32, events: u64) -> bool {
        self.turns += 1;
        if !self.turns.is_multiple_of(EVERY) {
            return false;
        }
        if self.events != events {
            *self = Self { events, ..Self::default() };
        }
        self.snapshots.resize(32, None);
        for lane in lanes_of(lanes) {
            let now = || registers.iter().map(|row| row[lane]);
            let distance = match &mut self.snapshots[lane] {
                Some(before) if before.events == events => {
                    if before.pc == pc && now().eq(before.registers.iter().copied()) {
                        self.lanes |= 1 << lane;
                    }
                    before.left -= 1;
                    if before.left > 0 {
                        continue;
                    }
                    before.distance.saturating_mul(2)
                }
                _ => 1,
            };
            self.snapshots[lane] = Some(Snapshot { pc, events, registers: now().collect(), left: distance, distance });
        }
        self.holds(lanes, events)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_repeats_exactly_is_a_circle() {
        let mut spin = Spin::default();
        let mut registers = vec![[0; 32]; 3];
        let mut found = false;
        for turn in 0..1000_u64 {
            registers[1] = [turn % 7; 32];
            found |= spin.look(&registers, 0b11, 5, 9);
        }
        assert!(found && spin.holds(0b01, 9) && !spin.holds(0b100, 9) && !spin.holds(1, 10));
        let mut spin = Spin::default();
        for turn in 0..1000_u64 {
            registers[2] = [turn; 32];
            assert!(!spin.look(&registers, 1, 5, 9));
        }
    }
}
