//! How fast can this resource go at this size? The one place where a profile is asked, and where every answer says how it is known.

mod answer;
mod curve;
mod imported;
mod product;
mod substitute;

use std::fmt;

use serde::Serialize;

use super::document::{Ceiling, Claim, Outcome, Profile};
use crate::resource::{Axis, Key, Resource, Scope};
use crate::units::{Unit, human};
use crate::workload::Shape;

pub use answer::{Answer, How, Known};

/// A place on a ceiling's axis.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// No particular one: the only value; of a curve, that of the largest size; of matrix products, the fastest.
    Anywhere,
    /// A working set or a transfer, in bytes.
    Bytes(f64),
    /// Tokens of context.
    Tokens(f64),
    /// A matrix product.
    Shape(Shape),
}

/// A question: how fast can this go?
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Demand {
    /// What is asked for.
    pub resource: Resource,
    /// How much of the device takes part.
    pub scope: Scope,
    /// Where on its axis.
    pub at: Place,
}

/// A profile that is asked, and a datasheet for what it lacks.
#[derive(Clone, Copy, Debug)]
pub struct Ceilings<'a> {
    profile: &'a Profile,
    datasheet: Option<&'a Profile>,
}

impl<'a> Ceilings<'a> {
    /// Answers from a profile, and from the maker's figures in it.
    #[must_use]
    pub const fn new(profile: &'a Profile) -> Self {
        Self { profile, datasheet: None }
    }

    /// Takes the maker's figures that the profile lacks from another one.
    #[must_use]
    pub const fn with_datasheet(self, datasheet: &'a Profile) -> Self {
        Self { datasheet: Some(datasheet), ..self }
    }

    /// How fast a resource can go at a place: what was measured there, or what is nearest to it. In this order: a point, a value between
    /// points, a formula, the end of a curve; what another tool measured of the resource; a substitute that was measured; the maker's figure; a substitute
    /// that another tool measured, or that the maker gives a figure for.
    #[must_use]
    pub fn ask(&self, demand: &Demand) -> Answer {
        if let Some(why) = demand.problem() {
            return Answer::Missing { why };
        }
        if let Some(known) = self.measured(demand) {
            return Answer::Known(known);
        }
        if let Some(known) = self.imported(demand) {
            return Answer::Known(known);
        }
        let absent = self.absence(demand.key());
        self.substitute(demand, &absent)
            .or_else(|| self.claimed(demand))
            .or_else(|| self.claimed_substitute(demand, &absent))
            .map_or(Answer::Missing { why: absent }, Answer::Known)
    }

    /// What the profile's own points say of a resource at a place: no substitute, no maker's figure, nothing of another tool.
    #[must_use]
    pub fn own(&self, demand: &Demand) -> Option<Known> {
        if demand.problem().is_some() { None } else { self.measured(demand) }
    }

    /// What the profile's own points say of a resource, without any substitute.
    fn measured(&self, demand: &Demand) -> Option<Known> {
        let unit = demand.resource.unit();
        let ceiling = self.profile.ceiling(demand.key()).filter(|ceiling| ceiling.unit == unit)?;
        match demand.at {
            Place::Shape(shape) => product::at(ceiling, shape),
            Place::Anywhere if demand.resource.axis() == Some(Axis::Shape) => product::fastest(ceiling),
            at => curve::at(ceiling, at),
        }
    }

    /// Why the profile has no value for a ceiling.
    fn absence(&self, key: Key) -> String {
        let Some(ceiling) = self.profile.ceiling(key) else { return "it is not in this profile".to_owned() };
        match &ceiling.outcome {
            Outcome::Ok { .. } => "it has no points that can be used".to_owned(),
            Outcome::Unsupported { reason } => format!("unsupported: {reason}"),
            Outcome::Skipped { reason } => format!("skipped: {reason}"),
            Outcome::Failed { reason } => format!("failed: {reason}"),
        }
    }

    /// The maker's figure for a resource.
    fn claimed(&self, demand: &Demand) -> Option<Known> {
        if demand.scope != Scope::Device {
            return None;
        }
        let resource = demand.resource;
        let claim = self
            .sheets()
            .filter_map(|sheet| sheet.claim(resource))
            .find(|claim| claim.unit == resource.unit() && usable(claim.value))?;
        Some(Known::new(claim.value, resource.unit(), How::Datasheet { source: claim.source.clone() }))
    }

    /// Whether the maker gives the figure of any peak.
    fn has_claimed_peaks(&self) -> bool {
        let is_peak = |claim: &Claim| matches!(claim.resource, Resource::Compute { .. });
        self.sheets().any(|sheet| sheet.datasheet.iter().any(is_peak))
    }

    /// The profiles that hold claims of the maker's.
    fn sheets(&self) -> impl Iterator<Item = &Profile> {
        std::iter::once(self.profile).chain(self.datasheet)
    }
}

impl Demand {
    /// What identifies the ceiling that is asked for.
    #[must_use]
    pub const fn key(&self) -> Key {
        Key { resource: self.resource, scope: self.scope }
    }

    /// Why there can be no answer: the place is none on the resource's axis, or not a positive number.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let axis = self.resource.axis();
        let fits = match self.at {
            Place::Anywhere => true,
            Place::Bytes(_) => matches!(axis, Some(Axis::WorkingSet | Axis::TransferSize)),
            Place::Tokens(_) => axis == Some(Axis::Context),
            Place::Shape(_) => axis == Some(Axis::Shape),
        };
        if !fits {
            let asked = match axis {
                None => "has one value, not a curve",
                Some(Axis::WorkingSet) => "is asked at the bytes of a working set",
                Some(Axis::TransferSize) => "is asked at the bytes of a transfer",
                Some(Axis::Shape) => "is asked at the shape of a product",
                Some(Axis::Context) => "is asked at tokens of context",
            };
            return Some(format!("`{}` {asked}", self.resource));
        }
        let positive = match self.at {
            Place::Anywhere => true,
            Place::Bytes(number) | Place::Tokens(number) => usable(number),
            Place::Shape(Shape { m, n, k }) => m.min(n).min(k) > 0,
        };
        (!positive).then(|| "its place is not a positive number".to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anywhere => f.pad("anywhere"),
            Self::Bytes(bytes) => human(*bytes, Unit::Byte).fmt(f),
            Self::Tokens(tokens) => f.pad(&format!("{tokens} tokens")),
            Self::Shape(shape) => shape.fmt(f),
        }
    }
}

/// Whether a number can stand for a value or a place. Profiles are read from anywhere, and are not checked before they are asked.
fn usable(number: f64) -> bool {
    number.is_finite() && number > 0.0
}

/// A place on the axis of a ceiling's points.
const fn place(ceiling: &Ceiling, at: f64) -> Place {
    place_of(ceiling.resource, at)
}

/// A place on the axis of a resource.
const fn place_of(resource: Resource, at: f64) -> Place {
    match resource.axis() {
        Some(Axis::Context) => Place::Tokens(at),
        _ => Place::Bytes(at),
    }
}

#[cfg(test)]
mod tests;
