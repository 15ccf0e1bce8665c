//! The legend: names that are not beside what they name, in rows of what the width holds.

use super::canvas::{Anchor, Canvas};
use super::font;
use super::{Mark, Series, Stroke, Symbol};

/// Size of its type, width of a sign with the gap to its name, gap between entries, height of a row.
const SIZE: f64 = 12.0;
const SIGN: f64 = 26.0;
const GAP: f64 = 18.0;
pub(super) const ROW: f64 = 19.0;

/// An entry with its place.
struct Entry<'a> {
    series: &'a Series,
    x: f64,
    row: usize,
}

/// A legend that is laid out.
pub(super) struct Legend<'a> {
    entries: Vec<Entry<'a>>,
    rows: usize,
}

impl<'a> Legend<'a> {
    /// The legend of some series, in a width.
    pub(super) fn new(series: impl Iterator<Item = &'a Series>, most: f64) -> Self {
        let (mut x, mut row) = (0.0, 0);
        let mut entries: Vec<Entry<'a>> = Vec::new();
        for series in series {
            let width = SIGN + font::width(&series.name, SIZE, false);
            if x > 0.0 && x + width > most {
                (x, row) = (0.0, row + 1);
            }
            entries.push(Entry { series, x, row });
            x += width + GAP;
        }
        let rows = if entries.is_empty() { 0 } else { row + 1 };
        Self { entries, rows }
    }

    pub(super) fn height(&self) -> f64 {
        self.rows as f64 * ROW
    }

    pub(super) fn draw(&self, canvas: &mut Canvas, (x, y): (f64, f64)) {
        for entry in &self.entries {
            let (left, base) = (x + entry.x, y + entry.row as f64 * ROW + 13.0);
            let (middle, class) = (base - 4.0, entry.series.hue.class());
            match &entry.series.mark {
                Mark::Line { stroke, .. } => {
                    let dash = if *stroke == Stroke::Dashed { " dash" } else { "" };
                    canvas.path(&[(left, middle), (left + 18.0, middle)], &format!("line{dash} {class}"), "");
                    if *stroke == Stroke::Dotted {
                        canvas.circle((left + 9.0, middle), 3.0, &format!("dot {class}"), "");
                    }
                }
                Mark::Points { symbol: Symbol::Circle, .. } => {
                    canvas.circle((left + 9.0, middle), 4.5, &format!("dot {class}"), "");
                }
                Mark::Points { symbol: Symbol::Diamond, .. } => {
                    canvas.diamond((left + 9.0, middle), 4.5, &format!("dot {class}"), "");
                }
                Mark::Bars { .. } => {
                    canvas.rectangle([left + 3.0, middle - 5.0, 12.0, 10.0], &format!("bar {class}"), "");
                }
            }
            canvas.text((left + SIGN, base), "ink", Anchor::Start, &entry.series.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hue;
    use super::*;

    #[test]
    fn names_that_do_not_fit_begin_a_row() {
        let series = |name: &str| Series {
            name: name.to_owned(),
            label: None,
            hue: Hue::Of(0),
            mark: Mark::Bars { bars: Vec::new() },
        };
        let all = ["read of main memory", "write", "copy"].map(series);
        assert_eq!(Legend::new(all.iter(), 1000.0).rows, 1);
        assert_eq!(Legend::new(all.iter(), 160.0).rows, 2);
        assert_eq!(Legend::new([].iter(), 100.0).height(), 0.0);
    }
}
