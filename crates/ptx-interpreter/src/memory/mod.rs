//! Memory that knows its bounds and what has been written.

mod allocation;
mod banks;
mod device;
mod proxy;
mod race;
mod scratch;
mod view;

pub(crate) use allocation::Allocation;
pub(crate) use banks::conflicts;
pub use device::{Memory, MemoryError};
pub(crate) use proxy::Proxy;
pub(crate) use race::{Access, Actor, Races};
pub(crate) use scratch::{Scratch, slot_of};
pub(crate) use view::{LaunchMemory, View};

use crate::fault::{Cause, Space};

/// Where allocations begin, unless somebody else chooses their address, and where no device has any more memory.
pub(crate) const GLOBAL_BASE: u64 = 0x10_0000_0000;
pub(crate) const GLOBAL_END: u64 = 1 << 57;
/// Where generic addresses mean shared memory, the local memory of the thread, or the parameters: beyond all memory.
pub(crate) const SHARED_WINDOW: u64 = 3 << 60;
pub(crate) const LOCAL_WINDOW: u64 = 2 << 60;
pub(crate) const PARAMETER_WINDOW: u64 = 1 << 60;
/// The size of each of these windows.
const WINDOW: u64 = 1 << 32;

/// The state space of a generic address, and the address within it.
pub(crate) fn resolve_generic(address: u64) -> (Space, u64) {
    let windows = [(SHARED_WINDOW, Space::Shared), (LOCAL_WINDOW, Space::Local), (PARAMETER_WINDOW, Space::Parameters)];
    let within = windows.into_iter().find(|(base, _)| (*base..*base + WINDOW).contains(&address));
    within.map_or((Space::Global, address), |(base, space)| (space, address - base))
}

/// Accesses must be aligned to their size.
pub(crate) fn check_alignment(space: Space, address: u64, bytes: u32) -> Result<(), Cause> {
    if address.is_multiple_of(u64::from(bytes.max(1))) {
        return Ok(());
    }
    Err(Cause::Misaligned { space, address, bytes })
}

/// `count` ones from bit `start` on. An aligned access of up to 32 bytes stays within one word of bits.
pub(crate) fn bit_mask(start: u64, count: u32) -> u64 {
    let ones = if count >= 64 { u64::MAX } else { (1 << count) - 1 };
    ones << (start % 64)
}
