//! What cannot be calculated, and why.

use crate::graph::Step;

/// Why there is no time for a step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Untimed(pub String);

/// What can go wrong with an estimate of serving.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ServingError {
    /// A number is outside of what can be calculated with.
    #[error("`{field}` is {value}; expected {expected}")]
    Value {
        /// Which number.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        expected: String,
    },
    /// A step has no time.
    #[error("no time for a step of {step}: {reason}")]
    Untimed {
        /// The step in words.
        step: String,
        /// What the source of times says.
        reason: Untimed,
    },
}

/// The largest count of tokens: sums and products of two still have all their digits that matter, and no time
/// overflows.
pub(crate) const MOST_TOKENS: u64 = 1 << 40;
/// The largest count of sequences or devices: a state of the queue is visited for each.
pub(crate) const MOST_SEQUENCES: u64 = 1 << 20;

/// Refuses a count outside of 1 to some most.
pub(in crate::estimate) fn count(field: &'static str, value: u64, most: u64) -> Result<(), ServingError> {
    if (1..=most).contains(&value) {
        return Ok(());
    }
    Err(ServingError::Value { field, value: value.to_string(), expected: format!("1 to {most}") })
}

/// Refuses a number that is not finite or not as expected.
pub(in crate::estimate) fn number(
    field: &'static str,
    value: f64,
    expected: &str,
    is_good: impl Fn(f64) -> bool,
) -> Result<(), ServingError> {
    if value.is_finite() && is_good(value) {
        return Ok(());
    }
    Err(ServingError::Value { field, value: value.to_string(), expected: expected.to_owned() })
}

/// A step in words: `16 × 1 token after 1024`.
pub(crate) fn in_words(step: &Step) -> String {
    let groups = step.sequences.iter().map(|group| {
        let tokens = if group.new_tokens == 1 { "token" } else { "tokens" };
        format!("{} × {} {tokens} after {}", group.count, group.new_tokens, group.cached)
    });
    groups.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Sequences;

    #[test]
    fn messages_name_the_field_and_its_value() {
        let error = count("prompt", 0, 9).unwrap_err();
        assert_eq!(error.to_string(), "`prompt` is 0; expected 1 to 9");
        let error = number("rate", f64::NAN, "a positive rate", |rate| rate > 0.0).unwrap_err();
        assert_eq!(error.to_string(), "`rate` is NaN; expected a positive rate");
    }

    #[test]
    fn steps_in_words() {
        let chunk = Sequences { count: 1, new_tokens: 512, cached: 0, logits: 0 };
        assert_eq!(in_words(&Step::decode(16, 1025).with(chunk)), "16 × 1 token after 1024, 1 × 512 tokens after 0");
    }
}
