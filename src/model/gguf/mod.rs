//! Reading the header of a GGUF file: the model, and the type of every tensor.
//!
//! The layers are read off the tensors themselves, so that any architecture of known tensors is understood; a tensor that is not known is an error.

mod header;
mod layers;
#[cfg(test)]
mod tests;

use std::io::Read;

use self::header::{Header, Value};
use super::Model;

/// Why a file is not a GGUF model that is understood.
#[derive(Debug, thiserror::Error)]
pub enum GgufError {
    /// It could not be read.
    #[error("it cannot be read: {0}")]
    Io(std::io::Error),
    /// It ends within its header.
    #[error("it is truncated")]
    Truncated,
    /// It ends before its last tensor does.
    #[error("it is truncated: it has {length} bytes, and its tensors need {needed}")]
    Short {
        /// Bytes of the file.
        length: u64,
        /// Bytes to the end of the last tensor.
        needed: u64,
    },
    /// It does not begin as one.
    #[error("it is not a GGUF file")]
    NotGguf,
    /// Its numbers begin with their highest byte.
    #[error("not understood: it is big-endian")]
    BigEndian,
    /// It is of another version.
    #[error("not understood: it is of version {0}; known are 2 and 3")]
    Version(u32),
    /// A number is larger than that of any model.
    #[error("{what} is {value}, which no model's is (at most {limit})")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The number.
        value: u64,
        /// What is read.
        limit: u64,
    },
    /// The metadata lack something.
    #[error("metadata `{key}` is missing")]
    Missing {
        /// Its key.
        key: String,
    },
    /// Something is not known, and nothing is guessed in its place.
    #[error("not understood: {what}: `{value}` ({why})")]
    NotUnderstood {
        /// What.
        what: String,
        /// What was found.
        value: String,
        /// What is known.
        why: String,
    },
    /// Its numbers are those of no model.
    #[error("impossible: {0}")]
    Impossible(super::Problem),
}

impl From<std::io::Error> for GgufError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}

/// What was read of one file of several.
#[derive(Clone, Debug, Default)]
pub struct GgufParts {
    header: Header,
}

impl GgufParts {
    /// Reads a file's header, and adds it to what the others had. With the length of the file, its tensors must end within.
    ///
    /// # Errors
    /// When it is no such header, or one with impossible numbers.
    pub fn add(&mut self, reader: impl Read, length: Option<u64>) -> Result<(), GgufError> {
        let mut part = Header::read(reader, length)?;
        self.header.tensors.append(&mut part.tensors);
        // The first file has all metadata; the others have what splits them.
        for (key, value) in part.metadata {
            self.header.metadata.entry(key).or_insert(value);
        }
        Ok(())
    }

    /// How many files the model is split into, as the first says.
    #[must_use]
    pub fn files(&self) -> u64 {
        match self.header.metadata.get("split.count") {
            Some(Value::Whole(count)) => (*count).max(1),
            _ => 1,
        }
    }

    /// The model of all files.
    ///
    /// # Errors
    /// When a tensor or a number is not understood.
    pub fn model(&self, name: &str) -> Result<Model, GgufError> {
        layers::model(&self.header, name)
    }
}

/// Reads a model that is in one file.
///
/// # Errors
/// As [`GgufParts::add`] and [`GgufParts::model`].
pub fn from_gguf(name: &str, reader: impl Read, length: Option<u64>) -> Result<Model, GgufError> {
    let mut parts = GgufParts::default();
    parts.add(reader, length)?;
    parts.model(name)
}
