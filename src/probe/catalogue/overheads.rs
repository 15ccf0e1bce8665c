//! What is paid to start work.

use super::{Family, PerEffort, Probe};
use crate::resource::Overhead;

/// What is paid to start work.
pub(super) static ROWS: &[Probe] = &[
    Probe {
        family: Family::Empty(Overhead::Launch),
        device: PerEffort::ALWAYS,
        core: PerEffort::NOTHING,
        explain: "Time to hand an empty job to every lane and see it done, with the workers waiting for it. The least that an operator \
                  can take when an engine keeps its threads spinning. On a GPU: an empty dispatch that follows another one of the same submission.",
    },
    Probe {
        family: Family::Empty(Overhead::GraphLaunch),
        device: PerEffort::ALWAYS,
        core: PerEffort::NOTHING,
        explain: "The same for one of a hundred empty kernels in a graph that is handed over whole: the least that an operator takes when an \
                  engine replays its steps as graphs.",
    },
    Probe {
        family: Family::Empty(Overhead::Wake),
        device: PerEffort::ALWAYS,
        core: PerEffort::NOTHING,
        explain: "The same after the workers went to sleep: what an engine pays per operator when its threads sleep between them. \
                  On a GPU: a submission by itself, until the host knows that it is done.",
    },
];
