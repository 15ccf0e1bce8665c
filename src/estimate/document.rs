//! The document `rooflab.estimate/1`: its types are its schema.

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, schema_for};
use serde::Serialize;

use super::account::Account;
use super::deployment::Limit;
use super::energy::PerMillion;
use super::estimator::{Estimate, Served};
use super::memory::{Admission, Allocation, Budget};
use super::offload::Offload;
use super::scenario::{Load, Scenario};
use super::serving::{FrontierPoint, Metrics};
use super::speculation::Draft;
use crate::graph::Layout;
use crate::model::Model;
use crate::profile::{Profile, Source};
use crate::units::{Bytes, Seconds};

/// What stands in the field `schema`.
pub const SCHEMA: &str = "rooflab.estimate/1";

/// What a model on a device comes to, and what that rests on.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Document {
    /// The schema and its major version.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: &'static str,
    /// The program that wrote the document.
    pub rooflab: Source,
    /// When, in UTC.
    pub created: Timestamp,
    /// The model.
    pub model: ModelFacts,
    /// What was asked.
    pub scenario: ScenarioFacts,
    /// The answer.
    pub estimate: Answer,
    /// The answer by another profile, for comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Answer>,
}

/// The model, in the formats that were estimated.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ModelFacts {
    /// What it is called.
    pub name: String,
    /// All parameters.
    pub parameters: u64,
    /// All but the experts that a token does not go through.
    pub active_parameters: u64,
    /// Layers.
    pub layers: u64,
    /// The longest context it was made for.
    pub max_context: Option<u64>,
    /// The format of its weights, in words.
    pub weights: String,
    /// The format of its cache, in words.
    pub kv: String,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ScenarioFacts {
    /// Tokens of a prompt.
    pub prompt: u64,
    /// Tokens that are generated.
    pub generate: u64,
    /// How requests come.
    pub load: LoadFacts,
    /// Requests of the whole run, where a number is in flight and the run has an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// How much the lengths of requests that arrive at a rate vary: the variance of their work over the square of its mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variability: Option<f64>,
    /// Most tokens of an engine's step, those that decode included, where prompts are cut into chunks.
    pub chunk: Option<u64>,
    /// Devices that share each matrix.
    pub tp: u64,
    /// Stages of layers.
    pub pp: u64,
    /// Devices that share the experts.
    pub ep: u64,
    /// Replicas.
    pub dp: u64,
    /// How much of the memory is used.
    pub budget: Budget,
    /// Tokens of a block of the cache.
    pub block: u64,
    /// What layers with a window keep in memory.
    pub allocation: Allocation,
    /// What drivers, libraries and captured graphs keep of each device's memory; 0 where that was not given.
    pub reserve: Bytes,
    /// Time of the host for a request before its prompt starts.
    pub host: Seconds,
    /// What lies outside of the device's memory, where anything does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offload: Option<Offload>,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadFacts {
    /// So many start together.
    Batch(u64),
    /// So many are in flight.
    Concurrency(u64),
    /// So many arrive per second.
    Rate(f64),
}

/// What one profile says.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Answer {
    /// The device.
    pub hardware: Hardware,
    /// What fits into its memory.
    pub memory: Admission,
    /// Prompts that go through the model together, whole: those of a batch; otherwise one, or as many as a step has tokens for.
    pub prefill: Account,
    /// One decode step of the account's sequences.
    pub decode: Account,
    /// The batch from which on a decode step at this context is bound by arithmetic, by its floor. None where every batch is bound by memory, and where nothing is
    /// known of it: then `decode.floor` is none as well.
    pub ridge_batch: Option<u64>,
    /// What requests see.
    pub served: ServedFacts,
    /// Throughput against latency, where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub frontier: Vec<FrontierPoint>,
    /// Drafts by length, where a draft model was given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub drafts: Vec<Draft>,
    /// What a million tokens cost, where power or price was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_million: Option<PerMillion>,
}

/// A device, by its profile.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Hardware {
    /// The profile's name.
    pub profile: String,
    /// The device's name.
    pub device: String,
    /// Whether the profile was measured; else all of it are the maker's figures.
    pub measured: bool,
    /// When it was measured, or entered.
    pub created: Timestamp,
    /// Memory of a device.
    pub memory: Bytes,
    /// Devices that take part.
    pub devices: u64,
    /// The engine whose operators and whose own time are in the estimate, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// What requests see.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum ServedFacts {
    /// They are answered.
    Steady(Metrics),
    /// They arrive faster than they can be answered.
    Saturated {
        /// Requests per second that are answered.
        capacity: f64,
    },
    /// They cannot run at the same time.
    TooMany {
        /// Sequences that can.
        admitted: u64,
        /// What keeps the others from it.
        limit: Limit,
    },
}

impl ModelFacts {
    /// The facts of a model in formats that are described in words.
    #[must_use]
    pub fn new(model: &Model, weights: &str, kv: &str) -> Self {
        let count = model.parameters();
        Self {
            name: model.name.clone(),
            parameters: count.total,
            active_parameters: count.active,
            layers: model.layers.len() as u64,
            max_context: model.max_context,
            weights: weights.to_owned(),
            kv: kv.to_owned(),
        }
    }
}

impl Hardware {
    /// Some devices of the kind that a profile describes.
    #[must_use]
    pub fn new(profile: &Profile, devices: u64) -> Self {
        Self {
            profile: profile.name.clone(),
            device: profile.device.name.clone(),
            measured: profile.instrument.is_some(),
            created: profile.header.created,
            memory: Bytes(profile.device.memory as f64),
            devices,
            engine: None,
        }
    }
}

impl From<&Scenario> for ScenarioFacts {
    fn from(scenario: &Scenario) -> Self {
        let Layout { tensor, pipeline, expert, data } = scenario.layout;
        Self {
            prompt: scenario.request.prompt,
            generate: scenario.request.output,
            load: match scenario.load {
                Load::Batch(batch) => LoadFacts::Batch(batch),
                Load::Closed(concurrency) => LoadFacts::Concurrency(concurrency),
                Load::Open(rate) => LoadFacts::Rate(rate),
            },
            requests: scenario.requests.filter(|_| matches!(scenario.load, Load::Closed(_))),
            variability: Some(scenario.variability).filter(|_| matches!(scenario.load, Load::Open(_))),
            chunk: scenario.chunk,
            tp: tensor,
            pp: pipeline,
            ep: expert,
            dp: data,
            budget: scenario.budget,
            block: scenario.block,
            allocation: scenario.allocation,
            reserve: scenario.reserve,
            host: scenario.host,
            offload: Some(scenario.offload).filter(|offload| !offload.is_none()),
        }
    }
}

impl Answer {
    /// What an estimate says of a device.
    #[must_use]
    pub fn new(hardware: Hardware, estimate: Estimate) -> Self {
        let Estimate { devices: _, memory, prefill, decode, ridge_batch, served } = estimate;
        Self {
            hardware,
            memory,
            prefill,
            decode,
            ridge_batch,
            served: served.into(),
            frontier: Vec::new(),
            drafts: Vec::new(),
            per_million: None,
        }
    }
}

impl From<Served> for ServedFacts {
    fn from(served: Served) -> Self {
        match served {
            Served::Steady(metrics) => Self::Steady(metrics),
            Served::Saturated { capacity } => Self::Saturated { capacity },
            Served::TooMany { admitted, limit } => Self::TooMany { admitted, limit },
        }
    }
}

impl ServedFacts {
    /// What requests see, where they are answered.
    #[must_use]
    pub const fn metrics(&self) -> Option<&Metrics> {
        match self {
            Self::Steady(metrics) => Some(metrics),
            _ => None,
        }
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = schema_for!(Document);
    schema.insert("$id".to_owned(), "urn:rooflab:estimate:1".into());
    schema.insert("title".to_owned(), SCHEMA.into());
    schema
}
