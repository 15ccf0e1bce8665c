//! Pictures as data: axes in base SI, lines, bands, points and bars, with words for each. Renderers turn one into text, SVG, an image or a page.

mod bars;
pub(super) mod canvas;
mod csv;
pub(super) mod font;
mod labels;
mod legend;
mod plot;
mod scale;
pub(super) mod style;
mod svg;
mod terminal;

use serde::Serialize;

use crate::units::{Unit, binary_bytes, human};

pub use csv::csv;
pub(super) use font::{REGULAR, SEMIBOLD};
pub use style::Theme;
pub use svg::{Frame, svg};
pub use terminal::terminal;

/// A picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Chart {
    /// What it shows, in a few words.
    pub title: String,
    /// What to see in it, and under which conditions, in a line.
    pub subtitle: String,
    /// From left to right.
    pub x: Axis,
    /// From bottom to top; where it is rows, from top to bottom.
    pub y: Axis,
    /// What is drawn, the first at the back.
    pub series: Vec<Series>,
    /// Places on the horizontal axis that a dashed line marks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Axis {
    /// What runs along it.
    pub title: String,
    /// What its numbers are.
    pub measure: Measure,
    /// How they are spaced.
    pub scale: Scale,
    /// The least and the largest number, where they do not follow from what is drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<(f64, f64)>,
}

/// What numbers are, and so how they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// A quantity in base SI.
    Of(Unit),
    /// Bytes that are counted in powers of two: working sets.
    Binary,
    /// A bare number of things, with the word for them.
    Count(&'static str),
}

/// How numbers are spaced along an axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal differences, from zero.
    Linear,
    /// Equal ratios.
    Log,
    /// A row for each of these.
    Rows(Vec<String>),
}

/// Something that is drawn in one colour.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// What it is, as the legend says it.
    pub name: String,
    /// What is written beside it, where there is room; then it is not in the legend.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its colour.
    pub hue: Hue,
    /// What is drawn.
    #[serde(flatten)]
    pub mark: Mark,
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "mark", rename_all = "snake_case")]
pub enum Mark {
    /// Points that are joined.
    Line {
        /// From left to right.
        points: Vec<Point>,
        /// How it is drawn.
        stroke: Stroke,
        /// What was seen around the points: 80 % of the samples.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        band: Vec<Spread>,
    },
    /// Points by themselves.
    Points {
        /// The points.
        points: Vec<Point>,
        /// Their form.
        symbol: Symbol,
    },
    /// Bars along the rows of the vertical axis.
    Bars {
        /// The bars.
        bars: Vec<Bar>,
    },
}

/// A place in the picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Its place on the horizontal axis.
    pub x: f64,
    /// Its place on the vertical axis.
    pub y: f64,
    /// How much it weighs, from 0 to 1: points are as large.
    pub weight: f64,
    /// What is written beside it, where there is room.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What is to be said of it where more is asked for.
    pub detail: String,
}

/// What was seen at a place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The place.
    pub x: f64,
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

/// A bar.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bar {
    /// Its row.
    pub row: usize,
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// What is written at its end.
    pub label: String,
    /// What is to be said of it where more is asked for.
    pub detail: String,
}

/// A marked place on the horizontal axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// The place.
    pub at: f64,
    /// What is there.
    pub label: String,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stroke {
    /// Through the dots of what was measured.
    Dotted,
    /// Bare.
    Solid,
    /// What nobody measured: makers' figures and formulas.
    Dashed,
}

/// The form of points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Symbol {
    /// A filled circle.
    Circle,
    /// A filled diamond.
    Diamond,
}

/// A colour by its meaning: renderers choose colours that differ for everybody, on light and dark ground.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Hue {
    /// One of the palette, counted round.
    Of(usize),
    /// Grey: what is beside the point.
    Quiet,
    /// The colour of text.
    Ink,
}

impl Point {
    /// A point of a line.
    #[must_use]
    pub fn new(x: f64, y: f64, detail: impl Into<String>) -> Self {
        Self { x, y, weight: 0.0, label: String::new(), detail: detail.into() }
    }
}

impl Measure {
    /// A number of this kind as people read it.
    #[must_use]
    pub fn words(self, value: f64) -> String {
        match self {
            Self::Of(unit) => human(value, unit).to_string(),
            Self::Binary => binary_bytes(value.max(0.0).round() as u64),
            Self::Count(word) => format!("{} {word}", digits(value)),
        }
    }

    /// The symbol or word that follows a number.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Of(unit) => unit.symbol(),
            Self::Binary => "B",
            Self::Count(word) => word,
        }
    }
}

/// A bare number with three digits where it has a fraction.
fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

impl Chart {
    /// Whether its vertical axis is rows of bars.
    fn rows(&self) -> Option<&[String]> {
        match &self.y.scale {
            Scale::Rows(rows) => Some(rows),
            _ => None,
        }
    }

    /// Whether there is nothing to see.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.iter().all(|series| match &series.mark {
            Mark::Line { points, .. } | Mark::Points { points, .. } => points.is_empty(),
            Mark::Bars { bars } => bars.is_empty(),
        })
    }
}

impl Series {
    /// Its points; none for bars.
    fn points(&self) -> &[Point] {
        match &self.mark {
            Mark::Line { points, .. } | Mark::Points { points, .. } => points,
            Mark::Bars { .. } => &[],
        }
    }
}
