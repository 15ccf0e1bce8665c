//! The points of a sweep: a row of numbers for each combination of values.

use serde::Serialize;

use super::estimator::{EstimateError, Estimator};
use super::scenario::Scenario;
use super::subject::Placed;
use super::sweep::Dimension;
use crate::graph::{Layout, Step};
use crate::units::{Bytes, Seconds};

/// A point of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was changed, and to what.
    pub at: Vec<(Dimension, u64)>,
    /// What came out; the reason where nothing did.
    pub outcome: Result<Point, EstimateError>,
}

/// What a point comes to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Bytes that each device needs.
    pub memory: Bytes,
    /// Whether that fits.
    pub fits: bool,
    /// The most sequences of this length that do.
    pub largest_batch: Option<u64>,
    /// One decode step of the account's sequences, at the account's context.
    pub step: Seconds,
    /// Mean time to the first token; none where requests are not answered.
    pub ttft: Option<Seconds>,
    /// Time per token after the first.
    pub tpot: Option<Seconds>,
    /// Tokens per second of all devices.
    pub throughput: Option<f64>,
    /// Tokens per second of one request.
    pub throughput_per_user: Option<f64>,
}

impl Estimator<'_> {
    /// Estimates a scenario at every combination of values. The model is divided anew only where the layout changes.
    pub fn sweep<'s>(
        &'s self,
        scenario: &'s Scenario,
        combinations: impl IntoIterator<Item = Vec<(Dimension, u64)>> + 's,
    ) -> impl Iterator<Item = Row> + 's {
        let mut placed: Option<(Layout, Placed<'s>)> = None;
        combinations.into_iter().map(move |at| {
            let scenario = at.iter().fold(*scenario, |scenario, &(dimension, value)| scenario.with(dimension, value));
            let outcome = self.point(&scenario, &mut placed);
            Row { at, outcome }
        })
    }

    fn point<'s>(
        &'s self,
        scenario: &Scenario,
        placed: &mut Option<(Layout, Placed<'s>)>,
    ) -> Result<Point, EstimateError> {
        let (_, here) = match placed.take().filter(|(layout, _)| *layout == scenario.layout) {
            Some(known) => placed.insert(known),
            None => placed.insert((scenario.layout, self.place(scenario)?)),
        };
        let (admission, deployment) = self.admit(scenario)?;
        let metrics = self.serve(scenario, here, &deployment)?.metrics().copied();
        let running = metrics.map(|metrics| metrics.running);
        let step = Step::decode(scenario.sequences(deployment.admitted(), running), scenario.decode_context());
        Ok(Point {
            step: here.cost(&step)?.time,
            memory: admission.lines.iter().map(|line| line.bytes).sum(),
            fits: admission.over.is_none(),
            largest_batch: admission.largest_batch,
            ttft: metrics.map(|metrics| metrics.ttft.mean),
            tpot: metrics.and_then(|metrics| metrics.tpot),
            throughput: metrics.map(|metrics| metrics.throughput),
            throughput_per_user: metrics.map(|metrics| metrics.throughput_per_user),
        })
    }
}
