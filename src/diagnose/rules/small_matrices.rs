//! RL006: matrices too small for the device.

use super::{MATTERS, Rule};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::diagnose::waterfall::Cause;
use crate::graph::{Kind as Work, Operator};
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL006",
    name: "small matrices",
    explain: "A device reaches its bandwidth and its peak only with matrices that fill it. Small ones end before all of its cores are busy: on a large GPU a matrix of 4 MB is read at a fifth \
of the bandwidth of main memory. The profile's curves of matrix-vector and matrix products say how fast each shape goes, and the step `shapes` of the waterfall is what that adds to the measured peaks.

It is noted where that is a tenth of the time or more, with the product that loses the most and the rate it goes at. Fused projections make larger matrices, fewer devices per layer do too, and \
so do larger batches for prompts. A profile that holds only a datasheet has no shapes, and this is never found there.",
    check,
};

fn check(case: &Case<'_>) -> Option<Found> {
    let found = [Kind::Decode, Kind::Prefill].into_iter().filter_map(|kind| case.phase(kind));
    found.filter_map(|phase| small(case, phase)).next()
}

fn small(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    if !case.is_measured() {
        return None;
    }
    // What the run was faster than its estimate, it did not lose.
    let faster = phase.spent_on(Cause::Unexplained).map_or(0.0, |spent| spent.time.get().min(0.0));
    let lost = Seconds(phase.spent_on(Cause::Shapes)?.time.get() + faster);
    if lost / phase.measured < MATTERS {
        return None;
    }
    let step = case.placed.lower(&phase.step());
    let costing = case.estimator.costing;
    let streamed = step
        .graphs
        .iter()
        .map(|graph| graph.total(|operator| operator.weights + operator.kv))
        .fold(crate::units::Bytes(0.0), |most, bytes| if bytes > most { bytes } else { most });
    // By how much each product is slower than its weights at the bandwidth of all that is streamed, or its operations at peak.
    let excess = |operator: &&Operator| {
        let alone = crate::graph::Graph { operators: vec![**operator], layers: 0 };
        let (cost, floor) = (costing.operator(operator, streamed).ok()?, costing.floor(&alone).ok()?);
        Some((cost.time - Seconds(floor.time().get() / operator.count.max(1) as f64)).get() * operator.count as f64)
    };
    let products = step
        .graphs
        .iter()
        .flat_map(|graph| &graph.operators)
        .filter(|operator| matches!(operator.kind, Work::Product { .. }));
    let (worst, excess) = products
        .filter_map(|operator| Some((operator, excess(&operator)?)))
        .reduce(|a, b| if b.1 > a.1 { b } else { a })
        .filter(|(_, excess)| *excess > 0.0)?;
    let cost = costing.operator(worst, streamed).ok()?;
    let found = Found::new(
        Severity::Note,
        format!("{} loses time to the shapes of its matrices, the most in `{}`", phase.kind.word(), worst.part),
    )
    .number("lost to shapes", lost.get(), EvidenceUnit::Seconds, "waterfall")
    .number("lost in that product", excess, EvidenceUnit::Seconds, format!("profile `{}`", case.inputs.profile.name))
    .worth(phase.kind, lost);
    let is_memory_bound = phase.floor.is_none_or(|floor| floor.is_memory_bound());
    let found = if is_memory_bound {
        found.number("its weights", worst.weights.get(), EvidenceUnit::Bytes, "operator graph").number(
            "it reads at",
            worst.weights.get() / cost.time.get(),
            EvidenceUnit::BytesPerSecond,
            "estimate",
        )
    } else {
        found.number("its operations", worst.flops.get(), EvidenceUnit::Flops, "operator graph").number(
            "it multiplies at",
            worst.flops.get() / cost.time.get(),
            EvidenceUnit::FlopsPerSecond,
            "estimate",
        )
    };
    let found = found.attempt("fused projections (queries, keys and values in one matrix, gate and up in one)");
    Some(if case.inputs.scenario.layout.tensor > 1 {
        found.attempt("fewer devices for each layer: `--tp` makes matrices smaller")
    } else {
        found
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};

    #[test]
    fn a_small_model_loses_time_to_its_shapes() {
        let mut run = Run::measured();
        run.model = "qwen2.5-0.5b";
        let estimate = run.diagnose().phases[0].estimate;
        let as_estimated = run.clone().with(|typed| typed.tpot = Some(estimate));
        let found = as_estimated.finds("RL006").unwrap();
        assert!(found.says.starts_with("decode loses time"), "{}", found.says);
        // What was faster than its estimate did not lose all of that.
        let faster = run.with(|typed| typed.tpot = Some(estimate * 0.5));
        assert_eq!(faster.finds("RL006"), None);
    }

    #[test]
    fn large_matrices_and_datasheets_lose_none() {
        let mut large = Run::measured().with(|typed| typed.tpot = Some(ms(55.0)));
        large.model = "llama-3.1-70b";
        assert_eq!(large.finds("RL006"), None);
        assert_eq!(Run::qwen().finds("RL006"), None);
    }
}
