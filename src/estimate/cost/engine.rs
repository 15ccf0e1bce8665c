//! An engine on a device: its operators in place of the device's, and its own time beside them.

use super::assumption::Assumption;
use super::overlap::{Launching, Overlap};
use super::{Costing, StepCost};
use crate::profile::{CalibratedEngine, HostTime, Place};
use crate::resource::Resource;
use crate::units::Seconds;

impl<'a> Costing<'a> {
    /// The same device under an engine, as that was measured on it. Its operators count where it has them, the device's where not; its own time is that of starting kernels
    /// as well. The speed of light stays the device's.
    #[must_use]
    pub fn with_engine(self, engine: &'a CalibratedEngine) -> Self {
        let overlap = Overlap { launching: Launching::Barrier, launch: None };
        Self { asked: self.asked.with_engine(engine), overlap, engine: Some(engine), ..self }
    }

    /// How much longer a step takes for the engine's own time, where there is an engine.
    pub(super) fn own_time(&self, layers: u64, device: Seconds) -> Option<Seconds> {
        let engine = self.engine?;
        let own = engine.own_time(layers);
        Some(match engine.document().host {
            HostTime::Added => own,
            HostTime::Overlapped => Seconds((own - device).get().max(0.0)),
        })
    }

    /// What the engine's own time rests on.
    pub(super) fn engine_assumption(&self, step: &StepCost) -> Option<Assumption> {
        let engine = self.engine?;
        let share = if step.time.get() > 0.0 { step.exposed / step.time } else { 0.0 };
        let document = engine.document();
        let beside = match document.host {
            HostTime::Added => "beside its operators",
            HostTime::Overlapped => "while its operators run",
        };
        let why = format!(
            "{engine} itself takes {} for a step and {} for each layer {beside}",
            document.step, document.layer
        );
        Some(Assumption { stand_in: None, resources: Vec::new(), why, time: step.exposed, share })
    }

    /// What an engine's rate rests on.
    pub(super) fn why_of_engine(&self, resource: Resource, at: Place) -> String {
        let how = self.asked.of_engine(resource, at).map_or("measured", |known| known.how.word());
        let engine = self.engine.map(ToString::to_string).unwrap_or_default();
        format!("as {engine} runs it here, {how}: no ceiling of the device")
    }
}
