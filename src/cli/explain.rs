//! `rooflab explain`: what a ceiling means, from the catalogue itself.

use rooflab::probe::{PROBES, Selection};
use rooflab::report::{Block, Tone};
use rooflab::resource::Scope;
use serde_json::json;

use super::Answer;
use super::args;
use super::context::Context;
use super::error::CliError;

pub(crate) fn run(context: &mut Context, arguments: &args::Explain) -> Result<Answer, CliError> {
    let selection = Selection::new(&arguments.patterns)?;
    let mut entries = Vec::new();
    for probe in PROBES {
        let chosen = |scope: Scope| probe.keys(scope).filter(|&key| selection.contains(key)).map(|key| key.to_string());
        let keys: Vec<String> = probe.scopes().flat_map(chosen).collect();
        if !keys.is_empty() {
            entries.push((probe, keys));
        }
    }
    if context.json {
        let rows: Vec<_> = entries
            .iter()
            .map(|(probe, keys)| {
                let resource = probe.resource();
                json!({ "ceilings": keys, "unit": resource.unit(), "counting": resource.counting(), "explain": probe.explain })
            })
            .collect();
        context.write_json(&rows)?;
        return Ok(Answer::Yes);
    }
    for (index, (probe, keys)) in entries.iter().enumerate() {
        let resource = probe.resource();
        if index > 0 {
            context.show(&[Block::blank()])?;
        }
        context.show(&[
            Block::line(keys.join("  "), Tone::Strong),
            Block::line(probe.explain, Tone::Plain),
            Block::line(format!("in {}: {}", resource.unit(), resource.counting()), Tone::Dim),
        ])?;
    }
    Ok(Answer::Yes)
}
