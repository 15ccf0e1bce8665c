//! Loads and stores.

use super::Plain;
use super::space::{HINTS, SPACES, StateSpace, addresses, resolve};
use crate::fault::{Cause, Problem, Space};
use crate::kind::Kind;
use crate::machine::{Lanes, Row, lanes_of};
use crate::memory::{Access, Scratch, check_alignment, conflicts, slot_of};
use crate::text::{Address, ParseError, Register, Source, Statement};

const WIDTHS: &[(&str, usize)] = &[("v2", 2), ("v4", 4), ("v8", 8)];

/// What happens to what lies at an address.
#[derive(Clone, Debug)]
enum Action {
    Load(Vec<Register>),
    Store(Vec<Source>),
    /// Nothing, but the address must be one.
    Touch,
}

#[derive(Debug)]
pub(super) struct Transfer {
    action: Action,
    space: StateSpace,
    kind: Kind,
    /// Bytes of all values together.
    bytes: u32,
    address: Address,
    volatile: bool,
}

pub(super) fn decode(s: &mut Statement<'_>) -> Result<Transfer, ParseError> {
    let space = s.choose(SPACES).unwrap_or(StateSpace::Generic);
    if !matches!(s.name, "ld" | "ldu" | "st") {
        s.ignore(&["tensormap", "L1", "L2", "L2::evict_last", "L2::evict_normal", "L2", "global"]);
        let address = s.address()?;
        while s.operands_left() > 0 {
            s.source()?;
        }
        return Ok(Transfer { action: Action::Touch, space, kind: Kind::B8, bytes: 1, address, volatile: false });
    }
    let volatile = s.flag("volatile") | s.has("relaxed") | s.has("acquire") | s.has("release");
    let has_policy = s.flag("L2::cache_hint");
    s.ignore(HINTS);
    let width = s.choose(WIDTHS).unwrap_or(1);
    let kind = s.kind()?;
    let (action, address) = if s.name == "st" {
        let address = s.address()?;
        (Action::Store(s.values()?), address)
    } else {
        let registers = s.registers()?;
        (Action::Load(registers), s.address()?)
    };
    if has_policy {
        s.source()?;
    }
    let values = match &action {
        Action::Load(registers) => registers.len(),
        Action::Store(sources) => sources.len(),
        Action::Touch => 1,
    };
    let bytes = kind.bytes() * width as u32;
    if values != width || bytes > 32 || kind == Kind::Pred {
        return Err(s.error("the values do not go with the type"));
    }
    Ok(Transfer { action, space, kind, bytes, address, volatile })
}

impl Plain for Transfer {
    fn execute(&self, lanes: &mut Lanes<'_, '_>) -> Result<(), Problem> {
        let addresses = addresses(lanes, self.address)?;
        self.count(lanes, &addresses);
        match &self.action {
            Action::Load(registers) => {
                lanes.for_each(|lanes, lane| self.load(lanes, lane, addresses[lane], registers))?;
                for register in registers {
                    lanes.warp.mark(*register, lanes.mask, true);
                }
                Ok(())
            }
            Action::Store(sources) => {
                let mut rows = [[0; 32]; 8];
                for (row, source) in rows.iter_mut().zip(sources) {
                    *row = lanes.read(*source)?;
                }
                lanes.for_each(|lanes, lane| self.store(lanes, lane, addresses[lane], &rows[..sources.len()]))
            }
            Action::Touch => lanes.for_each(|lanes, lane| match resolve(self.space, addresses[lane]) {
                (Space::Global, address) => lanes.block.global.check(address, 1),
                _ => Ok(()),
            }),
        }
    }
}

impl Transfer {
    fn count(&self, lanes: &mut Lanes<'_, '_>, addresses: &Row) {
        let mut of_shared = 0;
        let mut to_global = 0;
        for lane in lanes_of(lanes.mask) {
            match resolve(self.space, addresses[lane]).0 {
                Space::Shared => of_shared |= 1 << lane,
                Space::Global => to_global += u64::from(self.bytes),
                _ => {}
            }
        }
        let counters = &mut lanes.block.counters;
        match self.action {
            Action::Load(_) => counters.loaded += to_global,
            Action::Store(_) => counters.stored += to_global,
            Action::Touch => return,
        }
        if of_shared != 0 {
            let (parts, repeats) = conflicts(addresses, of_shared, self.bytes);
            counters.shared_accesses += parts;
            counters.bank_conflicts += repeats;
        }
    }

    /// A value as it goes into a register: loads of signed types are widened with their sign.
    fn extend(&self, value: u64) -> u64 {
        match self.kind {
            Kind::S8 => value as u8 as i8 as i64 as u64,
            Kind::S16 => value as u16 as i16 as i64 as u64,
            Kind::S32 => value as u32 as i32 as i64 as u64,
            _ => value,
        }
    }

    fn load(&self, lanes: &mut Lanes<'_, '_>, lane: usize, address: u64, to: &[Register]) -> Result<(), Cause> {
        let (space, address) = resolve(self.space, address);
        let size = self.kind.bytes();
        if space == Space::Global {
            let (allocation, offset) = lanes.block.global.load(address, self.bytes)?;
            for (offset, register) in (offset..).step_by(size as usize).zip(to) {
                lanes.warp.row_mut(*register)[lane] = self.extend(allocation.load(offset, size));
            }
            return Ok(());
        }
        let actor = lanes.actor(lane);
        let how = if self.volatile { Access::Synchronising } else { Access::Read };
        let bytes = match space {
            Space::Shared => {
                if let Some(races) = &mut lanes.block.races {
                    races.read(actor, address, self.bytes, how)?;
                }
                lanes.block.shared.load(address, self.bytes)?
            }
            Space::Parameters => parameter(lanes.block.launch.parameters, address, self.bytes)?,
            _ => local(lanes.warp.local.get(lane), address, self.bytes)?.load(address, self.bytes)?,
        };
        let mut values = [0; 8];
        for (value, bytes) in values.iter_mut().zip(bytes.chunks(size as usize)) {
            *value = self.extend(slot_of(bytes));
        }
        for (value, register) in values.iter().zip(to) {
            lanes.warp.row_mut(*register)[lane] = *value;
        }
        Ok(())
    }

    fn store(&self, lanes: &mut Lanes<'_, '_>, lane: usize, address: u64, from: &[Row]) -> Result<(), Cause> {
        let (space, address) = resolve(self.space, address);
        let size = self.kind.bytes();
        if space == Space::Global {
            let (allocation, offset) = lanes.block.global.store(address, self.bytes)?;
            let mut changed = false;
            for (offset, row) in (offset..).step_by(size as usize).zip(from) {
                let value = if size == 8 { row[lane] } else { row[lane] & ((1 << (8 * size)) - 1) };
                changed |= allocation.store(offset, size, value);
            }
            lanes.block.events += u64::from(changed);
            return Ok(());
        }
        let mut content = [0; 32];
        for (bytes, row) in content.chunks_mut(size as usize).zip(from) {
            bytes.copy_from_slice(&row[lane].to_le_bytes()[..size as usize]);
        }
        let content = &content[..self.bytes as usize];
        match space {
            Space::Shared => {
                let how = if self.volatile { Access::Synchronising } else { Access::Write };
                store_shared(lanes, lane, address, content, how)
            }
            Space::Parameters => {
                let (bytes, nearest) = (self.bytes, None);
                Err(Cause::OutOfBounds { space: Space::Parameters, address, bytes, nearest })
            }
            _ => {
                let memory = lanes.warp.local.get_mut(lane);
                let out = Cause::OutOfBounds { space: Space::Local, address, bytes: self.bytes, nearest: None };
                memory.ok_or(out)?.store(address, self.bytes)?.copy_from_slice(content);
                // A thread whose own memory changes does not go round in circles.
                lanes.block.events += 1;
                Ok(())
            }
        }
    }
}

/// Stores bytes to shared memory, for a lane.
pub(super) fn store_shared(
    lanes: &mut Lanes<'_, '_>,
    lane: usize,
    address: u64,
    content: &[u8],
    how: Access,
) -> Result<(), Cause> {
    let actor = lanes.actor(lane);
    let block = &mut *lanes.block;
    let place = block.shared.store(address, content.len() as u32)?;
    if block.phases.are_at(address, content.len() as u64) {
        return Err(Cause::Barrier { address, reason: "it is overwritten".to_owned() });
    }
    block.proxy.write(actor.thread, address, content.len() as u64)?;
    if let Some(races) = &mut block.races {
        races.write(actor, address, place, content, how)?;
    }
    block.events += u64::from(place != content);
    place.copy_from_slice(content);
    Ok(())
}

fn local(memory: Option<&Scratch>, address: u64, bytes: u32) -> Result<&Scratch, Cause> {
    memory.ok_or(Cause::OutOfBounds { space: Space::Local, address, bytes, nearest: None })
}

/// Bytes of the parameters.
fn parameter(parameters: &[u8], address: u64, bytes: u32) -> Result<&[u8], Cause> {
    let space = Space::Parameters;
    check_alignment(space, address, bytes)?;
    let end = address.saturating_add(u64::from(bytes));
    let found = usize::try_from(address).ok().and_then(|start| parameters.get(start..end as usize));
    found.ok_or(Cause::OutOfBounds { space, address, bytes, nearest: Some((0, parameters.len() as u64)) })
}
