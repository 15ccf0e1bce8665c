//! What other tools measured: numbers with another provenance, which never stand among what rooflab measured.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::Profile;
use crate::resource::{Axis, Resource};
use crate::units::Unit;

/// What another tool measured of a resource of the whole device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// What it is about.
    pub resource: Resource,
    /// The unit of all its values.
    pub unit: Unit,
    /// Devices that took part, where it is of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u64>,
    /// One value, or a curve in ascending order of the resource's axis.
    pub points: Vec<ImportedPoint>,
    /// Who measured it.
    pub by: Origin,
}

/// A value of another tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedPoint {
    /// Place on the resource's axis, where the tool says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// The value.
    pub value: f64,
    /// What the tool calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Where values of another tool come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The tool.
    pub tool: String,
    /// Its version, as it gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The file, without its folder, and the place in it.
    pub file: String,
    /// The device as the tool names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What rooflab knows of its own values and the file does not tell of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<Unknown>,
    /// What the tool itself says against them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
}

/// What is not known of a value that another tool measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unknown {
    /// How far its samples lie from each other.
    Spread,
    /// Whether it came back later in the run.
    SecondVisit,
    /// Whether the kernels computed what they should; rooflab did not verify them.
    Verification,
    /// The clock, the load and what else the machine was doing.
    Conditions,
    /// At which working set or transfer it holds.
    Size,
}

impl Unknown {
    /// What it is, in a few words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Spread => "its spread",
            Self::SecondVisit => "whether it came back",
            Self::Verification => "whether the results were right",
            Self::Conditions => "the clock and the load",
            Self::Size => "at which size it holds",
        }
    }
}

impl Origin {
    /// The tool with its version.
    #[must_use]
    pub fn who(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.tool),
            None => self.tool.clone(),
        }
    }
}

impl Imported {
    /// The point that stands for it where one must: the last.
    #[must_use]
    pub fn representative(&self) -> Option<&ImportedPoint> {
        self.points.last()
    }

    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.unit != self.resource.unit() {
            problems.push(format!("its unit is `{}`, not `{}`", self.unit, self.resource.unit()));
        }
        if self.points.is_empty() {
            problems.push("it has no points".to_owned());
        }
        let positive = |number: f64| number.is_finite() && number > 0.0;
        if self.points.iter().any(|point| !positive(point.value) || point.at.is_some_and(|at| !positive(at))) {
            problems.push("a value or its place is not a positive number".to_owned());
        }
        let has_axis = matches!(self.resource.axis(), Some(Axis::WorkingSet | Axis::TransferSize | Axis::Context));
        if !has_axis && (self.points.len() > 1 || self.points.iter().any(|point| point.at.is_some())) {
            problems.push("its resource has one value, not a curve".to_owned());
        }
        if self.points.len() > 1 && !self.points.is_sorted_by(|a, b| a.at.is_some() && a.at < b.at) {
            problems.push("its points are not in ascending order of the axis".to_owned());
        }
        if self.by.tool.trim().is_empty() || self.by.file.trim().is_empty() {
            problems.push("it does not say which tool measured it, or in which file that stands".to_owned());
        }
        problems
    }
}

impl Profile {
    /// What other tools measured of a resource.
    pub fn imported_of(&self, resource: Resource) -> impl Iterator<Item = &Imported> {
        self.imported.iter().filter(move |imported| imported.resource == resource)
    }

    /// Takes over what another tool measured, in the place of what the same tool measured of the resource before.
    pub fn take_over(&mut self, imported: Imported) {
        let same = |known: &&mut Imported| known.resource == imported.resource && known.by.tool == imported.by.tool;
        match self.imported.iter_mut().find(same) {
            Some(known) => *known = imported,
            None => self.imported.push(imported),
        }
        self.imported.sort_by(|a, b| (a.resource, &a.by.tool).cmp(&(b.resource, &b.by.tool)));
    }

    /// Whether other tools measured all that is measured in it.
    #[must_use]
    pub fn is_imported(&self) -> bool {
        self.ceilings.is_empty() && !self.imported.is_empty()
    }

    /// Where its numbers come from, in a word: rooflab measured them, other tools did, or the maker states them.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.instrument {
            Some(_) => "measured",
            None if self.is_imported() => "imported",
            None => "datasheet",
        }
    }
}
