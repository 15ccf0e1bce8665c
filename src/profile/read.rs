//! Reading a profile that may be truncated, hostile, of another version or not a profile at all.

use std::io::Read;

use serde_json::Value;

use super::document::{Profile, SCHEMA_MAJOR, SCHEMA_NAME};
use crate::resource::Resource;

/// The largest profile that is read. The most thorough of rooflab's own are a hundredth of it.
pub const MAX_BYTES: u64 = 64 << 20;

/// How a page begins a document that is embedded in it; attributes may follow before `>`.
pub const SCRIPT_START: &str = "<script type=\"application/json\"";
/// How a page ends such a document.
pub const SCRIPT_END: &str = "</script>";

/// Why a text is not a profile.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read at all.
    #[error("it cannot be read")]
    Io(#[from] std::io::Error),
    /// It is larger than any profile.
    #[error("it is larger than {} MiB, which no profile is", MAX_BYTES >> 20)]
    TooLarge,
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// It is JSON, but the end is missing.
    #[error("it is truncated: {0}")]
    Truncated(serde_json::Error),
    /// It is JSON of some other kind.
    #[error("it is not a profile: {0}")]
    NotProfile(String),
    /// It is a page, and none of rooflab's reports.
    #[error("it is a page in which no profile is embedded")]
    Page,
    /// It was written by a later rooflab, in a way this one does not understand.
    #[error("it is of version {found} of `{SCHEMA_NAME}`; this rooflab reads up to version {SCHEMA_MAJOR}")]
    Newer {
        /// Its major version.
        found: u32,
    },
    /// A field is missing or has the wrong type.
    #[error("field `{path}`: {cause}")]
    Field {
        /// Where.
        path: String,
        /// What is wrong.
        cause: String,
    },
}

/// Something worth telling about a profile that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadNote {
    /// Ceilings of kinds this rooflab does not know were left out.
    UnknownResources(Vec<String>),
    /// The page holds further profiles, so many, which were not read.
    FurtherProfiles(usize),
}

impl std::fmt::Display for ReadNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownResources(names) => {
                write!(f, "{} ceilings of unknown kinds were left out: {}", names.len(), names.join(", "))
            }
            Self::FurtherProfiles(1) => f.write_str("the page holds another profile; the first was read"),
            Self::FurtherProfiles(count) => write!(f, "the page holds {count} profiles more; the first was read"),
        }
    }
}

/// Reads a profile from a stream, of which at most [`MAX_BYTES`] are taken.
///
/// # Errors
/// As [`from_json`], and when the stream fails or holds more.
pub fn from_reader(reader: impl Read) -> Result<(Profile, Vec<ReadNote>), ReadError> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge);
    }
    from_json(&bytes)
}

/// Reads a profile of this or an earlier version, or the first that a report (`report.html`) has embedded. Fields and resources it does not know are ignored.
///
/// # Errors
/// When the text is not such a profile; the error says what is wrong, and where.
pub fn from_json(bytes: &[u8]) -> Result<(Profile, Vec<ReadNote>), ReadError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ReadError::Empty);
    }
    let (bytes, further) = if bytes.trim_ascii_start().starts_with(b"<") { embedded(bytes)? } else { (bytes, 0) };
    let mut value: Value = serde_json::from_slice(bytes)
        .map_err(|error| if error.is_eof() { ReadError::Truncated(error) } else { ReadError::NotJson(error) })?;
    check_header(&value)?;
    let unknown = leave_out_unknown(&mut value, "ceilings");
    leave_out_unknown(&mut value, "datasheet");
    leave_out_unknown(&mut value, "imported");
    let profile = serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, cause) = place_and_cause(&error);
        ReadError::Field { path, cause }
    })?;
    let mut notes = Vec::new();
    notes.extend((!unknown.is_empty()).then_some(ReadNote::UnknownResources(unknown)));
    notes.extend((further > 0).then_some(ReadNote::FurtherProfiles(further)));
    Ok((profile, notes))
}

/// Where in a document a field is wrong, and what is wrong with it. One that is missing is named like one that is there.
pub(super) fn place_and_cause(error: &serde_path_to_error::Error<serde_json::Error>) -> (String, String) {
    let (place, cause) = (error.path().to_string(), error.inner().to_string());
    let missing = cause.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    match missing {
        Some((field, _)) if error.path().iter().next().is_none() => (field.to_owned(), "it is missing".to_owned()),
        Some((field, _)) => (format!("{place}.{field}"), "it is missing".to_owned()),
        None => (place, cause),
    }
}

/// The first document that a page has embedded, and how many follow it.
fn embedded(page: &[u8]) -> Result<(&[u8], usize), ReadError> {
    let find = |text: &[u8], what: &str| text.windows(what.len()).position(|window| window == what.as_bytes());
    let inside = || {
        let rest = &page[find(page, SCRIPT_START)?..];
        let rest = &rest[find(rest, ">")? + 1..];
        let end = find(rest, SCRIPT_END)?;
        let starts = rest[end..].windows(SCRIPT_START.len()).filter(|window| *window == SCRIPT_START.as_bytes());
        Some((&rest[..end], starts.count()))
    };
    inside().ok_or(ReadError::Page)
}

fn check_header(value: &Value) -> Result<(), ReadError> {
    let Some(object) = value.as_object() else {
        return Err(ReadError::NotProfile("the outermost value is not an object".to_owned()));
    };
    let Some(schema) = object.get("schema").and_then(Value::as_str) else {
        return Err(ReadError::NotProfile("there is no field `schema`".to_owned()));
    };
    let not_ours = || ReadError::NotProfile(format!("its schema is `{}`", shortened(schema)));
    let (name, version) = schema.split_once('/').ok_or_else(not_ours)?;
    if name != SCHEMA_NAME {
        return Err(not_ours());
    }
    match version.parse::<u32>() {
        Ok(found) if found > SCHEMA_MAJOR => Err(ReadError::Newer { found }),
        Ok(found) if found == SCHEMA_MAJOR => Ok(()),
        _ => Err(not_ours()),
    }
}

/// Removes entries whose resource is of a later rooflab, and names them.
pub(super) fn leave_out_unknown(value: &mut Value, list: &str) -> Vec<String> {
    let mut unknown = Vec::new();
    if let Some(entries) = value.get_mut(list).and_then(Value::as_array_mut) {
        entries.retain(|entry| match entry.get("resource").and_then(Value::as_str) {
            Some(name) if name.parse::<Resource>().is_err() => {
                unknown.push(shortened(name));
                false
            }
            // A missing or oddly typed resource is an error, which the typed reading reports with its place.
            _ => true,
        });
    }
    unknown
}

/// Characters of a document that an error quotes at most.
const SHORT: usize = 160;

/// Text from a document, fit to be shown: short, and without control characters that could play with the terminal.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(SHORT).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHORT).is_some() {
        short.push('…');
    }
    short
}
