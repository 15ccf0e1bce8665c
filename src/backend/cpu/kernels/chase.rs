//! Pointer chase: each load's address is the value the load before it brought.
//!
//! Work: one dependent 8-byte load per hop, one hop per cache line. Bound: the latency of the level that holds the lines.
//! The cycle visits lines in random order.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::backend::CycleLimit;
use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::kernels::Program;
use crate::backend::reference::cycle::Cycle;

/// Loads per turn of the loop.
const UNROLL: u64 = 16;

/// A random cycle through each lane's memory.
pub(in crate::backend::cpu) struct Chase {
    cycle: Cycle,
    line_bytes: u64,
    hops: u64,
    lanes: Lanes,
    /// The place each lane has reached.
    reached: Vec<AtomicUsize>,
    names: [String; 1],
}

impl Chase {
    /// A cycle of `bytes`, a power of two, with one place per cache line.
    pub(in crate::backend::cpu) fn new(bytes: u64, hops: u64, line_bytes: u32, lanes: Lanes) -> Self {
        let line_bytes = u64::from(line_bytes.max(8));
        let lines = (bytes / line_bytes).max(1).next_power_of_two();
        // Rounding up must not leave the lane's memory.
        let lines = if lines * line_bytes > bytes { lines / 2 } else { lines }.max(1);
        let hops = hops.next_multiple_of(UNROLL);
        let reached = (0..lanes.count()).map(|lane| AtomicUsize::new(lanes.start(lane) as usize)).collect();
        Self { cycle: Cycle { places: lines }, line_bytes, hops, lanes, reached, names: ["one chain".to_owned()] }
    }

    fn place(&self, lane: usize, line: u64) -> *mut usize {
        // SAFETY: `line` is a place of the cycle, and the lane has room for as many lines.
        unsafe { self.lanes.start(lane).add((line * self.line_bytes) as usize).cast() }
    }

    fn link(&self, lane: usize) {
        for line in 0..self.cycle.places {
            // SAFETY: this lane's memory, written by this lane alone.
            unsafe { self.place(lane, line).write(self.place(lane, self.cycle.next(line)) as usize) };
        }
    }

    fn walk(&self, mut at: usize, hops: u64) -> usize {
        for _ in 0..hops / UNROLL {
            for _ in 0..UNROLL {
                // SAFETY: every place holds the address of another place.
                at = unsafe { std::ptr::read_volatile(at as *const usize) };
            }
        }
        at
    }
}

impl Program for Chase {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn run(&self, _: usize, lane: usize, iterations: u64) {
        let reached = self.walk(self.reached[lane].load(Ordering::Relaxed), self.hops * iterations);
        self.reached[lane].store(reached, Ordering::Relaxed);
    }

    fn fill(&self, lane: usize) {
        self.link(lane);
    }

    fn verify(&self, _: usize, lane: usize) -> Result<(), String> {
        let start = self.place(lane, 0) as usize;
        self.reached[lane].store(start, Ordering::Relaxed);
        let (reached, expected) = (self.walk(start, self.hops), self.place(lane, self.cycle.after(self.hops)) as usize);
        if reached == expected {
            return Ok(());
        }
        Err(format!("the chain ends at {reached:#x}, the reference says {expected:#x}"))
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::arena::Arena;

    #[test]
    fn the_cycle_visits_every_line_once() {
        let mut arena = Arena::default();
        for bytes in [64, 128, 4096, 1 << 16] {
            let chase = Chase::new(bytes, 64, 64, arena.lanes(1, bytes).unwrap());
            let mut seen = vec![false; chase.cycle.places as usize];
            let mut line = 0;
            for _ in 0..chase.cycle.places {
                assert!(!std::mem::replace(&mut seen[line as usize], true), "line {line} twice in {bytes} B");
                line = chase.cycle.next(line);
            }
            assert_eq!(line, 0);
        }
    }

    #[test]
    fn jumping_ahead_agrees_with_walking() {
        let mut arena = Arena::default();
        let chase = Chase::new(1 << 14, 64, 64, arena.lanes(1, 1 << 14).unwrap());
        let mut line = 0;
        for hops in 0..600 {
            assert_eq!(chase.cycle.after(hops), line);
            line = chase.cycle.next(line);
        }
        chase.fill(0);
        chase.verify(0, 0).unwrap();
    }

    #[test]
    fn sizes_that_are_no_power_of_two_stay_inside() {
        let mut arena = Arena::default();
        let chase = Chase::new(3 * 4096, 64, 64, arena.lanes(1, 3 * 4096).unwrap());
        assert_eq!(chase.cycle.places, 128);
    }
}
