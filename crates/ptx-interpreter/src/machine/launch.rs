//! Launches: what their blocks share, and running them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::cluster;
use super::random::Random;
use super::request::{Launch, Options, Schedule};
use crate::counters::Counters;
use crate::fault::{Cause, Fault};
use crate::memory::{LaunchMemory, Memory, MemoryError};
use crate::text::{Kernel, Module};

/// The most threads that a block has on any device.
const MOST_THREADS: u64 = 1024;
/// Grids of more blocks run in order also where the order is random.
const MOST_SHUFFLED: u64 = 1 << 20;

/// A launch with everything that its blocks share.
pub(crate) struct Shape<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) grid: [u32; 3],
    pub(crate) block: [u32; 3],
    pub(crate) parameters: &'a [u8],
    pub(crate) variables: &'a [u64],
    pub(crate) dynamic_start: u32,
    pub(crate) dynamic_shared: u32,
    pub(crate) multiprocessors: u32,
    pub(crate) clock: u64,
    pub(crate) options: Options,
    pub(super) memory: LaunchMemory,
    spent: AtomicU64,
}

impl Shape<'_> {
    /// Threads of a block.
    pub(crate) fn threads(&self) -> u32 {
        self.block.iter().product()
    }

    /// Whether threads are interrupted at any time.
    pub(crate) fn is_preemptive(&self) -> bool {
        matches!(self.options.schedule, Schedule::Preemptive { .. })
    }

    pub(super) fn seed(&self) -> u64 {
        match self.options.schedule {
            Schedule::Plain => 0,
            Schedule::Preemptive { seed } => seed,
        }
    }

    /// Counts instructions against the budget.
    pub(super) fn spend(&self, instructions: u64) -> Result<(), Cause> {
        let spent = self.spent.fetch_add(instructions, Relaxed) + instructions;
        if spent > self.options.budget {
            return Err(Cause::Budget { instructions: self.options.budget });
        }
        Ok(())
    }

    /// Clusters of the grid: its blocks, where they run one by one.
    fn clusters(&self) -> u64 {
        let blocks: u64 = self.grid.iter().map(|count| u64::from(*count)).product();
        blocks / u64::from(self.kernel.cluster)
    }

    /// The order of the clusters.
    fn order(&self) -> Option<Vec<u32>> {
        let clusters = self.clusters();
        if !self.is_preemptive() || clusters > MOST_SHUFFLED {
            return None;
        }
        let mut random = Random::new(self.seed());
        let mut order: Vec<u32> = (0..clusters as u32).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, random.below(index as u64 + 1) as usize);
        }
        Some(order)
    }
}

/// A module whose variables lie in a device's memory.
#[derive(Debug)]
pub struct Loaded {
    module: Module,
    variables: Vec<u64>,
}

impl Loaded {
    /// Puts the variables of a module into memory.
    pub fn new(module: Module, memory: &Memory) -> Result<Self, MemoryError> {
        let mut variables = Vec::new();
        for variable in &module.variables {
            let address = memory.allocate(u64::from(variable.bytes))?;
            let mut content = variable.initial.clone();
            content.resize(variable.bytes as usize, 0);
            memory.write(address, &content)?;
            variables.push(address);
        }
        Ok(Self { module, variables })
    }

    /// The module.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// A kernel by its name.
    pub fn kernel(&self, name: &str) -> Option<&Kernel> {
        self.module.kernels.iter().find(|kernel| kernel.name == name)
    }

    /// The address of a variable and its bytes.
    pub fn variable(&self, name: &str) -> Option<(u64, u64)> {
        let mut all = self.module.variables.iter().zip(&self.variables);
        all.find(|(variable, _)| variable.name == name).map(|(variable, at)| (*at, u64::from(variable.bytes)))
    }

    /// Gives the memory of the variables back.
    pub fn unload(&self, memory: &Memory) -> Result<(), MemoryError> {
        self.variables.iter().try_for_each(|address| memory.free(*address))
    }

    /// Runs a kernel of this module to its end, or to its first fault.
    pub fn launch(&self, kernel: &Kernel, memory: &Memory, launch: &Launch<'_>) -> Result<Counters, Fault> {
        check(kernel, launch)?;
        let shape = Shape {
            kernel,
            grid: launch.grid,
            block: launch.block,
            parameters: launch.parameters,
            variables: &self.variables,
            dynamic_start: kernel.dynamic_start(),
            dynamic_shared: launch.dynamic_shared,
            multiprocessors: launch.options.multiprocessors,
            clock: launch.options.clock,
            options: launch.options,
            memory: LaunchMemory::new(memory.snapshot()),
            spent: AtomicU64::new(0),
        };
        let mut counters = run_blocks(&shape).map_err(|fault| *fault)?;
        (counters.distinct_loaded, counters.distinct_stored) = shape.memory.distinct();
        Ok(counters)
    }
}

/// What no device accepts.
fn check(kernel: &Kernel, launch: &Launch<'_>) -> Result<(), Fault> {
    let product =
        |extents: [u32; 3]| extents.iter().try_fold(1_u64, |product, count| product.checked_mul(u64::from(*count)));
    let blocks = product(launch.grid);
    let most = kernel.max_threads.map_or(MOST_THREADS, |most| u64::from(most).min(MOST_THREADS));
    let shared = u64::from(kernel.dynamic_start()) + u64::from(launch.dynamic_shared);
    let reason = if product(launch.block).is_none_or(|threads| threads == 0 || threads > most) {
        format!("a block of `{:?}` threads: there must be 1 to {most}", launch.block)
    } else if blocks.is_none_or(|blocks| blocks == 0) {
        format!("a grid of `{:?}` blocks", launch.grid)
    } else if !launch.grid[0].is_multiple_of(kernel.cluster) {
        format!("a grid of `{:?}` blocks, of which {} go together", launch.grid, kernel.cluster)
    } else if shared > u64::from(launch.options.shared_limit) {
        format!("`{shared}` bytes of shared memory: there are {}", launch.options.shared_limit)
    } else if launch.parameters.len() != kernel.parameter_bytes as usize {
        format!("`{}` bytes of parameters: there must be {}", launch.parameters.len(), kernel.parameter_bytes)
    } else {
        return Ok(());
    };
    Err(kernel.refused(reason))
}

/// What all blocks came to.
#[derive(Default)]
struct Outcome {
    counters: Counters,
    /// A fault, with the position of its block in their order.
    fault: Option<(u64, Box<Fault>)>,
}

/// Runs all blocks. Of several faults, the one of the block that comes first is reported.
fn run_blocks(shape: &Shape<'_>) -> Result<Counters, Box<Fault>> {
    let clusters = shape.clusters();
    let order = shape.order();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let result = Mutex::new(Outcome::default());
    let work = || {
        let mut counters = Counters::default();
        while !stop.load(Relaxed) {
            let position = next.fetch_add(1, Relaxed);
            if position >= clusters {
                break;
            }
            let number = order.as_ref().map_or(position, |order| u64::from(order[position as usize]));
            match cluster::run(shape, number * u64::from(shape.kernel.cluster)) {
                Ok(of_block) => counters += of_block,
                Err(fault) => {
                    stop.store(true, Relaxed);
                    let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
                    if result.fault.as_ref().is_none_or(|(first, _)| position < *first) {
                        result.fault = Some((position, fault));
                    }
                }
            }
        }
        result.lock().unwrap_or_else(PoisonError::into_inner).counters += counters;
    };
    let helpers = shape.options.workers.max(1).min(usize::try_from(clusters).unwrap_or(usize::MAX)) - 1;
    std::thread::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(work);
        }
        work();
    });
    let Outcome { counters, fault } = result.into_inner().unwrap_or_else(PoisonError::into_inner);
    fault.map_or(Ok(counters), |(_, fault)| Err(fault))
}
