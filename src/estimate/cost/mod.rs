//! The time of operators and of steps, from ceilings: which ceiling each operator is held against, and how their times add up.

mod asked;
mod assumption;
mod engine;
mod error;
mod floor;
mod host;
mod knowledge;
mod needs;
mod overlap;
mod peers;
mod step;

pub use assumption::Assumption;
pub use error::{CostError, Lack};
pub use floor::{Floor, ridge_batch, ridge_point};
pub use knowledge::{Bound, Knowledge, Need, Source};
pub use needs::{is_plain, measured_as, summed_in};
pub use overlap::Launching;
pub use step::{OperatorCost, Share, StepCost, Transfer};

use asked::Asked;
use floor::SpeedOfLight;
use host::Host;
use needs::Refusal;
use overlap::Overlap;
use peers::Peers;

use super::link::Link;
use crate::facts::DeviceKind;
use crate::graph::{Graph, Operator};
use crate::profile::{CalibratedEngine, Ceilings, Place, Profile};
use crate::resource::{Overhead, Resource};
use crate::units::{Bytes, Seconds};

/// What a profile does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Options {
    /// How kernels are started; where it is not given, as the device's kind does it.
    pub launching: Option<Launching>,
    /// The link to other devices; where it is not given, as the profile tells of it.
    pub link: Option<Link>,
    /// The link to the host's memory, or to a disk; where it is not given, to the host as it was measured.
    pub host_link: Option<Link>,
}

/// A device that steps are costed on.
///
/// ```
/// # use rooflab::estimate::cost::{Costing, Options};
/// # use rooflab::graph::Graph;
/// # use rooflab::profile::bundled_named;
/// let profile = bundled_named("nvidia-h100-sxm").and_then(|bundled| bundled.profile()).unwrap();
/// let costing = Costing::new(profile, None, Options::default());
/// assert_eq!(costing.graph(&Graph::default()).unwrap().time.get(), 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct Costing<'a> {
    profile: &'a str,
    asked: Asked<'a>,
    light: SpeedOfLight,
    overlap: Overlap,
    peers: Option<Peers>,
    host: Host,
    engine: Option<&'a CalibratedEngine>,
}

impl<'a> Costing<'a> {
    /// A device by its profile, and by a datasheet for what that lacks.
    #[must_use]
    pub fn new(profile: &'a Profile, datasheet: Option<&'a Profile>, options: Options) -> Self {
        let ceilings = Ceilings::new(profile);
        let asked = Asked::new(datasheet.map_or(ceilings, |datasheet| ceilings.with_datasheet(datasheet)));
        let sheets: Vec<&Profile> = std::iter::once(profile).chain(datasheet).collect();
        let light = SpeedOfLight::new(&asked, &sheets);
        let launch = asked.rate(Resource::Overhead { of: Overhead::Launch }, Place::Anywhere).ok();
        // An overhead is a time in itself.
        let launch = launch.map(|rate| Need { time: Seconds(rate.value), ..rate.need(Bound::Overhead, 1.0) });
        let launching = options.launching.unwrap_or(match profile.device.kind {
            DeviceKind::Cpu => Launching::Barrier,
            DeviceKind::Gpu | DeviceKind::Npu | DeviceKind::Software | DeviceKind::Simulated => Launching::Eager,
        });
        let host = match options.host_link {
            Some(link) => Host::Given(link),
            None if profile.device.kind == DeviceKind::Cpu => Host::Itself,
            None => Host::Measured,
        };
        let peers = Peers::of(options.link, profile);
        Self { profile: &profile.name, asked, light, overlap: Overlap { launching, launch }, peers, host, engine: None }
    }

    /// The same device with all kernels of a step started together, as a graph: each takes at least what the profile says of a launch within one. Where it says nothing, going from
    /// one kernel to the next is taken to cost nothing.
    #[must_use]
    pub fn with_graphs(&self) -> Self {
        let launch = self.asked.rate(Resource::Overhead { of: Overhead::GraphLaunch }, Place::Anywhere);
        let kernel = launch.map_or(Seconds(0.0), |launch| Seconds(launch.value));
        let overlap = Overlap { launching: Launching::Graph { kernel }, ..self.overlap };
        Self { overlap, ..self.clone() }
    }

    /// The cost of an operator in a step that streams some bytes of weights and caches before it comes back to the same ones.
    ///
    /// # Errors
    ///
    /// A ceiling or a link is missing, or the operator's sizes are no numbers.
    pub fn operator(&self, operator: &Operator, streamed: Bytes) -> Result<OperatorCost, CostError> {
        self.cost(operator, streamed).map_err(|refusal| refusal.into_error(self.profile))?.sound()
    }

    /// The cost of a step.
    ///
    /// # Errors
    ///
    /// Ceilings or a link are missing (all that are, together), or sizes are no numbers.
    pub fn graph(&self, graph: &Graph) -> Result<StepCost, CostError> {
        let streamed = graph.total(|operator| operator.weights + operator.kv);
        let mut operators = Vec::with_capacity(graph.operators.len());
        let mut lacks: Vec<Lack> = Vec::new();
        let mut needs_link = false;
        for operator in &graph.operators {
            match self.cost(operator, streamed) {
                Ok(cost) => operators.push(cost.sound()?),
                Err(Refusal::NoLink) => needs_link = true,
                Err(Refusal::Amount(error)) => return Err(error),
                Err(Refusal::Lacks(lack)) if lacks.iter().all(|known| known.resource != lack.resource) => {
                    lacks.push(lack);
                }
                Err(Refusal::Lacks(_)) => {}
            }
        }
        if !lacks.is_empty() {
            return Err(CostError::Missing { profile: self.profile.to_owned(), lacks });
        }
        if needs_link {
            return Err(CostError::NoLink);
        }
        let device = operators.iter().map(OperatorCost::total).sum();
        let kernels = operators.iter().map(|operator| operator.count as f64).sum();
        let exposed = self.own_time(graph.layers, device).unwrap_or_else(|| self.overlap.exposed(device, kernels));
        let floor = self.floor(graph).ok();
        let overhead = self.engine.map_or_else(|| self.overlap.knowledge(), |_| Some(Knowledge::Engine));
        Ok(StepCost { time: device + exposed, operators, exposed, overhead, transfer: None, floor })
    }

    /// The speed of light of a step, by the maker's figures where there are any: the longer of all operations at peak and all weights and caches at the
    /// bandwidth of main memory.
    ///
    /// # Errors
    ///
    /// The profile has no figure for a format or for main memory.
    pub fn floor(&self, graph: &Graph) -> Result<Floor, CostError> {
        self.light.floor(graph, self.profile)
    }

    fn cost(&self, operator: &Operator, streamed: Bytes) -> Result<OperatorCost, Refusal> {
        let needs = needs::of(&self.asked, self.peers.as_ref(), operator, streamed)?;
        let combined = self.overlap.operator(&needs);
        Ok(OperatorCost {
            part: operator.part,
            count: operator.count,
            time: combined.time,
            overhead: combined.overhead,
            bound: combined.bound,
            knowledge: combined.knowledge,
            needs,
            flops: operator.flops,
            bytes: operator.bytes(),
        })
    }
}

impl OperatorCost {
    /// Itself, if its time is one.
    fn sound(self) -> Result<Self, CostError> {
        let seconds = self.total().get();
        let sound = seconds.is_finite() && seconds >= 0.0;
        if sound { Ok(self) } else { Err(CostError::NotATime { part: self.part, seconds }) }
    }
}
