//! The arguments of `rooflab validate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::EffortArgument;
use super::diagnose::percentage;
use super::estimate::count;

/// Run a model's steps with random weights on a device, and hold what they take against what a profile predicts.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rooflab validate                                      a small model on this machine, against its stored profile
  rooflab validate -m llama-3.1-8b --weights int4 -d cpu
  rooflab validate -m qwen3-1.7b -b 1,4,16 -c 512,4096  several batches at several lengths
  rooflab validate --against mine.json --within 5%      whether a profile still describes this machine, by the exit code
  rooflab validate --effort quick --json -o validation.json")]
pub(crate) struct Validate {
    /// A model: a name that `rooflab model list` shows, a `config.json`, a GGUF or safetensors file, a folder, or a repository in the local
    /// Hugging Face cache. Only its shapes and formats count: the weights are random.
    #[arg(short, long, value_name = "MODEL", default_value = "qwen3-0.6b")]
    pub(crate) model: String,

    /// Device to run on: `cpu`, `wgpu:1`, or a part of its name. Without it, the best there is.
    #[arg(short, long, value_name = "ID")]
    pub(crate) device: Option<String>,

    /// Check that this profile describes the device: exit with 1 when steps, or a class of operators, are off by more than `--within`, when a kernel fails, or
    /// when nothing could be told. What was not run is no reason for that; the last line, and `verdict` in JSON, name it. Without `--against`, the device's stored
    /// profile predicts, and the answer is no failure.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) against: Option<String>,

    /// The mean error of a class of operators, or of steps, beyond which it is a finding.
    #[arg(long, value_name = "PERCENT", value_parser = percentage, default_value = "10%")]
    pub(crate) within: f64,

    /// Sequences that are decoded together. Several with commas between.
    #[arg(short, long, value_name = "N", value_parser = count, value_delimiter = ',', default_value = "1,8")]
    pub(crate) batch: Vec<u64>,

    /// Tokens that a decode step attends to. Several with commas between.
    #[arg(short, long, value_name = "N", value_parser = count, value_delimiter = ',', default_value = "1024")]
    pub(crate) context: Vec<u64>,

    /// Tokens of a prompt. Several with commas between.
    #[arg(long, value_name = "N", value_parser = count, value_delimiter = ',', default_value = "512")]
    pub(crate) prompt: Vec<u64>,

    /// Format of the weights, such as `bf16`, `w8a16`, `w4a16`. Without it, as the model stores them.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) weights: Option<String>,

    /// Format of cached keys and values.
    #[arg(long, value_name = "FORMAT")]
    pub(crate) kv: Option<String>,

    /// Run no more layers than this. Without it, as many as memory and the effort allow.
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) layers: Option<u64>,

    /// How much time to take.
    #[arg(long, value_enum, default_value_t = EffortArgument::Normal)]
    pub(crate) effort: EffortArgument,

    /// Ask the Hugging Face hub for a repository that is not in the local cache.
    #[arg(long)]
    pub(crate) download: bool,

    /// How the result is written. `--json` is the same as `--format json`.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,

    /// Write to this file instead of standard output; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// How a validation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For people, in an issue or a wiki.
    Markdown,
    /// The document.
    Json,
}
