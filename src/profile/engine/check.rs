//! Whether the numbers of an engine profile are some.

use std::collections::BTreeSet;

use super::{Engine, EnginePoint};
use crate::resource::{Axis, Resource};
use crate::units::Seconds;

/// The first thing that is wrong with a document, and where.
pub(super) fn problem(engine: &Engine) -> Option<(String, String)> {
    let wrong = |path: &str, cause: String| Some((path.to_owned(), cause));
    for (path, text) in [("name", &engine.name), ("device", &engine.device)] {
        if text.trim().is_empty() {
            return wrong(path, "it is empty".to_owned());
        }
    }
    for (path, Seconds(time)) in [("step", engine.step), ("layer", engine.layer)] {
        if !(time >= 0.0 && time.is_finite()) {
            return wrong(path, format!("{time} is no time"));
        }
    }
    let mut seen = BTreeSet::new();
    for (index, ceiling) in engine.ceilings.iter().enumerate() {
        let path = format!("ceilings[{index}]");
        if !is_operator(ceiling.resource) {
            return wrong(&path, format!("`{}` is no operator of an engine", ceiling.resource));
        }
        if !seen.insert(ceiling.resource) {
            return wrong(&path, format!("`{}` is there twice", ceiling.resource));
        }
        for (index, point) in ceiling.points.iter().enumerate() {
            if let Some(cause) = problem_of_point(ceiling.resource, point) {
                return wrong(&format!("{path}.points[{index}]"), cause);
            }
        }
    }
    None
}

/// What engines run. Memory and arithmetic are the device's own.
const fn is_operator(resource: Resource) -> bool {
    matches!(
        resource,
        Resource::Gemm { .. } | Resource::Gemv { .. } | Resource::Attention { .. } | Resource::Rowwise { .. }
    )
}

fn problem_of_point(resource: Resource, point: &EnginePoint) -> Option<String> {
    let positive = |number: f64| number > 0.0 && number.is_finite();
    if !positive(point.value) {
        return Some(format!("its value of {} is not a positive number", point.value));
    }
    if !(point.scatter >= 0.0 && point.scatter.is_finite()) {
        return Some(format!("its scatter of {} is not 0 or above", point.scatter));
    }
    match (resource.axis(), point.at, point.shape) {
        (Some(Axis::Shape), None, Some(shape)) if shape.m.min(shape.n).min(shape.k) > 0 => None,
        (Some(Axis::Shape), ..) => Some("it has no shape of 1 and above".to_owned()),
        (_, Some(at), None) if positive(at) => None,
        _ => Some("it has no place that is a positive number".to_owned()),
    }
}
