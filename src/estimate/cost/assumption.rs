//! What a step's time rests on beside measurements of its own ceilings: what stands for what, why, and for how much of the time.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::knowledge::{Knowledge, Need, Source};
use super::{Costing, StepCost};
use crate::profile::{Answer, How};
use crate::resource::{Overhead, Resource};
use crate::units::Seconds;

/// Something that was taken to be so.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Assumption {
    /// The resource that stands for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<Resource>,
    /// The resources that it stands for; without a stand-in, those of which something is assumed. Empty where it is no matter of ceilings.
    pub resources: Vec<Resource>,
    /// Why, or what is assumed.
    pub why: String,
    /// The time that rests on it.
    pub time: Seconds,
    /// That time as a share of the step's.
    pub share: f64,
}

impl Assumption {
    /// Whether another one assumes the same, if perhaps of other resources.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        (self.stand_in, &self.why) == (other.stand_in, &other.why)
    }

    /// Adds one to some others, to a like one if there is any.
    pub(in crate::estimate) fn join(self, others: &mut Vec<Self>) {
        match others.iter_mut().find(|other| other.is_like(&self)) {
            Some(like) => {
                like.time = like.time + self.time;
                like.share += self.share;
                like.add_resources(&self.resources);
            }
            None => others.push(self),
        }
    }

    /// Adds resources that it does not have yet.
    pub fn add_resources(&mut self, resources: &[Resource]) {
        for resource in resources {
            if !self.resources.contains(resource) {
                self.resources.push(*resource);
            }
        }
    }
}

impl fmt::Display for Assumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stand_in) = self.stand_in {
            write!(f, "`{stand_in}` for ")?;
        }
        for (index, resource) in self.resources.iter().enumerate() {
            write!(f, "{}`{resource}`", if index > 0 { ", " } else { "" })?;
        }
        write!(f, "{}{}", if self.resources.is_empty() { "" } else { ": " }, self.why)
    }
}

impl Costing<'_> {
    /// What a step's time rests on that was not measured: each with the time that rests on it, the longest first; then what was not known and left out.
    #[must_use]
    pub fn assumptions(&self, step: &StepCost) -> Vec<Assumption> {
        let operators = step.operators.iter().filter_map(|operator| {
            let time = (operator.time - operator.overhead) * operator.count as f64;
            operator.decisive().map(|need| (need, time))
        });
        let transfer = step.transfer.iter().map(|transfer| (&transfer.need, transfer.exposed));
        let mut assumptions: Vec<Assumption> = Vec::new();
        for (need, time) in operators.chain(transfer).filter(|(need, _)| need.knowledge > Knowledge::Fitted) {
            let share = if step.time.get() > 0.0 { time / step.time } else { 0.0 };
            let (stand_in, resource, why) = self.basis(need);
            let resources = resource.into_iter().collect();
            Assumption { stand_in, resources, why, time, share }.join(&mut assumptions);
        }
        assumptions.sort_by(|a, b| b.time.get().total_cmp(&a.time.get()));
        assumptions.extend(self.engine_assumption(step));
        if step.overhead.is_none() {
            let resources = vec![Resource::Overhead { of: Overhead::Launch }];
            let why = "not known; starting kernels is taken to cost nothing".to_owned();
            assumptions.push(Assumption { stand_in: None, resources, why, time: Seconds(0.0), share: 0.0 });
        }
        assumptions
    }

    /// What a rate rests on: what stands in, for what, and why.
    fn basis(&self, need: &Need) -> (Option<Resource>, Option<Resource>, String) {
        let (resource, at, wanted) = match need.from {
            Source::Ceiling { resource, at, stands_for } => (resource, at, stands_for),
            Source::Link => {
                return (None, None, self.peers.as_ref().map_or_else(String::new, |peers| peers.why().to_owned()));
            }
            Source::HostLink => {
                let why = "the link that offloaded bytes come over is as given, and nothing else uses it";
                return (None, None, why.to_owned());
            }
        };
        if need.knowledge == Knowledge::Engine {
            return (None, Some(resource), self.why_of_engine(resource, at));
        }
        let (stand_in, why) = match self.asked.answer(resource, at) {
            Answer::Missing { why } => (None, why),
            Answer::Known(known) => match known.how {
                How::Substituted { from, why, .. } => (Some(from.resource), why),
                How::Imported { tool, file, .. } => (None, format!("as {tool} measured it, not rooflab: `{file}`")),
                How::Datasheet { source } => (None, format!("as the maker says: {source}")),
                How::Extrapolated { from } => (None, format!("as at {from}, beyond which nothing was measured")),
                _ => (None, "the profile lacks it, and has this format, which is like it".to_owned()),
            },
        };
        // What stands for another resource by itself is its own stand-in.
        (stand_in.or(wanted.map(|_| resource)), wanted.or(Some(resource)), why)
    }
}
