//! Lanes that meet at an instruction of the whole warp.

use super::block::Run;
use super::lanes::lanes_of;
use super::warp::{Group, LANES, Wait};
use crate::fault::{Cause, Problem};
use crate::instruction::{Collective, Operation};

impl Run<'_> {
    /// Lanes come to an instruction that needs others. Executes it for those whose company is complete and returns them;
    /// the rest waits.
    pub(super) fn meet(&mut self, warp: usize, pc: u32, lanes: u32, with: &dyn Collective) -> Result<u32, Problem> {
        let mut present = lanes;
        self.warps[warp].groups.retain(|group| {
            let waits_here = group.pc == pc && group.wait == Some(Wait::Lanes);
            present |= if waits_here { group.lanes } else { 0 };
            !waits_here
        });
        let masks = with.members(&self.lanes(warp, present))?.map(|mask| mask as u32);
        let alive = self.warps[warp].alive;
        let mut done = 0;
        let mut left = present;
        while left != 0 {
            let first = left.trailing_zeros() as usize;
            let mask = masks[first];
            let same = lanes_of(present).filter(|lane| masks[*lane] == mask).fold(0, |same, lane| same | 1 << lane);
            left &= !same;
            // Everybody names itself, and nobody comes with another mask than those who wait for it.
            let strangers = same & !mask | present & mask & !same;
            if strangers != 0 {
                let lane = strangers.trailing_zeros() as usize;
                return Err(Problem::of_lane(lane, Cause::Membership { mask: masks[lane], lanes: same }));
            }
            if mask & alive & !same == 0 {
                with.execute(&mut self.lanes(warp, same))?;
                done |= same;
            }
        }
        if present & !done != 0 {
            self.put_away(warp, Group { pc, lanes: present & !done, wait: Some(Wait::Lanes) });
        }
        self.block.events += u64::from(done != 0);
        Ok(done)
    }

    /// Looks again at lanes that wait, after others have ended.
    pub(super) fn meet_again(&mut self, warp: usize) -> Result<(), Problem> {
        let waiting = |group: &Group| group.wait == Some(Wait::Lanes);
        let places: Vec<u32> =
            self.warps[warp].groups.iter().filter(|group| waiting(group)).map(|group| group.pc).collect();
        for pc in places {
            let Operation::Collective(with) = &self.block.launch.kernel.code[pc as usize].operation else { continue };
            let done = self.meet(warp, pc, 0, with.as_ref()).map_err(|problem| problem.at(warp as u32, pc))?;
            if done != 0 {
                self.put_back(warp, Group { pc: pc + 1, lanes: done, wait: None });
            }
        }
        Ok(())
    }
}

const _: () = assert!(LANES == 32, "masks of lanes have 32 bits");
