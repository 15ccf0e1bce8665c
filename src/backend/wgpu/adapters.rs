//! Which adapters there are: asked of every interface, one entry for each device, best first.

use serde::{Deserialize, Serialize};

use super::NAME;
use super::matrices::FEATURE;
use crate::backend::BackendError;
use crate::facts::{DeviceKind, Identity};

/// The interfaces, best first. OpenGL is asked only when no other has a device: it lacks half of what is measured.
const APIS: [(wgpu::Backends, &str); 4] = [
    (wgpu::Backends::VULKAN, "Vulkan"),
    (wgpu::Backends::METAL, "Metal"),
    (wgpu::Backends::DX12, "DirectX 12"),
    (wgpu::Backends::GL, "OpenGL"),
];

/// Features that kernels can use, by the names that WGSL and wgpu give them.
pub(super) const FEATURES: [(wgpu::Features, &str); 6] = [
    (wgpu::Features::TIMESTAMP_QUERY, "timestamps"),
    (wgpu::Features::IMMEDIATES, "immediates"),
    (wgpu::Features::SUBGROUP, "subgroups"),
    (wgpu::Features::SHADER_F16, "f16"),
    (wgpu::Features::SHADER_F64, "f64"),
    (FEATURE.0, "cooperative matrices"),
];

/// Words in names of drivers that compute on the processor.
const SOFTWARE: [&str; 6] = ["llvmpipe", "lavapipe", "swiftshader", "softpipe", "basic render driver", "warp"];

/// What was found, as one process hands it to another.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Survey {
    adapters: Vec<Adapter>,
    /// What the interfaces said, when there are none.
    reason: Option<String>,
}

/// An adapter, and how it is found again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Adapter {
    /// The place of its interface in [`APIS`], and its own among the adapters of that interface.
    api: usize,
    place: usize,
    name: String,
    vendor: u32,
    device: u32,
    class: Class,
    driver: String,
    /// The address on the bus, where the driver tells it.
    bus: String,
    memory: u64,
    features: Vec<String>,
    subgroups: (u32, u32),
    /// Other interfaces that reach the same device.
    also: Vec<usize>,
}

/// What stands behind an adapter, the most desirable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Class {
    Discrete,
    Integrated,
    Virtual,
    Unknown,
    Software,
}

impl Survey {
    /// Asks the drivers, in this process.
    pub(super) fn take() -> Self {
        let mut found = Vec::new();
        let mut reason = String::new();
        for (api, &(backends, _)) in APIS.iter().enumerate() {
            let enabled = wgpu::Instance::enabled_backend_features().contains(backends);
            if !enabled || backends == wgpu::Backends::GL && !found.is_empty() {
                continue;
            }
            let instance = instance(backends);
            let adapters = pollster::block_on(instance.enumerate_adapters(backends));
            if adapters.is_empty() {
                let request = instance.request_adapter(&wgpu::RequestAdapterOptions::default());
                let said = pollster::block_on(request).err().map(|error| why(&error.to_string(), api));
                reason += &said.unwrap_or_default();
            }
            found.extend(adapters.iter().enumerate().map(|(place, adapter)| Adapter::of(adapter, api, place)));
        }
        Self { adapters: one_for_each_device(found), reason: Some(reason.trim_end_matches("; ").to_owned()) }
    }

    /// The survey as text.
    pub(super) fn written(&self) -> Result<String, BackendError> {
        serde_json::to_string(self)
            .map_err(|error| BackendError::System(format!("the survey cannot be written: {error}")))
    }

    /// A survey from its text.
    pub(super) fn read(text: &str) -> Result<Self, BackendError> {
        serde_json::from_str(text.trim()).map_err(|error| BackendError::Driver {
            what: format!("the survey of GPUs cannot be read: {error}"),
            hint: "a driver may print to the standard output: update or remove it".to_owned(),
        })
    }

    /// The adapters, or why there are none.
    pub(super) fn adapters(self) -> Result<Vec<Adapter>, BackendError> {
        if !self.adapters.is_empty() {
            return Ok(self.adapters);
        }
        let reason = self.reason.filter(|reason| !reason.is_empty()).unwrap_or_else(|| "nothing was found".to_owned());
        Err(BackendError::Driver { what: format!("no GPU can be reached: {reason}"), hint: driver_hint().to_owned() })
    }
}

/// What an interface without adapters said, shortened to what concerns it.
fn why(said: &str, api: usize) -> String {
    let word = ["vulkan", "metal", "dx12", "gl"][api];
    let clause = said.split([',', ';']).map(str::trim).find(|clause| clause.starts_with(word));
    clause.map(|clause| format!("{clause}; ")).unwrap_or_default()
}

/// How one gets a driver on this system.
const fn driver_hint() -> &'static str {
    if cfg!(target_os = "linux") {
        "install a Vulkan driver: `apt install mesa-vulkan-drivers` or `dnf install mesa-vulkan-drivers`, or the maker's own"
    } else if cfg!(target_os = "macos") {
        "Metal comes with macOS: update the system"
    } else {
        "install the maker's graphics driver"
    }
}

/// An instance of some interfaces, without validation layers: they are for finding faults, and cost time.
pub(super) fn instance(backends: wgpu::Backends) -> wgpu::Instance {
    wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends,
        flags: wgpu::InstanceFlags::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

/// Keeps the best interface of each device, and puts devices in order.
fn one_for_each_device(found: Vec<Adapter>) -> Vec<Adapter> {
    let mut kept: Vec<Adapter> = Vec::new();
    for adapter in found {
        match kept.iter_mut().find(|known| known.is_same_device(&adapter)) {
            Some(known) => known.also.push(adapter.api),
            None => kept.push(adapter),
        }
    }
    kept.sort_by_key(|adapter| adapter.class);
    kept
}

impl Adapter {
    fn of(adapter: &wgpu::Adapter, api: usize, place: usize) -> Self {
        let info = adapter.get_info();
        let has = adapter.features();
        let driver = [info.driver.trim(), info.driver_info.trim()];
        Self {
            api,
            place,
            class: Class::of(info.device_type, &info.name),
            driver: driver.iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join(" "),
            bus: info.device_pci_bus_id,
            memory: memory(adapter),
            features: FEATURES.iter().filter(|(flag, _)| has.contains(*flag)).map(|(_, n)| (*n).to_owned()).collect(),
            subgroups: (info.subgroup_min_size, info.subgroup_max_size),
            name: info.name,
            vendor: info.vendor,
            device: info.device,
            also: Vec::new(),
        }
    }

    /// Whether another interface's adapter is the same device: by its address, or by its numbers and name and the same place among its likes. Software
    /// is never the same as hardware.
    fn is_same_device(&self, other: &Self) -> bool {
        if self.api == other.api || (self.class == Class::Software) != (other.class == Class::Software) {
            return false;
        }
        if !self.bus.is_empty() && !other.bus.is_empty() {
            return self.bus == other.bus;
        }
        let key = |adapter: &Self| (adapter.vendor, adapter.device, plain(&adapter.name), adapter.place);
        key(self) == key(other)
    }

    pub(super) const fn is_software(&self) -> bool {
        matches!(self.class, Class::Software)
    }

    /// Who it is, as the device of some index.
    pub(super) fn identity(&self, index: usize) -> Identity {
        let kind = if self.is_software() { DeviceKind::Software } else { DeviceKind::Gpu };
        let reached = std::iter::once(&self.api).chain(&self.also).map(|&api| APIS[api].1).collect::<Vec<_>>();
        // The interfaces it is reached by are a part of what drives it.
        let driver = [reached.join(", "), self.driver.clone()];
        let driver: Vec<String> = driver.into_iter().filter(|text| !text.is_empty()).collect();
        let widths = match self.subgroups {
            (least, most) if least == most => format!("subgroups of {least}"),
            (least, most) => format!("subgroups of {least} to {most}"),
        };
        let features = self.features.iter().map(|name| if name == "subgroups" { widths.clone() } else { name.clone() });
        Identity {
            id: format!("{NAME}:{index}"),
            backend: NAME.to_owned(),
            vendor: vendor(self.vendor).map(str::to_owned),
            features: features.collect(),
            memory: self.memory,
            driver: Some(driver.join(" · ")),
            bus: self.bus.parse().ok(),
            ..Identity::named(&self.name, kind)
        }
    }

    /// Finds it again in this process.
    pub(super) fn reopen(&self) -> Result<wgpu::Adapter, BackendError> {
        let (backends, api) = APIS.get(self.api).copied().unwrap_or(APIS[0]);
        let adapters = pollster::block_on(instance(backends).enumerate_adapters(backends));
        let (mut likes, mut listed) = (Vec::new(), Vec::new());
        for (place, adapter) in adapters.into_iter().enumerate() {
            let info = adapter.get_info();
            if (info.vendor, info.device, &info.name) == (self.vendor, self.device, &self.name) {
                listed.push((place, info.device_pci_bus_id));
                likes.push(adapter);
            }
        }
        let found = self.among(&listed).and_then(|at| likes.into_iter().nth(at));
        found.ok_or_else(|| {
            BackendError::Lost(format!("`{}` was there a moment ago and {api} does not list it any more", self.name))
        })
    }

    /// Which of its likes it is, of which places and addresses are known: drivers may be listed in another order than a moment ago, and a twin is not the same.
    fn among(&self, likes: &[(usize, String)]) -> Option<usize> {
        if !self.bus.is_empty() {
            return likes.iter().position(|(_, bus)| *bus == self.bus);
        }
        let in_place = likes.iter().position(|(place, _)| *place == self.place);
        in_place.or_else(|| (likes.len() == 1).then_some(0))
    }
}

impl Class {
    fn of(stated: wgpu::DeviceType, name: &str) -> Self {
        let name = name.to_lowercase();
        match stated {
            _ if SOFTWARE.iter().any(|word| name.contains(word)) => Self::Software,
            wgpu::DeviceType::Cpu => Self::Software,
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::VirtualGpu => Self::Virtual,
            wgpu::DeviceType::Other => Self::Unknown,
        }
    }
}

/// A name without what one interface adds to it and another does not.
fn plain(name: &str) -> String {
    let name = name.to_lowercase().replace("(tm)", "").replace("(r)", "");
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Makers by their numbers on the PCI bus, and by the ones that Vulkan gives to those without.
const fn vendor(number: u32) -> Option<&'static str> {
    match number {
        0x1002 => Some("AMD"),
        0x10DE => Some("NVIDIA"),
        0x8086 => Some("Intel"),
        0x106B => Some("Apple"),
        0x13B5 => Some("Arm"),
        0x5143 => Some("Qualcomm"),
        0x1010 => Some("Imagination"),
        0x1414 => Some("Microsoft"),
        0x1AE0 => Some("Google"),
        0x1_0005 => Some("Mesa"),
        _ => None,
    }
}

/// Bytes of the device's own memory, as its interface tells; 0 where it does not.
#[cfg(not(target_vendor = "apple"))]
fn memory(adapter: &wgpu::Adapter) -> u64 {
    #[cfg(windows)]
    if let Some(bytes) = memory_by_dxgi(adapter) {
        return bytes;
    }
    memory_by_vulkan(adapter).unwrap_or(0)
}

/// The largest heap of the device's own memory.
#[cfg(not(target_vendor = "apple"))]
fn memory_by_vulkan(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handle is only asked for properties, and given back at the end of the function.
    let vulkan = unsafe { adapter.as_hal::<wgpu::hal::api::Vulkan>() }?;
    let instance = vulkan.shared_instance().raw_instance();
    // SAFETY: the physical device belongs to this instance, and both live as long as the adapter.
    let properties = unsafe { instance.get_physical_device_memory_properties(vulkan.raw_physical_device()) };
    // The flag of a device's own memory is the first.
    let own = properties.memory_heaps_as_slice().iter().filter(|heap| heap.flags.as_raw() & 1 != 0);
    own.map(|heap| heap.size).max()
}

/// The device's own memory; of one within the processor, what it shares with that, where that is more.
#[cfg(windows)]
fn memory_by_dxgi(adapter: &wgpu::Adapter) -> Option<u64> {
    // SAFETY: the handle is only asked for a description, and given back at the end of the function.
    let directx = unsafe { adapter.as_hal::<wgpu::hal::api::Dx12>() }?;
    // SAFETY: the adapter is alive as long as the handle is, and the description is returned by value.
    let about = unsafe { directx.raw_adapter().GetDesc1() }.ok()?;
    let within = adapter.get_info().device_type == wgpu::DeviceType::IntegratedGpu;
    let shared = if within { about.SharedSystemMemory } else { 0 };
    Some(about.DedicatedVideoMemory.max(shared) as u64)
}

/// What Metal recommends to use at most of the memory, which is the machine's.
#[cfg(target_vendor = "apple")]
fn memory(adapter: &wgpu::Adapter) -> u64 {
    use objc2_metal::MTLDevice as _;
    // SAFETY: the handle is only asked for a property, and given back at the end of the function.
    let metal = unsafe { adapter.as_hal::<wgpu::hal::api::Metal>() };
    metal.map_or(0, |metal| metal.raw_device().recommendedMaxWorkingSetSize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(api: usize, name: &str, class: Class, bus: &str) -> Adapter {
        Adapter {
            api,
            place: 0,
            name: name.to_owned(),
            vendor: 1,
            device: 2,
            class,
            driver: String::new(),
            bus: bus.to_owned(),
            memory: 0,
            features: Vec::new(),
            subgroups: (32, 32),
            also: Vec::new(),
        }
    }

    #[test]
    fn one_device_of_two_interfaces_is_one_and_hardware_comes_first() {
        let found = vec![
            adapter(0, "llvmpipe (LLVM 15.0.6, 256 bits)", Class::Software, ""),
            adapter(0, "Radeon(TM) Graphics", Class::Integrated, "0000:01:00.0"),
            adapter(0, "GeForce", Class::Discrete, ""),
            adapter(2, "Radeon Graphics", Class::Integrated, "0000:01:00.0"),
            adapter(2, "GeForce(R)", Class::Unknown, ""),
        ];
        let kept = one_for_each_device(found);
        let names: Vec<&str> = kept.iter().map(|adapter| adapter.name.as_str()).collect();
        assert_eq!(names, ["GeForce", "Radeon(TM) Graphics", "llvmpipe (LLVM 15.0.6, 256 bits)"]);
        assert_eq!(kept.iter().map(|adapter| adapter.also.clone()).collect::<Vec<_>>(), [vec![2], vec![2], vec![]]);
    }

    #[test]
    fn the_interface_belongs_to_the_driver_and_is_no_architecture() {
        let mut adapter = adapter(0, "GeForce", Class::Discrete, "");
        assert_eq!(adapter.identity(0).driver.as_deref(), Some("Vulkan"));
        (adapter.driver, adapter.also) = ("NVIDIA 550.54".to_owned(), vec![2]);
        let identity = adapter.identity(0);
        assert_eq!(identity.driver.as_deref(), Some("Vulkan, DirectX 12 · NVIDIA 550.54"));
        assert_eq!(identity.architecture, None);
    }

    #[test]
    fn a_twin_is_told_by_its_address_or_not_taken_at_all() {
        let listed =
            |all: &[(usize, &str)]| all.iter().map(|&(place, bus)| (place, bus.to_owned())).collect::<Vec<_>>();
        let mut wanted = adapter(0, "GeForce", Class::Discrete, "0000:02:00.0");
        // The other twin is listed first now, and in the place that this one had.
        assert_eq!(wanted.among(&listed(&[(0, "0000:01:00.0"), (1, "0000:02:00.0")])), Some(1));
        assert_eq!(wanted.among(&listed(&[(0, "0000:01:00.0")])), None);
        wanted.bus = String::new();
        wanted.place = 1;
        assert_eq!(wanted.among(&listed(&[(0, ""), (1, "")])), Some(1));
        assert_eq!(wanted.among(&listed(&[(3, "")])), Some(0));
        assert_eq!(wanted.among(&listed(&[(0, ""), (3, "")])), None);
        assert_eq!(wanted.among(&[]), None);
    }

    #[test]
    fn twins_in_one_machine_stay_two() {
        let mut second = adapter(0, "GeForce", Class::Discrete, "");
        second.place = 1;
        assert_eq!(one_for_each_device(vec![adapter(0, "GeForce", Class::Discrete, ""), second]).len(), 2);
    }

    #[test]
    fn software_is_known_by_type_and_by_name() {
        assert_eq!(Class::of(wgpu::DeviceType::Cpu, "whatever"), Class::Software);
        assert_eq!(Class::of(wgpu::DeviceType::Other, "Microsoft Basic Render Driver"), Class::Software);
        assert_eq!(Class::of(wgpu::DeviceType::DiscreteGpu, "NVIDIA H200"), Class::Discrete);
        let identity = adapter(0, "SwiftShader Device", Class::Software, "").identity(0);
        assert_eq!((identity.kind, identity.id.as_str()), (DeviceKind::Software, "wgpu:0"));
    }

    #[test]
    fn a_survey_survives_the_way_from_process_to_process() {
        let survey = Survey { adapters: vec![adapter(0, "x", Class::Virtual, "")], reason: None };
        assert_eq!(Survey::read(&survey.written().unwrap()), Ok(survey));
        assert!(matches!(Survey::read("error: nonsense"), Err(BackendError::Driver { .. })));
        let nothing =
            Survey { reason: Some("vulkan drivers/libraries could not be loaded".to_owned()), ..Survey::default() };
        let error = nothing.adapters().unwrap_err();
        assert!(error.to_string().contains("could not be loaded") && error.hint().is_some(), "{error}");
    }
}
