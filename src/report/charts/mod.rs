//! Documents as pictures: which ceilings, operators and causes become which lines, points and bars.

mod breakdown;
mod curves;
mod frontier;
mod products;
mod roofline;
mod waterfall;

pub use breakdown::breakdown;
pub use curves::{Family, curves};
pub use frontier::frontier;
pub use products::products;
pub use roofline::{Placed, roofline};
pub use waterfall::waterfall;

use super::chart::{Mark, Point, Series};
use crate::profile::{self, Flag, Profile};
use crate::units::{Unit, human, percent};

/// A device's name without the signs that makers put into it.
pub(super) fn device_name(profile: &Profile) -> String {
    plain_name(&profile.device.name)
}

/// A name without the signs that makers put into it.
fn plain_name(name: &str) -> String {
    let name = name.replace("(R)", "").replace("(TM)", "").replace("(r)", "").replace("(tm)", "");
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is said of a measured point: its value with its spread, and its flags.
fn told(what: &str, point: &profile::Point, unit: Unit, at: &str) -> String {
    let flags: Vec<&str> = point.flags.iter().map(Flag::word).collect();
    let flags = if flags.is_empty() { String::new() } else { format!(" · {}", flags.join(", ")) };
    let at = if at.is_empty() { String::new() } else { format!(" at {at}") };
    let spread = percent(point.mad / point.value);
    format!("{what} {}{at} · ±{spread}, {} samples{flags}", human(point.value, unit), point.samples.clean)
}

/// Whether a number can be drawn on an axis of ratios.
fn usable(number: f64) -> bool {
    number.is_finite() && number > 0.0
}

/// The same series without what cannot be drawn; none where nothing is left.
fn sound(series: Series) -> Option<Series> {
    let keep = |points: Vec<Point>| -> Vec<Point> {
        points.into_iter().filter(|point| usable(point.x) && usable(point.y)).collect()
    };
    let mark = match series.mark {
        Mark::Line { points, stroke, band } => {
            let band = band.into_iter().filter(|at| usable(at.x) && usable(at.low) && usable(at.high)).collect();
            Mark::Line { points: keep(points), stroke, band }
        }
        Mark::Points { points, symbol } => Mark::Points { points: keep(points), symbol },
        bars @ Mark::Bars { .. } => bars,
    };
    let series = Series { mark, ..series };
    let is_empty = matches!(&series.mark, Mark::Line { points, .. } | Mark::Points { points, .. } if points.is_empty());
    (!is_empty).then_some(series)
}
