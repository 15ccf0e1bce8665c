//! What is known of a device and of the moment it was measured in: identity and conditions.

mod bus;
mod gpu;
mod library;

pub use bus::{NotAnAddress, PciAddress};
pub use gpu::{
    ComputeMode, GpuConditions, GpuObserved, GpuVirtualisation, OtherProcesses, PcieLink, Reading, Restrained,
    Restraint, Restraints,
};
pub use library::{Implementer, Library, LibraryName, LibraryPlace, LibraryState};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::MemoryLevel;
use crate::units::{Hertz, Seconds};

/// What kind of device it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A processor's own cores.
    Cpu,
    /// A GPU.
    Gpu,
    /// An accelerator for neural networks that is no GPU.
    Npu,
    /// A driver that lets a processor stand in for a GPU, such as lavapipe: its numbers are ceilings of nothing, neither of the processor nor of
    /// any GPU.
    Software,
    /// Nothing real: rooflab's own test double. Its numbers are invented.
    Simulated,
}

/// Who a device is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The backend that reached it and its index there: `cpu:0`, `cuda:1`.
    pub id: String,
    /// The backend's name.
    pub backend: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// The name it gives itself.
    pub name: String,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Microarchitecture, where rooflab recognises it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Instruction set: `x86_64`, `aarch64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isa: Option<String>,
    /// Instruction-set extensions that rooflab's kernels can use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// Cores this process may use, one lane each; 0 where it is not known.
    pub cores: u32,
    /// Logical processors this process may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_processors: Option<u32>,
    /// Caches, nearest first, as the machine states them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Cache>,
    /// Bytes in a cache line; 0 where it is not known.
    pub cache_line: u32,
    /// Bytes of device memory; 0 where the system does not tell.
    pub memory: u64,
    /// Driver or operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Address on the PCI bus, where the driver tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<PciAddress>,
}

/// A cache as the machine states it. Guests of a virtual machine often get a smaller share than they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cache {
    /// 1, 2 or 3.
    pub level: u8,
    /// Bytes of one instance.
    pub bytes: u64,
    /// Lanes (cores in use) that share one instance.
    pub shared_by: u32,
}

impl Cache {
    /// Its name in the memory hierarchy; none for levels rooflab does not name.
    #[must_use]
    pub const fn memory_level(&self) -> Option<MemoryLevel> {
        match self.level {
            1 => Some(MemoryLevel::L1),
            2 => Some(MemoryLevel::L2),
            3 => Some(MemoryLevel::L3),
            _ => None,
        }
    }
}

impl DeviceKind {
    /// The kind in a few words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Gpu => "gpu",
            Self::Npu => "npu",
            Self::Software => "cpu (software)",
            Self::Simulated => "simulated",
        }
    }

    /// What one part of it is called that can be measured by itself, and several of them.
    #[must_use]
    pub const fn parts(self) -> (&'static str, &'static str) {
        if self.is_gpu_like() { ("multiprocessor", "multiprocessors") } else { ("core", "cores") }
    }

    /// Whether it is measured as a GPU is: as a whole, by kernels with thousands of threads.
    #[must_use]
    pub const fn is_gpu_like(self) -> bool {
        matches!(self, Self::Gpu | Self::Software)
    }

    /// Whether its numbers are those of hardware, so that something can be concluded from them.
    #[must_use]
    pub const fn is_hardware(self) -> bool {
        matches!(self, Self::Cpu | Self::Gpu | Self::Npu)
    }
}

impl Identity {
    /// A device of which no more than its name and its kind are known.
    #[must_use]
    pub fn named(name: &str, kind: DeviceKind) -> Self {
        Self {
            id: String::new(),
            backend: String::new(),
            kind,
            name: name.to_owned(),
            vendor: None,
            architecture: None,
            isa: None,
            features: Vec::new(),
            cores: 0,
            logical_processors: None,
            caches: Vec::new(),
            cache_line: 0,
            memory: 0,
            driver: None,
            bus: None,
        }
    }

    /// Whether another backend's device is the same one. Where a driver does not tell the address, nobody knows.
    #[must_use]
    pub fn is_same_device(&self, other: &Self) -> bool {
        self.backend != other.backend && self.bus.is_some() && self.bus == other.bus
    }

    /// Bytes of a cache level that some lanes can use together.
    #[must_use]
    pub fn capacity(&self, cache: &Cache, lanes: u32) -> u64 {
        cache.bytes * u64::from(lanes.div_ceil(cache.shared_by.max(1)))
    }

    /// Bytes of the second-level cache of a core; where none is stated, those that every core has had for twenty years.
    #[must_use]
    pub fn second_level_cache(&self) -> u64 {
        self.caches
            .iter()
            .find(|cache| cache.level == 2)
            .map_or(256 << 10, |cache| cache.bytes / u64::from(cache.shared_by.max(1)))
    }

    /// Bytes of the last-level cache that some lanes can use together, as stated; 0 when no cache is stated.
    #[must_use]
    pub fn last_level_cache(&self, lanes: u32) -> u64 {
        self.caches.iter().map(|cache| self.capacity(cache, lanes)).max().unwrap_or(0)
    }
}

/// The circumstances of a measurement, observed when it began.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conditions {
    /// Operating system and kernel version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The hypervisor, when the machine is a guest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtualisation: Option<String>,
    /// Frequency governor of the first core in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
    /// Processes that wanted to run, averaged over a minute, before rooflab began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Bytes of memory that were available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_available: Option<u64>,
    /// The system's policy on transparent huge pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub huge_pages: Option<String>,
    /// Worker threads, one per core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Whether the threads are bound to their cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// A limit on this process below what the machine has, such as a container's quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Settings and sensors of the GPU, where its driver tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuConditions>,
}

/// What the measuring itself costs and resolves.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timer {
    /// What times the samples.
    pub source: TimerSource,
    /// Smallest step seen between two readings, in seconds.
    pub resolution: Seconds,
    /// Cost of one reading, in seconds.
    pub cost: Seconds,
}

/// Where sample times come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimerSource {
    /// The host's monotonic clock.
    HostClock,
    /// Events recorded by the device.
    DeviceEvents,
    /// The test double's virtual clock.
    Virtual,
}

/// The clock frequency over a few readings while the device was busy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClockReading {
    /// Median of the readings, in Hz.
    pub median: Hertz,
    /// Lowest reading, in Hz.
    pub low: Hertz,
    /// Highest reading, in Hz.
    pub high: Hertz,
}

impl ClockReading {
    /// Whether the readings agree within 2 %.
    #[must_use]
    pub fn steady(&self) -> bool {
        self.high.get() <= self.low.get() * 1.02
    }
}

/// What was observed of the process and the machine by the end of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Observed {
    /// Most bytes of device memory allocated at one time.
    pub memory_allocated: u64,
    /// Bytes of it that the system backed with huge pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_in_huge_pages: Option<u64>,
    /// Processor time, in seconds, that the hypervisor gave to others while this machine wanted to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stolen: Option<Seconds>,
    /// What the GPU's sensors said meanwhile, where its driver tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<GpuObserved>,
}
