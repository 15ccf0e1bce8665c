//! A picture of bars in rows, as SVG: names to the left, values at the ends.

use super::canvas::{Anchor, Canvas};
use super::font;
use super::legend::Legend;
use super::scale::Span;
use super::svg::Frame;
use super::{Bar, Chart, Mark};

/// Height of a row and of its bar.
const ROW: f64 = 28.0;
const BAR: f64 = 17.0;
/// On a narrow sheet the name stands above its bar.
const NARROW_ROW: f64 = 42.0;

/// Draws it from a height on; gives the height of the whole.
pub(super) fn draw(chart: &Chart, rows: &[String], frame: &Frame, top: f64, canvas: &mut Canvas) -> f64 {
    let margin = frame.margin();
    let named = chart.series.iter().filter(|_| chart.series.len() > 1);
    let legend = Legend::new(named, frame.width - 2.0 * margin);
    legend.draw(canvas, (margin, top));
    let (span, _) = Span::of(chart);
    let bars = || {
        chart.series.iter().flat_map(|series| match &series.mark {
            Mark::Bars { bars } => bars.as_slice(),
            _ => &[],
        })
    };
    let words = |text: &str| font::width(text, 12.0, false);
    let values = bars().map(|bar| words(&bar.label)).fold(0.0, f64::max);
    let names = rows.iter().map(|row| words(row)).fold(0.0, f64::max);
    let is_narrow = frame.is_narrow();
    let left = if is_narrow { margin } else { margin + names.min(frame.width * 0.3) + 12.0 };
    let right = (frame.width - margin - values - 8.0).max(left + 20.0);
    let first = top + legend.height() + 12.0;
    let height = if is_narrow { NARROW_ROW } else { ROW };
    let at = |value: f64| left + span.place(value).unwrap_or(0.0) * (right - left);
    let bottom = first + rows.len() as f64 * height;
    for tick in span.ticks(chart.x.measure, if is_narrow { 4 } else { 7 }) {
        let x = left + tick.place * (right - left);
        canvas.path(&[(x, first - 4.0), (x, bottom)], "grid", "");
        canvas.text(
            (x, bottom + 16.0),
            "small quiet",
            if tick.place < 0.01 { Anchor::Start } else { Anchor::Middle },
            &tick.text,
        );
    }
    for (index, name) in rows.iter().enumerate() {
        let y = first + index as f64 * height;
        if is_narrow {
            canvas.text((margin, y + 13.0), "ink halo", Anchor::Start, name);
        } else {
            canvas.text((left - 10.0, y + ROW / 2.0 + 4.0), "ink", Anchor::End, name);
        }
    }
    for series in &chart.series {
        let Mark::Bars { bars } = &series.mark else { continue };
        let class = format!("bar {}", series.hue.class());
        for Bar { row, from, to, label, detail } in bars {
            let y = first + *row as f64 * height + if is_narrow { height - BAR - 4.0 } else { (ROW - BAR) / 2.0 };
            let (a, b) = (at(from.min(*to)), at(from.max(*to)));
            canvas.rectangle([a, y, (b - a).max(1.0), BAR], &class, detail);
            canvas.text((b + 6.0, y + BAR / 2.0 + 4.0), "quiet halo", Anchor::Start, label);
        }
    }
    bottom + 24.0 + margin
}
