//! Attention: of new tokens to a cache, bound by its bytes; of prompts, bound by arithmetic.

use super::super::asked::{Asked, Rate};
use super::super::error::Lack;
use super::super::knowledge::{Bound, Need};
use super::{arithmetic, stand_ins};
use crate::dtype::DType;
use crate::graph::Operator;
use crate::model::KvFormat;
use crate::profile::Place;
use crate::resource::{Phase, Resource};
use crate::units::Bytes;
use crate::workload::HEADS;

/// New tokens that attend to a cache. The measured rate has the arithmetic of a few query heads per head of keys and values in it; with more of them, by
/// grouping, by absorbed latent attention or by several tokens at once, their arithmetic is asked of prompts' attention, and overlaps with the bytes.
pub(super) fn decode(
    asked: &Asked<'_>,
    operator: &Operator,
    queries_per_head: u64,
    context: u64,
    kv: KvFormat,
    needs: &mut Vec<Need>,
) -> Result<(), Lack> {
    let (bytes, flops) = (operator.kv.get(), operator.flops.get());
    if bytes > 0.0 {
        let resource = Resource::Attention { phase: Phase::Decode, kv: kv.element };
        let at = Place::Tokens(context.max(1) as f64);
        needs.push(asked.rate(resource, at)?.need(Bound::Kv, bytes));
    }
    if flops > 0.0 && queries_per_head > HEADS.group {
        needs.push(prompt_rate(asked, arithmetic(kv.element), context)?.need(Bound::Compute, flops));
    }
    Ok(())
}

/// All tokens of prompts. Their keys and values are read at least once.
pub(super) fn prefill(
    asked: &Asked<'_>,
    operator: &Operator,
    context: u64,
    dtype: DType,
    needs: &mut Vec<Need>,
) -> Result<(), Lack> {
    let (bytes, flops) = (operator.kv.get(), operator.flops.get());
    if flops > 0.0 {
        needs.push(prompt_rate(asked, arithmetic(dtype), context)?.need(Bound::Compute, flops));
    }
    if bytes > 0.0 {
        needs.push(asked.read(Bytes(bytes))?.need(Bound::Kv, bytes));
    }
    Ok(())
}

fn prompt_rate(asked: &Asked<'_>, format: DType, context: u64) -> Result<Rate, Lack> {
    let of = |kv| Resource::Attention { phase: Phase::Prefill, kv };
    asked.first(of(format), stand_ins(format).map(of), Place::Tokens(context.max(1) as f64))
}
