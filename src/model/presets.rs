//! Models that ship with rooflab: configurations as published, each with its published number of parameters.

use std::sync::{LazyLock, OnceLock};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Model;
use super::config::{ConfigError, from_object};

/// A model that ships with rooflab. It is read when it is first asked for.
#[derive(Debug)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    text: &'static str,
    read: OnceLock<Result<Facts, String>>,
}

/// What a preset's file says.
#[derive(Clone, Debug, Deserialize)]
struct Facts {
    name: String,
    aliases: Vec<String>,
    published: Option<u64>,
    source: String,
    config: Map<String, Value>,
}

macro_rules! files {
    ($($name:literal,)*) => {
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("presets/", $name, ".json"))),)*];
    };
}

// A file that is missing here is found by a test.
files! {
    "llama-7b",
    "llama-2-7b",
    "llama-2-13b",
    "llama-2-70b",
    "llama-3.1-8b",
    "llama-3.1-70b",
    "llama-3.1-405b",
    "llama-3.2-1b",
    "llama-3.2-3b",
    "llama-3.3-70b",
    "qwen2.5-0.5b",
    "qwen2.5-1.5b",
    "qwen2.5-3b",
    "qwen2.5-7b",
    "qwen2.5-14b",
    "qwen2.5-32b",
    "qwen2.5-72b",
    "qwen3-0.6b",
    "qwen3-1.7b",
    "qwen3-4b",
    "qwen3-8b",
    "qwen3-14b",
    "qwen3-32b",
    "qwen3-30b-a3b",
    "qwen3-235b-a22b",
    "qwen3-next-80b-a3b",
    "mistral-7b-v0.1",
    "mistral-7b-v0.3",
    "mistral-small-24b",
    "mixtral-8x7b",
    "mixtral-8x22b",
    "gemma-3-1b",
    "gemma-3-4b",
    "gemma-3-12b",
    "gemma-3-27b",
    "phi-3-mini",
    "phi-4",
    "gpt-oss-20b",
    "gpt-oss-120b",
    "deepseek-v3",
    "deepseek-v2-lite",
    "kimi-k2",
    "glm-4-9b",
    "glm-4-9b-0414",
    "glm-4.5",
    "glm-4.5-air",
    "opt-125m",
    "opt-350m",
    "opt-1.3b",
    "opt-2.7b",
    "opt-6.7b",
    "opt-13b",
    "opt-30b",
    "opt-66b",
    "opt-175b",
    "gpt2",
    "gpt2-medium",
    "gpt2-large",
    "gpt2-xl",
}

static PRESETS: LazyLock<Vec<Preset>> =
    LazyLock::new(|| FILES.iter().map(|&(name, text)| Preset { name, text, read: OnceLock::new() }).collect());

/// All presets, by name.
#[must_use]
pub fn presets() -> &'static [Preset] {
    &PRESETS
}

/// Why a name is that of no preset.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPreset {
    /// Several names begin with it.
    #[error("`{name}` may be {}", .candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        name: String,
        /// The names that begin with it.
        candidates: Vec<String>,
    },
    /// None does.
    #[error("`{name}` is no model that ships with rooflab{}", suggested(.similar))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Names that are spelled alike.
        similar: Vec<String>,
    },
}

fn suggested(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!("; did you mean {}?", similar.join(" or ")) }
}

/// How alike two spellings must be to be suggested, of 1.
const SIMILAR: f64 = 0.85;
/// How many are suggested.
const SUGGESTIONS: usize = 3;

/// The preset of a name, an alias, or the beginning of only one name.
///
/// ```
/// # use rooflab::model::find_preset;
/// assert_eq!(find_preset("meta-llama/Llama-3.1-8B").unwrap().name, "llama-3.1-8b");
/// assert_eq!(find_preset("qwen3-next").unwrap().name, "qwen3-next-80b-a3b");
/// ```
///
/// # Errors
/// When there is none, with names that are spelled alike; or several begin with it.
pub fn find_preset(name: &str) -> Result<&'static Preset, NoPreset> {
    let wanted = folded(name);
    if let Some(exact) = presets().iter().find(|preset| preset.names().any(|name| name == wanted)) {
        return Ok(exact);
    }
    let begins = |preset: &&Preset| !wanted.is_empty() && preset.names().any(|name| name.starts_with(&wanted));
    let candidates: Vec<&'static Preset> = presets().iter().filter(begins).collect();
    match candidates.as_slice() {
        [one] => Ok(one),
        [] => Err(NoPreset::Unknown { name: shown(name), similar: similar(&wanted) }),
        several => {
            let candidates = several.iter().map(|preset| preset.name.to_owned()).collect();
            Err(NoPreset::Ambiguous { name: shown(name), candidates })
        }
    }
}

fn similar(wanted: &str) -> Vec<String> {
    let likeness = |preset: &Preset| preset.names().map(|name| strsim::jaro_winkler(wanted, &name)).fold(0.0, f64::max);
    let mut alike: Vec<(f64, &str)> =
        presets().iter().map(|preset| (likeness(preset), preset.name)).filter(|(alike, _)| *alike >= SIMILAR).collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.into_iter().take(SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

/// A name without regard to case and to how its words are joined. Longer ones than any model's are cut.
fn folded(name: &str) -> String {
    let fold = |c: char| if c == '_' || c == ' ' { '-' } else { c.to_ascii_lowercase() };
    name.chars().take(MAX_NAME).map(fold).collect()
}

const MAX_NAME: usize = 128;

fn shown(name: &str) -> String {
    name.chars().take(MAX_NAME).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Preset {
    fn facts(&self) -> Result<&Facts, &str> {
        let read = || serde_json::from_str(self.text).map_err(|error| error.to_string());
        self.read.get_or_init(read).as_ref().map_err(String::as_str)
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let aliases = self.facts().map_or(&[][..], |facts| facts.aliases.as_slice());
        std::iter::once(self.name).chain(aliases.iter().map(String::as_str)).map(folded)
    }

    /// Other names of it.
    #[must_use]
    pub fn aliases(&self) -> &[String] {
        self.facts().map_or(&[], |facts| facts.aliases.as_slice())
    }

    /// How many parameters its makers say it has; none where no exact number is published.
    #[must_use]
    pub fn published(&self) -> Option<u64> {
        self.facts().ok().and_then(|facts| facts.published)
    }

    /// Where its numbers come from.
    #[must_use]
    pub fn source(&self) -> &str {
        self.facts().map_or("", |facts| facts.source.as_str())
    }

    /// Its configuration, as published but for what is of no use here.
    ///
    /// # Errors
    /// None of a preset that passed the tests.
    pub fn configuration(&self) -> Result<&Map<String, Value>, ConfigError> {
        self.facts().map(|facts| &facts.config).map_err(|_| ConfigError::NotObject)
    }

    /// The model.
    ///
    /// # Errors
    /// None of a preset that passed the tests: the configuration is read as any other.
    pub fn model(&self) -> Result<Model, ConfigError> {
        let name = self.facts().map_or(self.name, |facts| facts.name.as_str());
        from_object(name, self.configuration()?)
    }
}

#[cfg(test)]
mod tests;
