//! Whether sequences fit, by how much they do not, and what would make them fit.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Line, Plan};
use crate::dtype::DType;
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
    /// What the cache may take on each device; below 0, not even the weights fit.
    pub cache_budget: Bytes,
    /// By how much the cache is over its budget.
    pub over: Option<Bytes>,
    /// The most sequences of this length that fit; none where any number does.
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
    /// No more sequences than this.
    Batch(u64),
    /// No more tokens than this.
    Context(u64),
    /// A cache of this format.
    Kv(DType),
    /// Weights of no more bits each than this, on average and scales included.
    WeightBits(f64),
    /// So many devices that share every matrix.
    Devices(u64),
}

/// Formats of a narrower cache, the widest first.
const NARROWER: [DType; 2] = [DType::Fp8E4m3, DType::Int4];
/// The most devices that are proposed.
const MOST_DEVICES: u64 = 1024;
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
    /// What the cache may take on a device with some memory; below 0, not even the weights fit.
    #[must_use]
    pub fn cache_budget(&self, memory: Bytes, budget: Budget) -> Bytes {
        budget.of_cache(memory, self.weights() + self.policy.reserve.total())
    }

    /// The most sequences of some tokens that fit; none where any number does.
    #[must_use]
    pub fn largest_batch(&self, memory: Bytes, budget: Budget, tokens: u64) -> Option<u64> {
        let (space, each) = (self.cache_budget(memory, budget), self.cache(tokens));
        let fit = (space / each).floor();
        match () {
            () if space.get() < 0.0 => Some(0),
            () if each.get() > 0.0 && fit < UNLIMITED as f64 => Some(fit as u64),
            () => None,
        }
    }

    /// The most tokens that some sequences can have; none where any number fits. 0 where not even one token does.
    #[must_use]
    pub fn longest_context(&self, memory: Bytes, budget: Budget, batch: u64) -> Option<u64> {
        let space = self.cache_budget(memory, budget);
        let fits = |tokens| self.cache(tokens) * batch as f64 <= space;
        if fits(UNLIMITED) {
            return None;
        }
        let (mut most, mut too_many) = (0, UNLIMITED);
        while too_many - most > 1 {
            let middle = most + (too_many - most) / 2;
            if fits(middle) {
                most = middle;
            } else {
                too_many = middle;
            }
        }
        Some(most)
    }

    /// Whether some sequences of some tokens fit on a device with some memory, and what would make them.
    #[must_use]
    pub fn admit(&self, memory: Bytes, budget: Budget, batch: u64, tokens: u64) -> Admission {
        let cache_budget = self.cache_budget(memory, budget);
        let over = Some(self.cache(tokens) * batch as f64 - cache_budget).filter(|over| over.get() > 0.0);
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
            let fits = |plan: &Plan<'_>| plan.cache(tokens) * batch as f64 <= plan.cache_budget(memory, budget);
            Plan::new(subject, layout, self.policy).is_ok_and(|plan| fits(&plan))
        };
        let Self { subject, layout, .. } = *self;
        let mut remedies = Vec::new();
        let narrower = |kv: &DType| kv.format().bits < subject.kv.element.format().bits;
        let kv = NARROWER.into_iter().filter(narrower);
        let mut kv = kv.filter(|&kv| fits(Subject { kv: KvFormat::plain(kv), ..subject }, layout));
        remedies.extend(kv.next().map(Remedy::Kv));
        let for_weights = budget.beside_cache(memory, self.cache(tokens) * batch as f64) - self.policy.reserve.total();
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
        remedies
    }
}
