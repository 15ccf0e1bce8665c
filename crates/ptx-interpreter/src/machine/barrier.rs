//! Barriers of a block.

/// How many a block has.
pub(super) const BARRIERS: usize = 16;

/// What a barrier computes of the predicates of those who arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    Count,
    And,
    Or,
}

/// A barrier, and who has arrived at it in this round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Barrier {
    pub(super) round: u64,
    arrived: u32,
    /// Threads that were asked for by number, otherwise all that are alive.
    expected: Option<u32>,
    holds: u32,
    /// What came out of the last round: how many arrived, and in how many the predicate held.
    last: (u32, u32),
}

impl Barrier {
    /// Threads arrive, `holds` of them with a predicate that is true.
    pub(super) fn arrive(&mut self, threads: u32, holds: u32, expected: Option<u32>) {
        self.arrived += threads;
        self.holds += holds;
        self.expected = expected.or(self.expected);
    }

    /// Ends the round if everybody has arrived. Returns whether that is so.
    pub(super) fn complete(&mut self, alive: u32) -> bool {
        let is_complete = self.arrived > 0 && self.arrived >= self.expected.unwrap_or(alive);
        if is_complete {
            *self = Self { round: self.round + 1, last: (self.arrived, self.holds), ..Self::default() };
        }
        is_complete
    }

    /// The result of the last round.
    pub(super) fn result(&self, reduction: Reduction) -> u64 {
        let (arrived, holds) = self.last;
        match reduction {
            Reduction::Count => u64::from(holds),
            Reduction::And => u64::from(holds == arrived),
            Reduction::Or => u64::from(holds > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_ends_when_all_have_arrived() {
        let mut barrier = Barrier::default();
        barrier.arrive(32, 3, None);
        assert!(!barrier.complete(64));
        barrier.arrive(32, 0, None);
        assert!(barrier.complete(64) && !barrier.complete(64));
        assert_eq!(barrier.round, 1);
        let results = [Reduction::Count, Reduction::And, Reduction::Or].map(|reduction| barrier.result(reduction));
        assert_eq!(results, [3, 0, 1]);
        barrier.arrive(32, 0, Some(64));
        assert!(!barrier.complete(32), "a number of threads is waited for whoever is alive");
    }
}
