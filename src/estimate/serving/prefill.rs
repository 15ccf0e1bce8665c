//! Prompts on their way through the model, beside nothing or beside sequences that decode.

use crate::graph::{Sequences, Step};

use super::mean::{sum, time};
use super::{Engine, Request, ServingError, StepTimes};

/// Time of the prompts of a batch with nothing beside them, one after the other: as many whole ones in a step as its
/// tokens allow, or one in chunks.
pub(crate) fn alone(
    times: &impl StepTimes,
    engine: &Engine,
    request: &Request,
    batch: u64,
) -> Result<f64, ServingError> {
    let Some(tokens) = engine.max_batched_tokens else {
        return time(times, &Step::prefill(batch, request.prompt));
    };
    let together = tokens / request.prompt;
    if together == 0 {
        return Ok(batch as f64 * chunked(times, request.prompt, tokens, &Step::default())?.total());
    }
    let (full, rest) = (batch / together, batch % together);
    let mut seconds = 0.0;
    if full > 0 {
        seconds += full as f64 * time(times, &Step::prefill(together, request.prompt))?;
    }
    if rest > 0 {
        seconds += time(times, &Step::prefill(rest, request.prompt))?;
    }
    Ok(seconds)
}

/// The first step of the prompts of a batch.
pub(crate) fn first(engine: &Engine, request: &Request, batch: u64) -> Step {
    let tokens = engine.max_batched_tokens.unwrap_or(u64::MAX);
    Step::prefill((tokens / request.prompt).clamp(1, batch.max(1)), request.prompt.min(tokens))
}

/// One prompt in chunks.
pub(crate) struct Chunked {
    /// Seconds of all its steps but the last.
    pub(crate) before_last: f64,
    /// Seconds of its last step.
    pub(crate) last: f64,
}

/// Time of one prompt in chunks of at most so many tokens, each in a step together with others.
pub(crate) fn chunked(times: &impl StepTimes, prompt: u64, chunk: u64, beside: &Step) -> Result<Chunked, ServingError> {
    let full = prompt.div_ceil(chunk) - 1;
    let step = |cached, new_tokens, logits| {
        time(times, &beside.clone().with(Sequences { count: 1, new_tokens, cached, logits }))
    };
    let before_last = sum(full, |index| step(index * chunk, chunk, 0))?;
    let done = full * chunk;
    Ok(Chunked { before_last, last: step(done, prompt - done, 1)? })
}

impl Chunked {
    /// Seconds of all steps.
    pub(crate) fn total(&self) -> f64 {
        self.before_last + self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::serving::Untimed;
    use crate::units::Seconds;
    use std::cell::RefCell;

    #[test]
    fn every_token_of_every_prompt_goes_once() {
        for (prompt, batch, tokens) in
            [(100, 1, 100), (100, 7, 250), (1000, 3, 64), (5, 1, 2), (64, 4, 64), (65, 1, 64)]
        {
            let engine = Engine { max_batched_tokens: Some(tokens), ..Engine::default() };
            let most = RefCell::new(0);
            let times = |step: &Step| {
                let mut most = most.borrow_mut();
                *most = step.tokens().max(*most);
                Ok::<Seconds, Untimed>(Seconds(step.tokens() as f64))
            };
            let request = Request { prompt, output: 1 };
            assert!((alone(&times, &engine, &request, batch).unwrap() - (prompt * batch) as f64).abs() < 1e-9);
            assert!(*most.borrow() <= tokens);
        }
    }

    #[test]
    fn chunks_attend_to_those_before_and_only_the_last_has_logits() {
        let seen = RefCell::new(Vec::new());
        let times = |step: &Step| {
            seen.borrow_mut().push(step.sequences[0]);
            Ok::<Seconds, Untimed>(Seconds(1.0))
        };
        assert_eq!(chunked(&times, 10, 4, &Step::default()).unwrap().total(), 3.0);
        let expected = [(4, 0, 0), (4, 4, 0), (2, 8, 1)];
        let found: Vec<_> = seen.borrow().iter().map(|group| (group.new_tokens, group.cached, group.logits)).collect();
        assert_eq!(found, expected);
    }
}
