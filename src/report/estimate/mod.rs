//! An estimate as people read it: what fits, what a step costs and why, what requests see.

mod account;
mod candidates;
mod memory;
mod served;
mod sweep;

use super::block::{Block, Tone};
use crate::estimate::{Answer, Document, Hardware, LoadFacts, ModelFacts, ScenarioFacts};
use crate::units::{Unit, human, percent};

pub use account::By;
pub use candidates::{Candidate, Verdict, candidates};
pub use sweep::{csv, rows};

/// An estimate, with rows for operators, parts of a layer or bounds.
#[must_use]
pub fn estimate(document: &Document, by: By) -> Vec<Block> {
    let mut blocks = vec![
        Block::line(model_line(&document.model), Tone::Strong),
        Block::line(load_line(&document.scenario), Tone::Plain),
    ];
    let answers: Vec<&Answer> = std::iter::once(&document.estimate).chain(&document.against).collect();
    for answer in &answers {
        blocks.push(Block::line(hardware_line(&answer.hardware), Tone::Plain));
    }
    blocks.push(Block::blank());
    blocks.extend(memory::memory(&document.estimate, &document.scenario));
    let estimate = &document.estimate;
    let against = document.against.as_ref();
    blocks.push(Block::blank());
    blocks.extend(account::account("decode", &estimate.decode, against.map(|answer| &answer.decode), by));
    blocks.extend(ridge(estimate));
    blocks.push(Block::blank());
    blocks.extend(account::account("prefill", &estimate.prefill, against.map(|answer| &answer.prefill), by));
    blocks.push(Block::blank());
    blocks.extend(served::served(&answers));
    blocks.extend(account::assumptions(&[("decode", &estimate.decode), ("prefill", &estimate.prefill)]));
    blocks
}

/// From which batch on decoding is bound by arithmetic, where its floor is known.
fn ridge(answer: &Answer) -> Option<Block> {
    answer.decode.floor?;
    let text = match answer.ridge_batch {
        Some(batch) => format!("at this context, a step is bound by arithmetic from {batch} sequences on"),
        None => "at this context, a step is bound by memory whatever its batch".to_owned(),
    };
    Some(Block::line(text, Tone::Dim))
}

pub(super) fn model_line(model: &ModelFacts) -> String {
    let active = if model.active_parameters == model.parameters {
        String::new()
    } else {
        format!(" ({} active)", billions(model.active_parameters))
    };
    format!(
        "{} · {} parameters{active} · {} layers · weights {} · cache {}",
        model.name,
        billions(model.parameters),
        model.layers,
        model.weights,
        model.kv
    )
}

fn billions(parameters: u64) -> String {
    match parameters {
        0..1_000_000_000 => format!("{:.1} M", parameters as f64 / 1e6),
        _ => format!("{:.2} B", parameters as f64 / 1e9),
    }
}

pub(super) fn load_line(scenario: &ScenarioFacts) -> String {
    let load = match scenario.load {
        LoadFacts::Batch(1) => "1 request".to_owned(),
        LoadFacts::Batch(batch) => format!("{batch} requests that start together"),
        LoadFacts::Concurrency(concurrency) => {
            let of = scenario.requests.map(|requests| format!(", of {requests} in all,")).unwrap_or_default();
            format!("{concurrency} requests in flight{of}")
        }
        LoadFacts::Rate(rate) => format!("{rate} requests per second"),
    };
    let sizes = [("tp", scenario.tp), ("pp", scenario.pp), ("ep", scenario.ep), ("dp", scenario.dp)];
    let layout: Vec<String> =
        sizes.iter().filter(|(_, size)| *size > 1).map(|(name, size)| format!(" · {name} {size}")).collect();
    let offloaded = |(name, share): (&str, f64)| format!(" · {} of {name} offloaded", percent(share));
    let shares = scenario.offload.map_or_else(Vec::new, |of| vec![("weights", of.weights), ("the cache", of.kv)]);
    let offload: String = shares.into_iter().filter(|(_, share)| *share > 0.0).map(offloaded).collect();
    format!("{load} of {} tokens, {} generated{}{offload}", scenario.prompt, scenario.generate, layout.concat())
}

fn hardware_line(hardware: &Hardware) -> String {
    let Hardware { profile, device, measured, created, memory, devices, engine } = hardware;
    let count = if *devices > 1 { format!("{devices} × ") } else { String::new() };
    let known = if *measured {
        format!("measured {}", created.strftime("%Y-%m-%d"))
    } else {
        "the maker's figures, nothing measured".to_owned()
    };
    let engine = engine.as_ref().map(|engine| format!(" · under {engine}")).unwrap_or_default();
    format!("{count}{device} · {} · {profile}: {known}{engine}", human(memory.get(), Unit::Byte))
}
