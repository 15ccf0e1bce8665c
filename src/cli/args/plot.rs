//! The arguments of `rooflab plot`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::diagnose::Run;
use super::estimate::Scene;

/// Draw ceilings, estimates and diagnoses: in the terminal, as SVG, PNG or a page.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rooflab plot roofline                                  this machine's ceilings
  rooflab plot roofline -m llama-3.1-8b --weights fp8    with the model's operators under them
  rooflab plot roofline h100-sxm h200-sxm -o roofs.svg   two devices
  rooflab plot bandwidth -o bandwidth.png                bandwidth by working set, as an image
  rooflab plot breakdown -m qwen2.5-7b rtx-4090          where the time of a step goes
  rooflab plot frontier -m qwen2.5-7b h100-sxm           throughput against latency
  rooflab plot waterfall bench.json -o why.html          where the time of a run went")]
pub(crate) struct Plot {
    #[command(subcommand)]
    pub(crate) what: What,

    /// How it is written. Without it, as the file's name ends; in the terminal, as text. `--json` is the same as `--format json`.
    #[arg(long, value_enum, global = true)]
    pub(crate) format: Option<Format>,

    /// Write to this file instead of standard output; of several pictures, the second to `name-2.svg`. `-` is standard output.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) output: Option<PathBuf>,

    /// The ground that it is drawn on.
    #[arg(long, value_enum, global = true, default_value_t = Ground::Auto)]
    pub(crate) theme: Ground,
}

/// What is drawn.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Arithmetic against operations per byte: all bandwidths and peaks, and the operators of a model under them.
    Roofline {
        #[command(flatten)]
        profiles: Profiles,

        /// Place the operators of this model, as for `rooflab estimate -m`.
        #[arg(short, long, value_name = "MODEL")]
        model: Option<String>,

        #[command(flatten)]
        scene: Box<Scene>,
    },
    /// Bandwidth against the working set.
    Bandwidth(Profiles),
    /// Latency against the working set.
    Latency(Profiles),
    /// Matrix products against tokens, for each format.
    Products(Profiles),
    /// Matrix–vector products against the size of the matrix.
    Weights(Profiles),
    /// Decode attention against the context.
    Attention(Profiles),
    /// Where the time of an estimated step goes, by operator.
    Breakdown(Estimated),
    /// Throughput against latency, for every number of requests in flight that pays.
    Frontier(Estimated),
    /// Where the time of a measured run went, from the floor, by the datasheet or else by measured peaks, to what was measured.
    Waterfall {
        #[command(flatten)]
        run: Box<Run>,
    },
}

/// Some profiles.
#[derive(Debug, Args)]
pub(crate) struct Profiles {
    /// Profiles: names, some words of them, paths, or `-`. Without any, this machine's.
    #[arg(value_name = "PROFILE")]
    listed: Vec<String>,

    /// A profile, as for `rooflab estimate -f`: the same as naming it without `-f`. Repeatable.
    #[arg(short = 'f', long = "profile", value_name = "PROFILE")]
    flagged: Vec<String>,
}

impl Profiles {
    /// What they are called, however they were named.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.listed.iter().chain(&self.flagged).map(String::as_str).collect()
    }
}

/// A model on some profiles.
#[derive(Debug, Args)]
pub(crate) struct Estimated {
    #[command(flatten)]
    pub(crate) profiles: Profiles,

    /// The model, as for `rooflab estimate -m`.
    #[arg(short, long, value_name = "MODEL")]
    pub(crate) model: String,

    #[command(flatten)]
    pub(crate) scene: Box<Scene>,
}

/// How a picture is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Characters.
    Text,
    /// A vector image, light or dark as the reader's system prefers.
    Svg,
    /// An image.
    Png,
    /// A page that needs nothing else.
    Html,
    /// The numbers, a line for each.
    Csv,
    /// The picture as data.
    Json,
}

impl Format {
    /// The format that the end of a file's name stands for.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        Some(match extension.to_ascii_lowercase().as_str() {
            "txt" => Self::Text,
            "svg" => Self::Svg,
            "png" => Self::Png,
            "html" | "htm" => Self::Html,
            "csv" => Self::Csv,
            "json" => Self::Json,
            _ => return None,
        })
    }
}

/// The ground of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ground {
    /// As the reader's system prefers, where the format can.
    Auto,
    /// White.
    Light,
    /// Nearly black.
    Dark,
}
