//! The whole estimate of a scenario: memory first, then steps, then what requests see.

use super::account::Account;
use super::cost::{CostError, Costing, ridge_batch};
use super::deployment::{Deployment, Limit};
use super::memory::{Admission, AtOnce, BudgetError, Plan, Policy};
use super::offload::OffloadError;
use super::scenario::{Load, Scenario};
use super::serving::{ClosedLoop, FrontierPoint, MOST_SEQUENCES, Metrics, Open, OpenLoop, ServingError, frontier};
use super::subject::{Placed, Subject};
use crate::graph::{LayoutError, Sequences, Step};
use crate::units::Bytes;

/// A model on a kind of device.
///
/// ```
/// use rooflab::dtype::DType;
/// use rooflab::estimate::cost::{Costing, Options};
/// use rooflab::estimate::{Estimator, Scenario, Subject};
/// use rooflab::graph::Routing;
/// use rooflab::model::{KvFormat, Precision, WeightFormat, find_preset};
/// use rooflab::profile::bundled_named;
/// use rooflab::units::Bytes;
///
/// let model = find_preset("mistral-7b-v0.1")?.model()?;
/// let precision = Precision::uniform(&model, WeightFormat::plain(DType::F16));
/// let subject = Subject { model: &model, precision: &precision, kv: KvFormat::plain(DType::F16), routing: Routing::default() };
/// let profile = bundled_named("nvidia-geforce-rtx-4090").and_then(|bundled| bundled.profile()).ok_or("no profile")?;
/// let costing = Costing::new(profile, None, Options::default());
/// let estimator = Estimator { subject, costing: &costing, memory: Bytes(profile.device.memory as f64) };
///
/// let estimate = estimator.estimate(&Scenario::default())?;
/// // No token of a model of 14.2 GB comes faster than 14.1 ms at 1008 GB/s.
/// assert!(estimate.decode.time.get() > 0.0141);
/// assert!(estimate.memory.over.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Estimator<'a> {
    /// The model in its formats.
    pub subject: Subject<'a>,
    /// The device, as its profile describes it.
    pub costing: &'a Costing<'a>,
    /// The memory of a device.
    pub memory: Bytes,
}

/// An estimate of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Devices that take part.
    pub devices: u64,
    /// What fits into memory, and by how much the scenario does not.
    pub memory: Admission,
    /// Prompts that go through the model together, whole: those of a batch; otherwise one, or as many as a step has tokens for.
    pub prefill: Account,
    /// One decode step of the account's sequences.
    pub decode: Account,
    /// The batch from which on a decode step at the account's context is bound by arithmetic, by its floor; none where the caches that come with it keep every batch
    /// bound by memory, or where the floor of some batch is not known.
    pub ridge_batch: Option<u64>,
    /// What requests see.
    pub served: Served,
}

/// What requests see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Served {
    /// They are answered.
    Steady(Metrics),
    /// They arrive faster than they can be answered; so many are answered per second.
    Saturated {
        /// Requests per second.
        capacity: f64,
    },
    /// They cannot run at the same time; so many can.
    TooMany {
        /// Sequences.
        admitted: u64,
        /// What keeps the others from it.
        limit: Limit,
    },
}

impl Served {
    /// What they see, where they are answered.
    #[must_use]
    pub const fn metrics(&self) -> Option<&Metrics> {
        match self {
            Self::Steady(metrics) => Some(metrics),
            Self::Saturated { .. } | Self::TooMany { .. } => None,
        }
    }
}

/// Why there is no estimate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EstimateError {
    /// The model cannot be divided over the devices.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A step has no time.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// A number of the load cannot be calculated with.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// The share of memory is none.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// A share of what is offloaded is none.
    #[error(transparent)]
    Offload(#[from] OffloadError),
    /// The model was not made for so long a context.
    #[error("`{field}` {tokens} is beyond the {most} tokens that `{model}` was made for")]
    Context {
        /// Where the tokens come from.
        field: &'static str,
        /// The tokens.
        tokens: u64,
        /// The most.
        most: u64,
        /// The model.
        model: String,
    },
}

impl<'a> Estimator<'a> {
    /// The model on the devices of a scenario, to be asked for the times of steps.
    ///
    /// # Errors
    /// If the model cannot be divided like that.
    pub fn place(&self, scenario: &Scenario) -> Result<Placed<'a>, LayoutError> {
        Ok(Placed::new(&self.subject, self.costing, &scenario.layout)?.with_offload(scenario.offload))
    }

    /// The estimate of a scenario.
    ///
    /// # Errors
    /// If a number of the scenario cannot be calculated with, or the profile lacks what a step needs. That something does not fit into memory is no error.
    pub fn estimate(&self, scenario: &Scenario) -> Result<Estimate, EstimateError> {
        let placed = self.place(scenario)?;
        self.estimate_placed(scenario, &placed)
    }

    /// The same, for a model that is placed already.
    ///
    /// # Errors
    /// As for [`Estimator::estimate`].
    pub fn estimate_placed(&self, scenario: &Scenario, placed: &Placed<'_>) -> Result<Estimate, EstimateError> {
        let (mut memory, deployment) = self.admit(scenario)?;
        // Ceilings that are missing are an error of the step, with their names, and not one of the load.
        placed.cost(&Step::decode(1, scenario.decode_context()))?;
        let served = self.serve(scenario, placed, &deployment)?;
        let sequences = scenario.sequences(deployment.admitted(), served.metrics().map(|metrics| metrics.running));
        if matches!(scenario.load, Load::Open(_)) {
            (memory, _) = self.admit_some(scenario, sequences)?;
        }
        let count = scenario.prompts(sequences);
        let prompt = Sequences { count, new_tokens: scenario.request.prompt, cached: 0, logits: 1 };
        let (prefill, decode) = (Step::of(prompt), Step::decode(sequences, scenario.decode_context()));
        Ok(Estimate {
            devices: deployment.devices(),
            memory,
            prefill: Account::of(&prefill, &placed.cost(&prefill)?, self.costing),
            decode: Account::of(&decode, &placed.cost(&decode)?, self.costing),
            ridge_batch: self.ridge_batch(scenario, placed),
            served,
        })
    }

    /// The batch at which the floor of a decode step turns from memory to arithmetic.
    fn ridge_batch(&self, scenario: &Scenario, placed: &Placed<'_>) -> Option<u64> {
        // A floor that is not known says nothing of its batch, and ends the search.
        let is_compute_bound = |batch| {
            let floor = placed.lower(&Step::decode(batch, scenario.decode_context())).floor(self.costing);
            floor.ok().flatten().map(|floor| floor.is_compute_bound()).ok_or(())
        };
        ridge_batch(MOST_SEQUENCES, is_compute_bound).ok().flatten()
    }

    /// What fits, and the engines that have room for it.
    ///
    /// # Errors
    /// If a number of the scenario cannot be calculated with.
    pub fn admit(&self, scenario: &Scenario) -> Result<(Admission, Deployment), EstimateError> {
        let sequences = match scenario.load {
            Load::Batch(sequences) | Load::Closed(sequences) => sequences,
            Load::Open(_) => 1,
        };
        self.admit_some(scenario, sequences)
    }

    /// The same for some sequences.
    fn admit_some(&self, scenario: &Scenario, sequences: u64) -> Result<(Admission, Deployment), EstimateError> {
        self.check_context(scenario)?;
        let devices = scenario.layout.devices()?;
        let (plan, budget, tokens) = (self.plan(scenario)?, scenario.budget.checked()?, scenario.full_length());
        let largest = plan.largest_batch(self.memory, budget, tokens).unwrap_or(MOST_SEQUENCES).min(MOST_SEQUENCES);
        let deployment = scenario.deployment(largest, devices);
        let ranks = scenario.layout.data.saturating_mul(scenario.layout.expert);
        let wanted = match scenario.load {
            Load::Batch(_) => sequences,
            // In a loop, what is not admitted waits.
            Load::Closed(_) | Load::Open(_) => sequences.min(deployment.admitted()).max(1),
        };
        let admission = plan.admit(self.memory, budget, wanted.div_ceil(ranks), tokens);
        Ok((admission.of_all(ranks, self.subject.model.max_context), deployment))
    }

    /// What requests see of a scenario.
    ///
    /// # Errors
    /// If a number of the scenario cannot be calculated with, or the profile lacks what a step needs.
    pub fn serve(
        &self,
        scenario: &Scenario,
        placed: &Placed<'_>,
        deployment: &Deployment,
    ) -> Result<Served, EstimateError> {
        let admitted = deployment.admitted();
        let too_many = matches!(scenario.load, Load::Batch(batch) if batch > admitted);
        if admitted == 0 || too_many {
            return Ok(Served::TooMany { admitted, limit: deployment.limit() });
        }
        let request = &scenario.request;
        Ok(match scenario.load {
            Load::Batch(batch) => Served::Steady(deployment.static_batch(placed, request, batch)?),
            Load::Closed(concurrency) => {
                let clients = ClosedLoop { concurrency, requests: scenario.requests };
                Served::Steady(deployment.closed_loop(placed, request, &clients)?)
            }
            Load::Open(rate) => {
                let arrivals = OpenLoop { rate, variability: scenario.variability };
                match deployment.open_loop(placed, request, &arrivals)? {
                    Open::Steady(steady) => Served::Steady(steady.metrics),
                    Open::Saturated { capacity } => Served::Saturated { capacity },
                }
            }
        })
    }

    /// Throughput against latency: closed loops of all concurrencies that pay, up to what fits.
    ///
    /// # Errors
    /// As for [`Estimator::estimate`].
    pub fn frontier(&self, scenario: &Scenario) -> Result<Vec<FrontierPoint>, EstimateError> {
        let placed = self.place(scenario)?;
        let (_, deployment) = self.admit(&Scenario { load: Load::Closed(1), ..*scenario })?;
        if deployment.admitted() == 0 {
            return Ok(Vec::new());
        }
        // What pays is a matter of the steady state.
        let clients = |concurrency| ClosedLoop { concurrency, requests: None };
        let at = |concurrency| deployment.closed_loop(&placed, &scenario.request, &clients(concurrency));
        Ok(frontier(deployment.admitted().min(MOST_SEQUENCES), at)?)
    }

    fn plan(&self, scenario: &Scenario) -> Result<Plan<'a>, EstimateError> {
        let prompts = match (scenario.load, scenario.chunk) {
            // Whole prompts that do not start together go through one by one.
            (Load::Closed(_) | Load::Open(_), None) => 1,
            _ => u64::MAX,
        };
        let policy = Policy {
            block: scenario.block,
            allocation: scenario.allocation,
            at_once: Some(AtOnce { prompt: scenario.request.prompt, prompts, chunk: scenario.chunk }),
            reserve: scenario.reserve,
            offload: scenario.offload.checked()?,
        };
        Ok(Plan::new(self.subject, scenario.layout, policy)?)
    }

    fn check_context(&self, scenario: &Scenario) -> Result<(), EstimateError> {
        let model = self.subject.model;
        let Some(most) = model.max_context else { return Ok(()) };
        let whole = scenario.request.prompt.saturating_add(scenario.request.output);
        let given = scenario.context.map(|context| ("context", context));
        for (field, tokens) in given.into_iter().chain([("prompt + generate", whole)]) {
            if tokens > most {
                return Err(EstimateError::Context { field, tokens, most, model: model.name.clone() });
            }
        }
        Ok(())
    }
}
