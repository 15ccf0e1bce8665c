//! The arguments of `rooflab report`.

use std::path::PathBuf;

use clap::Args;

use super::estimate::Scene;
use super::plot::Profiles;

/// Write a page about a machine: who it is, its ceilings, its roofline, and what models would do on it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  rooflab report                                  this machine, to report.html
  rooflab report -o h100.html h100-sxm            a product, by its datasheet
  rooflab report mine yours -m llama-3.1-8b       two machines, and one model
  rooflab profile show report.html                the profile, read back from the page")]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) profiles: Profiles,

    /// Models to estimate, as for `rooflab estimate -m`. Without any, common ones. Repeatable.
    #[arg(short, long = "model", value_name = "MODEL")]
    pub(crate) models: Vec<String>,

    /// Where to write it; `-` is standard output.
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub(crate) output: PathBuf,

    #[command(flatten)]
    pub(crate) scene: Box<Scene>,
}
