//! A file as importers see it: its text, and its JSON documents without what is nobody's business.

use std::borrow::Cow;

use serde::de::DeserializeSeed;

use super::error::{MAX_BYTES, ReadError};
use super::node::{Budget, Fields, MOST, Node, Seed};
use super::object::Object;
use super::text;

/// A result file.
pub(super) struct Input<'a> {
    /// Its name, without folders.
    pub(super) file: String,
    /// Its text, when it is not JSON.
    text: Cow<'a, str>,
    /// Its JSON documents with their addresses, when it is JSON. The elements of an array are documents of their own.
    documents: Vec<(String, Node)>,
}

impl<'a> Input<'a> {
    /// Takes a file apart.
    pub(super) fn new(bytes: Cow<'a, [u8]>, file: &str) -> Result<Self, ReadError> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ReadError::TooLarge);
        }
        let text = text_of(bytes)?;
        if body(&text).is_empty() {
            return Err(ReadError::Empty);
        }
        let file = text::clean(text::last_part(file));
        if !body(&text).starts_with(['{', '[']) {
            return Ok(Self { file, text, documents: Vec::new() });
        }
        // The text of a large file is not kept beside what was read of it.
        let documents = documents(text, &file)?;
        Ok(Self { file, text: Cow::Borrowed(""), documents })
    }

    /// The JSON objects of the file.
    pub(super) fn objects(&self) -> Result<Vec<Object<'_>>, ReadError> {
        self.documents
            .iter()
            .map(|(at, value)| match value {
                Node::Object(fields) => Ok(Object::new(fields, at.clone())),
                _ => Err(ReadError::at(at, "expected an object")),
            })
            .collect()
    }

    /// The JSON documents with their addresses.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.documents.iter().map(|(at, value)| (at.as_str(), value))
    }

    /// The first JSON object, by which a file is recognised.
    pub(super) fn first(&self) -> Option<&Fields> {
        match self.documents.first() {
            Some((_, Node::Object(fields))) => Some(fields),
            _ => None,
        }
    }

    /// Whether the first JSON object has all of these fields.
    pub(super) fn has(&self, fields: &[&str]) -> bool {
        self.first().is_some_and(|object| fields.iter().all(|field| object.contains_key(field)))
    }

    /// The text of a file that is not JSON.
    pub(super) fn text(&self) -> &str {
        self.text.trim_start_matches(MARK)
    }

    /// The lines of a file that is not JSON, with their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text().lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The address of a line.
    pub(super) fn line(&self, number: usize) -> String {
        format!("{}:{number}", self.file)
    }
}

/// What some editors write before a text.
const MARK: char = '\u{feff}';

fn text_of(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, ReadError> {
    let not_text = |error: std::str::Utf8Error| ReadError::NotText { at: error.valid_up_to() };
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(not_text),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|error| not_text(error.utf8_error())),
    }
}

/// A text without what may stand around it.
fn body(text: &str) -> &str {
    text.trim_start_matches(MARK).trim()
}

/// Reads a document, an array, lines of documents, or documents one after the other.
fn documents(text: Cow<'_, str>, file: &str) -> Result<Vec<(String, Node)>, ReadError> {
    let text = without_python_numbers(text);
    let budget = Budget::new(MOST);
    let mut whole = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text.trim_start_matches(MARK));
    while reader.end().is_err() {
        match Seed(&budget).deserialize(&mut reader) {
            Ok(document) => whole.push(document),
            Err(_) if budget.is_spent() => return Err(ReadError::TooMuch),
            Err(error) if error.is_eof() => return Err(ReadError::Truncated { whole: whole.len() }),
            Err(error) => {
                return Err(ReadError::NotJson { line: error.line(), column: error.column(), whole: whole.len() });
            }
        }
    }
    let is_list = whole.len() > 1 || whole.iter().any(|node| matches!(node, Node::List(_)));
    let flat = whole.into_iter().flat_map(|value| match value {
        Node::List(elements) => elements,
        other => vec![other],
    });
    Ok(flat
        .enumerate()
        .map(|(index, value)| (if is_list { format!("{file}[{index}]") } else { file.to_owned() }, value))
        .collect())
}

/// Python writes numbers that JSON does not have. `Infinity` becomes the word `inf`, which is what others write for it; the others become an empty text, which says
/// nothing. Each is written over in its own place, so that a large text is not copied.
fn without_python_numbers(text: Cow<'_, str>) -> Cow<'_, str> {
    const WORDS: [(&[u8], &[u8]); 3] =
        [(b"-Infinity", b"\"\"       "), (b"Infinity", b"\"inf\"   "), (b"NaN", b"\"\" ")];
    if !["Infinity", "NaN"].iter().any(|word| text.contains(word)) {
        return text;
    }
    let mut bytes = text.into_owned().into_bytes();
    let mut at = 0;
    let mut quoted = false;
    while let Some(step) = bytes.get(at..).and_then(|rest| {
        rest.iter().position(|byte| {
            if quoted { matches!(byte, b'"' | b'\\') } else { matches!(byte, b'"' | b'-' | b'I' | b'N') }
        })
    }) {
        at += step;
        match bytes.get(at) {
            Some(b'"') => {
                quoted = !quoted;
                at += 1;
            }
            // What is escaped may be a quotation mark.
            Some(b'\\') => at += 2,
            _ => {
                let word = WORDS.iter().find(|(word, _)| bytes.get(at..).is_some_and(|rest| rest.starts_with(word)));
                if let Some((word, instead)) = word
                    && let Some(place) = bytes.get_mut(at..at + word.len())
                {
                    place.copy_from_slice(instead);
                }
                at += word.map_or(1, |(word, _)| word.len());
            }
        }
    }
    // Only ASCII was written over ASCII.
    Cow::Owned(String::from_utf8(bytes).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        Input::new(Cow::Borrowed(text.as_bytes()), "folder/run.json")
            .unwrap()
            .documents
            .into_iter()
            .map(|(at, _)| at)
            .collect()
    }

    #[test]
    fn every_shape_of_json_is_a_list_of_documents() {
        assert_eq!(addresses("{}"), ["run.json"]);
        assert_eq!(addresses("[{}, {}]"), ["run.json[0]", "run.json[1]"]);
        assert_eq!(addresses("{}\n{}\n"), ["run.json[0]", "run.json[1]"]);
        assert_eq!(addresses("{}{}"), ["run.json[0]", "run.json[1]"]);
        assert_eq!(addresses("[{}]"), ["run.json[0]"]);
    }

    #[test]
    fn numbers_of_python_are_read_and_words_are_not_touched() {
        let text = r#"{"a": Infinity, "b": [-Infinity, NaN], "c": "Infinity \" NaN", "d": "\\"}"#;
        for bytes in [Cow::Borrowed(text.as_bytes()), Cow::Owned(text.as_bytes().to_vec())] {
            let input = Input::new(bytes, "x").unwrap();
            let object = input.first().unwrap();
            let of = |name: &str| object.get(name).unwrap().clone();
            assert_eq!(of("a"), Node::from("inf"));
            assert_eq!(of("b"), Node::List(vec![Node::from(""), Node::from("")]));
            assert_eq!(of("c"), Node::from("Infinity \" NaN"));
            assert_eq!(of("d"), Node::from("\\"));
        }
    }

    #[test]
    fn what_is_nobodys_business_is_never_in_memory() {
        let text = r#"{"a": {"env": ["TOKEN=secret"], "hostname": "secret"}, "generated_texts": ["secret"]}"#;
        let input = Input::new(Cow::Borrowed(text.as_bytes()), "x").unwrap();
        assert!(!format!("{:?}", input.documents).contains("secret"));
    }

    #[test]
    fn faults_are_told_apart() {
        let error = |bytes: &[u8]| Input::new(Cow::Borrowed(bytes), "x").err().unwrap();
        assert!(matches!(error(b" \n"), ReadError::Empty));
        assert!(matches!(error(b"ab\xff"), ReadError::NotText { at: 2 }));
        assert!(matches!(error(b"{}\n{\"a\": 1"), ReadError::Truncated { whole: 1 }));
        assert!(matches!(error(b"{]"), ReadError::NotJson { line: 1, column: 2, whole: 0 }));
        // Texts of 4 bytes in the file that are many times as large in memory.
        let many = format!("[{}{{}}]", "[0],".repeat(MOST / 32));
        assert!(matches!(error(many.as_bytes()), ReadError::TooMuch));
        let deep = "[".repeat(100_000);
        assert!(matches!(error(deep.as_bytes()), ReadError::NotJson { .. }));
    }
}
