//! What is to be estimated: the load, the devices that share it, and the memory they may use.

use super::memory::{Allocation, Budget};
use super::offload::Offload;
use super::serving::{Engine, Request};
use super::sweep::Dimension;
use crate::graph::Layout;
use crate::units::Seconds;

/// A load on some devices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// What each request asks for.
    pub request: Request,
    /// How requests come.
    pub load: Load,
    /// Tokens that the decode step of the account attends to; without it, those in the middle of the output.
    pub context: Option<u64>,
    /// Most tokens of a step, where prompts are cut into chunks.
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
            context: None,
            chunk: None,
            host: Seconds(0.0),
            layout: Layout::default(),
            budget: Budget::OfTotal(0.9),
            block: 16,
            allocation: Allocation::Capped,
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

    /// Sequences that the account's steps have: the batch; in a closed loop those that are admitted; in an open loop one.
    #[must_use]
    pub fn sequences(&self, admitted: u64) -> u64 {
        match self.load {
            Load::Batch(batch) => batch,
            Load::Closed(concurrency) => concurrency.min(admitted).max(1),
            Load::Open(_) => 1,
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

    /// The engine that serves it, with room for some sequences.
    #[must_use]
    pub(super) const fn engine(&self, max_batch: u64, devices: u64) -> Engine {
        Engine { max_batched_tokens: self.chunk, host: self.host, max_batch, devices }
    }
}
