//! rooflab's own observations, written earlier.

use serde_json::Value;

use super::Importer;
use crate::observe::document::{Observation, SCHEMA_MAJOR, SCHEMA_NAME};
use crate::observe::error::ReadError;
use crate::observe::input::Input;
use crate::observe::metric::Quantity;
use crate::observe::text;

pub(super) const IMPORTER: Importer = Importer {
    name: "rooflab's observation",
    gives: "what was read earlier",
    hardware: false,
    sniff: |input| version(input).is_some(),
    read,
};

/// The part of the schema after its name.
fn version<'a>(input: &'a Input<'_>) -> Option<&'a str> {
    let schema = input.first()?.get("schema")?.as_str()?;
    schema.strip_prefix(SCHEMA_NAME)?.strip_prefix('/')
}

fn read(input: &Input<'_>) -> Result<Vec<Observation>, ReadError> {
    let found = version(input).and_then(|version| version.parse::<u32>().ok()).unwrap_or(0);
    if found > SCHEMA_MAJOR {
        return Err(ReadError::Newer { found });
    }
    input
        .documents()
        .map(|(at, document)| {
            let mut document = document.to_value();
            leave_out_unknown(&mut document);
            tame(&mut document);
            serde_path_to_error::deserialize(document).map_err(|error| {
                let path = error.path().to_string();
                ReadError::at(format!("{at}.{path}"), format!("expected what `{SCHEMA_NAME}/{SCHEMA_MAJOR}` has there"))
            })
        })
        .collect()
}

/// Removes quantities of a later rooflab, so that the rest can be read.
fn leave_out_unknown(document: &mut Value) {
    if let Some(metrics) = document.get_mut("metrics").and_then(Value::as_object_mut) {
        metrics.retain(|name, _| Quantity::ALL.iter().any(|quantity| quantity.name() == name));
    }
}

/// Removes what could play with the terminal from all text.
fn tame(value: &mut Value) {
    match value {
        Value::String(text) => *text = text::tame(text),
        Value::Array(list) => list.iter_mut().for_each(tame),
        Value::Object(fields) => fields.values_mut().for_each(tame),
        _ => {}
    }
}
