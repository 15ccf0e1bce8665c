//! From what was observed of a load to what is estimated.

use super::host;
use crate::estimate::offload::Offload;
use crate::estimate::serving::Request;
use crate::estimate::{Load, Scenario, Subject};
use crate::facts::DeviceKind;
use crate::graph::Layout;
use crate::observe::{Arrivals, Observation, Quantity, Tool};

/// The scenario that a run is an instance of; what the run does not say stays as in another one.
///
/// Tokens that were in the cache before count as tokens of the prompt: what is decoded attends to them. llama-bench measures prompts and generating apart, each from the cache as it was before,
/// so that what it generates does not attend to the prompt. A batch begins and ends together; a number of requests in flight is a closed loop, whose clients start together unless requests arrive
/// at a rate. What the host keeps is offloaded; where the host
/// computes it, the device waits meanwhile, and on a processor the host's memory is the device's own.
#[must_use]
pub fn scenario(run: &Observation, subject: &Subject<'_>, device: DeviceKind, otherwise: &Scenario) -> Scenario {
    let load = &run.load;
    let prompt = whole(load.prompt.unwrap_or(0.0) + load.depth.unwrap_or(0.0));
    let in_flight = || run.typical(Quantity::InFlight).map(whole);
    // Of fewer requests, fewer are in flight.
    let most = load.concurrency.map(|most| load.requests.map_or(most, |requests| most.min(requests.max(1))));
    let starts_together = most.is_some() && matches!(load.arrivals, None | Some(Arrivals::Unlimited));
    let how = match (load.batch, most.or_else(in_flight)) {
        (Some(batch), _) => Load::Batch(batch),
        (None, Some(concurrency)) => Load::Closed(concurrency),
        (None, None) => otherwise.load,
    };
    let is_apart = run.sources.iter().any(|source| source.tool == Tool::LlamaBench)
        && run.metrics.get(&Quantity::DecodeRate).is_some_and(|rate| rate.derived.is_none());
    let generated = load.generate.map_or(1, whole);
    let alone = whole(load.depth.unwrap_or(0.0) + (generated / 2) as f64);
    let Layout { tensor, pipeline, expert, data } = otherwise.layout;
    let computed_there = host::is_computed_there(run);
    let offload = if computed_there && device == DeviceKind::Cpu {
        otherwise.offload
    } else {
        let found = host::offload(run, subject, otherwise.offload);
        Offload { serial: found.serial || computed_there, ..found }
    };
    Scenario {
        request: Request { prompt, output: generated },
        context: if is_apart { Some(alone) } else { otherwise.context },
        load: how,
        requests: load.requests.filter(|&requests| starts_together && requests > 0),
        chunk: otherwise.chunk.or(load.prefill_chunk),
        layout: Layout {
            tensor: load.tp.unwrap_or(tensor),
            pipeline: load.pp.unwrap_or(pipeline),
            expert: load.ep.unwrap_or(expert),
            data: load.dp.unwrap_or(data),
        },
        offload,
        ..*otherwise
    }
}

/// A mean number of things as a whole one, which is one at least.
fn whole(number: f64) -> u64 {
    // Beyond what fits, and for what is no number, this saturates.
    (number.round() as u64).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::graph::Routing;
    use crate::model::{KvFormat, Precision, WeightFormat, find_preset};
    use crate::observe::Load as Observed;

    /// How requests come, and how many of them.
    fn load(load: Observed) -> (Load, Option<u64>) {
        let model = find_preset("qwen3-0.6b").unwrap().model().unwrap();
        let precision = Precision::uniform(&model, WeightFormat::plain(DType::Bf16));
        let kv = KvFormat::plain(DType::Bf16);
        let subject = Subject { model: &model, precision: &precision, kv, routing: Routing::default() };
        let mut run = Observation::new(Vec::new());
        run.load = load;
        let found = scenario(&run, &subject, DeviceKind::Gpu, &Scenario::default());
        (found.load, found.requests)
    }

    #[test]
    fn clients_start_together_unless_requests_arrive_at_a_rate() {
        let run = |requests, arrivals| Observed { concurrency: Some(32), requests, arrivals, ..Observed::default() };
        assert_eq!(load(run(Some(200), None)), (Load::Closed(32), Some(200)));
        assert_eq!(load(run(Some(200), Some(Arrivals::Unlimited))), (Load::Closed(32), Some(200)));
        assert_eq!(load(run(None, Some(Arrivals::Unlimited))), (Load::Closed(32), None));
        for arrivals in [Arrivals::PerSecond(2.0), Arrivals::Trace] {
            assert_eq!(load(run(Some(200), Some(arrivals))), (Load::Closed(32), None));
        }
        // The limit is the client's: fewer requests are never more in flight.
        assert_eq!(load(run(Some(10), None)), (Load::Closed(10), Some(10)));
        assert_eq!(load(run(Some(0), None)), (Load::Closed(1), None));
        assert_eq!(load(Observed { batch: Some(8), ..run(Some(200), None) }).0, Load::Batch(8));
    }
}
