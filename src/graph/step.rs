//! A step of an engine: the sequences that go through the model together.

/// Equal sequences within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sequences {
    /// How many.
    pub count: u64,
    /// Tokens of each that go through the model now.
    pub new_tokens: u64,
    /// Tokens of each before those, whose keys and values are cached.
    pub cached: u64,
    /// Tokens of each whose logits are wanted: 1, unless all tokens are checked (speculation) or none (a chunk that is not the last).
    pub logits: u64,
}

impl Sequences {
    /// Tokens of one of them after the step.
    #[must_use]
    pub const fn context(self) -> u64 {
        self.cached.saturating_add(self.new_tokens)
    }

    /// Whether they are past their prompts: the logits of all new tokens are wanted, as those of a token that is decoded, or of several that are checked.
    #[must_use]
    pub const fn is_decoded(self) -> bool {
        self.logits >= self.new_tokens
    }

    /// Tokens of one of them that any of its new tokens attends to: all so far, or with a window those that the windows of the new tokens cover together.
    #[must_use]
    pub fn reach(self, window: Option<u64>) -> u64 {
        let covered = |window: u64| window.max(1).saturating_add(self.new_tokens.saturating_sub(1));
        window.map_or(self.context(), |window| self.context().min(covered(window)))
    }

    /// Pairs of a new token and a token it attends to, in one of them. Attention is causal and a token attends to itself: n new tokens after c cached ones
    /// make n·c + n·(n + 1)/2 pairs. Without the diagonal that is the n·c + n²/2 of textbooks. A window cuts each token's share to its size, the token itself included.
    #[must_use]
    pub fn pairs(self, window: Option<u64>) -> f64 {
        let window = window.map_or(u64::MAX, |window| window.max(1));
        // The first new tokens still see everything before them; the others see a whole window.
        let whole = window.saturating_sub(self.cached).min(self.new_tokens);
        let (cut, whole) = ((self.new_tokens - whole) as f64, whole as f64);
        whole * self.cached as f64 + whole * (whole + 1.0) / 2.0 + cut * window as f64
    }
}

/// What goes through the model together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Step {
    /// Its sequences, those of a kind together.
    pub sequences: Vec<Sequences>,
}

impl Step {
    /// One new token for each sequence of a batch, which attends to some tokens, itself included.
    #[must_use]
    pub fn decode(batch: u64, context: u64) -> Self {
        Self::of(Sequences { count: batch, new_tokens: 1, cached: context.saturating_sub(1), logits: 1 })
    }

    /// Whole prompts of some tokens.
    #[must_use]
    pub fn prefill(batch: u64, prompt: u64) -> Self {
        Self::of(Sequences { count: batch, new_tokens: prompt, cached: 0, logits: 1 })
    }

    /// Equal sequences.
    #[must_use]
    pub fn of(sequences: Sequences) -> Self {
        Self { sequences: vec![sequences] }
    }

    /// This step together with others: chunks of prompts beside sequences that decode.
    #[must_use]
    pub fn with(mut self, sequences: Sequences) -> Self {
        self.sequences.push(sequences);
        self
    }

    /// Tokens that go through the model.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.sum(|group| group.new_tokens)
    }

    /// Tokens whose logits are wanted.
    #[must_use]
    pub fn logits(&self) -> u64 {
        self.sum(|group| group.logits)
    }

    fn sum(&self, of: impl Fn(&Sequences) -> u64) -> u64 {
        self.sequences.iter().fold(0, |sum, group| sum.saturating_add(group.count.saturating_mul(of(group))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pairs_and_reach_are_those_that_counting_finds(new_tokens in 1_u64..40, cached in 0_u64..40, size in 1_u64..50, windowed: bool) {
            let window = windowed.then_some(size);
            let sequence = Sequences { count: 1, new_tokens, cached, logits: 1 };
            let looks_back = |place: u64| window.map_or(place + 1, |window| window.min(place + 1));
            let pairs: u64 = (cached..cached + new_tokens).map(looks_back).sum();
            prop_assert_eq!(sequence.pairs(window), pairs as f64);
            let first_seen = (cached..cached + new_tokens).map(|place| place + 1 - looks_back(place)).min().unwrap();
            prop_assert_eq!(sequence.reach(window), cached + new_tokens - first_seen);
        }

        #[test]
        fn no_number_is_too_large(count: u64, new_tokens: u64, cached: u64, window: Option<u64>) {
            let sequence = Sequences { count, new_tokens, cached, logits: u64::MAX };
            prop_assert!(sequence.pairs(window).is_finite());
            prop_assert!(sequence.reach(window) <= sequence.context());
            prop_assert!(Step::of(sequence).with(sequence).tokens() >= count.saturating_mul(new_tokens));
        }
    }
}
