//! AIPerf: `profile_export_aiperf.json`.

use super::{Importer, each, observation, perf, telemetry};
use crate::observe::caveat::Caveat;
use crate::observe::document::{Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::object::Object;

pub(super) const IMPORTER: Importer = Importer {
    name: "AIPerf",
    gives: "whole distributions of latencies, rates that clients see",
    hardware: false,
    sniff: |input| perf::has_metrics(input) && (input.has(&["aiperf_version"]) || input.has(&["schema_version"])),
    read: |input| each(input, run),
};

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let mut observation = observation(Tool::AiPerf, object.word("aiperf_version"), object.at());
    perf::fill(&mut observation, object)?;
    telemetry::fill(&mut observation, object);
    if object.flag("was_cancelled") || (object.has("is_complete") && !object.flag("is_complete")) {
        observation.note(Caveat::Incomplete);
    }
    Ok(observation)
}
