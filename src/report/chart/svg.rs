//! A picture as SVG: by itself with its style and its title, or bare for a page that has both.

use super::bars;
use super::canvas::{Anchor, Canvas, escaped};
use super::plot::Plot;
use super::style::{Theme, sheet};
use super::{Chart, font};

/// The sheet that a picture is drawn on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame {
    /// Its width, in pixels.
    pub width: f64,
    /// Its height; charts with rows are as high as their rows are many.
    pub height: f64,
    /// The ground. None for a part of a page, which has the style sheet and the title itself.
    pub theme: Option<Theme>,
}

impl Frame {
    /// A picture by itself.
    #[must_use]
    pub const fn alone(theme: Theme) -> Self {
        Self { width: 900.0, height: 560.0, theme: Some(theme) }
    }

    /// A part of a page.
    pub(in crate::report) const PAGE: Self = Self { width: 920.0, height: 480.0, theme: None };
    /// A part of a page on a telephone.
    pub(in crate::report) const PHONE: Self = Self { width: 358.0, height: 400.0, theme: None };

    /// Whether it is as narrow as a telephone.
    pub(super) fn is_narrow(&self) -> bool {
        self.width < 600.0
    }

    /// Room at the edges.
    pub(super) fn margin(&self) -> f64 {
        if self.theme.is_some() { 20.0 } else { 2.0 }
    }
}

/// Renders a picture.
#[must_use]
pub fn svg(chart: &Chart, frame: &Frame) -> String {
    let mut canvas = Canvas::default();
    let top = head(chart, frame, &mut canvas);
    let height = match chart.rows() {
        Some(rows) => bars::draw(chart, rows, frame, top, &mut canvas),
        None => {
            Plot::new(chart, frame, top).draw(&mut canvas);
            frame.height
        }
    };
    let label = escaped(&format!("{}: {}", chart.title, chart.subtitle));
    let mut out = Canvas::default();
    out.raw(&format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" width="{width:.0}" height="{height:.0}" class="chart" role="img" aria-label="{label}">"#,
        width = frame.width,
    ));
    out.raw("\n");
    if let Some(theme) = frame.theme {
        out.raw(&format!("<style>\n{}</style>\n", sheet(theme)));
        out.rectangle([0.0, 0.0, frame.width, height], "ground", "");
    }
    out.raw(&canvas.finish());
    out.raw("</svg>\n");
    out.finish()
}

/// Title and subtitle of a picture by itself; where the rest begins.
fn head(chart: &Chart, frame: &Frame, canvas: &mut Canvas) -> f64 {
    if frame.theme.is_none() {
        return 2.0;
    }
    let margin = frame.margin();
    canvas.text((margin, 32.0), "head", Anchor::Start, &chart.title);
    let mut y = 36.0;
    for line in font::wrapped(&chart.subtitle, 12.0, frame.width - 2.0 * margin) {
        y += 17.0;
        canvas.text((margin, y), "quiet", Anchor::Start, &line);
    }
    y + 14.0
}
