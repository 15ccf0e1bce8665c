//! The lanes' memory: private, page-aligned, in huge pages where the system gives them, and first touched by its own lane
//! (so that it lies on that lane's NUMA node).

use memmap2::{MmapMut, MmapOptions};

use crate::backend::BackendError;

const HUGE_PAGE: usize = 2 << 20;

/// Address space set aside per lane at least. It costs nothing until it is touched, and spares moving when sizes grow.
const RESERVE: usize = 1 << 30;

/// One lane's memory.
struct Region {
    _map: MmapMut,
    start: *mut u8,
    bytes: usize,
    touched: usize,
}

/// The memory of all lanes.
#[derive(Default)]
pub(super) struct Arena {
    regions: Vec<Region>,
    /// Memory that all lanes share.
    common: Option<Region>,
    /// Bytes of other arenas that are in use at the same time.
    beside: u64,
    peak: u64,
}

/// Where each lane's memory starts. Valid while the arena is neither grown nor dropped.
#[derive(Clone, Debug)]
pub(super) struct Lanes(Vec<*mut u8>);

// SAFETY: each lane only follows its own pointer; the regions do not overlap.
unsafe impl Sync for Lanes {}

impl Lanes {
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn start(&self, lane: usize) -> *mut u8 {
        self.0[lane]
    }
}

impl Arena {
    /// Makes sure that each of the lanes has some bytes, and says where.
    pub(super) fn lanes(&mut self, lanes: usize, bytes: u64) -> Result<Lanes, BackendError> {
        let bytes = usize::try_from(bytes).map_err(|error| out_of_memory(bytes, &error))?;
        for lane in 0..lanes {
            if self.regions.get(lane).is_none_or(|region| region.bytes < bytes) {
                let region = Region::map(bytes)?;
                if lane < self.regions.len() {
                    self.regions[lane] = region;
                } else {
                    self.regions.push(region);
                }
            }
            self.regions[lane].touched = self.regions[lane].touched.max(bytes);
        }
        self.note_peak();
        Ok(Lanes(self.regions.iter().take(lanes).map(|region| region.start).collect()))
    }

    /// Makes sure that there are some bytes for all lanes together, and says where: page-aligned, valid as the lanes' are.
    pub(super) fn common(&mut self, bytes: u64) -> Result<*mut u8, BackendError> {
        let bytes = usize::try_from(bytes).map_err(|error| out_of_memory(bytes, &error))?;
        let region = match self.common.take().filter(|region| region.bytes >= bytes) {
            Some(region) => region,
            None => Region::map(bytes)?,
        };
        let region = self.common.insert(region);
        region.touched = region.touched.max(bytes);
        let start = region.start;
        self.note_peak();
        Ok(start)
    }

    /// An arena without memory that remembers what another had.
    pub(super) fn continuing(other: &Self) -> Self {
        Self { peak: other.peak, ..Self::default() }
    }

    /// Counts the memory of another arena that is in use at the same time, and stays so.
    pub(super) fn note_beside(&mut self, other: &Self) {
        self.beside += other.touched();
        self.note_peak();
    }

    fn touched(&self) -> u64 {
        self.regions.iter().chain(&self.common).map(|region| region.touched as u64).sum()
    }

    fn note_peak(&mut self) {
        self.peak = self.peak.max(self.touched() + self.beside);
    }

    /// Most bytes in use at one time.
    pub(super) fn peak(&self) -> u64 {
        self.peak
    }
}

impl Region {
    fn map(bytes: usize) -> Result<Self, BackendError> {
        // The largest sets of two kernels differ by some rows: memory that has just room for the one is moved for the other, and the system clears every
        // page anew. Strict overcommit and address-space limits refuse the reserve; then just what is needed is asked for.
        let reserve = bytes.max(RESERVE).checked_next_power_of_two().unwrap_or(bytes);
        Self::map_exactly(reserve).or_else(|_| Self::map_exactly(bytes))
    }

    fn map_exactly(bytes: usize) -> Result<Self, BackendError> {
        let length = bytes.checked_add(HUGE_PAGE).ok_or_else(|| out_of_memory(bytes as u64, &"too large"))?;
        let mut map = MmapOptions::new()
            .len(length)
            .no_reserve_swap()
            .map_anon()
            .map_err(|error| out_of_memory(bytes as u64, &error))?;
        #[cfg(target_os = "linux")]
        {
            // A wish, not a need: whether it was granted is observed and recorded.
            let _ = map.advise(memmap2::Advice::HugePage);
        }
        let base = map.as_mut_ptr();
        let padding = base.align_offset(HUGE_PAGE).min(HUGE_PAGE);
        // SAFETY: the map is one huge page longer than `bytes`, and `padding` is at most that.
        let start = unsafe { base.add(padding) };
        Ok(Self { _map: map, start, bytes, touched: 0 })
    }
}

fn out_of_memory(bytes: u64, cause: &dyn std::fmt::Display) -> BackendError {
    BackendError::OutOfMemory { bytes, cause: cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_aligned_apart_and_large_enough() {
        let mut arena = Arena::default();
        let lanes = arena.lanes(2, 3 << 20).unwrap();
        let (a, b) = (lanes.start(0) as usize, lanes.start(1) as usize);
        assert!(a.is_multiple_of(HUGE_PAGE) && b.is_multiple_of(HUGE_PAGE) && a.abs_diff(b) >= 3 << 20);
        arena.lanes(1, 1 << 20).unwrap();
        assert_eq!(arena.peak(), 6 << 20);
    }

    #[test]
    fn absurd_sizes_are_errors() {
        for bytes in [1 << 60, u64::MAX] {
            assert!(matches!(Arena::default().lanes(1, bytes), Err(BackendError::OutOfMemory { .. })));
        }
    }
}
