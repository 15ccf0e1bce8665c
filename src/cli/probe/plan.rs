//! `rooflab probe --plan`: what would be measured.

use rooflab::probe::{LeftOut, Plan, Step};
use rooflab::report::{Block, Cell, Group, Row, Table, Tone};
use rooflab::resource::{Key, Scope};
use rooflab::units::{Unit, human};
use rooflab::workload::Workload;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::error::CliError;

pub(super) fn show(context: &mut Context, plan: &Plan) -> Result<(), CliError> {
    if context.json { context.write_json(&as_json(plan)) } else { context.show(&as_blocks(plan)) }
}

fn as_json(plan: &Plan) -> serde_json::Value {
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| {
            json!({
                "ceiling": step.key().to_string(),
                "working_sets": step.workloads.iter().map(Workload::footprint).collect::<Vec<_>>(),
                "seconds": step.estimate,
            })
        })
        .collect();
    json!({
        "steps": steps,
        "seconds": plan.estimate(),
        "bytes": plan.memory_at_most(),
        "left_out": plan.left_out.iter().map(|(key, why)| left_out(key, &why.reason(plan.request.effort))).collect::<Vec<_>>(),
    })
}

fn left_out(key: &Key, reason: &str) -> serde_json::Value {
    json!({ "ceiling": key.to_string(), "reason": reason })
}

fn as_blocks(plan: &Plan) -> Vec<Block> {
    let (one, many) = plan.kind.parts();
    let group = |scope: Scope| Group {
        title: if scope == Scope::Core { format!("one {one}") } else { format!("all {many}") },
        rows: plan.steps.iter().filter(|step| step.scope == scope).map(row).collect(),
    };
    let groups = [Scope::Device, Scope::Core].map(group).into_iter().filter(|group| !group.rows.is_empty()).collect();
    let columns = ["points", "from", "to", "about"].map(str::to_owned).to_vec();
    let total = format!(
        "{} probes, {} points, about {}, up to {} of memory",
        plan.steps.len(),
        plan.steps.iter().map(|step| step.workloads.len()).sum::<usize>(),
        plan.estimate(),
        human(plan.memory_at_most() as f64, Unit::Byte)
    );
    let mut blocks =
        vec![Block::Table(Table { columns, right: vec![true; 4], groups }), Block::line(total, Tone::Strong)];
    let by_effort = plan.left_out.iter().filter(|(_, why)| *why == LeftOut::Effort).count();
    if by_effort > 0 {
        let effort = plan.request.effort.word();
        blocks.push(Block::line(format!("{by_effort} ceilings left out by effort {effort}"), Tone::Dim));
    }
    for why in [LeftOut::DoesNotFit, LeftOut::NoSuchPart, LeftOut::Unsuited] {
        let keys: Vec<String> =
            plan.left_out.iter().filter(|(_, other)| *other == why).map(|(key, _)| key.to_string()).collect();
        let what = match keys.as_slice() {
            [] => continue,
            [a] => a.clone(),
            [a, b] => format!("{a} and {b}"),
            many => format!("{} ceilings", many.len()),
        };
        blocks.push(Block::line(format!("{what} left out: {}", why.reason(plan.request.effort)), Tone::Dim));
    }
    blocks
}

fn row(step: &Step) -> Row {
    let place = |workload: Option<&Workload>| match workload.map(Workload::footprint) {
        Some(bytes) if bytes > 0 => human(bytes as f64, Unit::Byte).to_string(),
        _ => "–".to_owned(),
    };
    Row {
        label: step.probe.resource().to_string(),
        cells: vec![
            Cell::plain(step.workloads.len().to_string()),
            Cell::plain(place(step.workloads.first())),
            Cell::plain(place(step.workloads.last())),
            Cell::plain(step.estimate.to_string()),
        ],
    }
}
