//! An allocation of device memory, which several threads may use at once.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::bit_mask;

/// One bit for each byte.
pub(crate) struct Bits(Vec<AtomicU64>);

impl Bits {
    pub(crate) fn new(bytes: u64) -> Self {
        Self((0..bytes.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    /// Whether all bits of an aligned access are set.
    pub(crate) fn all(&self, offset: u64, count: u32) -> bool {
        let mask = bit_mask(offset, count);
        self.0[(offset / 64) as usize].load(Relaxed) & mask == mask
    }

    /// Sets the bits of an aligned access.
    pub(crate) fn set(&self, offset: u64, count: u32) {
        let mask = bit_mask(offset, count);
        let word = &self.0[(offset / 64) as usize];
        // Most are set already, and looking is cheaper than setting.
        if word.load(Relaxed) & mask != mask {
            word.fetch_or(mask, Relaxed);
        }
    }

    /// Sets the bits of any range.
    pub(crate) fn set_range(&self, offset: u64, count: u64) {
        let end = offset + count;
        let mut at = offset;
        while at < end {
            let here = (64 - at % 64).min(end - at);
            self.set(at, here as u32);
            at += here;
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.load(Relaxed).count_ones())).sum()
    }
}

/// Bytes of device memory, zero or more, and which of them have been written.
pub(crate) struct Allocation {
    pub(crate) base: u64,
    pub(crate) bytes: u64,
    words: Vec<AtomicU32>,
    pub(crate) written: Bits,
    /// Held while 64 bits change at once.
    wide: Mutex<()>,
}

impl Allocation {
    /// Fresh memory holds ones, which are NaNs in every format: whoever reads them notices.
    pub(crate) fn new(base: u64, bytes: u64) -> Self {
        let words = (0..bytes.div_ceil(4)).map(|_| AtomicU32::new(u32::MAX)).collect();
        Self { base, bytes, words, written: Bits::new(bytes), wide: Mutex::new(()) }
    }

    /// Whether an access at a device address lies within.
    pub(crate) fn contains(&self, address: u64, bytes: u64) -> bool {
        address >= self.base && address - self.base <= self.bytes && bytes <= self.bytes - (address - self.base)
    }

    /// Loads up to eight aligned bytes.
    pub(crate) fn load(&self, offset: u64, bytes: u32) -> u64 {
        let index = (offset / 4) as usize;
        let word = u64::from(self.words[index].load(Relaxed));
        match bytes {
            8 => word | u64::from(self.words[index + 1].load(Relaxed)) << 32,
            4 => word,
            _ => word >> (8 * (offset % 4)) & ((1 << (8 * bytes)) - 1),
        }
    }

    /// Stores up to eight aligned bytes. Returns whether anything changed.
    pub(crate) fn store(&self, offset: u64, bytes: u32, value: u64) -> bool {
        let index = (offset / 4) as usize;
        let put = |index: usize, value: u32| {
            let changes = self.words[index].load(Relaxed) != value;
            self.words[index].store(value, Relaxed);
            changes
        };
        match bytes {
            8 => put(index, value as u32) | put(index + 1, (value >> 32) as u32),
            4 => put(index, value as u32),
            _ => self.update(offset, bytes, |_| value) != value,
        }
    }

    /// Replaces up to eight aligned bytes by a function of them, atomically. Returns what was there.
    pub(crate) fn update(&self, offset: u64, bytes: u32, f: impl Fn(u64) -> u64) -> u64 {
        if bytes == 8 {
            let _held = self.wide.lock().unwrap_or_else(PoisonError::into_inner);
            let old = self.load(offset, 8);
            self.store(offset, 8, f(old));
            return old;
        }
        let shift = 8 * (offset % 4) as u32;
        let mask = (u64::MAX >> (64 - 8 * bytes)) as u32;
        let replace = |word: u32| {
            let new = f(u64::from(word >> shift & mask)) as u32 & mask;
            Some(word & !(mask << shift) | new << shift)
        };
        let word = &self.words[(offset / 4) as usize];
        // The function never declines, so that both answers hold what was there.
        let old = word.fetch_update(Relaxed, Relaxed, replace).unwrap_or_else(|old| old);
        u64::from(old >> shift & mask)
    }

    /// Copies bytes out.
    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) {
        let mut at = offset;
        let mut rest = into;
        while !rest.is_empty() {
            let word = self.words[(at / 4) as usize].load(Relaxed).to_le_bytes();
            let part = &word[(at % 4) as usize..];
            let count = part.len().min(rest.len());
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&part[..count]);
            rest = later;
            at += count as u64;
        }
    }

    /// Copies bytes in.
    pub(crate) fn write(&self, offset: u64, from: &[u8]) {
        self.written.set_range(offset, from.len() as u64);
        let mut at = offset;
        let mut rest = from;
        while !rest.is_empty() {
            let start = (at % 4) as usize;
            let count = (4 - start).min(rest.len());
            let word = &self.words[(at / 4) as usize];
            let mut bytes = word.load(Relaxed).to_le_bytes();
            bytes[start..start + count].copy_from_slice(&rest[..count]);
            word.store(u32::from_le_bytes(bytes), Relaxed);
            rest = &rest[count..];
            at += count as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_of_words_are_their_own() {
        let memory = Allocation::new(0, 16);
        assert!(memory.store(0, 8, 0x8877_6655_4433_2211));
        assert_eq!(memory.load(2, 2), 0x4433);
        assert!(memory.store(3, 1, 0xaa));
        assert!(!memory.store(3, 1, 0xaa));
        assert_eq!(memory.load(0, 4), 0xaa33_2211);
        assert_eq!(memory.update(6, 2, |old| old + 1), 0x8877);
        assert_eq!(memory.load(4, 4), 0x8878_6655);
        assert_eq!(memory.update(8, 8, |old| old.wrapping_add(2)), u64::MAX);
        assert_eq!(memory.load(8, 8), 1);
    }

    #[test]
    fn an_access_past_the_end_is_not_contained() {
        let memory = Allocation::new(100, 10);
        assert!(memory.contains(100, 10) && memory.contains(110, 0));
        assert!(!memory.contains(101, 10) && !memory.contains(99, 1) && !memory.contains(u64::MAX, 2));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(offset in 0_u64..40, bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let memory = Allocation::new(0, 100);
            memory.write(offset, &bytes);
            let mut back = vec![0; bytes.len()];
            memory.read(offset, &mut back);
            prop_assert_eq!(&back, &bytes);
            prop_assert_eq!(memory.written.count(), bytes.len() as u64);
        }
    }
}
