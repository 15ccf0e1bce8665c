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
    /// Devices of a stage that take different sequences: replicas, and the devices that share experts.
    ranks: u64,
    offload: Offload,
}

/// A step on the devices of a layout.
#[derive(Clone, Debug, PartialEq)]
pub struct StagedCost {
    /// Its time: of prompts, from the first stage's first operator to the last stage's last; of sequences that decode, from one token to the next.
    pub time: Seconds,
    /// What one device of each stage executes, for one part of the step.
    pub stages: Vec<StepCost>,
    /// Parts that the step's sequences are divided into, so that stages work at the same time.
    pub parts: u64,
    /// Time in which a part waits for others, at the slowest stage.
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
        let ranks = layout.data.saturating_mul(layout.expert);
        Ok(Self { costing, stages, ranks, offload: Offload::default() })
    }

    /// The same with some of it outside of the devices' memory.
    #[must_use]
    pub fn with_offload(self, offload: Offload) -> Self {
        Self { offload, ..self }
    }

    /// A step as each stage executes it. With several stages, its sequences go through them in parts: in as many as is fastest, one for each stage at most, and no more
    /// than there are of each kind, so that every part is like the others.
    #[must_use]
    pub fn lower(&self, step: &Step) -> Staged {
        let each = step.sequences.iter().map(|group| group.count.div_ceil(self.ranks.max(1))).min().unwrap_or(0);
        let in_parts = |parts| self.lower_part(&part_of(step, parts), parts);
        let of_parts = parts_to_try(each.min(self.stages.len() as u64)).map(in_parts);
        let time = |staged: &Staged| staged.cost(self.costing).map_or(f64::INFINITY, |cost| cost.time.get());
        of_parts.reduce(|a, b| if time(&b) < time(&a) { b } else { a }).unwrap_or_else(|| in_parts(1))
    }

    /// One of some like parts, as each stage executes it.
    fn lower_part(&self, part: &Step, parts: u64) -> Staged {
        let graphs = self.stages.iter().map(|stage| stage.lower(part)).collect();
        let is_decoded = part.sequences.iter().all(|group| group.is_decoded());
        Staged { graphs, parts, is_decoded, offload: self.offload }
    }

    /// How long one of some parts takes that go through the stages in turn, each with a step like this.
    ///
    /// # Errors
    /// A ceiling or a link is missing, that to the host too where something is offloaded.
    pub(super) fn turn(&self, part: &Step, parts: u64) -> Result<Turn, CostError> {
        let (through, slowest) = through(&self.lower_part(part, parts).stages(self.costing)?);
        Ok(Turn { through, slowest, parts })
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
    /// Whether its sequences decode: then a part that has left the last stage comes back to the first, and no stage runs empty.
    pub is_decoded: bool,
    /// What of it comes from outside of the devices' memory.
    pub offload: Offload,
}

impl Staged {
    /// The same with some operators left out or changed.
    #[must_use]
    pub fn with(&self, keep: impl Fn(&Operator) -> Option<Operator>) -> Self {
        let kept = |graph: &Graph| Graph { operators: graph.operators.iter().filter_map(&keep).collect(), ..*graph };
        Self { graphs: self.graphs.iter().map(kept).collect(), ..*self }
    }

    /// The same with everything in the devices' memory.
    #[must_use]
    pub fn all_here(&self) -> Self {
        Self { graphs: self.graphs.clone(), offload: Offload::default(), ..*self }
    }

    /// The cost. Of prompts, the first part takes the time of all stages, and each further one that of the slowest. Of sequences that decode, a part has its next
    /// token when it is through all stages, or when the slowest stage is through with all parts, whichever is later.
    ///
    /// # Errors
    /// A ceiling or a link is missing.
    pub fn cost(&self, costing: &Costing<'_>) -> Result<StagedCost, CostError> {
        let stages = self.stages(costing)?;
        let (through, slowest) = through(&stages);
        let turn = Turn { through, slowest, parts: self.parts };
        let waiting = turn.time() - through + if self.is_decoded { Seconds(0.0) } else { turn.fill() };
        let floors: Option<Vec<Floor>> = stages.iter().map(|stage| stage.floor).collect();
        let floor = floors.and_then(|floors| floor(floors, self.parts));
        Ok(StagedCost { time: through + waiting, stages, parts: self.parts, waiting, floor })
    }

    /// What one part costs at each stage.
    fn stages(&self, costing: &Costing<'_>) -> Result<Vec<StepCost>, CostError> {
        let of_stage = |graph: &Graph| self.offload.onto(graph, costing.graph(graph)?, costing);
        self.graphs.iter().map(of_stage).collect()
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

/// The time of all stages together, and of the slowest.
fn through(stages: &[StepCost]) -> (Seconds, Seconds) {
    let slowest = stages.iter().map(|stage| stage.time.get()).fold(0.0, f64::max);
    (stages.iter().map(|stage| stage.time).sum(), Seconds(slowest))
}

/// Parts that go through the stages of a pipeline in turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Turn {
    /// The time of a part, from the first stage's first operator to the last stage's last.
    through: Seconds,
    /// Its time at the slowest stage.
    slowest: Seconds,
    parts: u64,
}

impl Turn {
    /// The time after which a part can begin again: it is through all stages, and the slowest stage through with all parts.
    pub(super) fn time(&self) -> Seconds {
        let all = self.slowest * self.parts as f64;
        if all > self.through { all } else { self.through }
    }

    /// What the first turn takes beyond that, while the stages still wait for the first part.
    pub(super) fn fill(&self) -> Seconds {
        self.through + self.slowest * self.parts.saturating_sub(1) as f64 - self.time()
    }
}

/// Numbers of parts that may be the fastest: powers of two, and the most. Fewer parts read weights less often; more keep more stages busy.
pub(super) fn parts_to_try(most: u64) -> impl Iterator<Item = u64> {
    let powers = std::iter::successors(Some(1_u64), |parts| parts.checked_mul(2));
    powers.take_while(move |&parts| parts < most).chain(std::iter::once(most.max(1)))
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
