//! RL020: a program that uses narrower vectors than the processor has.

use super::{Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::diagnose::product;
use crate::diagnose::vectors::{Narrower, narrower};
use crate::dtype::DType;
use crate::facts::DeviceKind;
use crate::graph::Kind as Work;

pub(super) const RULE: Rule = Rule {
    id: "RL020",
    name: "narrower instructions than the machine has",
    explain: "Math libraries choose their kernels when they start, by the processor's model. Where they do not know it, as in many virtual machines, or were built for an older one, they take narrower vectors or none with fused multiply-adds: half, a quarter or an \
eighth of the operations in a cycle. NumPy's OpenBLAS has been seen at 40 % of the measured peak on a machine with AVX-512, and at 87 % with one variable of the environment set.

It is noted where prompts are bound by arithmetic, and the rate of their operations is within what a good product reaches of a narrower set, by the operations that a core of this machine was measured to do in a cycle: cores that execute 512 bits as two halves lose nothing with AVX2. \
Too few threads, small products and busy neighbours give such rates as well. What the library says of itself decides.",
    check,
};

/// The share of the time that must be unexplained: what narrower vectors take at least.
const LOST: f64 = 0.3;
/// The bits of a weight below which products are those of narrow integers, and not of floats.
const FLOAT: u32 = 16;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Prefill).filter(|phase| phase.floor.is_some_and(|floor| !floor.is_memory_bound()))?;
    let device = &case.inputs.profile.device;
    let threads = case.inputs.run.load.threads.unwrap_or_else(|| u64::from(device.cores));
    if device.kind != DeviceKind::Cpu
        || threads < u64::from(device.cores)
        || rest(phase) / phase.measured < LOST
        || !multiplies_floats(case, phase)
    {
        return None;
    }
    let rate = phase.floor?.flops.get() / phase.measured.get();
    let found = narrower(case.inputs.profile, DType::F32, rate)?;
    Some(
        said(&found, "prompts are", &case.inputs.profile.name)
            .number("their operations go at", rate, EvidenceUnit::FlopsPerSecond, phase.from.clone())
            .worth(Kind::Prefill, rest(phase)),
    )
}

/// The same of a matrix product on all cores.
pub(super) fn of_product(case: &product::Case<'_>) -> Option<Found> {
    let (product, device) = (&case.inputs.product, &case.inputs.profile.device);
    let all = product.threads.is_none_or(|threads| threads >= u64::from(device.cores));
    if device.kind != DeviceKind::Cpu || !all || case.rest() / product.time < LOST {
        return None;
    }
    let found = narrower(case.inputs.profile, product.dtype, case.rate)?;
    Some(
        said(&found, "the product was", &case.inputs.profile.name)
            .number("its operations go at", case.rate, EvidenceUnit::FlopsPerSecond, "operations over `--time`")
            .worth_of_product(case.rest()),
    )
}

/// Whether the products of a phase are of floats, which narrower sets multiply as f32.
fn multiplies_floats(case: &Case<'_>, phase: &Phase) -> bool {
    let step = case.placed.lower(&phase.step());
    step.graphs.iter().flat_map(|graph| &graph.operators).all(|operator| match operator.kind {
        Work::Product { weights, .. } | Work::Experts { weights, .. } => weights.element.format().bits >= FLOAT,
        _ => true,
    })
}

/// The finding, of something that was as fast as with narrower instructions.
fn said(found: &Narrower, what: &str, profile: &str) -> Found {
    let says = format!(
        "{what} processed at {:.0} % of the measured peak of all cores: a good kernel of {} reaches up to {:.0} %",
        found.reached * 100.0,
        found.name,
        found.allows * 100.0
    );
    Found::new(Severity::Note, says)
        .number("peak of multiply-adds", found.peak, EvidenceUnit::FlopsPerSecond, format!("profile `{profile}`, `compute.vector`"))
        .number("reached", found.reached, EvidenceUnit::Share, "the run over that")
        .attempt("the kernels of this processor by name: `OPENBLAS_CORETYPE=SkylakeX` (or `Zen`, `SapphireRapids`); a build for this machine (llama.cpp: `-DGGML_NATIVE=ON`)")
        .decide("what the library says it uses: `python -m threadpoolctl -i numpy`, `OPENBLAS_VERBOSE=2`, `ONEDNN_VERBOSE=1`, the line `system_info` of llama.cpp")
}

#[cfg(test)]
mod tests {
    use super::super::super::product::testing::{golden_cove, product};
    use super::super::super::testing::{Run, ms};
    use crate::resource::Scope;

    /// Prompts on sixteen cores with two wide units each.
    fn prompts(ttft: f64) -> Run {
        let mut run = Run::processor().with(|typed| (typed.tpot, typed.ttft) = (None, Some(ms(ttft))));
        run.profile.ceilings.retain(|ceiling| !ceiling.resource.to_string().starts_with("compute."));
        run.ceilings(&[("compute.vector.f32", &[(0.0, 5.12e12)]), ("compute.vector.bf16.f32", &[(0.0, 5.12e12)])]);
        run.put(Scope::Core, &[("compute.vector.f32", &[(0.0, 3.2e11)])]);
        for ceiling in &mut run.profile.ceilings {
            if let crate::profile::Outcome::Ok { points, .. } = &mut ceiling.outcome {
                points.iter_mut().for_each(|point| point.clock = Some(crate::units::Hertz(5e9)));
            }
        }
        run.profile.datasheet.retain(|claim| claim.resource.to_string().starts_with("memory."));
        run
    }

    #[test]
    fn prompts_at_forty_per_cent_of_wide_vectors_are_noted() {
        // 512 tokens of 0.37 billion multiply-adds and attention: some 0.4 TFLOP, at 2 TFLOP/s.
        let found = prompts(190.0).finds("RL020").unwrap();
        assert!(found.says.contains("AVX2 reaches up to 50 %") && found.decide.is_some(), "{}", found.says);
    }

    #[test]
    fn a_product_at_forty_per_cent_is_noted_too() {
        let found = |rate: f64, threads| {
            let findings = product(&golden_cove(), rate, threads).findings;
            findings.into_iter().find(|finding| finding.rule == "RL020").map(|finding| finding.found)
        };
        let noted = found(136e9, None).unwrap();
        assert!(noted.says.starts_with("the product was processed at 40 %") && noted.worth.is_some(), "{}", noted.says);
        assert_eq!((found(136e9, Some(1)), found(270e9, None)), (None, None));
    }

    #[test]
    fn prompts_near_the_peak_with_few_threads_or_on_halved_units_are_no_finding() {
        assert_eq!(prompts(95.0).finds("RL020"), None);
        assert_eq!(prompts(190.0).with(|typed| typed.threads = Some(8)).finds("RL020"), None);
        // 32 operations in a cycle are what AVX2 does.
        let halved = Run::processor().with(|typed| (typed.tpot, typed.ttft) = (None, Some(ms(220.0))));
        assert_eq!(halved.finds("RL020"), None);
        assert_eq!(Run::qwen().finds("RL020"), None);
    }
}
