//! The platform's own memory copy: what moving data between host buffers costs a program that does nothing clever.
//!
//! Work: `bytes` loaded and `bytes` stored, counted once. Bound: memory bandwidth, once the buffers outgrow the caches together.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::CycleLimit;
use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::kernels::Program;
use crate::data::{Seed, bits};

/// Copies between each lane's pairs of buffers, in turn.
pub(in crate::backend::cpu) struct Copy {
    bytes: usize,
    buffers: u64,
    lanes: Lanes,
    /// The pair each lane comes to next.
    next: Vec<AtomicU64>,
    names: [String; 1],
}

impl Copy {
    pub(in crate::backend::cpu) fn new(bytes: u64, buffers: u64, lanes: Lanes) -> Self {
        let next = (0..lanes.count()).map(|_| AtomicU64::new(0)).collect();
        Self { bytes: bytes as usize, buffers, lanes, next, names: ["memcpy".to_owned()] }
    }

    fn pair(&self, lane: usize, buffer: u64) -> (*mut u8, *mut u8) {
        let start = self.lanes.start(lane);
        // SAFETY: the lane has room for `buffers` pairs, and `buffer` is below their number.
        unsafe {
            let from = start.add(2 * self.bytes * buffer as usize);
            (from, from.add(self.bytes))
        }
    }

    fn copy(&self, lane: usize, buffer: u64) {
        let (from, to) = self.pair(lane, buffer);
        // SAFETY: the two buffers of a pair do not overlap and hold `bytes` each.
        unsafe { std::ptr::copy_nonoverlapping(std::hint::black_box(from), std::hint::black_box(to), self.bytes) };
    }
}

impl Program for Copy {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn run(&self, _: usize, lane: usize, iterations: u64) {
        let first = self.next[lane].load(Ordering::Relaxed);
        for iteration in 0..iterations {
            self.copy(lane, (first + iteration) % self.buffers);
        }
        self.next[lane].store((first + iterations) % self.buffers, Ordering::Relaxed);
    }

    fn verify(&self, _: usize, lane: usize) -> Result<(), String> {
        for buffer in 0..self.buffers {
            let (from, to) = self.pair(lane, buffer);
            // SAFETY: the buffers lie in this lane's memory, which nobody else uses, and do not overlap.
            let (from, to) = unsafe {
                (std::slice::from_raw_parts_mut(from, self.bytes), std::slice::from_raw_parts_mut(to, self.bytes))
            };
            let seed = Seed(lane as u32);
            for (index, byte) in from.iter_mut().enumerate() {
                *byte = bits(seed, index as u32) as u8;
            }
            to.fill(0xA5);
            self.copy(lane, buffer);
            if from != to {
                let index = from.iter().zip(&*to).position(|(from, to)| from != to).unwrap_or(0);
                return Err(format!("byte {index} is {}, the original is {}", to[index], from[index]));
            }
        }
        Ok(())
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
    fn copies_are_verified() {
        let mut arena = Arena::default();
        let copy = Copy::new(10_000, 3, arena.lanes(1, 60_000).unwrap());
        copy.verify(0, 0).unwrap();
        copy.run(0, 0, 4);
        assert_eq!(copy.next[0].load(Ordering::Relaxed), 1);
    }
}
