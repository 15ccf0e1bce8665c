//! RL003: what bounds the run, and how large the gap is by that.

use super::Rule;
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Kind;
use crate::estimate::cost::Knowledge;
use crate::graph::Kind as Work;

pub(super) const RULE: Rule = Rule {
    id: "RL003",
    name: "which bound it is",
    explain: "A step takes at least as long as its operations at peak, and at least as long as its bytes at the bandwidth of main memory. The longer of the two is its floor, and only \
the gap to that one can be closed. Decoding does few operations for each byte of weights, so that it is bound by memory up to large batches; held against peak arithmetic, as MFU does, every engine \
looks as if it wasted nearly all of the device.

It is noted where the two gaps differ by half or more: which bound it is, where that follows from (operations per byte against the device's ridge), and the true gap. What shortens a step \
that is bound by memory is fewer bytes: narrower weights, a narrower cache, shared prefixes. A larger batch takes the same weights for more tokens. Kernels with more arithmetic change nothing.",
    check,
};

/// How much larger the gap to peak arithmetic is where it misleads.
const MISLEADS: f64 = 1.5;

fn check(case: &Case<'_>) -> Option<Found> {
    [Kind::Decode, Kind::Prefill].into_iter().find_map(|kind| bound(case, kind))
}

fn bound(case: &Case<'_>, kind: Kind) -> Option<Found> {
    let phase = case.phase(kind)?;
    let floor = phase.floor.as_ref().filter(|floor| floor.is_memory_bound())?;
    let by_arithmetic = phase.measured / floor.compute;
    if by_arithmetic < floor.gap * MISLEADS {
        return None;
    }
    let says = format!(
        "{} is memory-bound: the true gap is {:.2}×, not the {:.1}× to peak arithmetic",
        kind.word(),
        floor.gap,
        by_arithmetic
    );
    let sheet = case.inputs.datasheet.map_or(&case.inputs.profile.name, |sheet| &sheet.name);
    let figures = |known: Knowledge| format!("{known} figures of `{sheet}`");
    let found = Found::new(Severity::Note, says)
        .number("measured", phase.measured.get(), EvidenceUnit::Seconds, phase.from.clone())
        .number("floor by memory", floor.memory.get(), EvidenceUnit::Seconds, figures(floor.bandwidth))
        .number("floor by arithmetic", floor.compute.get(), EvidenceUnit::Seconds, figures(floor.peak))
        .number("operations per byte", floor.intensity, EvidenceUnit::Intensity, "operator graph")
        .number("ridge of the device", floor.ridge, EvidenceUnit::Intensity, figures(floor.peak.max(floor.bandwidth)))
        .worth(kind, phase.measured - floor.time);
    let narrower = if is_narrow(case, kind) { "`--weights w4a16-g128`" } else { "`--weights fp8`" };
    Some(found.attempt(format!(
        "fewer bytes: narrower weights ({narrower}), a narrower cache (`--kv fp8`); `rooflab estimate` says what they give"
    )))
}

/// Whether the weights are of 8 bits or fewer already.
fn is_narrow(case: &Case<'_>, kind: Kind) -> bool {
    let Some(phase) = case.phase(kind) else { return false };
    let step = case.placed.lower(&phase.step());
    let widest = step.graphs.iter().flat_map(|graph| &graph.operators).filter_map(|operator| match operator.kind {
        Work::Product { weights, .. } | Work::Experts { weights, .. } => Some(weights.element.format().bits),
        _ => None,
    });
    widest.max().is_some_and(|bits| bits <= 8)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::observe::Typed;

    #[test]
    fn c53_decoding_is_bound_by_memory_and_the_gap_is_1_93() {
        let found = Run::qwen().finds("RL003").unwrap();
        assert_eq!(found.says, "decode is memory-bound: the true gap is 1.93×, not the 23.8× to peak arithmetic");
        let diagnosis = Run::qwen().diagnose();
        let decode = diagnosis.phases[1].floor.unwrap();
        let close = |found: f64, right: f64| assert!((found / right - 1.0).abs() < 0.005, "{found} instead of {right}");
        close(decode.time.get(), 9.72e-3);
        close(decode.bytes.get(), 15.55e9);
        close(decode.intensity, 15.2);
        close(decode.ridge, 187.5);
        close(diagnosis.phases[0].floor.unwrap().mfu, 0.665);
    }

    #[test]
    fn prompts_are_bound_by_arithmetic() {
        let typed = Typed {
            ttft: Some(ms(1088.62)),
            batch: Some(16),
            prompt: Some(1024),
            generate: Some(1),
            ..Typed::default()
        };
        assert_eq!(Run::new("qwen2.5-7b", "npu-64gb-300tflops", typed).finds("RL003"), None);
    }
}
