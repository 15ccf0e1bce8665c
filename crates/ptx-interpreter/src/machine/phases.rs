//! Barriers that lie in shared memory (`mbarrier`). A phase of one ends when as many arrivals have come as it was made for,
//! and as many bytes of asynchronous copies as were announced.

use std::collections::BTreeMap;

use crate::fault::Cause;

/// Bytes of a barrier, and arrivals and announced bytes of a phase at most.
pub(crate) const BARRIER_BYTES: u32 = 8;
const MOST: u64 = (1 << 20) - 1;

/// A barrier in the middle of a phase.
#[derive(Clone, Copy, Debug)]
struct Barrier {
    expected: u32,
    pending: u32,
    /// Bytes that were announced and have not come; below zero those that came first.
    bytes: i64,
    /// Phases that have ended.
    phase: u64,
}

/// The barriers of a block by their addresses in shared memory.
#[derive(Debug, Default)]
pub(crate) struct Phases(BTreeMap<u64, Barrier>);

fn wrong(address: u64, reason: impl Into<String>) -> Cause {
    Cause::Barrier { address, reason: reason.into() }
}

impl Phases {
    /// Makes a barrier (`mbarrier.init`).
    pub(crate) fn make(&mut self, address: u64, arrivals: u64) -> Result<(), Cause> {
        if arrivals == 0 || arrivals > MOST {
            return Err(wrong(address, format!("it is made for {arrivals} arrivals")));
        }
        let expected = arrivals as u32;
        let barrier = Barrier { expected, pending: expected, bytes: 0, phase: 0 };
        match self.0.insert(address, barrier) {
            None => Ok(()),
            Some(_) => Err(wrong(address, "it is made where one is already")),
        }
    }

    /// Gives its memory back (`mbarrier.inval`).
    pub(crate) fn remove(&mut self, address: u64) -> Result<(), Cause> {
        self.0.remove(&address).map(|_| ()).ok_or_else(|| wrong(address, "there is none"))
    }

    /// Whether any of some bytes belong to a barrier.
    pub(crate) fn are_at(&self, address: u64, bytes: u64) -> bool {
        let from = address.saturating_sub(u64::from(BARRIER_BYTES) - 1);
        self.0.range(from..address.saturating_add(bytes)).next().is_some()
    }

    /// Announces bytes, or with a negative number lets them come.
    pub(crate) fn expect(&mut self, address: u64, bytes: i64) -> Result<(), Cause> {
        self.change(address, bytes, 0).map(|_| ())
    }

    /// Announces bytes, and threads arrive: a phase does not end in between. Returns the number of the phase.
    pub(crate) fn change(&mut self, address: u64, bytes: i64, arrivals: u64) -> Result<u64, Cause> {
        let barrier = self.0.get_mut(&address).ok_or_else(|| wrong(address, "there is none"))?;
        let pending = u64::from(barrier.pending).checked_sub(arrivals);
        let pending = pending.ok_or_else(|| wrong(address, "more arrive than it was made for"))? as u32;
        let bytes = barrier.bytes.saturating_add(bytes);
        if bytes.unsigned_abs() > MOST {
            return Err(wrong(address, "more bytes are on their way than it can count"));
        }
        let phase = barrier.phase;
        *barrier = Barrier { pending, bytes, ..*barrier };
        if pending == 0 && bytes == 0 {
            *barrier = Barrier { pending: barrier.expected, phase: phase + 1, ..*barrier };
        }
        Ok(phase)
    }

    /// How many phases of a barrier have ended.
    pub(crate) fn ended(&self, address: u64) -> Result<u64, Cause> {
        self.0.get(&address).map(|barrier| barrier.phase).ok_or_else(|| wrong(address, "there is none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_ends_with_the_last_arrival_and_the_last_byte() {
        let mut phases = Phases::default();
        phases.make(64, 2).unwrap();
        assert_eq!(phases.change(64, 96, 1), Ok(0));
        assert_eq!(phases.change(64, 0, 1), Ok(0));
        assert_eq!(phases.ended(64), Ok(0), "bytes are missing");
        phases.expect(64, -64).unwrap();
        assert_eq!(phases.ended(64), Ok(0));
        phases.expect(64, -32).unwrap();
        assert_eq!(phases.ended(64), Ok(1));
        // Bytes may come before they are announced.
        phases.expect(64, -32).unwrap();
        assert_eq!(phases.change(64, 0, 1), Ok(1));
        assert_eq!(phases.change(64, 32, 1), Ok(1));
        assert_eq!(phases.ended(64), Ok(2));
        assert!(phases.are_at(60, 8) && phases.are_at(71, 1) && !phases.are_at(72, 8) && !phases.are_at(56, 8));
    }

    #[test]
    fn misuse_is_named() {
        let mut phases = Phases::default();
        assert!(phases.change(8, 0, 1).is_err() && phases.make(8, 0).is_err() && phases.make(8, 1 << 20).is_err());
        phases.make(8, 1).unwrap();
        phases.expect(8, 16).unwrap();
        phases.change(8, 0, 1).unwrap();
        assert!(phases.change(8, 0, 1).unwrap_err().to_string().contains("more arrive"));
        assert!(phases.expect(8, 1 << 20).unwrap_err().to_string().contains("more bytes"));
        assert!(phases.make(8, 1).unwrap_err().to_string().contains("already"));
        phases.remove(8).unwrap();
        assert!(phases.remove(8).is_err() && phases.ended(8).is_err());
    }
}
