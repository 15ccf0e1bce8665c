//! RL012: windows of attention that the engine does not make use of.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::estimate::Subject;
use crate::model::{Mixer, Model};
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL012",
    name: "windows not capped by the engine",
    explain: "Layers with a window look back on so many tokens and no further, so that their caches and what is read of them end there. Some engines keep and read such layers like all others: then \
a long context costs the memory and the time of a model without windows. At 32 thousand tokens that is six times the cache of a model whose layers are windowed five times out of six.

It is noted where the context is beyond the window, and the run took at least as long as the same model without windows would by the estimate. What it is worth is the difference of those two estimates. A run of the same model with a context within its \
window decides, because there both are the same.",
    check,
};

fn check(case: &Case<'_>) -> Option<Found> {
    case.phases.iter().rev().find_map(|phase| uncapped(case, phase))
}

fn uncapped(case: &Case<'_>, phase: &Phase) -> Option<Found> {
    let model = case.inputs.subject.model;
    let window = narrowest(model).filter(|&window| window < phase.context)?;
    let whole = without_windows(model);
    let subject = Subject { model: &whole, ..case.inputs.subject };
    let without = case.with(phase.kind, &subject, &case.inputs.scenario.layout)?;
    let capped = case.cost(phase.kind).ok()?.time;
    let cost: Seconds = without - capped;
    if cost / phase.measured < MATTERS || rest(phase) < cost {
        return None;
    }
    let says =
        format!("{} takes as long as if the engine made no use of windows of {window} tokens", phase.kind.word());
    Some(
        Found::new(Severity::Note, says)
            .number("context", phase.context as f64, EvidenceUnit::Count, "the run")
            .number("with windows", capped.get(), EvidenceUnit::Seconds, "estimate")
            .number("without", without.get(), EvidenceUnit::Seconds, "estimate")
            .number("unexplained", rest(phase).get(), EvidenceUnit::Seconds, "waterfall")
            .worth(phase.kind, cost)
            .attempt("an engine, or an attention backend, that supports windows; check that it is not switched off for this model")
            .decide(format!("the same run with {} within {window} tokens of context", if phase.kind == Kind::Decode { "decoding" } else { "prompts" })),
    )
}

/// The narrowest window of a model's layers.
fn narrowest(model: &Model) -> Option<u64> {
    let window = |mixer: &Mixer| match mixer {
        Mixer::Attention(attention) => attention.window,
        _ => None,
    };
    model.blocks.iter().filter_map(|block| window(&block.mixer)).min()
}

/// The same model, all of whose layers look back on everything.
fn without_windows(model: &Model) -> Model {
    let mut model = model.clone();
    for block in &mut model.blocks {
        if let Mixer::Attention(attention) = &mut block.mixer {
            attention.window = None;
        }
    }
    model
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::observe::Typed;

    /// Mistral-7B looks back on 4096 tokens.
    fn mistral(prompt: u64, tpot: f64) -> Run {
        let typed = Typed {
            tpot: Some(ms(tpot)),
            batch: Some(16),
            prompt: Some(prompt),
            generate: Some(2),
            ..Typed::default()
        };
        Run::new("mistral-7b-v0.1", "nvidia-h100-sxm", typed)
    }

    #[test]
    fn a_run_as_slow_as_without_windows_is_noted() {
        // 4.24 ms for weights and 2.56 for 4096 tokens; 19.6 would be all of 31,300.
        let found = mistral(31_300, 30.0).finds("RL012").unwrap();
        assert!(found.says.contains("windows of 4096 tokens"), "{}", found.says);
    }

    #[test]
    fn capped_windows_and_short_contexts_are_not() {
        assert_eq!(mistral(31_300, 9.0).finds("RL012"), None);
        assert_eq!(mistral(4000, 30.0).finds("RL012"), None);
        assert_eq!(Run::qwen().finds("RL012"), None);
    }
}
