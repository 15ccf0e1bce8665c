//! Why a file is no observation. An error names places and numbers, and never quotes text of the file.

use super::import::IMPORTERS;

/// The largest file that is read.
pub const MAX_BYTES: u64 = 128 << 20;

/// Numbers beyond this are no measurement, in whatever unit.
pub(super) const MAX_NUMBER: f64 = 1e18;

/// Why a file is no observation.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read at all.
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),
    /// It is larger than any result file.
    #[error("it is larger than {} MiB, which is more than is read of a result file", MAX_BYTES >> 20)]
    TooLarge,
    /// It holds more values than any result file, beside those that are skipped.
    #[error(
        "its values take more than {} MiB of memory, which is more than is kept of a result file",
        super::node::MOST >> 20
    )]
    TooMuch,
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is not text.
    #[error("it is not text: byte {at} is not UTF-8")]
    NotText {
        /// The first byte that is not.
        at: usize,
    },
    /// It begins as JSON and is not.
    #[error("it is not JSON: line {line}, column {column}, after {whole} whole documents")]
    NotJson {
        /// Where it stops being JSON.
        line: usize,
        /// Where it stops being JSON.
        column: usize,
        /// Documents before that.
        whole: usize,
    },
    /// It is JSON, but the end is missing.
    #[error("it is truncated: it ends in the middle of a document, after {whole} whole ones")]
    Truncated {
        /// Documents before that.
        whole: usize,
    },
    /// Nobody's file.
    #[error("it is of none of the kinds that are read: {}", known())]
    Unknown,
    /// A later rooflab's observation.
    #[error(
        "it is of version {found} of `rooflab.observation`; this rooflab reads up to version {}",
        super::document::SCHEMA_MAJOR
    )]
    Newer {
        /// Its major version.
        found: u32,
    },
    /// Something in it is missing or not what it should be.
    #[error("`{at}`: {problem}")]
    Field {
        /// Where: the file's name and the place in it.
        at: String,
        /// What was expected, and what is there.
        problem: String,
    },
    /// It is a file of a tool that is read, without a measurement in it.
    #[error("it is a file of {tool} without a single measurement")]
    Nothing {
        /// The tool.
        tool: &'static str,
    },
}

impl ReadError {
    /// A fault at a place.
    pub(super) fn at(at: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field { at: at.into(), problem: problem.into() }
    }
}

/// The kinds of files that are read.
fn known() -> String {
    IMPORTERS.iter().map(|importer| importer.name).collect::<Vec<_>>().join(", ")
}
