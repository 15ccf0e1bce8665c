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

/// Bytes between buffers beyond their length, so that source and destination do not compete for the same cache sets.
const STAGGER: usize = 768;

impl Copy {
    /// Bytes a lane needs.
    pub(in crate::backend::cpu) fn bytes(bytes: u64, buffers: u64) -> u64 {
        Self::stride(bytes as usize) as u64 * 2 * buffers
    }

    /// From one buffer to the next: each begins at a cache line.
    fn stride(bytes: usize) -> usize {
        bytes.next_multiple_of(64) + STAGGER
    }

    pub(in crate::backend::cpu) fn new(bytes: u64, buffers: u64, lanes: Lanes) -> Self {
        let next = (0..lanes.count()).map(|_| AtomicU64::new(0)).collect();
        Self { bytes: bytes as usize, buffers, lanes, next, names: ["memcpy".to_owned()] }
    }

    fn pair(&self, lane: usize, buffer: u64) -> (*mut u8, *mut u8) {
        let start = self.lanes.start(lane);
        // SAFETY: the lane has room for `buffers` pairs, and `buffer` is below their number.
        unsafe {
            let stride = Self::stride(self.bytes);
            let from = start.add(2 * stride * buffer as usize);
            (from, from.add(stride))
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

    fn fill(&self, lane: usize) {
        for buffer in 0..self.buffers {
            // SAFETY: the buffer lies in this lane's memory, which nobody else uses.
            let from = unsafe { std::slice::from_raw_parts_mut(self.pair(lane, buffer).0, self.bytes) };
            for (index, bytes) in from.chunks_mut(4).enumerate() {
                bytes.copy_from_slice(&bits(Seed(lane as u32), index as u32).to_le_bytes()[..bytes.len()]);
            }
        }
    }

    fn verify(&self, _: usize, lane: usize) -> Result<(), String> {
        for buffer in 0..self.buffers {
            let (from, to) = self.pair(lane, buffer);
            // SAFETY: the buffer lies in this lane's memory, which nobody else uses.
            unsafe { to.write_bytes(0xA5, self.bytes) };
            self.copy(lane, buffer);
            // SAFETY: as above; nothing writes while the slices live.
            let (from, to) =
                unsafe { (std::slice::from_raw_parts(from, self.bytes), std::slice::from_raw_parts(to, self.bytes)) };
            if from != to {
                let index = from.iter().zip(to).position(|(from, to)| from != to).unwrap_or(0);
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
        let copy = Copy::new(10_001, 3, arena.lanes(1, Copy::bytes(10_001, 3)).unwrap());
        copy.fill(0);
        copy.verify(0, 0).unwrap();
        copy.run(0, 0, 4);
        assert_eq!(copy.next[0].load(Ordering::Relaxed), 1);
    }
}
