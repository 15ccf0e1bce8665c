//! What a diagnosis needs and an observation does not say, with the flag that says it.

use std::fmt;

use super::document::{Observation, Tool};
use super::metric::Quantity;

/// Something that a diagnosis needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lack {
    /// Which model ran.
    Model,
    /// The profile of the device it ran on.
    Profile,
    /// How many sequences were processed together.
    Batch,
    /// How long the prompts were.
    Prompt,
    /// How many tokens were generated.
    Generate,
    /// What format the weights were in.
    Weights,
    /// What format the cache was in.
    Kv,
    /// How many devices shared each layer.
    TensorParallel,
}

impl Lack {
    /// The flag that says it.
    #[must_use]
    pub const fn flag(self) -> &'static str {
        match self {
            Self::Model => "--model",
            Self::Profile => "--profile",
            Self::Batch => "--batch",
            Self::Prompt => "--prompt",
            Self::Generate => "--generate",
            Self::Weights => "--weights",
            Self::Kv => "--kv",
            Self::TensorParallel => "--tp",
        }
    }

    /// What is taken when nobody says it, which has to be told; none where a guess would be worth nothing.
    #[must_use]
    pub const fn assumed(self) -> Option<&'static str> {
        match self {
            Self::Model | Self::Profile | Self::Batch | Self::Prompt | Self::Generate => None,
            Self::Weights => Some("the format that the model is published in"),
            Self::Kv => Some("16 bits"),
            Self::TensorParallel => Some("one device"),
        }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Model => "which model ran",
            Self::Profile => "which device it ran on",
            Self::Batch => "how many sequences were processed together",
            Self::Prompt => "how long the prompts were",
            Self::Generate => "how many tokens were generated",
            Self::Weights => "the format of the weights",
            Self::Kv => "the format of the cache",
            Self::TensorParallel => "how many devices shared each layer",
        };
        f.write_str(what)
    }
}

impl Observation {
    /// What a diagnosis of it needs and it does not say. What is measured of parts alone (kernels, links, copies) needs no more than a profile.
    #[must_use]
    pub fn lacks(&self) -> Vec<Lack> {
        let (subject, load) = (&self.subject, &self.load);
        let has = |quantities: &[Quantity]| quantities.iter().any(|quantity| self.metrics.contains_key(quantity));
        let is_run = !self.metrics.is_empty();
        // A test of prompts alone generates nothing, and one of generating alone may begin with an empty cache.
        let only_prefill =
            is_run && has(&[Quantity::PrefillRate]) && !has(&[Quantity::DecodeRate, Quantity::RequestLatency]);
        let only_decode = has(&[Quantity::DecodeRate]) && load.depth.is_some();
        // Serving tools run at one device unless told otherwise and do not write it down; llama-bench lists what it used.
        let devices_known = load.tp.is_some()
            || subject.devices.is_some()
            || self.sources.iter().any(|source| source.tool == Tool::LlamaBench);
        let missing = [
            (Lack::Model, is_run && subject.model.is_none()),
            (Lack::Profile, subject.device.is_none()),
            (Lack::Batch, is_run && load.batch.is_none() && load.concurrency.is_none() && !has(&[Quantity::InFlight])),
            (Lack::Prompt, is_run && load.prompt.is_none() && !only_decode),
            (Lack::Generate, is_run && load.generate.is_none() && !only_prefill),
            (Lack::Weights, is_run && subject.weights.is_none()),
            (Lack::Kv, is_run && subject.kv.is_none()),
            (Lack::TensorParallel, is_run && !devices_known),
        ];
        missing.into_iter().filter(|(_, is_missing)| *is_missing).map(|(lack, _)| lack).collect()
    }
}
