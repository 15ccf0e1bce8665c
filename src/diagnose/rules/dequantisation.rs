//! RL014: narrow weights that are not as much faster as they are narrower.

use super::{MATTERS, Rule};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::estimate::Staged;
use crate::facts::DeviceKind;
use crate::graph::{Kind as Work, Operator};
use crate::model::WeightFormat;
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL014",
    name: "bound by widening narrow weights",
    explain: "Weights in 4 bits are multiplied by activations in 16, so that each of them is widened first. Where that takes longer than reading them, decoding is bound by widening, and a model a \
quarter of the size is not four times as fast. It depends on the kernel, on the group of weights that share a scale, and on the device: the profile's curve `gemv` of the format says what this one reaches.

It is noted where the profile's own curves give less than four fifths of the factor that the bytes do, and the difference is a tenth of the time or more. Where the curves show no such loss, or none was measured, it is noted if the run took \
about as long as the same model with weights in 16 bits would, by the estimate: then the narrow ones may save nothing. Other causes take as long, too; the run with wider weights decides.",
    check,
};

/// Bits of a weight below which it is widened.
const NARROW: u32 = 8;
/// The share of the factor of bytes that counts as all of it.
const FULL: f64 = 0.8;
/// How near the time of wide weights is theirs.
const NEAR: std::ops::RangeInclusive<f64> = 0.9..=1.4;
/// The share of the time that narrow weights must save for their absence to be seen.
const SAVES: f64 = 0.3;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Decode)?;
    let step = case.placed.lower(&phase.step());
    let format =
        step.graphs.iter().flat_map(|graph| &graph.operators).find_map(|operator| Some(narrow(operator)?.0))?;
    let narrow_alone = step.with(|operator| narrow(operator).map(|_| *operator));
    let wide_alone = narrow_alone.with(|operator| Some(widened(operator)));
    let bytes =
        |step: &Staged| step.graphs.iter().map(|graph| graph.total(|operator| operator.weights).get()).sum::<f64>();
    let factor_of_bytes = bytes(&wide_alone) / bytes(&narrow_alone);
    let (is, was) = (multiplying(case, &narrow_alone)?, multiplying(case, &wide_alone)?);
    let factor = was / is;
    let lost = is - was / factor_of_bytes;
    let found = if factor < FULL * factor_of_bytes && lost / phase.measured >= MATTERS {
        let says = format!(
            "weights of {} bits are multiplied {factor:.2}× as fast as those of 16, not {factor_of_bytes:.2}×: widening them bounds it",
            format.element.format().bits
        );
        let from = format!("profile `{}`, `gemv`", case.inputs.profile.name);
        Found::new(Severity::Note, says)
            .number("products as they are", is.get(), EvidenceUnit::Seconds, from.clone())
            .number("with wide weights", was.get(), EvidenceUnit::Seconds, from)
            .worth(Kind::Decode, lost)
    } else {
        saves_nothing(case, phase, &step, factor)?
    };
    Some(
        found
            .number("factor of the bytes", factor_of_bytes, EvidenceUnit::Times, "formats")
            .attempt("another kernel for the format (vLLM: Marlin or Machete), larger groups, or weights in 8 bits")
            .decide("the same run with weights in 16 bits, or in 8"),
    )
}

/// A run that took about as long as one with wide weights would.
fn saves_nothing(case: &Case<'_>, phase: &Phase, step: &Staged, factor: f64) -> Option<Found> {
    let wide = step.with(|operator| Some(widened(operator))).cost(case.estimator.costing).ok()?.time;
    let saved = wide - case.cost(Kind::Decode).ok()?.time;
    let cores = u64::from(case.inputs.profile.device.cores);
    let has_another_cause = !case.inputs.scenario.offload.is_none()
        || case
            .inputs
            .run
            .load
            .threads
            .is_some_and(|threads| case.inputs.profile.device.kind == DeviceKind::Cpu && threads < cores);
    if has_another_cause || factor <= 1.0 || !NEAR.contains(&(phase.measured / wide)) || saved / phase.measured < SAVES
    {
        return None;
    }
    Some(
        Found::new(
            Severity::Note,
            "narrow weights may save nothing: the run took as long as one with weights of 16 bits",
        )
        .number("measured", phase.measured.get(), EvidenceUnit::Seconds, phase.from.clone())
        .number("with wide weights", wide.get(), EvidenceUnit::Seconds, "estimate")
        .worth(Kind::Decode, saved),
    )
}

/// The formats of a product whose weights are widened before they are multiplied, and how many outputs and inputs it has.
fn narrow(operator: &Operator) -> Option<(WeightFormat, u64, u64)> {
    let (Work::Product { weights, n, k, .. } | Work::Experts { weights, n, k, .. }) = operator.kind else {
        return None;
    };
    let is_widened = weights.element.format().bits < NARROW && weights.activations.format().bits >= 16;
    is_widened.then_some((weights, n, k))
}

/// The same product with weights in the format of its activations.
fn widened(operator: &Operator) -> Operator {
    let Some((weights, n, k)) = narrow(operator) else { return *operator };
    let plain = WeightFormat::plain(weights.activations);
    let bytes = operator.weights * (plain.bytes(n, k) / weights.bytes(n, k));
    let kind = match operator.kind {
        Work::Product { m, n, k, .. } => Work::Product { m, n, k, weights: plain },
        Work::Experts { pairs, distinct, n, k, .. } => Work::Experts { pairs, distinct, n, k, weights: plain },
        other => other,
    };
    Operator { kind, weights: bytes, ..*operator }
}

/// The time of a step's operators, without that of starting them.
fn multiplying(case: &Case<'_>, step: &Staged) -> Option<Seconds> {
    let cost = step.all_here().cost(case.estimator.costing).ok()?;
    let operators = cost.stages.iter().flat_map(|stage| &stage.operators);
    Some(operators.map(|operator| (operator.time - operator.overhead) * operator.count as f64).sum())
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};

    fn narrow(mut run: Run, tpot: f64) -> Run {
        run.weights = "w4a16".parse().unwrap();
        run.with(|typed| (typed.batch, typed.tpot, typed.ttft) = (Some(1), Some(ms(tpot)), None))
    }

    /// On the measured device, products with 4-bit weights go at some rate.
    fn measured(rate: f64, tpot: f64) -> Run {
        let mut run = narrow(Run::measured(), tpot);
        run.ceilings(&[("gemv.int4_g128.bf16", &[(1e6, rate), (1e11, rate)])]);
        run
    }

    #[test]
    fn a_measured_factor_below_that_of_bytes_is_found() {
        let found = measured(1.2e12, 4.0).finds("RL014").unwrap();
        assert!(found.says.contains("widening them bounds it") && found.worth.is_some(), "{}", found.says);
    }

    #[test]
    fn a_run_like_one_with_wide_weights_may_save_nothing() {
        // 15.2 GB at 1.6 TB/s take 9.5 ms, a quarter of that 3.
        let found = narrow(Run::qwen(), 10.0).finds("RL014").unwrap();
        assert!(found.says.contains("may save nothing") && found.decide.is_some(), "{}", found.says);
    }

    #[test]
    fn narrow_weights_that_pay_and_wide_ones_are_no_finding() {
        assert_eq!(measured(2.8e12, 3.0).finds("RL014"), None);
        assert_eq!(narrow(Run::qwen(), 5.0).finds("RL014"), None);
        assert_eq!(narrow(Run::qwen(), 40.0).finds("RL014"), None);
        // What lies on the host is a cause of its own.
        assert_eq!(narrow(Run::qwen(), 10.0).with(|typed| typed.host_weights = Some(0.1)).finds("RL014"), None);
        assert_eq!(Run::qwen().finds("RL014"), None);
        assert_eq!(Run::measured().finds("RL014"), None);
    }
}
