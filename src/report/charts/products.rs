//! Matrix products by their number of tokens: a line for each matrix, under the peaks that bound them.

use super::super::chart::{Axis, Chart, Hue, Mark, Measure, Point, Scale, Series, Stroke};
use super::super::products::bounds;
use super::{device_name, sound, told, usable};
use crate::profile::{Ceiling, Profile};
use crate::resource::{Key, Resource, Scope};
use crate::units::human;

/// Numbers of tokens from which on they are a curve.
const CURVE: usize = 3;

/// A picture for each format that products of several numbers of tokens were measured in.
#[must_use]
pub fn products(profile: &Profile) -> Vec<Chart> {
    let ceilings = profile.ceilings.iter();
    let products =
        ceilings.filter(|ceiling| ceiling.scope == Scope::Device && matches!(ceiling.resource, Resource::Gemm { .. }));
    products.filter_map(|ceiling| of_format(profile, ceiling)).collect()
}

fn of_format(profile: &Profile, ceiling: &Ceiling) -> Option<Chart> {
    let Resource::Gemm { input, .. } = ceiling.resource else { return None };
    let shapes = || ceiling.points().iter().filter_map(|point| Some((point.shape?, point)));
    let mut matrices: Vec<(u64, u64)> = shapes().map(|(shape, _)| (shape.n, shape.k)).collect();
    matrices.sort_unstable();
    matrices.dedup();
    let of_matrix = |(n, k): (u64, u64)| -> Vec<Point> {
        let points = shapes().filter(|(shape, _)| (shape.n, shape.k) == (n, k));
        let what = format!("{} {n}×{k}", input.name());
        points
            .map(|(shape, point)| {
                let at = format!("{} tokens", shape.m);
                Point::new(shape.m as f64, point.value, told(&what, point, ceiling.unit, &at))
            })
            .collect()
    };
    let curves = matrices.iter().map(|&matrix| (matrix, of_matrix(matrix))).filter(|(_, points)| points.len() >= CURVE);
    let mut series: Vec<Series> = curves
        .enumerate()
        .filter_map(|(index, ((n, k), points))| {
            let mark = Mark::Line { points, stroke: Stroke::Dotted, band: Vec::new() };
            sound(Series { name: format!("{n}×{k}"), label: None, hue: Hue::Of(index), mark })
        })
        .collect();
    let tokens = |pick: fn(f64, f64) -> f64, from: f64| {
        let all = series.iter().flat_map(|series| match &series.mark {
            Mark::Line { points, .. } => points.iter().map(|point| point.x).collect(),
            _ => Vec::new(),
        });
        all.fold(from, pick)
    };
    let (least, most) = (tokens(f64::min, f64::INFINITY), tokens(f64::max, 0.0));
    if least >= most {
        return None;
    }
    series.extend(peak(profile, ceiling.resource).map(|(name, value, stroke)| {
        let name = format!("{name} {}", human(value, ceiling.unit));
        let points = [least, most].map(|x| Point::new(x, value, name.clone())).to_vec();
        Series { label: Some(name.clone()), name, hue: Hue::Ink, mark: Mark::Line { points, stroke, band: Vec::new() } }
    }));
    let axis = |title: &str, measure| Axis { title: title.to_owned(), measure, scale: Scale::Log, range: None };
    Some(Chart {
        title: format!("Matrix products in {} by tokens", input.name()),
        subtitle: format!(
            "{}: a line for each matrix (outputs × inputs) of language models; above them the peak that bounds them",
            device_name(profile)
        ),
        x: axis("tokens", Measure::Count("tokens")),
        y: axis("arithmetic", Measure::Of(ceiling.unit)),
        series,
        rules: Vec::new(),
    })
}

/// The fastest measured way to compute in a format; else the maker's figure, drawn as what nobody measured.
fn peak(profile: &Profile, resource: Resource) -> Option<(String, f64, Stroke)> {
    let measured = bounds(resource)?.into_iter().filter_map(|resource| {
        let ceiling = profile.ceiling(Key { resource, scope: Scope::Device })?;
        Some((format!("peak {resource}"), ceiling.representative()?.value, Stroke::Solid))
    });
    let stated = || profile.claim_above(resource).map(|claim| ("datasheet".to_owned(), claim.value, Stroke::Dashed));
    measured.max_by(|a, b| a.1.total_cmp(&b.1)).or_else(stated).filter(|(_, value, _)| usable(*value))
}
