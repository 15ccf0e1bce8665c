//! What works on shared memory by itself, beside the threads: copies of tensors and matrix units (the async proxy).
//!
//! It sees what a thread wrote only after that thread, or the one that starts it, has fenced; and what it reads must stay as
//! it is until somebody has waited for it.

use crate::fault::Cause;

/// Bytes of a word that remembers who wrote it.
const WORD: u64 = 4;

/// Bytes that are being read, or that are about to be written.
#[derive(Clone, Copy, Debug)]
struct Use {
    start: u64,
    end: u64,
    what: &'static str,
    ticket: u64,
}

/// Who wrote a word, and how many fences there had been.
#[derive(Clone, Copy, Debug, Default)]
struct Written {
    /// The thread's number and one more; zero where nobody wrote, or where the proxy itself did.
    thread: u32,
    fences: u32,
}

/// What a block's threads wrote and fenced, and what is in use beside them.
#[derive(Debug, Default)]
pub(crate) struct Proxy {
    words: Vec<Written>,
    /// Fences of all threads so far, and how many there were with each thread's last one.
    fences: u32,
    last: Vec<u32>,
    uses: Vec<Use>,
    tickets: u64,
}

impl Proxy {
    /// For so many bytes of shared memory and threads. Kernels without such work need none.
    pub(crate) fn new(bytes: u32, threads: u32) -> Self {
        let words = vec![Written::default(); u64::from(bytes).div_ceil(WORD) as usize];
        Self { words, last: vec![0; threads as usize], ..Self::default() }
    }

    /// A thread has written bytes in the usual way.
    pub(crate) fn write(&mut self, thread: u32, address: u64, bytes: u64) -> Result<(), Cause> {
        if self.words.is_empty() {
            return Ok(());
        }
        self.check_free(address, bytes)?;
        let written = Written { thread: thread + 1, fences: self.fences };
        for word in address / WORD..(address + bytes).div_ceil(WORD) {
            if let Some(word) = self.words.get_mut(word as usize) {
                *word = written;
            }
        }
        Ok(())
    }

    /// Threads fence (`fence.proxy.async`).
    pub(crate) fn fence(&mut self, threads: impl Iterator<Item = u32>) {
        self.fences += 1;
        for thread in threads {
            if let Some(last) = self.last.get_mut(thread as usize) {
                *last = self.fences;
            }
        }
    }

    /// Bytes are read for a thread. What was written in the usual way must have been fenced.
    pub(crate) fn read(&self, thread: u32, address: u64, bytes: u64) -> Result<(), Cause> {
        let last = |thread: u32| self.last.get(thread as usize).copied().unwrap_or(0);
        for word in address / WORD..(address + bytes).div_ceil(WORD) {
            let Some(written) = self.words.get(word as usize) else { return Ok(()) };
            let Some(writer) = written.thread.checked_sub(1) else { continue };
            if last(writer) <= written.fences && last(thread) <= written.fences {
                return Err(Cause::Unfenced { address: word * WORD, writer });
            }
        }
        Ok(())
    }

    /// Bytes are written beside the threads.
    pub(crate) fn replace(&mut self, address: u64, bytes: u64) {
        for word in address / WORD..(address + bytes).div_ceil(WORD) {
            if let Some(word) = self.words.get_mut(word as usize) {
                *word = Written::default();
            }
        }
    }

    /// A number for what is in use from now on.
    pub(crate) fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// Bytes are in use until their ticket is given back.
    pub(crate) fn occupy(&mut self, ticket: u64, address: u64, bytes: u64, what: &'static str) {
        self.uses.push(Use { start: address, end: address + bytes, what, ticket });
    }

    /// Whatever has this ticket is not in use any more.
    pub(crate) fn release(&mut self, ticket: u64) {
        self.uses.retain(|used| used.ticket != ticket);
    }

    /// Bytes that are about to be written must not be in use.
    pub(crate) fn check_free(&self, address: u64, bytes: u64) -> Result<(), Cause> {
        let end = address + bytes;
        match self.uses.iter().find(|used| used.start < end && address < used.end) {
            Some(used) => Err(Cause::InUse { address: address.max(used.start), by: used.what }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wrote_or_who_reads_must_fence() {
        let mut proxy = Proxy::new(64, 4);
        proxy.write(1, 8, 8).unwrap();
        assert_eq!(proxy.read(2, 0, 16), Err(Cause::Unfenced { address: 8, writer: 1 }));
        proxy.fence([0].into_iter());
        assert!(proxy.read(2, 0, 16).is_err());
        assert_eq!(proxy.read(0, 0, 16), Ok(()));
        proxy.fence([1].into_iter());
        assert_eq!(proxy.read(2, 0, 16), Ok(()));
        // What is written later takes another fence.
        proxy.write(1, 12, 1).unwrap();
        assert_eq!(proxy.read(2, 8, 16), Err(Cause::Unfenced { address: 12, writer: 1 }));
        proxy.replace(12, 4);
        assert_eq!(proxy.read(2, 8, 16), Ok(()));
    }

    #[test]
    fn what_is_in_use_stays_as_it_is() {
        let mut proxy = Proxy::new(64, 4);
        let (first, second) = (proxy.ticket(), proxy.ticket());
        proxy.occupy(first, 16, 8, "one");
        proxy.occupy(second, 20, 8, "another");
        assert_eq!(proxy.check_free(23, 1), Err(Cause::InUse { address: 23, by: "one" }));
        assert_eq!(proxy.write(0, 0, 16), Ok(()));
        proxy.release(first);
        assert_eq!(proxy.write(0, 12, 16), Err(Cause::InUse { address: 20, by: "another" }));
        assert_eq!(proxy.check_free(28, 4), Ok(()));
    }
}
