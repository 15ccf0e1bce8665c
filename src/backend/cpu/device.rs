//! The open processor: a pinned team with its memory, ready to run any workload.

use super::arena::Arena;
use super::clock::core_clock;
use super::kernels::Lanewise;
use super::kernels::attention::decode::Decode;
use super::kernels::attention::prefill::Prefill;
use super::kernels::chase::Chase;
use super::kernels::copy::Copy;
use super::kernels::empty::Empty;
use super::kernels::gemm::Gemm;
use super::kernels::gemv::{self, Gemv};
use super::kernels::multiply_add::MultiplyAdd;
use super::kernels::rowwise::Rowwise;
use super::kernels::stream::Stream;
use super::team::Team;
use super::topology::{self, Topology};
use crate::backend::time::{Instant, resolution_and_cost};
use crate::backend::{BackendError, Device, Kernel, Stopwatch};
use crate::facts::{ClockReading, Conditions, Identity, Observed, Timer, TimerSource};
use crate::resource::{Direction, Phase, Scope};
use crate::units::{Hertz, Seconds};
use crate::workload::{Kind, STREAM_GRANULE, Workload};

/// More than any lane is ever given; below it, sizes can be computed with without a thought of overflow.
const MOST_BYTES: u64 = 1 << 48;
/// Rounds of the clock chain per reading, about 1 ms, and how many readings are taken.
const CLOCK_ROUNDS: u64 = 50_000;
const CLOCK_READINGS: usize = 15;

pub(super) struct CpuDevice {
    topology: Topology,
    team: Team,
    arena: Arena,
    stolen_at_opening: Option<u64>,
}

impl CpuDevice {
    pub(super) fn open() -> Result<Self, BackendError> {
        let topology = Topology::read();
        let team = Team::start(&topology.cores)?;
        Ok(Self { topology, team, arena: Arena::default(), stolen_at_opening: topology::stolen_ticks() })
    }
}

impl Device for CpuDevice {
    fn identity(&self) -> &Identity {
        &self.topology.identity
    }

    fn conditions(&mut self) -> Conditions {
        self.topology.conditions(self.team.pinned())
    }

    fn observed(&self) -> Observed {
        let stolen = topology::stolen_ticks().zip(self.stolen_at_opening);
        Observed {
            gpu: None,
            memory_allocated: self.arena.peak(),
            memory_in_huge_pages: topology::bytes_in_huge_pages(),
            stolen: stolen.map(|(now, then)| Seconds(now.saturating_sub(then) as f64 / 100.0)),
        }
    }

    fn timer(&mut self) -> Timer {
        let (resolution, cost) = resolution_and_cost();
        Timer { source: TimerSource::HostClock, resolution, cost }
    }

    fn clock(&mut self) -> Option<ClockReading> {
        let mut readings: Vec<Hertz> = (0..CLOCK_READINGS).map(|_| core_clock(CLOCK_ROUNDS)).collect::<Option<_>>()?;
        readings.sort_by(|a, b| a.get().total_cmp(&b.get()));
        Some(ClockReading {
            median: readings[CLOCK_READINGS / 2],
            low: readings[0],
            high: readings[CLOCK_READINGS - 1],
        })
    }

    fn stopwatch(&self) -> Stopwatch {
        let opened = Instant::now();
        Box::new(move || opened.elapsed())
    }

    fn lanes(&self, scope: Scope) -> u32 {
        match scope {
            Scope::Device => self.topology.cores.len() as u32,
            Scope::Core => 1,
        }
    }

    fn prepare<'device>(&'device mut self, workload: &Workload) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        let lanes = workload.lanes as usize;
        if lanes == 0 || lanes > self.topology.cores.len() {
            return Err(BackendError::unsupported(format!("{lanes} lanes on {} cores", self.topology.cores.len())));
        }
        if workload.bytes_per_lane() > MOST_BYTES {
            return Err(BackendError::OutOfMemory {
                bytes: workload.bytes_per_lane(),
                cause: "no machine has as much".to_owned(),
            });
        }
        let core = self.topology.microarchitecture;
        match workload.kind {
            Kind::Stream { access, elements, parts } => {
                if elements == 0 || parts == 0 || !elements.is_multiple_of(STREAM_GRANULE.saturating_mul(parts)) {
                    return Err(BackendError::unsupported(format!(
                        "{elements} elements are not {parts} times a multiple of {STREAM_GRANULE}"
                    )));
                }
                let memory = self.arena.lanes(lanes, Stream::bytes(access, elements))?;
                let program = Stream::new(access, elements, parts, memory, core)?;
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::MultiplyAdd { unit, input, accumulate } => {
                let program = MultiplyAdd::new(unit, input, accumulate, lanes, core)?;
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::Gemm { input, accumulate, shape, copies } => {
                let formats = (input, accumulate);
                let needs =
                    Gemm::needs(formats, shape, copies.max(1), lanes, self.topology.identity.second_level_cache())?;
                let scratch = self.arena.lanes(lanes, needs.scratch)?;
                let common = self.arena.common(needs.common)?;
                let program = Gemm::new(formats, needs, common, scratch)?;
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::Gemv { weights, activations, rows, columns, parts } => {
                let sizes = gemv::Sizes { rows, columns, parts };
                let memory = self.arena.lanes(lanes, Gemv::bytes(weights, sizes))?;
                let program = Gemv::new((weights, activations), sizes, memory)?;
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::Rowwise { op, dtype, rows, parts } => {
                let memory = self.arena.lanes(lanes, Rowwise::bytes(op, dtype, rows))?;
                let program = Rowwise::new((op, dtype), (rows, parts), memory)?;
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::Attention { phase: Phase::Decode, kv, context, caches } => {
                let memory = self.arena.lanes(lanes, Decode::bytes(kv, context, caches))?;
                let program = Decode::new(kv, context, caches, memory)?;
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::Attention { phase: Phase::Prefill, kv, context, .. } => {
                let memory = self.arena.lanes(lanes, Prefill::bytes(kv, context))?;
                let program = Prefill::new(kv, context, memory)?;
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::Chase { bytes, hops } => {
                let memory = self.arena.lanes(lanes, bytes)?;
                let program = Chase::new(bytes, hops, self.topology.identity.cache_line, memory);
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::HostCopy { direction: Direction::Memcpy, bytes, buffers } => {
                let memory = self.arena.lanes(lanes, Copy::bytes(bytes, buffers.max(1)))?;
                let program = Copy::new(bytes, buffers.max(1), memory);
                Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
            }
            Kind::HostCopy { direction, .. } => Err(BackendError::unsupported(format!(
                "the device is the host: there is no `{direction}` link, only memcpy"
            ))),
            Kind::PeerCopy { .. } => Err(BackendError::unsupported("a processor has no link to another device")),
            Kind::Atomic { .. } => Err(BackendError::unsupported("atomic additions are measured on GPUs only")),
            Kind::Empty { overhead } => Ok(Box::new(Empty::new(&mut self.team, lanes, overhead)?)),
        }
    }
}
