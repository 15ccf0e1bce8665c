//! What a step's time rests on beside measurements of its own ceilings, in words.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::knowledge::{Knowledge, Need, Source};
use super::{Costing, StepCost};
use crate::profile::{Answer, How};
use crate::resource::Resource;
use crate::units::Seconds;

/// Something that was taken to be so.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Assumption {
    /// What was assumed.
    pub text: String,
    /// The time that rests on it.
    pub time: Seconds,
}

impl Costing<'_> {
    /// What a step's time rests on that was not measured: each with the time that rests on it, the longest first; then what was not known and left out.
    #[must_use]
    pub fn assumptions(&self, step: &StepCost) -> Vec<Assumption> {
        let mut times: BTreeMap<(Option<Resource>, Knowledge), (f64, &Need)> = BTreeMap::new();
        for operator in &step.operators {
            if let Some(need) = operator.decisive().filter(|need| need.knowledge > Knowledge::Fitted) {
                let time = (operator.time - operator.overhead).get() * operator.count as f64;
                times.entry((resource(need), need.knowledge)).or_insert((0.0, need)).0 += time;
            }
        }
        let of = |&(time, need): &(f64, &Need)| Assumption { text: self.words(need), time: Seconds(time) };
        let mut assumptions: Vec<Assumption> = times.values().map(of).collect();
        assumptions.sort_by(|a, b| b.time.get().total_cmp(&a.time.get()));
        if step.overhead.is_none() {
            let text = "starting kernels costs nothing: `overhead.launch` is not known".to_owned();
            assumptions.push(Assumption { text, time: Seconds(0.0) });
        }
        assumptions
    }

    fn words(&self, need: &Need) -> String {
        let Source::Ceiling { resource, at } = need.from else {
            return "the link between devices is as given, and nothing else uses it".to_owned();
        };
        match self.asked.answer(resource, at) {
            Answer::Missing { why } => format!("`{resource}`: {why}"),
            Answer::Known(known) => match known.how {
                How::Substituted { from, why, .. } => format!("`{from}` for `{resource}`: {why}"),
                How::Datasheet { source } => format!("`{resource}` as the maker says: {source}"),
                How::Extrapolated { from } => {
                    format!("`{resource}` at {at} is as at {from}, beyond which nothing was measured")
                }
                _ => format!("`{resource}` for a format like it, which the profile lacks"),
            },
        }
    }
}

const fn resource(need: &Need) -> Option<Resource> {
    match need.from {
        Source::Ceiling { resource, .. } => Some(resource),
        Source::Link => None,
    }
}
