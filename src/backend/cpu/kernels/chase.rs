//! Pointer chase: each load's address is the value the load before it brought.
//!
//! Work: one dependent 8-byte load per hop, one hop per cache line. Bound: the latency of the level that holds the lines.
//! The cycle visits lines in the order of a linear congruential generator, whose period is the number of lines exactly when
//! the multiplier is 1 mod 4, the increment odd and the number a power of two (Hull and Dobell 1962).

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::backend::CycleLimit;
use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::kernels::Program;

/// Knuth's MMIX multiplier (1 mod 4) and an odd increment.
const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;

/// Loads per turn of the loop.
const UNROLL: u64 = 16;

/// A random cycle through each lane's memory.
pub(in crate::backend::cpu) struct Chase {
    lines: u64,
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
        Self { lines, line_bytes, hops, lanes, reached, names: ["one chain".to_owned()] }
    }

    fn next(&self, line: u64) -> u64 {
        line.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & (self.lines - 1)
    }

    /// The line after a number of hops from line 0, by repeated squaring of the step x → ax + c.
    fn after(&self, mut hops: u64) -> u64 {
        let (mut multiplier, mut increment) = (MULTIPLIER, INCREMENT);
        let (mut total_multiplier, mut total_increment) = (1_u64, 0_u64);
        while hops > 0 {
            if hops & 1 == 1 {
                total_multiplier = total_multiplier.wrapping_mul(multiplier);
                total_increment = total_increment.wrapping_mul(multiplier).wrapping_add(increment);
            }
            increment = increment.wrapping_mul(multiplier.wrapping_add(1));
            multiplier = multiplier.wrapping_mul(multiplier);
            hops >>= 1;
        }
        total_increment & (self.lines - 1)
    }

    fn place(&self, lane: usize, line: u64) -> *mut usize {
        // SAFETY: `line` is below `lines`, and the lane has room for `lines` lines.
        unsafe { self.lanes.start(lane).add((line * self.line_bytes) as usize).cast() }
    }

    fn link(&self, lane: usize) {
        for line in 0..self.lines {
            // SAFETY: this lane's memory, written by this lane alone.
            unsafe { self.place(lane, line).write(self.place(lane, self.next(line)) as usize) };
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
        let (reached, expected) = (self.walk(start, self.hops), self.place(lane, self.after(self.hops)) as usize);
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
            let mut seen = vec![false; chase.lines as usize];
            let mut line = 0;
            for _ in 0..chase.lines {
                assert!(!std::mem::replace(&mut seen[line as usize], true), "line {line} twice in {bytes} B");
                line = chase.next(line);
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
            assert_eq!(chase.after(hops), line);
            line = chase.next(line);
        }
        chase.fill(0);
        chase.verify(0, 0).unwrap();
    }

    #[test]
    fn sizes_that_are_no_power_of_two_stay_inside() {
        let mut arena = Arena::default();
        let chase = Chase::new(3 * 4096, 64, 64, arena.lanes(1, 3 * 4096).unwrap());
        assert_eq!(chase.lines, 128);
    }
}
