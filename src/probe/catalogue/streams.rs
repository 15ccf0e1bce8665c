//! Streaming kernels.

use super::{Family, Grid, PerEffort, Probe};
use crate::resource::{Access, StreamOp};

const fn stream(access: Access, device: PerEffort, core: PerEffort, explain: &'static str) -> Probe {
    Probe { family: Family::Stream(access), device, core, explain }
}

/// Streaming kernels.
pub(super) static ROWS: &[Probe] = &[
    stream(
        Access::plain(StreamOp::Read),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Fine),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Fine),
        "Bandwidth of pure loads. Decoding a language model reads every weight once per token, so this is the ceiling of decode.",
    ),
    stream(
        Access::plain(StreamOp::Write),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bandwidth of pure stores. Ordinary stores fetch the line before they overwrite it; that traffic is not counted.",
    ),
    stream(
        Access::non_temporal(StreamOp::Write),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of stores that go past the caches and do not fetch the line.",
    ),
    stream(
        Access::plain(StreamOp::Copy),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bandwidth of c = a: one load and one store per element.",
    ),
    stream(
        Access::non_temporal(StreamOp::Copy),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of c = a with stores that go past the caches.",
    ),
    stream(
        Access::plain(StreamOp::Scale),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of b = s·a, as in STREAM.",
    ),
    stream(
        Access::non_temporal(StreamOp::Scale),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        "Bandwidth of b = s·a with stores that go past the caches.",
    ),
    stream(
        Access::plain(StreamOp::Add),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of c = a + b, as in STREAM.",
    ),
    stream(
        Access::non_temporal(StreamOp::Add),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        PerEffort::new(Grid::Nothing, Grid::Nothing, Grid::Far),
        "Bandwidth of c = a + b with stores that go past the caches.",
    ),
    stream(
        Access::plain(StreamOp::Triad),
        PerEffort::new(Grid::Coarse, Grid::Octaves, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bandwidth of a = b + s·c, the kernel STREAM is known for: two loads, one store.",
    ),
    stream(
        Access::non_temporal(StreamOp::Triad),
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bandwidth of a = b + s·c with stores that go past the caches. Usually the highest a machine gives.",
    ),
];
