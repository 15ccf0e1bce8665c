//! The platform's own memory copy: what moving data between host buffers costs a program that does nothing clever.
//!
//! Work: `bytes` loaded and `bytes` stored, counted once. Bound: memory bandwidth.

use crate::backend::CycleLimit;
use crate::backend::cpu::arena::Lanes;
use crate::backend::cpu::kernels::Program;
use crate::data::{Seed, bits};

/// A copy from the first to the second half of each lane's memory.
pub(in crate::backend::cpu) struct Copy {
    bytes: usize,
    lanes: Lanes,
    names: [String; 1],
}

impl Copy {
    pub(in crate::backend::cpu) fn new(bytes: u64, lanes: Lanes) -> Self {
        Self { bytes: bytes as usize, lanes, names: ["memcpy".to_owned()] }
    }

    fn halves(&self, lane: usize) -> (*mut u8, *mut u8) {
        let from = self.lanes.start(lane);
        // SAFETY: the lane has room for twice `bytes`.
        (from, unsafe { from.add(self.bytes) })
    }
}

impl Program for Copy {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn run(&self, _: usize, lane: usize, iterations: u64) {
        let (from, to) = self.halves(lane);
        for _ in 0..iterations {
            // SAFETY: the halves do not overlap and hold `bytes` each.
            unsafe { std::ptr::copy_nonoverlapping(std::hint::black_box(from), std::hint::black_box(to), self.bytes) };
        }
    }

    fn verify(&self, variant: usize, lane: usize) -> Result<(), String> {
        let (from, to) = self.halves(lane);
        // SAFETY: the halves lie in this lane's memory, which nobody else uses, and do not overlap.
        let (from, to) = unsafe {
            (std::slice::from_raw_parts_mut(from, self.bytes), std::slice::from_raw_parts_mut(to, self.bytes))
        };
        let seed = Seed(lane as u32);
        for (index, byte) in from.iter_mut().enumerate() {
            *byte = bits(seed, index as u32) as u8;
        }
        to.fill(0xA5);
        self.run(variant, lane, 1);
        if from == to {
            return Ok(());
        }
        let index = from.iter().zip(&*to).position(|(from, to)| from != to).unwrap_or(0);
        Err(format!("byte {index} is {}, the original is {}", to[index], from[index]))
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
        Copy::new(10_000, arena.lanes(1, 20_000).unwrap()).verify(0, 0).unwrap();
    }
}
