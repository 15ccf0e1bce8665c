//! The points of a sweep, as a table for people and as lines with commas.

use super::super::block::{Block, Cell, Group, Row as TableRow, Table, Tone};
use super::served::rate;
use crate::estimate::{Dimension, Point, Row};
use crate::units::{Seconds, Unit, human};

/// The points as a table.
#[must_use]
pub fn rows(rows: &[Row]) -> Vec<Block> {
    let label = |at: &[(Dimension, u64)]| {
        at.iter().map(|(dimension, value)| format!("{dimension} {value}")).collect::<Vec<_>>().join("  ")
    };
    let cells = |row: &Row| match &row.outcome {
        Err(error) => vec![Cell::new(error.to_string(), Tone::Bad)],
        Ok(point) => {
            let or_none = |text: Option<String>| Cell::plain(text.unwrap_or_else(|| "–".to_owned()));
            let fits = if point.fits { Cell::plain("fits") } else { Cell::new("does not fit", Tone::Bad) };
            vec![
                Cell::plain(human(point.memory.get(), Unit::Byte).to_string()),
                fits,
                or_none(point.largest_batch.map(|batch| batch.to_string())),
                Cell::plain(point.step.to_string()),
                or_none(point.ttft.map(|time| time.to_string())),
                or_none(point.tpot.map(|time| time.to_string())),
                or_none(point.throughput.map(rate)),
                or_none(point.throughput_per_user.map(rate)),
            ]
        }
    };
    let rows = rows.iter().map(|row| TableRow { label: label(&row.at), cells: cells(row) }).collect();
    let columns = ["memory", "", "largest batch", "step", "TTFT", "TPOT", "tokens/s", "for each user"]
        .map(str::to_owned)
        .to_vec();
    let right = vec![true, false, true, true, true, true, true, true];
    vec![Block::Table(Table { columns, right, groups: vec![Group { title: "sweep".to_owned(), rows }] })]
}

/// The points as lines with commas, the first with the columns' names. Units stand in the names: seconds, bytes, tokens per second.
#[must_use]
pub fn csv(rows: &[Row]) -> String {
    let mut text = String::new();
    if let Some(first) = rows.first() {
        let names: Vec<&str> = first.at.iter().map(|(dimension, _)| dimension.word()).collect();
        text += &names.join(",");
        text += ",memory_bytes,fits,largest_batch,step_s,ttft_s,tpot_s,tokens_per_s,tokens_per_s_user,error\n";
    }
    for row in rows {
        let mut fields: Vec<String> = row.at.iter().map(|(_, value)| value.to_string()).collect();
        match &row.outcome {
            Ok(point) => fields.extend(fields_of(point)),
            Err(error) => {
                fields.extend(std::iter::repeat_n(String::new(), 8));
                fields.push(format!("\"{}\"", error.to_string().replace('"', "\"\"")));
            }
        }
        text += &fields.join(",");
        text.push('\n');
    }
    text
}

fn fields_of(point: &Point) -> [String; 9] {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    [
        point.memory.get().to_string(),
        point.fits.to_string(),
        point.largest_batch.map_or_else(String::new, |batch| batch.to_string()),
        point.step.get().to_string(),
        number(point.ttft.map(Seconds::get)),
        number(point.tpot.map(Seconds::get)),
        number(point.throughput),
        number(point.throughput_per_user),
        String::new(),
    ]
}
