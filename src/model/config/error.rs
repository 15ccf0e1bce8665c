//! Why a text is not the configuration of a model that is understood.

use crate::model::Problem;

/// Characters of a configuration that an error quotes at most.
const SHORT: usize = 120;

/// Why a configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is larger than any configuration.
    #[error("it is larger than {} MiB, which no configuration is", super::MAX_BYTES >> 20)]
    TooLarge,
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is JSON, but no object.
    #[error("it is not a configuration: the outermost value is not an object")]
    NotObject,
    /// A field that is needed is not there.
    #[error("field `{field}` is missing")]
    Missing {
        /// Its name.
        field: String,
    },
    /// A field holds something of another type.
    #[error("field `{field}`: `{value}` is not {wanted}")]
    Wrong {
        /// Its name.
        field: String,
        /// What it holds.
        value: String,
        /// What was expected.
        wanted: &'static str,
    },
    /// A field holds something that rooflab does not know. Nothing is guessed in its place.
    #[error("not understood: field `{field}`: `{value}` ({why})")]
    NotUnderstood {
        /// Its name.
        field: String,
        /// What it holds.
        value: String,
        /// What is known.
        why: String,
    },
    /// Its numbers are those of no model.
    #[error("impossible: {0}")]
    Impossible(Problem),
}

/// Text of a configuration, fit to be shown: short, and without control characters that could play with the terminal.
pub(in crate::model) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHORT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHORT).is_some() {
        short.push('…');
    }
    short
}
