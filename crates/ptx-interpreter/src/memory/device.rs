//! The memory of a device: allocations at addresses that are never used twice.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Allocation, GLOBAL_BASE};

/// Allocations start at multiples of this, with at least as much that belongs to nobody between them.
const GAP: u64 = 512;
/// The highest address.
const END: u64 = 0x7000_0000_0000;

/// Why memory cannot be used like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// More than there is.
    #[error("{bytes} bytes do not fit into {free} bytes of free memory")]
    Full {
        /// What was asked for.
        bytes: u64,
        /// What is left.
        free: u64,
    },
    /// A range that nobody allocated, or more than was allocated.
    #[error("{bytes} bytes at {address:#x} are not allocated")]
    NotAllocated {
        /// The start.
        address: u64,
        /// The length.
        bytes: u64,
    },
}

/// The memory of a device.
pub struct Memory {
    capacity: u64,
    state: RwLock<State>,
}

struct State {
    /// In the order of their addresses, which is that of their making.
    allocations: Vec<Arc<Allocation>>,
    used: u64,
    next: u64,
}

impl Memory {
    /// Memory of so many bytes.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, state: RwLock::new(State { allocations: Vec::new(), used: 0, next: GLOBAL_BASE }) }
    }

    /// Bytes in all.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes that are free.
    pub fn free_bytes(&self) -> u64 {
        self.capacity.saturating_sub(self.state().used)
    }

    /// Allocates bytes and returns their address. They count as not written.
    pub fn allocate(&self, bytes: u64) -> Result<u64, MemoryError> {
        let mut state = self.state_mut();
        let free = self.capacity.saturating_sub(state.used);
        let base = state.next;
        let next = bytes.checked_next_multiple_of(GAP).and_then(|bytes| base.checked_add(bytes)?.checked_add(GAP));
        match next {
            Some(next) if bytes <= free && next <= END => {
                state.allocations.push(Arc::new(Allocation::new(base, bytes)));
                state.used += bytes;
                state.next = next;
                Ok(base)
            }
            _ => Err(MemoryError::Full { bytes, free }),
        }
    }

    /// Gives an allocation back.
    pub fn free(&self, address: u64) -> Result<(), MemoryError> {
        let mut state = self.state_mut();
        let index = state.allocations.binary_search_by_key(&address, |allocation| allocation.base);
        let index = index.map_err(|_| MemoryError::NotAllocated { address, bytes: 0 })?;
        let freed = state.allocations.remove(index);
        state.used -= freed.bytes;
        Ok(())
    }

    /// The allocation around an address: where it starts and its bytes.
    pub fn allocation(&self, address: u64) -> Option<(u64, u64)> {
        self.find(address, 0).ok().map(|allocation| (allocation.base, allocation.bytes))
    }

    /// Writes bytes.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<(), MemoryError> {
        let allocation = self.find(address, bytes.len() as u64)?;
        allocation.write(address - allocation.base, bytes);
        Ok(())
    }

    /// Reads bytes, also such as nobody has written.
    pub fn read(&self, address: u64, bytes: &mut [u8]) -> Result<(), MemoryError> {
        let allocation = self.find(address, bytes.len() as u64)?;
        allocation.read(address - allocation.base, bytes);
        Ok(())
    }

    /// Writes one byte many times.
    pub fn fill(&self, address: u64, byte: u8, bytes: u64) -> Result<(), MemoryError> {
        const PIECE: u64 = 1 << 16;
        let allocation = self.find(address, bytes)?;
        let piece = vec![byte; bytes.min(PIECE) as usize];
        let offset = address - allocation.base;
        for start in (0..bytes).step_by(PIECE as usize) {
            allocation.write(offset + start, &piece[..(bytes - start).min(PIECE) as usize]);
        }
        Ok(())
    }

    /// Copies bytes, which count as written afterwards.
    pub fn copy(&self, to: u64, from: u64, bytes: u64) -> Result<(), MemoryError> {
        let source = self.find(from, bytes)?;
        self.find(to, bytes)?;
        let mut content = vec![0; bytes as usize];
        source.read(from - source.base, &mut content);
        self.write(to, &content)
    }

    /// All allocations as they are now.
    pub(crate) fn snapshot(&self) -> Vec<Arc<Allocation>> {
        self.state().allocations.clone()
    }

    fn find(&self, address: u64, bytes: u64) -> Result<Arc<Allocation>, MemoryError> {
        let state = self.state();
        let after = state.allocations.partition_point(|allocation| allocation.base <= address);
        let candidate = after.checked_sub(1).and_then(|index| state.allocations.get(index));
        let found = candidate.filter(|allocation| allocation.contains(address, bytes));
        found.cloned().ok_or(MemoryError::NotAllocated { address, bytes })
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_apart_and_count_against_the_capacity() {
        let memory = Memory::new(10_000);
        let first = memory.allocate(5_000).unwrap();
        let second = memory.allocate(4_000).unwrap();
        assert!(second >= first + 5_000 + GAP && second % GAP == 0);
        assert_eq!(memory.free_bytes(), 1_000);
        assert_eq!(memory.allocate(1_001), Err(MemoryError::Full { bytes: 1_001, free: 1_000 }));
        assert!(memory.allocate(u64::MAX).is_err());
        memory.free(first).unwrap();
        assert!(memory.free(first).is_err() && memory.free(second + 1).is_err());
        assert_eq!(memory.free_bytes(), 6_000);
    }

    #[test]
    fn ranges_are_checked() {
        let memory = Memory::new(1 << 20);
        let address = memory.allocate(100).unwrap();
        memory.fill(address, 7, 100).unwrap();
        memory.copy(address + 50, address, 50).unwrap();
        assert!(memory.write(address + 99, &[1, 2]).is_err());
        assert!(memory.read(address - 1, &mut [0]).is_err());
        assert!(memory.fill(address, 0, 101).is_err());
        assert_eq!(memory.allocation(address + 99), Some((address, 100)));
    }
}
