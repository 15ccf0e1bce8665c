//! A resource over the whole device or on one core: what identifies a ceiling.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::Resource;

/// How much of the device takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All of it.
    #[default]
    Device,
    /// One core (on a GPU: one multiprocessor).
    Core,
}

/// What identifies a ceiling within a profile. Written `memory.dram.read`, or `memory.dram.read@core` for one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The resource.
    pub resource: Resource,
    /// How much of the device takes part.
    pub scope: Scope,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.scope {
            Scope::Device => self.resource.fmt(f),
            Scope::Core => write!(f, "{}@core", self.resource),
        }
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
