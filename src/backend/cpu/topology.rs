//! Who the processor is: cores this process may use, caches, memory, and the circumstances.

use core_affinity::CoreId;
use sysinfo::{MemoryRefreshKind, System};

use super::kernels::multiply_add;
use super::microarch::{Microarchitecture, Model};
use crate::facts::{Cache, Conditions, DeviceKind, Identity};

/// The processor as this process sees it.
pub(super) struct Topology {
    pub(super) identity: Identity,
    pub(super) microarchitecture: Option<&'static Microarchitecture>,
    /// One logical processor of each core that may be used.
    pub(super) cores: Vec<CoreId>,
    /// A limit on this process below what the machine has.
    limit: Option<String>,
}

impl Topology {
    pub(super) fn read() -> Self {
        let allowed = core_affinity::get_core_ids().filter(|ids| !ids.is_empty());
        let allowed = allowed.unwrap_or_else(|| vec![CoreId { id: 0 }]);
        let logical = allowed.len();
        let mut cores = one_per_core(allowed);
        // A container's quota of processor time below the number of cores: more lanes would only take turns.
        let quota = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
        let limit = (quota < cores.len()).then(|| format!("a quota of {quota} of {} cores", cores.len()));
        cores.truncate(quota.max(1));
        let microarchitecture = model().and_then(Microarchitecture::of);
        let caches = caches(&cores);
        let identity = Identity {
            id: "cpu:0".to_owned(),
            backend: "cpu".to_owned(),
            kind: DeviceKind::Cpu,
            name: name(),
            vendor: vendor(),
            architecture: microarchitecture.map(|core| core.name.to_owned()),
            isa: Some(std::env::consts::ARCH.to_owned()),
            features: multiply_add::features(),
            cores: cores.len() as u32,
            logical_processors: Some(logical as u32),
            caches,
            cache_line: cache_line(),
            memory: memory().map_or(0, |(total, _)| total),
            bus: None,
            driver: None,
        };
        Self { identity, microarchitecture, cores, limit }
    }

    /// The circumstances now.
    pub(super) fn conditions(&self, pinned: bool) -> Conditions {
        let governor = self
            .cores
            .first()
            .and_then(|core| read_trimmed(&format!("/sys/devices/system/cpu/cpu{}/cpufreq/scaling_governor", core.id)));
        Conditions {
            gpu: None,
            system: Some(system()),
            virtualisation: hypervisor(),
            governor,
            load: System::load_average().ok().filter(|_| cfg!(unix)).map(|load| load.one),
            memory_available: memory().map(|(_, available)| available),
            huge_pages: read_trimmed("/sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
            threads: Some(self.cores.len() as u32),
            pinned: Some(pinned),
            limit: self.limit.clone(),
        }
    }
}

/// Bytes of this process's memory in huge pages.
pub(super) fn bytes_in_huge_pages() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let line = text.lines().find(|line| line.starts_with("AnonHugePages:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Processor time that the hypervisor gave to others since the machine started, in ticks of 10 ms.
pub(super) fn stolen_ticks() -> Option<u64> {
    read_trimmed("/proc/stat")?.lines().next()?.split_whitespace().nth(8)?.parse().ok()
}

/// Total and available bytes of memory, a container's limit considered, where the system tells.
pub(super) fn memory() -> Option<(u64, u64)> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let (total, available) = (system.total_memory(), system.available_memory());
    let limits = system.cgroup_limits().filter(|limits| limits.total_memory > 0);
    let (total, available) =
        limits.map_or((total, available), |limits| (total.min(limits.total_memory), available.min(limits.free_memory)));
    (total > 0).then_some((total, available))
}

/// Leaves one logical processor of each physical core. Where the system has no files about that, its count of cores must do: hardware threads
/// of a core are numbered one after the other there.
fn one_per_core(allowed: Vec<CoreId>) -> Vec<CoreId> {
    let siblings =
        |core: &CoreId| read_trimmed(&format!("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", core.id));
    if allowed.first().is_some_and(|core| siblings(core).is_none()) {
        let physical = System::physical_core_count().unwrap_or(allowed.len()).max(1);
        return allowed.iter().copied().step_by((allowed.len() / physical).max(1)).collect();
    }
    let mut seen = std::collections::BTreeSet::new();
    allowed.into_iter().filter(|core| siblings(core).is_none_or(|list| seen.insert(list))).collect()
}

/// Data and unified caches of the first core in use, and how many of the cores in use share each.
fn caches(cores: &[CoreId]) -> Vec<Cache> {
    let Some(first) = cores.first() else { return Vec::new() };
    let mut caches: Vec<Cache> = (0..8)
        .filter_map(|index| {
            let read = |file: &str| {
                read_trimmed(&format!("/sys/devices/system/cpu/cpu{}/cache/index{index}/{file}", first.id))
            };
            let unified_or_data = matches!(read("type")?.as_str(), "Data" | "Unified");
            let bytes = crate::units::parse_size(&format!("{}i", read("size")?.trim_end_matches('i'))).ok()?;
            let shared = list(&read("shared_cpu_list")?);
            let shared_by = cores.iter().filter(|core| shared.contains(&core.id)).count().max(1) as u32;
            unified_or_data.then_some(Cache { level: read("level")?.parse().ok()?, bytes, shared_by })
        })
        .collect();
    if caches.is_empty() {
        caches = caches_by_instruction(cores.len() as u32);
    }
    caches.sort_by_key(|cache| cache.level);
    caches.dedup_by_key(|cache| cache.level);
    caches
}

/// Numbers of a list such as `0-3,8`.
fn list(text: &str) -> Vec<usize> {
    text.split(',')
        .filter_map(|part| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            Some(low.trim().parse::<usize>().ok()?..=high.trim().parse::<usize>().ok()?)
        })
        // A hostile or broken file must not make this a long list.
        .flat_map(|range| range.take(1 << 16))
        .collect()
}

/// The word in brackets of `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    let (_, rest) = text.split_once('[')?;
    Some(rest.split_once(']')?.0.to_owned())
}

fn read_trimmed(path: &str) -> Option<String> {
    Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
}

fn system() -> String {
    let name = System::name().unwrap_or_else(|_| std::env::consts::OS.to_owned());
    match System::kernel_version() {
        Ok(version) => format!("{name}, kernel {version}"),
        Err(_) => name,
    }
}

fn name() -> String {
    let system =
        System::new_with_specifics(sysinfo::RefreshKind::nothing().with_cpu(sysinfo::CpuRefreshKind::nothing()));
    let brand = system.ok().and_then(|system| Some(system.cpus().first()?.brand().trim().to_owned()));
    brand.filter(|brand| !brand.is_empty()).unwrap_or_else(|| format!("{} processor", std::env::consts::ARCH))
}

#[cfg(target_arch = "x86_64")]
fn vendor() -> Option<String> {
    let id = raw_cpuid::CpuId::new().get_vendor_info()?;
    Some(match id.as_str() {
        "AuthenticAMD" => "AMD".to_owned(),
        "GenuineIntel" => "Intel".to_owned(),
        other => other.to_owned(),
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn vendor() -> Option<String> {
    None
}

#[cfg(target_arch = "x86_64")]
fn model() -> Option<Model> {
    let cpuid = raw_cpuid::CpuId::new();
    let info = cpuid.get_feature_info()?;
    // The crate adds the extended parts already.
    let (family, model) = (u32::from(info.family_id()), u32::from(info.model_id()));
    match cpuid.get_vendor_info()?.as_str() {
        "AuthenticAMD" => Some(Model::Amd { family, model }),
        "GenuineIntel" if family == 6 => Some(Model::Intel { model }),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn model() -> Option<Model> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let value = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        u32::from_str_radix(line.split_once(':')?.1.trim().trim_start_matches("0x"), 16).ok()
    };
    Some(Model::Arm { implementer: value("CPU implementer")?, part: value("CPU part")? })
}

#[cfg(target_arch = "x86_64")]
fn hypervisor() -> Option<String> {
    let info = raw_cpuid::CpuId::new().get_hypervisor_info()?;
    Some(format!("{:?}", info.identify()))
}

#[cfg(not(target_arch = "x86_64"))]
fn hypervisor() -> Option<String> {
    read_trimmed("/sys/hypervisor/type")
}

#[cfg(target_arch = "x86_64")]
fn cache_line() -> u32 {
    let info = raw_cpuid::CpuId::new().get_feature_info();
    info.map(|info| u32::from(info.cflush_cache_line_size()) * 8).filter(|&bytes| bytes >= 16).unwrap_or(64)
}

#[cfg(not(target_arch = "x86_64"))]
fn cache_line() -> u32 {
    if cfg!(target_vendor = "apple") { 128 } else { 64 }
}

/// Caches where the system has no files about them: by the CPU's own tables.
#[cfg(target_arch = "x86_64")]
fn caches_by_instruction(cores: u32) -> Vec<Cache> {
    use raw_cpuid::CacheType;
    let cpuid = raw_cpuid::CpuId::new();
    let Some(parameters) = cpuid.get_cache_parameters() else { return Vec::new() };
    parameters
        .filter(|cache| matches!(cache.cache_type(), CacheType::Data | CacheType::Unified))
        .map(|cache| Cache {
            level: cache.level(),
            bytes: (cache.associativity() * cache.physical_line_partitions() * cache.coherency_line_size()) as u64
                * cache.sets() as u64,
            shared_by: (cache.max_cores_for_cache() as u32).clamp(1, cores),
        })
        .collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn caches_by_instruction(_: u32) -> Vec<Cache> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_choices() {
        assert_eq!(list("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(list("x,3-1,"), Vec::<usize>::new());
        assert!(list("0-99999999999").len() <= 1 << 16);
        assert_eq!(chosen("always [madvise] never").as_deref(), Some("madvise"));
        assert_eq!(chosen("never"), None);
    }

    #[test]
    fn this_machine_has_cores_and_memory() {
        let topology = Topology::read();
        assert!(!topology.cores.is_empty() && topology.identity.memory > 0);
        let levels: Vec<u8> = topology.identity.caches.iter().map(|cache| cache.level).collect();
        assert!(levels.is_sorted(), "{levels:?}");
    }
}
