//! The management library's answers. Every one may be missing: shares of a GPU, virtual machines and older drivers decline some questions.

use nvml_wrapper::enum_wrappers::device::{Clock, ComputeMode as Mode, PerformanceState, TemperatureSensor};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_POWER_INSTANT;
use nvml_wrapper::{Device, Nvml};

use super::Key;
use super::tally::{Look, Process, others};
use crate::facts::{ComputeMode, GpuConditions, GpuVirtualisation, PcieLink};
use crate::units::Hertz;

/// The device that a key means.
pub(super) fn find<'nvml>(nvml: &'nvml Nvml, key: &Key) -> Option<Device<'nvml>> {
    // An instance of a divided GPU may go by a name of its own: the address is that of the GPU, which has the sensors.
    nvml.device_by_uuid(name(key.uuid)).or_else(|_| nvml.device_by_pci_bus_id(key.bus.as_str())).ok()
}

/// A device's own name as the library writes it.
fn name(uuid: [u8; 16]) -> String {
    let dash = |index: usize| if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
    let bytes: String = uuid.iter().enumerate().map(|(index, byte)| format!("{}{byte:02x}", dash(index))).collect();
    format!("GPU-{bytes}")
}

/// The circumstances of a device as they are now.
pub(super) fn conditions(nvml: &Nvml, device: &Device<'_>) -> GpuConditions {
    let hertz = |megahertz: Result<u32, _>| megahertz.ok().map(|megahertz| Hertz(f64::from(megahertz) * 1e6));
    let watts = |milliwatts: Option<u32>| milliwatts.map(|milliwatts| f64::from(milliwatts) * 1e-3);
    let link = |generation: Result<u32, _>, width: Result<u32, _>| {
        Some(PcieLink { generation: generation.ok()?, width: width.ok()? })
    };
    let (persistence, virtualisation) = of_linux(device);
    GpuConditions {
        driver: nvml.sys_driver_version().ok(),
        clock: hertz(device.clock_info(Clock::SM)),
        highest_clock: hertz(device.max_clock_info(Clock::SM)),
        application_clock: hertz(device.applications_clock(Clock::SM)),
        memory_clock: hertz(device.clock_info(Clock::Memory)),
        highest_memory_clock: hertz(device.max_clock_info(Clock::Memory)),
        application_memory_clock: hertz(device.applications_clock(Clock::Memory)),
        power: watts(power(device)),
        power_limit: watts(device.enforced_power_limit().ok()),
        temperature: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
        ecc: device.is_ecc_enabled().ok().map(|ecc| ecc.currently_enabled),
        mig: device.mig_mode().ok().map(|mode| mode.current != 0),
        persistence,
        compute_mode: device.compute_mode().ok().map(compute_mode),
        performance_state: device.performance_state().ok().and_then(performance_state),
        link: link(device.current_pcie_link_gen(), device.current_pcie_link_width()),
        highest_link: link(device.max_pcie_link_gen(), device.max_pcie_link_width()),
        others: processes(device).map(|processes| others(&processes, std::process::id())),
        virtualisation,
    }
}

/// A look at the sensors.
pub(super) fn look(device: &Device<'_>) -> Look {
    Look {
        clock: device.clock_info(Clock::SM).ok(),
        memory_clock: device.clock_info(Clock::Memory).ok(),
        power: power(device),
        power_limit: device.enforced_power_limit().ok(),
        temperature: device.temperature(TemperatureSensor::Gpu).ok(),
        reasons: device.current_throttle_reasons().ok(),
        generation: device.current_pcie_link_gen().ok(),
        width: device.current_pcie_link_width().ok(),
        energy: device.total_energy_consumption().ok(),
    }
}

/// Whether the clock that is set for applications is below the highest.
pub(super) fn is_set_lower(device: &Device<'_>) -> bool {
    let clocks = device.applications_clock(Clock::SM).ok().zip(device.max_clock_info(Clock::SM).ok());
    clocks.is_some_and(|(set, highest)| set < highest)
}

/// Power drawn, in mW: of this moment, where the device tells; else of about the last second, as older devices mean it.
fn power(device: &Device<'_>) -> Option<u32> {
    let answers = device.field_values_for(&[FieldId(NVML_FI_DEV_POWER_INSTANT)]).unwrap_or_default();
    let now = match answers.into_iter().next() {
        Some(Ok(answer)) => answer.value.ok(),
        _ => None,
    };
    let now = match now {
        Some(SampleValue::U32(milliwatts)) => Some(milliwatts),
        _ => None,
    };
    // Some answer nothing, or the largest number, where they do not know.
    let known = |milliwatts: &u32| (1..u32::MAX).contains(milliwatts);
    now.filter(known).or_else(|| device.power_usage().ok().filter(known))
}

/// Programs that compute or draw on the device; those that do both may be there twice.
fn processes(device: &Device<'_>) -> Option<Vec<Process>> {
    let computing = device.running_compute_processes().ok()?;
    let drawing = device.running_graphics_processes().unwrap_or_default();
    let process = |info: nvml_wrapper::struct_wrappers::device::ProcessInfo| {
        let memory = match info.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes),
            UsedGpuMemory::Unavailable => None,
        };
        Process { id: info.pid, memory }
    };
    Some(computing.into_iter().chain(drawing).map(process).collect())
}

const fn compute_mode(mode: Mode) -> ComputeMode {
    match mode {
        Mode::Default => ComputeMode::Shared,
        Mode::ExclusiveThread => ComputeMode::ExclusiveThread,
        Mode::ExclusiveProcess => ComputeMode::ExclusiveProcess,
        Mode::Prohibited => ComputeMode::Prohibited,
    }
}

/// Whether the driver stays loaded, and what kind of machine it is: the library tells on Linux alone.
#[cfg(target_os = "linux")]
fn of_linux(device: &Device<'_>) -> (Option<bool>, Option<GpuVirtualisation>) {
    use nvml_wrapper::enum_wrappers::device::GpuVirtualizationMode as Mode;
    let virtualisation = device.virtualization_mode().ok().map(|mode| match mode {
        Mode::Bare => GpuVirtualisation::None,
        Mode::PassThrough => GpuVirtualisation::PassThrough,
        Mode::Vgpu => GpuVirtualisation::Virtual,
        Mode::HostVgpu | Mode::HostVsga => GpuVirtualisation::Host,
    });
    (device.is_in_persistent_mode().ok(), virtualisation)
}

/// Elsewhere it does not.
#[cfg(not(target_os = "linux"))]
const fn of_linux(_: &Device<'_>) -> (Option<bool>, Option<GpuVirtualisation>) {
    (None, None)
}

/// The number of a performance state; none where the driver does not know it.
fn performance_state(state: PerformanceState) -> Option<u8> {
    u8::try_from(state.as_c()).ok().filter(|&state| state < 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_as_the_library_names_it() {
        let uuid = std::array::from_fn(|index| index as u8 * 0x11);
        assert_eq!(name(uuid), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn states_have_numbers() {
        assert_eq!(performance_state(PerformanceState::Zero), Some(0));
        assert_eq!(performance_state(PerformanceState::Eight), Some(8));
        assert_eq!(performance_state(PerformanceState::Fifteen), Some(15));
        assert_eq!(performance_state(PerformanceState::Unknown), None);
    }
}
