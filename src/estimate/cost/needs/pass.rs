//! Operators that pass over data once: those on rows of activations, and recurrences over their states.

use super::super::asked::Asked;
use super::super::error::Lack;
use super::super::knowledge::{Bound, Need};
use crate::dtype::DType;
use crate::graph::Operator;
use crate::profile::Place;
use crate::resource::{ComputeUnit, Resource, RowwiseOp, StreamOp};
use crate::units::Bytes;

/// A pass over activations; nothing, where an engine's products have it in them. What it reads was just written, so that the working set is its own; rows of a table are anywhere in the table, which is larger
/// than any cache.
pub(super) fn rowwise(
    asked: &Asked<'_>,
    operator: &Operator,
    op: RowwiseOp,
    dtype: DType,
    needs: &mut Vec<Need>,
) -> Result<(), Lack> {
    let bytes = operator.bytes().get();
    if bytes > 0.0 && !asked.passes_within() {
        let at = if op == RowwiseOp::Gather { Place::Anywhere } else { Place::Bytes(bytes) };
        let of = if operator.kv > operator.activations { Bound::Kv } else { Bound::Activations };
        needs.push(asked.rate(Resource::Rowwise { op, dtype }, at)?.need(of, bytes));
    }
    Ok(())
}

/// A pass over recurrent states, which are read and written as in a copy, out of where a step's weights leave them; its arithmetic is that of vectors.
pub(super) fn recurrence(
    asked: &Asked<'_>,
    operator: &Operator,
    streamed: Bytes,
    needs: &mut Vec<Need>,
) -> Result<(), Lack> {
    let (bytes, flops) = (operator.bytes(), operator.flops.get());
    if bytes.get() > 0.0 {
        let working_set = Bytes(streamed.get().max(bytes.get()));
        needs.push(asked.stream(StreamOp::Copy, working_set)?.need(Bound::Kv, bytes.get()));
    }
    if flops > 0.0 {
        let single = Resource::Compute { unit: ComputeUnit::Vector, input: DType::F32, accumulate: DType::F32 };
        needs.push(asked.rate(single, Place::Anywhere)?.need(Bound::Compute, flops));
    }
    Ok(())
}
