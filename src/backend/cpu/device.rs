//! The open processor: a pinned team with its memory, ready to run any workload.

use super::arena::{Arena, Lanes};
use super::clock::core_clock;
use super::kernels::attention::decode::Decode;
use super::kernels::attention::prefill::Prefill;
use super::kernels::chase::Chase;
use super::kernels::copy::Copy;
use super::kernels::empty::Empty;
use super::kernels::gemm::Gemm;
use super::kernels::gemv::{self, Gemv};
use super::kernels::in_turn::{InTurn, Member};
use super::kernels::multiply_add::MultiplyAdd;
use super::kernels::rowwise::Rowwise;
use super::kernels::stream::Stream;
use super::kernels::{Lanewise, Program};
use super::team::Team;
use super::topology::{self, Topology};
use crate::backend::time::{Instant, resolution_and_cost};
use crate::backend::{BackendError, Device, Kernel, Sequence, Stopwatch};
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
        let lanes = self.lanes_of(workload)?;
        if let Kind::Empty { overhead } = workload.kind {
            return Ok(Box::new(Empty::new(&mut self.team, lanes, overhead)?));
        }
        let program = program(&self.topology, workload, &mut self.arena, None)?;
        Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
    }

    fn prepare_sequence<'device>(
        &'device mut self,
        sequence: &Sequence,
    ) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        let stages = &sequence.checked()?.stages;
        let mut lanes = 1;
        let mut scratch = 0;
        for stage in stages {
            lanes = lanes.max(self.lanes_of(&stage.workload)?);
            scratch = scratch.max(scratch_of(&self.topology, &stage.workload)?);
        }
        // What was kept for single workloads makes room for all of these.
        self.arena = Arena::continuing(&self.arena);
        let scratch = self.arena.lanes(lanes, scratch)?;
        let mut members = Vec::with_capacity(stages.len());
        for stage in stages {
            let mut arena = Arena::default();
            let program = program(&self.topology, &stage.workload, &mut arena, Some(&scratch))?;
            let known = program.variants().len();
            if stage.variant >= known {
                let variant = stage.variant;
                return Err(BackendError::unsupported(format!("there is no variant {variant}; there are {known}")));
            }
            self.arena.note_beside(&arena);
            members.push(Member {
                program,
                variant: stage.variant,
                lanes: stage.workload.lanes as usize,
                _arena: arena,
            });
        }
        let program = InTurn::new(members, sequence.turns.clone(), lanes);
        Ok(Box::new(Lanewise::new(&mut self.team, lanes, program)))
    }
}

impl CpuDevice {
    /// The lanes of a workload, if there are as many and it has a size that can be thought of.
    fn lanes_of(&self, workload: &Workload) -> Result<usize, BackendError> {
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
        Ok(lanes)
    }
}

/// Bytes of scratch that each lane of a workload needs, where that can be shared with other workloads.
fn scratch_of(topology: &Topology, workload: &Workload) -> Result<u64, BackendError> {
    match workload.kind {
        Kind::Gemm { input, accumulate, shape, .. } => {
            let second_level = topology.identity.second_level_cache();
            Ok(Gemm::needs((input, accumulate), shape, 1, workload.lanes as usize, second_level)?.scratch)
        }
        _ => Ok(0),
    }
}

/// A workload on memory of an arena, with scratch that it shares with others, or its own.
fn program(
    topology: &Topology,
    workload: &Workload,
    arena: &mut Arena,
    shared: Option<&Lanes>,
) -> Result<Box<dyn Program>, BackendError> {
    let lanes = workload.lanes as usize;
    let core = topology.microarchitecture;
    Ok(match workload.kind {
        Kind::Stream { access, elements, parts } => {
            if elements == 0 || parts == 0 || !elements.is_multiple_of(STREAM_GRANULE.saturating_mul(parts)) {
                return Err(BackendError::unsupported(format!(
                    "{elements} elements are not {parts} times a multiple of {STREAM_GRANULE}"
                )));
            }
            let memory = arena.lanes(lanes, Stream::bytes(access, elements))?;
            Box::new(Stream::new(access, elements, parts, memory, core)?)
        }
        Kind::MultiplyAdd { unit, input, accumulate } => {
            Box::new(MultiplyAdd::new(unit, input, accumulate, lanes, core)?)
        }
        Kind::Gemm { input, accumulate, shape, copies } => {
            let formats = (input, accumulate);
            let needs = Gemm::needs(formats, shape, copies.max(1), lanes, topology.identity.second_level_cache())?;
            let scratch = match shared {
                Some(scratch) => scratch.clone(),
                None => arena.lanes(lanes, needs.scratch)?,
            };
            let common = arena.common(needs.common)?;
            Box::new(Gemm::new(formats, needs, common, scratch)?)
        }
        Kind::Gemv { weights, activations, rows, columns, parts } => {
            let sizes = gemv::Sizes { rows, columns, parts };
            let memory = arena.lanes(lanes, Gemv::bytes(weights, sizes))?;
            Box::new(Gemv::new((weights, activations), sizes, memory)?)
        }
        Kind::Rowwise { op, dtype, rows, parts } => {
            let memory = arena.lanes(lanes, Rowwise::bytes(op, dtype, rows))?;
            Box::new(Rowwise::new((op, dtype), (rows, parts), memory)?)
        }
        Kind::Attention { phase: Phase::Decode, kv, context, caches } => {
            let memory = arena.lanes(lanes, Decode::bytes(kv, context, caches))?;
            Box::new(Decode::new(kv, context, caches, memory)?)
        }
        Kind::Attention { phase: Phase::Prefill, kv, context, .. } => {
            let memory = arena.lanes(lanes, Prefill::bytes(kv, context))?;
            Box::new(Prefill::new(kv, context, memory)?)
        }
        Kind::Chase { bytes, hops } => {
            let memory = arena.lanes(lanes, bytes)?;
            Box::new(Chase::new(bytes, hops, topology.identity.cache_line, memory))
        }
        Kind::HostCopy { direction: Direction::Memcpy, bytes, buffers } => {
            let memory = arena.lanes(lanes, Copy::bytes(bytes, buffers.max(1)))?;
            Box::new(Copy::new(bytes, buffers.max(1), memory))
        }
        Kind::HostCopy { direction, .. } => {
            return Err(BackendError::unsupported(format!(
                "the device is the host: there is no `{direction}` link, only memcpy"
            )));
        }
        Kind::PeerCopy { .. } => {
            return Err(BackendError::unsupported("a processor has no link to another device"));
        }
        Kind::Atomic { .. } => return Err(BackendError::no_kernel("atomic additions are measured on GPUs only")),
        Kind::Empty { .. } => return Err(BackendError::unsupported("an empty job is run by itself")),
    })
}
