//! Several programs in turn, as the operators of a model's step: after each turn, the lanes wait for one another.
//!
//! Work: that of all turns. Bound: what bounds each, and the time in which the lanes meet.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Program;
use crate::backend::cpu::arena::Arena;
use crate::backend::{CycleLimit, Sequence, Turn};

/// A program that takes turns with others.
pub(in crate::backend::cpu) struct Member {
    pub(in crate::backend::cpu) program: Box<dyn Program>,
    /// The implementation that runs.
    pub(in crate::backend::cpu) variant: usize,
    /// The lanes that it has work for.
    pub(in crate::backend::cpu) lanes: usize,
    /// Its memory, which lives as long as it does.
    pub(in crate::backend::cpu) _arena: Arena,
}

/// Programs in turn.
pub(in crate::backend::cpu) struct InTurn {
    members: Vec<Member>,
    turns: Vec<Turn>,
    meeting: Meeting,
    names: Vec<String>,
}

// SAFETY: the arenas are only kept; lanes follow the programs' own pointers, and programs may be shared.
unsafe impl Sync for InTurn {}

impl InTurn {
    /// Programs that take turns on some lanes. The turns are of members that there are.
    pub(in crate::backend::cpu) fn new(members: Vec<Member>, turns: Vec<Turn>, lanes: usize) -> Self {
        Self { members, turns, meeting: Meeting::of(lanes), names: Sequence::names() }
    }
}

impl Program for InTurn {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn fill(&self, lane: usize) {
        self.members.iter().filter(|member| lane < member.lanes).for_each(|member| member.program.fill(lane));
    }

    fn run(&self, _: usize, lane: usize, iterations: u64) {
        for _ in 0..iterations {
            for turn in &self.turns {
                let member = &self.members[turn.stage];
                if lane < member.lanes {
                    member.program.run(member.variant, lane, turn.iterations);
                }
                self.meeting.wait();
            }
        }
    }

    fn verify(&self, _: usize, lane: usize) -> Result<(), String> {
        for member in self.members.iter().filter(|member| lane < member.lanes) {
            let name = &member.program.variants()[member.variant];
            member.program.verify(member.variant, lane).map_err(|difference| format!("{name}: {difference}"))?;
        }
        Ok(())
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}

/// Where lanes wait until all are there, spinning as workers do between jobs.
struct Meeting {
    lanes: u64,
    arrived: Line,
}

/// A counter with a cache line for itself.
#[repr(align(128))]
struct Line(AtomicU64);

impl Meeting {
    const fn of(lanes: usize) -> Self {
        Self { lanes: lanes as u64, arrived: Line(AtomicU64::new(0)) }
    }

    /// Goes on when every lane has come as often as this one. Arrivals are counted for ever: the n-th meeting is over when n times all lanes have arrived.
    fn wait(&self) {
        let arrived = self.arrived.0.fetch_add(1, Ordering::AcqRel) + 1;
        let whole = arrived.next_multiple_of(self.lanes);
        while self.arrived.0.load(Ordering::Acquire) < whole {
            std::hint::spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    /// Counts its iterations, and sees whether the other lane was ever more than a turn away.
    struct Counting {
        done: [AtomicUsize; 2],
        apart: AtomicUsize,
    }

    impl Program for std::sync::Arc<Counting> {
        fn variants(&self) -> &[String] {
            &[]
        }

        fn run(&self, _: usize, lane: usize, iterations: u64) {
            let own = self.done[lane].fetch_add(iterations as usize, Ordering::SeqCst);
            let apart = own.abs_diff(self.done[1 - lane].load(Ordering::SeqCst));
            self.apart.fetch_max(apart, Ordering::SeqCst);
        }

        fn verify(&self, _: usize, _: usize) -> Result<(), String> {
            Ok(())
        }

        fn limit(&self, _: usize) -> Option<CycleLimit> {
            None
        }
    }

    #[test]
    fn lanes_go_from_turn_to_turn_together() {
        let counting = std::sync::Arc::new(Counting { done: Default::default(), apart: AtomicUsize::new(0) });
        let member = Member {
            program: Box::new(std::sync::Arc::clone(&counting)),
            variant: 0,
            lanes: 2,
            _arena: Arena::default(),
        };
        let turns = vec![Turn { stage: 0, iterations: 2 }; 3];
        let program = InTurn::new(vec![member], turns, 2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| program.run(0, 1, 50));
            program.run(0, 0, 50);
            other.join().unwrap();
        });
        assert_eq!(counting.done.each_ref().map(|done| done.load(Ordering::SeqCst)), [300, 300]);
        assert!(counting.apart.load(Ordering::SeqCst) <= 2, "a lane ran ahead by more than one turn");
    }
}
