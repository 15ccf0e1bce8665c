//! What `rooflab diagnose` writes: runs, products and kernels alike, as text, Markdown or JSON.

use std::fs;
use std::path::Path;

use rooflab::diagnose::{Diagnosis, KernelsDiagnosis, ProductDiagnosis, Severity};
use rooflab::report::{self, Block, Style, Tone};
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

    /// The share of its estimate that was reached.
    pub(super) fn reached(&self) -> f64 {
        match self {
            Self::Run(diagnosis) => diagnosis.reached(),
            Self::Product(diagnosis) => diagnosis.reached(),
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
    let path = arguments.output.as_deref().filter(|path| *path != Path::new("-"));
    let format = if context.json { Format::Json } else { arguments.format };
    let mut blocks: Vec<Block> = Vec::new();
    for (index, document) in documents.iter().enumerate() {
        if index > 0 {
            blocks.extend([Block::blank(), Block::line("---", Tone::Dim), Block::blank()]);
        }
        blocks.extend(document.blocks());
    }
    let text = match format {
        Format::Json => {
            let json = match documents {
                [one] => serde_json::to_string_pretty(one),
                several => serde_json::to_string_pretty(several),
            };
            json.map_err(|error| CliError::caused_by("cannot write JSON", &error))? + "\n"
        }
        Format::Markdown => report::markdown(&blocks),
        Format::Text if path.is_none() => return context.show(&blocks),
        Format::Text => report::text(&blocks, Style { width: None, unicode: true, colour: false }),
    };
    match path {
        None => context.write(&text),
        Some(path) => fs::write(path, text).map_err(|error| CliError::writing_file(path, &error)),
    }
}
