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
