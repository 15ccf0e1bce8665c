//! A picture for a terminal: dots of Braille characters, or letters where only ASCII can be shown. Readable without colour: every line carries its letter.

use std::fmt::Write;

use anstyle::{AnsiColor, Effects, Style as Ansi};
use unicode_width::UnicodeWidthStr;

use super::plot::title;
use super::scale::{Span, Tick};
use super::{Chart, Hue, Mark, Series, Stroke};
use crate::report::text::{Style, fitted};

/// Columns where nothing limits them, and the fewest and the most that are used.
const USUAL: usize = 100;
const FEWEST: usize = 32;
const MOST: usize = 140;
/// Colours of the palette, in its order.
const COLOURS: [AnsiColor; 8] = [
    AnsiColor::Blue,
    AnsiColor::Red,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Yellow,
    AnsiColor::Cyan,
    AnsiColor::BrightRed,
    AnsiColor::BrightBlack,
];

/// Renders a picture.
#[must_use]
pub fn terminal(chart: &Chart, style: Style) -> String {
    let width = style.width.unwrap_or(USUAL).clamp(FEWEST, MOST);
    let mut out = String::new();
    let bold = Ansi::new().effects(Effects::BOLD);
    line(&mut out, style, bold, &chart.title, width);
    line(&mut out, style, Ansi::new().effects(Effects::DIMMED), &chart.subtitle, width);
    out.push('\n');
    match chart.rows() {
        Some(rows) => bars(chart, rows, style, width, &mut out),
        None => Screen::new(chart, style, width).draw(&mut out),
    }
    out
}

/// A line in a style, cut to a width.
fn line(out: &mut String, style: Style, ansi: Ansi, text: &str, width: usize) {
    let (text, _) = fitted(text, width, style.unicode);
    let ansi = if style.colour { ansi } else { Ansi::new() };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{ansi}{text}{ansi:#}");
}

fn ansi(hue: Hue, style: Style) -> Ansi {
    match hue {
        _ if !style.colour => Ansi::new(),
        Hue::Of(index) => COLOURS[index % COLOURS.len()].on_default(),
        Hue::Quiet => Ansi::new().effects(Effects::DIMMED),
        Hue::Ink => Ansi::new(),
    }
}

/// A place for one character: dots, or a letter over them.
#[derive(Clone, Copy, Default)]
struct Cell {
    dots: u8,
    letter: Option<char>,
    hue: Option<Hue>,
}

struct Screen<'a> {
    chart: &'a Chart,
    style: Style,
    width: usize,
    x: Span,
    y: Span,
    ticks: (Vec<Tick>, Vec<Tick>),
    /// Columns of the numbers at the vertical axis.
    margin: usize,
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
}

impl<'a> Screen<'a> {
    fn new(chart: &'a Chart, style: Style, width: usize) -> Self {
        let (x, y) = Span::of(chart);
        let rows = (width / 4).clamp(12, 26);
        let ticks = (x.ticks(chart.x.measure, width / 14), y.ticks(chart.y.measure, rows / 3));
        let margin = ticks.1.iter().map(|tick| tick.text.width()).max().unwrap_or(0);
        let columns = width.saturating_sub(margin + 2).max(8);
        let cells = vec![Cell::default(); columns * rows];
        let mut screen = Self { chart, style, width, x, y, ticks, margin, columns, rows, cells };
        for (index, series) in chart.series.iter().enumerate() {
            screen.mark(index, series);
        }
        for (index, series) in chart.series.iter().enumerate() {
            screen.sign(index, series);
        }
        screen
    }

    /// Dots in a cell, across and down.
    const fn dots(&self) -> (usize, usize) {
        if self.style.unicode { (2, 4) } else { (1, 1) }
    }

    /// The dot of two numbers.
    fn at(&self, x: f64, y: f64) -> Option<(i64, i64)> {
        let (across, down) = self.dots();
        let (width, height) = ((self.columns * across - 1) as f64, (self.rows * down - 1) as f64);
        Some(((self.x.place(x)? * width).round() as i64, ((1.0 - self.y.place(y)?) * height).round() as i64))
    }

    fn cell(&mut self, (x, y): (i64, i64)) -> Option<&mut Cell> {
        let (across, down) = self.dots();
        let (column, row) = (usize::try_from(x).ok()? / across, usize::try_from(y).ok()? / down);
        if column < self.columns && row < self.rows { self.cells.get_mut(row * self.columns + column) } else { None }
    }

    fn mark(&mut self, index: usize, series: &Series) {
        let Mark::Line { points, stroke, .. } = &series.mark else { return };
        let path: Vec<(i64, i64)> = points.iter().filter_map(|point| self.at(point.x, point.y)).collect();
        let letter = key(index);
        for pair in path.windows(2) {
            for (step, dot) in between(pair[0], pair[1]).enumerate() {
                // A dashed line has gaps of its own.
                if *stroke == Stroke::Dashed && step % 4 > 1 {
                    continue;
                }
                self.dot(dot, series.hue, letter);
            }
        }
    }

    fn dot(&mut self, (x, y): (i64, i64), hue: Hue, letter: char) {
        const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
        let unicode = self.style.unicode;
        let Some(cell) = self.cell((x, y)) else { return };
        cell.hue = Some(hue);
        if unicode {
            cell.dots |= BITS[(x % 2) as usize][(y % 4) as usize];
        } else {
            cell.letter = Some(letter);
        }
    }

    /// Puts a series' letter upon it, where no other one stands yet; upon every point of a series of points.
    fn sign(&mut self, index: usize, series: &Series) {
        let letter = key(index);
        match &series.mark {
            Mark::Line { points, .. } => {
                let path: Vec<(i64, i64)> = points.iter().filter_map(|point| self.at(point.x, point.y)).collect();
                let dots: Vec<(i64, i64)> = path.windows(2).flat_map(|pair| between(pair[0], pair[1])).collect();
                let tries = [3, 5, 2, 6, 4, 1, 7];
                let places = tries.iter().filter_map(|eighth| dots.get(dots.len() * eighth / 8).copied());
                for place in places.collect::<Vec<_>>() {
                    if let Some(cell) = self.cell(place).filter(|cell| cell.letter.is_none()) {
                        (cell.letter, cell.hue) = (Some(letter), Some(series.hue));
                        return;
                    }
                }
            }
            Mark::Points { points, .. } => {
                for point in points.iter().rev() {
                    if let Some(cell) = self.at(point.x, point.y).and_then(|place| self.cell(place)) {
                        (cell.letter, cell.hue) = (Some(letter), Some(series.hue));
                    }
                }
            }
            Mark::Bars { .. } => {}
        }
    }

    fn draw(&self, out: &mut String) {
        let style = self.style;
        let dim = Ansi::new().effects(Effects::DIMMED);
        line(out, style, dim, &title(&self.chart.y.title, self.chart.y.measure, &self.chart.y.scale), self.width);
        let (wall, tick, corner, floor, down) =
            if style.unicode { ('│', '┤', '└', '─', '┬') } else { ('|', '+', '+', '-', '+') };
        let row_of = |tick: &Tick| ((1.0 - tick.place) * (self.rows - 1) as f64).round() as usize;
        for row in 0..self.rows {
            let text = self.ticks.1.iter().find(|tick| row_of(tick) == row);
            let (label, edge) = text.map_or(("", wall), |text| (text.text.as_str(), tick));
            let pad = " ".repeat(self.margin.saturating_sub(label.width()));
            let dim = if style.colour { dim } else { Ansi::new() };
            let _ = write!(out, "{dim}{pad}{label} {edge}{dim:#}");
            self.row(row, out);
            out.push('\n');
        }
        let column_of = |tick: &Tick| (tick.place * (self.columns - 1) as f64).round() as usize;
        let mut edge: Vec<char> = vec![floor; self.columns];
        let mut under = String::new();
        for tick in &self.ticks.0 {
            let column = column_of(tick).min(self.columns - 1);
            edge[column] = down;
            let start = (self.margin + 2 + column).saturating_sub(tick.text.width() / 2);
            let start = start.min(self.width.saturating_sub(tick.text.width()));
            if start >= under.width() + usize::from(!under.is_empty()) {
                under += &" ".repeat(start - under.width());
                under += &tick.text;
            }
        }
        let edge: String = edge.into_iter().collect();
        line(out, style, dim, &format!("{}{corner}{edge}", " ".repeat(self.margin + 1)), self.width);
        line(out, style, dim, &under, self.width);
        let below = title(&self.chart.x.title, self.chart.x.measure, &self.chart.x.scale);
        line(out, style, dim, &format!("{}{below}", " ".repeat(self.width.saturating_sub(below.width()))), self.width);
        self.keys(out);
    }

    fn row(&self, row: usize, out: &mut String) {
        let cells = &self.cells[row * self.columns..(row + 1) * self.columns];
        let last = cells.iter().rposition(|cell| cell.hue.is_some()).map_or(0, |last| last + 1);
        for cell in &cells[..last] {
            let character = match cell {
                Cell { letter: Some(letter), .. } => *letter,
                Cell { dots: 0, .. } => ' ',
                Cell { dots, .. } => char::from_u32(0x2800 + u32::from(*dots)).unwrap_or(' '),
            };
            let ansi = cell.hue.map_or(Ansi::new(), |hue| ansi(hue, self.style));
            let _ = write!(out, "{ansi}{character}{ansi:#}");
        }
    }

    /// What the letters mean, and what points of series of points are.
    fn keys(&self, out: &mut String) {
        for (index, series) in self.chart.series.iter().enumerate() {
            let ansi = ansi(series.hue, self.style);
            let labels: Vec<&str> =
                series.points().iter().map(|point| point.label.as_str()).filter(|label| !label.is_empty()).collect();
            let dashed = matches!(series.mark, Mark::Line { stroke: Stroke::Dashed, .. });
            let dashed = if dashed { " (dashed)" } else { "" };
            let labels = if labels.is_empty() { String::new() } else { format!(": {}", labels.join(", ")) };
            let (text, _) = fitted(&format!("{}{dashed}{labels}", series.name), self.width - 3, self.style.unicode);
            let _ = writeln!(out, "{ansi}{}{ansi:#}  {text}", key(index));
        }
    }
}

/// The letter of a series.
fn key(index: usize) -> char {
    let letters = ('a'..='z').chain('A'..='Z');
    letters.clone().nth(index % letters.count()).unwrap_or('?')
}

/// The dots from one to another.
fn between((x0, y0): (i64, i64), (x1, y1): (i64, i64)) -> impl Iterator<Item = (i64, i64)> {
    let steps = (x1 - x0).abs().max((y1 - y0).abs()).max(1);
    (0..=steps).map(move |step| {
        let share = step as f64 / steps as f64;
        let along = |from: i64, to: i64| from + ((to - from) as f64 * share).round() as i64;
        (along(x0, x1), along(y0, y1))
    })
}

/// Bars in rows: name, bar, value.
fn bars(chart: &Chart, rows: &[String], style: Style, width: usize, out: &mut String) {
    let (span, _) = Span::of(chart);
    let all = || {
        chart.series.iter().flat_map(|series| match &series.mark {
            Mark::Bars { bars } => bars.iter().map(|bar| (series.hue, bar)).collect(),
            _ => Vec::new(),
        })
    };
    let names = rows.iter().map(|row| row.width()).max().unwrap_or(0).min(width / 3);
    let values = all().map(|(_, bar)| bar.label.width()).max().unwrap_or(0).min(width / 3);
    let room = width.saturating_sub(names + values + 4).max(4);
    let fill = if style.unicode { '█' } else { '#' };
    for (index, name) in rows.iter().enumerate() {
        let (name, _) = fitted(name, names, style.unicode);
        let _ = write!(out, "{}{name}  ", " ".repeat(names.saturating_sub(name.width())));
        let mut column = 0;
        let mut label = "";
        for (hue, bar) in all().filter(|(_, bar)| bar.row == index) {
            let place = |value: f64| (span.place(value).unwrap_or(0.0) * room as f64).round() as usize;
            let (from, to) = (place(bar.from.min(bar.to)), place(bar.from.max(bar.to)));
            let ansi = ansi(hue, style);
            let bar_of = fill.to_string().repeat(to.saturating_sub(from).max(1));
            let _ = write!(out, "{}{ansi}{bar_of}{ansi:#}", " ".repeat(from.saturating_sub(column)));
            column = from.max(column) + bar_of.width();
            label = &bar.label;
        }
        let (label, _) = fitted(label, width.saturating_sub(names + 3 + column), style.unicode);
        let _ = writeln!(out, " {label}");
    }
}
