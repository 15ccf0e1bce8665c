//! Reading a file of any kind: which kind it is, and what it says.

use std::borrow::Cow;
use std::io::Read;

use super::document::Observation;
use super::error::{MAX_BYTES, ReadError};
use super::import::{IMPORTERS, Importer};
use super::input::Input;

/// Reads a result file from a stream, of which at most [`MAX_BYTES`] are taken. The name is only used to tell where things stand; of a path, its last part.
///
/// # Errors
/// As [`from_bytes`], and when the stream fails or holds more.
pub fn from_reader(reader: impl Read, name: &str) -> Result<Vec<Observation>, ReadError> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    from_input(&Input::new(Cow::Owned(bytes), name)?)
}

/// Reads a result file of any kind that is known, which its content tells. There is an observation for each measurement in it, and at least one.
///
/// # Errors
/// When it is of no such kind, or something in it is missing or not what it should be. The error says where, and quotes no text of the file.
pub fn from_bytes(bytes: &[u8], name: &str) -> Result<Vec<Observation>, ReadError> {
    from_input(&Input::new(Cow::Borrowed(bytes), name)?)
}

fn from_input(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    let importer = IMPORTERS.iter().find(|importer| (importer.sniff)(input)).ok_or(ReadError::Unknown)?;
    let mut observations = (importer.read)(input)?;
    for observation in &mut observations {
        observation.derive();
    }
    observations.retain(|observation| !observation.is_empty());
    if observations.is_empty() {
        return Err(ReadError::Nothing { tool: importer.name });
    }
    Ok(observations)
}

/// The kinds of files that a file could be: one, or none.
///
/// # Errors
/// When it is no text, or begins as JSON and is not.
pub fn sniff(bytes: &[u8]) -> Result<Vec<&'static Importer>, ReadError> {
    let input = Input::new(Cow::Borrowed(bytes), "")?;
    Ok(IMPORTERS.iter().filter(|importer| (importer.sniff)(&input)).collect())
}

impl Observation {
    /// Whether nothing was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let parts = [self.kernels.len(), self.collectives.len(), self.copies.len(), self.rates.len()];
        self.metrics.is_empty() && parts.iter().sum::<usize>() == 0
    }
}
