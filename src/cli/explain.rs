//! `rooflab explain`: what a ceiling means, from the catalogue itself, and what a rule of `diagnose` looks for.

use rooflab::diagnose::{RULES, Rule, rule};
use rooflab::probe::{Selection, probes};
use rooflab::report::{self, Block, Tone};
use rooflab::resource::Scope;
use serde_json::json;

use super::Answer;
use super::args;
use super::context::Context;
use super::error::CliError;

pub(crate) fn run(context: &mut Context, arguments: &args::Explain) -> Result<Answer, CliError> {
    let is_rule = |pattern: &String| pattern.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("RL"));
    if !arguments.patterns.is_empty() && arguments.patterns.iter().all(is_rule) {
        return explain_rules(context, &arguments.patterns);
    }
    let selection = Selection::new(&arguments.patterns)?;
    let mut entries = Vec::new();
    for probe in probes() {
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

/// The pages of rules by their ids; `RL*` is all of them.
fn explain_rules(context: &mut Context, ids: &[String]) -> Result<Answer, CliError> {
    let mut rules: Vec<&Rule> = Vec::new();
    for id in ids {
        if id.eq_ignore_ascii_case("RL*") {
            rules.extend(RULES);
        } else {
            let known = || RULES.iter().map(|rule| rule.id).collect::<Vec<_>>().join(", ");
            rules.push(rule(id).ok_or_else(|| {
                CliError::new(format!("there is no rule `{id}`")).with_hint(format!("there are: {}", known()))
            })?);
        }
    }
    if context.json {
        let row = |rule: &&Rule| json!({ "rule": rule.id, "name": rule.name, "explain": rule.explain });
        context.write_json(&rules.iter().map(row).collect::<Vec<_>>())?;
        return Ok(Answer::Yes);
    }
    for (index, rule) in rules.into_iter().enumerate() {
        if index > 0 {
            context.show(&[Block::blank()])?;
        }
        context.show(&report::rule_page(rule))?;
    }
    Ok(Answer::Yes)
}
