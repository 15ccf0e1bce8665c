//! The arguments of `rooflab diagnose`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use rooflab::diagnose::Severity;
use rooflab::dtype::DType;
use rooflab::estimate::offload::Share;
use rooflab::units::Seconds;
use rooflab::workload::Shape;

use super::duration;
use super::estimate::count;

/// Say where the time of a run went, and why: from result files of other tools, or from numbers that are typed in.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rooflab diagnose bench.json -m llama-3.1-8b -f h200             a file of llama-bench, vLLM, SGLang, …
  rooflab diagnose -m qwen2.5-7b -f npu-64gb --batch 16 --prompt 1024 --generate 1024 --ttft 1088.62ms --tpot 18.77ms
  rooflab diagnose --product 2048x2048x2048 --dtype f32 --time 95ms    a matrix product of NumPy, PyTorch or a BLAS
  rooflab diagnose bench.json -m llama-3.1-8b --fail-below 70%    a gate for continuous integration
  rooflab explain RL003                                           what a finding means")]
pub(crate) struct Diagnose {
    #[command(flatten)]
    pub(crate) run: Run,

    /// Exit with 1 when a phase, a product or all kernels reached less than this share of their estimate, such as `70%`.
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub(crate) fail_below: Option<f64>,

    /// Exit with 1 when a rule found something at least as grave. Rules are asked of runs and products, not of kernels.
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<FailOn>,

    /// How the result is written. `--json` is the same as `--format json`.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Write to this file instead of standard output; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// A run: what other tools wrote of it, and what is typed in.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Result files of other tools; `-` is standard input. Flags win over what they say.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// The model that ran, as for `rooflab estimate -m`. Without it, what the files say.
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: Option<String>,

    /// The profile of the device it ran on: its name, some words of its name, a path. Without it, the datasheet of the device that the files name.
    #[arg(short = 'f', long, value_name = "PROFILE")]
    pub(crate) profile: Option<String>,

    /// The profile of the engine that ran, so that its own operators and its own time are told from what nothing explains.
    #[arg(long, value_name = "FILE")]
    pub(crate) engine: Option<PathBuf>,

    /// What the device calls itself, where the files do not say.
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,

    /// Format of the weights, such as `bf16`, `fp8`, `w4a16-g128`, `q4_k`. Without it, what the files say, or as the model stores them.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) weights: Option<String>,

    /// Format of cached keys and values, such as `bf16`, `fp8`, `int8`.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) kv: Option<String>,

    /// A matrix product that was timed, in place of a run of a model: m, n and k, such as `2048x2048x2048`.
    #[arg(long, value_name = "MxNxK", requires_all = ["dtype", "time"], conflicts_with_all = OF_RUNS)]
    pub(crate) product: Option<Shape>,

    /// Format of the product's factors, such as `f32`, `bf16`, `int8`.
    #[arg(long, value_name = "FORMAT", requires = "product")]
    pub(crate) dtype: Option<DType>,

    /// Time of one product.
    #[arg(long, value_name = "DURATION", value_parser = duration, requires = "product")]
    pub(crate) time: Option<Seconds>,

    /// Sequences of a batch that began and ended together.
    #[arg(short, long, value_name = "N", value_parser = count)]
    pub(crate) batch: Option<u64>,

    /// Requests that were kept in flight.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) concurrency: Option<u64>,

    /// Tokens of a prompt.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) prompt: Option<u64>,

    /// Tokens that were generated, the first included.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) generate: Option<u64>,

    /// Tokens that were in the cache before.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) depth: Option<u64>,

    /// Time to the first token, such as `1088.62ms`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) ttft: Option<Seconds>,

    /// Time per token after the first, such as `18.77ms`.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) tpot: Option<Seconds>,

    /// Time of a whole request.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) latency: Option<Seconds>,

    /// Tokens per second of all requests.
    #[arg(long, value_name = "PER_SECOND")]
    pub(crate) throughput: Option<f64>,

    /// Most tokens of prompts in one step. Without it, what the files say, or whole prompts.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) chunk: Option<u64>,

    /// Devices that split every matrix.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) tp: Option<u64>,

    /// Devices that split the layers.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) pp: Option<u64>,

    /// Devices that split the experts.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) ep: Option<u64>,

    /// Replicas.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) dp: Option<u64>,

    /// The link between devices, as bandwidth and latency: `450GB/s,5us`. Without it, that of a file of nccl-tests or nvbandwidth beside the run, or else of the profile.
    #[arg(long, value_name = "BANDWIDTH,LATENCY")]
    pub(crate) link: Option<String>,

    /// What lay in the host's memory, or on a disk, as a share: `weights=0.3`, `kv=0.5`, or both with a comma between. Without it, what the files say.
    #[arg(long, value_name = "WHAT=SHARE", value_delimiter = ',')]
    pub(crate) offload: Vec<Share>,

    /// The link that offloaded bytes come over, as bandwidth and latency: `25GB/s,10us`. Of layers that the host computes, the bandwidth of its memory.
    #[arg(long, value_name = "BANDWIDTH,LATENCY")]
    pub(crate) host_link: Option<String>,

    /// Count transfers of offloaded bytes as done between computing. Without it, they overlap with it.
    #[arg(long, requires = "offload")]
    pub(crate) offload_serial: bool,

    /// Tokens that a draft proposed for each step of speculative decoding.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) draft_length: Option<u64>,

    /// Share of those tokens that were accepted, such as `60%`.
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub(crate) acceptance: Option<f64>,

    /// The model that proposed them. Without it, its own time is in what is unexplained.
    #[arg(long, value_name = "MODEL")]
    pub(crate) draft: Option<String>,

    /// Share of the prompts' tokens that came from a cache, such as `40%`.
    #[arg(long, value_name = "PERCENT", value_parser = percentage)]
    pub(crate) cached_prompts: Option<f64>,

    /// Threads that the run used, on a processor.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) threads: Option<u64>,

    /// Share of the device's memory that the engine could use, as vLLM and SGLang count it.
    #[arg(long, default_value_t = 0.9, value_name = "SHARE", conflicts_with = "free_memory")]
    pub(crate) memory: f64,

    /// Share of the memory left after the weights that the cache could use, as TensorRT-LLM counts it.
    #[arg(long, value_name = "SHARE")]
    pub(crate) free_memory: Option<f64>,

    /// How unevenly tokens choose experts: 0 is uniform, 1 is Zipf's law.
    #[arg(long, default_value_t = 0.0, value_name = "SKEW")]
    pub(crate) skew: f64,

    /// Ask the Hugging Face hub for a repository that is not in the local cache.
    #[arg(long)]
    pub(crate) download: bool,
}

/// What says something of a run, and nothing of a product.
const OF_RUNS: [&str; 32] = [
    "files",
    "model",
    "device",
    "weights",
    "kv",
    "engine",
    "batch",
    "concurrency",
    "prompt",
    "generate",
    "depth",
    "ttft",
    "tpot",
    "latency",
    "throughput",
    "chunk",
    "tp",
    "pp",
    "ep",
    "dp",
    "link",
    "offload",
    "host_link",
    "offload_serial",
    "draft_length",
    "acceptance",
    "draft",
    "cached_prompts",
    "memory",
    "free_memory",
    "skew",
    "download",
];

/// How grave a finding must be to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Anything at all.
    Note,
    /// Time is lost, or a number is to be doubted.
    Warning,
    /// The numbers cannot be true.
    Error,
}

impl From<FailOn> for Severity {
    fn from(argument: FailOn) -> Self {
        match argument {
            FailOn::Note => Self::Note,
            FailOn::Warning => Self::Warning,
            FailOn::Error => Self::Error,
        }
    }
}

/// How a diagnosis is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For people, in an issue or a wiki.
    Markdown,
    /// The document; of several runs, a list of documents.
    Json,
}

/// `70%`, or `0.7`.
pub(crate) fn percentage(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |number| (number.trim_end(), 100.0));
    let share = number.parse::<f64>().ok().map(|number| number / scale);
    share.filter(|share| (0.0..=10.0).contains(share)).ok_or_else(|| "a share such as `70%` or `0.7`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_takes_nothing_that_is_of_runs() {
        let command = Run::augment_args(clap::Command::new("diagnose"));
        let product = command.get_arguments().find(|argument| argument.get_id() == "product").unwrap();
        let refused = command.get_arg_conflicts_with(product);
        for argument in command.get_arguments() {
            let is_its = ["product", "dtype", "time", "profile", "threads"].contains(&argument.get_id().as_str());
            let is_refused = refused.iter().any(|other| other.get_id() == argument.get_id());
            assert!(is_its != is_refused, "{}", argument.get_id());
        }
    }
}
