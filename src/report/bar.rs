//! A bar of parts as a line of text: each part as wide as its share, with its name where there is room.

use unicode_width::UnicodeWidthStr;

use super::block::{Bar, Segment};

/// Columns of a line where nothing limits them.
const USUAL: usize = 100;
/// The most columns a bar takes, however wide a terminal is.
const MOST: usize = 160;
/// A part below this share of the whole has no place in the bar.
const SMALL: f64 = 0.004;

/// How parts are filled, one after another; how the rest is; what stands between.
struct Signs {
    fills: [char; 3],
    rest: char,
    edge: char,
}

const UNICODE: Signs = Signs { fills: ['█', '▓', '▒'], rest: '░', edge: '┃' };
const ASCII: Signs = Signs { fills: ['#', '=', '+'], rest: '.', edge: '|' };

/// The bar in one line of at most so many columns.
pub(super) fn line(bar: &Bar, width: Option<usize>, unicode: bool) -> String {
    let signs = if unicode { &UNICODE } else { &ASCII };
    let total: f64 = bar.segments.iter().map(|segment| segment.size.max(0.0)).sum();
    let shown: Vec<&Segment> = bar.segments.iter().filter(|segment| segment.size > SMALL * total).collect();
    let title = if bar.title.is_empty() { String::new() } else { format!("{}  ", bar.title) };
    let columns = width.unwrap_or(USUAL).min(MOST).saturating_sub(title.width() + shown.len() + 1);
    let mut text = title;
    text.push(signs.edge);
    let mut fills = signs.fills.iter().cycle();
    for (segment, width) in shown.iter().zip(widths(&shown, columns)) {
        let fill = if segment.is_rest { signs.rest } else { fills.next().copied().unwrap_or(signs.rest) };
        text += &part(segment, width, fill);
        text.push(signs.edge);
    }
    text
}

/// Columns of each part: one at least, and otherwise by size.
fn widths(segments: &[&Segment], columns: usize) -> Vec<usize> {
    let total: f64 = segments.iter().map(|segment| segment.size).sum();
    let spare = columns.saturating_sub(segments.len());
    let mut reached = 0.0;
    let mut drawn = 0;
    let mut widths = Vec::with_capacity(segments.len());
    for segment in segments {
        reached += segment.size;
        // Rounding the sums keeps the whole as wide as it is.
        let end = ((reached / total) * spare as f64).round() as usize;
        widths.push(1 + end.saturating_sub(drawn));
        drawn = drawn.max(end);
    }
    widths
}

fn part(segment: &Segment, width: usize, fill: char) -> String {
    let full = format!(" {} {} ", segment.label, segment.value);
    let short = format!(" {} ", segment.label);
    let text = [full, short].into_iter().find(|text| text.width() <= width).unwrap_or_default();
    let room = width - text.width();
    let filled = |count: usize| fill.to_string().repeat(count);
    format!("{}{text}{}", filled(room / 2), filled(room - room / 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bar(sizes: &[f64]) -> Bar {
        let segment = |(index, &size): (usize, &f64)| Segment {
            label: format!("part{index}"),
            value: format!("{size:.1}"),
            size,
            is_rest: index + 1 == sizes.len(),
        };
        Bar { title: "whole".to_owned(), segments: sizes.iter().enumerate().map(segment).collect() }
    }

    #[test]
    fn parts_are_as_wide_as_their_shares() {
        assert_eq!(
            line(&bar(&[50.0, 0.0, 10.0, 40.0]), Some(60), true),
            "whole  ┃██████ part0 50.0 ██████┃▓▓▓▓▓▓┃░░░ part3 40.0 ░░░░┃"
        );
        assert_eq!(line(&bar(&[3.0, -1.0, 1.0]), Some(40), false), "whole  |##### part0 3.0 ######| part2 .|");
    }

    proptest! {
        #[test]
        fn a_bar_fits_its_width(sizes in prop::collection::vec(-10.0..1e6_f64, 0..12), width in 40..200_usize, unicode: bool) {
            let line = line(&bar(&sizes), Some(width), unicode);
            prop_assert!(line.width() <= width, "{}", line);
        }
    }
}
