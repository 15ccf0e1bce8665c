//! A file as importers see it: its text, and its JSON documents without what is nobody's business.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::error::{MAX_BYTES, ReadError};
use super::object::Object;
use super::text;

/// Fields that are skipped while reading, so that they are never in memory: environments, prompts, answers, messages, names of hosts, command lines beyond
/// the program, and long lists that no importer needs.
const NEVER_READ: &[&str] = &[
    "env",
    "environment",
    "errors",
    "error_summary",
    "generated_texts",
    "hostname",
    "per_process_max_times_us",
    "prompts",
    "sessions",
    "start_times",
    "times_us",
];

/// A result file.
pub(super) struct Input<'a> {
    /// Its name, without folders.
    pub(super) file: String,
    /// Its text.
    pub(super) text: &'a str,
    /// Its JSON documents with their addresses, when it is JSON. The elements of an array are documents of their own.
    documents: Vec<(String, Value)>,
}

impl<'a> Input<'a> {
    /// Takes a file apart.
    pub(super) fn new(bytes: &'a [u8], file: &str) -> Result<Self, ReadError> {
        if bytes.len() as u64 > MAX_BYTES {
            return Err(ReadError::TooLarge);
        }
        let text = std::str::from_utf8(bytes).map_err(|error| ReadError::NotText { at: error.valid_up_to() })?;
        let text = text.trim_start_matches('\u{feff}');
        if text.trim().is_empty() {
            return Err(ReadError::Empty);
        }
        let file = text::clean(text::last_part(file));
        let documents = if text.trim_start().starts_with(['{', '[']) { documents(text, &file)? } else { Vec::new() };
        Ok(Self { file, text, documents })
    }

    /// The JSON objects of the file.
    pub(super) fn objects(&self) -> Result<Vec<Object<'_>>, ReadError> {
        self.documents
            .iter()
            .map(|(at, value)| match value {
                Value::Object(map) => Ok(Object::new(map, at.clone())),
                _ => Err(ReadError::at(at, "expected an object")),
            })
            .collect()
    }

    /// The JSON documents with their addresses.
    pub(super) fn documents(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.documents.iter().map(|(at, value)| (at.as_str(), value))
    }

    /// The first JSON object, by which a file is recognised.
    pub(super) fn first(&self) -> Option<&Map<String, Value>> {
        self.documents.first().and_then(|(_, value)| value.as_object())
    }

    /// Whether the first JSON object has all of these fields.
    pub(super) fn has(&self, fields: &[&str]) -> bool {
        self.first().is_some_and(|object| fields.iter().all(|field| object.contains_key(*field)))
    }

    /// The lines of a file that is not JSON, with their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let lines = if self.documents.is_empty() { self.text } else { "" };
        lines.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The address of a line.
    pub(super) fn line(&self, number: usize) -> String {
        format!("{}:{number}", self.file)
    }
}

/// Reads a document, an array, lines of documents, or documents one after the other.
fn documents(text: &str, file: &str) -> Result<Vec<(String, Value)>, ReadError> {
    let text = without_python_numbers(text);
    let mut whole = Vec::new();
    for document in serde_json::Deserializer::from_str(&text).into_iter::<Pruned>() {
        match document {
            Ok(Pruned(value)) => whole.push(value),
            Err(error) if error.is_eof() => return Err(ReadError::Truncated { whole: whole.len() }),
            Err(error) => {
                return Err(ReadError::NotJson { line: error.line(), column: error.column(), whole: whole.len() });
            }
        }
    }
    let is_list = whole.len() > 1 || whole.iter().any(Value::is_array);
    let flat = whole.into_iter().flat_map(|value| match value {
        Value::Array(elements) => elements,
        other => vec![other],
    });
    Ok(flat
        .enumerate()
        .map(|(index, value)| (if is_list { format!("{file}[{index}]") } else { file.to_owned() }, value))
        .collect())
}

/// Python writes numbers that JSON does not have. `Infinity` is kept as the word `inf`, which is what others write for it; `NaN` says nothing.
fn without_python_numbers(text: &str) -> Cow<'_, str> {
    const WORDS: [(&str, &str); 3] = [("-Infinity", "null"), ("Infinity", "\"inf\""), ("NaN", "null")];
    if !WORDS.iter().any(|(word, _)| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut quoted = false;
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let word = if quoted { None } else { WORDS.iter().find(|(word, _)| rest.starts_with(word)) };
        if let Some((word, instead)) = word {
            clean.push_str(instead);
            rest = &rest[word.len()..];
            continue;
        }
        let mut taken = character.len_utf8();
        if character == '"' {
            quoted = !quoted;
        } else if quoted && character == '\\' {
            taken += rest[taken..].chars().next().map_or(0, char::len_utf8);
        }
        let (copied, remaining) = rest.split_at(taken);
        clean.push_str(copied);
        rest = remaining;
    }
    Cow::Owned(clean)
}

/// A JSON value without the fields that are never read.
struct Pruned(Value);

impl<'de> Deserialize<'de> for Pruned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PrunedVisitor).map(Self)
    }
}

struct PrunedVisitor;

impl<'de> Visitor<'de> for PrunedVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Pruned(element)) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if NEVER_READ.contains(&name.as_str()) {
                fields.next_value::<IgnoredAny>()?;
            } else {
                let Pruned(value) = fields.next_value()?;
                object.insert(name, value);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Vec<String> {
        Input::new(text.as_bytes(), "folder/run.json").unwrap().documents.into_iter().map(|(at, _)| at).collect()
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
        let input = Input::new(text.as_bytes(), "x").unwrap();
        let object = input.first().unwrap();
        assert_eq!(object["a"], "inf");
        assert_eq!(object["b"], serde_json::json!([null, null]));
        assert_eq!(object["c"], "Infinity \" NaN");
        assert_eq!(object["d"], "\\");
    }

    #[test]
    fn what_is_nobodys_business_is_never_in_memory() {
        let text = r#"{"a": {"env": ["TOKEN=secret"], "hostname": "secret"}, "generated_texts": ["secret"]}"#;
        let input = Input::new(text.as_bytes(), "x").unwrap();
        assert!(!format!("{:?}", input.documents).contains("secret"));
    }

    #[test]
    fn faults_are_told_apart() {
        let error = |bytes: &[u8]| Input::new(bytes, "x").err().unwrap();
        assert!(matches!(error(b" \n"), ReadError::Empty));
        assert!(matches!(error(b"ab\xff"), ReadError::NotText { at: 2 }));
        assert!(matches!(error(b"{}\n{\"a\": 1"), ReadError::Truncated { whole: 1 }));
        assert!(matches!(error(b"{]"), ReadError::NotJson { line: 1, column: 2, whole: 0 }));
        let deep = "[".repeat(100_000);
        assert!(matches!(error(deep.as_bytes()), ReadError::NotJson { .. }));
    }
}
