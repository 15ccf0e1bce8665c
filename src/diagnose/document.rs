//! The document `rooflab.diagnosis/1`: its types are its schema.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::finding::{Finding, Severity};
use super::link::LinkFacts;
use super::phase::Phase;
use crate::estimate::{Hardware, ModelFacts, ScenarioFacts};
use crate::observe;
use crate::profile::Source;

/// What stands in the field `schema`.
pub const SCHEMA: &str = "rooflab.diagnosis/1";

/// Where the time of a run went, and what speaks in it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Diagnosis {
    /// The schema and its major version.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// The program that wrote the document.
    pub rooflab: Source,
    /// When, in UTC.
    pub created: Timestamp,
    /// The tools and files that the run comes from. None when its numbers were typed in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<observe::Source>,
    /// The model.
    pub model: ModelFacts,
    /// What it was given to do.
    pub scenario: ScenarioFacts,
    /// The device, by its profile.
    pub hardware: Hardware,
    /// The name of its datasheet, where one beside the profile was used.
    pub datasheet: Option<String>,
    /// The link between devices, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkFacts>,
    /// Where the time went, prompts and decoding apart.
    pub phases: Vec<Phase>,
    /// What rules found, the gravest first.
    pub findings: Vec<Finding>,
    /// Rules that found nothing.
    pub checked: Vec<Checked>,
    /// What speaks against taking the numbers as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
    /// What cannot all be true.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<String>,
    /// What the estimates rest on that was not measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assumptions: Vec<String>,
}

/// A rule that found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checked {
    /// The rule: `RL001`.
    pub rule: &'static str,
    /// What it is about.
    pub name: &'static str,
}

impl Diagnosis {
    /// The gravest of what was found.
    #[must_use]
    pub fn gravest(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.found.severity).max()
    }

    /// The smallest share of its estimate that a phase reached: 1 where the run was as fast as that.
    #[must_use]
    pub fn reached(&self) -> f64 {
        self.phases.iter().map(Phase::reached).fold(f64::INFINITY, f64::min)
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = schema_for!(Diagnosis);
    schema.insert("$id".to_owned(), "urn:rooflab:diagnosis:1".into());
    schema.insert("title".to_owned(), SCHEMA.into());
    schema
}
