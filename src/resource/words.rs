//! The words that resources are made of: levels, kernels, units, phases, operators.

use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value, in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word it is written as.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            pub(super) fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words!(
    /// A level of the memory hierarchy, nearest first.
    MemoryLevel {
        /// First-level data cache.
        L1 = "l1",
        /// Second-level cache.
        L2 = "l2",
        /// Third-level cache.
        L3 = "l3",
        /// Main memory of the device.
        Dram = "dram",
    }
);

words!(
    /// The streaming kernels of STREAM, with pure reads and writes.
    StreamOp {
        /// Every element is loaded.
        Read = "read",
        /// Every element is stored.
        Write = "write",
        /// c = a
        Copy = "copy",
        /// b = s·c
        Scale = "scale",
        /// c = a + b
        Add = "add",
        /// a = b + s·c
        Triad = "triad",
    }
);

words!(
    /// Where multiply-adds are executed.
    ComputeUnit {
        /// The vector (SIMD) pipelines.
        Vector = "vector",
        /// Matrix units: AMX tiles, tensor cores.
        Matrix = "matrix",
        /// Matrix units that leave out the half of one factor which is zero (2:4 sparsity). Their rates count that half too, as makers do.
        MatrixSparse = "matrix_sparse",
    }
);

impl ComputeUnit {
    /// Those that compute what a program without zeros asks for: no others bound it.
    pub const DENSE: &[Self] = &[Self::Vector, Self::Matrix];
}

words!(
    /// The two phases of serving a language model.
    Phase {
        /// One new token per sequence attends to the whole cache.
        Decode = "decode",
        /// All tokens of a prompt attend to those before them.
        Prefill = "prefill",
    }
);

words!(
    /// Operators of a transformer beside its matrix products and attention.
    RowwiseOp {
        /// Every row becomes its exponentials, scaled to the sum 1; in place.
        Softmax = "softmax",
        /// Every row is scaled to the root mean square 1, then by a vector of weights.
        RmsNorm = "rmsnorm",
        /// silu(gate) · up: what stands between the two halves of a gated feed-forward network.
        SiluMul = "silu_mul",
        /// Rotary position embedding of heads; in place.
        Rope = "rope",
        /// The residual connection x += y.
        Add = "add",
        /// Rows of an embedding table at random places are copied out.
        Gather = "gather",
    }
);

words!(
    /// Direction over a host link.
    Direction {
        /// Host to device.
        H2d = "h2d",
        /// Device to host.
        D2h = "d2h",
        /// Both ways at once, counted together.
        Both = "both",
        /// Host to device, from memory that the device cannot reach by itself.
        H2dPageable = "h2d_pageable",
        /// Device to host, to memory that the device cannot reach by itself.
        D2hPageable = "d2h_pageable",
        /// Within host memory, where the device is the host.
        Memcpy = "memcpy",
    }
);

words!(
    /// What devices of the same kind do with each other's memory.
    Exchange {
        /// One device's memory is copied into another's.
        Send = "send",
        /// Two devices copy into each other's memory at once, counted together.
        SendBoth = "send_both",
        /// Every device gets the sum of what all have.
        AllReduce = "all_reduce",
        /// Every device gets what all have.
        AllGather = "all_gather",
        /// Every device gets its part of the sum.
        ReduceScatter = "reduce_scatter",
        /// Every device sends a part to every other.
        AllToAll = "all_to_all",
    }
);

words!(
    /// How many threads share the word that they add to.
    Sharing {
        /// Each has its own.
        Own = "own",
        /// The 32 threads that run in step share one.
        Warp = "warp",
        /// All share one.
        All = "all",
    }
);

words!(
    /// A cost paid per operation rather than per byte or FLOP.
    Overhead {
        /// Handing an empty job to a device that is ready and waiting for it to finish.
        Launch = "launch",
        /// The same as one of many in a graph that is handed over whole.
        GraphLaunch = "graph_launch",
        /// The same after the workers went to sleep.
        Wake = "wake",
        /// A copy of a few bytes into another device's memory, each copy after the one before it.
        PeerSend = "peer_send",
    }
);

impl Direction {
    /// Ways that data goes at one time.
    #[must_use]
    pub const fn ways(self) -> u64 {
        match self {
            Self::Both => 2,
            Self::H2d | Self::D2h | Self::H2dPageable | Self::D2hPageable | Self::Memcpy => 1,
        }
    }
}

impl Exchange {
    /// Ways that data goes at one time, where two devices take part by copies; none where all take part in one operation.
    #[must_use]
    pub const fn ways(self) -> Option<u64> {
        match self {
            Self::Send => Some(1),
            Self::SendBoth => Some(2),
            Self::AllReduce | Self::AllGather | Self::ReduceScatter | Self::AllToAll => None,
        }
    }
}

impl StreamOp {
    /// Arrays loaded from.
    #[must_use]
    pub const fn arrays_read(self) -> u64 {
        match self {
            Self::Write => 0,
            Self::Read | Self::Copy | Self::Scale => 1,
            Self::Add | Self::Triad => 2,
        }
    }

    /// Arrays stored to.
    #[must_use]
    pub const fn arrays_written(self) -> u64 {
        match self {
            Self::Read => 0,
            Self::Write | Self::Copy | Self::Scale | Self::Add | Self::Triad => 1,
        }
    }

    /// Arrays touched.
    #[must_use]
    pub const fn arrays(self) -> u64 {
        self.arrays_read() + self.arrays_written()
    }

    /// Floating-point operations per element.
    #[must_use]
    pub const fn flops(self) -> u64 {
        match self {
            Self::Read | Self::Write | Self::Copy => 0,
            Self::Scale | Self::Add => 1,
            Self::Triad => 2,
        }
    }
}

impl RowwiseOp {
    /// Elements loaded per element of the result, not counting what stays in the nearest cache.
    #[must_use]
    pub const fn elements_read(self) -> u64 {
        match self {
            Self::Softmax | Self::RmsNorm | Self::Rope | Self::Gather => 1,
            Self::SiluMul | Self::Add => 2,
        }
    }

    /// Arrays of a row's length that lie in memory: those that are read, and the result where it is not in place of one of them.
    #[must_use]
    pub const fn arrays(self) -> u64 {
        match self {
            Self::Softmax | Self::Rope => 1,
            Self::RmsNorm | Self::Add | Self::Gather => 2,
            Self::SiluMul => 3,
        }
    }

    /// Arithmetic operations per element of the result; an exponential, a division and a maximum count as one each.
    #[must_use]
    pub const fn flops(self) -> u64 {
        match self {
            Self::Softmax => 5, // maximum, difference, exponential, sum, scaling
            // Square, sum, scaling, weight; exponential, sum, division, product.
            Self::RmsNorm | Self::SiluMul => 4,
            Self::Rope => 3, // four products and two sums for a pair
            Self::Add => 1,
            Self::Gather => 0,
        }
    }
}
