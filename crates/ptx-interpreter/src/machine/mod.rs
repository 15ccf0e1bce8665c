//! The machine that executes kernels: launches, blocks, warps, lanes.

mod barrier;
mod block;
mod bulk;
mod cluster;
mod collective;
mod copies;
mod lanes;
mod launch;
mod phases;
mod products;
mod random;
mod request;
mod schedule;
mod spin;
mod warp;

pub(crate) use barrier::Reduction;
pub(crate) use bulk::{Fetch, Send};
pub(crate) use cluster::{Meeting, Message, Told, map_address, split_address};
pub(crate) use copies::{Copies, Copy};
pub(crate) use lanes::{Lanes, lanes_of};
pub use launch::Loaded;
pub(crate) use phases::{BARRIER_BYTES, Phases};
pub(crate) use products::{Pending, Products};
pub use request::{Argument, Launch, Options, Schedule};
pub(crate) use warp::{LANES, Row};
