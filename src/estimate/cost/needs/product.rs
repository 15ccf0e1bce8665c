//! Products of activations and weights: one matrix for all tokens, or the matrices of many experts.

use super::super::asked::{Asked, Rate};
use super::super::error::Lack;
use super::super::knowledge::{Bound, Knowledge, Need};
use super::{stand_ins, summed_in};
use crate::dtype::DType;
use crate::graph::Operator;
use crate::model::{Granularity, Scales, WeightFormat};
use crate::profile::Place;
use crate::resource::Resource;
use crate::units::Bytes;
use crate::workload::Shape;

/// Tokens from which on a product's time is its arithmetic: the rate at so many tokens stands for the arithmetic of fewer, whose bytes are counted apart.
const MANY_TOKENS: u64 = 512;

/// Tokens (or pairs of a token and an expert), outputs and inputs.
#[derive(Clone, Copy)]
pub(super) struct Sizes {
    pub(super) m: u64,
    pub(super) n: u64,
    pub(super) k: u64,
}

/// A product with one matrix.
///
/// Where weights and activations are of one format, products of this very shape are measured, bytes included: with few tokens the probe takes the weights
/// from memory, as a step does. A single token is also a matrix–vector product, which counts unless the product is better known, or measured at this very shape. Where the formats differ, and
/// where only a peak is known, the arithmetic at the rate of many tokens and the traffic of the weights as they are stored are taken apart.
///
/// Neither beats pure loads of the weights. What an engine was measured at, in the format that the matrix is stored in, is that very product.
pub(super) fn one(
    asked: &Asked<'_>,
    operator: &Operator,
    sizes: Sizes,
    weights: &WeightFormat,
    streamed: Bytes,
    needs: &mut Vec<Need>,
) -> Result<(), Lack> {
    let Sizes { m, n, k } = sizes;
    let plain = || if is_plain(weights) { products(asked, weights.activations, sizes).ok() } else { None };
    let whole = stored(asked, weights, sizes).or_else(plain).filter(|rate| rate.knowledge.is_own());
    let bytes = operator.weights.get();
    roof(asked, operator, streamed, needs)?;
    if m == 1 && bytes > 0.0 {
        let vector = vector_rate(asked, weights, operator.weights, streamed)?;
        let better = |rate: Rate| is_certain(rate) || rate.knowledge < vector.knowledge;
        if vector.knowledge.is_own() && !whole.is_some_and(better) {
            // Its arithmetic is in the measured rate.
            needs.push(vector.need(Bound::Weights, bytes));
            return Ok(());
        }
    }
    if let Some(rate) = whole.filter(|_| operator.flops.get() > 0.0) {
        let arithmetic = operator.flops.get() / asked.rate(rate.resource, Place::Anywhere)?.value;
        let of = if needs.iter().any(|need| need.time.get() > arithmetic) { Bound::Weights } else { Bound::Compute };
        needs.push(rate.need(of, operator.flops.get()));
        return Ok(());
    }
    apart(asked, operator, Sizes { m, n, k }, weights, streamed, needs)
}

/// The products of tokens with the matrices of the experts chosen for them, in one kernel: no expert waits for another, so that the traffic is that of all
/// matrices at once, and the arithmetic that of all pairs.
pub(super) fn experts(
    asked: &Asked<'_>,
    operator: &Operator,
    sizes: Sizes,
    weights: &WeightFormat,
    streamed: Bytes,
    needs: &mut Vec<Need>,
) -> Result<(), Lack> {
    roof(asked, operator, streamed, needs)?;
    apart(asked, operator, sizes, weights, streamed, needs)
}

/// Arithmetic and traffic of the weights, each by itself.
fn apart(
    asked: &Asked<'_>,
    operator: &Operator,
    Sizes { m, n, k }: Sizes,
    weights: &WeightFormat,
    streamed: Bytes,
    needs: &mut Vec<Need>,
) -> Result<(), Lack> {
    let (flops, bytes) = (operator.flops.get(), operator.weights.get());
    if bytes > 0.0 {
        needs.push(vector_rate(asked, weights, operator.weights, streamed)?.need(Bound::Weights, bytes));
    }
    if flops > 0.0 {
        let speedup = weights.sparsity.map_or(1.0, |sparsity| sparsity.speedup);
        let rate = products(asked, weights.activations, Sizes { m: m.max(MANY_TOKENS), n, k })?;
        needs.push(rate.need(Bound::Compute, flops / speedup));
    }
    Ok(())
}

/// Pure loads of the weights. A model's weights do not stay in a cache from step to step unless all of them fit, so that the working set is all that a
/// step streams.
fn roof(asked: &Asked<'_>, operator: &Operator, streamed: Bytes, needs: &mut Vec<Need>) -> Result<(), Lack> {
    if operator.weights.get() > 0.0 {
        let working_set = Bytes(streamed.get().max(operator.weights.get()));
        needs.push(asked.read(working_set)?.need(Bound::Weights, operator.weights.get()));
    }
    Ok(())
}

/// How fast a matrix is read while it is multiplied with. The probe goes round in one matrix, so that a small one comes from a cache: it is asked for a
/// matrix of all that a step streams. But on a device that a small matrix does not fill, its own size is the slower one. The slower counts.
fn vector_rate(asked: &Asked<'_>, weights: &WeightFormat, matrix: Bytes, streamed: Bytes) -> Result<Rate, Lack> {
    let of = |weights_format| Resource::Gemv { weights: weights_format, activations: weights.activations };
    let (format, stands_in) = measured_as(weights);
    let resource = of(format);
    let own = asked.rate(resource, Place::Bytes(matrix.get()))?;
    let far = if streamed > matrix { asked.rate(resource, Place::Bytes(streamed.get()))? } else { own };
    let stands_for = stands_in.then(|| of(weights.element));
    Ok(Rate { stands_for, ..far.slower(own) })
}

/// Whether nothing is better known than a rate of products: it was measured at this very shape, or an engine's own, which no ceiling of the device stands for.
fn is_certain(rate: Rate) -> bool {
    matches!(rate.knowledge, Knowledge::Measured | Knowledge::Engine)
}

/// The rate at which an engine multiplies with a matrix as it is stored, whatever its activations, where that was measured.
fn stored(asked: &Asked<'_>, weights: &WeightFormat, Sizes { m, n, k }: Sizes) -> Option<Rate> {
    if weights.scales.is_some() || weights.sparsity.is_some() {
        return None;
    }
    let resource = Resource::Gemm { input: weights.element, accumulate: summed_in(weights.element) };
    let at = Place::Shape(Shape { m, n, k });
    asked.of_engine(resource, at).and_then(|_| asked.rate(resource, at).ok())
}

/// The rate of products of a shape.
fn products(asked: &Asked<'_>, input: DType, Sizes { m, n, k }: Sizes) -> Result<Rate, Lack> {
    products_at(asked, input, Place::Shape(Shape { m, n, k }))
}

fn products_at(asked: &Asked<'_>, input: DType, at: Place) -> Result<Rate, Lack> {
    let of = |input| Resource::Gemm { input, accumulate: summed_in(input) };
    asked.first(of(input), stand_ins(input).map(of), at)
}

/// Whether a product with a matrix of this format is what the products of the activations' format measure: the same elements, no zeros left out, and no
/// scales to apply to every group of inputs.
#[must_use]
pub fn is_plain(weights: &WeightFormat) -> bool {
    let whole_rows = |scales: Scales| matches!(scales.shared_by, Granularity::Tensor | Granularity::Row);
    weights.element == weights.activations && weights.sparsity.is_none() && weights.scales.is_none_or(whole_rows)
}

/// The format that a matrix is measured as, and whether that only stands for its own: 4-bit integers with a scale for each group have a format, which is
/// measured with groups of 128.
#[must_use]
pub fn measured_as(weights: &WeightFormat) -> (DType, bool) {
    match (weights.element, weights.scales) {
        (DType::Int4, Some(Scales { shared_by: Granularity::Group(group), .. })) => {
            (DType::Int4G128, group != u64::from(DType::Int4G128.format().block))
        }
        (element, _) => (element, false),
    }
}
