//! Values that other tools measured. They come after rooflab's own and before any substitute, and every answer names the tool.

use super::answer::{How, Known};
use super::curve::{SAME_PLACE, on_line};
use super::{Ceilings, Demand, Place, place_of, usable};
use crate::profile::imported::Imported;
use crate::resource::Scope;

impl Ceilings<'_> {
    /// What another tool measured of a resource; of several, the best.
    pub(super) fn imported(&self, demand: &Demand) -> Option<Known> {
        if demand.scope != Scope::Device {
            return None;
        }
        let unit = demand.resource.unit();
        let all = self.profile.imported_of(demand.resource).filter(|imported| imported.unit == unit);
        let known = all.filter_map(|imported| {
            let (value, known) = at(imported, demand.at)?;
            let (tool, file) = (imported.by.who(), imported.by.file.clone());
            Some(Known::new(value, unit, How::Imported { tool, file, known: Box::new(known) }))
        });
        known.reduce(|a, b| if (b.value > a.value) == unit.more_is_better() { b } else { a })
    }
}

/// The value at a place, and how it follows from the tool's own.
fn at(imported: &Imported, at: Place) -> Option<(f64, How)> {
    let place = |at: f64| place_of(imported.resource, at);
    let points = imported.points.iter().filter(|point| usable(point.value));
    let final_point = points.clone().next_back();
    let mut curve: Vec<(f64, f64)> =
        points.filter_map(|point| point.at.filter(|&at| usable(at)).map(|at| (at, point.value))).collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (Place::Bytes(wanted) | Place::Tokens(wanted)) = at else {
        let last = curve.last().map(|&(at, value)| (value, How::Measured { at: place(at) }));
        let placeless = || final_point.map(|point| (point.value, How::Measured { at: Place::Anywhere }));
        return last.or_else(placeless).filter(|_| !matches!(at, Place::Shape(_)));
    };
    let Some(&(first, _)) = curve.first() else {
        // The tool does not say at which size it measured.
        return final_point.map(|point| (point.value, How::Extrapolated { from: Place::Anywhere }));
    };
    if let Some(&(at, value)) = curve.iter().find(|(at, _)| (at / wanted - 1.0).abs() <= SAME_PLACE) {
        return Some((value, How::Measured { at: place(at) }));
    }
    let above = curve.partition_point(|(at, _)| *at < wanted);
    match (above.checked_sub(1).and_then(|below| curve.get(below)), curve.get(above)) {
        (Some(&below), Some(&above)) => {
            Some((on_line(below, above, wanted), How::Interpolated { between: vec![place(below.0), place(above.0)] }))
        }
        (Some(&(end, value)), None) => Some((value, How::Extrapolated { from: place(end) })),
        (None, _) => curve.first().map(|&(_, value)| (value, How::Extrapolated { from: place(first) })),
    }
}
