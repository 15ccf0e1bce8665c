//! Asynchronous copies of threads, which arrive as late as they may.

use std::collections::VecDeque;

/// A copy to shared memory that has been started (`cp.async`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copy {
    /// The address in shared memory.
    pub(crate) to: u64,
    /// The address in global memory.
    pub(crate) from: u64,
    pub(crate) bytes: u32,
    /// How many of them are read; the rest is zero.
    pub(crate) read: u32,
}

/// The copies of a thread that have not arrived, in groups.
#[derive(Clone, Debug)]
pub(crate) struct Copies<C = Copy> {
    open: Vec<C>,
    committed: VecDeque<Vec<C>>,
}

impl<C> Default for Copies<C> {
    fn default() -> Self {
        Self { open: Vec::new(), committed: VecDeque::new() }
    }
}

impl<C> Copies<C> {
    pub(crate) fn start(&mut self, copy: C) {
        self.open.push(copy);
    }

    /// Ends a group of copies (`cp.async.commit_group`).
    pub(crate) fn commit(&mut self) {
        self.committed.push_back(std::mem::take(&mut self.open));
    }

    /// Takes the copies that must have arrived when at most `left` groups may be on their way.
    pub(crate) fn wait(&mut self, left: usize) -> Vec<C> {
        self.committed.drain(..self.over(left)).flatten().collect()
    }

    /// Takes all copies (`cp.async.wait_all`).
    pub(crate) fn wait_all(&mut self) -> Vec<C> {
        self.commit();
        self.wait(0)
    }

    /// The copies of which a part must be done when for at most `left` groups it may not be.
    pub(crate) fn part_of(&mut self, left: usize) -> impl Iterator<Item = &mut C> {
        let over = self.over(left);
        self.committed.range_mut(..over).flatten()
    }

    fn over(&self, left: usize) -> usize {
        self.committed.len().saturating_sub(left)
    }
}
