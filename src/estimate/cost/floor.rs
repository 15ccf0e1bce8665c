//! The speed of light of a step: the least time that the hardware's figures allow, whatever software does. Utilisation is measured against it.

use serde::Serialize;

use super::asked::Asked;
use super::error::{CostError, Lack};
use super::knowledge::{Bound, Knowledge};
use super::needs::{alike, arithmetic, summed_in};
use crate::dtype::{DType, FORMATS};
use crate::estimate::search::try_last;
use crate::graph::{Graph, Kind, Operator};
use crate::profile::{Place, Profile};
use crate::resource::{Access, ComputeUnit, MemoryLevel, Resource, StreamOp};
use crate::units::{Bytes, Flops, Seconds};

/// The time that operations take at peak, and the time that bytes take at the bandwidth of main memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// All operations of products and attention, at the peak of their formats.
    pub compute: Seconds,
    /// All weights, each once, out of main memory.
    pub weights: Seconds,
    /// All cached keys and values, each once, out of main memory. Activations are not counted: they may stay in a cache.
    pub cache: Seconds,
    /// How the peaks are known, the worst-known of them.
    pub peak: Knowledge,
    /// How the bandwidth is known.
    pub bandwidth: Knowledge,
}

impl Floor {
    /// The floor of some operations and bytes of weights at a peak (operations per second) and a bandwidth (bytes per second).
    #[must_use]
    pub fn of(flops: Flops, weights: Bytes, peak: f64, bandwidth: f64) -> Self {
        let (compute, weights) = (Seconds(flops.get() / peak), Seconds(weights.get() / bandwidth));
        Self { compute, weights, cache: Seconds(0.0), peak: Knowledge::Given, bandwidth: Knowledge::Given }
    }

    /// The time of all bytes.
    #[must_use]
    pub fn memory(&self) -> Seconds {
        self.weights + self.cache
    }

    /// The same so many times.
    #[must_use]
    pub fn times(&self, count: f64) -> Self {
        Self { compute: self.compute * count, weights: self.weights * count, cache: self.cache * count, ..*self }
    }

    /// No step takes less: operations and bytes overlap at best.
    #[must_use]
    pub fn time(&self) -> Seconds {
        if self.is_compute_bound() { self.compute } else { self.memory() }
    }

    /// Whether operations take at least as long as bytes.
    #[must_use]
    pub fn is_compute_bound(&self) -> bool {
        self.compute >= self.memory()
    }

    /// How the figure is known that decides it.
    #[must_use]
    pub fn knowledge(&self) -> Knowledge {
        if self.is_compute_bound() { self.peak } else { self.bandwidth }
    }

    /// Model FLOPs utilisation of a step that takes some time: the share of it that its operations would take at peak. Above 1, an input is wrong.
    #[must_use]
    pub fn mfu(&self, time: Seconds) -> f64 {
        self.compute / time
    }

    /// Memory bandwidth utilisation: the share of the time that weights and cache would take at the bandwidth of main memory.
    #[must_use]
    pub fn mbu(&self, time: Seconds) -> f64 {
        self.memory() / time
    }
}

/// Operations per byte from which on a device is bound by arithmetic: its peak over its bandwidth.
#[must_use]
pub fn ridge_point(peak: f64, bandwidth: f64) -> f64 {
    peak / bandwidth
}

/// The smallest batch, up to a largest one, at which a step is bound by arithmetic, by its floor or by its cost, whichever is asked; none where there is no
/// such batch, as with long contexts, whose caches grow with the batch. Found by doubling and halving: a step is taken to turn once.
///
/// # Errors
///
/// What asking says.
pub fn ridge_batch<E>(most: u64, mut is_compute_bound: impl FnMut(u64) -> Result<bool, E>) -> Result<Option<u64>, E> {
    let (mut below, mut turned) = (0, 1_u64);
    while !is_compute_bound(turned.min(most))? {
        if turned >= most {
            return Ok(None);
        }
        below = turned;
        turned = turned.saturating_mul(2);
    }
    let last_bound_by_memory = try_last(below, turned.min(most), |batch| is_compute_bound(batch).map(|is| !is))?;
    Ok(Some(last_bound_by_memory + 1))
}

/// A figure that utilisation is measured against.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    value: f64,
    knowledge: Knowledge,
}

/// The figures of a device: the maker's where there are any, because that is what utilisation means everywhere; else the highest measured.
#[derive(Clone, Debug)]
pub(super) struct SpeedOfLight {
    read: Result<Figure, Lack>,
    /// Peaks by format.
    peaks: Vec<Result<Figure, Lack>>,
}

impl SpeedOfLight {
    pub(super) fn new(asked: &Asked<'_>, sheets: &[&Profile]) -> Self {
        let reads = Resource::Memory { level: Some(MemoryLevel::Dram), access: Access::plain(StreamOp::Read) };
        let of = |unit, input| Resource::Compute { unit, input, accumulate: summed_in(input) };
        let peaks = FORMATS.iter().map(|format| {
            let (matrix, vector) = (ComputeUnit::Matrix, ComputeUnit::Vector);
            let other = alike(format.dtype);
            let mut others: Vec<Resource> = other.map(|other| of(matrix, other)).into_iter().collect();
            others.push(of(vector, format.dtype));
            others.extend(other.map(|other| of(vector, other)));
            // Whatever holds the format exactly can multiply it: processors widen 16-bit floats where that is the faster way.
            let wider: Vec<Resource> = other.map(|_| of(vector, DType::F32)).into_iter().collect();
            figure(asked, sheets, of(matrix, format.dtype), &others, &wider)
        });
        Self { read: figure(asked, sheets, reads, &[], &[]), peaks: peaks.collect() }
    }

    /// The floor of a step.
    pub(super) fn floor(&self, graph: &Graph, profile: &str) -> Result<Floor, CostError> {
        let mut lacks: Vec<Lack> = Vec::new();
        let mut compute = 0.0;
        let mut known = Knowledge::Measured;
        for operator in &graph.operators {
            let Some((format, speedup)) = format(operator) else { continue };
            match self.peaks.get(format as usize) {
                Some(Ok(peak)) => {
                    compute += operator.flops.get() * operator.count as f64 / (peak.value * speedup);
                    known = known.max(peak.knowledge);
                }
                Some(Err(lack)) if !lacks.contains(lack) => lacks.push(lack.clone()),
                _ => {}
            }
        }
        match &self.read {
            Ok(read) if lacks.is_empty() => {
                let time = |bytes: Bytes| Seconds(bytes.get() / read.value);
                let (weights, cache) = (graph.total(|operator| operator.weights), graph.total(|operator| operator.kv));
                Ok(Floor {
                    compute: Seconds(compute),
                    weights: time(weights),
                    cache: time(cache),
                    peak: known,
                    bandwidth: read.knowledge,
                })
            }
            read => {
                lacks.extend(read.as_ref().err().cloned());
                Err(CostError::Missing { profile: profile.to_owned(), lacks })
            }
        }
    }
}

/// The first claim about a resource, about another, or about a wider one; else the highest measured rate of a resource and what is wider; else the first that has a rate.
fn figure(
    asked: &Asked<'_>,
    sheets: &[&Profile],
    best: Resource,
    others: &[Resource],
    wider: &[Resource],
) -> Result<Figure, Lack> {
    let usable = |value: f64| value.is_finite() && value > 0.0;
    let claimed = std::iter::once(&best).chain(others).chain(wider).find_map(|&resource| {
        let claims = sheets.iter().filter_map(|sheet| sheet.claim(resource));
        claims.map(|claim| claim.value).find(|&value| usable(value))
    });
    if let Some(value) = claimed {
        return Ok(Figure { value, knowledge: Knowledge::Datasheet });
    }
    let own = |resource: Resource| asked.rate(resource, Place::Anywhere).ok().filter(|rate| rate.knowledge.is_own());
    let able = std::iter::once(best).chain(others.iter().copied()).find_map(own);
    if let Some(rate) =
        able.into_iter().chain(wider.iter().copied().find_map(own)).max_by(|a, b| a.value.total_cmp(&b.value))
    {
        return Ok(Figure { value: rate.value, knowledge: rate.knowledge });
    }
    let rate = asked.first(best, others.iter().copied(), Place::Anywhere)?;
    Ok(Figure { value: rate.value, knowledge: rate.need(Bound::Compute, 0.0).knowledge })
}

/// The format that an operator's operations are in, and how much faster zeros make them; none where they do not count: passes over activations are no
/// matter of peaks.
fn format(operator: &Operator) -> Option<(DType, f64)> {
    match operator.kind {
        Kind::Product { weights, .. } | Kind::Experts { weights, .. } => {
            Some((weights.activations, weights.sparsity.map_or(1.0, |sparsity| sparsity.speedup)))
        }
        Kind::DecodeAttention { kv, .. } => Some((arithmetic(kv.element), 1.0)),
        Kind::PrefillAttention { dtype, .. } => Some((arithmetic(dtype), 1.0)),
        Kind::Rowwise { .. } | Kind::Recurrence | Kind::Exchange(_) => None,
    }
}
