//! Races on shared memory: the last accesses to each byte, and whether a barrier lies between them.

use crate::fault::Cause;

/// A thread at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) thread: u32,
    /// How many barriers of the block have been passed.
    pub(crate) block_epoch: u32,
    /// How many times the warp has waited for all its lanes (`bar.warp.sync`).
    pub(crate) warp_epoch: u32,
}

impl Actor {
    /// Whether a barrier lies between two accesses, or one thread makes both.
    fn is_ordered_with(self, other: Self) -> bool {
        let same_warp = self.thread / 32 == other.thread / 32;
        self.thread == other.thread
            || self.block_epoch != other.block_epoch
            || (same_warp && self.warp_epoch != other.warp_epoch)
    }
}

/// How memory is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    /// Atomic and volatile accesses do not race with one another.
    Synchronising,
}

#[derive(Clone, Copy, Default)]
struct Byte {
    write: Option<(Actor, Access)>,
    /// One who has read since, and one of another warp if there is one.
    reads: [Option<Actor>; 2],
}

/// The last accesses to every byte of a block's shared memory. An access through flags in memory is not understood: only
/// barriers order.
pub(crate) struct Races(Vec<Byte>);

impl Races {
    pub(crate) fn new(bytes: u32) -> Self {
        Self(vec![Byte::default(); bytes as usize])
    }

    /// Notes a read.
    pub(crate) fn read(&mut self, actor: Actor, address: u64, bytes: u32, access: Access) -> Result<(), Cause> {
        for at in address..address + u64::from(bytes) {
            let Some(byte) = self.0.get_mut(at as usize) else { return Ok(()) };
            if let Some((writer, how)) = byte.write
                && !writer.is_ordered_with(actor)
                && !(access == Access::Synchronising && how == Access::Synchronising)
            {
                return Err(Cause::Race { address: at, other: writer.thread, other_writes: true });
            }
            if access == Access::Read {
                byte.note_read(actor);
            }
        }
        Ok(())
    }

    /// Forgets who was at bytes that something else has put in order.
    pub(crate) fn forget(&mut self, address: u64, bytes: u64) {
        for at in address..address + bytes {
            if let Some(byte) = self.0.get_mut(at as usize) {
                *byte = Byte::default();
            }
        }
    }

    /// Notes a write of bytes that are now `old` and will be `new`: who writes what another thread wrote does not race.
    pub(crate) fn write(
        &mut self,
        actor: Actor,
        address: u64,
        old: &[u8],
        new: &[u8],
        access: Access,
    ) -> Result<(), Cause> {
        for (at, (old, new)) in (address..).zip(old.iter().zip(new)) {
            let Some(byte) = self.0.get_mut(at as usize) else { return Ok(()) };
            if let Some((writer, how)) = byte.write
                && !writer.is_ordered_with(actor)
                && !(access == Access::Synchronising && how == Access::Synchronising)
                && old != new
            {
                return Err(Cause::Race { address: at, other: writer.thread, other_writes: true });
            }
            if let Some(reader) = byte.reads.into_iter().flatten().find(|reader| !reader.is_ordered_with(actor)) {
                return Err(Cause::Race { address: at, other: reader.thread, other_writes: false });
            }
            *byte = Byte { write: Some((actor, access)), reads: [None; 2] };
        }
        Ok(())
    }
}

impl Byte {
    fn note_read(&mut self, actor: Actor) {
        let stale = |read: Option<Actor>| read.is_none_or(|read| read.is_ordered_with(actor));
        let other_warp = |read: Option<Actor>| read.is_some_and(|read| read.thread / 32 != actor.thread / 32);
        if stale(self.reads[0]) {
            self.reads[0] = Some(actor);
        } else if stale(self.reads[1]) || (other_warp(self.reads[0]) && !other_warp(self.reads[1])) {
            self.reads[1] = Some(actor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actor(thread: u32, block_epoch: u32, warp_epoch: u32) -> Actor {
        Actor { thread, block_epoch, warp_epoch }
    }

    #[test]
    fn only_barriers_order() {
        let mut races = Races::new(16);
        races.write(actor(0, 0, 0), 4, &[0; 4], &[1; 4], Access::Write).unwrap();
        let race = races.read(actor(1, 0, 0), 4, 4, Access::Read);
        assert_eq!(race, Err(Cause::Race { address: 4, other: 0, other_writes: true }));
        races.read(actor(1, 0, 1), 4, 4, Access::Read).unwrap();
        assert!(races.read(actor(40, 0, 1), 4, 4, Access::Read).is_err());
        races.read(actor(40, 1, 0), 4, 4, Access::Read).unwrap();
        assert!(races.write(actor(0, 1, 0), 7, &[1], &[2], Access::Write).is_err(), "two have read it");
        races.write(actor(40, 1, 0), 12, &[0], &[2], Access::Write).unwrap();
        races.write(actor(41, 1, 0), 12, &[2], &[2], Access::Write).unwrap();
        assert!(races.write(actor(42, 1, 0), 12, &[2], &[3], Access::Write).is_err());
    }

    #[test]
    fn atomics_race_only_with_plain_accesses() {
        let mut races = Races::new(4);
        races.write(actor(0, 0, 0), 0, &[0], &[1], Access::Synchronising).unwrap();
        races.write(actor(1, 0, 0), 0, &[1], &[2], Access::Synchronising).unwrap();
        races.read(actor(2, 0, 0), 0, 1, Access::Synchronising).unwrap();
        assert!(races.read(actor(2, 0, 0), 0, 1, Access::Read).is_err());
    }
}
