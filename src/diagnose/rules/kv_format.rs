//! RL008: a narrow cache that is not as much faster as it is narrower.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::dtype::DType;
use crate::model::KvFormat;
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL008",
    name: "cache format below its factor",
    explain: "Keys and values in 8 bits are half the bytes of those in 16, but attention over them is rarely twice as fast: they are widened before they are used, and few kernels hide that. \
Factors of 1.2 to 1.5 are common. The profile says what this device reaches with `attention.decode` of both formats.

It is noted where the profile's own curves give less than nine tenths of the factor that the bytes do and the difference is a tenth of the time or more. Where no such curve was measured, it is noted if what is \
unexplained is as much as the narrow cache should save: it may save nothing. The run with a 16-bit cache decides.",
    check,
};

/// The share of the factor of bytes that counts as all of it.
const FULL: f64 = 0.9;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Decode)?;
    let kv = case.inputs.subject.kv;
    let wide = KvFormat::plain(DType::Bf16);
    let bytes = f64::from(wide.element.format().bits) / f64::from(kv.element.format().bits);
    if bytes <= 1.0 {
        return None;
    }
    let (narrow, wide) = (attention(case, phase, kv)?, attention(case, phase, wide)?);
    let factor = wide / narrow;
    let lost = narrow - wide / bytes;
    let found = if factor < FULL * bytes && lost / phase.measured >= MATTERS {
        let says = format!(
            "attention over a cache of {} is {factor:.2}× as fast as over 16 bits, not {bytes:.0}×",
            kv.element
        );
        let from = format!("profile `{}`, `attention.decode`", case.inputs.profile.name);
        Found::new(Severity::Note, says)
            .number("attention as it is", narrow.get(), EvidenceUnit::Seconds, from.clone())
            .number("with 16 bits", wide.get(), EvidenceUnit::Seconds, from)
            .worth(Kind::Decode, lost)
    } else {
        let saved = wide - narrow;
        let unexplained = rest(phase);
        if factor < FULL * bytes || saved / phase.measured < MATTERS || unexplained < saved {
            return None;
        }
        Found::new(
            Severity::Note,
            format!("a cache of {} may save nothing: what it should save is within what is unexplained", kv.element),
        )
        .number("it should save", saved.get(), EvidenceUnit::Seconds, "estimate with 16 bits")
        .number("unexplained", unexplained.get(), EvidenceUnit::Seconds, "waterfall")
        .worth(Kind::Decode, saved)
    };
    Some(
        found
            .attempt("another attention backend, or one that computes in the cache's format")
            .decide("the same run with a 16-bit cache"),
    )
}

/// The time of a step's attention with a cache in some format.
fn attention(case: &Case<'_>, phase: &Phase, kv: KvFormat) -> Option<Seconds> {
    use crate::graph::Kind as Work;
    let subject = crate::estimate::Subject { kv, ..case.inputs.subject };
    let placed = crate::estimate::Placed::new(&subject, case.estimator.costing, &case.inputs.scenario.layout).ok()?;
    let attends = |operator: &crate::graph::Operator| matches!(operator.kind, Work::DecodeAttention { .. });
    let step = placed.lower(&phase.step()).with(|operator| attends(operator).then_some(*operator));
    let cost = step.cost(case.estimator.costing).ok()?;
    Some(
        cost.stages
            .iter()
            .flat_map(|stage| &stage.operators)
            .map(|operator| operator.time * operator.count as f64)
            .sum(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::dtype::DType;
    use crate::model::KvFormat;

    fn narrow(mut run: Run, tpot: f64) -> Run {
        run.kv = KvFormat::plain(DType::Fp8E4m3);
        run.with(|typed| {
            (typed.batch, typed.prompt, typed.tpot, typed.ttft) = (Some(16), Some(8192), Some(ms(tpot)), None);
        })
    }

    #[test]
    fn a_measured_factor_below_that_of_bytes_is_found() {
        let found = narrow(Run::measured(), 9.0).finds("RL008").unwrap();
        assert!(found.says.contains("not 2×"), "{}", found.says);
    }

    #[test]
    fn what_it_should_save_may_be_what_is_unexplained() {
        assert!(narrow(Run::qwen(), 20.0).finds("RL008").unwrap().says.contains("may save nothing"));
        assert_eq!(narrow(Run::qwen(), 12.0).finds("RL008"), None);
    }

    #[test]
    fn a_wide_cache_has_no_factor() {
        assert_eq!(Run::qwen().finds("RL008"), None);
        assert_eq!(Run::measured().finds("RL008"), None);
    }
}
