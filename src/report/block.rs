//! The pieces a report is made of, whatever it is rendered to.

/// A piece of a report.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// A line of text.
    Line(Vec<Cell>),
    /// A table whose rows are grouped.
    Table(Table),
    /// A bar of parts that make up a whole.
    Bar(Bar),
}

/// Parts of a whole, each as long as its share of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// What stands before it.
    pub title: String,
    /// The parts, in order. What is not above 0 is not drawn.
    pub segments: Vec<Segment>,
}

/// A part of a bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// What it is called where there is room.
    pub label: String,
    /// What stands beside that where there is more room.
    pub value: String,
    /// How much it is, in any unit.
    pub size: f64,
    /// Whether it is what is left over.
    pub is_rest: bool,
}

/// Rows in groups, under common columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Titles of the columns after the first, which has the groups' titles.
    pub columns: Vec<String>,
    /// Whether each of these columns is aligned to the right.
    pub right: Vec<bool>,
    /// The rows.
    pub groups: Vec<Group>,
}

/// Rows that belong together.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What they are about.
    pub title: String,
    /// The rows.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What it is about.
    pub label: String,
    /// Its cells; a row with a single cell lets it run over all columns.
    pub cells: Vec<Cell>,
}

/// Text with a tone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// How a text is meant. Readable without colour: tone never carries the meaning alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Worth seeing first.
    Strong,
    /// Beside the point.
    Dim,
    /// Speaks against a value.
    Warn,
    /// Went wrong.
    Bad,
}

impl Cell {
    /// A text with a tone. Control characters, which could play with a terminal, are replaced.
    pub fn new(text: impl Into<String>, tone: Tone) -> Self {
        let text = text.into();
        let text = if text.chars().any(char::is_control) {
            text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
        } else {
            text
        };
        Self { text, tone }
    }

    /// A plain text.
    pub fn plain(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Plain)
    }
}

impl Block {
    /// A line in one tone.
    pub fn line(text: impl Into<String>, tone: Tone) -> Self {
        Self::Line(vec![Cell::new(text, tone)])
    }

    /// An empty line.
    #[must_use]
    pub const fn blank() -> Self {
        Self::Line(Vec::new())
    }
}
