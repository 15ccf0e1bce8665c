//! What runs on which devices: a model in its formats, lowered for a layout, with the times of its steps.

use super::cost::{CostError, Costing, Floor, StepCost};
use super::offload::Offload;
use super::serving::{StepTimes, Untimed};
use crate::graph::{Graph, Layout, LayoutError, Lowering, Operator, Routing, Sequences, Step};
use crate::model::{KvFormat, Model, Precision};
use crate::units::Seconds;

/// A model in its formats.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The model.
    pub model: &'a Model,
    /// The formats of its weights.
    pub precision: &'a Precision,
    /// The format of its cache.
    pub kv: KvFormat,
    /// How tokens are spread over experts.
    pub routing: Routing,
}

/// A model on its devices: how long its steps take.
#[derive(Clone, Debug)]
pub struct Placed<'a> {
    costing: &'a Costing<'a>,
    stages: Vec<Lowering>,
    offload: Offload,
}

/// A step on the devices of a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedCost {
    /// Its time, from the first stage's first operator to the last stage's last.
    pub time: Seconds,
    /// What one device of each stage executes, for one part of the step.
    pub stages: Vec<StepCost>,
    /// Parts that the step's sequences are divided into, so that stages work at the same time.
    pub parts: u64,
    /// Time in which the last part waits for those before it, at the slowest stage.
    pub waiting: Seconds,
    /// The speed of light of all devices together, where their figures are known.
    pub floor: Option<Floor>,
}

impl<'a> Placed<'a> {
    /// A model on the devices of a layout.
    ///
    /// # Errors
    /// If the model cannot be divided like that.
    pub fn new(subject: &Subject<'_>, costing: &'a Costing<'a>, layout: &Layout) -> Result<Self, LayoutError> {
        let Subject { model, precision, kv, routing } = *subject;
        let stages = Lowering::sharded(model, precision, kv, routing, layout)?;
        Ok(Self { costing, stages, offload: Offload::default() })
    }

    /// The same with some of it outside of the devices' memory.
    #[must_use]
    pub fn with_offload(self, offload: Offload) -> Self {
        Self { offload, ..self }
    }

    /// A step as each stage executes it. With several stages, its sequences go through them in as many parts as there are stages, as far as there are sequences.
    #[must_use]
    pub fn lower(&self, step: &Step) -> Staged {
        let sequences = step.sequences.iter().map(|group| group.count).max().unwrap_or(0);
        let parts = sequences.min(self.stages.len() as u64).max(1);
        let part = part_of(step, parts);
        let graphs = self.stages.iter().map(|stage| stage.lower(&part)).collect();
        Staged { graphs, parts, offload: self.offload }
    }

    /// The cost of a step.
    ///
    /// # Errors
    /// A ceiling or a link is missing, that to the host too where something is offloaded.
    pub fn cost(&self, step: &Step) -> Result<StagedCost, CostError> {
        self.lower(step).cost(self.costing)
    }
}

/// A step as operators: those of one device of each stage, for one part of the step's sequences.
#[derive(Clone, Debug, PartialEq)]
pub struct Staged {
    /// The operators of each stage.
    pub graphs: Vec<Graph>,
    /// Parts that go through the stages one after another.
    pub parts: u64,
    /// What of it comes from outside of the devices' memory.
    pub offload: Offload,
}

impl Staged {
    /// The same with some operators left out or changed.
    #[must_use]
    pub fn with(&self, keep: impl Fn(&Operator) -> Option<Operator>) -> Self {
        let kept = |graph: &Graph| Graph { operators: graph.operators.iter().filter_map(&keep).collect() };
        Self { graphs: self.graphs.iter().map(kept).collect(), ..*self }
    }

    /// The same with everything in the devices' memory.
    #[must_use]
    pub fn all_here(&self) -> Self {
        Self { graphs: self.graphs.clone(), parts: self.parts, offload: Offload::default() }
    }

    /// The cost: the first part takes the time of all stages, and each further one that of the slowest.
    ///
    /// # Errors
    /// A ceiling or a link is missing.
    pub fn cost(&self, costing: &Costing<'_>) -> Result<StagedCost, CostError> {
        let of_stage = |graph: &Graph| self.offload.onto(graph, costing.graph(graph)?, costing);
        let stages = self.graphs.iter().map(of_stage).collect::<Result<Vec<StepCost>, _>>()?;
        let through: Seconds = stages.iter().map(|stage| stage.time).sum();
        let slowest = stages.iter().map(|stage| stage.time.get()).fold(0.0, f64::max);
        let waiting = Seconds(slowest * self.parts.saturating_sub(1) as f64);
        let floors: Option<Vec<Floor>> = stages.iter().map(|stage| stage.floor).collect();
        let floor = floors.and_then(|floors| floor(floors, self.parts));
        Ok(StagedCost { time: through + waiting, stages, parts: self.parts, waiting, floor })
    }

    /// The speed of light of all devices together.
    ///
    /// # Errors
    /// The profile has no figure for a format or for main memory.
    pub fn floor(&self, costing: &Costing<'_>) -> Result<Option<Floor>, CostError> {
        let floors = self.graphs.iter().map(|graph| costing.floor(graph)).collect::<Result<Vec<Floor>, _>>()?;
        Ok(floor(floors, self.parts))
    }
}

/// The floor of a step: that of the stage which needs the most, as often as there are parts; stages work at the same time at best. Weights are read for each part.
fn floor(floors: Vec<Floor>, parts: u64) -> Option<Floor> {
    let slowest = floors.into_iter().reduce(|a, b| if b.time() > a.time() { b } else { a })?;
    Some(slowest.times(parts as f64))
}

/// The largest of some equal parts of a step's sequences.
fn part_of(step: &Step, parts: u64) -> Step {
    let part = |group: &Sequences| Sequences { count: group.count.div_ceil(parts), ..*group };
    Step { sequences: step.sequences.iter().map(part).collect() }
}

impl StepTimes for Placed<'_> {
    fn step(&self, step: &Step) -> Result<Seconds, Untimed> {
        self.cost(step).map(|cost| cost.time).map_err(|error| Untimed(error.to_string()))
    }
}
