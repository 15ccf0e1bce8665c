//! Libraries of a device's maker, which rooflab uses beside its own kernels where they are installed.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose implementation something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Implementer {
    /// rooflab, whose kernels are open.
    #[default]
    Open,
    /// The device's maker, in a library.
    Vendor,
}

impl Implementer {
    /// Whether it is the one that goes without saying.
    #[must_use]
    pub fn is_open(&self) -> bool {
        *self == Self::Open
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Vendor => "vendor",
        }
    }
}

/// A library of a device's maker, and whether it is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Library {
    /// Which one.
    pub name: LibraryName,
    /// Which of its versions is used, or why none is.
    #[serde(flatten)]
    pub state: LibraryState,
}

/// The libraries that rooflab knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum LibraryName {
    /// NVIDIA's matrix products.
    #[serde(rename = "cuBLASLt")]
    CublasLt,
    /// NVIDIA's collective operations.
    #[serde(rename = "NCCL")]
    Nccl,
}

impl LibraryName {
    /// What its maker calls it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CublasLt => "cuBLASLt",
            Self::Nccl => "NCCL",
        }
    }
}

/// Whether a library is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum LibraryState {
    /// It is.
    Used {
        /// Its version, as it says itself.
        version: String,
        /// The name of its file.
        file: String,
        /// Where that was found.
        place: LibraryPlace,
    },
    /// It is not.
    Absent {
        /// Why.
        reason: String,
    },
}

/// Where a library was found. The path itself may name its owner, and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LibraryPlace {
    /// In a folder that was named for it.
    Chosen,
    /// Where the system's loader looks.
    System,
    /// In the folder of the maker's toolkit.
    Toolkit,
    /// In a Python environment.
    Python,
}

impl LibraryPlace {
    /// The place in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Chosen => "from the folder that was named",
            Self::System => "from where the system's loader looks",
            Self::Toolkit => "from the toolkit",
            Self::Python => "from the Python environment",
        }
    }
}

impl Library {
    /// The version that is used, if one is.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        match &self.state {
            LibraryState::Used { version, .. } => Some(version),
            LibraryState::Absent { .. } => None,
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.word();
        match &self.state {
            LibraryState::Used { version, file, place } => write!(f, "{name} {version}, `{file}` {}", place.words()),
            LibraryState::Absent { reason } => write!(f, "no {name}: {reason}"),
        }
    }
}
