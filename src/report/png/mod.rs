//! A picture as PNG, where rooflab was built with the feature `png`.

#[cfg_attr(feature = "png", path = "enabled.rs")]
#[cfg_attr(not(feature = "png"), path = "disabled.rs")]
mod raster;

pub use raster::png;

/// Why there is no image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PngError {
    /// rooflab was built without what draws it.
    #[error("this rooflab was built without the feature `png`")]
    Disabled,
    /// The picture could not be drawn.
    #[error("the picture cannot be drawn: {0}")]
    Drawing(String),
}
