//! The arguments, as clap understands them. Their comments are the help pages.

pub(crate) mod diagnose;
pub(crate) mod estimate;
pub(crate) mod plot;
pub(crate) mod report;
pub(crate) mod validate;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use rooflab::profile::{EXPORTERS, Effort, Exporter};
use rooflab::units::{Seconds, parse_duration, parse_size};
use rooflab::workload::Shape;

use super::help::list_of_topics;

/// Measure what hardware can really do, and learn why your LLM runs at 60 % of it.
#[derive(Debug, Parser)]
#[command(name = "rooflab", version, propagate_version = true, max_term_width = 100)]
#[command(disable_help_subcommand = true, after_help = list_of_topics())]
pub(crate) struct Arguments {
    /// Write JSON to standard output instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the devices that can be measured, and why a backend offers none.
    Devices,
    /// Measure a device's ceilings and write its hardware profile.
    Probe(Probe),
    /// List, show, find, ask, check and compare hardware profiles.
    #[command(subcommand)]
    Profile(Profile),
    /// Estimate memory, time to first token, time per token and throughput of a model on a device.
    Estimate(Box<estimate::Estimate>),
    /// Say where the time of a run went, from the datasheet to what was measured, and why.
    Diagnose(Box<diagnose::Diagnose>),
    /// Run a model's steps with random weights on a device, and hold what they take against what a profile predicts.
    Validate(validate::Validate),
    /// Draw ceilings, estimates and diagnoses: in the terminal, as SVG, PNG or a page.
    Plot(plot::Plot),
    /// Write a page about a machine: who it is, its ceilings, its roofline, and what models would do on it.
    Report(report::Report),
    /// List the models that rooflab knows, or show one.
    #[command(subcommand)]
    Model(estimate::Model),
    /// Say what a ceiling means and how it is measured, or what a finding of `diagnose` means.
    Explain(Explain),
    /// Write the profile's JSON Schema, a manual page, or completions for a shell.
    #[command(subcommand)]
    Generate(Generate),
    /// Show the page of a command or of a topic; without either, list both.
    Help {
        /// A command with its subcommands, or a topic, such as `profile diff`, `units` or `scripting`.
        #[arg(value_name = "COMMAND|TOPIC")]
        words: Vec<String>,
    },
    /// List a backend's devices as `devices` and `probe` ask for them, in a process of their own.
    #[command(hide = true)]
    Survey {
        /// The backend.
        backend: String,
    },
}

/// Measure a device's ceilings and write its hardware profile.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rooflab probe                              everything, in some minutes
  rooflab probe --effort quick               each level of the hierarchy once
  rooflab probe -p 'compute.*' --sustain 30s compute peaks, and what is left of them after 30 s
  rooflab probe -p memory.dram.read --json   one number, for a script
  rooflab probe -p gemm.f32 --shape 16x4096x4096")]
pub(crate) struct Probe {
    /// Device to measure: `cpu`, `wgpu:1`, a part of its name such as `h200`, or `all`. Without it, the best there is.
    #[arg(short, long, value_name = "ID")]
    pub(crate) device: Option<String>,

    /// Measure only the ceilings that match a pattern such as `memory.dram.*` or `*@core`. May be repeated.
    #[arg(short, long = "probe", value_name = "GLOB")]
    pub(crate) probes: Vec<String>,

    /// How much time to take.
    #[arg(long, value_enum, default_value_t = EffortArgument::Normal)]
    pub(crate) effort: EffortArgument,

    /// Measure matrix products of this shape (m, n and k, such as `16x4096x4096`) in place of the effort's. Repeatable.
    #[arg(long = "shape", value_name = "MxNxK")]
    pub(crate) shapes: Vec<Shape>,

    /// Keep up each compute peak for so long and record what is left of it.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) sustain: Option<Seconds>,

    /// Show what would be measured, and how long it would take, without measuring.
    #[arg(long, conflicts_with = "check")]
    pub(crate) plan: bool,

    /// Verify every kernel against its reference without timing any.
    #[arg(long)]
    pub(crate) check: bool,

    /// Compile a GPU's kernels with checks of every index and loop, to find a driver's fault; some get slower by it.
    #[arg(long)]
    pub(crate) checked: bool,

    /// Take a GPU for lost that does not answer for so long.
    #[arg(long, value_name = "DURATION", value_parser = duration, hide = true)]
    pub(crate) patience: Option<Seconds>,

    /// Keep the samples in the profile.
    #[arg(long)]
    pub(crate) samples: bool,

    /// Store the profile under this name instead of the device's.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,

    /// Do not store the profile.
    #[arg(long, conflicts_with = "name")]
    pub(crate) no_save: bool,

    /// Write the profile to this file as well; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Exit with 1 when a ceiling failed or carries a flag.
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EffortArgument {
    /// Seconds: each level of the memory hierarchy once.
    Quick,
    /// Some minutes: whole curves, medians known within 1 %.
    Normal,
    /// Minutes: finer curves, medians known within 0.3 %.
    Thorough,
}

impl From<EffortArgument> for Effort {
    fn from(argument: EffortArgument) -> Self {
        match argument {
            EffortArgument::Quick => Self::Quick,
            EffortArgument::Normal => Self::Normal,
            EffortArgument::Thorough => Self::Thorough,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Profile {
    /// List the stored profiles, and those that ship with rooflab: makers' figures of known products, and measured machines.
    List,
    /// Show a profile.
    Show(Which),
    /// Print the path of a profile.
    Path {
        /// A profile: its name or the beginning of its name. Without it, the folder they are stored in.
        #[arg(value_name = "PROFILE")]
        profile: Option<String>,
    },
    /// Ask a profile how fast a resource goes at a size, and how that is known. Exits with 1 when it is not known.
    Ask(Ask),
    /// Check that profiles keep their promises. Exits with 1 when one does not, with 2 when one cannot be read.
    Check {
        /// Profiles: names, paths, or `-` for standard input. Without any, all stored and all bundled ones.
        #[arg(value_name = "PROFILE")]
        profiles: Vec<String>,
    },
    /// Write a profile as another tool wants it.
    Export(Export),
    /// Take over what other tools measured: nccl-tests, nvbandwidth, clpeak, mixbench.
    Import(Import),
    /// Compare two profiles, or a measured one with a datasheet: `rooflab profile diff nvidia-h200-sxm mine`.
    Diff {
        /// The profile to compare with: a name, a path, or `-`.
        before: String,
        /// The profile that is compared: a name, a path, or `-`.
        after: String,
        /// Exit with 1 when something became worse beyond doubt.
        #[arg(long)]
        fail_on_regression: bool,

        /// Exit with 1 when something became worse beyond doubt by more than this share, such as `5%`. Less is the same.
        #[arg(long, value_name = "PERCENT", value_parser = diagnose::percentage)]
        threshold: Option<f64>,
    },
    /// Compare many profiles of the same kind of device: what is typical, and which fall behind. Exits with 1 when one does.
    Merge(Merge),
}

/// Compare many profiles of the same kind of device. Exits with 1 when one falls behind the median by more than the threshold and than the others' scatter explains, or
/// lacks a value that most have.
#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// Three profiles or more: names, paths, or folders of JSON files.
    #[arg(value_name = "PROFILE", required = true)]
    pub(crate) profiles: Vec<String>,

    /// How much worse than the median a device must be to fall behind.
    #[arg(long, value_name = "PERCENT", value_parser = diagnose::percentage, default_value = "5%")]
    pub(crate) threshold: f64,

    /// Write the profile that lies nearest to all medians to this file; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// A profile: its name, the beginning of its name, a path, or `-` for standard input. Without it, this machine's.
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: Option<String>,
}

/// Ask a profile how fast a resource goes at a size, and how that is known. Exits with 1 when it is not known.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rooflab profile ask memory.read --bytes 1Mi --bytes 1Gi  bandwidth at two working sets
  rooflab profile ask gemm.bf16.f32 --shape 16x4096x4096   a matrix product of 16 tokens
  rooflab profile ask attention.decode.bf16 a-server --tokens 8000
  rooflab profile ask memory.dram.read@core --json         of one core, for a script")]
pub(crate) struct Ask {
    /// What is asked for, such as `memory.read` or `gemm.bf16.f32`; `@core` at its end means one core.
    #[arg(value_name = "RESOURCE")]
    pub(crate) resource: String,

    /// A profile: its name, the beginning of its name, a path, or `-` for standard input. Without it, this machine's.
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: Option<String>,

    /// At this working set or transfer size, such as `64Ki` or `1GB`. May be repeated.
    #[arg(long, value_name = "SIZE", value_parser = size, conflicts_with_all = ["tokens", "shape"])]
    pub(crate) bytes: Vec<u64>,

    /// At so many tokens of context. May be repeated.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "shape")]
    pub(crate) tokens: Vec<u64>,

    /// For this matrix product: m (tokens), n (outputs) and k (inputs), such as `16x4096x4096`. May be repeated.
    #[arg(long, value_name = "MxNxK")]
    pub(crate) shape: Vec<Shape>,

    /// Of one core instead of the whole device.
    #[arg(long)]
    pub(crate) core: bool,

    /// Take the maker's figures from this profile where the first has none.
    #[arg(long, value_name = "PROFILE")]
    pub(crate) datasheet: Option<String>,
}

/// Write a profile as another tool wants it. What its numbers are and what is missing is said on standard error.
#[derive(Debug, Args)]
#[command(after_help = exporters())]
pub(crate) struct Export {
    /// A profile: its name, the beginning of its name, a path, or `-` for standard input. Without it, this machine's.
    #[arg(value_name = "PROFILE")]
    pub(crate) profile: Option<String>,

    /// The tool.
    #[arg(long, value_name = "TOOL", value_parser = tools())]
    pub(crate) to: String,

    /// Write to this file instead of standard output; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Take over what other tools measured of a device, with its provenance: which tool, which file, and what is not known of the values. They stand apart from what
/// rooflab measured, answer after it, and are never shown as its own.
#[derive(Debug, Args)]
#[command(after_help = importable())]
pub(crate) struct Import {
    /// Files of other tools. Each is recognised by its content.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Add the values to this profile, which is in a file: a name, or a path.
    #[arg(long, value_name = "PROFILE", conflicts_with_all = ["name", "output"])]
    pub(crate) into: Option<String>,

    /// Store them as a profile of this name instead of the device's.
    #[arg(long, value_name = "NAME", conflicts_with = "output")]
    pub(crate) name: Option<String>,

    /// Write them as a profile to this file instead of storing it; `-` is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Take only what was measured on devices whose name contains this; files that name none count as of it. Without it, all files must name the same device. What
    /// was measured on a processor is never taken for a GPU's, nor the other way round.
    #[arg(long, value_name = "WORDS")]
    pub(crate) device: Option<String>,
}

fn importable() -> String {
    let tools: Vec<&str> = rooflab::adopt::sources().collect();
    format!(
        "Tools: {}

Examples:
  rooflab profile import clpeak.xml                     a profile of its own
  rooflab profile import nvbandwidth.json --into mine   beside what rooflab measured
  rooflab profile import mixbench.txt --output - --json",
        tools.join(", ")
    )
}

fn tools() -> PossibleValuesParser {
    PossibleValuesParser::new(EXPORTERS.iter().map(|exporter| exporter.name))
}

fn exporters() -> String {
    let line = |exporter: &Exporter| format!("  {:<16}{}", exporter.name, exporter.title);
    format!("Tools:\n{}", EXPORTERS.iter().map(line).collect::<Vec<_>>().join("\n"))
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Ceilings to explain, as patterns, or rules such as `RL001` or `RL*`. Without any, the whole catalogue of ceilings.
    #[arg(value_name = "GLOB")]
    pub(crate) patterns: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Generate {
    /// The JSON Schema of a document.
    Schema {
        /// The document.
        #[arg(value_enum, default_value_t = Document::Profile)]
        document: Document,
    },
    /// The manual page.
    Man,
    /// Completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Document {
    /// What `rooflab probe` writes.
    Profile,
    /// What an engine costs on a device, for `--engine`.
    Engine,
    /// What `rooflab estimate --json` writes.
    Estimate,
    /// What `rooflab diagnose --json` writes of a run.
    Diagnosis,
    /// What `rooflab diagnose --product … --json` writes.
    Product,
    /// What `rooflab diagnose --json` writes of the kernels of a profiler.
    Kernels,
    /// A run as it is read from a file of another tool.
    Observation,
    /// What `rooflab validate --json` writes.
    Validation,
}

fn duration(text: &str) -> Result<Seconds, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// A size above zero.
fn size(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(0) => Err("a size is above zero".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
