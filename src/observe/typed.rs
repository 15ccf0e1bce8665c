//! An observation of numbers that were typed in, checked against each other.

use super::contradiction::Contradiction;
use super::derive::apart;
use super::document::{Format, Load, Observation, Subject};
use super::metric::{Distribution, Measured, Quantity};
use super::text;
use crate::units::Seconds;

/// Times beyond this are a mistake in the unit.
const LONGEST: f64 = 1e7;

/// Counts and rates beyond this are a mistake.
const MOST: f64 = 1e12;

/// How far a throughput may be from what it is recognised by.
const CLOSE: f64 = 0.05;

/// Numbers of one run as somebody knows them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Typed {
    /// The model.
    pub model: Option<String>,
    /// The device.
    pub device: Option<String>,
    /// Format of the weights.
    pub weights: Option<String>,
    /// Format of the cache.
    pub kv: Option<String>,
    /// Time to the first token.
    pub ttft: Option<Seconds>,
    /// Time per output token after the first.
    pub tpot: Option<Seconds>,
    /// Time of a whole request.
    pub latency: Option<Seconds>,
    /// Tokens per second. Which tokens over which time is found by the other numbers.
    pub throughput: Option<f64>,
    /// Sequences that were processed together.
    pub batch: Option<u64>,
    /// Most requests under way at once.
    pub concurrency: Option<u64>,
    /// Prompt tokens of a request.
    pub prompt: Option<u64>,
    /// Generated tokens of a request.
    pub generate: Option<u64>,
    /// Tokens in the cache before.
    pub depth: Option<u64>,
    /// Devices that share each layer.
    pub tp: Option<u64>,
    /// Stages of layers.
    pub pp: Option<u64>,
    /// Devices that share the experts.
    pub ep: Option<u64>,
    /// Copies of the model.
    pub dp: Option<u64>,
    /// Tokens that a draft proposed for each step.
    pub draft_length: Option<u64>,
    /// Share of drafted tokens that were accepted.
    pub acceptance: Option<f64>,
    /// Share of prompt tokens that came from a cache.
    pub cached_prompts: Option<f64>,
    /// Threads that computed on the host.
    pub threads: Option<u64>,
    /// Share of the weights outside of the device's memory.
    pub host_weights: Option<f64>,
    /// Share of the cache outside of the device's memory.
    pub host_kv: Option<f64>,
}

/// Why typed numbers are no observation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TypedError {
    /// A number cannot be what it is said to be.
    #[error("`{flag}` is {value}; expected {expected}")]
    Number {
        /// The flag.
        flag: &'static str,
        /// The number.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// Nothing was measured.
    #[error("nothing was measured: give one of `--ttft`, `--tpot`, `--latency` and `--throughput` at least")]
    Nothing,
}

impl Typed {
    /// The observation, with what follows from it, and what of it cannot be true.
    ///
    /// # Errors
    /// When a number is zero, negative, not a number or beyond reason, and when nothing was measured.
    pub fn observation(&self) -> Result<(Observation, Vec<Contradiction>), TypedError> {
        let times = [self.ttft, self.tpot, self.latency];
        if times.iter().all(Option::is_none) && self.throughput.is_none() {
            self.check()?;
            return Err(TypedError::Nothing);
        }
        self.over(&Observation::new(Vec::new()))
    }

    /// An observation with what was typed in place of what it says, with what follows from it, and what of it cannot be true.
    ///
    /// # Errors
    /// When a number is zero, negative, not a number or beyond reason.
    pub fn over(&self, run: &Observation) -> Result<(Observation, Vec<Contradiction>), TypedError> {
        self.check()?;
        let word = |given: &Option<String>| given.as_deref().map(text::clean).filter(|word| !word.is_empty());
        let format = |given: &Option<String>| given.as_deref().and_then(Format::named);
        let tokens = |given: Option<u64>| given.map(|tokens| tokens as f64);
        let mut run = run.clone();
        run.metrics.retain(|_, measured| measured.derived.is_none());
        let (subject, load) = (run.subject, run.load);
        run.subject = Subject {
            model: word(&self.model).or(subject.model),
            device: word(&self.device).or(subject.device),
            weights: format(&self.weights).or(subject.weights),
            kv: format(&self.kv).or(subject.kv),
            ..subject
        };
        run.load = Load {
            batch: self.batch.or(load.batch),
            concurrency: self.concurrency.or(load.concurrency),
            prompt: tokens(self.prompt).or(load.prompt),
            generate: tokens(self.generate).or(load.generate),
            depth: tokens(self.depth).or(load.depth),
            tp: self.tp.or(load.tp),
            pp: self.pp.or(load.pp),
            ep: self.ep.or(load.ep),
            dp: self.dp.or(load.dp),
            draft_length: tokens(self.draft_length).or(load.draft_length),
            threads: self.threads.or(load.threads),
            host_weights: self.host_weights.or(load.host_weights),
            host_kv: self.host_kv.or(load.host_kv),
            ..load
        };
        for (quantity, time) in
            [(Quantity::Ttft, self.ttft), (Quantity::Tpot, self.tpot), (Quantity::RequestLatency, self.latency)]
        {
            if let Some(time) = time {
                state(&mut run, quantity, time.get());
            }
        }
        for (quantity, share) in
            [(Quantity::AcceptanceRate, self.acceptance), (Quantity::CacheHitRate, self.cached_prompts)]
        {
            if let Some(share) = share {
                state(&mut run, quantity, share);
            }
        }
        if let Some(throughput) = self.throughput {
            let quantity = kind_of_rate(&run, throughput);
            state(&mut run, quantity, throughput);
        }
        run.derive();
        let contradictions = run.contradictions();
        Ok((run, contradictions))
    }

    fn check(&self) -> Result<(), TypedError> {
        let times = [("--ttft", self.ttft), ("--tpot", self.tpot), ("--latency", self.latency)];
        for (flag, time) in times.into_iter().filter_map(|(flag, time)| Some((flag, time?.get()))) {
            if !(time > 0.0 && time <= LONGEST) {
                return Err(TypedError::Number { flag, value: time, expected: "a time above 0, in seconds" });
            }
        }
        if let Some(value) = self.throughput.filter(|&rate| !(rate > 0.0 && rate <= MOST)) {
            return Err(TypedError::Number { flag: "--throughput", value, expected: "tokens per second, above 0" });
        }
        let shares = [
            ("--acceptance", self.acceptance),
            ("--cached-prompts", self.cached_prompts),
            ("--offload weights", self.host_weights),
            ("--offload kv", self.host_kv),
        ];
        for (flag, value) in shares.into_iter().filter_map(|(flag, share)| Some((flag, share?))) {
            if !(0.0..=1.0).contains(&value) {
                return Err(TypedError::Number { flag, value, expected: "a share from 0 to 1" });
            }
        }
        let counts = [
            ("--batch", self.batch),
            ("--concurrency", self.concurrency),
            ("--prompt", self.prompt),
            ("--generate", self.generate),
            ("--tp", self.tp),
            ("--pp", self.pp),
            ("--ep", self.ep),
            ("--dp", self.dp),
            ("--draft-length", self.draft_length),
            ("--threads", self.threads),
            // An empty cache is a depth too.
            ("--depth", self.depth.filter(|&depth| depth > 0)),
        ];
        for (flag, count) in counts.into_iter().filter_map(|(flag, count)| Some((flag, count? as f64))) {
            if !(1.0..=MOST).contains(&count) {
                return Err(TypedError::Number { flag, value: count, expected: "a whole number from 1 to 1e12" });
            }
        }
        Ok(())
    }
}

fn state(run: &mut Observation, quantity: Quantity, value: f64) {
    run.metrics.insert(quantity, Measured::stated(quantity, Distribution::single(value), None));
}

/// What a throughput counts: people mean tokens per second while decoding, or of answers over the whole time, or of prompts and answers. It is the one that the
/// other numbers give; where none fits, that of answers, or else that of decoding, so that the contradiction is found.
fn kind_of_rate(run: &Observation, throughput: f64) -> Quantity {
    let mut known = run.clone();
    known.derive();
    let kinds = [Quantity::DecodeRate, Quantity::OutputRate, Quantity::TotalRate];
    let fits = |quantity: &Quantity| known.typical(*quantity).is_some_and(|value| apart(throughput, value) <= CLOSE);
    let fallback =
        || [Quantity::OutputRate, Quantity::DecodeRate].into_iter().find(|kind| known.metrics.contains_key(kind));
    kinds.into_iter().find(fits).or_else(fallback).unwrap_or(Quantity::OutputRate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The run of conformance cases C52 to C56: Qwen2.5-7B, 1024 in, 1024 out, batch 16.
    fn qwen() -> Typed {
        Typed {
            ttft: Some(Seconds(1.08862)),
            tpot: Some(Seconds(0.01877)),
            batch: Some(16),
            prompt: Some(1024),
            generate: Some(1024),
            ..Typed::default()
        }
    }

    fn typical(typed: &Typed, quantity: Quantity) -> f64 {
        typed.observation().unwrap().0.typical(quantity).unwrap()
    }

    #[test]
    fn what_was_not_typed_follows() {
        // C56.
        assert!(apart(typical(&qwen(), Quantity::DecodeRate), 852.4) < 1e-4);
        assert!(apart(typical(&qwen(), Quantity::RequestLatency), 20.29) < 1e-3);
        // C30: N tokens take N - 1 steps.
        let one = Typed { generate: Some(1), tpot: None, ..qwen() };
        assert_eq!(typical(&one, Quantity::RequestLatency), 1.08862);
        let (run, contradictions) = qwen().observation().unwrap();
        assert_eq!(run.metrics[&Quantity::DecodeRate].derived.as_deref(), Some("batch / tpot"));
        assert!(contradictions.is_empty(), "{contradictions:?}");
    }

    #[test]
    fn a_step_with_a_draft_yields_what_was_accepted_and_one_more() {
        let drafted = Typed { draft_length: Some(4), acceptance: Some(0.5), ..qwen() };
        assert!(apart(typical(&drafted, Quantity::AcceptanceLength), 3.0) < 1e-12);
        let one = Typed { draft_length: None, acceptance: Some(0.5), ..qwen() };
        assert_eq!(one.observation().unwrap().0.typical(Quantity::AcceptanceLength), None);
    }

    #[test]
    fn a_throughput_is_recognised_by_the_other_numbers() {
        for (throughput, expected) in
            [(852.4, Quantity::DecodeRate), (807.4, Quantity::OutputRate), (1615.0, Quantity::TotalRate)]
        {
            let (run, contradictions) = Typed { throughput: Some(throughput), ..qwen() }.observation().unwrap();
            assert_eq!(run.metrics[&expected].derived, None, "{throughput}");
            assert!(contradictions.is_empty(), "{contradictions:?}");
        }
        let (run, _) = Typed { throughput: Some(5.0), ..Typed::default() }.observation().unwrap();
        assert_eq!(run.typical(Quantity::OutputRate), Some(5.0));
    }

    #[test]
    fn numbers_that_cannot_be_true_together_are_found() {
        let (_, contradictions) = Typed { throughput: Some(400.0), ..qwen() }.observation().unwrap();
        let text = contradictions.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(
            text.contains("`output_rate` is 400.000 token/s, but `batch * generate / request_latency` gives 807"),
            "{text}"
        );
        let (_, contradictions) = Typed { latency: Some(Seconds(10.0)), ..qwen() }.observation().unwrap();
        let is_latency =
            |found: &Contradiction| matches!(found, Contradiction::Formula { quantity: Quantity::RequestLatency, .. });
        assert!(contradictions.iter().any(is_latency), "{contradictions:?}");
        let (_, contradictions) = Typed { latency: Some(Seconds(1.0)), tpot: None, ..qwen() }.observation().unwrap();
        assert!(
            matches!(contradictions[..], [Contradiction::Beyond { quantity: Quantity::Ttft, .. }]),
            "{contradictions:?}"
        );
    }

    #[test]
    fn what_is_typed_wins_over_what_is_known_and_derives_anew() {
        let (known, _) = qwen().observation().unwrap();
        let typed = Typed { batch: Some(8), tpot: Some(Seconds(0.02)), ..Typed::default() };
        let (run, contradictions) = typed.over(&known).unwrap();
        assert_eq!((run.load.batch, run.load.prompt), (Some(8), Some(1024.0)));
        assert_eq!((run.typical(Quantity::Ttft), run.typical(Quantity::DecodeRate)), (Some(1.08862), Some(400.0)));
        assert!(contradictions.is_empty(), "{contradictions:?}");
        assert_eq!(Typed::default().over(&known).unwrap().0, known);
    }

    #[test]
    fn hostile_numbers_are_refused_by_name() {
        let error = |typed: Typed| typed.observation().unwrap_err().to_string();
        assert_eq!(
            error(Typed { tpot: Some(Seconds(0.0)), ..qwen() }),
            "`--tpot` is 0; expected a time above 0, in seconds"
        );
        assert!(error(Typed { ttft: Some(Seconds(f64::NAN)), ..qwen() }).contains("`--ttft` is NaN"));
        assert!(error(Typed { batch: Some(0), ..qwen() }).contains("`--batch` is 0"));
        assert!(error(Typed { prompt: Some(u64::MAX), ..qwen() }).contains("`--prompt` is 18446744073709552000"));
        assert!(error(Typed { throughput: Some(1e18), ..qwen() }).contains("`--throughput`"));
        assert!(error(Typed { acceptance: Some(60.0), ..qwen() }).contains("`--acceptance` is 60; expected a share"));
        assert!(error(Typed { cached_prompts: Some(f64::NAN), ..qwen() }).contains("`--cached-prompts` is NaN"));
        assert!(error(Typed { draft_length: Some(u64::MAX), ..qwen() }).contains("`--draft-length`"));
        assert_eq!(Typed { batch: Some(1), ..Typed::default() }.observation(), Err(TypedError::Nothing));
    }
}
