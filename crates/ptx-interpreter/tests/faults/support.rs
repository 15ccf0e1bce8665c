//! Launches of a kernel in several orders.

use ptx_interpreter::{Fault, Launch, Loaded, Memory, Module, Options, Schedule};

/// The orders that a right kernel must not mind.
pub(crate) fn orders() -> impl Iterator<Item = Options> {
    let seeds = (0..12).map(|seed| Schedule::Preemptive { seed });
    let schedules = std::iter::once(Schedule::Plain).chain(seeds);
    schedules.flat_map(|schedule| {
        [false, true].map(|races| Options { schedule, races, budget: 50_000_000, ..Options::default() })
    })
}

/// In the plain order, without looking for races.
pub(crate) fn plain() -> Options {
    Options { budget: 50_000_000, ..Options::default() }
}

/// In the plain order, looking for races.
pub(crate) fn with_races() -> Options {
    Options { races: true, ..plain() }
}

/// A kernel called `test`, its memory, and its parameters in order.
pub(crate) struct Case {
    pub(crate) memory: Memory,
    loaded: Loaded,
    parameters: Vec<u8>,
}

impl Case {
    pub(crate) fn new(text: &str) -> Self {
        let memory = Memory::new(1 << 20);
        let module = Module::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Self { loaded: Loaded::new(module, &memory).unwrap(), memory, parameters: Vec::new() }
    }

    /// A buffer with content.
    pub(crate) fn buffer(mut self, words: &[u32]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let address = self.memory.allocate(bytes.len() as u64).unwrap();
        self.memory.write(address, &bytes).unwrap();
        self.parameters.extend(address.to_le_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.parameters.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn launch(&self, blocks: u32, threads: u32, options: Options) -> Result<(), Fault> {
        let kernel = self.loaded.kernel("test").unwrap();
        let (grid, block) = ([blocks, 1, 1], [threads, 1, 1]);
        let launch = Launch { grid, block, dynamic_shared: 0, parameters: &self.parameters, options };
        self.loaded.launch(kernel, &self.memory, &launch).map(|_| ())
    }

    /// The words of the buffer that is the parameter at an offset.
    pub(crate) fn words(&self, parameter: usize, count: usize) -> Vec<u32> {
        let address = self.parameters[parameter..].first_chunk::<8>().unwrap();
        let mut bytes = vec![0; 4 * count];
        self.memory.read(u64::from_le_bytes(*address), &mut bytes).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    }
}
