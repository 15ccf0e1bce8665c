//! Why a file is not a model.

use super::config::ConfigError;
use super::gguf::GgufError;
use super::safetensors::SafetensorsError;

/// Why a model could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read at all.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no configuration, or not one that is understood.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is no GGUF file, or not one that is understood.
    #[error(transparent)]
    Gguf(#[from] GgufError),
    /// It is no safetensors file, or not one that is understood.
    #[error(transparent)]
    Safetensors(#[from] SafetensorsError),
}
