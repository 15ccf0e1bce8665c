//! What a profile answered: values, how they are known, and what speaks against them.

use super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::profile::{Answer, Demand, Flag, How, Known, Place};
use crate::resource::{Axis, Key};
use crate::units::{human, percent};

/// Questions with their answers, grouped by what was asked for.
#[must_use]
pub fn answers(answers: &[(Demand, Answer)]) -> Vec<Block> {
    let mut groups: Vec<(Key, Vec<Row>)> = Vec::new();
    for (demand, answer) in answers {
        let row = row(demand, answer);
        match groups.iter_mut().find(|(key, _)| *key == demand.key()) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((demand.key(), vec![row])),
        }
    }
    let groups = groups.into_iter().map(|(key, rows)| Group { title: key.to_string(), rows }).collect();
    let columns = ["value", "error", "how it is known", "flags"].map(str::to_owned).to_vec();
    let table = Block::Table(Table { columns, right: vec![true, true, false, false], groups });
    std::iter::once(table).chain(notes(answers)).collect()
}

fn row(demand: &Demand, answer: &Answer) -> Row {
    let axis = demand.resource.axis().filter(|_| demand.resource.level().is_none());
    let label = match (demand.at, axis) {
        // One value, whether of a peak or of a level.
        (Place::Anywhere, None) => "everywhere".to_owned(),
        (Place::Anywhere, Some(Axis::Shape)) => "fastest shape".to_owned(),
        (Place::Anywhere, Some(_)) => "largest size".to_owned(),
        (at, _) => at.to_string(),
    };
    let cells = match answer {
        Answer::Missing { why } => vec![Cell::new(format!("not known: {why}"), Tone::Bad)],
        Answer::Known(Known { value, unit, how, error, flags }) => vec![
            Cell::new(human(*value, *unit).to_string(), Tone::Strong),
            Cell::plain(error.map_or_else(|| "–".to_owned(), |error| format!("±{}", percent(error)))),
            Cell::new(known(how), tone(how)),
            Cell::new(flags.iter().map(Flag::word).collect::<Vec<_>>().join(", "), Tone::Warn),
        ],
    };
    Row { label, cells }
}

/// How a value is known, in a few words.
fn known(how: &How) -> String {
    match how {
        How::Measured { at: Place::Anywhere } => "measured".to_owned(),
        How::Measured { at } => format!("measured at {at}"),
        How::Interpolated { between } => match between.as_slice() {
            [first, last] => format!("between {first} and {last}"),
            places => format!("between {} measured ones", places.len()),
        },
        How::Fitted { points } => format!("formula through {points} points"),
        How::Extrapolated { from } => format!("extrapolated from {from}"),
        How::Imported { tool, known, .. } => format!("{tool}: {}", self::known(known)),
        How::Substituted { from, known, .. } => format!("of {from}, {}", self::known(known)),
        How::Datasheet { .. } => "the maker's figure".to_owned(),
    }
}

const fn tone(how: &How) -> Tone {
    match how {
        How::Measured { .. } | How::Interpolated { .. } | How::Fitted { .. } => Tone::Dim,
        How::Extrapolated { .. } | How::Imported { .. } | How::Substituted { .. } | How::Datasheet { .. } => Tone::Warn,
    }
}

/// What is too long for the table, each once: why another resource stands for it, where the maker says so, what was observed.
fn notes(answers: &[(Demand, Answer)]) -> Vec<Block> {
    let mut notes: Vec<String> = Vec::new();
    for (demand, known) in answers.iter().filter_map(|(demand, answer)| Some((demand, answer.known()?))) {
        if let Some(places) = neighbours(&known.how) {
            let places: Vec<String> = places.iter().map(ToString::to_string).collect();
            notes.push(format!("{} lies between {}", demand.at, places.join(", ")));
        }
        if let How::Substituted { why, .. } = &known.how {
            notes.push(format!("{}: {why}", demand.key()));
        }
        if let Some(source) = source(&known.how) {
            notes.push(format!("the maker's figure: {source}"));
        }
        if let Some((tool, file)) = other_tool(&known.how) {
            notes.push(format!("measured by {tool} and not by rooflab: {file}"));
        }
        notes.extend(known.flags.iter().map(|flag| flag.explain(known.unit)));
    }
    let mut said = Vec::new();
    notes.retain(|note| {
        let new = !said.contains(note);
        said.push(note.clone());
        new
    });
    notes.into_iter().map(|note| Block::line(note, Tone::Dim)).collect()
}

/// The places around one, where they are more than two.
fn neighbours(how: &How) -> Option<&[Place]> {
    match how {
        How::Interpolated { between } => Some(between.as_slice()).filter(|places| places.len() > 2),
        How::Substituted { known, .. } => neighbours(known),
        _ => None,
    }
}

/// Which other tool measured it, and where that stands.
fn other_tool(how: &How) -> Option<(&str, &str)> {
    match how {
        How::Imported { tool, file, .. } => Some((tool, file)),
        How::Substituted { known, .. } => other_tool(known),
        _ => None,
    }
}

/// Where the maker says so.
fn source(how: &How) -> Option<&str> {
    match how {
        How::Datasheet { source } => Some(source),
        How::Substituted { known, .. } => source(known),
        _ => None,
    }
}
