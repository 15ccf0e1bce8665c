//! The ceilings as costs ask for them: every question is put to the profile once, and remembered.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use super::error::Lack;
use super::knowledge::{Bound, Knowledge, Need, Source};
use crate::profile::{Answer, CalibratedEngine, Ceilings, Demand, How, Known, Place};
use crate::resource::{Access, MemoryLevel, Resource, Scope, StreamOp};
use crate::units::{Bytes, Seconds};

/// Answers that are remembered; when there are as many, all are forgotten. A sweep over contexts asks at every one of them.
const MOST_ANSWERS: usize = 1 << 16;

/// An answer, in short.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rate {
    /// The rate, or the time, in the resource's unit.
    pub(super) value: f64,
    /// How it is known.
    pub(super) knowledge: Knowledge,
    /// The resource that was asked for.
    pub(super) resource: Resource,
    /// Where.
    pub(super) at: Place,
    /// What was wanted, where that has no rate and the resource stands for it.
    pub(super) stands_for: Option<Resource>,
}

impl Rate {
    /// How long some bytes or operations take.
    pub(super) fn need(self, of: Bound, amount: f64) -> Need {
        let Self { resource, at, stands_for, .. } = self;
        let from = Source::Ceiling { resource, at, stands_for };
        let substituted = self.knowledge.max(Knowledge::Substituted);
        let knowledge = if stands_for.is_some() { substituted } else { self.knowledge };
        Need { of, time: Seconds(amount / self.value), from, knowledge }
    }

    /// The slower of two.
    pub(super) fn slower(self, other: Self) -> Self {
        if other.value < self.value { other } else { self }
    }
}

/// A place whose numbers can be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Spot {
    Anywhere,
    Number(u64),
    Shape(u64, u64, u64),
}

/// A profile that is asked, and an engine's before it, with what they answered.
#[derive(Clone, Debug)]
pub(super) struct Asked<'a> {
    ceilings: Ceilings<'a>,
    engine: Option<&'a CalibratedEngine>,
    answers: RefCell<FxHashMap<(Resource, Spot), Option<Rate>>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(ceilings: Ceilings<'a>) -> Self {
        Self { ceilings, engine: None, answers: RefCell::default() }
    }

    /// The same with an engine, whose operators count before the device's.
    pub(super) fn with_engine(self, engine: &'a CalibratedEngine) -> Self {
        Self { engine: Some(engine), answers: RefCell::default(), ..self }
    }

    /// Whether an engine's products have the passes around them in them.
    pub(super) fn passes_within(&self) -> bool {
        self.engine.is_some_and(|engine| engine.document().passes_within)
    }

    /// What an engine's own points say.
    pub(super) fn of_engine(&self, resource: Resource, at: Place) -> Option<Known> {
        Ceilings::new(self.engine?.ceilings()).own(&Demand { resource, scope: Scope::Device, at })
    }

    /// The whole answer, with its error, its flags and its reasons.
    pub(super) fn answer(&self, resource: Resource, at: Place) -> Answer {
        self.ceilings.ask(&Demand { resource, scope: Scope::Device, at })
    }

    /// How fast a resource can go at a place.
    pub(super) fn rate(&self, resource: Resource, at: Place) -> Result<Rate, Lack> {
        let spot = match at {
            Place::Anywhere => Spot::Anywhere,
            Place::Bytes(number) | Place::Tokens(number) => Spot::Number(number.to_bits()),
            Place::Shape(shape) => Spot::Shape(shape.m, shape.n, shape.k),
        };
        let remembered = self.answers.borrow().get(&(resource, spot)).copied();
        let rate = remembered.unwrap_or_else(|| {
            let rate = self.put(resource, at);
            let mut answers = self.answers.borrow_mut();
            if answers.len() >= MOST_ANSWERS {
                answers.clear();
            }
            answers.insert((resource, spot), rate);
            rate
        });
        rate.ok_or_else(|| Lack { resource, why: self.why_missing(resource, at) })
    }

    /// Puts a question to the engine, and to the profile where that has no answer. Beyond the largest working set that was measured, a curve is asked for its far end: that is main memory, whose
    /// bandwidth does not depend on how much lies in it, and not a guess about sizes unseen.
    fn put(&self, resource: Resource, at: Place) -> Option<Rate> {
        if let Some(known) = self.of_engine(resource, at) {
            return Some(Rate { value: known.value, knowledge: Knowledge::Engine, resource, at, stands_for: None });
        }
        let answer = self.answer(resource, at);
        let known = answer.known()?;
        if let (Place::Bytes(wanted), How::Extrapolated { from: Place::Bytes(end) }) = (at, &known.how)
            && *end < wanted
        {
            return self.put(resource, Place::Anywhere);
        }
        Some(Rate { value: known.value, knowledge: Knowledge::from(&known.how), resource, at, stands_for: None })
    }

    fn why_missing(&self, resource: Resource, at: Place) -> String {
        match self.answer(resource, at) {
            Answer::Missing { why } => why,
            Answer::Known(_) => "it has no value there".to_owned(),
        }
    }

    /// A resource's rate, or that of the first of some others that has one; the lack is that of the resource itself.
    pub(super) fn first(
        &self,
        best: Resource,
        others: impl IntoIterator<Item = Resource>,
        at: Place,
    ) -> Result<Rate, Lack> {
        let own = self.rate(best, at);
        if own.is_ok() {
            return own;
        }
        let stands_in = |rate: Rate| Rate { stands_for: Some(best), ..rate };
        others.into_iter().find_map(|other| self.rate(other, at).ok()).map_or(own, |rate| Ok(stands_in(rate)))
    }

    /// How fast pure loads go in a working set: what no reading of weights or caches may beat.
    pub(super) fn read(&self, working_set: Bytes) -> Result<Rate, Lack> {
        self.stream(StreamOp::Read, working_set)
    }

    /// How fast a stream goes in a working set; where its curve was not measured, out of main memory.
    pub(super) fn stream(&self, op: StreamOp, working_set: Bytes) -> Result<Rate, Lack> {
        let access = Access::plain(op);
        let curve = self.rate(Resource::Memory { level: None, access }, Place::Bytes(working_set.get()));
        match curve {
            Ok(rate) if rate.knowledge.is_own() => Ok(rate),
            _ => self.rate(Resource::Memory { level: Some(MemoryLevel::Dram), access }, Place::Anywhere),
        }
    }
}
