//! A device: its memory, its clock, and what is known of it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ptx_interpreter::{Counters, Memory};

use crate::code::Code;
use crate::knobs::Knobs;

/// Shared memory of a multiprocessor.
const SHARED: i32 = 228 << 10;
/// What every block of shared memory takes besides what it asks for.
const SHARED_RESERVED: i32 = 1 << 10;

/// Nanoseconds that things take. They are about what the interpreter takes itself, so that programs which measure first and
/// then choose how long to run come to a sensible choice.
const LAUNCH: u64 = 2_000;
const PER_INSTRUCTION: u64 = 5;
const EVENT: u64 = 500;
const COPY: u64 = 4_000;
const COPY_BYTES_PER_NANOSECOND: u64 = 4;

/// A device.
pub(crate) struct Device {
    pub(crate) memory: Memory,
    /// Nanoseconds since the start.
    clock: AtomicU64,
    launches: AtomicU64,
    /// Launches after which it does nothing any more.
    stall_after: Option<u64>,
    /// What every call answers from now on.
    lost: Mutex<Option<Code>>,
}

impl Device {
    pub(crate) fn new(knobs: &Knobs) -> Self {
        let (clock, launches) = (AtomicU64::new(1), AtomicU64::new(0));
        let (memory, stall_after) = (Memory::new(knobs.memory), knobs.stall_after);
        Self { memory, clock, launches, stall_after, lost: Mutex::new(None) }
    }

    /// An error once the device is lost.
    pub(crate) fn alive(&self) -> Result<(), Code> {
        let lost = *self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.map_or(Ok(()), Err)
    }

    /// Nothing works any more.
    pub(crate) fn lose(&self, code: Code) {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(code);
    }

    /// Counts a launch. Returns how many there have been before.
    pub(crate) fn count_launch(&self) -> u64 {
        self.launches.fetch_add(1, Relaxed)
    }

    /// Whether it has stopped in the middle of its work.
    pub(crate) fn is_stalled(&self) -> bool {
        self.stall_after.is_some_and(|after| self.launches.load(Relaxed) > after)
    }

    /// Waits until its work is done: for ever, once it has stopped.
    pub(crate) fn wait(&self) {
        while self.is_stalled() {
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// What the clock shows.
    pub(crate) fn now(&self) -> u64 {
        self.clock.load(Relaxed)
    }

    /// Lets a launch's time pass.
    pub(crate) fn pass_launch(&self, counters: &Counters) {
        self.pass(LAUNCH.saturating_add(counters.instructions.saturating_mul(PER_INSTRUCTION)));
    }

    /// Lets an event's time pass, and returns the moment.
    pub(crate) fn pass_event(&self) -> u64 {
        self.pass(EVENT);
        self.now()
    }

    /// Lets the time of a copy pass.
    pub(crate) fn pass_copy(&self, bytes: u64) {
        self.pass(COPY + bytes / COPY_BYTES_PER_NANOSECOND);
    }

    fn pass(&self, nanoseconds: u64) {
        self.clock.fetch_add(nanoseconds, Relaxed);
    }
}

/// An attribute of a device by its number. What the table does not have is zero: the device cannot do it.
pub(crate) fn attribute(knobs: &Knobs, number: i32, device: u32) -> i32 {
    let shared_limit = i32::try_from(knobs.options.shared_limit).unwrap_or(SHARED - SHARED_RESERVED);
    let table = [
        // Threads of a block, extents of blocks and grids.
        (1, 1024),
        (2, 1024),
        (3, 1024),
        (4, 64),
        (5, i32::MAX),
        (6, 65_535),
        (7, 65_535),
        // Shared memory of a block, constant memory, threads of a warp, registers of a block.
        (8, 48 << 10),
        (9, 64 << 10),
        (10, 32),
        (12, 1 << 16),
        // Clock in kHz, copies beside kernels, multiprocessors.
        (13, 1_000_000),
        (15, 1),
        (16, i32::try_from(knobs.options.multiprocessors).unwrap_or(i32::MAX)),
        // Pinned memory, kernels beside one another, PCI bus, memory clock in kHz, width of the bus, L2.
        (19, 1),
        (31, 1),
        (33, i32::try_from(device + 1).unwrap_or(i32::MAX)),
        (36, 1_000_000),
        (37, 64),
        (38, i32::try_from(knobs.l2).unwrap_or(i32::MAX)),
        // Threads of a multiprocessor, engines for copies, one address space.
        (39, 2048),
        (40, 2),
        (41, 1),
        (75, i32::try_from(knobs.capability / 10).unwrap_or(i32::MAX)),
        (76, i32::try_from(knobs.capability % 10).unwrap_or(i32::MAX)),
        // Shared memory and registers of a multiprocessor, blocks of all the grid at once.
        (81, shared_limit + SHARED_RESERVED),
        (82, 1 << 16),
        (95, 1),
        (97, shared_limit),
        (106, 32),
        (111, SHARED_RESERVED),
    ];
    table.iter().find(|row| row.0 == number).map_or(0, |row| row.1)
}

/// Blocks that a multiprocessor has room for.
pub(crate) fn blocks_at_once(threads: u32, registers: u32, shared: u64) -> u32 {
    let by_threads = 2048 / threads.next_multiple_of(32).max(32);
    let by_registers = (1 << 16) / (registers.max(16) * threads.max(32));
    let by_shared = SHARED as u64 / (shared + SHARED_RESERVED as u64);
    by_threads.min(by_registers).min(u32::try_from(by_shared).unwrap_or(u32::MAX)).min(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_stays() {
        let knobs = Knobs::read(&|_| None).unwrap();
        let device = Device::new(&knobs);
        assert_eq!(device.alive(), Ok(()));
        device.lose(Code::ILLEGAL_ADDRESS);
        device.lose(Code::LAUNCH_FAILED);
        assert_eq!(device.alive(), Err(Code::ILLEGAL_ADDRESS));
    }

    #[test]
    fn blocks_share_threads_registers_and_memory() {
        assert_eq!(blocks_at_once(1024, 32, 0), 2);
        assert_eq!(blocks_at_once(256, 64, 0), 4);
        assert_eq!(blocks_at_once(64, 16, 100 << 10), 2);
        assert_eq!(blocks_at_once(32, 16, 0), 32);
    }
}
