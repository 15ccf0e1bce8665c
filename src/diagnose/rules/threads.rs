//! RL030: fewer threads than the processor has cores.

use super::{Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::product;
use crate::facts::DeviceKind;

pub(super) const RULE: Rule = Rule {
    id: "RL030",
    name: "fewer threads than cores",
    explain: "A processor's ceilings are those of all its cores. A library that was told to use fewer, or that sees fewer because of a container's limit, an affinity mask or \
`OMP_NUM_THREADS`, leaves the others idle: arithmetic goes down with each, bandwidth only once the rest cannot keep the memory busy.

It warns where the run says that it used fewer threads than the profile has cores. Of a matrix product, it notes where nobody said how many threads there were and the rate is what one core \
reaches by itself. A library that uses narrower vectors than the machine has can look the same: the product on one thread tells them apart, since it is as fast as before in the first case and \
slower in the second.",
    check,
};

/// How much faster than one core a product on one thread may look.
const ABOUT_ONE: f64 = 1.1;
/// What a product on one thread reaches of one core at the least, to be taken for one.
const AT_LEAST: f64 = 0.7;

fn check(case: &Case<'_>) -> Option<Found> {
    let device = &case.inputs.profile.device;
    let threads = case.inputs.run.load.threads?;
    let cores = u64::from(device.cores);
    if device.kind != DeviceKind::Cpu || threads == 0 || threads >= cores {
        return None;
    }
    let slowest = case.phases.iter().reduce(|a, b| if b.reached() < a.reached() { b } else { a })?;
    let from = case.inputs.run.sources.first().and_then(|source| source.file.clone()).unwrap_or_default();
    Some(
        Found::new(Severity::Warning, format!("the run used {threads} of {cores} cores"))
            .number("threads of the run", threads as f64, EvidenceUnit::Count, from)
            .number("cores", cores as f64, EvidenceUnit::Count, format!("profile `{}`", case.inputs.profile.name))
            .worth(slowest.kind, rest(slowest))
            .attempt(format!("as many threads as cores: `-t {cores}` in llama.cpp, `OMP_NUM_THREADS={cores}` elsewhere")),
    )
}

/// The same of a matrix product.
pub(super) fn of_product(case: &product::Case<'_>) -> Option<Found> {
    let device = &case.inputs.profile.device;
    let one = case.references.one_core.as_ref()?;
    let share = case.rate / one.value;
    if case.inputs.product.threads.is_some() || !(AT_LEAST..=ABOUT_ONE).contains(&share) {
        return None;
    }
    let cores = device.cores;
    Some(
        Found::new(Severity::Note, format!("the product is as fast as one of the {cores} cores would be"))
            .number("measured", case.rate, EvidenceUnit::FlopsPerSecond, "operations over `--time`")
            .number(format!("`{}` on one core", one.resource), one.value, EvidenceUnit::FlopsPerSecond, one.from.clone())
            .worth_of_product(case.rest())
            .attempt(format!("as many threads as cores: `OMP_NUM_THREADS={cores}`, `OPENBLAS_NUM_THREADS={cores}`, `torch.set_num_threads({cores})`; check limits of the container and the affinity"))
            .decide("the same product on one thread: as fast as before, one thread did it; slower, all took part, with narrower instructions than the machine has"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::product::testing::{golden_cove, product};
    use super::super::super::testing::Run;
    use super::*;
    use crate::observe::Load;

    #[test]
    fn a_run_on_fewer_threads_than_cores_is_warned_of() {
        let on = |threads| {
            let mut run = Run::measured();
            run.profile.device.kind = DeviceKind::Cpu;
            run.profile.device.cores = 8;
            run.observed.load = Load { threads, ..Load::default() };
            run.finds("RL030").map(|found| found.severity)
        };
        assert_eq!(on(Some(4)), Some(Severity::Warning));
        assert_eq!((on(Some(8)), on(Some(16)), on(None)), (None, None, None));
    }

    #[test]
    fn a_product_as_fast_as_one_core_is_noted() {
        // One core multiplies at 140 GFLOP/s.
        let found = |rate: f64, threads| {
            let findings = product(&golden_cove(), rate, threads).findings;
            findings.into_iter().find(|finding| finding.rule == "RL030").map(|finding| finding.found)
        };
        assert!(found(135e9, None).is_some_and(|found| found.decide.is_some()));
        assert_eq!(found(135e9, Some(1)), None);
        assert_eq!(found(250e9, None), None);
    }
}
