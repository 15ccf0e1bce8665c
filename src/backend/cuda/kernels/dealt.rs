//! Turns that are dealt out to workers — threads, warps or warpgroups —, and the check of what every thread came to.

use std::collections::BTreeMap;

use crate::backend::BackendError;
use crate::backend::cuda::gpu::Argument;

/// Turns of each worker, and workers that have one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dealt {
    turns: u64,
    longer: u64,
}

/// Workers of a kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workers {
    /// How many of them follow one another before they are alike again.
    pub(super) kinds: u32,
    /// Threads of each.
    pub(super) threads: u32,
    /// Bytes of a thread's result, 8 at most.
    pub(super) bytes: usize,
}

impl Dealt {
    /// Deals turns out as evenly as can be.
    pub(super) const fn to(workers: u64, turns: u64) -> Self {
        Self { turns: turns / workers, longer: turns % workers }
    }

    /// Both numbers, as kernels take them.
    pub(super) fn arguments(self) -> [Argument; 2] {
        [self.turns, self.longer].map(|number| Argument::from(number as u32))
    }

    /// Turns of a worker.
    fn of(self, worker: u32) -> u64 {
        self.turns + u64::from(u64::from(worker) < self.longer)
    }

    /// Compares the result of every one of some threads with the reference, bit by bit. The reference gives the results of all threads of a worker of some kind
    /// after some turns.
    pub(super) fn verify(
        self,
        results: &[u8],
        threads: u64,
        workers: Workers,
        reference: impl Fn(u32, u64) -> Vec<u64>,
    ) -> Result<(), BackendError> {
        let mut known = BTreeMap::new();
        for (thread, result) in (0..threads as u32).zip(results.chunks_exact(workers.bytes)) {
            let (worker, within) = (thread / workers.threads, thread % workers.threads);
            let (kind, turns) = (worker % workers.kinds, self.of(worker));
            let expected = known.entry((kind, turns)).or_insert_with(|| reference(kind, turns))[within as usize];
            let mut word = [0; 8];
            word[..workers.bytes].copy_from_slice(result);
            let found = u64::from_le_bytes(word);
            if found != expected {
                return Err(BackendError::WrongResult(format!(
                    "thread {thread} has {found:#x} after {turns} turns, the reference has {expected:#x}"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_turn_is_dealt_once_and_nobody_has_two_more(workers in 1_u64..5000, turns in 0_u64..1 << 40) {
            let dealt = Dealt::to(workers, turns);
            prop_assert!(dealt.longer < workers);
            prop_assert_eq!((0..workers as u32).map(|worker| dealt.of(worker)).sum::<u64>(), turns);
        }
    }

    #[test]
    fn every_thread_of_every_worker_is_looked_at() {
        // Three workers of two kinds and two threads, of which the first has a turn more.
        let workers = Workers { kinds: 2, threads: 2, bytes: 4 };
        let reference = |kind: u32, turns: u64| vec![u64::from(kind) * 100 + turns, u64::from(kind) * 100 + turns + 50];
        let right: [u32; 6] = [4, 54, 103, 153, 3, 53];
        let verify = |results: &[u32]| {
            let bytes: Vec<u8> = results.iter().flat_map(|result| result.to_le_bytes()).collect();
            Dealt::to(3, 10).verify(&bytes, 6, workers, reference)
        };
        assert_eq!(verify(&right), Ok(()));
        for thread in 0..right.len() {
            let mut wrong = right;
            wrong[thread] ^= 1 << 31;
            let said = verify(&wrong).unwrap_err().to_string();
            assert!(said.contains(&format!("thread {thread} has")), "{said}");
        }
    }
}
