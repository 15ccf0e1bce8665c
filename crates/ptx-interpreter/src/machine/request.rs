//! What is asked for: a grid, values for parameters, and how to run.

use crate::fault::{Cause, Fault};
use crate::tensor::TENSOR_MAP_BYTES;
use crate::text::Kernel;

/// In which order threads go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schedule {
    /// Each warp until it must wait, block after block.
    #[default]
    Plain,
    /// Any lanes of any warp for a few instructions, and blocks in any order, as the seed decides.
    Preemptive {
        /// The same seed gives the same order.
        seed: u64,
    },
}

/// How to run a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// In which order threads go on.
    pub schedule: Schedule,
    /// Instructions of threads after which a launch is given up.
    pub budget: u64,
    /// Whether to look for races on shared memory.
    pub races: bool,
    /// Threads of the host that run blocks. With more than one, blocks must not wait for one another.
    pub workers: usize,
    /// Multiprocessors that a kernel sees (`%nsmid`).
    pub multiprocessors: u32,
    /// The most shared memory that a block may have.
    pub shared_limit: u32,
    /// Where the clocks of the device stand.
    pub clock: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            schedule: Schedule::Plain,
            budget: 1 << 36,
            races: false,
            workers: 1,
            multiprocessors: 4,
            shared_limit: 227 << 10,
            clock: 0,
        }
    }
}

/// A kernel's grid and what it is given.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Blocks in each direction.
    pub grid: [u32; 3],
    /// Threads of a block in each direction.
    pub block: [u32; 3],
    /// Bytes of shared memory besides those that the kernel declares.
    pub dynamic_shared: u32,
    /// The bytes of all parameters, as [`Kernel::pack`] makes them.
    pub parameters: &'a [u8],
    /// How to run it.
    pub options: Options,
}

/// A value for a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Argument {
    /// An address in device memory, or a 64-bit integer.
    U64(u64),
    /// A 32-bit integer.
    U32(u32),
    /// A number in single precision.
    F32(f32),
    /// A number in double precision.
    F64(f64),
    /// A map of a tensor, as [`TensorMap::to_bytes`](crate::TensorMap::to_bytes) makes it.
    Tensor([u8; TENSOR_MAP_BYTES]),
}

impl Argument {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::U64(value) => value.to_le_bytes().to_vec(),
            Self::U32(value) => value.to_le_bytes().to_vec(),
            Self::F32(value) => value.to_le_bytes().to_vec(),
            Self::F64(value) => value.to_le_bytes().to_vec(),
            Self::Tensor(value) => value.to_vec(),
        }
    }
}

impl Kernel {
    /// The bytes of parameters, if they are as many and as long as the kernel's.
    pub fn pack(&self, arguments: &[Argument]) -> Result<Vec<u8>, Fault> {
        let refused = |reason: String| self.refused(reason);
        if arguments.len() != self.parameters.len() {
            let (given, wanted) = (arguments.len(), self.parameters.len());
            return Err(refused(format!("`{given}` arguments are given for `{wanted}` parameters")));
        }
        let mut packed = vec![0; self.parameter_bytes as usize];
        for (argument, parameter) in arguments.iter().zip(&self.parameters) {
            let bytes = argument.bytes();
            if bytes.len() != parameter.bytes as usize {
                let name = &parameter.name;
                return Err(refused(format!("`{name}` has `{}` bytes, not `{}`", parameter.bytes, bytes.len())));
            }
            let start = parameter.offset as usize;
            packed[start..start + bytes.len()].copy_from_slice(&bytes);
        }
        Ok(packed)
    }

    pub(super) fn refused(&self, reason: String) -> Fault {
        let cause = Cause::Launch { reason };
        Fault { kernel: self.name.clone(), block: [0; 3], thread: None, line: 0, text: String::new(), cause }
    }
}
