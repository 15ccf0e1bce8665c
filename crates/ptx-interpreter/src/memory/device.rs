//! The memory of a device: allocations at addresses that are never used twice, or at those that another device chose.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Allocation, GLOBAL_BASE, GLOBAL_END};

/// Allocations start at multiples of this, with at least as much that belongs to nobody between them.
const GAP: u64 = 512;
/// What addresses must be multiples of that somebody else chose: CUDA promises as much.
const ALIGNMENT: u64 = 256;

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
    /// A range that cannot be had: taken in part, not aligned, or no device's.
    #[error(
        "{bytes} bytes at {address:#x} cannot be allocated: a part of them is taken, or the address is no device's"
    )]
    Unusable {
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
    /// In the order of their addresses.
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
        let full = MemoryError::Full { bytes, free: self.capacity.saturating_sub(state.used) };
        let mut base = state.next;
        // Only addresses that somebody else chose can be in the way.
        while let Err(Some(end)) = state.place(base, bytes) {
            base = end.next_multiple_of(GAP) + GAP;
        }
        let end = base.saturating_add(bytes);
        state.insert(self.capacity, base, bytes).map_err(|_| full)?;
        state.next = end.next_multiple_of(GAP) + GAP;
        Ok(base)
    }

    /// Allocates bytes at an address that somebody else chose. They count as not written.
    pub fn allocate_at(&self, address: u64, bytes: u64) -> Result<(), MemoryError> {
        if !address.is_multiple_of(ALIGNMENT) {
            return Err(MemoryError::Unusable { address, bytes });
        }
        self.state_mut().insert(self.capacity, address, bytes)
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

    /// Where allocations start and their bytes, in the order of their addresses.
    pub fn allocations(&self) -> Vec<(u64, u64)> {
        self.state().allocations.iter().map(|allocation| (allocation.base, allocation.bytes)).collect()
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

impl State {
    /// Where a range belongs among the allocations, or the end of the one that is in its way, if it is one that could be a device's.
    fn place(&self, base: u64, bytes: u64) -> Result<usize, Option<u64>> {
        let end = base.checked_add(bytes).filter(|end| *end <= GLOBAL_END).ok_or(None)?;
        let index = self.allocations.partition_point(|allocation| allocation.base < end);
        match index.checked_sub(1).and_then(|before| self.allocations.get(before)) {
            Some(before) if before.base + before.bytes > base => Err(Some(before.base + before.bytes)),
            _ => Ok(index),
        }
    }

    fn insert(&mut self, capacity: u64, base: u64, bytes: u64) -> Result<(), MemoryError> {
        let free = capacity.saturating_sub(self.used);
        if bytes > free {
            return Err(MemoryError::Full { bytes, free });
        }
        let index = self.place(base, bytes).map_err(|_| MemoryError::Unusable { address: base, bytes })?;
        self.allocations.insert(index, Arc::new(Allocation::new(base, bytes)));
        self.used += bytes;
        Ok(())
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
        assert!(second >= first + 5_000 + GAP && second.is_multiple_of(GAP));
        assert_eq!(memory.free_bytes(), 1_000);
        assert_eq!(memory.allocate(1_001), Err(MemoryError::Full { bytes: 1_001, free: 1_000 }));
        assert!(memory.allocate(u64::MAX).is_err());
        memory.free(first).unwrap();
        assert!(memory.free(first).is_err() && memory.free(second + 1).is_err());
        assert_eq!(memory.free_bytes(), 6_000);
    }

    #[test]
    fn addresses_of_others_are_taken_as_they_are() {
        let memory = Memory::new(1 << 20);
        let high = 0x7f12_3400_0000;
        memory.allocate_at(high + 512, 512).unwrap();
        memory.allocate_at(high, 512).unwrap();
        for (address, bytes) in [(high, 1), (high + 256, 512), (high + 768, 1), (high - 256, 300), (high + 1, 1)] {
            let error = MemoryError::Unusable { address, bytes };
            assert_eq!(memory.allocate_at(address, bytes), Err(error));
        }
        assert!(memory.allocate_at(u64::MAX - 255, 100).is_err() && memory.allocate_at(1 << 60, 1).is_err());
        assert!(matches!(memory.allocate_at(high + 1024, 1 << 20), Err(MemoryError::Full { .. })));
        // Its own addresses keep clear of them.
        memory.allocate_at(GLOBAL_BASE + GAP, 100).unwrap();
        let own = memory.allocate(1_000).unwrap();
        assert!(own >= GLOBAL_BASE + GAP + 100);
        assert_eq!(memory.allocations(), [(GLOBAL_BASE + GAP, 100), (own, 1_000), (high, 512), (high + 512, 512)]);
        memory.write(high + 1_000, &[1; 24]).unwrap();
        memory.free(high).unwrap();
        memory.allocate_at(high, 256).unwrap();
        assert_eq!(memory.allocation(high + 256), Some((high, 256)));
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
