//! Puts a profile together while its device is being measured.

use jiff::Timestamp;

use super::datasheet::datasheet_of;
use super::document::{Ceiling, Header, Instrument, Outcome, Profile, SCHEMA, Source};
use super::imported::Imported;
use crate::facts::{Conditions, Identity, Observed};
use crate::units::Seconds;

/// A profile in the making. It is a valid profile at every moment.
#[derive(Clone, Debug)]
pub struct Builder {
    profile: Profile,
}

impl Builder {
    /// A profile without ceilings. Where the device is a known product, it holds what its maker says of it.
    #[must_use]
    pub fn new(
        name: String,
        created: Timestamp,
        source: Source,
        device: Identity,
        conditions: Conditions,
        instrument: Instrument,
    ) -> Self {
        let header = Header { schema: SCHEMA.to_owned(), rooflab: source, created, complete: false };
        let observed = Observed::default();
        let datasheet = datasheet_of(&device).map_or_else(Vec::new, |sheet| sheet.datasheet.clone());
        Self {
            profile: Profile {
                header,
                name,
                device,
                conditions,
                instrument: Some(instrument),
                observed,
                ceilings: Vec::new(),
                datasheet,
                imported: Vec::new(),
                matches: Vec::new(),
            },
        }
    }

    /// Adds a ceiling, or replaces the one with its key.
    pub fn put(&mut self, ceiling: Ceiling) {
        match self.profile.ceilings.iter_mut().find(|present| present.key() == ceiling.key()) {
            Some(present) => *present = ceiling,
            None => self.profile.ceilings.push(ceiling),
        }
    }

    /// Keeps what other tools measured of the device.
    pub fn take_over(&mut self, imported: Vec<Imported>) {
        imported.into_iter().for_each(|value| self.profile.take_over(value));
    }

    /// Notes what was observed so far.
    pub fn observe(&mut self, observed: Observed, elapsed: Seconds) {
        self.profile.observed = observed;
        if let Some(instrument) = &mut self.profile.instrument {
            instrument.elapsed = elapsed;
        }
    }

    /// Notes the cost of an empty launch, once it is known.
    pub fn empty_launch(&mut self, time: Seconds) {
        if let Some(instrument) = &mut self.profile.instrument {
            instrument.empty_launch = Some(time);
        }
    }

    /// Declares every planned probe finished.
    pub fn complete(&mut self) {
        self.profile.header.complete = true;
    }

    /// Brings the ceilings into the order of their keys.
    pub fn sort(&mut self) {
        self.profile.ceilings.sort_by_key(|ceiling| (ceiling.scope, ceiling.resource));
    }

    /// Changes the outcome of every measured ceiling that a condition, known only at the end, holds for.
    pub fn revise(&mut self, mut revise: impl FnMut(&mut Ceiling)) {
        for ceiling in &mut self.profile.ceilings {
            if matches!(ceiling.outcome, Outcome::Ok { .. }) {
                revise(ceiling);
            }
        }
    }

    /// The profile as it is now.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }
}

#[cfg(test)]
mod tests {
    use super::super::datasheet::bundled_named;
    use super::super::document::Effort;
    use super::*;
    use crate::facts::{Timer, TimerSource};

    #[test]
    fn a_known_product_brings_its_datasheet() {
        let sheet = bundled_named("nvidia-h200-sxm").and_then(|bundled| bundled.profile()).unwrap();
        let built = |name: &str| {
            let device = Identity { name: name.to_owned(), ..sheet.device.clone() };
            let timer = Timer { source: TimerSource::Virtual, resolution: Seconds(1e-9), cost: Seconds(0.0) };
            let (effort, elapsed) = (Effort::Quick, Seconds(0.0));
            let instrument = Instrument {
                timer,
                empty_launch: None,
                clock: None,
                effort,
                goal: 0.1,
                elapsed,
                libraries: Vec::new(),
            };
            let source = Source { version: String::new(), commit: None, target: None };
            let conditions = Conditions::default();
            Builder::new("mine".to_owned(), Timestamp::UNIX_EPOCH, source, device, conditions, instrument).profile
        };
        assert_eq!(built("NVIDIA H200").datasheet, sheet.datasheet);
        assert_eq!(built("NVIDIA H20").datasheet, []);
    }
}
