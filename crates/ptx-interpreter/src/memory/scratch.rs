//! Memory of a block or of a thread.

use super::{bit_mask, check_alignment};
use crate::fault::{Cause, Space};

/// Bytes, and which of them have been written.
pub(crate) struct Scratch {
    space: Space,
    bytes: Vec<u8>,
    written: Vec<u64>,
}

impl Scratch {
    pub(crate) fn new(space: Space, bytes: u32) -> Self {
        let bytes = bytes as usize;
        Self { space, bytes: vec![0xff; bytes], written: vec![0; bytes.div_ceil(64)] }
    }

    /// Checks an access without making it.
    pub(crate) fn check(&self, address: u64, bytes: u32) -> Result<usize, Cause> {
        check_alignment(self.space, address, bytes)?;
        let all = self.bytes.len() as u64;
        let end = address.checked_add(u64::from(bytes)).filter(|end| *end <= all);
        let out = Cause::OutOfBounds { space: self.space, address, bytes, nearest: Some((0, all)) };
        end.map(|_| address as usize).ok_or(out)
    }

    /// The bytes of an aligned load.
    pub(crate) fn load(&self, address: u64, bytes: u32) -> Result<&[u8], Cause> {
        let start = self.check(address, bytes)?;
        let mask = bit_mask(address, bytes);
        if self.written[start / 64] & mask != mask {
            return Err(Cause::Uninitialised { space: self.space, address, bytes });
        }
        Ok(&self.bytes[start..start + bytes as usize])
    }

    /// Makes bytes what they were when nobody had written them.
    pub(crate) fn forget(&mut self, address: u64, bytes: u64) -> Result<(), Cause> {
        const PIECE: u32 = 8;
        for at in (address..address + bytes).step_by(PIECE as usize) {
            let start = self.check(at, PIECE)?;
            self.written[start / 64] &= !bit_mask(at, PIECE);
            self.bytes[start..start + PIECE as usize].fill(0xff);
        }
        Ok(())
    }

    /// The bytes that an aligned store replaces.
    pub(crate) fn store(&mut self, address: u64, bytes: u32) -> Result<&mut [u8], Cause> {
        let start = self.check(address, bytes)?;
        self.written[start / 64] |= bit_mask(address, bytes);
        Ok(&mut self.bytes[start..start + bytes as usize])
    }
}

/// Up to eight bytes as a slot.
pub(crate) fn slot_of(bytes: &[u8]) -> u64 {
    let mut all = [0; 8];
    all[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_written_is_read() {
        let mut memory = Scratch::new(Space::Shared, 128);
        memory.store(64, 8).unwrap().copy_from_slice(&[1; 8]);
        assert_eq!(slot_of(memory.load(68, 4).unwrap()), 0x0101_0101);
        assert!(matches!(memory.load(64, 16), Err(Cause::Uninitialised { address: 64, .. })));
        assert!(matches!(memory.load(128, 4), Err(Cause::OutOfBounds { .. })));
        assert!(matches!(memory.load(u64::MAX - 3, 4), Err(Cause::OutOfBounds { .. })));
        assert!(matches!(memory.store(2, 4), Err(Cause::Misaligned { .. })));
    }
}
