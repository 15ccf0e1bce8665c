//! RL019: weights in small pages.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::diagnose::waterfall::Cause;
use crate::facts::{DeviceKind, Observed};

pub(super) const RULE: Rule = Rule {
    id: "RL019",
    name: "pages of 4 KiB",
    explain: "A processor looks up where each page of memory lies, and remembers some thousand of them: with pages of 4 KiB that is a few megabytes, of a model of gigabytes. Every page is then looked up anew, and prefetching stops at its end. Streams lose some \
per cent by it and scattered reads much more. Pages of 2 MiB are given where the system's policy is `always`, or where a program asks for them; a file that is mapped lies in the system's cache, in pages of 4 KiB whatever the policy.

rooflab asks for huge pages and notes how much of its memory lay in them. It is noted where that was the case, the run's weights probably did not, and more than a seventh of the time of a step that is bound by memory is unexplained, but less than half: page walks do not take more. And it is noted where the \
profile itself was measured in small pages and stays a tenth of the time behind the maker's figures. No estimate says what pages cost; counting the lookups does.",
    check,
};

/// Memory of which at least half lay in huge pages was measured in them.
const MOSTLY: f64 = 0.5;
/// Less memory than that tells nothing.
const ENOUGH: u64 = 64 << 20;
/// The share of the time that looking up pages may be told from nothing by.
const SEEN: f64 = 0.15;
/// More of the time than that is not spent on it.
const TOO_MUCH: f64 = 0.5;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Decode).filter(|phase| phase.floor.is_some_and(|floor| floor.is_memory_bound()))?;
    let profile = case.inputs.profile;
    let Observed { memory_allocated, memory_in_huge_pages, .. } = profile.observed;
    if profile.device.kind != DeviceKind::Cpu || memory_allocated < ENOUGH {
        return None;
    }
    let share = memory_in_huge_pages? as f64 / memory_allocated as f64;
    let found = if share < MOSTLY { of_profile(phase)? } else { of_run(case, phase)? };
    let policy = profile.conditions.huge_pages.as_deref().unwrap_or("unknown");
    let from = || format!("profile `{}`", profile.name);
    Some(found.number("the profile's memory in huge pages", share.min(1.0), EvidenceUnit::Share, from()).text(
        "the system's policy",
        policy,
        from(),
    ))
}

fn of_profile(phase: &Phase) -> Option<Found> {
    phase.spent_on(Cause::Ceilings).filter(|spent| spent.share >= MATTERS)?;
    Some(
        Found::new(
            Severity::Note,
            "the profile was measured in pages of 4 KiB: its ceilings may be those of looking them up",
        )
        .attempt("`echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled`, then `rooflab probe` again")
        .decide("`rooflab profile diff` of both profiles"),
    )
}

fn of_run(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    let share = rest(phase) / phase.measured;
    let mapped = case.inputs.run.load.mapped;
    let are_given = case.inputs.profile.conditions.huge_pages.as_deref() == Some("always");
    if !(SEEN..TOO_MUCH).contains(&share) || (are_given && mapped != Some(true)) {
        return None;
    }
    let found = Found::new(
        Severity::Note,
        "the profile was measured in huge pages, and the run's weights were probably in pages of 4 KiB",
    )
    .number("unexplained", rest(phase).get(), EvidenceUnit::Seconds, "waterfall");
    let found = if mapped == Some(true) { found.text("weights", "mapped from their file", "the run") } else { found };
    Some(
        found
            .attempt("huge pages for all (`echo always | sudo tee /sys/kernel/mm/transparent_hugepage/enabled`) and weights that are not mapped (llama.cpp: `--no-mmap`)")
            .decide("`perf stat -e dTLB-load-misses,dtlb_load_misses.walk_active` of the run, with and without"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};

    fn run(policy: &str, mapped: Option<bool>, tpot: f64) -> Run {
        let mut run = Run::processor().with(|typed| typed.tpot = Some(ms(tpot)));
        run.profile.conditions.huge_pages = Some(policy.to_owned());
        run.observed.load.mapped = mapped;
        run
    }

    #[test]
    fn a_run_without_huge_pages_and_a_rest_is_noted() {
        let found = run("madvise", None, 20.0).finds("RL019").unwrap();
        assert!(found.says.contains("probably in pages of 4 KiB") && found.worth.is_none() && found.decide.is_some());
        assert!(run("always", Some(true), 20.0).finds("RL019").is_some());
    }

    #[test]
    fn a_profile_without_huge_pages_is_noted() {
        let mut run = run("never", None, 20.0);
        run.profile.observed.memory_in_huge_pages = Some(0);
        assert!(run.finds("RL019").unwrap().says.contains("the profile was measured in pages of 4 KiB"));
    }

    #[test]
    fn huge_pages_a_small_rest_and_a_large_one_are_no_finding() {
        assert_eq!(run("always", None, 20.0).finds("RL019"), None);
        assert_eq!(run("madvise", None, 16.0).finds("RL019"), None);
        assert_eq!(run("madvise", None, 60.0).finds("RL019"), None);
        assert_eq!(Run::measured().finds("RL019"), None);
    }
}
