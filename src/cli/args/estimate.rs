//! The arguments of `rooflab estimate` and `rooflab model`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use rooflab::estimate::Sweep;
use rooflab::estimate::offload::Share;
use rooflab::units::{Seconds, parse_duration, parse_size};

/// Estimate memory, time to first token, time per token and throughput of a model on a device.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rooflab estimate -m mistral-7b -f rtx-4090                      a model on a product's datasheet
  rooflab estimate -m qwen2.5-0.5b                                on this machine, as it was measured
  rooflab estimate -m llama-3.1-70b -f h200-sxm --weights fp8 --tp 2 --link 450GB/s,5us
  rooflab estimate -m qwen2.5-7b -f rtx-4090 --weights w4a16 -b 8 --prompt 2k --generate 512
  rooflab estimate -m qwen2.5-14b -f rtx-4090 --offload weights=0.4 --host-link 25GB/s,10us
  rooflab estimate -m qwen2.5-7b -f h100-sxm --concurrency 64 --require ttft<500ms,tpot<25ms
  rooflab estimate -m qwen2.5-7b -f h100-sxm --sweep batch=1-256*2 --sweep context=1k-128k*4 --format csv")]
pub(crate) struct Estimate {
    /// A model: a name that `rooflab model list` shows, a `config.json`, a GGUF or safetensors file, a folder, or a repository in the local
    /// Hugging Face cache.
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: String,

    /// A hardware profile: its name, some words of its name, a path, or `-`. Without it, this machine's.
    #[arg(short = 'f', long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,

    /// Show the datasheet's estimate beside the measured profile's: `datasheet`, or another profile.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) against: Option<String>,

    /// An engine profile: the operators and the own time of an engine, as they were measured through it on this device. Without it, the estimate is of what the device can
    /// do, which no engine beats.
    #[arg(long, value_name = "FILE")]
    pub(crate) engine: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) scene: Scene,

    /// Draft tokens with this model, of which a share is accepted: `llama-3.2-1b:0.7`.
    #[arg(long, value_name = "MODEL:SHARE")]
    pub(crate) speculate: Option<String>,

    /// What must hold, such as `ttft<500ms,tpot<25ms`; the best batch for which it does is found. Exits with 1 when there is none.
    #[arg(long, value_name = "LIST", conflicts_with_all = ["speculate", "frontier", "power", "price", "against"])]
    pub(crate) require: Option<String>,

    /// Show throughput against latency for every number of requests in flight that pays.
    #[arg(long)]
    pub(crate) frontier: bool,

    /// Power of the device in watts, for the energy of a token.
    #[arg(long, value_name = "WATTS")]
    pub(crate) power: Option<f64>,

    /// Price of the device for an hour, for the cost of a million tokens.
    #[arg(long, value_name = "PER_HOUR")]
    pub(crate) price: Option<f64>,

    /// Run a number over a list or a range: `batch=1,2,4`, `batch=1-256*2`, `context=1k-32k+1k`. Repeatable.
    #[arg(long, value_name = "NAME=VALUES", conflicts_with_all = ["against", "speculate", "frontier", "power", "price"])]
    pub(crate) sweep: Vec<Sweep>,

    /// What the rows of the account are.
    #[arg(long, value_enum, default_value_t = By::Operator)]
    pub(crate) by: By,

    /// How the result is written. `--json` is the same as `--format json`.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,

    /// Write to this file instead of standard output; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// A load on some devices, in formats.
#[derive(Debug, Args)]
pub(crate) struct Scene {
    /// Format of the weights, such as `bf16`, `fp8`, `w8a16`, `w4a16-g128`, `mxfp4`, `q4_k`. Without it, as the model stores them.
    /// With `--require`, several with commas between.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) weights: Option<String>,

    /// Format of cached keys and values, such as `bf16`, `fp8`, `int8`.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) kv: Option<String>,

    /// Sequences that are decoded together.
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = count, conflicts_with_all = ["concurrency", "rate"])]
    pub(crate) batch: u64,

    /// Tokens that a decode step attends to. Without it, the mean over the generated tokens.
    #[arg(short, long, value_name = "N", value_parser = count)]
    pub(crate) context: Option<u64>,

    /// Tokens of a prompt.
    #[arg(long, default_value = "1024", value_name = "N", value_parser = count)]
    pub(crate) prompt: u64,

    /// Tokens that are generated.
    #[arg(long, default_value = "256", value_name = "N", value_parser = count)]
    pub(crate) generate: u64,

    /// Most tokens of one step, of prompts and of sequences that decode together, as vLLM counts `max_num_batched_tokens`: longer prompts are cut into chunks, and each
    /// replica runs no more sequences than this. Without it, prompts are whole, in steps of their own.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) chunk: Option<u64>,

    /// Requests kept in flight: closed loop.
    #[arg(long, value_name = "N", value_parser = count, conflicts_with = "rate")]
    pub(crate) concurrency: Option<u64>,

    /// Requests of the whole run, of which the first of each client start together and wait for each other's prompts. Without it, a run without end.
    #[arg(long, value_name = "N", value_parser = count, requires = "concurrency")]
    pub(crate) requests: Option<u64>,

    /// Requests that arrive per second: open loop.
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) rate: Option<f64>,

    /// How much the lengths of those requests vary: 0 where all are equal, 1 for exponential ones; the variance of a request's work over the square of its mean.
    #[arg(long, default_value_t = 0.0, value_name = "NUMBER", requires = "rate")]
    pub(crate) variability: f64,

    /// Devices that split every matrix.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count)]
    pub(crate) tp: u64,

    /// Devices that split the layers.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count)]
    pub(crate) pp: u64,

    /// Devices that split the experts.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count)]
    pub(crate) ep: u64,

    /// Replicas.
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count)]
    pub(crate) dp: u64,

    /// The link between devices, as bandwidth and latency: `450GB/s,5us`. Without it, the link as the profile has it.
    #[arg(long, value_name = "BANDWIDTH,LATENCY")]
    pub(crate) link: Option<String>,

    /// Keep a share of the weights or of the cache in the host's memory, or on a disk: `weights=0.3`, `kv=0.5`, or both with a comma between.
    #[arg(long, value_name = "WHAT=SHARE", value_delimiter = ',')]
    pub(crate) offload: Vec<Share>,

    /// The link that offloaded bytes come over, as bandwidth and latency: `25GB/s,10us`. Without it, the link to the host as the profile has it.
    #[arg(long, value_name = "BANDWIDTH,LATENCY", requires = "offload")]
    pub(crate) host_link: Option<String>,

    /// Count transfers of offloaded bytes as done between computing. Without it, they overlap with it.
    #[arg(long, requires = "offload")]
    pub(crate) offload_serial: bool,

    /// Memory of each device: `64GB`, where the profile does not say, or for another variant of it.
    #[arg(long, value_name = "SIZE", value_parser = count)]
    pub(crate) device_memory: Option<u64>,

    /// Share of the device's memory that may be used, as vLLM and SGLang count it.
    #[arg(long, default_value_t = 0.9, value_name = "SHARE", conflicts_with = "free_memory")]
    pub(crate) memory: f64,

    /// Share of the memory left after the weights that the cache may use, as TensorRT-LLM counts it.
    #[arg(long, value_name = "SHARE")]
    pub(crate) free_memory: Option<f64>,

    /// Memory of each device that drivers, libraries and captured graphs keep: `1.5GB`. Without it, none is counted.
    #[arg(long, default_value = "0", value_name = "SIZE", value_parser = size)]
    pub(crate) reserve: u64,

    /// Time of the host for a request before its prompt starts: `0.5ms`. Without it, none is counted.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) host: Option<Seconds>,

    /// Tokens in a block of the cache.
    #[arg(long, default_value_t = 16, value_name = "N", value_parser = count)]
    pub(crate) block: u64,

    /// How unevenly tokens choose experts: 0 is uniform, 1 is Zipf's law.
    #[arg(long, default_value_t = 0.0, value_name = "SKEW")]
    pub(crate) skew: f64,

    /// Count the cache as engines allocate it that page every layer alike: windows save nothing.
    #[arg(long)]
    pub(crate) uniform_cache: bool,

    /// Ask the Hugging Face hub for a repository that is not in the local cache.
    #[arg(long)]
    pub(crate) download: bool,
}

/// What the rows of an account are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Operators.
    #[value(alias = "op")]
    Operator,
    /// Parts of a layer: attention, feed-forward network, the rest.
    Layer,
    /// What bounds the time.
    Resource,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// A line for each point, with commas.
    Csv,
    /// The document.
    Json,
}

/// List the models that rooflab knows, or show one.
#[derive(Debug, Subcommand)]
pub(crate) enum Model {
    /// List the models that ship with rooflab.
    List,
    /// Show a model: its layers, parameters, weights and cache.
    Show {
        /// A model, as for `rooflab estimate -m`.
        #[arg(value_name = "MODEL")]
        model: String,

        /// Format of the weights. Without it, as the model stores them.
        #[arg(long, value_name = "FORMAT")]
        weights: Option<String>,

        /// Format of cached keys and values.
        #[arg(long, value_name = "FORMAT")]
        kv: Option<String>,

        /// Ask the Hugging Face hub for a repository that is not in the local cache.
        #[arg(long)]
        download: bool,
    },
}

/// A number of things above zero; `4k` is 4000, `4Ki` is 4096.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("it must be above zero".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(error.to_string()),
    }
}

/// A size, which may be none.
fn size(text: &str) -> Result<u64, String> {
    parse_size(text).map_err(|error| error.to_string())
}

/// A time above zero.
fn time(text: &str) -> Result<Seconds, String> {
    parse_duration(text).map_err(|error| error.to_string())
}
