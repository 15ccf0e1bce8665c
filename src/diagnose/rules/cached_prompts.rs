//! RL022: prompts that were processed before.

use super::Rule;
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::estimate::search::try_last;
use crate::graph::{Sequences, Step};
use crate::observe::{Quantity, Tool};
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL022",
    name: "prompts that were cached already",
    explain: "Servers keep the caches of earlier prompts and process only what is new of the next one: after a shared instruction, after an earlier turn, or when a benchmark sends the same prompts again. The time to the first token is then that of a part of the prompt, and \
holds for no other load. What is decoded attends to all of it as before.

Where the run says how much came from a cache (or `--cached-prompts` does), the account is of the rest, and it is noted with the time that whole prompts would take by the estimate. Where a server does not say, and the first token came before the device could have processed the prompt, it is noted how much must have \
been cached at least, if that explains it. A wrong length or unit looks the same (`RL001`); the same run without such a cache decides.",
    check,
};

/// The share of the tokens that is worth a word.
const SOME: f64 = 0.05;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Prefill)?;
    let found = match case.stated(Quantity::CacheHitRate) {
        Some((share, from)) => known(case, phase, share, from)?,
        None => implied(case, phase)?,
    };
    Some(found.decide("the same run without that cache (vLLM: `--no-enable-prefix-caching`; SGLang: `--disable-radix-cache`), or with random prompts"))
}

fn known(case: &Case<'_>, phase: &Phase, share: f64, from: String) -> Option<Found> {
    if share < SOME {
        return None;
    }
    let whole = time(case, phase, 0)?;
    Some(
        Found::new(
            Severity::Note,
            format!(
                "{:.0} % of the prompts' tokens came from a cache: the first token is that of the rest",
                share * 100.0
            ),
        )
        .number("tokens from a cache", share, EvidenceUnit::Share, from)
        .number(
            "the tokens processed",
            time(case, phase, phase.context.saturating_sub(phase.new_tokens))?.get(),
            EvidenceUnit::Seconds,
            "estimate",
        )
        .number("all tokens", whole.get(), EvidenceUnit::Seconds, "estimate with nothing cached"),
    )
}

/// A first token that came too early for the whole prompt, on a server that may have cached some of it.
fn implied(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    let floor = phase.floor.as_ref().filter(|floor| phase.measured < floor.time)?;
    let sources = &case.inputs.run.sources;
    let serves = |tool: Tool| {
        matches!(tool, Tool::VllmServe | Tool::SglangServing | Tool::AiPerf | Tool::GenaiPerf | Tool::TrtllmBench)
    };
    // A batch that begins together is a measurement of prompts, whose length is the likelier mistake.
    if case.starts_together() || !sources.iter().all(|source| serves(source.tool)) {
        return None;
    }
    // The least that must have been cached: time falls with it, so that halving finds it.
    let most = phase.new_tokens.checked_sub(1)?;
    if time(case, phase, most)? > phase.measured {
        return None;
    }
    let are_too_few = |cached| time(case, phase, cached).map(|time| time > phase.measured).ok_or(());
    let enough = (try_last(0, most, are_too_few).ok()? + 1).min(most);
    let share = enough as f64 / phase.new_tokens as f64;
    Some(
        Found::new(
            Severity::Note,
            format!(
                "the first token came before the prompt could be processed: {:.0} % of it or more may have been cached",
                share * 100.0
            ),
        )
        .number("measured", phase.measured.get(), EvidenceUnit::Seconds, phase.from.clone())
        .number(
            "floor of the whole prompt",
            floor.time.get(),
            EvidenceUnit::Seconds,
            format!("{} figures", floor.knowledge()),
        )
        .number("tokens that must have been cached", enough as f64, EvidenceUnit::Count, "estimate of what is left")
        .attempt("give the share that was cached, so that the account is of the rest: `--cached-prompts 40%`"),
    )
}

/// The time of prompts of which so many tokens are cached.
fn time(case: &Case<'_>, phase: &Phase, cached: u64) -> Option<Seconds> {
    let new_tokens = phase.context.saturating_sub(cached).max(1);
    let group = Sequences { count: phase.sequences, new_tokens, cached, logits: 1 };
    case.placed.cost(&Step::of(group)).ok().map(|cost| cost.time)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};

    /// A prompt of 1024 tokens takes 46 ms.
    fn served(ttft: f64, cached: Option<f64>) -> Run {
        Run::qwen().with(|typed| {
            (typed.batch, typed.concurrency, typed.tpot) = (None, Some(1), None);
            (typed.ttft, typed.cached_prompts) = (Some(ms(ttft)), cached);
        })
    }

    #[test]
    fn a_stated_share_is_taken_into_account() {
        let run = served(30.0, Some(0.5));
        let found = run.finds("RL022").unwrap();
        assert!(found.says.starts_with("50 % of the prompts' tokens"), "{}", found.says);
        assert_eq!(run.diagnose().phases[0].new_tokens, 512);
        assert_eq!(run.finds("RL001"), None);
    }

    #[test]
    fn a_first_token_that_came_too_early_says_how_much_was_cached() {
        let found = served(25.0, None).finds("RL022").unwrap();
        assert!(found.says.contains("may have been cached"), "{}", found.says);
        let share: f64 =
            found.says.split(" % ").next().and_then(|text| text.rsplit(' ').next()).unwrap().parse().unwrap();
        assert!((40.0..60.0).contains(&share), "{share}");
    }

    #[test]
    fn whole_prompts_and_a_time_that_nothing_explains_are_no_finding() {
        assert_eq!(served(60.0, None).finds("RL022"), None);
        assert_eq!(served(60.0, Some(0.0)).finds("RL022"), None);
        // Reading the weights alone takes 9 ms.
        assert_eq!(served(2.0, None).finds("RL022"), None);
        assert_eq!(Run::qwen().finds("RL022"), None);
        let batch = served(25.0, None).with(|typed| (typed.batch, typed.concurrency) = (Some(1), None));
        assert_eq!(batch.finds("RL022"), None);
    }
}
