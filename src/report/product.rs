//! The diagnosis of a matrix product as people read it.

use super::block::{Block, Cell, Tone};
use super::diagnosis::{bar, in_scale, list, not_found, of_finding, waterfall};
use crate::diagnose::{Against, Cause, ProductDiagnosis, Reference};
use crate::units::{Unit, human, percent};

/// The diagnosis of a matrix product.
#[must_use]
pub fn product(document: &ProductDiagnosis) -> Vec<Block> {
    let mut blocks = vec![Block::line(head(document), Tone::Strong), Block::line(device(document), Tone::Plain)];
    blocks.push(Block::blank());
    blocks.extend(measured(document));
    blocks.push(bar(&document.spent, document.measured));
    let title = "product, from the floor to what was measured".to_owned();
    blocks.push(waterfall(title, &document.spent, &document.absent, document.measured, |on| explain(document, on)));
    if !document.findings.is_empty() {
        blocks.push(Block::blank());
    }
    for finding in &document.findings {
        blocks.extend(of_finding(&[], finding));
    }
    blocks.push(Block::blank());
    blocks.extend(list("it rests on", &document.assumptions));
    blocks.extend(not_found(&document.checked));
    let rule = document.findings.first().map_or("RL001", |finding| finding.rule);
    blocks.push(Block::line(format!("shares are of operations per second; `rooflab explain {rule}`"), Tone::Dim));
    blocks
}

fn head(document: &ProductDiagnosis) -> String {
    let cores = match document.cores {
        Some(1) => " · 1 core".to_owned(),
        Some(cores) => format!(" · {cores} cores"),
        None => String::new(),
    };
    let (number, rate) = human(document.operations as f64, document.unit).parts();
    let (unit, bytes) = (rate.trim_end_matches("/s"), human(document.bytes as f64, Unit::Byte));
    format!("product {} · {} · {number} {unit}, {bytes}{cores}", document.shape, document.dtype)
}

fn device(document: &ProductDiagnosis) -> String {
    let hardware = &document.hardware;
    let known = if hardware.measured { "measured" } else { "the maker's figures" };
    let sheet = document.datasheet.as_ref().map(|name| format!(" · datasheet {name}")).unwrap_or_default();
    format!("{} · profile {} ({known}){sheet}", hardware.device, hardware.profile)
}

fn measured(document: &ProductDiagnosis) -> Vec<Block> {
    let at = |time| in_scale(time, document.measured);
    let bound = if document.is_memory_bound { "memory" } else { "arithmetic" };
    let shares: Vec<String> = document
        .against
        .iter()
        .map(|against| format!("{} of {}", percent(against.share), against.what.words()))
        .collect();
    let mut second = vec![Cell::plain(format!("         {}", shares.join(", ")))];
    if let Some(floor) = document.floor {
        let gap = document.measured / floor;
        second.push(Cell::plain(format!("  floor {} ({bound})", at(floor))));
        second.push(Cell::new(format!("  gap {gap:.2}×"), Tone::Strong));
    }
    vec![
        Block::Line(vec![
            Cell::new("product  ", Tone::Strong),
            Cell::new(
                format!("measured {}, {}", at(document.measured), human(document.rate, document.unit)),
                Tone::Strong,
            ),
            Cell::plain(format!("  estimate {}  {} reached", at(document.estimate), percent(document.reached()))),
        ]),
        Block::Line(second),
    ]
}

/// What a step of the waterfall is, with the rate it comes from.
fn explain(document: &ProductDiagnosis, on: Cause) -> String {
    let reference = match on {
        Cause::Product => Reference::Maker,
        Cause::Ceilings => Reference::Peak,
        Cause::Shapes => Reference::Shape,
        _ => return on.explain().to_owned(),
    };
    let Some(Against { rate, from, .. }) = document.against(reference) else { return on.explain().to_owned() };
    format!("{} at {}: {from}", reference.words(), human(*rate, document.unit))
}
