//! What a profile answers. A value exists only together with how it is known.

use serde::Serialize;

use super::Place;
use crate::profile::point::{Flag, Point};
use crate::resource::Key;
use crate::units::Unit;

/// The answer to a [`super::Demand`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// There is a value.
    Known(Known),
    /// There is none.
    Missing {
        /// The reason that the profile gives, or that the resource is not in it.
        why: String,
    },
}

/// A value, and how it is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Known {
    /// The value, in `unit`: positive and finite.
    pub value: f64,
    /// The resource's unit.
    pub unit: Unit,
    /// How it is known.
    pub how: How,
    /// Relative error, where it is known: half the confidence interval of a measured value; of an interpolated one, how far it is from
    /// the farthest point that it rests on; the mean error of a formula at points that were held out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// What speaks against the points it rests on, each flag as it stands in the profile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<Flag>,
}

/// How a value is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum How {
    /// It was measured there, or within 1 % of there.
    Measured {
        /// Where the point is; on no axis: anywhere.
        at: Place,
    },
    /// It lies between points: straight lines in the logarithms of place and value; of matrix products, the weighted mean of what share of
    /// the formula's speed the nearest ones reach. A level of memory has one value over all of its stretch.
    Interpolated {
        /// The points; or the ends of the level's stretch.
        between: Vec<Place>,
    },
    /// It comes from the formula through all points.
    Fitted {
        /// Points that the formula rests on.
        points: u32,
    },
    /// It lies outside of what was measured: the value at the nearest end of the curve; of matrix products, the formula's far away from its
    /// points, or without a formula the rate of the nearest shape.
    Extrapolated {
        /// The nearest point.
        from: Place,
    },
    /// Another tool measured it; rooflab did not.
    Imported {
        /// The tool, with its version where it gives it.
        tool: String,
        /// The file, and the place in it.
        file: String,
        /// How it follows from the tool's values.
        known: Box<How>,
    },
    /// It belongs to another resource, which stands for the one that was asked for.
    Substituted {
        /// The other resource.
        from: Key,
        /// Why the resource itself has no value, and why the other one stands for it.
        why: String,
        /// How the other's value is known.
        known: Box<How>,
    },
    /// The maker says so; nothing was measured.
    Datasheet {
        /// Where.
        source: String,
    },
}

impl Answer {
    /// The value with its provenance, if there is one.
    #[must_use]
    pub const fn known(&self) -> Option<&Known> {
        match self {
            Self::Known(known) => Some(known),
            Self::Missing { .. } => None,
        }
    }
}

impl Known {
    /// A value of which neither an error nor flags are known.
    pub(super) const fn new(value: f64, unit: Unit, how: How) -> Self {
        Self { value, unit, how, error: None, flags: Vec::new() }
    }

    /// A point of the profile as it is.
    pub(super) fn measured(point: &Point, unit: Unit, at: Place) -> Self {
        let [low, high] = point.confidence;
        let error = (high - low).abs() / 2.0 / point.value;
        let error = error.is_finite().then_some(error);
        Self { error, ..Self::new(point.value, unit, How::Measured { at }).resting_on([point]) }
    }

    /// Takes over the flags of the points that a value rests on.
    pub(super) fn resting_on<'p>(mut self, points: impl IntoIterator<Item = &'p Point>) -> Self {
        for flag in points.into_iter().flat_map(|point| &point.flags) {
            if !self.flags.contains(flag) {
                self.flags.push(flag.clone());
            }
        }
        self
    }
}

impl How {
    /// The word it is written as.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Measured { .. } => "measured",
            Self::Interpolated { .. } => "interpolated",
            Self::Fitted { .. } => "fitted",
            Self::Extrapolated { .. } => "extrapolated",
            Self::Imported { .. } => "imported",
            Self::Substituted { .. } => "substituted",
            Self::Datasheet { .. } => "datasheet",
        }
    }
}
