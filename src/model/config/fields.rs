//! The fields of a configuration, under whichever name a family gives them.

use serde_json::{Map, Value};

use super::error::{ConfigError, shortened};

type Result<T> = std::result::Result<T, ConfigError>;

/// Other names of fields, after the one they are asked for by.
const ALIASES: &[(&str, &[&str])] = &[
    ("hidden_size", &["n_embd", "d_model"]),
    ("num_hidden_layers", &["n_layer", "n_layers", "num_layers"]),
    ("num_attention_heads", &["n_head", "n_heads"]),
    ("num_key_value_heads", &["num_kv_heads", "multi_query_group_num"]),
    ("head_dim", &["kv_channels"]),
    ("intermediate_size", &["ffn_dim", "n_inner", "ffn_hidden_size"]),
    ("vocab_size", &["padded_vocab_size"]),
    ("max_position_embeddings", &["n_positions", "seq_length"]),
    ("num_experts", &["num_local_experts", "n_routed_experts"]),
    ("num_experts_per_tok", &["experts_per_token"]),
    ("attention_bias", &["add_qkv_bias"]),
    ("torch_dtype", &["dtype"]),
];

/// Fields of one configuration, or of the part of it that describes the text model.
pub(super) struct Fields<'a> {
    inner: &'a Map<String, Value>,
    outer: Option<&'a Map<String, Value>>,
    /// What the family's own code assumes where a configuration is silent.
    defaults: &'static [(&'static str, u64)],
}

impl<'a> Fields<'a> {
    /// The fields of a configuration; of one for several kinds of input, those of its text model.
    pub(super) fn new(outer: &'a Map<String, Value>) -> Self {
        match outer.get("text_config").and_then(Value::as_object) {
            Some(inner) => Self { inner, outer: Some(outer), defaults: &[] },
            None => Self { inner: outer, outer: None, defaults: &[] },
        }
    }

    pub(super) fn with_defaults(self, defaults: &'static [(&'static str, u64)]) -> Self {
        Self { defaults, ..self }
    }

    /// A field's value and its full name. `null` is as good as absent.
    fn find(&self, name: &str) -> Option<(String, &'a Value)> {
        let aliases = ALIASES.iter().find(|(field, _)| *field == name).map_or(&[][..], |(_, aliases)| *aliases);
        let prefix = if self.outer.is_some() { "text_config." } else { "" };
        std::iter::once(&name).chain(aliases).find_map(|&key| {
            let value = self.inner.get(key).filter(|value| !value.is_null())?;
            Some((format!("{prefix}{key}"), value))
        })
    }

    /// A field of the text model, or else of the whole: what both may state, such as the format.
    pub(super) fn anywhere(&self, name: &str) -> Option<(String, &'a Value)> {
        let outside = |outer: &'a Map<String, Value>| Fields { inner: outer, outer: None, defaults: &[] }.find(name);
        self.find(name).or_else(|| self.outer.and_then(outside))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// A whole number that must be there.
    pub(super) fn number(&self, name: &str) -> Result<u64> {
        self.optional(name)?.ok_or_else(|| ConfigError::Missing { field: name.to_owned() })
    }

    /// A whole number, where there is one.
    pub(super) fn optional(&self, name: &str) -> Result<Option<u64>> {
        let default = || self.defaults.iter().find(|(field, _)| *field == name).map(|&(_, value)| value);
        self.find(name).map_or_else(|| Ok(default()), |(field, value)| whole(&field, value).map(Some))
    }

    pub(super) fn number_or(&self, name: &str, default: u64) -> Result<u64> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// A yes or no, where there is one.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool> {
        self.find(name).map_or(Ok(default), |(field, value)| boolean(&field, value))
    }

    /// As [`Self::flag`], in the text model or else in the whole.
    pub(super) fn flag_anywhere(&self, name: &str, default: bool) -> Result<bool> {
        self.anywhere(name).map_or(Ok(default), |(field, value)| boolean(&field, value))
    }

    /// A text, where there is one.
    pub(super) fn text(&self, name: &str) -> Result<Option<(String, &'a str)>> {
        self.find(name).map(|(field, value)| text(&field, value).map(|text| (field, text))).transpose()
    }

    /// A list, where there is one.
    pub(super) fn list(&self, name: &str) -> Result<Option<(String, &'a [Value])>> {
        let list = |(field, value): (String, &'a Value)| match value.as_array() {
            Some(list) => Ok((field, list.as_slice())),
            None => Err(wrong(&field, value, "a list")),
        };
        self.find(name).map(list).transpose()
    }

    /// What a list says of a layer; an error where it ends before.
    pub(super) fn of_layer(&self, name: &str, layer: u64) -> Result<Option<(String, &'a Value)>> {
        let Some((field, list)) = self.list(name)? else { return Ok(None) };
        let place = format!("{field}[{layer}]");
        match usize::try_from(layer).ok().and_then(|layer| list.get(layer)) {
            Some(value) => Ok(Some((place, value))),
            None => Err(ConfigError::Missing { field: place }),
        }
    }
}

/// The whole number that a value is.
pub(super) fn whole(field: &str, value: &Value) -> Result<u64> {
    value.as_u64().ok_or_else(|| wrong(field, value, "a whole number"))
}

/// The number above zero that a value is.
pub(super) fn above_zero(field: &str, value: &Value) -> Result<u64> {
    match whole(field, value)? {
        0 => Err(wrong(field, value, "a whole number above 0")),
        number => Ok(number),
    }
}

/// The text that a value is.
pub(super) fn text<'a>(field: &str, value: &'a Value) -> Result<&'a str> {
    value.as_str().ok_or_else(|| wrong(field, value, "a text"))
}

/// The yes or no that a value is.
pub(super) fn boolean(field: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| wrong(field, value, "`true` or `false`"))
}

pub(super) fn wrong(field: &str, value: &Value, wanted: &'static str) -> ConfigError {
    ConfigError::Wrong { field: field.to_owned(), value: shortened(&value.to_string()), wanted }
}

pub(super) fn not_understood(field: &str, value: &str, why: impl Into<String>) -> ConfigError {
    ConfigError::NotUnderstood { field: field.to_owned(), value: shortened(value), why: why.into() }
}
