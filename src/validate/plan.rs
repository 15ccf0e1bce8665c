//! What is run of a model on a device: which steps, how many of its layers, and which kernel for each operator.

use super::kernel::{Kernel, Lanes, stage_of};
use crate::backend::{Device, Sequence, Stage, Turn};
use crate::estimate::cost::{Costing, OperatorCost};
use crate::graph::{Graph, Lowering, Operator, Routing, Step};
use crate::model::{KvFormat, Model, Precision};
use crate::profile::Effort;
use crate::resource::Scope;
use crate::units::{Bytes, Seconds, binary_bytes};
use crate::workload::Workload;

use schemars::JsonSchema;
use serde::Serialize;

/// Which half of inference a step belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A whole prompt.
    Prefill,
    /// A token for each sequence of a batch.
    Decode,
}

impl Phase {
    /// The word it is written as.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// A step that is validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Load {
    /// Which half of inference it is of.
    pub phase: Phase,
    /// Sequences.
    pub sequences: u64,
    /// Tokens of each that the last new one attends to, itself included: of a prompt, all.
    pub tokens: u64,
}

impl Load {
    fn step(self) -> Step {
        match self.phase {
            Phase::Prefill => Step::prefill(self.sequences, self.tokens),
            Phase::Decode => Step::decode(self.sequences, self.tokens),
        }
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The model.
    pub model: &'a Model,
    /// The formats of its weights.
    pub precision: &'a Precision,
    /// The format of its cache.
    pub kv: KvFormat,
    /// The steps.
    pub loads: &'a [Load],
    /// How much time to take.
    pub effort: Effort,
    /// Most layers that are run.
    pub layers: Option<u64>,
    /// Bytes of memory that may be allocated, where that is less than the device has.
    pub memory: Option<u64>,
}

/// What will be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How much time to take.
    pub effort: Effort,
    /// The steps.
    pub steps: Vec<Planned>,
}

/// A step that will be run.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The step.
    pub load: Load,
    /// Layers that are run, of so many.
    pub layers: (u64, u64),
    /// Its operators, in the order of the graph.
    pub entries: Vec<Entry>,
    /// The time that is predicted for all operators that are run, together.
    pub predicted: Seconds,
    /// How much of the time that is predicted for the step is that of operators which are run.
    pub covered: f64,
    /// Why the step is not run as a whole, where it is not.
    pub not_whole: Option<String>,
}

/// An operator with the kernel that does its work.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The operator.
    pub operator: Operator,
    /// How it is run and what is predicted, or why it is not run.
    pub run: Result<Run, String>,
}

/// How an operator is run.
#[derive(Clone, Debug)]
pub struct Run {
    pub(super) kernel: Kernel,
    /// The workload that is measured by itself. It goes round in as many matrices as a step streams, so that it finds them where the step does.
    pub(super) alone: Workload,
    /// The workloads within the step: as many matrices and caches as there are executions, in order.
    pub(super) within: Vec<Workload>,
    /// What is predicted.
    pub(super) cost: OperatorCost,
}

impl Run {
    /// The time that is predicted for one execution by itself: starting it is counted in the step.
    pub(super) fn predicted(&self) -> Seconds {
        self.cost.time - self.cost.overhead
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// A number cannot be run.
    #[error("`{field}` {value} is beyond what can be run: {most} at most")]
    TooLarge {
        /// Which.
        field: &'static str,
        /// The number.
        value: u64,
        /// The most.
        most: u64,
    },
    /// A number is zero.
    #[error("`{field}` is 0: nothing would be run")]
    Nothing {
        /// Which.
        field: &'static str,
    },
    /// No operator of any step has both a kernel and a prediction.
    #[error("no operator of `{model}` can be compared: {why}")]
    NothingToCompare {
        /// The model.
        model: String,
        /// The first reason.
        why: String,
    },
}

/// The most sequences and tokens.
const MOST_SEQUENCES: u64 = 1 << 12;
const MOST_TOKENS: u64 = 1 << 20;
/// The share of the available memory that is used. Backends keep what they allocated for single operators beside what a step needs.
const SHARE: f64 = 0.4;
/// Memory that every device is taken to have.
const LEAST_MEMORY: u64 = 256 << 20;

/// The longest that a step may be predicted to take, or an operator by itself: each is run some ten times.
const fn longest(effort: Effort) -> Seconds {
    match effort {
        Effort::Quick => Seconds(0.1),
        Effort::Normal => Seconds(0.5),
        Effort::Thorough => Seconds(2.0),
    }
}

/// Plans a request.
///
/// # Errors
/// A number cannot be run, or nothing is left to compare.
pub fn plan(device: &dyn Device, costing: &Costing<'_>, request: &Request<'_>) -> Result<Plan, PlanError> {
    for load in request.loads {
        for (field, value, most) in
            [("batch", load.sequences, MOST_SEQUENCES), (field_of(load.phase), load.tokens, MOST_TOKENS)]
        {
            if value == 0 {
                return Err(PlanError::Nothing { field });
            }
            if value > most {
                return Err(PlanError::TooLarge { field, value, most });
            }
        }
    }
    let planner = Planner::of(device, costing, request);
    let steps: Vec<Planned> = request.loads.iter().map(|&load| planner.step(load)).collect();
    let entries = || steps.iter().flat_map(|step| &step.entries);
    if entries().all(|entry| entry.run.is_err()) {
        let why = entries().find_map(|entry| entry.run.as_ref().err().cloned());
        let why = why.unwrap_or_else(|| "there are no steps".to_owned());
        return Err(PlanError::NothingToCompare { model: request.model.name.clone(), why });
    }
    Ok(Plan { effort: request.effort, steps })
}

const fn field_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Prefill => "prompt",
        Phase::Decode => "context",
    }
}

/// What steps are planned with.
struct Planner<'a> {
    request: &'a Request<'a>,
    costing: &'a Costing<'a>,
    lanes: Lanes,
    /// Bytes that all kernels of a step may take together.
    memory: u64,
    /// Bytes of the largest array that a kernel can be given.
    largest_array: u64,
}

impl<'a> Planner<'a> {
    fn of(device: &dyn Device, costing: &'a Costing<'a>, request: &'a Request<'a>) -> Self {
        let identity = device.identity();
        let has = if identity.memory > 0 { identity.memory } else { LEAST_MEMORY };
        let memory = has.min(request.memory.unwrap_or(u64::MAX));
        Self {
            request,
            costing,
            lanes: Lanes {
                count: device.lanes(Scope::Device).max(1),
                is_gpu_like: identity.kind.is_gpu_like(),
                takes_caches_in_turn: device.takes_caches_in_turn(),
            },
            memory: (memory as f64 * SHARE) as u64,
            largest_array: device.largest_array().unwrap_or(u64::MAX),
        }
    }

    /// A step with as many layers as memory and time allow, one at least.
    fn step(&self, load: Load) -> Planned {
        let all = (self.request.model.layers.len() as u64).max(1);
        let most = self.request.layers.unwrap_or(all).clamp(1, all);
        // Fewer layers take less time and less memory.
        let (mut fits, mut too_many) = (1, most + 1);
        while fits + 1 < too_many {
            let middle = fits.midpoint(too_many);
            let step = self.with_layers(load, middle);
            if step.not_whole.is_none() {
                fits = middle;
            } else {
                too_many = middle;
            }
        }
        self.with_layers(load, fits)
    }

    fn with_layers(&self, load: Load, layers: u64) -> Planned {
        let model = shortened(self.request.model, layers);
        let lowering = Lowering::new(&model, self.request.precision, self.request.kv, Routing::default());
        let graph = lowering.lower(&load.step());
        // What is not run is settled before anything follows from what is. As for time, by the most that could be streamed.
        let most = graph.total(|operator| operator.weights + operator.kv);
        let kernel = |operator: &Operator| {
            let kernel = Kernel::of(operator, self.lanes)?;
            self.allow(&kernel, &self.cost(operator, most)?)?;
            Ok(kernel)
        };
        let kernels: Vec<Result<Kernel, String>> = graph.operators.iter().map(kernel).collect();
        // Both sides are of what is run: what is left out streams nothing.
        let run = |(operator, kernel): (&Operator, &Result<Kernel, String>)| kernel.is_ok().then_some(*operator);
        let run =
            Graph { operators: graph.operators.iter().zip(&kernels).filter_map(run).collect(), layers: graph.layers };
        let streamed = run.total(|operator| operator.weights + operator.kv);
        let entries = graph.operators.iter().zip(kernels);
        let entries: Vec<Entry> = entries
            .map(|(operator, kernel)| Entry {
                operator: *operator,
                run: kernel.and_then(|kernel| self.run(operator, kernel, streamed)),
            })
            .collect();
        let predicted = self.costing.graph(&run).map_or(Seconds(0.0), |cost| cost.time);
        let whole: f64 = graph
            .operators
            .iter()
            .filter_map(|operator| Some(self.costing.operator(operator, streamed).ok()?.total().get()))
            .sum();
        let of_run: f64 = entries.iter().flat_map(|entry| &entry.run).map(|run| run.cost.total().get()).sum();
        let bytes = entries.iter().flat_map(|entry| &entry.run).flat_map(|run| &run.within).map(Kernel::bytes);
        let bytes = bytes.fold(0, u64::saturating_add);
        let longest = longest(self.request.effort);
        let not_whole = if bytes > self.memory {
            Some(format!("even a single layer takes {}, {}", binary_bytes(bytes), self.usable()))
        } else if predicted > longest {
            Some(format!("even a single layer is predicted to take {predicted}, {}", self.allowed()))
        } else {
            None
        };
        Planned {
            load,
            layers: (layers, self.request.model.layers.len() as u64),
            entries,
            predicted,
            covered: if whole > 0.0 { of_run / whole } else { 0.0 },
            not_whole,
        }
    }

    /// What an operator is predicted to cost.
    fn cost(&self, operator: &Operator, streamed: Bytes) -> Result<OperatorCost, String> {
        self.costing.operator(operator, streamed).map_err(|error| format!("it has no prediction: {error}"))
    }

    /// Refuses a kernel that takes more memory or time by itself than there is.
    fn allow(&self, kernel: &Kernel, cost: &OperatorCost) -> Result<(), String> {
        let bytes = Kernel::bytes(&kernel.workload(1));
        if bytes > self.memory {
            return Err(format!("it takes {}, {}", binary_bytes(bytes), self.usable()));
        }
        if cost.time > longest(self.request.effort) {
            return Err(format!("it is predicted to take {}, {}", cost.time, self.allowed()));
        }
        Ok(())
    }

    fn usable(&self) -> String {
        format!("of {} that may be used", binary_bytes(self.memory))
    }

    fn allowed(&self) -> String {
        let effort = self.request.effort;
        format!("of {} that effort `{}` allows", longest(effort), effort.word())
    }

    fn run(&self, operator: &Operator, kernel: Kernel, streamed: Bytes) -> Result<Run, String> {
        let cost = self.cost(operator, streamed)?;
        let within = kernel.stages(operator.count, self.largest_array);
        let of_copy = kernel.bytes_of_copy();
        // As many copies as fit beside what a kernel of one has, and into the largest array.
        let beside = self.memory.saturating_sub(Kernel::bytes(&kernel.workload(1))) / of_copy;
        let most = beside.saturating_add(1).min(self.largest_array / of_copy);
        let streamed = (streamed.get() / of_copy as f64).ceil() as u64;
        let copies = if kernel.goes_round() { streamed.min(most).max(1) } else { 1 };
        Ok(Run { kernel, alone: kernel.workload(copies), within, cost })
    }
}

/// The model with fewer layers, spread evenly over all, so that kinds of layers keep their shares.
fn shortened(model: &Model, layers: u64) -> Model {
    let all = model.layers.len();
    let count = usize::try_from(layers).unwrap_or(all).min(all);
    let of = |place: usize| model.layers.get(place * all / count.max(1)).copied();
    Model { layers: (0..count).filter_map(of).collect(), stored_bytes: None, ..model.clone() }
}

impl Planned {
    /// The step as one kernel: the entries that are run, each with the implementation that was fastest by itself.
    ///
    /// Executions of an operator are spread evenly over the layers. What comes before the first operator of every layer, and fewer times, comes first.
    #[must_use]
    pub fn sequence(&self, variants: &[(usize, usize)]) -> Sequence {
        let run = |&(index, variant): &(usize, usize)| {
            let entry = self.entries.get(index)?;
            Some((entry.operator.count, entry.run.as_ref().ok()?, variant))
        };
        let runs: Vec<(u64, &Run, usize)> = variants.iter().filter_map(run).collect();
        let stages = |&(_, run, variant): &(u64, &Run, usize)| {
            run.within.iter().map(move |&workload| Stage { workload, variant }).collect::<Vec<_>>()
        };
        let rounds = self.layers.0.max(1);
        let first_of_all = runs.iter().position(|(count, ..)| *count >= rounds).unwrap_or(0);
        let mut turns = Vec::new();
        for round in 0..rounds {
            let mut first_stage = 0;
            for (place, &(count, run, _)) in runs.iter().enumerate() {
                let before = |round: u64| (u128::from(count) * u128::from(round) / u128::from(rounds)) as u64;
                let executions = match (place < first_of_all, round) {
                    (true, 0) => 0..count,
                    (true, _) => 0..0,
                    (false, _) => before(round)..before(round + 1),
                };
                let stages = run.within.len();
                let turn = |execution| {
                    let stage = first_stage + stage_of(execution, count, stages as u64) as usize;
                    Turn { stage, iterations: run.kernel.iterations }
                };
                turns.extend(executions.map(turn));
                first_stage += stages;
            }
        }
        Sequence { stages: runs.iter().flat_map(stages).collect(), turns }
    }
}
