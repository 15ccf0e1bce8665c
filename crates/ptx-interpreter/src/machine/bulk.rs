//! Copies of boxes of tensors that go on by themselves (`cp.async.bulk.tensor`), and come as late as they may.

use super::block::Run;
use super::lanes::{Block, lanes_of};
use crate::fault::{Cause, Problem};
use crate::machine::{BARRIER_BYTES, Lanes};
use crate::memory::Scratch;
use crate::tensor::TensorMap;

/// A copy from a tensor to shared memory.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) map: TensorMap,
    pub(crate) place: Vec<i64>,
    pub(crate) to: u64,
    /// The barrier in shared memory that learns of its bytes.
    pub(crate) barrier: u64,
    /// What stands for its bytes while they are in use.
    pub(crate) ticket: u64,
    /// Whether it is counted: of a copy to several blocks only one is.
    pub(crate) counts: bool,
    /// Who started it and where.
    pub(crate) warp: u32,
    pub(crate) lane: usize,
    pub(crate) pc: u32,
}

/// A copy from shared memory to a tensor: what it has read, and what stands for the bytes until somebody knows that they
/// have been.
#[derive(Clone, Debug)]
pub(crate) struct Send {
    pub(crate) map: TensorMap,
    pub(crate) place: Vec<i64>,
    pub(crate) content: Vec<u8>,
    pub(crate) ticket: u64,
    /// Whether somebody has waited until it was read.
    pub(crate) is_read: bool,
}

impl Fetch {
    /// Puts it on its way to a block, for one of its threads or for another block's.
    pub(crate) fn start(mut self, block: &mut Block<'_>, thread: Option<u32>) -> Result<(), Cause> {
        let Self { to, barrier, .. } = self;
        let bytes = self.map.box_bytes();
        block.phases.ended(barrier)?;
        block.proxy.read(thread.unwrap_or(u32::MAX), barrier, BARRIER_BYTES.into())?;
        if block.phases.are_at(to, bytes) {
            return Err(Cause::Barrier { address: to, reason: "a copy overwrites it".to_owned() });
        }
        block.proxy.check_free(to, bytes)?;
        self.ticket = block.proxy.ticket();
        block.proxy.occupy(self.ticket, to, bytes, "a copy of a tensor");
        // Until it has come, there is nothing that may be read.
        block.shared.forget(to, bytes)?;
        block.fetches.push(self);
        Ok(())
    }

    /// Copies, and lets the barrier know.
    fn arrive(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Cause> {
        let block = &mut *lanes.block;
        for (offset, bytes, address) in self.map.parts(&self.place) {
            let mut content = [0; 16];
            let content = &mut content[..bytes as usize];
            if let Some(address) = address {
                let (allocation, offset) = block.global.load(address, bytes)?;
                allocation.read(offset, content);
                block.counters.loaded += if self.counts { u64::from(bytes) } else { 0 };
            }
            block.shared.store(self.map.place(self.to, offset), bytes)?.copy_from_slice(content);
        }
        let bytes = self.map.box_bytes();
        if let Some(races) = &mut block.races {
            races.forget(self.to, bytes);
        }
        block.proxy.release(self.ticket);
        block.proxy.replace(self.to, bytes);
        block.events += 1;
        block.phases.expect(self.barrier, -(bytes as i64))
    }
}

impl Send {
    /// Reads a box from shared memory.
    pub(crate) fn read(map: &TensorMap, from: u64, shared: &Scratch) -> Result<Vec<u8>, Cause> {
        let mut content = vec![0; map.box_bytes() as usize];
        for (index, part) in content.chunks_mut(16).enumerate() {
            part.copy_from_slice(shared.load(map.place(from, 16 * index as u64), part.len() as u32)?);
        }
        Ok(content)
    }

    /// Writes what was read, as far as it lies within the tensor.
    pub(crate) fn arrive(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Cause> {
        let block = &mut *lanes.block;
        for (from, bytes, address) in self.map.parts(&self.place) {
            let Some(address) = address else { continue };
            let (allocation, offset) = block.global.store(address, bytes)?;
            allocation.write(offset, &self.content[from as usize..][..bytes as usize]);
            block.counters.stored += u64::from(bytes);
        }
        block.events += 1;
        Ok(())
    }
}

impl Run<'_> {
    /// Lets a copy to shared memory arrive: the oldest, or in the preemptive schedule any. Returns whether there was one.
    pub(super) fn arrive_late(&mut self) -> Result<bool, Problem> {
        if self.block.fetches.is_empty() {
            return Ok(false);
        }
        let count = self.block.fetches.len() as u64;
        let index = if self.block.launch.is_preemptive() { self.block.random.below(count) as usize } else { 0 };
        let fetch = self.block.fetches.remove(index);
        let mut lanes = self.lanes(fetch.warp as usize, 1 << fetch.lane);
        let arrived = fetch.arrive(&mut lanes);
        arrived.map_err(|cause| Problem::of_warp(fetch.warp, fetch.pc, fetch.lane, cause))?;
        Ok(true)
    }

    /// What is on its way when a block ends: sums and copies to tensors arrive, while shared memory must not be needed.
    pub(super) fn finish_copies(&mut self) -> Result<(), Problem> {
        while self.arrive_late()? {}
        for warp in 0..self.warps.len() {
            for lane in lanes_of(u32::MAX) {
                let mut sends = std::mem::take(&mut self.warps[warp].sends[lane]);
                for send in sends.wait_all() {
                    let mut lanes = self.lanes(warp, 1 << lane);
                    let ended = || Cause::Tensor { reason: "a block ends before shared memory was read".to_owned() };
                    let arrived = if send.is_read { send.arrive(&mut lanes) } else { Err(ended()) };
                    arrived.map_err(|cause| Problem::of_lane(lane, cause).at(warp as u32, 0))?;
                }
            }
        }
        Ok(())
    }
}
