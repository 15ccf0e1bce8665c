//! What `rooflab diagnose` writes: runs, products and kernels alike, as text, Markdown or JSON.

use rooflab::diagnose::{Diagnosis, KernelsDiagnosis, ProductDiagnosis, Severity};
use rooflab::report::{self, Block, Tone};
use serde::Serialize;

use crate::cli::args::diagnose::{self as args, Format};
use crate::cli::context::Context;
use crate::cli::error::CliError;

/// A diagnosis of any kind.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Document {
    /// Of a model's run.
    Run(Box<Diagnosis>),
    /// Of a matrix product.
    Product(ProductDiagnosis),
    /// Of a profiler's kernels.
    Kernels(KernelsDiagnosis),
}

impl Document {
    /// The gravest of what was found.
    pub(super) fn gravest(&self) -> Option<Severity> {
        match self {
            Self::Run(diagnosis) => diagnosis.gravest(),
            Self::Product(diagnosis) => diagnosis.gravest(),
            Self::Kernels(_) => None,
        }
    }

    /// Whether rules are asked of it: kernels have none.
    pub(super) const fn has_rules(&self) -> bool {
        !matches!(self, Self::Kernels(_))
    }

    /// The share of its estimate that was reached; none where nothing of it has one.
    pub(super) fn reached(&self) -> Option<f64> {
        match self {
            Self::Run(diagnosis) => Some(diagnosis.reached()),
            Self::Product(diagnosis) => Some(diagnosis.reached()),
            Self::Kernels(diagnosis) => diagnosis.reached(),
        }
    }

    fn blocks(&self) -> Vec<Block> {
        match self {
            Self::Run(diagnosis) => report::diagnosis(diagnosis),
            Self::Product(diagnosis) => report::product(diagnosis),
            Self::Kernels(diagnosis) => report::kernels(diagnosis),
        }
    }
}

/// Writes diagnoses one after the other; in JSON, several are a list.
pub(super) fn show(context: &mut Context, arguments: &args::Diagnose, documents: &[Document]) -> Result<(), CliError> {
    let path = arguments.output.as_deref();
    let format = if context.json { Format::Json } else { arguments.format };
    let mut blocks: Vec<Block> = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            blocks.extend([Block::blank(), Block::line("---", Tone::Dim), Block::blank()]);
        }
        blocks.extend(document.blocks());
    }
    match format {
        Format::Json => match documents {
            [one] => context.write_json_in(path, one),
            several => context.write_json_in(path, &several),
        },
        Format::Markdown => context.write_in(path, &report::markdown(&blocks)),
        Format::Text => context.show_in(path, &blocks),
    }
}
