//! RL011: more requests than fit into memory.

use super::Rule;
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::host::is_computed_there;
use crate::diagnose::phase::Kind;
use crate::estimate::Load;

pub(super) const RULE: Rule = Rule {
    id: "RL011",
    name: "more requests than fit",
    explain: "Weights and the caches of all sequences share the device's memory. How many sequences of this length fit is their admission: beyond it an engine lets requests wait, or throws a cache \
away and computes it again. The batch then is that of admission, whatever was asked for, and the time to the first token grows by whole requests.

It warns where more requests were in flight than fit by the share of memory that the engine may use (`--memory`, `--free-memory`). A batch that fits nowhere and ran nevertheless says that an input is not \
what it is said to be: shorter sequences, a narrower cache, more devices, or a larger share of memory.",
    check,
};

fn check(case: &Case<'_>) -> Option<Found> {
    let admitted = case.engine.admitted();
    let (wanted, says) = match case.inputs.scenario.load {
        Load::Batch(batch) => {
            (batch, "does not fit into memory and ran nevertheless: an input is not what it is said to be")
        }
        Load::Closed(requests) => (requests, "in flight are more than fit into memory: the others wait"),
        Load::Open(_) => return None,
    };
    // What the host keeps of counted layers is known by what a step reads of them, and not by what they take up.
    let is_counted = !case.inputs.scenario.offload.is_none() && is_computed_there(case.inputs.run);
    if wanted <= admitted || is_counted {
        return None;
    }
    let found = Found::new(
        Severity::Warning,
        match case.inputs.scenario.load {
            Load::Batch(_) => format!("a batch of {wanted} {says}"),
            _ => format!("{wanted} requests {says}"),
        },
    )
    .number("fit into memory", admitted as f64, EvidenceUnit::Count, "admission by the estimate")
    .number(
        "room for caches",
        case.admission.cache_budget.get().max(0.0),
        EvidenceUnit::Bytes,
        "admission by the estimate",
    )
    .number("tokens of each at its end", case.inputs.scenario.full_length() as f64, EvidenceUnit::Count, "the run");
    let waiting = case.phase(Kind::Prefill).and_then(|phase| phase.spent_on(super::super::waterfall::Cause::Queueing));
    let found = match waiting {
        Some(spent) => found.worth(Kind::Prefill, spent.time),
        None => found,
    };
    Some(
        found
            .attempt(format!(
                "no more than {admitted} requests at once, a narrower cache (`--kv fp8`), or more devices"
            ))
            .decide("the engine's log: the blocks of its cache, and the requests that run and wait"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};

    #[test]
    fn c48_what_does_not_fit_is_said_with_what_does() {
        let found =
            Run::qwen().with(|typed| (typed.batch, typed.tpot) = (Some(500), Some(ms(60.0)))).finds("RL011").unwrap();
        assert!(found.says.starts_with("a batch of 500 does not fit"), "{}", found.says);
        let waiting = Run::qwen().with(|typed| {
            (typed.batch, typed.concurrency, typed.tpot, typed.ttft) =
                (None, Some(1000), Some(ms(60.0)), Some(ms(9e4)));
        });
        let found = waiting.finds("RL011").unwrap();
        assert!(found.says.contains("the others wait") && found.worth.is_some(), "{found:?}");
    }

    #[test]
    fn what_fits_is_no_finding() {
        assert_eq!(Run::qwen().finds("RL011"), None);
    }
}
