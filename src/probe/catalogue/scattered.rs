//! Accesses to scattered places: latency, and atomic additions.

use super::{Family, Grid, PerEffort, Probe};
use crate::resource::Sharing;

const fn atomic(sharing: Sharing, explain: &'static str) -> Probe {
    Probe {
        family: Family::Atomic(sharing),
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Far),
        core: PerEffort::NOTHING,
        explain,
    }
}

/// Accesses to scattered places.
pub(super) static ROWS: &[Probe] = &[
    Probe {
        family: Family::Chase,
        device: PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Octaves),
        core: PerEffort::NOTHING,
        explain: "Time of a load whose address depends on the load before it, by one lane over a random cycle of cache lines.",
    },
    atomic(
        Sharing::Own,
        "Atomic additions of 32-bit integers by all threads, each to a word of its own: what scattering without conflicts can reach.",
    ),
    atomic(
        Sharing::Warp,
        "The same to a word that 32 threads share, which run in step: what a histogram of few bins can reach.",
    ),
    atomic(Sharing::All, "The same to one word that all threads share: what a counter of a whole kernel can reach."),
];
