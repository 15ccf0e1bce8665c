//! What can be wrong with a kernel or its launch.

use std::fmt;

use crate::text::Register;

/// A state space, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Memory of the device.
    Global,
    /// Memory of a block.
    Shared,
    /// Memory of a thread.
    Local,
    /// The parameters of a launch.
    Parameters,
}

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Global => "global memory",
            Self::Shared => "shared memory",
            Self::Local => "local memory",
            Self::Parameters => "the parameters",
        })
    }
}

/// A thread that waits, or that goes round without any effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The first of the threads, counted within the block.
    pub thread: u32,
    /// How many of its warp are with it.
    pub threads: u32,
    /// The line of the instruction.
    pub line: u32,
    /// The instruction.
    pub text: String,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// An access to what nobody allocated.
    #[error("{bytes} bytes at {address:#x} are out of bounds of {space}{}", hint(nearest))]
    OutOfBounds {
        /// Which memory.
        space: Space,
        /// The address within that space.
        address: u64,
        /// Bytes of the access.
        bytes: u32,
        /// The allocation that ends or starts next to it: address and bytes.
        nearest: Option<(u64, u64)>,
    },
    /// An access whose address is no multiple of its size.
    #[error("{bytes} bytes at {address:#x} of {space} are misaligned")]
    Misaligned {
        /// Which memory.
        space: Space,
        /// The address within that space.
        address: u64,
        /// Bytes of the access.
        bytes: u32,
    },
    /// A read of memory that nobody has written.
    #[error("{bytes} bytes at {address:#x} of {space} are read before they are written")]
    Uninitialised {
        /// Which memory.
        space: Space,
        /// The address within that space.
        address: u64,
        /// Bytes of the access.
        bytes: u32,
    },
    /// A use of a register that has no value.
    #[error("`{name}` is used before it has a value")]
    Unset {
        /// The register.
        name: String,
    },
    /// A use of a register while a product of matrices is on its way to it.
    #[error("`{name}` changes while a product is on its way to it")]
    Held {
        /// The register.
        name: String,
    },
    /// A product of matrices with a register that was written since the last `wgmma.fence`.
    #[error("`{name}` was written after the last `wgmma.fence`")]
    Unordered {
        /// The register.
        name: String,
    },
    /// What a thread wrote is read by something that works by itself, and neither fenced.
    #[error("{address:#x} of shared memory was written by thread {writer}, and no `fence.proxy.async` comes between")]
    Unfenced {
        /// The first such bytes.
        address: u64,
        /// The thread, counted within the block.
        writer: u32,
    },
    /// A write to what something that works by itself still reads or is about to write.
    #[error("{address:#x} of shared memory is written while {by} is on its way")]
    InUse {
        /// The first such byte.
        address: u64,
        /// What it is.
        by: &'static str,
    },
    /// A misuse of a barrier that lies in memory.
    #[error("the barrier at {address:#x} of shared memory: {reason}")]
    Barrier {
        /// Where it lies.
        address: u64,
        /// Why.
        reason: String,
    },
    /// A misuse of the blocks of a cluster.
    #[error("the cluster: {reason}")]
    Cluster {
        /// Why.
        reason: String,
    },
    /// A copy of a tensor that no device makes.
    #[error("a copy of a tensor: {reason}")]
    Tensor {
        /// Why.
        reason: String,
    },
    /// Threads of a warp at different barriers, or at one that a part of their warp never reaches.
    #[error("a barrier is reached by a part of the warp only: {}", list(stuck))]
    DivergentBarrier {
        /// Where the others are. Empty when they have ended.
        stuck: Vec<Stuck>,
    },
    /// A thread at a warp-wide instruction whose mask does not name it, or names threads that come with another mask.
    #[error("the mask {mask:#010x} does not fit the threads that execute it: {lanes:#010x}")]
    Membership {
        /// The mask of the thread.
        mask: u32,
        /// The lanes that execute it with that mask.
        lanes: u32,
    },
    /// Nobody can go on.
    #[error("deadlock: {}", list(stuck))]
    Deadlock {
        /// Where everybody waits.
        stuck: Vec<Stuck>,
    },
    /// More instructions than a launch may take.
    #[error("the budget of {instructions} instructions is used up")]
    Budget {
        /// The budget.
        instructions: u64,
    },
    /// Two threads at the same byte of shared memory, at least one of them writing, without a barrier between.
    #[error("a race at {address:#x} of shared memory with thread {other}, which {} it", if *other_writes { "writes" } else { "reads" })]
    Race {
        /// The byte.
        address: u64,
        /// The other thread, counted within the block.
        other: u32,
        /// Whether it is the other that writes.
        other_writes: bool,
    },
    /// Indices of a sparse factor that name no places of a group, or not in the order that was stated.
    #[error("{bits:#06b} does not say where elements of a sparse factor belong")]
    Indices {
        /// The indices of the group.
        bits: u8,
    },
    /// The kernel gives up by itself.
    #[error("the kernel executes `trap`")]
    Trap,
    /// A launch that no device accepts.
    #[error("the launch is refused: {reason}")]
    Launch {
        /// Why.
        reason: String,
    },
}

fn hint(nearest: &Option<(u64, u64)>) -> String {
    match nearest {
        Some((address, bytes)) => format!(" (next to it are {bytes} bytes at {address:#x})"),
        None => String::new(),
    }
}

fn list(stuck: &[Stuck]) -> String {
    const SHOWN: usize = 4;
    if stuck.is_empty() {
        return "the others have ended".to_owned();
    }
    let one = |stuck: &Stuck| {
        let Stuck { thread, threads, line, text } = stuck;
        format!("{threads} threads from {thread} on at line {line} `{text}`")
    };
    let mut text = stuck.iter().take(SHOWN).map(one).collect::<Vec<_>>().join(", ");
    if stuck.len() > SHOWN {
        text += &format!(", and {} more", stuck.len() - SHOWN);
    }
    text
}

/// What is wrong, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The kernel.
    pub kernel: String,
    /// The index of the block.
    pub block: [u32; 3],
    /// The index of the thread, where one can be named.
    pub thread: Option<[u32; 3]>,
    /// The line of the text, zero where none can be named.
    pub line: u32,
    /// That line.
    pub text: String,
    /// What is wrong.
    pub cause: Cause,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [x, y, z] = self.block;
        write!(f, "{}: {} (block {x},{y},{z}", self.kernel, self.cause)?;
        if let Some([x, y, z]) = self.thread {
            write!(f, ", thread {x},{y},{z}")?;
        }
        if self.line > 0 {
            write!(f, ", line {} `{}`", self.line, self.text)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Fault {}

/// What an instruction finds wrong; the machine knows the rest.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Box<Found>);

#[derive(Debug)]
pub(crate) struct Found {
    /// The lane, where it is one's own.
    pub(crate) lane: Option<usize>,
    /// The warp and the instruction, where it is not what is being executed.
    pub(crate) place: Option<(u32, u32)>,
    pub(crate) what: What,
}

/// As [`Cause`], before names are looked up.
#[derive(Debug)]
pub(crate) enum What {
    Cause(Cause),
    Unset(Register),
    Held(Register),
    Unordered(Register),
}

impl Problem {
    pub(crate) fn of_lane(lane: usize, cause: Cause) -> Self {
        Self(Box::new(Found { lane: Some(lane), place: None, what: What::Cause(cause) }))
    }

    /// Something that a lane of any warp meets at any instruction.
    pub(crate) fn of_warp(warp: u32, pc: u32, lane: usize, cause: Cause) -> Self {
        Self::of_lane(lane, cause).at(warp, pc)
    }

    /// The same, found at another place.
    pub(crate) fn at(mut self, warp: u32, pc: u32) -> Self {
        self.0.place.get_or_insert((warp, pc));
        self
    }

    pub(crate) fn of_block(cause: Cause) -> Self {
        Self(Box::new(Found { lane: None, place: None, what: What::Cause(cause) }))
    }

    /// A register that some of `lanes` have not set.
    pub(crate) fn unset(register: Register, lanes: u32) -> Self {
        let lane = Some(lanes.trailing_zeros() as usize);
        Self(Box::new(Found { lane, place: None, what: What::Unset(register) }))
    }

    /// A register that a product is on its way to.
    pub(crate) fn held(register: Register) -> Self {
        Self(Box::new(Found { lane: None, place: None, what: What::Held(register) }))
    }

    /// A register that a product must not be made with before a fence.
    pub(crate) fn unordered(register: Register) -> Self {
        Self(Box::new(Found { lane: None, place: None, what: What::Unordered(register) }))
    }
}
