//! RL030: products in a narrow format whose instructions are slower than those of f32.

use super::{Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::diagnose::product;
use crate::diagnose::what_if::value;
use crate::dtype::DType;
use crate::facts::DeviceKind;
use crate::graph::Kind as Work;
use crate::profile::Profile;
use crate::resource::{ComputeUnit, Resource, Scope};

pub(super) const RULE: Rule = Rule {
    id: "RL030",
    name: "narrow products slower than f32",
    explain: "Processors have instructions that multiply 16-bit factors and sum in f32. On some cores they are twice as fast as f32 multiply-adds; on others, such as Intel's since Golden Cove without AMX, half as fast. A library that uses them because they are there \
makes products in bf16 slower than the same in f32, while one that widens the factors first does not.

It is noted where the profile's peak of such instructions is well below that of f32, prompts or a matrix product are bound by arithmetic, and their rate is what good kernels reach of the slower peak. The same product in f32 decides. Weights in f32 take twice the memory, which decoding pays for: \
only prompts gain.",
    check,
};

/// How much slower than f32 a format's instructions must be.
const SLOWER: f64 = 0.7;
/// The share of its instructions' peak that a good kernel reaches.
const REACHED: std::ops::RangeInclusive<f64> = 0.55..=1.03;
/// The share of the time that must be unexplained.
const LOST: f64 = 0.2;

/// The peaks of a format and of f32, where the first is the slower one.
struct Peaks {
    format: Resource,
    slow: f64,
    fast: f64,
}

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Prefill).filter(|phase| phase.floor.is_some_and(|floor| !floor.is_memory_bound()))?;
    if rest(phase) / phase.measured < LOST {
        return None;
    }
    let rate = phase.floor?.flops.get() / phase.measured.get();
    let found = noted(case.inputs.profile, multiplied(case, phase)?, rate, "prompts are")?;
    Some(
        found
            .number("their operations go at", rate, EvidenceUnit::FlopsPerSecond, phase.from.clone())
            .worth(Kind::Prefill, rest(phase)),
    )
}

/// The same of a matrix product.
pub(super) fn of_product(case: &product::Case<'_>) -> Option<Found> {
    let product = &case.inputs.product;
    let all = product.threads.is_none_or(|threads| threads >= u64::from(case.inputs.profile.device.cores));
    if !all || case.rest() / product.time < LOST {
        return None;
    }
    let found = noted(case.inputs.profile, product.dtype, case.rate, "the product was")?;
    Some(
        found
            .number("its operations go at", case.rate, EvidenceUnit::FlopsPerSecond, "operations over `--time`")
            .worth_of_product(case.rest()),
    )
}

/// The format that all products of a phase have their factors in.
fn multiplied(case: &Case<'_>, phase: &Phase) -> Option<DType> {
    let step = case.placed.lower(&phase.step());
    let mut formats =
        step.graphs.iter().flat_map(|graph| &graph.operators).filter_map(|operator| match operator.kind {
            Work::Product { weights, .. } | Work::Experts { weights, .. } => Some(weights.element),
            _ => None,
        });
    let first = formats.next()?;
    formats.all(|format| format == first).then_some(first)
}

fn noted(profile: &Profile, format: DType, rate: f64, what: &str) -> Option<Found> {
    let Peaks { format: resource, slow, fast } = peaks(profile, format)?;
    if !REACHED.contains(&(rate / slow)) {
        return None;
    }
    let from = |of: Resource| format!("profile `{}`, `{of}`", profile.name);
    let says = format!(
        "{what} multiplied at {:.0} % of what {format} instructions reach here, which are {:.1}× slower than those of f32",
        rate / slow * 100.0,
        fast / slow
    );
    Some(
        Found::new(Severity::Note, says)
            .number(format!("peak of {format}"), slow, EvidenceUnit::FlopsPerSecond, from(resource))
            .number("peak of f32", fast, EvidenceUnit::FlopsPerSecond, from(vector(DType::F32, DType::F32)))
            .attempt("a library that widens the factors to f32, or products in f32 where prompts count and memory allows")
            .decide(format!("the same product in f32: faster, and it is the instructions of {format}; `ONEDNN_VERBOSE=1` names those that PyTorch uses")),
    )
}

fn vector(input: DType, accumulate: DType) -> Resource {
    Resource::Compute { unit: ComputeUnit::Vector, input, accumulate }
}

/// The measured peaks of a 16-bit format on a processor without matrix units for it, where they are well below those of f32.
fn peaks(profile: &Profile, format: DType) -> Option<Peaks> {
    let value = |resource| value(profile, resource, Scope::Device);
    if profile.device.kind != DeviceKind::Cpu || !matches!(format, DType::Bf16 | DType::F16) {
        return None;
    }
    let matrix = Resource::Compute { unit: ComputeUnit::Matrix, input: format, accumulate: DType::F32 };
    let resource = vector(format, DType::F32);
    let (slow, fast) = (value(resource)?, value(vector(DType::F32, DType::F32))?);
    (value(matrix).is_none() && slow <= fast * SLOWER).then_some(Peaks { format: resource, slow, fast })
}

#[cfg(test)]
mod tests {
    use super::super::super::product::testing::{golden_cove, of};
    use super::super::super::product::{Product, ProductDiagnosis};
    use super::super::super::testing::{Run, ms};
    use super::*;
    use crate::units::Seconds;
    use crate::workload::Shape;

    fn product(dtype: DType, rate: f64) -> Option<Found> {
        let time = Seconds(2.0 * 1024.0_f64.powi(3) / rate);
        let product = Product { shape: Shape::square(1024), dtype, time, threads: None };
        let ProductDiagnosis { findings, .. } = of(&golden_cove(), product).unwrap();
        findings.into_iter().find(|finding| finding.rule == "RL030").map(|finding| finding.found)
    }

    #[test]
    fn products_at_the_rate_of_slow_instructions_are_noted() {
        // bf16 reaches 170 GFLOP/s, and f32 340.
        let found = product(DType::Bf16, 136e9).unwrap();
        assert!(
            found.says.contains("at 80 % of what bf16 instructions") && found.says.contains("2.0×"),
            "{}",
            found.says
        );
        assert!(found.worth.is_some() && found.decide.is_some());
    }

    #[test]
    fn faster_ones_and_other_formats_are_not() {
        assert_eq!(
            (product(DType::Bf16, 230e9), product(DType::Bf16, 50e9), product(DType::F32, 136e9)),
            (None, None, None)
        );
    }

    #[test]
    fn only_processors_that_were_measured_without_matrix_units_have_slow_instructions() {
        let profile = golden_cove();
        assert!(noted(&profile, DType::Bf16, 136e9, "prompts are").is_some());
        assert_eq!(noted(&profile, DType::F16, 136e9, "prompts are"), None);
        // A core whose dot products are the faster ones.
        assert_eq!(Run::processor().with(|typed| typed.ttft = Some(ms(300.0))).finds("RL030"), None);
        assert_eq!(Run::qwen().finds("RL030"), None);
    }
}
