//! The roofline: what arithmetic a device can do at which ratio of operations to bytes, and where a model's operators lie under it.

use super::super::chart::{Axis, Chart, Hue, Mark, Measure, Point, Scale, Series, Spread, Stroke, Symbol};
use super::{device_name, sound, told, usable};
use crate::dtype::DType;
use crate::estimate::Account;
use crate::profile::{self, Ceiling, Claim, Imported, Profile};
use crate::resource::{Access, ComputeUnit, Key, MemoryLevel, Resource, Scope, StreamOp};
use crate::units::{Unit, human, percent};

/// A step whose operators are placed under the roof.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// What it is called: `decode`.
    pub name: &'a str,
    /// Its operators.
    pub account: &'a Account,
}

/// Something that bounds: a bandwidth or a peak.
struct Bound<'a> {
    /// The device, where there are several.
    device: String,
    name: String,
    value: f64,
    unit: Unit,
    point: Option<&'a profile::Point>,
    /// Who says so, where rooflab did not measure it.
    source: String,
    hue: Hue,
}

/// Ratios of operations to bytes that are shown at least, and how far beyond the ridge.
const LEAST: f64 = 1.0 / 16.0;
const MOST: f64 = 64.0;
const BEYOND: f64 = 6.0;
/// Shares of a step from which on its operator is drawn, and named.
const DRAWN: f64 = 0.005;
const NAMED: f64 = 0.03;
/// Formats whose peaks are drawn of several devices; of one, all are.
const COMPARED: [DType; 4] = [DType::F32, DType::Bf16, DType::Fp8E4m3, DType::Int8];
/// Peaks nearer than this are one line.
const SAME: f64 = 0.01;

/// The rooflines of some devices, with the operators of some steps. Of several devices only main memory is drawn.
#[must_use]
pub fn roofline(profiles: &[&Profile], steps: &[Placed<'_>]) -> Chart {
    let several = profiles.len() > 1;
    let mut memories = Vec::new();
    let mut peaks = Vec::new();
    for (index, profile) in profiles.iter().enumerate() {
        memories.push(memory(profile, several.then_some(index)));
        peaks.push(compute(profile, several.then_some(index)));
    }
    let operators: Vec<Series> = steps.iter().enumerate().filter_map(|(index, step)| placed(index, step)).collect();
    let (x, y) = ranges(&memories, &peaks, &operators);
    let mut series = Vec::new();
    for (memories, peaks) in memories.iter().zip(&peaks) {
        let top = largest(peaks);
        let steepest = largest(memories);
        series.extend(memories.iter().filter_map(|bound| slope(bound, top, x)));
        series.extend(peaks.iter().filter_map(|bound| roof(bound, steepest, x)));
    }
    series.extend(operators);
    let mut series: Vec<Series> = series.into_iter().filter_map(sound).collect();
    if several {
        // What a colour stands for.
        let of_device = |(index, profile): (usize, &&Profile)| {
            let mark = Mark::Line { points: Vec::new(), stroke: Stroke::Solid, band: Vec::new() };
            Series { name: device_name(profile), label: None, hue: Hue::Of(index), mark }
        };
        series.splice(0..0, profiles.iter().enumerate().map(of_device));
    }
    let devices: Vec<String> = profiles.iter().map(|profile| device_name(profile)).collect();
    let mut subtitle = format!("{}: solid lines are measured, dashed ones are the maker's figures", devices.join(", "));
    if profiles.iter().any(|profile| !profile.imported.is_empty()) {
        subtitle += " or were measured by other tools";
    }
    if !steps.is_empty() {
        subtitle +=
            "; points are operators of the model, as fast as they are estimated, larger where they take more time";
    }
    let axis =
        |title: &str, measure, range| Axis { title: title.to_owned(), measure, scale: Scale::Log, range: Some(range) };
    Chart {
        title: "Roofline".to_owned(),
        subtitle,
        x: axis("operations per byte", Measure::Count("FLOP/B"), x),
        y: axis("arithmetic", Measure::Of(Unit::FlopPerSecond), y),
        series,
        rules: Vec::new(),
    }
}

fn largest(bounds: &[Bound<'_>]) -> f64 {
    bounds.iter().map(|bound| bound.value).fold(0.0, f64::max)
}

/// Bandwidths, of every level that was measured and of the datasheet. A number says which device of several it is.
fn memory<'a>(profile: &'a Profile, of: Option<usize>) -> Vec<Bound<'a>> {
    let read = |level| Resource::Memory { level: Some(level), access: Access::plain(StreamOp::Read) };
    let levels = MemoryLevel::ALL.iter().filter(|level| of.is_none() || **level == MemoryLevel::Dram);
    let mut bounds: Vec<Bound<'a>> = levels
        .filter_map(|&level| {
            let ceiling = profile.ceiling(Key { resource: read(level), scope: Scope::Device })?;
            measured(
                ceiling,
                told_apart(profile, of),
                level.word().to_uppercase(),
                of.map_or(level_hue(level), Hue::Of),
            )
        })
        .collect();
    let hue = of.map_or(level_hue(MemoryLevel::Dram), Hue::Of);
    let claim = profile.claim(read(MemoryLevel::Dram));
    bounds.extend(claim.and_then(|claim| stated(claim, told_apart(profile, of), "memory".to_owned(), hue)));
    let reads = profile.imported_of(read(MemoryLevel::Dram));
    bounds.extend(reads.filter_map(|imported| foreign(imported, told_apart(profile, of), "memory", hue)));
    bounds
}

/// What rooflab measured.
fn measured(ceiling: &Ceiling, device: String, name: String, hue: Hue) -> Option<Bound<'_>> {
    let point = ceiling.representative().filter(|point| usable(point.value))?;
    let (value, unit) = (point.value, ceiling.unit);
    Some(Bound { device, name, value, unit, point: Some(point), source: String::new(), hue })
}

/// What the maker states.
fn stated<'a>(claim: &Claim, device: String, name: String, hue: Hue) -> Option<Bound<'a>> {
    let source = format!("datasheet: {}", claim.source);
    let bound = Bound { device, name, value: claim.value, unit: claim.unit, point: None, source, hue };
    Some(bound).filter(|bound| usable(bound.value))
}

/// What another tool measured.
fn foreign<'a>(imported: &Imported, device: String, name: &str, hue: Hue) -> Option<Bound<'a>> {
    let value = imported.representative().map(|point| point.value).filter(|value| usable(*value))?;
    let name = format!("{name} ({})", imported.by.tool);
    let source = format!("measured by {}, not by rooflab: {}", imported.by.who(), imported.by.file);
    Some(Bound { device, name, value, unit: imported.unit, point: None, source, hue })
}

/// Peaks of arithmetic, measured and of the datasheet; those that are as good as equal together.
fn compute<'a>(profile: &'a Profile, of: Option<usize>) -> Vec<Bound<'a>> {
    let word = |resource: Resource| match resource {
        // No roof of anything that computes with all of its factors.
        Resource::Compute { unit: ComputeUnit::MatrixSparse, .. } => None,
        Resource::Compute { unit, input, .. } if of.is_none() || COMPARED.contains(&input) => {
            Some(format!("{} {}", unit.word(), input.name()))
        }
        _ => None,
    };
    let hue = |resource: Resource| match (of, resource) {
        (Some(index), _) => Hue::Of(index),
        (None, Resource::Compute { unit: ComputeUnit::Matrix, .. }) => Hue::Of(6),
        (None, _) => Hue::Of(1),
    };
    let ceilings = profile.ceilings.iter().filter(|ceiling| ceiling.scope == Scope::Device);
    let own = ceilings.filter_map(|ceiling| {
        measured(ceiling, told_apart(profile, of), word(ceiling.resource)?, hue(ceiling.resource))
    });
    let claims = profile
        .datasheet
        .iter()
        .filter_map(|claim| stated(claim, told_apart(profile, of), word(claim.resource)?, hue(claim.resource)));
    let others = profile.imported.iter().filter_map(|imported| {
        foreign(imported, told_apart(profile, of), &word(imported.resource)?, hue(imported.resource))
    });
    let mut bounds: Vec<Bound<'a>> = Vec::new();
    for bound in own.chain(claims) {
        let same = |known: &&mut Bound<'a>| {
            let near = (known.value / bound.value - 1.0).abs() < SAME && known.hue == bound.hue;
            near && known.point.is_some() == bound.point.is_some()
        };
        match bounds.iter_mut().find(same) {
            Some(known) => {
                let dtype = bound.name.rsplit(' ').next().unwrap_or_default();
                if !known.name.ends_with(dtype) {
                    known.name = format!("{}, {dtype}", known.name);
                }
            }
            None => bounds.push(bound),
        }
    }
    bounds.extend(others);
    bounds
}

/// The name of a device, where it must be told from others.
fn told_apart(profile: &Profile, of: Option<usize>) -> String {
    if of.is_some() { device_name(profile) } else { String::new() }
}

const fn level_hue(level: MemoryLevel) -> Hue {
    Hue::Of(match level {
        MemoryLevel::L1 => 3,
        MemoryLevel::L2 => 2,
        MemoryLevel::L3 => 5,
        MemoryLevel::Dram => 0,
    })
}

/// What both axes run over.
fn ranges(memories: &[Vec<Bound<'_>>], peaks: &[Vec<Bound<'_>>], operators: &[Series]) -> ((f64, f64), (f64, f64)) {
    let (mut low, mut high, mut bottom, mut top) = (LEAST, MOST, f64::INFINITY, 0.0_f64);
    for (memories, peaks) in memories.iter().zip(peaks) {
        let least = memories.iter().map(|bound| bound.value).fold(f64::INFINITY, f64::min);
        let peak = largest(peaks);
        top = top.max(peak * 2.0);
        if least.is_finite() && peak > 0.0 {
            high = high.max(BEYOND * peak / least);
        }
        bottom = bottom.min(least);
    }
    let points = || {
        operators
            .iter()
            .flat_map(|series| match &series.mark {
                Mark::Points { points, .. } => points.as_slice(),
                _ => &[],
            })
            .filter(|point| usable(point.x) && usable(point.y))
    };
    for point in points() {
        low = low.min(point.x / 1.5);
        high = high.max(point.x * 1.5);
        top = top.max(point.y * 1.5);
    }
    // The foot of the lowest slope is the corner of the picture.
    bottom = if bottom.is_finite() { bottom * low } else { top / 1e6 };
    for point in points().filter(|point| point.weight >= NAMED) {
        bottom = bottom.min(point.y / 1.5);
    }
    let usable_or = |value: f64, other: f64| if usable(value) { value } else { other };
    ((low, high), (usable_or(bottom, 1.0), usable_or(top, 1e3)))
}

fn slope(bound: &Bound<'_>, top: f64, (low, high): (f64, f64)) -> Option<Series> {
    let end = if top > 0.0 { (top / bound.value).min(high) } else { high };
    if end <= low {
        return None;
    }
    let detail = detail(bound);
    let point = |x: f64| Point::new(x, bound.value * x, detail.clone());
    let band = bound.point.map_or_else(Vec::new, |of| {
        let spread = |x: f64| Spread { x, low: of.p10 * x, high: of.p90 * x };
        [low, end].map(spread).to_vec()
    });
    Some(line(bound, vec![point(low), point(end)], band))
}

fn roof(bound: &Bound<'_>, steepest: f64, (low, high): (f64, f64)) -> Option<Series> {
    let start = if steepest > 0.0 { (bound.value / steepest).max(low) } else { low };
    if start >= high {
        return None;
    }
    let detail = detail(bound);
    let points = [start, high].map(|x| Point::new(x, bound.value, detail.clone())).to_vec();
    let band =
        bound.point.map_or_else(Vec::new, |of| [start, high].map(|x| Spread { x, low: of.p10, high: of.p90 }).to_vec());
    Some(line(bound, points, band))
}

fn line(bound: &Bound<'_>, points: Vec<Point>, band: Vec<Spread>) -> Series {
    let stroke = if bound.point.is_some() { Stroke::Solid } else { Stroke::Dashed };
    let label = format!("{} {}", bound.name, human(bound.value, bound.unit));
    let name = if bound.device.is_empty() { label.clone() } else { format!("{}: {label}", bound.device) };
    Series { name, label: Some(label), hue: bound.hue, mark: Mark::Line { points, stroke, band } }
}

fn detail(bound: &Bound<'_>) -> String {
    match bound.point {
        Some(point) => told(&bound.name, point, bound.unit, ""),
        None => format!("{} {} · {}", bound.name, human(bound.value, bound.unit), bound.source),
    }
}

/// The operators of a step, those of a part of the model together.
fn placed(index: usize, step: &Placed<'_>) -> Option<Series> {
    let mut sums: Vec<(&'static str, f64, f64, f64, f64)> = Vec::new();
    for entry in &step.account.operators {
        let name = entry.part.word();
        let (flops, bytes, time) = (entry.flops.get(), entry.bytes.get(), entry.time.get());
        match sums.iter_mut().find(|sum| sum.0 == name) {
            Some(sum) => *sum = (name, sum.1 + flops, sum.2 + bytes, sum.3 + time, sum.4 + entry.share),
            None => sums.push((name, flops, bytes, time, entry.share)),
        }
    }
    let large = sums.into_iter().filter(|sum| sum.4 >= DRAWN);
    let points = large.map(|(name, flops, bytes, time, share)| {
        let (x, y) = (flops / bytes, flops / time);
        let detail = format!(
            "{} {name}: {} at {x:.2} FLOP/B · {} of the step, {}",
            step.name,
            human(y, Unit::FlopPerSecond),
            percent(share),
            human(time, Unit::Second)
        );
        let label = if share >= NAMED { name.replace('_', " ") } else { String::new() };
        Point { x, y, weight: share, label, detail }
    });
    let (hue, symbol) =
        if index.is_multiple_of(2) { (Hue::Ink, Symbol::Circle) } else { (Hue::Of(4), Symbol::Diamond) };
    let name = step.name.to_owned();
    sound(Series { name, label: None, hue, mark: Mark::Points { points: points.collect(), symbol } })
}
