//! Reading the `config.json` of a Hugging Face repository.
//!
//! An architecture is a row of the table in `families.rs`. What no row understands is an error that names the field; nothing is guessed.

mod attention;
mod error;
mod families;
mod ffn;
mod fields;
mod quantization;
mod recurrent;
#[cfg(test)]
mod tests;

pub use error::ConfigError;
pub(super) use error::shortened;
pub(super) use quantization::Formats;

use std::io::Read;

use serde_json::{Map, Value};

use self::families::{FAMILIES, Family};
use self::fields::{Fields, not_understood};
use super::check::MAX_LAYERS;
use super::layer::Block;
use super::{Model, Norm, Problem};

/// The largest configuration that is read. Those of models are a thousandth of it.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// Reads a configuration from a stream, of which at most 16 MiB are taken.
///
/// # Errors
/// As [`from_config`], and when the stream fails or holds more.
pub fn read_config(name: &str, reader: impl Read) -> Result<Model, super::ReadError> {
    let mut bytes = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ConfigError::TooLarge.into());
    }
    Ok(from_config(name, &bytes)?)
}

/// The model that a `config.json` describes.
///
/// # Errors
/// When the text is no configuration, one of an architecture that is not known, or has numbers that no model has.
pub fn from_config(name: &str, bytes: &[u8]) -> Result<Model, ConfigError> {
    let value: Value = serde_json::from_slice(bytes)?;
    from_object(name, value.as_object().ok_or(ConfigError::NotObject)?)
}

/// As [`from_config`], of JSON that is already read.
pub(super) fn from_object(name: &str, object: &Map<String, Value>) -> Result<Model, ConfigError> {
    let fields = Fields::new(object);
    let family = family(&fields)?;
    let fields = fields.with_defaults(family.defaults);
    let layers = fields.number("num_hidden_layers")?;
    if layers > MAX_LAYERS {
        let why = format!("no model has that many (at most {MAX_LAYERS})");
        let field = "num_hidden_layers".to_owned();
        return Err(ConfigError::Impossible(Problem { field, value: layers, why }));
    }
    let blocks: Vec<Block> = (0..layers).map(|layer| block(&fields, family, layer)).collect::<Result<_, _>>()?;
    let mut model = Model::new(name, fields.number("hidden_size")?, fields.number("vocab_size")?, Vec::new());
    model.tied_embeddings = fields.flag_anywhere("tie_word_embeddings", family.tied)?;
    model.final_norm = Some(family.norm).filter(|norm| *norm != Norm::Plain);
    model.max_context = fields.optional("max_position_embeddings")?;
    // What is outside of the layers may be stated of them: the kinds are there first.
    let formats = quantization::formats(&fields, model.hidden, &blocks)?;
    model.set_layers(blocks, formats);
    (family.finish)(&fields, &mut model)?;
    match model.problems().into_iter().next() {
        Some(problem) => Err(ConfigError::Impossible(problem)),
        None => Ok(model),
    }
}

fn block(fields: &Fields<'_>, family: &Family, layer: u64) -> Result<Block, ConfigError> {
    Ok(Block {
        mixer: (family.mixer)(fields, family, layer)?,
        ffn: (family.ffn)(fields, family, layer)?,
        norm: family.norm,
        norms: (family.norms)(fields)?,
    })
}

fn family(fields: &Fields<'_>) -> Result<&'static Family, ConfigError> {
    let Some((field, value)) = fields.anywhere("model_type") else {
        return Err(ConfigError::Missing { field: "model_type".to_owned() });
    };
    let name = fields::text(&field, value)?;
    let found = FAMILIES.iter().find(|family| family.names.contains(&name));
    found.ok_or_else(|| {
        let known: Vec<&str> = FAMILIES.iter().filter_map(|family| family.names.first().copied()).collect();
        not_understood(&field, name, format!("known are {}", known.join(", ")))
    })
}
