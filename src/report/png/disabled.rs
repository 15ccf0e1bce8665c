//! Without the feature `png`: there are no images.

use super::PngError;
use crate::report::Theme;
use crate::report::chart::Chart;

/// Says that there are no images.
///
/// # Errors
/// Always.
pub const fn png(_: &Chart, _: Theme, _: f32) -> Result<Vec<u8>, PngError> {
    Err(PngError::Disabled)
}
