//! Collective operations between all local devices of a kind, by NCCL.
//!
//! Work: `bytes` as nccl-tests counts them: what each device has and gets, for a sum; what each has in the end, for gathering; what each brings, for the others. Where the number of
//! devices divides them not, a few bytes more are moved than stated. Bound: the links between the devices. Timed by the host, from the first operation that is asked for until all devices are done.

use std::rc::Rc;

use crate::backend::cuda::gpu::{Buffer, Gpu};
use crate::backend::cuda::libraries::Loaded;
use crate::backend::cuda::libraries::nccl::{Communicators, Functions, Operation, Part};
use crate::backend::cuda::survey::Found;
use crate::backend::reference::rows::Rows;
use crate::backend::time::Instant;
use crate::backend::variants::{known, naming};
use crate::backend::{BackendError, CycleLimit, Kernel, Sample};
use crate::data::Seed;
use crate::dtype::DType;
use crate::facts::Implementer;
use crate::resource::Exchange;

/// The other devices of a kind, with which operations are done together.
pub(in crate::backend::cuda) struct Group {
    others: Vec<Gpu>,
    communicators: Communicators,
}

impl Group {
    /// A device with all others that are of its kind.
    pub(in crate::backend::cuda) fn of(
        gpu: &Gpu,
        others: &[Found],
        library: &Result<Loaded<Functions>, String>,
    ) -> Result<Self, BackendError> {
        let of_kind = |other: &&Found| other.name == gpu.found.name && other.capability == gpu.found.capability;
        let others: Vec<&Found> = others.iter().filter(of_kind).collect();
        if others.is_empty() {
            return Err(BackendError::unsupported(
                "a collective operation takes two devices of a kind, and the driver shows one",
            ));
        }
        let loaded = library.as_ref().map_err(|reason| {
            BackendError::no_kernel(format!("collective operations are measured by NCCL, and it is not used: {reason}"))
        })?;
        let others = others.into_iter().map(|found| Gpu::beside(found, gpu.patience)).collect::<Result<Vec<_>, _>>()?;
        let all = std::iter::once(gpu).chain(&others);
        let devices = all.map(|gpu| (gpu.found.index, Rc::clone(&gpu.context))).collect();
        gpu.enter()?;
        let communicators = Communicators::new(loaded, devices)?;
        gpu.enter()?;
        Ok(Self { others, communicators })
    }
}

/// A device's floats in an operation: those that it sends, and those that it receives.
struct Ends {
    send: Buffer,
    receive: Buffer,
}

/// Rows of floats that devices send, of which as many differ as there are at most.
const FLOATS_OF_ROW: usize = 1024;

/// A collective operation.
pub(in crate::backend::cuda) struct Collective<'device> {
    gpus: Vec<&'device Gpu>,
    communicators: &'device Communicators,
    operation: Operation,
    /// Floats of the whole, and of a device's part of it.
    whole: u64,
    part: u64,
    ends: Vec<Ends>,
    /// The floats that each device sends, again and again.
    sent: Vec<Vec<f32>>,
    names: [String; 1],
}

impl<'device> Collective<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        group: &'device Group,
        exchange: Exchange,
        bytes: u64,
    ) -> Result<Self, BackendError> {
        let operation = match exchange {
            Exchange::AllReduce => Operation::AllReduce,
            Exchange::AllGather => Operation::AllGather,
            Exchange::ReduceScatter => Operation::ReduceScatter,
            Exchange::AllToAll => Operation::AllToAll,
            Exchange::Send | Exchange::SendBoth => {
                return Err(BackendError::unsupported(format!("`{exchange}` is no operation of all devices")));
            }
        };
        if bytes == 0 {
            return Err(BackendError::unsupported("there is nothing to exchange"));
        }
        let gpus: Vec<&Gpu> = std::iter::once(gpu).chain(&group.others).collect();
        let count = gpus.len() as u64;
        let floats = bytes.div_ceil(4);
        let part = floats.div_ceil(count);
        let whole = if operation == Operation::AllReduce { floats } else { part * count };
        let (mut ends, mut sent) = (Vec::new(), Vec::new());
        for (rank, gpu) in gpus.iter().enumerate() {
            gpu.enter()?;
            let [sends, receives] = match operation {
                Operation::AllReduce | Operation::AllToAll => [whole, whole],
                Operation::AllGather => [part, whole],
                Operation::ReduceScatter => [whole, part],
            };
            let rows = whole.div_ceil(FLOATS_OF_ROW as u64);
            // Sums of whole numbers are exact, in whatever order.
            let rows = Rows::of_few_digits(DType::F32, FLOATS_OF_ROW, rows, Seed(161 + rank as u32));
            let buffers = Ends { send: gpu.buffer(4 * sends)?, receive: gpu.buffer(4 * receives)? };
            gpu.write_repeated(&buffers.send, rows.period())?;
            let floats = rows.period().chunks_exact(4).map(bytemuck::pod_read_unaligned::<f32>);
            sent.push(floats.collect());
            ends.push(buffers);
        }
        gpu.enter()?;
        let communicators = &group.communicators;
        let names = [format!("NCCL {}, {count} devices, one call after another", communicators.version)];
        Ok(Self { gpus, communicators, operation, whole, part, ends, sent, names })
    }

    /// Asks for the operation.
    fn enqueue(&self) -> Result<(), BackendError> {
        let count = if self.operation == Operation::AllReduce { self.whole } else { self.part };
        let part = |(gpu, ends): (&&Gpu, &Ends)| Part {
            send: ends.send.address,
            receive: ends.receive.address,
            count,
            stream: gpu.main().raw,
        };
        let parts: Vec<Part> = self.gpus.iter().zip(&self.ends).map(part).collect();
        self.communicators.run(self.operation, &parts)
    }

    /// Waits until every device is done, also where another one failed.
    fn wait(&self) -> Result<(), BackendError> {
        self.gpus.iter().map(|gpu| gpu.enter().and_then(|()| gpu.wait())).fold(Ok(()), Result::and)
    }

    /// What a device receives at a place.
    fn expected(&self, rank: usize, place: u64) -> f32 {
        let value = |rank: usize, place: u64| {
            let floats = &self.sent[rank];
            floats[(place % floats.len() as u64) as usize]
        };
        let sum = |place: u64| (0..self.sent.len()).map(|rank| value(rank, place)).sum();
        let (of, within) = ((place / self.part) as usize, place % self.part);
        match self.operation {
            Operation::AllReduce => sum(place),
            Operation::ReduceScatter => sum(rank as u64 * self.part + place),
            Operation::AllGather => value(of, within),
            Operation::AllToAll => value(of, rank as u64 * self.part + within),
        }
    }

    /// Whether every device received what it should.
    fn compare(&self) -> Result<(), BackendError> {
        let count = if self.operation == Operation::ReduceScatter { self.part } else { self.whole };
        for (rank, (gpu, ends)) in self.gpus.iter().zip(&self.ends).enumerate() {
            gpu.enter()?;
            gpu.read(&ends.receive, |start, piece| {
                let places = (start / 4..count).zip(piece.chunks_exact(4));
                for (place, word) in places {
                    let (found, expected) = (bytemuck::pod_read_unaligned::<f32>(word), self.expected(rank, place));
                    if found != expected {
                        return Err(format!("device {rank}, number {place}: {found}, the reference says {expected}"));
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

impl Kernel for Collective<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn implementer(&self, _: usize) -> Implementer {
        Implementer::Vendor
    }

    fn devices(&self) -> Option<u32> {
        u32::try_from(self.gpus.len()).ok()
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let name = &self.names[known(&self.names, variant)?];
        for (gpu, ends) in self.gpus.iter().zip(&self.ends) {
            gpu.enter()?;
            gpu.poison(&ends.receive)?;
            gpu.wait()?;
        }
        let asked = self.enqueue();
        asked.and(self.wait()).and_then(|()| self.compare()).map_err(|error| naming(error, name))
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        known(&self.names, variant)?;
        let start = Instant::now();
        let asked = (0..iterations).try_for_each(|_| self.enqueue());
        let waited = self.wait();
        let elapsed = start.elapsed();
        asked.and(waited)?;
        Ok(Sample { elapsed, clock: None, disturbance: None, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}
