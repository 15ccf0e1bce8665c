//! What a GPU's driver says of its settings and sensors: before it was measured, and meanwhile.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::Hertz;

/// Settings and sensors before measuring began. Virtual machines, shares of a GPU and older drivers tell only some of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuConditions {
    /// Version of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Clock of the multiprocessors, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Hertz>,
    /// Highest clock that the multiprocessors can have, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_clock: Option<Hertz>,
    /// Clock of the multiprocessors that is set for applications, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_clock: Option<Hertz>,
    /// Clock of the memory, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_clock: Option<Hertz>,
    /// Highest clock that the memory can have, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_memory_clock: Option<Hertz>,
    /// Clock of the memory that is set for applications, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_memory_clock: Option<Hertz>,
    /// Power drawn, in W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<f64>,
    /// The limit on power that is in force, in W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_limit: Option<f64>,
    /// Temperature, in °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Whether the memory's errors are corrected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecc: Option<bool>,
    /// Whether the GPU is divided into instances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mig: Option<bool>,
    /// Whether the driver stays loaded while no program uses the GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub persistence: Option<bool>,
    /// Which programs may compute on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_mode: Option<ComputeMode>,
    /// Performance state: from 0, the fastest, to 15.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance_state: Option<u8>,
    /// The PCIe link. It is often slower while there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<PcieLink>,
    /// The fastest PCIe link that GPU and machine are capable of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub highest_link: Option<PcieLink>,
    /// Other programs that use the GPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<OtherProcesses>,
    /// How the GPU is handed to a virtual machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub virtualisation: Option<GpuVirtualisation>,
}

/// A PCIe link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PcieLink {
    /// Generation: 5.
    pub generation: u32,
    /// Number of lanes: 16.
    pub width: u32,
}

/// Programs of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OtherProcesses {
    /// How many.
    pub count: u32,
    /// Bytes of device memory that they hold, where the driver tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// Which programs may compute on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComputeMode {
    /// Several at once.
    Shared,
    /// One thread of one program.
    ExclusiveThread,
    /// One program.
    ExclusiveProcess,
    /// None.
    Prohibited,
}

/// How a GPU is handed to a virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GpuVirtualisation {
    /// It is not.
    None,
    /// As a whole.
    PassThrough,
    /// A share of it.
    Virtual,
    /// This machine hands out shares of it.
    Host,
}

/// What the sensors said while the device was open. Clocks, power and restraints are those of looks at which it had work to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuObserved {
    /// How often the sensors were asked.
    pub looks: u64,
    /// Clock of the multiprocessors, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock: Option<Reading>,
    /// Clock of the memory, in Hz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_clock: Option<Reading>,
    /// Power drawn, in W.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power: Option<Reading>,
    /// Temperature, in °C.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<Reading>,
    /// What held the clock down, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restraints: Vec<Restrained>,
    /// Highest generation and width of the PCIe link that were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<PcieLink>,
    /// Energy consumed, in J.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub energy: Option<f64>,
}

/// What a sensor said at several looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reading {
    /// The lowest.
    pub low: f64,
    /// The median.
    pub median: f64,
    /// The highest.
    pub high: f64,
}

/// How often something held the clock down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Restrained {
    /// What did.
    pub by: Restraint,
    /// Share of the looks at which it did.
    pub share: f64,
}

/// What holds a device's clock down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Restraint {
    /// The limit on power.
    Power,
    /// Heat.
    Heat,
    /// The power supply asks for less.
    PowerBrake,
    /// The hardware protects itself, and does not say from what.
    Slowdown,
    /// Another GPU of a group whose clocks are kept the same.
    SyncBoost,
    /// The clock that is set for applications, which is below the highest.
    ApplicationClock,
}

impl Restraint {
    /// Every one, in the order in which they are told.
    pub const ALL: [Self; 6] =
        [Self::Power, Self::Heat, Self::PowerBrake, Self::Slowdown, Self::SyncBoost, Self::ApplicationClock];

    /// What comes after `limited by`.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Power => "power",
            Self::Heat => "heat",
            Self::PowerBrake => "the power supply's brake",
            Self::Slowdown => "a slowdown of the hardware's",
            Self::SyncBoost => "another GPU of its group",
            Self::ApplicationClock => "the application clock",
        }
    }
}

/// A set of restraints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restraints(u8);

impl Restraints {
    /// Whether one of them is this.
    #[must_use]
    pub const fn contains(self, restraint: Restraint) -> bool {
        self.0 & (1 << restraint as u8) != 0
    }

    /// Those of both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl FromIterator<Restraint> for Restraints {
    fn from_iter<I: IntoIterator<Item = Restraint>>(restraints: I) -> Self {
        Self(restraints.into_iter().fold(0, |set, restraint| set | 1 << restraint as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let two = Restraints::from_iter([Restraint::Power, Restraint::SyncBoost]);
        let both = two.and(Restraints::from_iter([Restraint::Heat]));
        let held = |set: Restraints| Restraint::ALL.into_iter().filter(|&one| set.contains(one)).collect::<Vec<_>>();
        assert_eq!(held(two), [Restraint::Power, Restraint::SyncBoost]);
        assert_eq!(held(both), [Restraint::Power, Restraint::Heat, Restraint::SyncBoost]);
        assert_eq!(held(Restraints::default()), []);
    }
}
