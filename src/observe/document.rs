//! The document `rooflab.observation/1`: its types are its schema.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use super::caveat::Caveat;
use super::metric::{Measured, Quantity};
use super::part::{Collective, Copy, Kernel, Rate};
use super::text;
use crate::dtype::DType;
use crate::facts::DeviceKind;
use crate::units::Bytes;

/// Name of the schema, without its version.
pub const SCHEMA_NAME: &str = "rooflab.observation";
/// The major version this rooflab writes, and the highest it reads.
pub const SCHEMA_MAJOR: u32 = 1;
/// What stands in the field `schema`.
pub const SCHEMA: &str = "rooflab.observation/1";

/// What somebody measured with another tool: what ran, on what, under which load, and what came out. What was not said is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observation {
    /// What kind of document this is: `rooflab.observation/1`.
    pub schema: String,
    /// Which tools and files it comes from. None when the numbers were typed in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// What ran, and on what.
    #[serde(default)]
    pub subject: Subject,
    /// What it was given to do.
    #[serde(default)]
    pub load: Load,
    /// What was measured of the run as a whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<Quantity, Measured>,
    /// What was measured of single kernels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kernels: Vec<Kernel>,
    /// What was measured of collective operations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub collectives: Vec<Collective>,
    /// What was measured of copies between memories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<Copy>,
    /// What was measured of single resources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<Rate>,
    /// What speaks against taking the numbers as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<Caveat>,
}

/// A tool and the file it wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// The tool.
    pub tool: Tool,
    /// Its version, as it gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The file's name without its folder, and which entry of the file it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

/// A tool whose files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tool {
    /// llama.cpp's `llama-bench`.
    LlamaBench,
    /// `vllm bench serve`.
    VllmServe,
    /// `vllm bench latency`.
    VllmLatency,
    /// `vllm bench throughput`.
    VllmThroughput,
    /// SGLang's `bench_serving`.
    SglangServing,
    /// SGLang's `bench_one_batch`, with or without a server.
    SglangOneBatch,
    /// NVIDIA AIPerf.
    AiPerf,
    /// NVIDIA GenAI-Perf.
    GenaiPerf,
    /// TensorRT-LLM's `trtllm-bench`.
    TrtllmBench,
    /// nccl-tests.
    NcclTests,
    /// NVIDIA nvbandwidth.
    Nvbandwidth,
    /// NVIDIA Nsight Compute.
    NsightCompute,
    /// clpeak.
    Clpeak,
    /// mixbench.
    Mixbench,
}

impl Tool {
    /// What its makers call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LlamaBench => "llama-bench",
            Self::VllmServe => "vllm bench serve",
            Self::VllmLatency => "vllm bench latency",
            Self::VllmThroughput => "vllm bench throughput",
            Self::SglangServing => "SGLang bench_serving",
            Self::SglangOneBatch => "SGLang bench_one_batch",
            Self::AiPerf => "AIPerf",
            Self::GenaiPerf => "GenAI-Perf",
            Self::TrtllmBench => "trtllm-bench",
            Self::NcclTests => "nccl-tests",
            Self::Nvbandwidth => "nvbandwidth",
            Self::NsightCompute => "Nsight Compute",
            Self::Clpeak => "clpeak",
            Self::Mixbench => "mixbench",
        }
    }
}

/// What ran, and on what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// The model as it was named; of a path, the last part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the tool says of the model's kind: `llama 8B BF16`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_kind: Option<String>,
    /// Bytes of all weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bytes: Option<Bytes>,
    /// Number of all parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<f64>,
    /// The device as it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// What kind of device that is, where the tool runs on no other or says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_kind: Option<DeviceKind>,
    /// How many of it took part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<u64>,
    /// Memory of one device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_memory: Option<Bytes>,
    /// Format of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Format>,
    /// Format of the cache of keys and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kv: Option<Format>,
    /// What served the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine_version: Option<String>,
}

/// A number format as a tool calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Format {
    /// The tool's word.
    pub given: String,
    /// The format of rooflab's table, where the word is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtype: Option<DType>,
}

impl Format {
    /// A tool's word for a format. `auto` and the like name none.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        let given = text::clean(word);
        let says_nothing = ["", "auto", "none", "null"].iter().any(|word| given.eq_ignore_ascii_case(word));
        (!says_nothing).then(|| Self { dtype: given.parse().ok(), given })
    }
}

/// What the engine was given to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Sequences of a batch that begins and ends together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u64>,
    /// Most requests that were under way at once. It is a limit of the client, not the engine's batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// How requests arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// Requests that were answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Seconds of the whole run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Prompt tokens of a request, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<f64>,
    /// Generated tokens of a request, on average, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<f64>,
    /// Tokens that were in the cache before the measurement began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depth: Option<f64>,
    /// Most prompt tokens that are processed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefill_chunk: Option<u64>,
    /// Most sequences that the engine would take into a step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_limit: Option<u64>,
    /// Devices that share each layer (tensor parallelism).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tp: Option<u64>,
    /// Stages of layers (pipeline parallelism).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pp: Option<u64>,
    /// Devices that share the experts (expert parallelism).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ep: Option<u64>,
    /// Copies of the model (data parallelism).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dp: Option<u64>,
    /// Tokens that a draft proposed for each step, on average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_length: Option<f64>,
    /// Threads that computed on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
    /// Whether the weights were a mapping of their file instead of memory of the program's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<bool>,
    /// Layers that the device kept, the last ones; the output head counts as one more. The host kept and computed the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_layers: Option<u64>,
    /// Layers whose experts the host kept and computed, the first ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_expert_layers: Option<u64>,
    /// Share of the weights that lay outside of the device's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_weights: Option<f64>,
    /// Share of cached keys and values that lay outside of the device's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_kv: Option<f64>,
}

/// How requests arrived.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// As fast as the limit of concurrency allows.
    Unlimited,
    /// So many per second, offered.
    PerSecond(f64),
    /// At recorded times.
    Trace,
}

impl Observation {
    /// An observation that says nothing yet.
    #[must_use]
    pub fn new(sources: Vec<Source>) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            sources,
            subject: Subject::default(),
            load: Load::default(),
            metrics: BTreeMap::new(),
            kernels: Vec::new(),
            collectives: Vec::new(),
            copies: Vec::new(),
            rates: Vec::new(),
            caveats: Vec::new(),
        }
    }

    /// The number that stands for a quantity: its mean, or else its median.
    #[must_use]
    pub fn typical(&self, quantity: Quantity) -> Option<f64> {
        self.metrics.get(&quantity)?.values.typical()
    }

    /// Adds a caveat, once.
    pub(super) fn note(&mut self, caveat: Caveat) {
        if !self.caveats.contains(&caveat) {
            self.caveats.push(caveat);
        }
    }

    /// The document as it is written: JSON, indented, with a final newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serialising fails only for maps with odd keys and for types that refuse; these types do neither.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// The JSON Schema of the document.
#[must_use]
pub fn schema() -> Schema {
    let mut schema = schema_for!(Observation);
    schema.insert("$id".to_owned(), "urn:rooflab:observation:1".into());
    schema.insert("title".to_owned(), SCHEMA.into());
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_no_format_name_none() {
        assert_eq!(Format::named("auto"), None);
        assert_eq!(Format::named(" None "), None);
        assert_eq!(Format::named("bfloat16").and_then(|format| format.dtype), Some(DType::Bf16));
        assert_eq!(Format::named("Q4_K - Medium").map(|format| format.dtype), Some(None));
    }
}
