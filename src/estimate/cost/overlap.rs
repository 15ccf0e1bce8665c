//! What overlaps with what: the one place where times are put together.

use serde::Serialize;

use super::knowledge::{Bound, Knowledge, Need};
use crate::units::Seconds;

/// How kernels are started.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Launching {
    /// Workers are handed each operator and waited for, as on a CPU: the overhead is paid after every operator.
    Barrier,
    /// The host starts kernels one by one while the device computes: a step takes as long as the slower of the two.
    Eager,
    /// Kernels are started together as a graph: each takes at least as long as the device needs to go on to the next.
    Graph {
        /// The least time of a kernel.
        kernel: Seconds,
    },
}

/// The overhead of starting a kernel, where it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Overlap {
    /// How kernels are started.
    pub(super) launching: Launching,
    /// What starting one costs.
    pub(super) launch: Option<Need>,
}

/// A time with the need that decides it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Combined {
    pub(super) time: Seconds,
    /// Part of the time that is spent on starting kernels.
    pub(super) overhead: Seconds,
    /// What decides it.
    pub(super) bound: Bound,
    /// How well what decides it is known.
    pub(super) knowledge: Knowledge,
}

impl Overlap {
    /// The time of one execution. Within a kernel, arithmetic and every kind of traffic overlap: the longest need decides. Kernels, exchanges of data and
    /// barriers follow one another: their times add up.
    pub(super) fn operator(&self, needs: &[Need]) -> Combined {
        let longest = Need::decisive(needs);
        let device = longest.map_or(Seconds(0.0), |need| need.time);
        let overhead = match self.launching {
            Launching::Barrier => self.launch.map_or(Seconds(0.0), |launch| launch.time),
            Launching::Eager => Seconds(0.0),
            Launching::Graph { kernel } => Seconds((kernel - device).get().max(0.0)),
        };
        let (bound, knowledge) = match longest {
            Some(need) if need.time >= overhead => (need.of, need.knowledge),
            _ => (Bound::Overhead, self.knowledge().unwrap_or(Knowledge::Given)),
        };
        Combined { time: device + overhead, overhead, bound, knowledge }
    }

    /// By how much starting the kernels of a step takes longer than executing them.
    pub(super) fn exposed(&self, device: Seconds, kernels: f64) -> Seconds {
        match (self.launching, self.launch) {
            (Launching::Eager, Some(launch)) => Seconds((launch.time * kernels - device).get().max(0.0)),
            _ => Seconds(0.0),
        }
    }

    /// How the overhead is known, if it is.
    pub(super) fn knowledge(&self) -> Option<Knowledge> {
        match self.launching {
            Launching::Graph { .. } => Some(Knowledge::Given),
            _ => self.launch.map(|launch| launch.knowledge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::knowledge::Source;
    use super::*;

    fn need(of: Bound, time: f64) -> Need {
        Need { of, time: Seconds(time), from: Source::Link, knowledge: Knowledge::Measured }
    }

    #[test]
    fn of_equally_long_needs_the_worst_known_decides() {
        let known = need(Bound::Weights, 1.0);
        let stands_in = Need { knowledge: Knowledge::Substituted, ..known };
        for needs in [[known, stands_in], [stands_in, known]] {
            assert_eq!(Need::decisive(&needs), Some(&stands_in));
        }
        assert_eq!(Need::decisive(&[]), None);
    }

    #[test]
    fn needs_of_a_kernel_overlap_and_what_is_serial_adds_up() {
        let needs = [need(Bound::Compute, 2.0), need(Bound::Weights, 3.0)];
        let launch = Some(need(Bound::Overhead, 0.5));
        let barrier = Overlap { launching: Launching::Barrier, launch }.operator(&needs);
        assert_eq!((barrier.time, barrier.overhead, barrier.bound), (Seconds(3.5), Seconds(0.5), Bound::Weights));
        let eager = Overlap { launching: Launching::Eager, launch };
        assert_eq!(eager.operator(&needs).time, Seconds(3.0));
        assert_eq!((eager.exposed(Seconds(3.0), 4.0), eager.exposed(Seconds(3.0), 8.0)), (Seconds(0.0), Seconds(1.0)));
        let graph = Overlap { launching: Launching::Graph { kernel: Seconds(4.0) }, launch };
        assert_eq!((graph.operator(&needs).time, graph.exposed(Seconds(3.0), 8.0)), (Seconds(4.0), Seconds(0.0)));
        assert_eq!(graph.operator(&needs).bound, Bound::Weights);
        assert_eq!(graph.operator(&[]).bound, Bound::Overhead);
    }
}
