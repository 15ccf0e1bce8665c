//! A fleet as people read it: what is typical, how far devices lie apart, and who falls behind.

use super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::profile::{Common, Fleet, Missing};
use crate::units::{human, percent};

/// Ceilings that are named of those that a device lacks.
const NAMED: usize = 3;

/// A fleet whose profiles have names.
#[must_use]
pub fn fleet(fleet: &Fleet, names: &[String]) -> Vec<Block> {
    let name = |index: usize| names.get(index).map_or("", String::as_str);
    let row = |common: &Common| {
        let behind: Vec<String> = common
            .outliers
            .iter()
            .map(|outlier| {
                let value = human(outlier.value, common.unit);
                format!("{} {value}, {} behind", name(outlier.profile), percent(outlier.behind))
            })
            .collect();
        let tone = if behind.is_empty() { Tone::Dim } else { Tone::Bad };
        Row {
            label: common.key.to_string(),
            cells: vec![
                Cell::new(human(common.median, common.unit).to_string(), Tone::Strong),
                Cell::plain(percent(common.mad / common.median)),
                Cell::plain(human(common.least, common.unit).to_string()),
                Cell::plain(human(common.most, common.unit).to_string()),
                Cell::plain(common.devices.to_string()),
                Cell::new(behind.join("; "), tone),
            ],
        }
    };
    let columns = ["median", "±MAD", "least", "most", "devices", "behind"].map(str::to_owned).to_vec();
    let right = vec![true, true, true, true, true, false];
    let groups = vec![Group { title: "ceiling".to_owned(), rows: fleet.ceilings.iter().map(row).collect() }];
    let mut blocks = Vec::new();
    if !fleet.ceilings.is_empty() {
        blocks.push(Block::Table(Table { columns, right, groups }));
    }
    let mut slow: Vec<(usize, usize)> = Vec::new();
    for outlier in fleet.ceilings.iter().flat_map(|common| &common.outliers) {
        match slow.iter_mut().find(|(profile, _)| *profile == outlier.profile) {
            Some((_, count)) => *count += 1,
            None => slow.push((outlier.profile, 1)),
        }
    }
    slow.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (profile, count) in &slow {
        let ceilings = if *count == 1 { "ceiling" } else { "ceilings" };
        blocks.push(Block::line(format!("{} falls behind in {count} {ceilings}", name(*profile)), Tone::Bad));
    }
    for index in 0..names.len() {
        let missing: Vec<&Missing> = fleet.missing.iter().filter(|missing| missing.profile == index).collect();
        blocks.extend(lacks(name(index), &missing));
    }
    if !fleet.has_outliers() {
        blocks.push(Block::line(format!("{} devices, none falls behind", names.len()), Tone::Strong));
    }
    blocks.extend(fleet.typical.map(|index| Block::line(format!("typical: {}", name(index)), Tone::Dim)));
    blocks
}

/// What a device lacks: the first ceilings, and why the first of them.
fn lacks(name: &str, missing: &[&Missing]) -> Option<Block> {
    let first = missing.first()?;
    let mut keys: Vec<String> = missing.iter().take(NAMED).map(|missing| missing.key.to_string()).collect();
    keys.extend((missing.len() > NAMED).then(|| format!("{} more", missing.len() - NAMED)));
    let why = first.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    Some(Block::line(format!("{name} has no value of {}{why}", keys.join(", ")), Tone::Bad))
}
