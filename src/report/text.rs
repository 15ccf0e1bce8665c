//! Blocks to text for a terminal: aligned columns, groups drawn as trees, colour where the terminal has it.

use std::fmt::Write;

use anstyle::{AnsiColor, Effects, Style as Ansi};
use unicode_width::UnicodeWidthStr;

use super::block::{Block, Cell, Group, Row, Table, Tone};

/// How text is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Columns there are, if anything limits them.
    pub width: Option<usize>,
    /// Whether characters beyond ASCII may be used for drawing.
    pub unicode: bool,
    /// Whether colours are used.
    pub colour: bool,
}

/// Renders blocks.
#[must_use]
pub fn text(blocks: &[Block], style: Style) -> String {
    let mut out = String::new();
    for block in blocks {
        match block {
            Block::Line(cells) => {
                // A line by itself may wrap; only rows of tables are cut to the width.
                let mut line = Line::new(Style { width: None, ..style });
                for cell in cells {
                    line.push(&cell.text, cell.tone);
                }
                line.end(&mut out);
            }
            Block::Table(table) => draw(table, style, &mut out),
            Block::Bar(bar) => {
                out += &super::bar::line(bar, style.width, style.unicode);
                out.push('\n');
            }
        }
    }
    out
}

/// Spaces between columns.
const GAP: usize = 2;

fn draw(table: &Table, style: Style, out: &mut String) {
    let widths = widths(table);
    for (index, group) in table.groups.iter().enumerate() {
        heading(table, group, index == 0, &widths, style, out);
        for (index, row) in group.rows.iter().enumerate() {
            draw_row(table, row, index + 1 == group.rows.len(), &widths, style, out);
        }
    }
}

/// Width of the labels, and of each column.
fn widths(table: &Table) -> (usize, Vec<usize>) {
    let rows = || table.groups.iter().flat_map(|group| &group.rows);
    let labels = rows().map(|row| row.label.width() + 3).chain(table.groups.iter().map(|group| group.title.width()));
    let mut columns: Vec<usize> = table.columns.iter().map(|title| title.width()).collect();
    for row in rows().filter(|row| row.cells.len() > 1) {
        for (width, cell) in columns.iter_mut().zip(&row.cells) {
            *width = (*width).max(cell.text.width());
        }
    }
    (labels.max().unwrap_or(0), columns)
}

fn heading(
    table: &Table,
    group: &Group,
    first: bool,
    (label, columns): &(usize, Vec<usize>),
    style: Style,
    out: &mut String,
) {
    let mut line = Line::new(style);
    line.push(&group.title, Tone::Strong);
    if first {
        line.pad_to(*label);
        for ((title, width), right) in table.columns.iter().zip(columns).zip(&table.right) {
            line.column(&Cell::new(title.clone(), Tone::Dim), *width, *right);
        }
    }
    line.end(out);
}

fn draw_row(
    table: &Table,
    row: &Row,
    last: bool,
    (label, columns): &(usize, Vec<usize>),
    style: Style,
    out: &mut String,
) {
    let branch = match (style.unicode, last) {
        (true, false) => "├─ ",
        (true, true) => "╰─ ",
        (false, false) => "|- ",
        (false, true) => "`- ",
    };
    let mut line = Line::new(style);
    line.push(branch, Tone::Dim);
    line.push(&row.label, Tone::Plain);
    line.pad_to(*label);
    if let [only] = row.cells.as_slice() {
        line.gap();
        line.push(&only.text, only.tone);
    } else {
        for ((cell, width), right) in row.cells.iter().zip(columns).zip(&table.right) {
            line.column(cell, *width, *right);
        }
    }
    line.end(out);
}

/// A line in the making, which knows how wide it is and where it must end.
struct Line {
    style: Style,
    text: String,
    width: usize,
    /// Spaces owed before the next text, so that no line ends in spaces.
    owed: usize,
    cut: bool,
}

impl Line {
    const fn new(style: Style) -> Self {
        Self { style, text: String::new(), width: 0, owed: 0, cut: false }
    }

    fn push(&mut self, text: &str, tone: Tone) {
        if text.is_empty() || self.cut {
            return;
        }
        let room = self.style.width.map_or(usize::MAX, |width| width.saturating_sub(self.width + self.owed));
        let (text, cut) = fitted(text, room, self.style.unicode);
        self.cut = cut;
        if text.is_empty() {
            return;
        }
        self.text.extend(std::iter::repeat_n(' ', self.owed));
        self.width += self.owed + text.width();
        self.owed = 0;
        let ansi = if self.style.colour { ansi(tone) } else { Ansi::new() };
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{ansi}{text}{ansi:#}");
    }

    fn gap(&mut self) {
        self.owed += GAP;
    }

    fn pad_to(&mut self, width: usize) {
        self.owed = width.saturating_sub(self.width);
    }

    fn column(&mut self, cell: &Cell, width: usize, right: bool) {
        self.gap();
        let space = width.saturating_sub(cell.text.width());
        if right {
            self.owed += space;
            self.push(&cell.text, cell.tone);
        } else {
            self.push(&cell.text, cell.tone);
            self.owed += space;
        }
    }

    fn end(self, out: &mut String) {
        out.push_str(&self.text);
        out.push('\n');
    }
}

/// As much of a text as there is room for, and whether something is missing.
pub(super) fn fitted(text: &str, room: usize, unicode: bool) -> (String, bool) {
    if text.width() <= room {
        return (text.to_owned(), false);
    }
    let ellipsis = if unicode { "…" } else { "~" };
    if room == 0 {
        return (String::new(), true);
    }
    let mut short = String::new();
    for character in text.chars() {
        if short.width() + unicode_width::UnicodeWidthChar::width(character).unwrap_or(0) + 1 > room {
            break;
        }
        short.push(character);
    }
    (short.trim_end().to_owned() + ellipsis, true)
}

fn ansi(tone: Tone) -> Ansi {
    match tone {
        Tone::Plain => Ansi::new(),
        Tone::Strong => Ansi::new().effects(Effects::BOLD),
        Tone::Dim => Ansi::new().effects(Effects::DIMMED),
        Tone::Warn => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let row = |label: &str, cells: &[&str]| Row {
            label: label.to_owned(),
            cells: cells.iter().map(|text| Cell::plain(*text)).collect(),
        };
        Table {
            columns: vec!["median".to_owned(), "note".to_owned()],
            right: vec![true, false],
            groups: vec![
                Group {
                    title: "memory".to_owned(),
                    rows: vec![row("dram.read", &["39.1 GB/s", ""]), row("l1.read", &["429 GB/s", "noisy"])],
                },
                Group {
                    title: "compute".to_owned(),
                    rows: vec![row("vector.f16", &["unsupported: needs AVX-512 FP16"])],
                },
            ],
        }
    }

    const PLAIN: Style = Style { width: None, unicode: true, colour: false };

    #[test]
    fn trees_are_aligned() {
        let expected = "\
memory            median  note
├─ dram.read   39.1 GB/s
╰─ l1.read      429 GB/s  noisy
compute
╰─ vector.f16  unsupported: needs AVX-512 FP16
";
        assert_eq!(text(&[Block::Table(table())], PLAIN), expected);
    }

    #[test]
    fn narrow_terminals_cut_lines_with_a_sign() {
        let narrow = text(&[Block::Table(table())], Style { width: Some(30), unicode: false, ..PLAIN });
        assert!(narrow.lines().all(|line| line.width() <= 30), "{narrow}");
        assert!(narrow.contains("`- vector.f16  unsupported: n~"), "{narrow}");
    }

    #[test]
    fn control_characters_never_reach_the_terminal() {
        assert_eq!(text(&[Block::line("a\u{1b}[31mb\n", Tone::Plain)], PLAIN), "a\u{fffd}[31mb\u{fffd}\n");
    }
}
