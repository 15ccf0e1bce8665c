//! Operators beside the ceilings they are built on: a share for each, and a table of matrix products by their number of tokens.

use super::block::{Cell, Group, Row, Table, Tone};
use crate::dtype::DType;
use crate::profile::{Ceiling, Outcome, Point, Profile};
use crate::resource::{Access, ComputeUnit, Key, MemoryLevel, Phase, Resource, Scope, StreamOp};
use crate::units::{Unit, human, percent};

/// What a point of an operator reaches of the measured ceiling that bounds it, in words: `86 % of compute.vector.f32`.
pub(super) fn share(profile: &Profile, ceiling: &Ceiling, point: &Point) -> Option<String> {
    let bounds = bounds(ceiling.resource)?;
    let measured = |&resource: &Resource| {
        let bound = profile.ceiling(Key { resource, scope: ceiling.scope })?;
        Some((resource, bound.representative()?.value))
    };
    // Of several ways to compute, the fastest bounds.
    let (resource, value) = bounds.iter().filter_map(measured).max_by(|a, b| a.1.total_cmp(&b.1))?;
    Some(format!("{} of {resource}", percent(point.value / value)))
}

/// The ceilings of which the highest bounds an operator at its best; none for operators whose bound depends on their size.
pub(super) fn bounds(resource: Resource) -> Option<Vec<Resource>> {
    let read = Resource::Memory { level: Some(MemoryLevel::Dram), access: Access::plain(StreamOp::Read) };
    let compute =
        |input, accumulate| ComputeUnit::DENSE.iter().map(move |&unit| Resource::Compute { unit, input, accumulate });
    let (input, accumulate) = match resource {
        Resource::Gemm { input, accumulate } => (input, accumulate),
        Resource::Attention { phase: Phase::Prefill, kv } => (kv, DType::F32),
        Resource::Gemv { .. } | Resource::Attention { phase: Phase::Decode, .. } => return Some(vec![read]),
        _ => return None,
    };
    // bfloat16 may be widened.
    let widened = (input == DType::Bf16).then(|| compute(DType::F32, DType::F32));
    Some(compute(input, accumulate).chain(widened.into_iter().flatten()).collect())
}

/// The formula's error, in words.
pub(super) fn formula(ceiling: &Ceiling) -> Option<String> {
    match &ceiling.outcome {
        Outcome::Ok { fit: Some(fit), .. } => {
            Some(format!("formula ±{} on held-out shapes", percent(fit.held_out.mean)))
        }
        _ => None,
    }
}

/// Matrix products with the weights of language models: a row for each matrix, a column for each number of tokens.
pub(super) fn by_tokens(profile: &Profile, scope: Scope) -> Option<Table> {
    let products: Vec<&Ceiling> = profile
        .ceilings
        .iter()
        .filter(|ceiling| ceiling.scope == scope && matches!(ceiling.resource, Resource::Gemm { .. }))
        .collect();
    // Squares stand in the tree.
    let of_models = |ceiling: &&&Ceiling| {
        let points = ceiling.points().iter().filter_map(|point| Some((point.shape?, point)));
        points
            .filter(|(shape, _)| shape.m != shape.n || shape.n != shape.k)
            .map(|(shape, point)| (shape, point.clone()))
            .collect::<Vec<_>>()
    };
    let mut tokens: Vec<u64> =
        products.iter().flat_map(|ceiling| of_models(&ceiling)).map(|(shape, _)| shape.m).collect();
    tokens.sort_unstable();
    tokens.dedup();
    let mut rows = Vec::new();
    for ceiling in &products {
        let points = of_models(&ceiling);
        let mut matrices: Vec<(u64, u64)> = points.iter().map(|(shape, _)| (shape.n, shape.k)).collect();
        matrices.sort_unstable();
        matrices.dedup();
        for (n, k) in matrices {
            let cell = |&m: &u64| {
                let point = points.iter().find(|(shape, _)| (shape.m, shape.n, shape.k) == (m, n, k));
                point.map_or_else(|| Cell::new("–", Tone::Dim), |(_, point)| value(point, ceiling.unit))
            };
            let label = ceiling.resource.to_string();
            let label = label.split_once('.').map_or(label.as_str(), |(_, rest)| rest);
            rows.push(Row { label: format!("{label} {n}×{k}"), cells: tokens.iter().map(cell).collect() });
        }
    }
    if tokens.len() < 2 {
        return None;
    }
    let title = match scope {
        Scope::Core => format!("products by tokens, one {}", profile.device.kind.parts().0),
        Scope::Device => "products by tokens".to_owned(),
    };
    Some(Table {
        columns: tokens.iter().map(ToString::to_string).collect(),
        right: vec![true; tokens.len()],
        groups: vec![Group { title, rows }],
    })
}

fn value(point: &Point, unit: Unit) -> Cell {
    let text = human(point.value, unit).to_string();
    if point.flags.is_empty() { Cell::plain(text) } else { Cell::new(text, Tone::Warn) }
}
