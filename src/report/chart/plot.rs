//! A picture with two axes of numbers: where lines, points and words go in SVG.

use super::canvas::{Anchor, Canvas};
use super::font;
use super::labels::{Place, Placer};
use super::legend::Legend;
use super::scale::{Span, Tick, has_unit};
use super::svg::Frame;
use super::{Chart, Mark, Measure, Point, Scale, Series, Stroke, Symbol};

/// Size of the type of names, and of labels of points.
const NAME: f64 = 12.0;
const SMALL: f64 = 11.0;
/// Radius of the dots of a line, and of the smallest and the largest points.
const DOT: f64 = 3.0;
const POINT: (f64, f64) = (4.0, 9.0);

/// A picture that is laid out.
pub(super) struct Plot<'a> {
    chart: &'a Chart,
    frame: &'a Frame,
    x: Span,
    y: Span,
    ticks: (Vec<Tick>, Vec<Tick>),
    /// Left, top, right, bottom of the plotting area.
    area: [f64; 4],
    top: f64,
    legend: Legend<'a>,
    names: Vec<Option<Place>>,
    points: Vec<Vec<Option<Place>>>,
}

impl<'a> Plot<'a> {
    pub(super) fn new(chart: &'a Chart, frame: &'a Frame, top: f64) -> Self {
        let in_legend: Vec<bool> = chart.series.iter().map(|series| series.label.is_none()).collect();
        let plot = Self::with_legend(chart, frame, top, &in_legend);
        // Names that find no room beside their lines go to the legend, which takes room itself.
        let missing = |index: usize, series: &Series| series.label.is_some() && plot.names[index].is_none();
        let all: Vec<bool> =
            chart.series.iter().enumerate().map(|(index, series)| in_legend[index] || missing(index, series)).collect();
        if all == in_legend { plot } else { Self::with_legend(chart, frame, top, &all) }
    }

    fn with_legend(chart: &'a Chart, frame: &'a Frame, top: f64, in_legend: &[bool]) -> Self {
        let (x, y) = Span::of(chart);
        let named = chart.series.iter().zip(in_legend).filter(|(_, in_legend)| **in_legend && chart.series.len() > 1);
        let margin = frame.margin();
        let legend = Legend::new(named.map(|(series, _)| series), frame.width - 2.0 * margin);
        let (rows, columns) = if frame.is_narrow() { (6, 4) } else { (7, 9) };
        let ticks = (x.ticks(chart.x.measure, columns), y.ticks(chart.y.measure, rows));
        let widest = ticks.1.iter().map(|tick| font::width(&tick.text, SMALL, false)).fold(0.0, f64::max);
        let gap = if legend.height() > 0.0 { 8.0 } else { 0.0 };
        let area = [
            margin + widest + 8.0,
            top + legend.height() + gap + 24.0,
            frame.width - margin - 6.0,
            frame.height - margin - 40.0,
        ];
        let mut plot = Self { chart, frame, x, y, ticks, area, top, legend, names: Vec::new(), points: Vec::new() };
        plot.place_words(in_legend);
        plot
    }

    fn place_words(&mut self, in_legend: &[bool]) {
        let lines: Vec<Vec<(f64, f64)>> = self.chart.series.iter().map(|series| self.path(series)).collect();
        let mut placer = Placer::new(self.area, NAME * 1.15, lines);
        for series in &self.chart.series {
            for (point, at) in self.visible(series) {
                if matches!(series.mark, Mark::Points { .. }) && point.weight > 0.0 {
                    placer.take(at.0, at.1);
                }
            }
        }
        let mut names = Vec::with_capacity(self.chart.series.len());
        for (index, series) in self.chart.series.iter().enumerate() {
            let width = font::width(series.label.as_deref().unwrap_or_default(), NAME, true) + 4.0;
            // What slopes is named low, where lines lie apart; what is level, at its end.
            let path = self.path(series);
            let is_level = path.first().zip(path.last()).is_some_and(|(a, b)| (a.1 - b.1).abs() < 2.0);
            let prefer = if is_level { 0.98 } else { 0.3 };
            names.push(if in_legend[index] { None } else { placer.along(index, width, prefer) });
        }
        let mut points = Vec::with_capacity(self.chart.series.len());
        for series in &self.chart.series {
            // The weightiest first.
            let mut order: Vec<usize> = (0..series.points().len()).collect();
            order.sort_by(|&a, &b| series.points()[b].weight.total_cmp(&series.points()[a].weight));
            let mut places: Vec<Option<Place>> = vec![None; series.points().len()];
            for index in order {
                let point = &series.points()[index];
                let Some(at) = self.at(point.x, point.y).filter(|_| !point.label.is_empty()) else { continue };
                let width = font::width(&point.label, SMALL, false) + 2.0;
                places[index] = placer.around(at, radius(point) + 3.0, width);
            }
            points.push(places);
        }
        (self.names, self.points) = (names, points);
    }

    /// The place of two numbers on the sheet.
    fn at(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        let [left, top, right, bottom] = self.area;
        Some((left + self.x.place(x)? * (right - left), bottom - self.y.place(y)? * (bottom - top)))
    }

    fn visible<'s>(&'s self, series: &'s Series) -> impl Iterator<Item = (&'s Point, (f64, f64))> {
        let inside = |point: &&Point| self.x.has(point.x) && self.y.has(point.y);
        series.points().iter().filter(inside).filter_map(|point| Some((point, self.at(point.x, point.y)?)))
    }

    fn path(&self, series: &Series) -> Vec<(f64, f64)> {
        match &series.mark {
            Mark::Line { points, .. } => points.iter().filter_map(|point| self.at(point.x, point.y)).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas) {
        self.legend.draw(canvas, (self.frame.margin(), self.top));
        self.axes(canvas);
        self.rules(canvas);
        for series in &self.chart.series {
            self.marks(canvas, series);
        }
        for (index, series) in self.chart.series.iter().enumerate() {
            let class = series.hue.class();
            if let (Some(Place { x, y, angle }), Some(label)) = (self.names[index], &series.label) {
                canvas.turned((x, y), angle, &format!("name halo {class}"), label);
            }
            for (point, place) in series.points().iter().zip(&self.points[index]) {
                if let Some(Place { x, y, .. }) = *place {
                    canvas.turned((x, y), 0.0, "small halo ink", &point.label);
                }
            }
        }
    }

    fn axes(&self, canvas: &mut Canvas) {
        let [left, top, right, bottom] = self.area;
        for tick in &self.ticks.1 {
            let y = bottom - tick.place * (bottom - top);
            canvas.path(&[(left, y), (right, y)], "grid", "");
            canvas.text((left - 7.0, y + 4.0), "small quiet", Anchor::End, &tick.text);
        }
        let mut free_from = f64::NEG_INFINITY;
        for tick in &self.ticks.0 {
            let x = left + tick.place * (right - left);
            canvas.path(&[(x, top), (x, bottom)], "grid", "");
            let half = font::width(&tick.text, SMALL, false) / 2.0;
            // Numbers that would run into each other are left out; none leaves the sheet.
            let x = x.min(self.frame.width - self.frame.margin() - half);
            if x - half > free_from {
                canvas.text((x, bottom + 16.0), "small quiet", Anchor::Middle, &tick.text);
                free_from = x + half + 6.0;
            }
        }
        canvas.text(
            (self.frame.margin(), top - 10.0),
            "quiet",
            Anchor::Start,
            &title(&self.chart.y.title, self.chart.y.measure, &self.chart.y.scale),
        );
        canvas.text(
            (right, bottom + 34.0),
            "quiet",
            Anchor::End,
            &title(&self.chart.x.title, self.chart.x.measure, &self.chart.x.scale),
        );
    }

    fn rules(&self, canvas: &mut Canvas) {
        let [_, top, right, bottom] = self.area;
        let mut free_from = f64::NEG_INFINITY;
        for rule in self.chart.rules.iter().filter(|rule| self.x.has(rule.at)) {
            let Some((x, _)) = self.at(rule.at, self.y.low) else { continue };
            canvas.path(&[(x, top), (x, bottom)], "rule quiet", "");
            let width = font::width(&rule.label, SMALL, false);
            if x > free_from && x + 4.0 + width < right {
                canvas.text((x + 4.0, bottom - 6.0), "small halo quiet", Anchor::Start, &rule.label);
                free_from = x + width + 8.0;
            }
        }
    }

    fn marks(&self, canvas: &mut Canvas, series: &Series) {
        let class = series.hue.class();
        match &series.mark {
            Mark::Line { points, stroke, band } => {
                let edge = |pick: fn(&super::Spread) -> f64| {
                    band.iter().filter_map(move |spread| self.at(spread.x, pick(spread)))
                };
                let outline: Vec<(f64, f64)> = edge(|spread| spread.high)
                    .chain(edge(|spread| spread.low).collect::<Vec<_>>().into_iter().rev())
                    .collect();
                if outline.len() > 2 {
                    canvas.area(&outline, &format!("band {class}"));
                }
                let dash = if *stroke == Stroke::Dashed { " dash" } else { "" };
                let path = self.path(series);
                canvas.path(&path, &format!("line{dash} {class}"), "");
                if *stroke == Stroke::Dotted {
                    for (point, at) in self.visible(series) {
                        canvas.circle(at, DOT, &format!("dot {class}"), &point.detail);
                    }
                } else {
                    canvas.path(&path, "hit", points.first().map_or("", |point| &point.detail));
                }
            }
            Mark::Points { symbol, .. } => {
                for (point, at) in self.visible(series) {
                    let class = format!("dot {class}");
                    match symbol {
                        Symbol::Circle => canvas.circle(at, radius(point), &class, &point.detail),
                        Symbol::Diamond => canvas.diamond(at, radius(point), &class, &point.detail),
                    }
                }
            }
            Mark::Bars { .. } => {}
        }
    }
}

/// Points are as large as their weight in area.
fn radius(point: &Point) -> f64 {
    POINT.0 + (POINT.1 - POINT.0) * point.weight.clamp(0.0, 1.0).sqrt()
}

/// What runs along an axis, with the unit where the numbers do not have it.
pub(super) fn title(title: &str, measure: Measure, scale: &Scale) -> String {
    match (measure, scale) {
        (Measure::Of(unit), Scale::Linear | Scale::Log) if !has_unit(unit) => format!("{title} ({unit})"),
        _ => title.to_owned(),
    }
}
