//! Data parallelism: replicas take different sequences.

use std::borrow::Cow;

use crate::graph::{Sequences, Step};

/// A device's share of the sequences of a step. Where a group cannot be divided evenly, it is that of a device with one more.
pub(in crate::graph) fn share(step: &Step, devices: u64) -> Cow<'_, Step> {
    if devices <= 1 {
        return Cow::Borrowed(step);
    }
    let share = |group: &Sequences| Sequences { count: group.count.div_ceil(devices), ..*group };
    Cow::Owned(Step { sequences: step.sequences.iter().map(share).collect() })
}
