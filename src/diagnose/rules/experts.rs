//! RL013: more experts than a token chooses.

use super::{MATTERS, Rule, rest};
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::diagnose::phase::{Kind, Phase};
use crate::estimate::Staged;
use crate::graph::{Kind as Work, Operator};
use crate::model::{Experts, FeedForward, Model};
use crate::observe::Caveat;
use crate::units::Seconds;

pub(super) const RULE: Rule = Rule {
    id: "RL013",
    name: "more experts read than a token chooses",
    explain: "A token goes through a few experts of each layer, and the parameters that a model is said to have active are theirs. But the tokens of a batch choose different ones, and each expert that \
any of them chose is read: of E experts, b tokens that choose k each read about E·(1 − (1 − k/E)^b). With 8 of 128, a batch of 16 reads 82. So decoding of a batch costs many times the active parameters, and \
grows with the batch until nearly all experts are read; from there on, further sequences are free as in any other model.

It is noted where the experts beyond those of one token take a tenth of the time or more, by the estimator with and without them. And it is noted where the run took as long as if all experts were read although \
its tokens choose fewer: some engines multiply with every expert. What else takes as long cannot be told from a time alone; the bytes that a step reads decide. Real text chooses some experts more often than others (`--skew`), which makes them fewer.",
    check,
};

/// How many times the experts of one token must be read to be worth a word.
const SEVERAL: f64 = 1.5;
/// How much longer than with all experts a run may take to be like one that read them.
const LIKE: f64 = 1.5;

fn check(case: &Case<'_>) -> Option<Found> {
    let phase = case.phase(Kind::Decode)?;
    let experts = most(case.inputs.subject.model)?;
    let step = case.placed.lower(&phase.step());
    let devices = case.inputs.scenario.layout.expert.max(1) as f64;
    let (chosen, all) = (experts.per_token.min(experts.count) as f64 / devices, experts.count as f64 / devices);
    let distinct = distinct(&step)?;
    let now = case.cost(Kind::Decode).ok()?.time;
    let (least, most) = (reading(case, &step, chosen)?, reading(case, &step, all)?);
    let found = as_if_all(phase, &experts, distinct, most - now).or_else(|| {
        let cost = now - least;
        if distinct < SEVERAL * chosen || cost / phase.measured < MATTERS {
            return None;
        }
        let says = format!(
            "a step of {} tokens reads {distinct:.0} of {:.0} experts in each layer, not the {chosen:.0} of one token",
            phase.sequences.saturating_mul(phase.new_tokens),
            all
        );
        Some(
            Found::new(Severity::Note, says)
                .number("with the experts of one token", least.get(), EvidenceUnit::Seconds, "estimate")
                .worth(Kind::Decode, cost)
                .attempt("hold the run against what its batch reads and not against the active parameters; where nearly all experts are read, a larger batch costs little more")
                .attempt("expert parallelism (`--ep`): each device reads fewer of them"),
        )
    })?;
    let found = found
        .number("experts read in each layer", distinct, EvidenceUnit::Count, "expected, tokens choosing by `--skew`")
        .number("a step as it is", now.get(), EvidenceUnit::Seconds, "estimate")
        .number("with all experts", most.get(), EvidenceUnit::Seconds, "estimate");
    Some(if case.inputs.run.caveats.contains(&Caveat::RandomTokens) {
        found.text("tokens", "random", "the tool: experts are not chosen as for text")
    } else {
        found
    })
}

/// A run that took as long as if all experts were read.
fn as_if_all(phase: &Phase, experts: &Experts, distinct: f64, unread: Seconds) -> Option<Found> {
    let unexplained = rest(phase);
    if unread / phase.measured < MATTERS || unexplained < unread || unexplained > unread * LIKE {
        return None;
    }
    let says = format!(
        "decode takes as long as if all {} experts of a layer were read, not the {distinct:.0} that its tokens choose",
        experts.count
    );
    Some(
        Found::new(Severity::Note, says)
            .number("unexplained", unexplained.get(), EvidenceUnit::Seconds, "waterfall")
            .worth(Kind::Decode, unread)
            .attempt("an engine with kernels for chosen experts alone (grouped matrix products)")
            .decide("the bytes that a step reads, in a profiler (Nsight Compute: `dram__bytes_read.sum`)"),
    )
}

/// The largest mixture of a model's layers.
fn most(model: &Model) -> Option<Experts> {
    let experts = model.blocks.iter().filter_map(|block| match block.ffn {
        FeedForward::Experts(experts) => Some(experts),
        _ => None,
    });
    experts.max_by_key(|experts| experts.count).filter(|experts| experts.count > experts.per_token)
}

/// Experts of a layer that get a token.
fn distinct(step: &Staged) -> Option<f64> {
    let operators = step.graphs.iter().flat_map(|graph| &graph.operators);
    let distinct = operators.filter_map(|operator| match operator.kind {
        Work::Experts { distinct, .. } => Some(distinct),
        _ => None,
    });
    distinct.reduce(f64::max).filter(|distinct| *distinct > 0.0)
}

/// The time of a step that reads so many experts in each layer.
fn reading(case: &Case<'_>, step: &Staged, experts: f64) -> Option<Seconds> {
    let step = step.with(|operator| {
        Some(match operator.kind {
            Work::Experts { distinct, .. } if distinct > 0.0 => {
                Operator { weights: operator.weights * (experts / distinct), ..*operator }
            }
            _ => *operator,
        })
    });
    step.cost(case.estimator.costing).ok().map(|cost| cost.time)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Run, ms};
    use crate::diagnose::Worth;
    use crate::observe::Typed;

    /// 128 experts, of which each token chooses 8.
    fn qwen3(batch: u64, tpot: f64) -> Run {
        let typed = Typed {
            tpot: Some(ms(tpot)),
            batch: Some(batch),
            prompt: Some(1024),
            generate: Some(128),
            ..Typed::default()
        };
        Run::new("qwen3-30b-a3b", "nvidia-h100-sxm", typed)
    }

    #[test]
    fn a_batch_reads_more_experts_than_a_token() {
        let found = qwen3(16, 16.0).finds("RL013").unwrap();
        // 128 · (1 − (120/128)^16).
        assert!(
            found.says.contains("reads 82 of 128 experts") && found.says.contains("the 8 of one token"),
            "{}",
            found.says
        );
        assert!(matches!(found.worth, Some(Worth::Time { up_to, .. }) if up_to.get() > 0.008), "{found:?}");
    }

    #[test]
    fn a_run_as_slow_as_with_all_experts_is_noted() {
        // 61 GB take 18.2 ms; a token alone 2 ms.
        let found = qwen3(1, 20.0).finds("RL013").unwrap();
        assert!(found.says.contains("as if all 128 experts") && found.decide.is_some(), "{}", found.says);
    }

    #[test]
    fn a_single_token_and_a_dense_model_read_what_they_are_said_to() {
        assert_eq!(qwen3(1, 2.5).finds("RL013"), None);
        // Far slower than any number of experts.
        assert_eq!(qwen3(1, 100.0).finds("RL013"), None);
        assert_eq!(Run::qwen().finds("RL013"), None);
    }
}
