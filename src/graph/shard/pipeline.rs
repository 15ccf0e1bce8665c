//! Pipeline parallelism: stages of layers, each of which hands the residual stream to the next.

use std::ops::Range;

use crate::graph::layer::Device;
use crate::graph::operator::{Collective, Kind, Operator, Part};
use crate::graph::plan::{Plan, Rows, Work};
use crate::units::Bytes;

/// The layers of each stage. Where they cannot be divided evenly, the first stages have one more: the last one has the output head besides.
pub(in crate::graph) fn stages(layers: usize, stages: u64) -> impl Iterator<Item = Range<usize>> {
    // There are no more stages than layers, so that both fit.
    let stages = usize::try_from(stages).unwrap_or(usize::MAX).max(1);
    let (each, more) = (layers / stages, layers % stages);
    let start = move |stage: usize| stage * each + stage.min(more);
    (0..stages).map(move |stage| start(stage)..start(stage + 1))
}

/// Adds what ends a stage that is not the last.
pub(in crate::graph) fn send(device: Device<'_>, plan: &mut Plan) {
    let bytes = Bytes(device.hidden as f64 * device.precision.activations.bytes_per_element());
    let send = Operator::new(Part::Communication, Kind::Exchange(Collective::Send { bytes }));
    plan.push(1, Work::Rows(Rows::Tokens, send));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stages_follow_one_another_and_differ_by_one_layer(layers in 1_usize..200, count in 1_usize..200) {
            prop_assume!(count <= layers);
            let found: Vec<_> = stages(layers, count as u64).collect();
            prop_assert_eq!(found.len(), count);
            prop_assert_eq!((found[0].start, found[count - 1].end), (0, layers));
            prop_assert!(found.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() >= pair[1].len()));
            prop_assert!(found[0].len() - found[count - 1].len() <= 1);
        }
    }
}
