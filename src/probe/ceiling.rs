//! Points become ceilings: a step's own, and those of the levels of the memory hierarchy found in its curve.

use std::collections::BTreeMap;

use super::catalogue::Family;
use super::plan::{Plan, Step};
use super::plateau::{Level, Plateau, plateaus, representative};
use super::point::Measured;
use crate::backend::BackendError;
use crate::facts::{Cache, Identity};
use crate::fit::{Fit, fit};
use crate::profile::{Ceiling, Flag, Limit, Outcome, Point, Range};
use crate::resource::{MemoryLevel, Phase, Scope};
use crate::units::Seconds;
use crate::workload::{Work, Workload};

/// The ceilings that a step gives: its own, and those of the levels found in its curve.
pub(super) fn ceilings(
    plan: &Plan,
    step: &Step,
    points: Result<Vec<Measured>, BackendError>,
    identity: &Identity,
    shapes: &mut Shapes,
) -> Vec<Ceiling> {
    let everywhere = |outcome: Outcome| step.keys.iter().map(|&key| Ceiling::new(key, outcome.clone())).collect();
    let measured = match points {
        Ok(points) if points.is_empty() => {
            return everywhere(Outcome::Skipped { reason: "interrupted before enough samples were taken".to_owned() });
        }
        Ok(points) => points,
        Err(BackendError::Unsupported { reason }) => return everywhere(Outcome::Unsupported { reason }),
        Err(BackendError::NoKernel { reason }) => return everywhere(Outcome::Skipped { reason }),
        Err(error) => return everywhere(Outcome::Failed { reason: error.to_string() }),
    };
    let limits: Vec<Option<Limit>> = measured.iter().map(|measured| measured.limit.clone()).collect();
    let mut points: Vec<Point> = measured.into_iter().map(|measured| measured.point).collect();
    let has_levels = matches!(step.probe.family, Family::Stream(_) | Family::Chase);
    if !has_levels {
        let limit = limits.into_iter().flatten().last();
        flag_warm(&mut points, step, plan);
        let fit = matches!(step.probe.family, Family::Gemm { .. }).then(|| fitted(&points)).flatten();
        return vec![Ceiling::new(step.key(), Outcome::Ok { points, limit, plateau: None, fit })];
    }
    let mut found = found_levels(step, &points, identity, shapes);
    // A working set that the caches may hold says nothing of main memory.
    let reached = points.last().and_then(|point| point.at).unwrap_or(0.0);
    let caches =
        levels(identity, points[0].lanes).into_iter().map(|level| level.capacity).filter(|size| size.is_finite());
    let beyond_caches = reached > caches.fold(0.0, f64::max);
    found.retain(|plateau| plateau.level != MemoryLevel::Dram || beyond_caches);
    for point in &mut points {
        flag_small(point, step, plan, &found);
    }
    let mut ceilings = Vec::new();
    if points.len() > 1 {
        let outcome = Outcome::Ok { points: points.clone(), limit: None, plateau: None, fit: None };
        ceilings.push(Ceiling::new(step.key(), outcome));
    } else if step.keys.contains(&step.key()) {
        ceilings.push(Ceiling::new(step.key(), absent_level(None, identity, step, points.len())));
    }
    for &key in step.keys.iter().filter(|key| key.resource.level().is_some()) {
        let level = key.resource.level();
        let outcome = match found.iter().find(|plateau| Some(plateau.level) == level) {
            Some(plateau) => {
                let place = |index: usize| points.get(index).and_then(|point: &Point| point.at).unwrap_or(0.0);
                Outcome::Ok {
                    points: vec![points[plateau.representative].clone()],
                    // What a core can load and store bounds every level, but is news of the first alone.
                    limit: limits[plateau.representative].clone().filter(|_| level == Some(MemoryLevel::L1)),
                    plateau: Some(Range { from: place(plateau.first), to: place(plateau.last) }),
                    fit: None,
                }
            }
            None if level == Some(MemoryLevel::Dram) && !beyond_caches => Outcome::Unsupported {
                reason: "there is too little memory for a working set beyond the caches".to_owned(),
            },
            None => absent_level(level, identity, step, points.len()),
        };
        ceilings.push(Ceiling::new(key, outcome));
    }
    ceilings
}

/// The formula through the points of matrix products, if there are enough of them.
pub(super) fn fitted(points: &[Point]) -> Option<Fit> {
    let times: Vec<(Work, Seconds)> = points.iter().map(|point| (point.work, point.time)).collect();
    fit(&times)
}

/// The levels that the first whole curve of a scope shows, for those that follow: bandwidths of one machine change at the same places, and
/// the curve of pure loads, which comes first, shows them best.
#[derive(Default)]
pub(super) struct Shapes(BTreeMap<Scope, Shape>);

/// Levels with the first and last working set of each.
struct Shape(Vec<(MemoryLevel, f64, f64)>);

fn found_levels(step: &Step, points: &[Point], identity: &Identity, shapes: &mut Shapes) -> Vec<Plateau> {
    let curve: Vec<(f64, f64)> = points.iter().filter_map(|point| Some((point.at?, point.value))).collect();
    let Some(lanes) = points.first().map(|point| point.lanes) else { return Vec::new() };
    let levels = levels(identity, lanes);
    if points.len() < step.workloads.len() {
        // An interrupted curve says nothing of levels.
        return Vec::new();
    }
    if points.len() == 1 || step.probe.family == Family::Chase {
        return plateaus(&curve, &levels);
    }
    if let Some(shape) = shapes.0.get(&step.scope) {
        return shape.applied_to(&curve);
    }
    let found = plateaus(&curve, &levels);
    let ranges = found.iter().map(|plateau| (plateau.level, curve[plateau.first].0, curve[plateau.last].0)).collect();
    shapes.0.insert(step.scope, Shape(ranges));
    found
}

/// The levels a device states, for some lanes, with main memory last.
fn levels(identity: &Identity, lanes: u32) -> Vec<Level> {
    let cache =
        |cache: &Cache| Some(Level { level: cache.memory_level()?, capacity: identity.capacity(cache, lanes) as f64 });
    let memory = Level { level: MemoryLevel::Dram, capacity: f64::INFINITY };
    let seen = identity.caches.iter().filter(|known| is_passed_by(known, identity, lanes));
    seen.filter_map(cache).chain([memory]).collect()
}

/// Whether data of a working set that lanes share comes by a cache. A whole GPU's kernels go past the caches that each multiprocessor has to itself.
fn is_passed_by(cache: &Cache, identity: &Identity, lanes: u32) -> bool {
    !identity.kind.is_gpu_like() || lanes <= cache.shared_by
}

impl Shape {
    fn applied_to(&self, curve: &[(f64, f64)]) -> Vec<Plateau> {
        let mut found = Vec::new();
        for &(level, from, to) in &self.0 {
            // Working sets of kernels with other numbers of arrays are rounded to slightly different sizes.
            let inside = |place: f64| place > from * 0.8 && place < to * 1.2;
            let indices: Vec<usize> = (0..curve.len()).filter(|&index| inside(curve[index].0)).collect();
            let (Some(&first), Some(&last)) = (indices.first(), indices.last()) else { continue };
            found.push(Plateau { level, first, last, representative: representative(level, curve, first, last) });
        }
        found
    }
}

fn absent_level(level: Option<MemoryLevel>, identity: &Identity, step: &Step, points: usize) -> Outcome {
    if points < step.workloads.len() {
        return Outcome::Skipped { reason: "interrupted before the curve was complete".to_owned() };
    }
    if step.workloads.len() == 1 {
        return Outcome::Skipped { reason: "only the largest working set was measured".to_owned() };
    }
    let cache = identity.caches.iter().find(|cache| cache.memory_level() == level);
    let lanes = step.workloads.first().map_or(1, |workload| workload.lanes);
    let reason = match cache {
        Some(cache) if !is_passed_by(cache, identity, lanes) => {
            "each multiprocessor has its own: see the same with `@core`"
        }
        None if level != Some(MemoryLevel::Dram) => "the machine states no such cache",
        _ => "no point of the curve lies on a plateau of its own at this level",
    };
    Outcome::Unsupported { reason: reason.to_owned() }
}

/// Flags points of operators that are meant to come from main memory, when there is too little of it to be sure: the last of a curve over matrices or
/// rows, and all caches of decode attention.
fn flag_warm(points: &mut [Point], step: &Step, plan: &Plan) {
    let last = step.workloads.len().saturating_sub(1);
    for (index, (point, workload)) in points.iter_mut().zip(&step.workloads).enumerate() {
        let cold = match step.probe.family {
            Family::Gemv { .. } | Family::Rowwise { .. } => index == last,
            Family::Attention { phase, .. } => phase == Phase::Decode,
            _ => false,
        };
        // Whole rows and caches: a little less than was wanted is as good.
        if cold && (workload.footprint() as f64) < 0.9 * plan.wanted_working_set as f64 {
            let bytes = workload.footprint();
            point.flags.push(Flag::SmallWorkingSet { bytes, wanted: plan.wanted_working_set });
        }
    }
}

fn flag_small(point: &mut Point, step: &Step, plan: &Plan, found: &[Plateau]) {
    let (Some(at), Some(last)) = (point.at, step.workloads.last().map(Workload::footprint)) else { return };
    // The last working set stands for main memory. Rounding to whole blocks takes a little off, a chase goes to a power of two.
    let is_last = at >= last as f64;
    let allowed = if matches!(step.probe.family, Family::Chase) { 0.5 } else { 0.97 };
    let stands_for_memory = found.is_empty() || found.iter().any(|plateau| plateau.level == MemoryLevel::Dram);
    if is_last && stands_for_memory && at < allowed * plan.wanted_working_set as f64 {
        point.flags.push(Flag::SmallWorkingSet { bytes: at as u64, wanted: plan.wanted_working_set });
    }
}
