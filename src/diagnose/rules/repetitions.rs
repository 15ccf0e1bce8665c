//! RL025: repetitions of a measurement that do not agree.

use super::{MATTERS, Rule};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::Kind;
use crate::observe::{MetricUnit, Quantity, Tool};
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL025",
    name: "repetitions that do not agree",
    explain: "A tool that repeats one measurement gives their mean. Where the first one is slower than all others, it holds what is done once: kernels that are compiled or tuned, weights that are read from disk, caches and clocks that are cold. Where they differ among themselves, something else ran on the machine, or the clock moved: \
their mean is that of nothing, and whatever is concluded from a tenth of it may be noise.

It warns where the first repetition took a tenth longer than the mean of the others, and it is noted where the standard deviation is a tenth of the mean or more, from three repetitions on. Only tools that repeat the same work are looked at: requests of a server differ. What it is worth is measured and not estimated: the mean less that of the others, or less the shortest.",
    check,
};

/// Repetitions from which on they can disagree.
const SEVERAL: u64 = 3;

fn check(case: &Case<'_>) -> Option<Found> {
    let repeats = |tool: Tool| matches!(tool, Tool::LlamaBench | Tool::VllmLatency);
    let run = case.inputs.run;
    if run.sources.is_empty() || !run.sources.iter().all(|source| repeats(source.tool)) {
        return None;
    }
    let times = run.metrics.keys().copied().filter(|quantity| quantity.unit() == MetricUnit::Second);
    let found = times.filter_map(|quantity| of(case, quantity));
    found.reduce(|a, b| if b.severity > a.severity { b } else { a })
}

fn of(case: &Case<'_>, quantity: Quantity) -> Option<Found> {
    let measured = case.inputs.run.metrics.get(&quantity)?;
    let values = &measured.values;
    let (mean, count) = (values.mean.filter(|mean| *mean > 0.0)?, values.count.filter(|count| *count >= SEVERAL)?);
    let from = measured.at.clone().unwrap_or_else(|| quantity.name().to_owned());
    let others = values.first.map(|first| (first, (mean * count as f64 - first) / (count - 1) as f64));
    let found = match (others, values.std) {
        (Some((first, others)), _) if others > 0.0 && first > others * (1.0 + MATTERS) => {
            let says = format!(
                "the first of {count} repetitions took {:.2}× as long as the others: it is a warm-up",
                first / others
            );
            let found = Found::new(Severity::Warning, says)
                .number("the first", first, EvidenceUnit::Seconds, from.clone())
                .number("mean of the others", others, EvidenceUnit::Seconds, from)
                .attempt("a run before the first one that counts (llama-bench: no `--no-warmup`), or more repetitions (`-r`)");
            (found, mean - others)
        }
        (_, Some(std)) if std >= MATTERS * mean => {
            let says = format!(
                "{count} repetitions of the same work differ: their standard deviation is {:.0} % of the mean",
                std / mean * 100.0
            );
            let found = Found::new(Severity::Note, says)
                .number("mean", mean, EvidenceUnit::Seconds, from.clone())
                .number("standard deviation", std, EvidenceUnit::Seconds, from)
                .attempt("nothing else on the machine, fixed clocks, and more repetitions (`-r`)")
                .decide("the same run twice: what comes back within a per cent is a measurement");
            (found, values.min.map_or(0.0, |min| mean - min))
        }
        _ => return None,
    };
    let (found, worth) = found;
    Some(match kind(case, quantity) {
        Some(kind) => found.worth(kind, Seconds(worth)),
        None => found,
    })
}

/// The phase that a quantity is the time of.
fn kind(case: &Case<'_>, quantity: Quantity) -> Option<Kind> {
    let of = |phase: &&super::Phase| {
        phase.quantity == quantity || (phase.kind == Kind::Prefill && quantity == Quantity::PrefillTime)
    };
    case.phases.iter().find(of).map(|phase| phase.kind)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Run;
    use crate::diagnose::{Found, Severity, Worth};
    use crate::observe::{Distribution, Measured, Quantity, Source, Tool};

    fn repeated(tool: Tool, samples: &[f64]) -> Option<Found> {
        let mut run = Run::measured().with(|typed| typed.tpot = None);
        run.observed.sources = vec![Source { tool, version: None, file: Some("bench.json[0]".to_owned()) }];
        let values = Distribution::of_samples(samples.to_vec());
        let at = Some("bench.json[0].avg_ns".to_owned());
        run.observed.metrics.insert(Quantity::Tpot, Measured::stated(Quantity::Tpot, values, at));
        run.finds("RL025")
    }

    #[test]
    fn a_slow_first_repetition_is_a_warm_up() {
        let found = repeated(Tool::LlamaBench, &[9e-3, 6e-3, 6e-3, 6e-3, 6e-3]).unwrap();
        assert!(found.severity == Severity::Warning && found.says.contains("1.50×"), "{}", found.says);
        assert!(
            matches!(found.worth, Some(Worth::Time { up_to, .. }) if (up_to.get() - 0.6e-3).abs() < 1e-9),
            "{found:?}"
        );
    }

    #[test]
    fn repetitions_that_differ_are_noted() {
        let found = repeated(Tool::LlamaBench, &[6e-3, 8e-3, 6e-3, 8e-3, 6e-3]).unwrap();
        assert!(found.severity == Severity::Note && found.says.contains("standard deviation"), "{}", found.says);
    }

    #[test]
    fn repetitions_that_agree_and_requests_are_no_finding() {
        assert_eq!(repeated(Tool::LlamaBench, &[6.1e-3, 6e-3, 6e-3, 6.05e-3, 6e-3]), None);
        assert_eq!(repeated(Tool::LlamaBench, &[9e-3, 6e-3]), None);
        assert_eq!(repeated(Tool::VllmServe, &[9e-3, 6e-3, 6e-3, 6e-3, 6e-3]), None);
        assert_eq!(Run::measured().finds("RL025"), None);
    }
}
