//! Copies between this device's memory and another's, by the driver.
//!
//! Work: `bytes` arrive, counted once for each way; or a few bytes go there and back, each copy after the one before. Bound: the link between the devices; where they do not reach
//! each other, the host's memory, through which the driver takes the data. Timed by the host, from the first copy that is asked for until all have arrived.

use super::copy::{content, difference};
use crate::backend::cuda::driver;
use crate::backend::cuda::gpu::{Buffer, Gpu, Stream};
use crate::backend::cuda::survey::Found;
use crate::backend::time::Instant;
use crate::backend::variants::{known, naming};
use crate::backend::{BackendError, CycleLimit, Kernel, Sample};
use crate::data::Seed;
use crate::resource::Exchange;

/// The device that data is exchanged with.
pub(in crate::backend::cuda) struct Partner {
    gpu: Gpu,
    /// How data gets there.
    name: String,
}

impl Partner {
    /// The first device that this one and the driver reach each other's memory with; or else the first.
    pub(in crate::backend::cuda) fn of(gpu: &Gpu, others: &[Found]) -> Result<Self, BackendError> {
        let Some(first) = others.first() else {
            return Err(BackendError::unsupported("a link takes two devices, and the driver shows one"));
        };
        let mut near = None;
        for found in others {
            if near.is_none() && gpu.context.reaches(found.index)? {
                near = Some(found);
            }
        }
        let found = near.unwrap_or(first);
        let other = Gpu::beside(found, gpu.patience)?;
        let open = if near.is_some() {
            (gpu.context.open_to(&other.context)?, other.context.open_to(&gpu.context)?)
        } else {
            (false, false)
        };
        gpu.enter()?;
        // The driver has room for so many pairs, and each way is one.
        let way = match open {
            (true, true) => "directly",
            (false, false) => "through the host's memory",
            (true, false) | (false, true) => "directly one way, through the host's memory the other",
        };
        Ok(Self { gpu: other, name: format!("with cuda:{}, {way}", found.index) })
    }
}

/// Has the driver copy from one device to another, in the order of a queue of either.
fn copy(
    (from, source): (&Gpu, &Buffer),
    (to, target): (&Gpu, &Buffer),
    bytes: u64,
    stream: &Stream,
) -> Result<(), BackendError> {
    let bytes = bytes.min(source.bytes).min(target.bytes) as usize;
    // SAFETY: both buffers are alive, each in its context, and have so many bytes.
    let code = unsafe {
        driver::cuMemcpyPeerAsync(
            target.address,
            to.context.raw(),
            source.address,
            from.context.raw(),
            bytes,
            stream.raw,
        )
    };
    from.checked(code)
}

/// One way over the link: copies between pairs of buffers, in turn, in a stream of the sender's.
struct Way {
    bytes: u64,
    pairs: Vec<(Buffer, Buffer)>,
    stream: Stream,
}

impl Way {
    fn new((from, to): (&Gpu, &Gpu), (bytes, buffers): (u64, u64)) -> Result<Self, BackendError> {
        let allocate = |gpu: &Gpu| {
            gpu.enter()?;
            (0..buffers).map(|_| gpu.buffer(bytes)).collect::<Result<Vec<_>, _>>()
        };
        let (sources, targets) = (allocate(from)?, allocate(to)?);
        from.enter()?;
        Ok(Self { bytes, pairs: sources.into_iter().zip(targets).collect(), stream: from.stream()? })
    }

    /// Asks for a copy.
    fn copy(&self, (from, to): (&Gpu, &Gpu), turn: u64) -> Result<(), BackendError> {
        let (source, target) = &self.pairs[(turn % self.pairs.len() as u64) as usize];
        copy((from, source), (to, target), self.bytes, &self.stream)
    }

    /// Waits until all copies have arrived.
    fn wait(&self, from: &Gpu) -> Result<(), BackendError> {
        from.enter()?;
        from.wait_for(&self.stream)
    }

    /// Copies every pair, from random data to poison, and compares all of it.
    fn verify(&self, (from, to): (&Gpu, &Gpu)) -> Result<(), BackendError> {
        for (index, (source, target)) in self.pairs.iter().enumerate() {
            let content = content(Seed(index as u32 + 141), self.bytes as usize);
            from.enter()?;
            from.send(source, 0, &content)?;
            to.enter()?;
            to.poison(target)?;
            to.wait()?;
            self.copy((from, to), index as u64)?;
            self.wait(from)?;
            to.enter()?;
            let mut arrived = to.contents(target)?;
            arrived.truncate(content.len());
            difference(&content, &arrived)?;
        }
        Ok(())
    }
}

/// Copies to another device, or in both directions at once.
pub(in crate::backend::cuda) struct Peer<'device> {
    gpu: &'device Gpu,
    other: &'device Gpu,
    /// There, and back if both send.
    ways: Vec<Way>,
    next: u64,
    names: [String; 1],
}

impl<'device> Peer<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        partner: &'device Partner,
        exchange: Exchange,
        (bytes, buffers): (u64, u64),
    ) -> Result<Self, BackendError> {
        let Some(ways) = exchange.ways() else {
            return Err(BackendError::unsupported(format!("`{exchange}` is no copy from one device to another")));
        };
        if bytes == 0 || buffers == 0 {
            return Err(BackendError::unsupported("there is nothing to copy"));
        }
        let other = &partner.gpu;
        let ends = [(gpu, other), (other, gpu)];
        let ways = ends.into_iter().take(ways as usize).map(|ends| Way::new(ends, (bytes, buffers)));
        let ways = ways.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { gpu, other, ways, next: 0, names: [partner.name.clone()] })
    }

    /// The ways with the devices that they go from and to.
    fn ways(&self) -> impl Iterator<Item = (&Way, (&Gpu, &Gpu))> {
        self.ways.iter().zip([(self.gpu, self.other), (self.other, self.gpu)])
    }
}

impl Kernel for Peer<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let name = &self.names[known(&self.names, variant)?];
        self.ways().try_for_each(|(way, ends)| way.verify(ends)).map_err(|error| naming(error, name))
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        known(&self.names, variant)?;
        self.gpu.enter()?;
        let start = Instant::now();
        let turns = self.next..self.next.wrapping_add(iterations);
        let ways = || self.ways();
        let asked = turns.clone().try_for_each(|turn| ways().try_for_each(|(way, ends)| way.copy(ends, turn)));
        // Whatever was asked for is waited for, also where another way failed, because the buffers are in use until then.
        let waited = ways().map(|(way, (from, _))| way.wait(from)).fold(Ok(()), Result::and);
        let elapsed = start.elapsed();
        self.next = turns.end;
        asked.and(waited)?;
        Ok(Sample { elapsed, clock: None, disturbance: None, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}

/// Bytes of a copy that is all latency.
const FEW: u64 = 16;

/// A few bytes that go to another device and back, again and again.
pub(in crate::backend::cuda) struct Ping<'device> {
    gpu: &'device Gpu,
    other: &'device Gpu,
    here: [Buffer; 2],
    there: Buffer,
    names: [String; 1],
}

impl<'device> Ping<'device> {
    pub(in crate::backend::cuda) fn new(gpu: &'device Gpu, partner: &'device Partner) -> Result<Self, BackendError> {
        let other = &partner.gpu;
        let here = [gpu.buffer(FEW)?, gpu.buffer(FEW)?];
        other.enter()?;
        let there = other.buffer(FEW)?;
        Ok(Self { gpu, other, here, there, names: [partner.name.clone()] })
    }

    /// Asks for some copies, there and back in turn, and waits for the last.
    fn ping(&self, copies: u64) -> Result<(), BackendError> {
        self.gpu.enter()?;
        let [first, last] = self.here.each_ref().map(|buffer| (self.gpu, buffer));
        let there = (self.other, &self.there);
        let asked = (0..copies).try_for_each(|turn| {
            let (from, to) = if turn % 2 == 0 { (first, there) } else { (there, last) };
            copy(from, to, FEW, self.gpu.main())
        });
        asked.and(self.gpu.wait())
    }
}

impl Kernel for Ping<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let name = &self.names[known(&self.names, variant)?];
        let content = content(Seed(140), FEW as usize);
        self.gpu.enter()?;
        self.gpu.send(&self.here[0], 0, &content)?;
        self.gpu.poison(&self.here[1])?;
        self.ping(2)?;
        let arrived = self.gpu.contents(&self.here[1])?;
        difference(&content, &arrived).map_err(|error| naming(error, name))
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        known(&self.names, variant)?;
        let start = Instant::now();
        self.ping(iterations)?;
        Ok(Sample { elapsed: start.elapsed(), clock: None, disturbance: None, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}
