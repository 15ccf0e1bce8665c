//! GenAI-Perf: `profile_export_genai_perf.json`. AIPerf took its shape over and added versions, by whose absence it is recognised.

use super::{Importer, each, observation, perf, telemetry};
use crate::observe::document::{Observation, Tool};
use crate::observe::error::ReadError;
use crate::observe::object::Object;

pub(super) const IMPORTER: Importer = Importer {
    name: "GenAI-Perf",
    gives: "whole distributions of latencies, rates that clients see",
    hardware: false,
    sniff: |input| {
        perf::has_metrics(input)
            && input.has(&["input_config"])
            && !input.has(&["aiperf_version"])
            && !input.has(&["schema_version"])
    },
    read: |input| each(input, run),
};

fn run(object: &Object<'_>) -> Result<Observation, ReadError> {
    let mut observation = observation(Tool::GenaiPerf, None, object.at());
    perf::fill(&mut observation, object)?;
    telemetry::fill(&mut observation, object);
    Ok(observation)
}
