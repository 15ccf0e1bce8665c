//! Why a file is not a model.

use super::config::ConfigError;

/// Why a model could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be read at all.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It is no configuration, or not one that is understood.
    #[error(transparent)]
    Config(#[from] ConfigError),
}
