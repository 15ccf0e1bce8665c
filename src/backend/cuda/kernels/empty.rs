//! The empty kernel: `kernels/empty.cu`. Among others it costs what an operator pays at least, launched one by one or as a graph; by itself, what it costs to learn that it
//! is done. What is timed has nothing to do; the launches that are verified count themselves.

use std::collections::BTreeMap;

use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::graph::Graph;
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::{Event, Program};
use crate::backend::time::Instant;
use crate::backend::variants::{known, naming};
use crate::backend::{BackendError, CycleLimit, Kernel, Sample};

/// Launches that make a graph.
const NODES: u64 = 100;

/// The kernel that counts its launches, which are one after the other.
struct Counting {
    function: Function,
    count: Buffer,
}

impl Counting {
    fn new(gpu: &Gpu) -> Result<Self, BackendError> {
        Ok(Self { function: gpu.function(Source::Empty, "empty_counted")?, count: gpu.buffer(4)? })
    }

    fn launch(&self, gpu: &Gpu) -> Result<(), BackendError> {
        gpu.launch(&self.function, Grid::ONE, &[Argument::from(&self.count)])
    }

    /// Whether so many launches were counted by what a function enqueues.
    fn verify(
        &self,
        gpu: &Gpu,
        times: u64,
        enqueue: impl FnOnce() -> Result<(), BackendError>,
    ) -> Result<(), BackendError> {
        gpu.fill(&self.count, 0)?;
        enqueue()?;
        gpu.wait()?;
        let counted = gpu.contents(&self.count)?.first_chunk::<4>().map_or(0, |word| u32::from_ne_bytes(*word));
        if u64::from(counted) == times {
            return Ok(());
        }
        Err(BackendError::WrongResult(format!("{counted} of {times} launches ran, one after the other")))
    }
}

/// So many launches of the empty kernel, which ran once already.
fn of_empty(gpu: &Gpu, empty: &Function, launches: u64) -> Result<Graph, BackendError> {
    let graph = Graph::of(gpu, || (0..launches).try_for_each(|_| gpu.launch(empty, Grid::ONE, &[])))?;
    graph.bring(gpu)?;
    Ok(graph)
}

/// How launches are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::cuda) enum Handing {
    /// One by one.
    Singly,
    /// As a graph of many.
    Graph,
}

/// Empty launches, one after the other.
pub(in crate::backend::cuda) struct Empty<'device> {
    gpu: &'device Gpu,
    empty: Function,
    /// Where launches are handed over whole: what is timed, by the number of launches.
    graphs: BTreeMap<u64, Graph>,
    handing: Handing,
    names: [String; 1],
}

impl<'device> Empty<'device> {
    pub(in crate::backend::cuda) fn new(gpu: &'device Gpu, handing: Handing) -> Result<Self, BackendError> {
        let empty = gpu.function(Source::Empty, "empty")?;
        let name = match handing {
            Handing::Singly => "one by one".to_owned(),
            Handing::Graph => format!("graph of {NODES}"),
        };
        Ok(Self { gpu, empty, graphs: BTreeMap::new(), handing, names: [name] })
    }
}

impl Program for Empty<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, _: usize) -> u64 {
        match self.handing {
            Handing::Singly => 1,
            Handing::Graph => NODES,
        }
    }

    /// What is left over of whole graphs is a graph as well.
    fn prepare(&mut self, _: usize, iterations: u64) -> Result<(), BackendError> {
        let sizes = [NODES.min(iterations), iterations % NODES];
        for launches in sizes.into_iter().filter(|&launches| launches > 0 && self.handing == Handing::Graph) {
            if !self.graphs.contains_key(&launches) {
                self.graphs.insert(launches, of_empty(self.gpu, &self.empty, launches)?);
            }
        }
        Ok(())
    }

    fn launch(&mut self, _: usize, iterations: u64) -> Result<(), BackendError> {
        match self.graphs.get(&iterations) {
            Some(graph) => graph.launch(self.gpu),
            None => (0..iterations).try_for_each(|_| self.gpu.launch(&self.empty, Grid::ONE, &[])),
        }
    }

    fn verify(&mut self, _: usize) -> Result<(), BackendError> {
        let (gpu, counting) = (self.gpu, Counting::new(self.gpu)?);
        let all = || (0..NODES).try_for_each(|_| counting.launch(gpu));
        match self.handing {
            Handing::Singly => counting.verify(gpu, NODES, all),
            Handing::Graph => {
                let graph = Graph::of(gpu, all)?;
                counting.verify(gpu, NODES, || graph.launch(gpu))
            }
        }
    }
}

/// Launches of one kernel, each waited for.
pub(in crate::backend::cuda) struct Alone<'device> {
    gpu: &'device Gpu,
    empty: Function,
    done: Event,
    names: [String; 1],
}

impl<'device> Alone<'device> {
    pub(in crate::backend::cuda) fn new(gpu: &'device Gpu) -> Result<Self, BackendError> {
        let empty = gpu.function(Source::Empty, "empty")?;
        Ok(Self { gpu, empty, done: Event::new(gpu)?, names: ["launched and waited for".to_owned()] })
    }
}

impl Kernel for Alone<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let name = &self.names[known(&self.names, variant)?];
        self.gpu.enter()?;
        let counting = Counting::new(self.gpu)?;
        let verified = counting.verify(self.gpu, 1, || counting.launch(self.gpu));
        verified.map_err(|error| naming(error, name))
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        known(&self.names, variant)?;
        self.gpu.enter()?;
        let start = Instant::now();
        for _ in 0..iterations {
            self.gpu.launch(&self.empty, Grid::ONE, &[])?;
            self.done.record(self.gpu, self.gpu.main())?;
            self.done.wait(self.gpu)?;
        }
        Ok(Sample { elapsed: start.elapsed(), clock: None, disturbance: None, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}
