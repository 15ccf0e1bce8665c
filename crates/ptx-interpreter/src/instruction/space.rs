//! State spaces and addresses, as instructions name them.

use crate::fault::{Problem, Space};
use crate::machine::{Lanes, Row};
use crate::memory::resolve_generic;
use crate::text::Address;

/// Where an instruction says that its address lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateSpace {
    Global,
    Shared,
    Local,
    Parameters,
    Generic,
}

/// State spaces by their modifiers. Constants lie in global memory here.
pub(super) const SPACES: &[(&str, StateSpace)] = &[
    ("global", StateSpace::Global),
    ("const", StateSpace::Global),
    ("shared", StateSpace::Shared),
    ("shared::cta", StateSpace::Shared),
    ("local", StateSpace::Local),
    ("param", StateSpace::Parameters),
    ("param::entry", StateSpace::Parameters),
];

/// What caches should do, which changes nothing that is computed, and orderings that always hold here.
pub(super) const HINTS: &[&str] = &[
    "nc",
    "ca",
    "cg",
    "cs",
    "cv",
    "lu",
    "wb",
    "wt",
    "weak",
    "relaxed",
    "acquire",
    "release",
    "acq_rel",
    "cta",
    "cluster",
    "gpu",
    "sys",
    "L1::evict_normal",
    "L1::evict_unchanged",
    "L1::evict_first",
    "L1::evict_last",
    "L1::no_allocate",
    "L2::evict_normal",
    "L2::evict_first",
    "L2::evict_last",
    "L2::64B",
    "L2::128B",
    "L2::256B",
    "unified",
];

/// The addresses of all lanes.
pub(crate) fn addresses(lanes: &Lanes<'_, '_>, address: Address) -> Result<Row, Problem> {
    let base = lanes.read(address.base)?;
    Ok(base.map(|base| base.wrapping_add(address.offset as u64)))
}

/// The space of a lane's address, and the address within it.
pub(super) fn resolve(space: StateSpace, address: u64) -> (Space, u64) {
    match space {
        StateSpace::Global => (Space::Global, address),
        StateSpace::Shared => (Space::Shared, address),
        StateSpace::Local => (Space::Local, address),
        StateSpace::Parameters => (Space::Parameters, address),
        StateSpace::Generic => resolve_generic(address),
    }
}
