//! Copies between the host's memory and the device's, by the driver.
//!
//! Work: `bytes` arrive, counted once for each way. Bound: the link; for pageable memory, the driver's own copy into memory that the device can reach. Timed by the host, from
//! the first copy that is asked for until all have arrived.

use crate::backend::cuda::gpu::{Buffer, Gpu, Pinned, Stream};
use crate::backend::reference::parallel;
use crate::backend::time::Instant;
use crate::backend::variants::{known, naming};
use crate::backend::{BackendError, CycleLimit, Kernel, Sample};
use crate::data::{Seed, bits};
use crate::resource::Direction;

/// Memory of the host.
enum HostMemory {
    /// That the device reaches by itself.
    Pinned(Pinned),
    /// As programs usually have it.
    Pageable(Vec<u8>),
}

impl HostMemory {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Pinned(memory) => memory.bytes(),
            Self::Pageable(memory) => memory,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Pinned(memory) => memory.bytes_mut(),
            Self::Pageable(memory) => memory,
        }
    }
}

/// A buffer of the host and one of the device.
struct Pair {
    host: HostMemory,
    device: Buffer,
}

/// One way over the link: copies between pairs of buffers, in turn, in a stream of their own.
struct Way {
    to_device: bool,
    pairs: Vec<Pair>,
    stream: Stream,
}

impl Way {
    fn new(gpu: &Gpu, (to_device, pinned): (bool, bool), (bytes, buffers): (usize, u64)) -> Result<Self, BackendError> {
        let pair = |_| {
            let host =
                if pinned { HostMemory::Pinned(gpu.pinned(bytes)?) } else { HostMemory::Pageable(vec![0; bytes]) };
            Ok(Pair { host, device: gpu.buffer(bytes as u64)? })
        };
        Ok(Self {
            to_device,
            pairs: (0..buffers).map(pair).collect::<Result<_, BackendError>>()?,
            stream: gpu.stream()?,
        })
    }

    /// Asks for a copy.
    fn copy(&mut self, gpu: &Gpu, turn: u64) -> Result<(), BackendError> {
        let count = self.pairs.len() as u64;
        let Some(pair) = self.pairs.get_mut((turn % count) as usize) else { return Ok(()) };
        if self.to_device {
            gpu.send_later(&self.stream, &pair.device, 0, pair.host.bytes())
        } else {
            gpu.fetch_later(&self.stream, &pair.device, 0, pair.host.bytes_mut())
        }
    }

    /// Copies every pair, from random data to poison, and compares all of it.
    fn verify(&mut self, gpu: &Gpu) -> Result<(), BackendError> {
        for index in 0..self.pairs.len() {
            let content = content(Seed(index as u32 + 41), self.pairs[index].host.bytes().len());
            let Pair { host, device } = &mut self.pairs[index];
            if self.to_device {
                host.bytes_mut().copy_from_slice(&content);
                gpu.poison(device)?;
            } else {
                host.bytes_mut().fill(0xA5);
                gpu.send(device, 0, &content)?;
            }
            gpu.wait()?;
            self.copy(gpu, index as u64)?;
            gpu.wait_for(&self.stream)?;
            let Pair { host, device } = &self.pairs[index];
            let mut arrived = if self.to_device { gpu.contents(device)? } else { host.bytes().to_vec() };
            arrived.truncate(content.len());
            difference(&content, &arrived)?;
        }
        Ok(())
    }
}

/// Random bytes.
pub(super) fn content(seed: Seed, bytes_wanted: usize) -> Vec<u8> {
    let mut words = vec![0_u32; bytes_wanted.div_ceil(4)];
    parallel::fill(&mut words, |first, part| {
        for (index, word) in (first as u32..).zip(part) {
            *word = bits(seed, index);
        }
    });
    bytemuck::cast_slice(&words)[..bytes_wanted].to_vec()
}

/// The first byte that arrived other than it was sent, as an error.
pub(super) fn difference(sent: &[u8], arrived: &[u8]) -> Result<(), BackendError> {
    if sent.len() != arrived.len() {
        return Err(BackendError::WrongResult(format!("{} of {} bytes arrived", arrived.len(), sent.len())));
    }
    match sent.iter().zip(arrived).position(|(sent, arrived)| sent != arrived) {
        None => Ok(()),
        Some(place) => Err(BackendError::WrongResult(format!(
            "byte {place} is {}, the original is {}",
            arrived[place], sent[place]
        ))),
    }
}

/// Copies in one direction, or in both at once.
pub(in crate::backend::cuda) struct Copy<'device> {
    gpu: &'device Gpu,
    ways: Vec<Way>,
    next: u64,
    names: [String; 1],
}

impl<'device> Copy<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        direction: Direction,
        bytes: u64,
        buffers: u64,
    ) -> Result<Self, BackendError> {
        let (ways, name): (&[(bool, bool)], _) = match direction {
            Direction::H2d => (&[(true, true)], "pinned memory"),
            Direction::D2h => (&[(false, true)], "pinned memory"),
            Direction::Both => (&[(true, true), (false, true)], "pinned memory, a stream each way"),
            Direction::H2dPageable => (&[(true, false)], "pageable memory"),
            Direction::D2hPageable => (&[(false, false)], "pageable memory"),
            Direction::Memcpy => {
                return Err(BackendError::unsupported("the device is not the host: it has a link, and no memcpy"));
            }
        };
        let size = usize::try_from(bytes).unwrap_or(usize::MAX);
        if size == 0 || buffers == 0 {
            return Err(BackendError::unsupported("there is nothing to copy"));
        }
        let ways = ways.iter().map(|&way| Way::new(gpu, way, (size, buffers))).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { gpu, ways, next: 0, names: [name.to_owned()] })
    }
}

impl Kernel for Copy<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let name = &self.names[known(&self.names, variant)?];
        self.gpu.enter()?;
        self.ways.iter_mut().try_for_each(|way| way.verify(self.gpu)).map_err(|error| naming(error, name))
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        known(&self.names, variant)?;
        self.gpu.enter()?;
        let start = Instant::now();
        let mut asked = Ok(());
        for _ in 0..iterations {
            asked = self.ways.iter_mut().try_for_each(|way| way.copy(self.gpu, self.next));
            self.next += 1;
            if asked.is_err() {
                break;
            }
        }
        // Whatever was asked for is waited for, also where another way failed, because the buffers are in use until then.
        let waited = self.ways.iter().map(|way| self.gpu.wait_for(&way.stream));
        asked.and(waited.fold(Ok(()), Result::and))?;
        Ok(Sample { elapsed: start.elapsed(), clock: None, disturbance: None, glance: None })
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        None
    }
}
