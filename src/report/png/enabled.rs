//! SVG to PNG with resvg, in the typeface that rooflab brings along: the image is the same on every machine.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use super::PngError;
use crate::report::Theme;
use crate::report::chart::{Chart, Frame, REGULAR, SEMIBOLD, svg};

/// Pixels of a side at most.
const MOST: f32 = 20_000.0;

/// A picture as PNG, so many pixels for each one of the SVG. An image has one ground: what would adapt is light.
///
/// # Errors
/// When the picture is too large to be drawn.
pub fn png(chart: &Chart, theme: Theme, scale: f32) -> Result<Vec<u8>, PngError> {
    let theme = if theme == Theme::Dark { Theme::Dark } else { Theme::Light };
    let mut fonts = Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(SEMIBOLD.to_vec());
    fonts.set_sans_serif_family("Inter");
    let options = Options { fontdb: Arc::new(fonts), font_family: "Inter".to_owned(), ..Options::default() };
    let drawing = |error: String| PngError::Drawing(error);
    let tree =
        Tree::from_str(&svg(chart, &Frame::alone(theme)), &options).map_err(|error| drawing(error.to_string()))?;
    let size = tree.size();
    let (width, height) = (size.width() * scale, size.height() * scale);
    if !(width >= 1.0 && height >= 1.0 && width <= MOST && height <= MOST) {
        return Err(drawing(format!("{width} × {height} pixels are none that can be drawn")));
    }
    let mut image = Pixmap::new(width.ceil() as u32, height.ceil() as u32)
        .ok_or_else(|| drawing("there is no memory for it".to_owned()))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut image.as_mut());
    image.encode_png().map_err(|error| drawing(error.to_string()))
}
