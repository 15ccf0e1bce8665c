//! What is to be estimated: the load, the devices that share it, and the memory they may use.

use super::deployment::Deployment;
use super::memory::{Allocation, Budget};
use super::offload::Offload;
use super::serving::{Engine, Request};
use super::sweep::Dimension;
use crate::graph::Layout;
use crate::units::{Bytes, Seconds};

/// A load on some devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// What each request asks for.
    pub request: Request,
    /// How requests come.
    pub load: Load,
    /// Requests of the whole run of a closed loop, of which the first of each client start together; without it, a run without end.
    pub requests: Option<u64>,
    /// How much the lengths of requests that arrive at a rate vary: the variance of a request's work over the square of its mean.
    pub variability: f64,
    /// Tokens that the decode step of the account attends to; without it, those in the middle of the output.
    pub context: Option<u64>,
    /// Most tokens of an engine's step, those that decode included, where prompts are cut into chunks.
    pub chunk: Option<u64>,
    /// Time the host spends on a request before its prompt starts.
    pub host: Seconds,
    /// The devices.
    pub layout: Layout,
    /// How much of their memory is used.
    pub budget: Budget,
    /// Tokens of a block of the cache.
    pub block: u64,
    /// What layers with a window keep in memory.
    pub allocation: Allocation,
    /// What drivers, libraries and captured graphs keep of each device's memory.
    pub reserve: Bytes,
    /// What lies outside of the devices' memory.
    pub offload: Offload,
}

/// How requests come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// So many start together, stay together and end together.
    Batch(u64),
    /// So many are in flight: each is followed by another as soon as it ends.
    Closed(u64),
    /// So many arrive per second, independently of each other.
    Open(f64),
}

impl Default for Scenario {
    /// One request of 1024 tokens that generates 256, on one device, of whose memory 90 % is used in blocks of 16 tokens.
    fn default() -> Self {
        Self {
            request: Request { prompt: 1024, output: 256 },
            load: Load::Batch(1),
            requests: None,
            variability: 0.0,
            context: None,
            chunk: None,
            host: Seconds(0.0),
            layout: Layout::default(),
            budget: Budget::OfTotal(0.9),
            block: 16,
            allocation: Allocation::Capped,
            reserve: Bytes(0.0),
            offload: Offload::default(),
        }
    }
}

impl Scenario {
    /// The same with one of its numbers changed.
    #[must_use]
    pub fn with(self, dimension: Dimension, value: u64) -> Self {
        let Self { request, layout, .. } = self;
        match dimension {
            Dimension::Batch => Self { load: Load::Batch(value), ..self },
            Dimension::Concurrency => Self { load: Load::Closed(value), ..self },
            Dimension::Context => Self { context: Some(value), ..self },
            Dimension::Prompt => Self { request: Request { prompt: value, ..request }, ..self },
            Dimension::Generate => Self { request: Request { output: value, ..request }, ..self },
            Dimension::Tp => Self { layout: Layout { tensor: value, ..layout }, ..self },
            Dimension::Pp => Self { layout: Layout { pipeline: value, ..layout }, ..self },
            Dimension::Ep => Self { layout: Layout { expert: value, ..layout }, ..self },
            Dimension::Dp => Self { layout: Layout { data: value, ..layout }, ..self },
        }
    }

    /// Sequences that the account's decode step has: the batch; in a closed loop those that are admitted; in an open loop those that run in the mean, or all places where the queue grows.
    #[must_use]
    pub fn sequences(&self, admitted: u64, running: Option<f64>) -> u64 {
        match (self.load, running) {
            (Load::Batch(batch), _) => batch,
            (Load::Closed(concurrency), _) => concurrency.min(admitted).max(1),
            (Load::Open(_), Some(running)) => (running.ceil() as u64).max(1),
            (Load::Open(_), None) => admitted.max(1),
        }
    }

    /// Prompts that the account's prefill step has, of so many sequences: all of a batch; otherwise one, or as many as a step has tokens for.
    #[must_use]
    pub fn prompts(&self, sequences: u64) -> u64 {
        match self.load {
            Load::Batch(_) => sequences,
            _ => (self.chunk.unwrap_or(0) / self.request.prompt.max(1)).clamp(1, sequences.max(1)),
        }
    }

    /// Tokens that the account's decode step attends to.
    #[must_use]
    pub const fn decode_context(&self) -> u64 {
        match self.context {
            Some(context) => context,
            None => self.request.middle_context(),
        }
    }

    /// Tokens of a sequence at its end, for which memory is set aside.
    #[must_use]
    pub fn full_length(&self) -> u64 {
        let whole = self.request.prompt.saturating_add(self.request.output);
        self.context.map_or(whole, |context| context.max(whole))
    }

    /// What serves it, where each device has room for some sequences.
    #[must_use]
    pub(super) const fn deployment(&self, max_batch: u64, devices: u64) -> Deployment {
        let Layout { pipeline: stages, expert: ranks, data: replicas, .. } = self.layout;
        let engine = Engine { max_batched_tokens: self.chunk, host: self.host, max_batch, devices };
        Deployment { engine, replicas, ranks, stages }
    }
}
