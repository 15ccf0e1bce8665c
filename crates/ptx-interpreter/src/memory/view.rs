//! Global memory as a launch sees it: the allocations of that moment, and what the launch touches of them.

use std::sync::{Arc, OnceLock};

use super::allocation::Bits;
use super::{Allocation, check_alignment};
use crate::fault::{Cause, Space};

/// The allocations of a launch, shared by all who run its blocks.
pub(crate) struct LaunchMemory {
    allocations: Vec<Touched>,
}

struct Touched {
    allocation: Arc<Allocation>,
    loaded: OnceLock<Bits>,
    stored: OnceLock<Bits>,
}

impl LaunchMemory {
    pub(crate) fn new(allocations: Vec<Arc<Allocation>>) -> Self {
        let touched = |allocation| Touched { allocation, loaded: OnceLock::new(), stored: OnceLock::new() };
        Self { allocations: allocations.into_iter().map(touched).collect() }
    }

    /// Bytes that were loaded and stored at least once.
    pub(crate) fn distinct(&self) -> (u64, u64) {
        let count = |bits: &OnceLock<Bits>| bits.get().map_or(0, Bits::count);
        let of = |touched: &Touched| (count(&touched.loaded), count(&touched.stored));
        self.allocations.iter().map(of).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }
}

/// One's own way into the memory of a launch, which remembers the allocation that was used last.
pub(crate) struct View<'m> {
    memory: &'m LaunchMemory,
    last: usize,
}

impl<'m> View<'m> {
    pub(crate) fn new(memory: &'m LaunchMemory) -> Self {
        Self { memory, last: 0 }
    }

    /// The allocation around an access, and the offset in it.
    fn find(&mut self, address: u64, bytes: u32) -> Result<(&'m Touched, u64), Cause> {
        check_alignment(Space::Global, address, bytes)?;
        let all = &self.memory.allocations;
        let holds = |touched: &&Touched| touched.allocation.contains(address, u64::from(bytes));
        let found = match all.get(self.last).filter(holds) {
            Some(found) => found,
            None => {
                let after = all.partition_point(|touched| touched.allocation.base <= address);
                self.last = after.saturating_sub(1);
                let nearest = all.get(self.last).map(|touched| (touched.allocation.base, touched.allocation.bytes));
                let out = Cause::OutOfBounds { space: Space::Global, address, bytes, nearest };
                all.get(self.last).filter(holds).ok_or(out)?
            }
        };
        Ok((found, address - found.allocation.base))
    }

    /// Checks an access without making it.
    pub(crate) fn check(&mut self, address: u64, bytes: u32) -> Result<(), Cause> {
        self.find(address, bytes).map(|_| ())
    }

    /// What an aligned load of `bytes` reads from: parts of it are taken with [`Allocation::load`].
    pub(crate) fn load(&mut self, address: u64, bytes: u32) -> Result<(&'m Allocation, u64), Cause> {
        let (touched, offset) = self.find(address, bytes)?;
        if !touched.allocation.written.all(offset, bytes) {
            return Err(Cause::Uninitialised { space: Space::Global, address, bytes });
        }
        touched.loaded.get_or_init(|| Bits::new(touched.allocation.bytes)).set(offset, bytes);
        Ok((&touched.allocation, offset))
    }

    /// What an aligned store of `bytes` goes to: its parts are put there with [`Allocation::store`].
    pub(crate) fn store(&mut self, address: u64, bytes: u32) -> Result<(&'m Allocation, u64), Cause> {
        let (touched, offset) = self.find(address, bytes)?;
        touched.allocation.written.set(offset, bytes);
        touched.stored.get_or_init(|| Bits::new(touched.allocation.bytes)).set(offset, bytes);
        Ok((&touched.allocation, offset))
    }
}
