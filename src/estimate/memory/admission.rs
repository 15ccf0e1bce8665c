//! Whether sequences fit, by how much they do not, and what would make them fit.

use schemars::JsonSchema;
use serde::Serialize;

use super::{AtOnce, Line, Plan, Policy};
use crate::dtype::DType;
use crate::estimate::search::last;
use crate::estimate::subject::Subject;
use crate::graph::Layout;
use crate::model::KvFormat;
use crate::units::Bytes;

/// How much of a device's memory an engine takes: two policies that differ by what their fraction is of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Budget {
    /// A fraction of all memory, for everything: vLLM and SGLang.
    OfTotal(f64),
    /// A fraction of what weights and all else leave free, for the cache: TensorRT-LLM.
    OfFree(f64),
}

/// A number that nothing can be planned with.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BudgetError {
    /// The fraction is not above 0 and at most 1.
    #[error("a `fraction` of memory of {0}: it must be above 0 and at most 1")]
    Fraction(f64),
}

/// What fits, and what does not.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Admission {
    /// Where the memory of each device goes.
    pub lines: Vec<Line>,
    /// What each device has outside of its memory, where some of the model lies there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub outside: Vec<Line>,
    /// What the cache of so many sequences may take on each device, beside their activations; below 0, not even those fit.
    pub cache_budget: Bytes,
    /// By how much the cache is over its budget.
    pub over: Option<Bytes>,
    /// The most sequences of this length that fit, whatever number was asked for; none where any number does. An estimate counts those of all devices.
    pub largest_batch: Option<u64>,
    /// The most tokens that so many sequences can have; none where any number fits.
    pub longest_context: Option<u64>,
    /// What would make it fit, each by itself. Empty where it fits.
    pub remedies: Vec<Remedy>,
}

/// A change that makes sequences fit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// No more sequences than this. An estimate counts those of all devices.
    Batch(u64),
    /// No more tokens than this.
    Context(u64),
    /// A cache of this format.
    Kv(DType),
    /// Weights of no more bits each than this, on average and scales included.
    WeightBits(f64),
    /// So many devices that share every matrix.
    Devices(u64),
    /// Prompts in chunks of no more tokens than this.
    Chunk(u64),
}

/// Formats of a narrower cache, the widest first.
const NARROWER: [DType; 2] = [DType::Fp8E4m3, DType::Int4];
/// The most devices that are proposed.
const MOST_DEVICES: u64 = 1024;
/// The smallest chunk that is proposed.
const LEAST_CHUNK: u64 = 64;
/// Sizes beyond which there is no limit.
const UNLIMITED: u64 = 1 << 40;

impl Budget {
    /// The policy with its fraction checked.
    ///
    /// # Errors
    ///
    /// The fraction is not above 0 and at most 1.
    pub fn checked(self) -> Result<Self, BudgetError> {
        let (Self::OfTotal(fraction) | Self::OfFree(fraction)) = self;
        if fraction > 0.0 && fraction <= 1.0 { Ok(self) } else { Err(BudgetError::Fraction(fraction)) }
    }

    /// What the cache may take of some memory, beside what else is kept there.
    fn of_cache(self, memory: Bytes, beside: Bytes) -> Bytes {
        match self {
            Self::OfTotal(fraction) => memory * fraction - beside,
            Self::OfFree(fraction) => (memory - beside) * fraction,
        }
    }

    /// What may be kept beside a cache of some size: the other way round.
    fn beside_cache(self, memory: Bytes, cache: Bytes) -> Bytes {
        match self {
            Self::OfTotal(fraction) => memory * fraction - cache,
            Self::OfFree(fraction) => memory - cache / fraction,
        }
    }
}

impl Plan<'_> {
    /// What the cache of some sequences may take on a device with some memory; below 0, not even the weights and activations fit.
    #[must_use]
    pub fn cache_budget(&self, memory: Bytes, budget: Budget, batch: u64) -> Bytes {
        budget.of_cache(memory, self.weights() + self.activations(batch) + self.policy.reserve)
    }

    /// By how much some sequences of some tokens do not fit; none where they do.
    fn over(&self, memory: Bytes, budget: Budget, batch: u64, tokens: u64) -> Option<Bytes> {
        let over = self.cache(tokens) * batch as f64 - self.cache_budget(memory, budget, batch);
        Some(over).filter(|over| over.get() > 0.0)
    }

    /// The most sequences of some tokens that fit; none where any number does.
    #[must_use]
    pub fn largest_batch(&self, memory: Bytes, budget: Budget, tokens: u64) -> Option<u64> {
        // More sequences never take less: their caches grow, and their activations do not shrink.
        most(|batch| self.over(memory, budget, batch, tokens).is_none())
    }

    /// The most tokens that some sequences can have; none where any number fits. 0 where not even one token does.
    #[must_use]
    pub fn longest_context(&self, memory: Bytes, budget: Budget, batch: u64) -> Option<u64> {
        most(|tokens| self.over(memory, budget, batch, tokens).is_none())
    }

    /// Whether some sequences of some tokens fit on a device with some memory, and what would make them.
    #[must_use]
    pub fn admit(&self, memory: Bytes, budget: Budget, batch: u64, tokens: u64) -> Admission {
        let cache_budget = self.cache_budget(memory, budget, batch);
        let over = self.over(memory, budget, batch, tokens);
        let largest_batch = self.largest_batch(memory, budget, tokens);
        let longest_context = self.longest_context(memory, budget, batch);
        let mut remedies = Vec::new();
        if over.is_some() {
            remedies.extend(largest_batch.filter(|&batch| batch > 0).map(Remedy::Batch));
            remedies.extend(longest_context.filter(|&tokens| tokens > 0).map(Remedy::Context));
            remedies.extend(self.remedies(memory, budget, batch, tokens));
        }
        let (lines, outside) = (self.lines(batch, tokens), self.outside(batch, tokens));
        Admission { lines, outside, cache_budget, over, largest_batch, longest_context, remedies }
    }

    /// Changes of formats and of the number of devices.
    fn remedies(&self, memory: Bytes, budget: Budget, batch: u64, tokens: u64) -> Vec<Remedy> {
        let fits = |subject: Subject<'_>, layout: Layout| {
            let fits = |plan: &Plan<'_>| plan.over(memory, budget, batch, tokens).is_none();
            Plan::new(subject, layout, self.policy).is_ok_and(|plan| fits(&plan))
        };
        let Self { subject, layout, .. } = *self;
        let mut remedies = Vec::new();
        let narrower = |kv: &DType| kv.format().bits < subject.kv.element.format().bits;
        let kv = NARROWER.into_iter().filter(narrower);
        let mut kv = kv.filter(|&kv| fits(Subject { kv: KvFormat::plain(kv), ..subject }, layout));
        remedies.extend(kv.next().map(Remedy::Kv));
        let beside = self.activations(batch) + self.policy.reserve;
        let for_weights = budget.beside_cache(memory, self.cache(tokens) * batch as f64) - beside;
        let share = for_weights / self.weights();
        if share > 0.0 && share < 1.0 {
            let bits = subject.model.weight_bytes(subject.precision).get() * 8.0;
            remedies.push(Remedy::WeightBits(share * bits / subject.model.parameters().total as f64));
        }
        let doubled = std::iter::successors(Some(layout.tensor.max(1)), |devices| devices.checked_mul(2)).skip(1);
        let enough = doubled
            .take_while(|&devices| devices <= MOST_DEVICES)
            .find(|&tensor| fits(subject, Layout { tensor, ..layout }));
        remedies.extend(enough.map(Remedy::Devices));
        let chunk = |tokens: &u64| Some(AtOnce { chunk: Some(*tokens), ..self.policy.at_once? });
        let mut chunks = self.smaller_chunks(batch);
        let enough = chunks.find(|size| {
            let policy = Policy { at_once: chunk(size), ..self.policy };
            Self { policy, ..self.clone() }.over(memory, budget, batch, tokens).is_none()
        });
        remedies.extend(enough.map(Remedy::Chunk));
        remedies
    }

    /// Chunks of fewer tokens than go through the model at once, as long as all sequences can decode beside each other: powers of two, the largest first.
    fn smaller_chunks(&self, batch: u64) -> impl Iterator<Item = u64> + use<> {
        let part = self.part(batch);
        let tokens = self.policy.at_once.map_or(0, |at_once| at_once.tokens(part));
        let below = (0..u64::BITS - 1).rev().map(|power| 1_u64 << power).skip_while(move |&size| size >= tokens);
        below.take_while(move |&size| size >= LEAST_CHUNK.max(part))
    }
}

/// The most of which it is said that they fit, where fewer always do; none where any number does.
fn most(fits: impl Fn(u64) -> bool) -> Option<u64> {
    if fits(UNLIMITED) {
        return None;
    }
    let (mut most, mut too_many) = (0, 1);
    while fits(too_many) {
        (most, too_many) = (too_many, too_many.saturating_mul(2));
    }
    Some(last(most, too_many, fits))
}

impl Admission {
    /// What so many devices admit together that each have sequences of their own, none of which can have more tokens than the model was made for.
    #[must_use]
    pub(in crate::estimate) fn of_all(self, devices: u64, max_context: Option<u64>) -> Self {
        let all = |batch: u64| batch.saturating_mul(devices);
        let of_all = |remedy| if let Remedy::Batch(batch) = remedy { Remedy::Batch(all(batch)) } else { remedy };
        Self {
            largest_batch: self.largest_batch.map(all),
            longest_context: self.longest_context.into_iter().chain(max_context).min(),
            remedies: self.remedies.into_iter().map(of_all).collect(),
            ..self
        }
    }
}
