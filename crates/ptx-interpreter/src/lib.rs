//! A PTX interpreter: it runs the text that a CUDA compiler emits, on the processor, without a GPU.
//!
//! It is made for proving kernels, not for speed. Memory knows its bounds, its alignment and which of its bytes have been
//! written; registers know whether they are set; warps diverge and meet as those of hardware since Volta do. A launch
//! runs in a plain order or in one that interrupts threads at random, and ends with counters of what was executed, or with
//! a [`Fault`] that names the block, the thread and the line.
//!
//! ```
//! use ptx_interpreter::{Argument, Launch, Loaded, Memory, Module, Options};
//!
//! let text = "
//!     .version 7.4
//!     .target sm_70
//!     .address_size 64
//!     .visible .entry twice(.param .u64 values) {
//!         .reg .b32 %r<3>;
//!         .reg .b64 %rd<4>;
//!         ld.param.u64 %rd1, [values];
//!         mov.u32 %r1, %tid.x;
//!         mul.wide.u32 %rd2, %r1, 4;
//!         add.s64 %rd3, %rd1, %rd2;
//!         ld.global.u32 %r2, [%rd3];
//!         add.u32 %r2, %r2, %r2;
//!         st.global.u32 [%rd3], %r2;
//!         ret;
//!     }";
//! let memory = Memory::new(1 << 20);
//! let address = memory.allocate(8)?;
//! memory.write(address, &[1, 0, 0, 0, 2, 0, 0, 0])?;
//! let loaded = Loaded::new(Module::parse(text)?, &memory)?;
//! let kernel = loaded.kernel("twice").ok_or("no such kernel")?;
//! let parameters = kernel.pack(&[Argument::U64(address)])?;
//! let (grid, block) = ([1, 1, 1], [2, 1, 1]);
//! let launch = Launch { grid, block, dynamic_shared: 0, parameters: &parameters, options: Options::default() };
//! let counters = loaded.launch(kernel, &memory, &launch)?;
//! let mut result = [0; 8];
//! memory.read(address, &mut result)?;
//! assert_eq!(result, [2, 0, 0, 0, 4, 0, 0, 0]);
//! assert_eq!(counters.distinct_loaded, 8);
//!
//! // A third thread has no value.
//! let too_many = Launch { block: [3, 1, 1], ..launch };
//! let fault = loaded.launch(kernel, &memory, &too_many).unwrap_err();
//! assert!(fault.to_string().contains("out of bounds"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! It is a reading of the manual, not the hardware: approximations are computed exactly, memory is coherent at once, and
//! there is no time. Matrix units add products up in an order and with roundings that nobody states: here a sum is that of
//! the exact products, rounded once, but for f64, where each step rounds. Blocks run one after another, so that blocks
//! which wait for later ones do not end. Blocks of a cluster run together, and reach one another by barriers and copies of
//! tensors alone. There are no functions, textures or surfaces; of matrix units there are only `mma` and `wgmma`, and of
//! tensors only copies of boxes without reductions; whatever is not understood is an error that names its line.

mod counters;
mod fault;
mod instruction;
mod kind;
mod machine;
mod memory;
mod number;
mod tensor;
mod text;
mod value;

pub use counters::{Counters, Operations};
pub use fault::{Cause, Fault, Space, Stuck};
pub use machine::{Argument, Launch, Loaded, Options, Schedule};
pub use memory::{Memory, MemoryError};
pub use tensor::{TENSOR_MAP_BYTES, TensorMap};
pub use text::{Kernel, Module, Parameter, ParseError, Target, Version};
