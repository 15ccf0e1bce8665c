//! What requests that run together do to each other: the prompts of some delay the tokens of the others.

use crate::graph::{Sequences, Step};

use super::mean::{mean_decode, time};
use super::spread::binomial;
use super::{Engine, Request, ServingError, Spread, StepTimes, prefill};

/// The times that a number of running requests comes to, one of which is at its prompt now and then. In seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Population {
    /// A step in which all decode, over the contexts of a request; 0 where one token is all there is.
    pub(crate) decode: f64,
    /// From the start of a prompt to its first token, the others decoding beside it where the engine does that.
    pub(crate) own: f64,
    /// What a prompt takes from the others: its time, less that of the tokens they get meanwhile.
    pub(crate) extra: f64,
    /// Steps of a prompt.
    pub(crate) chunks: f64,
    /// Steps that a prompt would fill: less than it goes through, where its last one has room for others.
    pub(crate) filled: f64,
    /// A step that is filled with prompts, the others decoding beside them.
    pub(crate) full: f64,
}

/// What a running request sees of a population in the steady state. In seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Residence {
    /// From its start to its first token, other prompts before its own included.
    pub(crate) first: f64,
    /// Of these, its own prompt.
    pub(crate) own: f64,
    /// Prompts of others before its own: a mean.
    pub(crate) ahead: f64,
    /// From a token to the next: a mean. None where one token is all there is.
    pub(crate) gap: Option<f64>,
    /// The intervals between its tokens.
    pub(crate) gaps: Option<Spread>,
}

impl Population {
    /// Of some requests that run.
    pub(crate) fn new(
        times: &impl StepTimes,
        engine: &Engine,
        request: &Request,
        running: u64,
    ) -> Result<Self, ServingError> {
        let decode = mean_decode(times, running, request)?.unwrap_or_default().get();
        let Some(tokens) = engine.max_batched_tokens else {
            let own = prefill::alone(times, engine, request, 1)?;
            return Ok(Self { decode, own, extra: own, chunks: 1.0, filled: 1.0, full: own });
        };
        // Where prompts fill every step, most of those that run wait with theirs: of a step's tokens, decoding has its
        // share of all tokens.
        let steps = request.decode_steps() as f64;
        let share = steps / (steps + request.prompt as f64);
        let others = (running - 1).min((tokens as f64 * share) as u64);
        let room = tokens.saturating_sub(others).max(1);
        let beside = beside(request, others);
        let prompt = prefill::chunked(times, request.prompt, room, &beside)?;
        let own = prompt.total();
        let chunks = request.prompt.div_ceil(room);
        let full = if chunks > 1 {
            prompt.before_last / (chunks - 1) as f64
        } else {
            filled_step(times, request, room, &beside)?
        };
        let lost = if others > 0 { chunks as f64 * time(times, &beside)? } else { 0.0 };
        let filled = request.prompt as f64 / room as f64;
        Ok(Self { decode, own, extra: (own - lost).max(0.0), chunks: chunks as f64, filled, full })
    }

    /// Intervals between tokens of this mean, into which prompts or chunks of others fall, so many in the mean of so
    /// many that might.
    pub(crate) fn intervals(&self, mean: f64, hits: f64, events: f64) -> Spread {
        if self.chunks > 1.0 {
            // A step has one chunk or none.
            let none = (1.0 - hits).max(0.0);
            let hit = if none < 1.0 { (mean - none * self.decode) / (1.0 - none) } else { mean };
            return Spread::of(vec![(self.decode, none), (hit.max(0.0), 1.0 - none)]);
        }
        let each = if hits > 0.0 { (mean - self.decode) / hits } else { 0.0 };
        let atoms = binomial(events, hits).into_iter();
        Spread::of(atoms.map(|(count, chance)| ((self.decode + count * each).max(0.0), chance)).collect())
    }

    /// Seconds for which no other prompt can be computed.
    pub(crate) fn occupied(&self) -> f64 {
        self.full * self.filled
    }

    /// Between two populations.
    pub(crate) fn toward(&self, other: &Self, share: f64) -> Self {
        let mix = |a: f64, b: f64| a + (b - a) * share;
        Self {
            decode: mix(self.decode, other.decode),
            own: mix(self.own, other.own),
            extra: mix(self.extra, other.extra),
            chunks: mix(self.chunks, other.chunks),
            filled: mix(self.filled, other.filled),
            full: mix(self.full, other.full),
        }
    }
}

/// Sequences that decode beside a prompt.
fn beside(request: &Request, others: u64) -> Step {
    if others > 0 { Step::decode(others, request.middle_context()) } else { Step::default() }
}

/// The time of a step with as many prompts as it has room for, the last of them in part.
fn filled_step(times: &impl StepTimes, request: &Request, room: u64, beside: &Step) -> Result<f64, ServingError> {
    let mut step = beside.clone();
    step.sequences.extend(Step::prefill(room / request.prompt, request.prompt).sequences);
    let rest = room % request.prompt;
    if rest > 0 {
        step = step.with(Sequences { count: 1, new_tokens: rest, cached: 0, logits: 0 });
    }
    time(times, &step)
}

/// What one of `running` requests sees when each is followed by another as soon as it ends.
///
/// While a request runs, each of the others ends once and brings one prompt. That prompt is as likely to come before
/// the request's own as in any of its intervals between tokens: of N places, each gets (running − 1) / N prompts. What
/// does not fit beside the tokens of an interval waits before its own start. The whole is conserved: in the time that a
/// request runs, every prompt is computed once.
pub(crate) fn residence(
    times: &impl StepTimes,
    engine: &Engine,
    request: &Request,
    running: u64,
) -> Result<Residence, ServingError> {
    let population = Population::new(times, engine, request, running)?;
    let Population { decode, own, chunks, filled, .. } = population;
    let (others, intervals) = ((running - 1) as f64, request.decode_steps() as f64);
    if engine.max_batched_tokens.is_none() {
        let each = others / (intervals + 1.0);
        let gap = (intervals > 0.0).then_some(decode + each * own);
        let gaps = gap.map(|gap| population.intervals(gap, each, others));
        return Ok(Residence { first: own + each * own, own, ahead: each, gap, gaps });
    }
    // Of a prompt that is met at its chunks, half are left, the present one included.
    let steps = intervals + chunks;
    let mut ahead = others * chunks / steps;
    let mut before = ahead * (chunks + 1.0) / 2.0;
    let mut hits = if intervals > 0.0 { (others * chunks - before) / intervals } else { f64::INFINITY };
    // Chunks that fill a step: the last ones of several prompts share it, and so do short prompts.
    let most = chunks / filled;
    let is_full = hits > most;
    if is_full {
        // The prompts that remain wait, and fill every step.
        hits = most;
        ahead = (others - most * intervals / chunks).max(0.0);
        before = (ahead * chunks).max(before);
    }
    let shared = SharedSteps { times, request, running, population: &population };
    let first = match chunks > 1.0 {
        true if is_full => own + before / most * population.full,
        true => own + before * own / chunks,
        false if 1.0 + before < most => shared.step(1.0 + before)?,
        false => population.full * filled * (1.0 + before),
    };
    let some = own / chunks;
    let mixed = if hits <= 1.0 {
        decode + (some - decode) * hits
    } else if is_full {
        population.full
    } else if chunks > 1.0 {
        some + (population.full - some) * (hits - 1.0) / (most - 1.0)
    } else {
        shared.step(hits)?
    };
    let gap = (intervals > 0.0).then_some(mixed);
    let gaps = gap.map(|gap| population.intervals(gap, hits, others * chunks));
    Ok(Residence { first, own, ahead, gap, gaps })
}

/// Steps of sequences that decode and whole prompts, fewer than fill them.
struct SharedSteps<'a, T> {
    times: &'a T,
    request: &'a Request,
    running: u64,
    population: &'a Population,
}

impl<T: StepTimes> SharedSteps<'_, T> {
    /// The time of a step with so many prompts: between whole numbers, on the line.
    fn step(&self, prompts: f64) -> Result<f64, ServingError> {
        let below = prompts.floor();
        let most = 1.0 / self.population.filled;
        let (above, after) =
            if below + 1.0 < most { (below + 1.0, self.at(below + 1.0)?) } else { (most, self.population.full) };
        let before = self.at(below)?;
        let width = above - below;
        Ok(if width > 0.0 { before + (after - before) * ((prompts - below) / width).min(1.0) } else { before })
    }

    fn at(&self, prompts: f64) -> Result<f64, ServingError> {
        if prompts <= 1.0 {
            return Ok(self.population.own);
        }
        let prompts = prompts as u64;
        let others = if self.request.output > 1 { self.running.saturating_sub(prompts) } else { 0 };
        let mut step = beside(self.request, others);
        step.sequences.extend(Step::prefill(prompts, self.request.prompt).sequences);
        time(self.times, &step)
    }
}

impl Residence {
    /// Seconds that a request runs.
    pub(crate) fn total(&self, request: &Request) -> f64 {
        self.first + self.gap.unwrap_or(0.0) * request.decode_steps() as f64
    }

    /// Seconds from the start of a request to its first token, with their chances: each of the others is ahead with the
    /// same.
    pub(crate) fn firsts(&self, others: u64) -> Vec<(f64, f64)> {
        let waiting = self.first - self.own;
        let each = if self.ahead > 0.0 { waiting / self.ahead } else { 0.0 };
        let atoms = binomial(others as f64, self.ahead).into_iter();
        atoms.map(|(count, chance)| (self.own + count * each, chance)).collect()
    }
}
