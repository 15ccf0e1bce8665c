//! Operands of instructions.

/// A register's place in the register file of a thread.
pub(crate) type Register = u32;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Source {
    Register(Register),
    /// A constant, or the offset of a parameter or variable within its state space.
    Immediate(u64),
    /// A place within the memory whose size only the launch says (`extern __shared__`).
    Dynamic(u64),
    /// A place within a variable of the module.
    Global {
        variable: u32,
        offset: u64,
    },
    Special(Special),
}

/// Registers that the hardware fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Thread(u8),
    BlockSize(u8),
    Block(u8),
    GridSize(u8),
    Lane,
    Warp,
    Warps,
    Multiprocessor,
    Multiprocessors,
    Grid,
    ClusterRank,
    ClusterSize,
    LanesEqual,
    LanesBelow,
    LanesUpTo,
    LanesAbove,
    LanesFrom,
    Clock,
    ClockHigh,
    Clock64,
    Nanoseconds,
    NanosecondsLow,
    NanosecondsHigh,
    DynamicShared,
    TotalShared,
}

const SPECIAL: &[(&str, Special)] = &[
    ("%laneid", Special::Lane),
    ("%warpid", Special::Warp),
    ("%nwarpid", Special::Warps),
    ("%smid", Special::Multiprocessor),
    ("%nsmid", Special::Multiprocessors),
    ("%gridid", Special::Grid),
    ("%cluster_ctarank", Special::ClusterRank),
    ("%cluster_nctarank", Special::ClusterSize),
    ("%lanemask_eq", Special::LanesEqual),
    ("%lanemask_lt", Special::LanesBelow),
    ("%lanemask_le", Special::LanesUpTo),
    ("%lanemask_gt", Special::LanesAbove),
    ("%lanemask_ge", Special::LanesFrom),
    ("%clock", Special::Clock),
    ("%clock_hi", Special::ClockHigh),
    ("%clock64", Special::Clock64),
    ("%globaltimer", Special::Nanoseconds),
    ("%globaltimer_lo", Special::NanosecondsLow),
    ("%globaltimer_hi", Special::NanosecondsHigh),
    ("%dynamic_smem_size", Special::DynamicShared),
    ("%total_smem_size", Special::TotalShared),
];

impl Special {
    /// The register of a name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let with_axis: fn(u8) -> Self = match name.rsplit_once('.').map(|(name, _)| name) {
            Some("%tid") => Self::Thread,
            Some("%ntid") => Self::BlockSize,
            Some("%ctaid") => Self::Block,
            Some("%nctaid") => Self::GridSize,
            _ => return SPECIAL.iter().find(|row| row.0 == name).map(|row| row.1),
        };
        let axis = ["x", "y", "z"].iter().position(|axis| name.ends_with(axis))?;
        Some(with_axis(axis as u8))
    }
}

/// An address in brackets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Address {
    pub(crate) base: Source,
    pub(crate) offset: i64,
}

/// An operand as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Source(Source),
    /// `!%p1`
    Not(Source),
    /// `%r1|%p1`
    Pair(Source, Source),
    Address(Address),
    /// `[%rd1, {%r1, %r2}]`: a tensor, and a place in it.
    Tensor(Source, Vec<Source>),
    Vector(Vec<Source>),
    /// The target of a branch.
    Label(String),
}

/// The predicate in front of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) predicate: Register,
    /// Whether the instruction is executed where the predicate is false.
    pub(crate) negated: bool,
}
