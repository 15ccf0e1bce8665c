//! Warps: 32 threads with their registers, in groups that are at the same instruction.

use super::barrier::Reduction;
use super::{Copies, Products, Send};
use crate::fault::Space;
use crate::memory::Scratch;
use crate::text::{Kernel, Register};

/// Threads of a warp.
pub(crate) const LANES: usize = 32;

/// A value for each lane.
pub(crate) type Row = [u64; LANES];

/// What a group waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// Other lanes of the warp.
    Lanes,
    /// The end of a round of a barrier, whose result goes to a register.
    Barrier { barrier: u8, round: u64, result: Option<(Register, Reduction)> },
    /// The end of a round of the cluster's barrier.
    Cluster { round: u64 },
    /// The end of a phase of a barrier in shared memory, which a register is told.
    Phase { barrier: u64, phase: u64, to: Register },
}

/// Lanes that are at the same instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) pc: u32,
    pub(super) lanes: u32,
    pub(super) wait: Option<Wait>,
}

/// A warp of a block.
pub(crate) struct Warp {
    pub(crate) index: u32,
    /// The lanes that a block whose size is no multiple of a warp's has.
    pub(super) all: u32,
    /// The lanes that have not ended.
    pub(super) alive: u32,
    pub(super) groups: Vec<Group>,
    /// Whether the last group used up its turn without coming to an end.
    pub(super) exhausted: bool,
    registers: Vec<Row>,
    /// The lanes that have set each register.
    set: Vec<u32>,
    /// Products on their way to each register, twice, and one more if it was written since the last fence for products.
    order: Vec<u32>,
    /// A register that was written while a product was on its way to it.
    pub(super) trampled: Option<Register>,
    /// The carry flag of each lane (`add.cc`).
    pub(crate) carry: u32,
    pub(crate) local: Vec<Scratch>,
    pub(crate) copies: Vec<Copies>,
    pub(crate) sends: Vec<Copies<Send>>,
    pub(crate) products: Products,
    /// How many times all lanes have waited for one another.
    pub(crate) epoch: u32,
    pub(super) spin: super::spin::Spin,
}

impl Warp {
    pub(super) fn new(kernel: &Kernel, index: u32, threads: u32) -> Self {
        let all = u32::MAX >> (32 - threads.min(32));
        let local = if kernel.local_bytes > 0 { LANES } else { 0 };
        Self {
            index,
            all,
            alive: all,
            groups: vec![Group { pc: 0, lanes: all, wait: None }],
            exhausted: false,
            registers: vec![[0; LANES]; kernel.register_count as usize],
            set: vec![0; kernel.register_count as usize],
            order: vec![0; kernel.register_count as usize],
            trampled: None,
            carry: 0,
            local: (0..local).map(|_| Scratch::new(Space::Local, kernel.local_bytes)).collect(),
            copies: vec![Copies::default(); LANES],
            sends: vec![Copies::default(); LANES],
            products: Products::default(),
            epoch: 0,
            spin: super::spin::Spin::default(),
        }
    }

    /// A register of all lanes.
    pub(crate) fn row(&self, register: Register) -> &Row {
        &self.registers[register as usize]
    }

    pub(crate) fn row_mut(&mut self, register: Register) -> &mut Row {
        &mut self.registers[register as usize]
    }

    /// The lanes that have set a register.
    pub(crate) fn set_lanes(&self, register: Register) -> u32 {
        self.set[register as usize]
    }

    /// Notes that lanes have set a register, or that its value is gone.
    pub(crate) fn mark(&mut self, register: Register, lanes: u32, is_set: bool) {
        let set = &mut self.set[register as usize];
        if is_set {
            *set |= lanes;
            let order = &mut self.order[register as usize];
            if *order > 1 {
                self.trampled = Some(register);
            }
            *order |= 1;
        } else {
            *set &= !lanes;
        }
    }

    /// A product is on its way to a register, which has no value until it is waited for.
    pub(crate) fn hold(&mut self, register: Register) {
        self.order[register as usize] += 2;
        self.set[register as usize] = 0;
    }

    /// A product has come to a register.
    pub(crate) fn release(&mut self, register: Register) {
        let order = &mut self.order[register as usize];
        *order -= 2;
        if *order < 2 {
            self.set[register as usize] = u32::MAX;
        }
    }

    /// Whether a product is on its way to a register.
    pub(crate) fn is_held(&self, register: Register) -> bool {
        self.order[register as usize] > 1
    }

    /// Whether a register was written since the last fence for products.
    pub(crate) fn is_unordered(&self, register: Register) -> bool {
        self.order[register as usize] & 1 != 0
    }

    /// What was written is in order before the products that follow.
    pub(crate) fn order(&mut self) {
        for order in &mut self.order {
            *order &= !1;
        }
    }

    pub(super) fn registers(&self) -> &[Row] {
        &self.registers
    }
}
