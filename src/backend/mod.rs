//! Backends: enumerate devices, prepare a workload, verify it, run it and say how long it took.
//!
//! A backend does not plan. It holds no sizes, warm-ups, sweeps or medians: [`crate::probe`] decides what to run, and how
//! often, through the three traits below.

#[cfg(feature = "cpu")]
pub mod cpu;
#[cfg(not(feature = "cpu"))]
#[path = "disabled/cpu.rs"]
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(not(feature = "cuda"))]
#[path = "disabled/cuda.rs"]
pub mod cuda;
pub mod mock;
#[cfg(any(feature = "cpu", feature = "cuda", feature = "wgpu"))]
mod reference;
mod sequence;
#[cfg(any(feature = "cpu", feature = "cuda", feature = "wgpu"))]
mod time;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod variants;
#[cfg(feature = "wgpu")]
pub mod wgpu;
#[cfg(not(feature = "wgpu"))]
#[path = "disabled/wgpu.rs"]
pub mod wgpu;

pub use sequence::{Sequence, Stage, Turn};

use std::path::PathBuf;

use crate::facts::{
    ClockReading, Conditions, GpuConditions, Identity, Implementer, Library, LibraryName, LibraryPlace, Observed,
    Restraints, Timer,
};
use crate::resource::Scope;
use crate::units::{Hertz, Seconds};
use crate::workload::{STREAM_GRANULE, Workload};

/// A way to reach devices.
pub trait Backend: Sync {
    /// Its name: the part before the colon in `cpu:0`.
    fn name(&self) -> &'static str;

    /// Whether its devices are only used when asked for by name.
    fn on_request_only(&self) -> bool {
        false
    }

    /// The devices it can reach now.
    ///
    /// # Errors
    /// When it can reach none: the reason, with what would help.
    fn devices(&self, host: &dyn Host) -> Result<Vec<Identity>, BackendError>;

    /// Settings and sensors of a device by its index, as far as they are known without opening it.
    fn gpu_conditions(&self, _index: usize, _host: &dyn Host) -> Option<GpuConditions> {
        None
    }

    /// Libraries of the devices' maker that it uses beside its own kernels, or why it does not.
    fn libraries(&self, _host: &dyn Host) -> Vec<Library> {
        Vec::new()
    }

    /// Opens a device by its index within the backend.
    ///
    /// # Errors
    /// When there is no such device or it cannot be used.
    fn open(&self, index: usize, host: &dyn Host) -> Result<Box<dyn Device>, BackendError>;

    /// Looks for devices in this very process, as the text that [`Host::survey`] hands on. For backends whose drivers may crash or hang meanwhile.
    ///
    /// # Errors
    /// When the backend needs no such thing.
    fn survey(&self) -> Result<String, BackendError> {
        Err(BackendError::unsupported(format!("the backend `{}` finds its devices without a survey", self.name())))
    }
}

/// What a backend asks of the program around it: the library starts no process and reads no switch.
pub trait Host {
    /// Has a backend's [`Backend::survey`] done, at best in a process of its own and within a time limit.
    ///
    /// # Errors
    /// When the survey fails, crashes or takes too long.
    fn survey(&self, backend: &dyn Backend) -> Result<String, BackendError>;

    /// Whether kernels are compiled with checks of every index and loop, where the backend can do without.
    fn wants_checks(&self) -> bool {
        false
    }

    /// How long a device may take to answer before it counts as lost, where the backend can go on without it.
    fn patience(&self) -> Seconds {
        Seconds(60.0)
    }

    /// Where libraries of a device's maker are looked for.
    fn vendor_folders(&self) -> LibraryFolders {
        LibraryFolders::default()
    }
}

/// Folders in which libraries of a device's maker are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LibraryFolders {
    /// Those that somebody named: they count alone. Where none is in the list, no library is used.
    pub named: Option<Vec<PathBuf>>,
    /// Those that are looked in after the places where the system's loader looks.
    pub usual: Vec<(LibraryPlace, PathBuf)>,
}

/// A program that does everything in its own process.
pub struct InPlace;

impl Host for InPlace {
    fn survey(&self, backend: &dyn Backend) -> Result<String, BackendError> {
        backend.survey()
    }
}

/// Tells host time since some moment.
pub type Stopwatch = Box<dyn Fn() -> Seconds>;

/// A device that is open for measuring.
pub trait Device {
    /// Who it is.
    fn identity(&self) -> &Identity;

    /// The circumstances, as they are now.
    fn conditions(&mut self) -> Conditions;

    /// What was observed since the device was opened.
    fn observed(&self) -> Observed;

    /// What times the samples, measured now.
    fn timer(&mut self) -> Timer;

    /// The clock frequency under a short load, or none where it cannot be observed.
    fn clock(&mut self) -> Option<ClockReading>;

    /// A clock that tells host time since some moment; the planner keeps its budgets by it.
    fn stopwatch(&self) -> Stopwatch;

    /// How many lanes take part in a scope; 0 where the device has no such part that could be measured by itself.
    fn lanes(&self, scope: Scope) -> u32;

    /// Elements that streaming kernels take at a time, in each lane.
    fn stream_granule(&self) -> u64 {
        STREAM_GRANULE
    }

    /// Bytes of the largest array that a kernel can be given, where that is less than there is memory.
    fn largest_array(&self) -> Option<u64> {
        None
    }

    /// Whether attention of new tokens takes one of several caches after the other. Else heads of all caches are attended to at once.
    fn takes_caches_in_turn(&self) -> bool {
        true
    }

    /// A library of its maker that is used beside rooflab's own kernels, or why it is not; none of another maker's.
    fn vendor_library(&self, _name: LibraryName) -> Option<Library> {
        None
    }

    /// Allocates memory, fills it with seeded random data and makes the kernel ready.
    ///
    /// # Errors
    /// [`BackendError::Unsupported`] with what the device lacks, [`BackendError::NoKernel`] with what this backend does, or the failure.
    fn prepare<'device>(&'device mut self, workload: &Workload) -> Result<Box<dyn Kernel + 'device>, BackendError>;

    /// Makes several workloads ready side by side, as one kernel: an iteration of it is all turns of the sequence. Its first implementation starts one after the other; another
    /// may have them started together, and says so ([`Kernel::is_graph`]).
    ///
    /// # Errors
    /// As for [`Device::prepare`], and where the backend runs one workload at a time.
    fn prepare_sequence<'device>(
        &'device mut self,
        _sequence: &Sequence,
    ) -> Result<Box<dyn Kernel + 'device>, BackendError> {
        Err(BackendError::unsupported("this backend cannot run several kernels as one step yet"))
    }
}

/// A workload made ready on a device, in one or several implementations that do the same work.
pub trait Kernel {
    /// The implementations to choose from, described in a few words. Never empty.
    fn variants(&self) -> &[String];

    /// Whose an implementation is.
    fn implementer(&self, _variant: usize) -> Implementer {
        Implementer::Open
    }

    /// Who might have had an implementation of this workload and has none, and why.
    fn without(&self) -> Option<(Implementer, &str)> {
        None
    }

    /// How many devices take part, where all of a group do.
    fn devices(&self) -> Option<u32> {
        None
    }

    /// Whether its buffers hold their data from the beginning. Otherwise verifying a variant, whichever it is, fills them, and comes before any is timed.
    fn is_filled(&self) -> bool {
        false
    }

    /// Whether an implementation hands all launches of an iteration over to the device together. It does the same as the one that hands them over one by one.
    fn is_graph(&self, _variant: usize) -> bool {
        false
    }

    /// Runs one iteration with poisoned outputs and compares every result with a reference.
    ///
    /// # Errors
    /// [`BackendError::WrongResult`] with the first difference.
    fn verify(&mut self, variant: usize) -> Result<(), BackendError>;

    /// Runs the kernel some number of times back to back and times all of them together.
    ///
    /// # Errors
    /// When the device fails.
    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError>;

    /// What the hardware's data paths allow, where that is documented for this device.
    fn limit(&self, variant: usize) -> Option<CycleLimit>;
}

/// One timed run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Time of all iterations together.
    pub elapsed: Seconds,
    /// Clock frequency during the run, where it can be observed.
    pub clock: Option<Hertz>,
    /// What disturbed the run; a sample with none is clean.
    pub disturbance: Option<Disturbance>,
    /// What the device's sensors said during the run, where they were looked at.
    pub glance: Option<Glance>,
}

/// What a device's sensors say at work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Glance {
    /// What holds the clock down.
    pub restraints: Restraints,
    /// Power drawn, in W.
    pub power: Option<f64>,
    /// The limit on power, in W.
    pub power_limit: Option<f64>,
}

/// Why a sample does not count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Disturbance {
    /// A lane was off its core for part of the run.
    Preempted {
        /// Smallest share of the run that any lane spent on its core.
        on_core: f64,
    },
    /// The lanes did not start together.
    Skewed {
        /// Time between the first and the last start.
        skew: Seconds,
    },
    /// The device gave no valid time for the run, and the host's clock had to do.
    Untimed,
    /// The clock moved during the run.
    ClockMoved {
        /// Relative change.
        change: f64,
    },
}

/// Work that one lane's data paths can do in a clock cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CycleLimit {
    /// Bytes or operations per lane and cycle.
    pub per_cycle: f64,
    /// Where the figure comes from.
    pub source: &'static str,
}

/// What can go wrong with a backend, a device or a kernel.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BackendError {
    /// The device, the build or the platform lacks what is needed.
    #[error("{reason}")]
    Unsupported {
        /// What is lacking.
        reason: String,
    },
    /// The backend has no kernel for it, whatever the device could do: this says nothing of the device.
    #[error("{reason}")]
    NoKernel {
        /// What is lacking.
        reason: String,
    },
    /// There is no device at this index.
    #[error("there is no device `{backend}:{index}`; the backend has {count}")]
    NoSuchDevice {
        /// The backend.
        backend: &'static str,
        /// The index asked for.
        index: usize,
        /// Devices there are.
        count: usize,
    },
    /// Memory could not be had.
    #[error("{bytes} bytes of memory could not be had: {cause}")]
    OutOfMemory {
        /// Bytes asked for.
        bytes: u64,
        /// What the system said.
        cause: String,
    },
    /// A kernel computed something else than its reference.
    #[error("wrong result: {0}")]
    WrongResult(String),
    /// The device stopped answering.
    #[error("the device was lost: {0}")]
    Lost(String),
    /// What a driver did where it must not: it crashed, hung or gave nonsense.
    #[error("{what}")]
    Driver {
        /// What happened.
        what: String,
        /// What would help.
        hint: String,
    },
    /// The operating system refused something.
    #[error("{0}")]
    System(String),
}

impl BackendError {
    /// A shorthand for [`BackendError::Unsupported`].
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported { reason: reason.into() }
    }

    /// A shorthand for [`BackendError::NoKernel`].
    pub fn no_kernel(reason: impl Into<String>) -> Self {
        Self::NoKernel { reason: reason.into() }
    }

    /// Whether it befalls other kernels of the device as well: the device was lost, or has no memory left.
    #[must_use]
    pub const fn is_of_the_device(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::OutOfMemory { .. })
    }

    /// What the user can do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Driver { hint, .. } => Some(hint),
            Self::Lost(_) => Some(
                "other programs or too long a kernel may have made the driver give up: measure again, or update the driver",
            ),
            _ => None,
        }
    }
}

/// Every backend, best first.
#[must_use]
pub fn backends() -> &'static [&'static dyn Backend] {
    &[&cuda::CudaBackend, &wgpu::WgpuBackend, &cpu::CpuBackend, &mock::MockBackend]
}
