//! RL021: threads that are fewer or more than the cores.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Phase;
use crate::diagnose::product;
use crate::diagnose::what_if::{READS, is_arithmetic, is_traffic, scaled, value};
use crate::facts::DeviceKind;
use crate::profile::Profile;
use crate::resource::Scope;
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL021",
    name: "threads fewer or more than cores",
    explain: "Arithmetic grows with each core that takes part; memory is filled by some of them. So prompts want all cores, and decoding a few. With more threads than cores, two of them share one: where they are the core's own hardware threads that gains little \
and may lose some, and where there are not as many of those either, a thread waits for its turn while all others wait for it at the end of every operator.

It warns where a run on a processor used fewer threads than the profile has cores, and that is worth a tenth of the time or more and fits into what is unexplained: the estimate with arithmetic at the share of its threads, and memory at as many times one core's bandwidth, less the estimate of all cores. \
It warns where there were more threads than hardware threads, and notes more threads than cores, if a tenth of the time or more is unexplained. The same run with one thread for each core decides.

Of a matrix product, it notes where nobody said how many threads there were and the rate is what one core reaches by itself.",
    check,
};

/// The share of one core's rate at which a product looks as if one thread did it.
const ABOUT_ONE: std::ops::RangeInclusive<f64> = 0.7..=1.1;

fn check(case: &Case<'_>) -> Option<Found> {
    let device = &case.inputs.profile.device;
    let (threads, cores) = (case.inputs.run.load.threads?, u64::from(device.cores));
    if device.kind != DeviceKind::Cpu || cores == 0 || !case.is_measured() || threads == cores {
        return None;
    }
    let found = if threads < cores { fewer(case, threads, cores)? } else { more(case, threads, cores)? };
    Some(
        found
            .number("threads", threads as f64, EvidenceUnit::Count, "the run")
            .number("cores", cores as f64, EvidenceUnit::Count, format!("profile `{}`", case.inputs.profile.name))
            .attempt(format!("one thread for each core (llama.cpp: `-t {cores}`; `OMP_NUM_THREADS={cores}`)"))
            .decide("the same run with one thread for each core, bound to it"),
    )
}

fn fewer(case: &Case<'_>, threads: u64, cores: u64) -> Option<Found> {
    let other = with_threads(case.inputs.profile, threads, cores)?;
    let lost =
        |phase: &Phase| -> Option<Seconds> { Some(case.on(phase.kind, &other)? - case.cost(phase.kind).ok()?.time) };
    let lost = case.phases.iter().filter_map(|phase| Some((phase, lost(phase)?)));
    let (phase, lost) = lost.reduce(|a, b| if b.1 / b.0.measured > a.1 / a.0.measured { b } else { a })?;
    // What the run lost otherwise is in the rest, too; what it did not lose, threads did not take.
    if lost / phase.measured < MATTERS || rest(phase) < lost {
        return None;
    }
    Some(
        Found::new(Severity::Warning, format!("{} ran on {threads} of {cores} cores", phase.kind.word()))
            .number("longer by", lost.get(), EvidenceUnit::Seconds, "estimate of so many cores")
            .number("unexplained", rest(phase).get(), EvidenceUnit::Seconds, "waterfall")
            .worth(phase.kind, lost),
    )
}

fn more(case: &Case<'_>, threads: u64, cores: u64) -> Option<Found> {
    let hardware = case.inputs.profile.device.logical_processors.map_or(cores, u64::from).max(cores);
    let phase = case.phases.iter().find(|phase| rest(phase) / phase.measured >= MATTERS)?;
    let (severity, says) = if threads > hardware {
        (
            Severity::Warning,
            format!(
                "{threads} threads ran on {hardware} hardware threads: they wait for their turn, and for one another"
            ),
        )
    } else {
        (Severity::Note, format!("{threads} threads ran on {cores} cores, two on some of them"))
    };
    Some(
        Found::new(severity, says).number("unexplained", rest(phase).get(), EvidenceUnit::Seconds, "waterfall").number(
            "hardware threads",
            hardware as f64,
            EvidenceUnit::Count,
            format!("profile `{}`", case.inputs.profile.name),
        ),
    )
}

/// A product as fast as one of several cores.
pub(super) fn of_product(case: &product::Case<'_>) -> Option<Found> {
    let cores = case.inputs.profile.device.cores;
    let one = case.references.one_core.as_ref()?;
    if case.inputs.product.threads.is_some() || !ABOUT_ONE.contains(&(case.rate / one.value)) {
        return None;
    }
    Some(
        Found::new(Severity::Note, format!("the product is as fast as one of the {cores} cores would be"))
            .number("measured", case.rate, EvidenceUnit::FlopsPerSecond, "operations over `--time`")
            .number(format!("`{}` on one core", one.resource), one.value, EvidenceUnit::FlopsPerSecond, one.from.clone())
            .worth_of_product(case.rest())
            .attempt(format!("as many threads as cores (`OMP_NUM_THREADS={cores}`, `torch.set_num_threads({cores})`); limits of the container and the affinity give fewer"))
            .decide("the same product on one thread: as fast as before, one thread did it; slower, all took part and lose the time otherwise"),
    )
}

/// The device with some of its cores: their share of arithmetic, and of memory what so many single cores read.
fn with_threads(profile: &Profile, threads: u64, cores: u64) -> Option<Profile> {
    let share = threads as f64 / cores as f64;
    let of = |resource| {
        let (all, one) = (value(profile, resource, Scope::Device)?, value(profile, resource, Scope::Core)?);
        Some((one * threads as f64 / all).min(1.0))
    };
    let reads = of(READS)?;
    Some(scaled(profile, |ceiling, _| match ceiling.resource {
        resource if is_arithmetic(resource) => share,
        resource if is_traffic(resource) => of(resource).unwrap_or(reads),
        _ => 1.0,
    }))
}

#[cfg(test)]
mod tests {
    use super::super::super::product::testing::{golden_cove, product};
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::{Severity, Worth};

    fn run(threads: u64, tpot: f64, ttft: Option<f64>) -> Run {
        Run::processor()
            .with(|typed| (typed.threads, typed.tpot, typed.ttft) = (Some(threads), Some(ms(tpot)), ttft.map(ms)))
    }

    #[test]
    fn few_threads_lose_arithmetic_before_they_lose_memory() {
        // A quarter of the cores: prompts take four times as long, and decoding as long as before.
        let found = run(4, 16.5, Some(800.0)).finds("RL021").unwrap();
        assert!(
            found.severity == Severity::Warning && found.says.starts_with("prefill ran on 4 of 16 cores"),
            "{found:?}"
        );
        let Some(Worth::Time { up_to, .. }) = found.worth else { panic!("{found:?}") };
        assert!(up_to.get() > 0.2 && up_to.get() < 0.6, "{found:?}");
        // One core fills half of the memory's bandwidth.
        assert!(run(1, 32.0, None).finds("RL021").unwrap().says.starts_with("decode"));
        // Of the 15 ms that one core takes longer, the run did not lose more than 12.
        assert_eq!(run(1, 28.0, None).finds("RL021"), None);
    }

    #[test]
    fn more_threads_than_the_hardware_has_are_a_warning() {
        assert_eq!(run(64, 25.0, None).finds("RL021").map(|found| found.severity), Some(Severity::Warning));
        assert_eq!(run(32, 25.0, None).finds("RL021").map(|found| found.severity), Some(Severity::Note));
    }

    #[test]
    fn a_product_as_fast_as_one_core_is_noted() {
        // One core multiplies at 140 GFLOP/s.
        let found = |rate: f64, threads| {
            let findings = product(&golden_cove(), rate, threads).findings;
            findings.into_iter().find(|finding| finding.rule == "RL021").map(|finding| finding.found)
        };
        assert!(found(135e9, None).is_some_and(|found| found.decide.is_some()));
        assert_eq!((found(135e9, Some(1)), found(250e9, None)), (None, None));
    }

    #[test]
    fn enough_threads_and_those_beside_a_gpu_are_no_finding() {
        assert_eq!(run(16, 25.0, None).finds("RL021"), None);
        assert_eq!(run(4, 16.5, None).finds("RL021"), None);
        assert_eq!(run(32, 16.5, None).finds("RL021"), None);
        assert_eq!(Run::measured().with(|typed| typed.threads = Some(4)).finds("RL021"), None);
    }
}
