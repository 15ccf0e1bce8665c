//! Values along an axis of numbers, and those that stand on no axis.

use super::answer::{How, Known};
use super::{Place, place, usable};
use crate::profile::document::{Ceiling, Outcome, Range};
use crate::profile::point::Point;

/// Places that differ by no more than this are the same: sizes are rounded to whole vectors and lanes.
pub(super) const SAME_PLACE: f64 = 0.01;

/// The value of a ceiling at a place of its axis. None where it has no usable points.
pub(super) fn at(ceiling: &Ceiling, at: Place) -> Option<Known> {
    let mut points = ceiling.points().iter().filter(|point| usable(point.value));
    if ceiling.resource.axis().is_none() {
        return points.next_back().map(|point| Known::measured(point, ceiling.unit, Place::Anywhere));
    }
    let mut curve: Vec<(f64, &Point)> =
        points.filter_map(|point| point.at.filter(|&at| usable(at)).map(|at| (at, point))).collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (Place::Bytes(wanted) | Place::Tokens(wanted)) = at else {
        return curve.last().map(|&(at, point)| Known::measured(point, ceiling.unit, place(ceiling, at)));
    };
    let distance = |at: f64| (at / wanted - 1.0).abs();
    let nearest = curve.iter().min_by(|a, b| distance(a.0).total_cmp(&distance(b.0)));
    if let Some(&(at, point)) = nearest.filter(|(at, _)| distance(*at) <= SAME_PLACE) {
        return Some(Known::measured(point, ceiling.unit, place(ceiling, at)));
    }
    let above = curve.partition_point(|(at, _)| *at < wanted);
    match (above.checked_sub(1).and_then(|below| curve.get(below)), curve.get(above)) {
        (Some(&below), Some(&above)) => Some(between(ceiling, below, above, wanted)),
        (Some(&end), None) | (None, Some(&end)) => Some(beyond(ceiling, end, wanted)),
        (None, None) => None,
    }
}

/// On the straight line between two points, in logarithms.
fn between(ceiling: &Ceiling, (from, below): (f64, &Point), (to, above): (f64, &Point), wanted: f64) -> Known {
    let value = on_line((from, below.value), (to, above.value), wanted);
    let (low, high) = (below.value.min(above.value), below.value.max(above.value));
    let how = How::Interpolated { between: vec![place(ceiling, from), place(ceiling, to)] };
    let error = Some((high / value - 1.0).max(1.0 - low / value)).filter(|error| error.is_finite());
    Known { error, ..Known::new(value, ceiling.unit, how).resting_on([below, above]) }
}

/// The value at a place on the straight line between two points, in logarithms.
pub(super) fn on_line((from, below): (f64, f64), (to, above): (f64, f64), wanted: f64) -> f64 {
    let share = (wanted.ln() - from.ln()) / (to.ln() - from.ln());
    let line = below.ln() + share * (above.ln() - below.ln());
    // Rounding must not carry it outside.
    line.exp().clamp(below.min(above), below.max(above))
}

/// Before the first point or after the last: constant. Within the stretch of a level, that is what was found there.
fn beyond(ceiling: &Ceiling, (at, end): (f64, &Point), wanted: f64) -> Known {
    let how = match &ceiling.outcome {
        Outcome::Ok { plateau: Some(Range { from, to }), .. } if (*from..=*to).contains(&wanted) => {
            How::Interpolated { between: vec![place(ceiling, *from), place(ceiling, *to)] }
        }
        _ => How::Extrapolated { from: place(ceiling, at) },
    };
    Known::new(end.value, ceiling.unit, how).resting_on([end])
}
