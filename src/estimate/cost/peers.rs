//! The link over which devices exchange data.

use super::knowledge::{Bound, Knowledge, Need, Source};
use crate::estimate::link::{Link, MeasuredLink};
use crate::graph::Collective;
use crate::profile::Profile;

/// The link to the other devices, and how it is known.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Peers {
    link: Link,
    knowledge: Knowledge,
    why: String,
}

impl Peers {
    /// The link that the user gave, or else the one that a profile tells of.
    pub(super) fn of(given: Option<Link>, profile: &Profile) -> Option<Self> {
        if let Some(link) = given {
            let why = "the link between devices is as given, and nothing else uses it".to_owned();
            return Some(Self { link, knowledge: Knowledge::Given, why });
        }
        let MeasuredLink { link, knowledge, from, .. } = MeasuredLink::of_profile(profile)?;
        let why = format!("the link between devices has {} and {}: {from}", link.latency(), link.bandwidth());
        Some(Self { link, knowledge, why })
    }

    /// How long an exchange takes.
    pub(super) fn exchange(&self, exchange: &Collective) -> Need {
        let (time, knowledge) = (self.link.time(exchange), self.knowledge);
        Need { of: Bound::Communication, time, from: Source::Link, knowledge }
    }

    /// What that rests on.
    pub(super) fn why(&self) -> &str {
        &self.why
    }
}
