//! Rates of matrix products at shapes that were measured, between them, and away from them.

use super::answer::{How, Known};
use super::curve::SAME_PLACE;
use super::{Place, usable};
use crate::fit::Fit;
use crate::profile::document::{Ceiling, Outcome};
use crate::profile::point::Point;
use crate::resource::Resource;
use crate::workload::{Shape, Work};

/// Beyond the range of its points by this factor in any direction, a formula is not to be trusted: its error was measured inside.
const FAR: f64 = 4.0;

/// A measured product, with its place in logarithms.
#[derive(Clone, Copy)]
struct Product<'a> {
    shape: Shape,
    logs: [f64; 3],
    point: &'a Point,
}

/// The rate of a shape. None where there are no usable points.
pub(super) fn at(ceiling: &Ceiling, shape: Shape) -> Option<Known> {
    let wanted = logs(shape);
    let products = products(ceiling);
    let nearest = nearest(products.iter(), wanted)?;
    let same = nearest.logs.iter().zip(wanted).all(|(a, b)| ((a - b).exp() - 1.0).abs() <= SAME_PLACE);
    if same {
        return Some(Known::measured(nearest.point, ceiling.unit, Place::Shape(nearest.shape)));
    }
    let Some((fit, rate)) = fit(ceiling).and_then(|fit| Some((fit, formula(ceiling, fit, shape)?))) else {
        // A rate changes less from shape to shape than a time does.
        let how = How::Extrapolated { from: Place::Shape(nearest.shape) };
        return Some(Known::new(nearest.point.value, ceiling.unit, how).resting_on([nearest.point]));
    };
    let around = surrounding(&products, wanted);
    if let Some(known) = between(ceiling, fit, rate, &around, wanted) {
        return Some(known);
    }
    let how = if is_far(&products, wanted) {
        How::Extrapolated { from: Place::Shape(nearest.shape) }
    } else {
        How::Fitted { points: fit.points }
    };
    Some(Known { error: Some(fit.held_out.mean), ..Known::new(rate, ceiling.unit, how) })
}

/// The fastest product.
pub(super) fn fastest(ceiling: &Ceiling) -> Option<Known> {
    let products = products(ceiling);
    let best = products.iter().max_by(|a, b| a.point.value.total_cmp(&b.point.value))?;
    Some(Known::measured(best.point, ceiling.unit, Place::Shape(best.shape)))
}

/// The formula's rate, times the share of it that the products around reach. Near ones count more, by the square of their distance.
fn between(ceiling: &Ceiling, fit: &Fit, rate: f64, around: &[Product<'_>], wanted: [f64; 3]) -> Option<Known> {
    let mut shares = Vec::with_capacity(around.len());
    for product in around {
        // Time of the formula over measured time: how much of the formula's speed was reached.
        let share = product.point.value / formula(ceiling, fit, product.shape)?;
        shares.push((share, 1.0 / distance(product.logs, wanted)));
    }
    let low = shares.iter().map(|(share, _)| *share).reduce(f64::min)?;
    let high = shares.iter().map(|(share, _)| *share).reduce(f64::max)?;
    let weights: f64 = shares.iter().map(|(_, weight)| weight).sum();
    let share = shares.iter().map(|(share, weight)| share * weight).sum::<f64>() / weights;
    // Rounding must not carry it outside.
    let share = share.clamp(low, high);
    let value = Some(rate * share).filter(|value| usable(*value))?;
    let how = How::Interpolated { between: around.iter().map(|product| Place::Shape(product.shape)).collect() };
    let error = Some((high / share - 1.0).max(1.0 - low / share));
    Some(Known { error, ..Known::new(value, ceiling.unit, how).resting_on(around.iter().map(|product| product.point)) })
}

/// The nearest product on either side of the wanted one in each of m, n and k; one that is level with it is on both. Empty where a side
/// has none: then the products do not surround it.
fn surrounding<'a>(products: &[Product<'a>], wanted: [f64; 3]) -> Vec<Product<'a>> {
    let mut around: Vec<Product<'a>> = Vec::new();
    for axis in 0..3 {
        let not_above = nearest(products.iter().filter(|product| product.logs[axis] <= wanted[axis]), wanted);
        let not_below = nearest(products.iter().filter(|product| product.logs[axis] >= wanted[axis]), wanted);
        let (Some(below), Some(above)) = (not_above, not_below) else { return Vec::new() };
        for product in [below, above] {
            if around.iter().all(|known| known.shape != product.shape) {
                around.push(*product);
            }
        }
    }
    around.sort_by_key(|product| product.shape);
    around
}

fn nearest<'p, 'a>(products: impl Iterator<Item = &'p Product<'a>>, wanted: [f64; 3]) -> Option<&'p Product<'a>>
where
    'a: 'p,
{
    products.min_by(|a, b| distance(a.logs, wanted).total_cmp(&distance(b.logs, wanted)))
}

/// Square of the distance.
fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

fn is_far(products: &[Product<'_>], wanted: [f64; 3]) -> bool {
    (0..3).any(|axis| {
        let sizes = || products.iter().map(|product| product.logs[axis]);
        let below = sizes().reduce(f64::min).is_some_and(|least| wanted[axis] < least - FAR.ln());
        below || sizes().reduce(f64::max).is_some_and(|most| wanted[axis] > most + FAR.ln())
    })
}

fn logs(shape: Shape) -> [f64; 3] {
    [shape.m, shape.n, shape.k].map(|size| (size as f64).ln())
}

fn products(ceiling: &Ceiling) -> Vec<Product<'_>> {
    let mut products = Vec::with_capacity(ceiling.points().len());
    for point in ceiling.points().iter().filter(|point| usable(point.value)) {
        if let Some(shape) = point.shape.filter(|shape| shape.m.min(shape.n).min(shape.k) > 0) {
            products.push(Product { shape, logs: logs(shape), point });
        }
    }
    products
}

/// The formula of a ceiling, if it has a sound one.
fn fit(ceiling: &Ceiling) -> Option<&Fit> {
    match &ceiling.outcome {
        Outcome::Ok { fit: Some(fit), .. } if fit.problems().is_empty() => Some(fit),
        _ => None,
    }
}

/// The rate that the formula gives a shape.
fn formula(ceiling: &Ceiling, fit: &Fit, shape: Shape) -> Option<f64> {
    let Resource::Gemm { input, accumulate } = ceiling.resource else { return None };
    let work: Work = shape.work(input, accumulate);
    Some(work.ops as f64 / fit.model.time(&work).get()).filter(|rate| usable(*rate))
}
