//! Lanes that execute an instruction together: their operands, their results, and the memory they reach.

use super::warp::{LANES, Row, Warp};
use crate::counters::Counters;
use crate::fault::{Cause, Problem};
use crate::machine::{Fetch, Meeting, Message, Phases, Told};
use crate::memory::{Actor, Proxy, Races, Scratch, View};
use crate::text::{Register, Source, Special};
use crate::value::Value;

/// What the instructions of a block reach besides registers.
pub(crate) struct Block<'l> {
    pub(crate) index: [u32; 3],
    /// The number of the block in the order of the grid.
    pub(crate) number: u64,
    pub(crate) launch: &'l super::launch::Shape<'l>,
    pub(crate) shared: Scratch,
    pub(crate) races: Option<Races>,
    /// Barriers in shared memory, what works on it beside the threads, and copies that are on their way there.
    pub(crate) phases: Phases,
    pub(crate) proxy: Proxy,
    pub(crate) fetches: Vec<Fetch>,
    /// What other blocks of the cluster have not been told yet, and the barrier of all of them.
    pub(crate) outbox: Vec<Message>,
    pub(crate) meeting: Meeting,
    /// The instruction that is being executed.
    pub(crate) pc: u32,
    pub(crate) global: View<'l>,
    pub(crate) counters: Counters,
    /// Instructions of warps so far, which are also the clock.
    pub(crate) ticks: u64,
    /// How many times something changed that others may wait for.
    pub(crate) events: u64,
    /// How many times a barrier was passed.
    pub(crate) epoch: u32,
    pub(crate) random: super::random::Random,
}

impl Block<'_> {
    /// The place of the block in its cluster.
    pub(crate) fn rank(&self) -> u32 {
        (self.number % u64::from(self.launch.kernel.cluster)) as u32
    }

    /// The index of a thread, from its number within the block.
    pub(crate) fn thread_index(&self, thread: u32) -> [u32; 3] {
        let [x, y, _] = self.launch.block;
        [thread % x, thread / x % y, thread / (x * y)]
    }
}

/// The lanes of a warp that execute an instruction together.
pub(crate) struct Lanes<'a, 'l> {
    pub(crate) warp: &'a mut Warp,
    pub(crate) block: &'a mut Block<'l>,
    /// One bit for each lane.
    pub(crate) mask: u32,
}

/// The lanes of a mask, from the first.
pub(crate) fn lanes_of(mask: u32) -> impl Iterator<Item = usize> {
    let mut rest = mask;
    std::iter::from_fn(move || {
        let lane = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
        rest &= rest - 1;
        Some(lane)
    })
}

impl Lanes<'_, '_> {
    /// How many lanes there are.
    pub(crate) fn count(&self) -> u64 {
        u64::from(self.mask.count_ones())
    }

    /// The number of a lane's thread within the block.
    pub(crate) fn thread(&self, lane: usize) -> u32 {
        self.warp.index * LANES as u32 + lane as u32
    }

    /// A lane's thread at this moment.
    pub(crate) fn actor(&self, lane: usize) -> Actor {
        Actor { thread: self.thread(lane), block_epoch: self.block.epoch, warp_epoch: self.warp.epoch }
    }

    /// The values of an operand, all of which must be set.
    pub(crate) fn read(&self, source: Source) -> Result<Row, Problem> {
        if let Source::Register(register) = source {
            let unset = self.mask & !self.warp.set_lanes(register);
            if unset != 0 {
                return Err(Problem::unset(register, unset));
            }
            return Ok(*self.warp.row(register));
        }
        Ok(self.constant(source))
    }

    /// The values of an operand, and the lanes in which they are set.
    pub(crate) fn read_unset(&self, source: Source) -> (Row, u32) {
        match source {
            Source::Register(register) => (*self.warp.row(register), self.warp.set_lanes(register)),
            _ => (self.constant(source), u32::MAX),
        }
    }

    fn constant(&self, source: Source) -> Row {
        let launch = self.block.launch;
        match source {
            Source::Register(register) => *self.warp.row(register),
            Source::Immediate(value) => [value; LANES],
            Source::Dynamic(offset) => [u64::from(launch.dynamic_start).wrapping_add(offset); LANES],
            Source::Global { variable, offset } => {
                let base = launch.variables.get(variable as usize).copied().unwrap_or_default();
                [base.wrapping_add(offset); LANES]
            }
            Source::Special(special) => self.special(special),
        }
    }

    fn special(&self, special: Special) -> Row {
        let launch = self.block.launch;
        let of_lane = |f: &dyn Fn(u32) -> u32| std::array::from_fn(|lane| u64::from(f(lane as u32)));
        let ticks = launch.clock.wrapping_add(self.block.ticks);
        let same = match special {
            Special::Thread(axis) => {
                let thread = |lane: u32| self.block.thread_index(self.thread(lane as usize))[axis as usize];
                return of_lane(&thread);
            }
            Special::Lane => return of_lane(&|lane| lane),
            Special::LanesEqual => return of_lane(&|lane| 1 << lane),
            Special::LanesBelow => return of_lane(&|lane| (1 << lane) - 1),
            Special::LanesUpTo => return of_lane(&|lane| u32::MAX >> (31 - lane)),
            Special::LanesAbove => return of_lane(&|lane| !(u32::MAX >> (31 - lane))),
            Special::LanesFrom => return of_lane(&|lane| u32::MAX << lane),
            Special::BlockSize(axis) => u64::from(launch.block[axis as usize]),
            Special::Block(axis) => u64::from(self.block.index[axis as usize]),
            Special::GridSize(axis) => u64::from(launch.grid[axis as usize]),
            Special::Warp => u64::from(self.warp.index),
            Special::Warps => u64::from(launch.threads().div_ceil(LANES as u32)),
            Special::Multiprocessor => self.block.number % u64::from(launch.multiprocessors.max(1)),
            Special::Multiprocessors => u64::from(launch.multiprocessors),
            Special::Grid => 0,
            Special::ClusterRank => u64::from(self.block.rank()),
            Special::ClusterSize => u64::from(launch.kernel.cluster),
            Special::Clock | Special::NanosecondsLow => ticks & 0xffff_ffff,
            Special::ClockHigh | Special::NanosecondsHigh => ticks >> 32,
            Special::Clock64 | Special::Nanoseconds => ticks,
            Special::DynamicShared => u64::from(launch.dynamic_shared),
            Special::TotalShared => u64::from(launch.dynamic_start + launch.dynamic_shared),
        };
        [same; LANES]
    }

    /// The lanes in which a predicate holds.
    pub(crate) fn predicate(&self, source: Source, negated: bool) -> Result<u32, Problem> {
        let row = self.read(source)?;
        let holds = row.iter().enumerate().fold(0, |mask, (lane, value)| mask | ((value & 1) as u32) << lane);
        Ok(self.mask & if negated { !holds } else { holds })
    }

    /// Writes a result to these lanes.
    #[inline]
    pub(crate) fn write(&mut self, register: Register, value: impl Fn(usize) -> u64) {
        let mask = self.mask;
        let row = self.warp.row_mut(register);
        if mask == u32::MAX {
            for (lane, slot) in row.iter_mut().enumerate() {
                *slot = value(lane);
            }
        } else {
            for lane in lanes_of(mask) {
                row[lane] = value(lane);
            }
        }
        self.warp.mark(register, mask, true);
    }

    /// Writes a result to one lane.
    pub(crate) fn write_lane(&mut self, register: Register, lane: usize, value: u64) {
        self.warp.row_mut(register)[lane] = value;
        self.warp.mark(register, 1 << lane, true);
    }

    /// Writes what a function makes of one operand.
    #[inline]
    pub(crate) fn map<A: Value, R: Value>(
        &mut self,
        to: Register,
        from: Source,
        f: impl Fn(A) -> R,
    ) -> Result<(), Problem> {
        let a = self.read(from)?;
        self.write(to, |lane| f(A::from_slot(a[lane])).slot());
        Ok(())
    }

    /// Writes what a function makes of two operands.
    #[inline]
    pub(crate) fn map2<A: Value, B: Value, R: Value>(
        &mut self,
        to: Register,
        from: [Source; 2],
        f: impl Fn(A, B) -> R,
    ) -> Result<(), Problem> {
        let (a, b) = (self.read(from[0])?, self.read(from[1])?);
        self.write(to, |lane| f(A::from_slot(a[lane]), B::from_slot(b[lane])).slot());
        Ok(())
    }

    /// Writes what a function makes of three operands.
    #[inline]
    pub(crate) fn map3<A: Value, B: Value, C: Value, R: Value>(
        &mut self,
        to: Register,
        from: [Source; 3],
        f: impl Fn(A, B, C) -> R,
    ) -> Result<(), Problem> {
        let (a, b, c) = (self.read(from[0])?, self.read(from[1])?, self.read(from[2])?);
        self.write(to, |lane| f(A::from_slot(a[lane]), B::from_slot(b[lane]), C::from_slot(c[lane])).slot());
        Ok(())
    }

    /// A lane tells another block of the cluster something.
    pub(crate) fn tell(&mut self, lane: usize, to: u32, what: Told) {
        let (warp, pc) = (self.warp.index, self.block.pc);
        self.block.outbox.push(Message { to, what, warp, lane, pc });
    }

    /// Does something for each lane, whose faults are then its own.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&mut Self, usize) -> Result<(), Cause>) -> Result<(), Problem> {
        for lane in lanes_of(self.mask) {
            f(self, lane).map_err(|cause| Problem::of_lane(lane, cause))?;
        }
        Ok(())
    }
}
