//! Asynchronous copies to shared memory (`cp.async`), which arrive as late as they may.

use std::collections::VecDeque;

/// A copy that has been started.
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

/// The copies of a thread that have not arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copies {
    open: Vec<Copy>,
    committed: VecDeque<Vec<Copy>>,
}

impl Copies {
    pub(crate) fn start(&mut self, copy: Copy) {
        self.open.push(copy);
    }

    /// Ends a group of copies (`cp.async.commit_group`).
    pub(crate) fn commit(&mut self) {
        self.committed.push_back(std::mem::take(&mut self.open));
    }

    /// Takes the copies that must have arrived when at most `left` groups may be on their way.
    pub(crate) fn wait(&mut self, left: usize) -> Vec<Copy> {
        let arrived = self.committed.len().saturating_sub(left);
        self.committed.drain(..arrived).flatten().collect()
    }

    /// Takes all copies (`cp.async.wait_all`).
    pub(crate) fn wait_all(&mut self) -> Vec<Copy> {
        self.commit();
        self.wait(0)
    }
}
