//! Links to the host and to other devices.

use super::{Family, Grid, PerEffort, Probe};
use crate::resource::{Direction, Exchange, Overhead};

const fn peer_copy(exchange: Exchange, device: PerEffort, explain: &'static str) -> Probe {
    Probe { family: Family::PeerCopy(exchange), device, core: PerEffort::NOTHING, explain }
}

/// Links to the host and to other devices.
pub(super) static ROWS: &[Probe] = &[
    Probe {
        family: Family::HostCopy(Direction::Memcpy),
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Coarse),
        core: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        explain: "Bytes per second that the platform's own memcpy moves: the host link of a device that is the host.",
    },
    Probe {
        family: Family::HostCopy(Direction::H2d),
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second from the host's memory into the device's: what loading weights, and fetching what was offloaded, can reach.",
    },
    Probe {
        family: Family::HostCopy(Direction::D2h),
        device: PerEffort::new(Grid::Far, Grid::Coarse, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second from the device's memory into the host's: what offloading a cache can reach.",
    },
    Probe {
        family: Family::HostCopy(Direction::Both),
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second both ways at once, added up: what exchanging caches with the host can reach.",
    },
    Probe {
        family: Family::HostCopy(Direction::H2dPageable),
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second into the device's memory from memory of the host that is not pinned: what programs get that do not ask for better.",
    },
    Probe {
        family: Family::HostCopy(Direction::D2hPageable),
        device: PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        core: PerEffort::NOTHING,
        explain: "Bytes per second from the device's memory into memory of the host that is not pinned.",
    },
    peer_copy(
        Exchange::Send,
        PerEffort::new(Grid::Far, Grid::Coarse, Grid::Octaves),
        "Bytes per second from the device's memory into another device's: what handing a model's activations or a cache on can reach.",
    ),
    peer_copy(
        Exchange::SendBoth,
        PerEffort::new(Grid::Nothing, Grid::Far, Grid::Coarse),
        "Bytes per second between two devices that send to each other at once, added up: the link under the load of a sum over devices.",
    ),
    peer_copy(
        Exchange::AllReduce,
        PerEffort::new(Grid::Coarse, Grid::Coarse, Grid::Octaves),
        "Bytes per second of a sum over all local devices of a kind, by NCCL: what tensor parallelism waits for twice in every layer.",
    ),
    peer_copy(
        Exchange::AllGather,
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bytes per second that all local devices of a kind get of what each has a part of, by NCCL.",
    ),
    peer_copy(
        Exchange::ReduceScatter,
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bytes per second of a sum of which every local device of a kind keeps a part, by NCCL.",
    ),
    peer_copy(
        Exchange::AllToAll,
        PerEffort::new(Grid::Nothing, Grid::Coarse, Grid::Octaves),
        "Bytes per second that local devices of a kind send to one another, each a part to each, by NCCL: what experts that are shared out wait for.",
    ),
    Probe {
        family: Family::Empty(Overhead::PeerSend),
        device: PerEffort::ALWAYS,
        core: PerEffort::NOTHING,
        explain: "Time of a copy of a few bytes to another device and from there back, in turns, each after the one before: the latency that no \
                  exchange between devices by copies gets below.",
    },
];
