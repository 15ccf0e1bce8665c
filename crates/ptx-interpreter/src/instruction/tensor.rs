//! Copies of boxes of tensors between global and shared memory (`cp.async.bulk.tensor`).

use super::Plain;
use super::space::{StateSpace, addresses, resolve};
use crate::fault::{Cause, Problem, Space};
use crate::machine::{Fetch, Lanes, Row, Send, Told, lanes_of};
use crate::memory::{Access, check_alignment};
use crate::tensor::{TENSOR_MAP_BYTES, TensorMap};
use crate::text::{Address, ParseError, Source, Statement};

/// What boxes in shared memory are aligned to, and those whose vectors are exchanged: there the pattern begins.
const BOX_ALIGNMENT: u32 = 128;
const PATTERN_BYTES: u32 = 1024;
/// Shared memory is read and written in vectors.
const VECTOR: u32 = 16;

#[derive(Debug)]
pub(super) enum TensorCopy {
    /// To shared memory, with the barrier that learns of it.
    Fetch {
        to: Address,
        map: Source,
        place: Vec<Source>,
        barrier: Address,
        /// The blocks of the cluster that it goes to, if not to one's own.
        ranks: Option<Source>,
    },
    /// To a tensor.
    Send {
        map: Source,
        place: Vec<Source>,
        from: Address,
    },
    Commit,
    /// Until at most so many groups are on their way, or for at most so many shared memory has not been read.
    Wait {
        left: usize,
        of_reads: bool,
    },
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<TensorCopy, ParseError> {
    if !(s.flag("async") && s.flag("bulk")) {
        return Err(s.error("only `cp.async.bulk` is supported"));
    }
    if s.flag("commit_group") {
        return Ok(TensorCopy::Commit);
    }
    if s.flag("wait_group") {
        let of_reads = s.flag("read");
        return match s.source()? {
            Source::Immediate(left) => Ok(TensorCopy::Wait { left: left as usize, of_reads }),
            _ => Err(s.error("a constant is expected")),
        };
    }
    if !s.flag("tensor") {
        return Err(s.error("only copies of tensors are supported"));
    }
    let rank = s.require("rank", &[("1d", 1), ("2d", 2), ("3d", 3), ("4d", 4), ("5d", 5)])?;
    s.ignore(&["tile"]);
    let is_send = s.flag("bulk_group");
    let multicast = s.flag("multicast::cluster");
    let spaces = s.flag("global") && (s.flag("shared::cta") || !is_send && s.flag("shared::cluster"));
    if !spaces || !is_send && !s.flag("mbarrier::complete_tx::bytes") {
        return Err(s.error("only copies from global to shared memory with a barrier, and back, are supported"));
    }
    let copy = if is_send {
        let (map, place) = s.tensor()?;
        TensorCopy::Send { map, place, from: s.address()? }
    } else {
        let to = s.address()?;
        let (map, place) = s.tensor()?;
        let barrier = s.address()?;
        let ranks = if multicast { Some(s.source()?) } else { None };
        TensorCopy::Fetch { to, map, place, barrier, ranks }
    };
    let (TensorCopy::Send { place, .. } | TensorCopy::Fetch { place, .. }) = &copy else { return Ok(copy) };
    if place.len() != rank {
        return Err(s.error("the place has not as many coordinates as the tensor"));
    }
    Ok(copy)
}

impl Plain for TensorCopy {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        match self {
            Self::Fetch { to, map, place, barrier, ranks } => {
                let ranks = ranks.map(|ranks| lanes.read(ranks)).transpose()?;
                let (to, barrier) = (addresses(lanes, *to)?, addresses(lanes, *barrier)?);
                let (maps, places) = (lanes.read(*map)?, rows(lanes, place)?);
                lanes.for_each(|lanes, lane| {
                    let map = read_map(lanes, maps[lane], places.len())?;
                    let ranks = ranks.map(|ranks| ranks[lane] as u32 & 0xffff);
                    fetch(lanes, lane, &map, &coordinates(&places, lane), (to[lane], barrier[lane], ranks))
                })
            }
            Self::Send { map, place, from } => {
                let from = addresses(lanes, *from)?;
                let (maps, places) = (lanes.read(*map)?, rows(lanes, place)?);
                lanes.for_each(|lanes, lane| {
                    let map = read_map(lanes, maps[lane], places.len())?;
                    send(lanes, lane, map, &coordinates(&places, lane), from[lane])
                })
            }
            Self::Commit => lanes.for_each(|lanes, lane| {
                lanes.warp.sends[lane].commit();
                Ok(())
            }),
            Self::Wait { left, of_reads: true } => lanes.for_each(|lanes, lane| {
                for send in lanes.warp.sends[lane].part_of(*left) {
                    send.is_read = true;
                    lanes.block.proxy.release(send.ticket);
                }
                Ok(())
            }),
            Self::Wait { left, of_reads: false } => lanes.for_each(|lanes, lane| {
                for send in lanes.warp.sends[lane].wait(*left) {
                    lanes.block.proxy.release(send.ticket);
                    send.arrive(lanes)?;
                }
                Ok(())
            }),
        }
    }
}

fn rows(lanes: &Lanes<'_, '_>, sources: &[Source]) -> Result<Vec<Row>, Problem> {
    sources.iter().map(|source| lanes.read(*source)).collect()
}

/// A lane's place in a tensor, whose coordinates are signed.
fn coordinates(rows: &[Row], lane: usize) -> Vec<i64> {
    rows.iter().map(|row| i64::from(row[lane] as u32 as i32)).collect()
}

fn refused(reason: impl Into<String>) -> Cause {
    Cause::Tensor { reason: reason.into() }
}

/// The map at a generic address.
fn read_map(lanes: &mut Lanes<'_, '_>, address: u64, rank: usize) -> Result<TensorMap, Cause> {
    let mut bytes = [0; TENSOR_MAP_BYTES];
    let (space, address) = resolve(StateSpace::Generic, address);
    check_alignment(space, address, 64)?;
    match space {
        Space::Parameters => {
            let parameters = lanes.block.launch.parameters;
            let out = Cause::OutOfBounds {
                space,
                address,
                bytes: TENSOR_MAP_BYTES as u32,
                nearest: Some((0, parameters.len() as u64)),
            };
            let found = parameters.get(address as usize..).and_then(|rest| rest.get(..TENSOR_MAP_BYTES));
            bytes.copy_from_slice(found.ok_or(out)?);
        }
        Space::Global => {
            for (index, part) in bytes.chunks_mut(VECTOR as usize).enumerate() {
                let (allocation, offset) = lanes.block.global.load(address + 16 * index as u64, VECTOR)?;
                allocation.read(offset, part);
            }
        }
        _ => return Err(refused("its map lies neither in global memory nor among the parameters")),
    }
    let map = TensorMap::from_bytes(&bytes).ok_or_else(|| refused("there is no map of a tensor"))?;
    if map.sizes.len() != rank {
        return Err(refused(format!("the map is of {} dimensions", map.sizes.len())));
    }
    Ok(map)
}

/// A box in shared memory: its address, checked.
fn box_at(lanes: &Lanes<'_, '_>, map: &TensorMap, address: u64) -> Result<u64, Cause> {
    let (_, address) = resolve(StateSpace::Shared, address);
    check_alignment(Space::Shared, address, if map.exchanged { PATTERN_BYTES } else { BOX_ALIGNMENT })?;
    let bytes = map.box_bytes();
    let last = address.saturating_add(bytes).saturating_sub(VECTOR.into());
    lanes.block.shared.check(address, VECTOR)?;
    lanes.block.shared.check(last, VECTOR)?;
    Ok(address)
}

fn fetch(
    lanes: &mut Lanes<'_, '_>,
    lane: usize,
    map: &TensorMap,
    place: &[i64],
    (to, barrier, ranks): (u64, u64, Option<u32>),
) -> Result<(), Cause> {
    let to = box_at(lanes, map, to)?;
    let (own, thread) = (lanes.block.rank(), lanes.thread(lane));
    let (warp, pc, place) = (lanes.warp.index, lanes.block.pc, place.to_vec());
    let fetch =
        |counts| Fetch { map: map.clone(), place: place.clone(), to, barrier, ticket: 0, counts, warp, lane, pc };
    let ranks = ranks.unwrap_or(1 << own);
    // Who starts it reads it once for all.
    let mut counts = true;
    for rank in lanes_of(ranks) {
        let fetch = fetch(std::mem::take(&mut counts));
        if rank as u32 == own {
            fetch.start(lanes.block, Some(thread))?;
        } else {
            lanes.tell(lane, rank as u32, Told::Fetch(fetch));
        }
    }
    Ok(())
}

fn send(lanes: &mut Lanes<'_, '_>, lane: usize, map: TensorMap, place: &[i64], from: u64) -> Result<(), Cause> {
    let from = box_at(lanes, &map, from)?;
    let bytes = map.box_bytes();
    let actor = lanes.actor(lane);
    let block = &mut *lanes.block;
    block.proxy.read(actor.thread, from, bytes)?;
    if let Some(races) = &mut block.races {
        races.read(actor, from, bytes as u32, Access::Read)?;
    }
    let content = Send::read(&map, from, &block.shared)?;
    let ticket = block.proxy.ticket();
    block.proxy.occupy(ticket, from, bytes, "a copy to a tensor");
    lanes.warp.sends[lane].start(Send { map, place: place.to_vec(), content, ticket, is_read: false });
    Ok(())
}
