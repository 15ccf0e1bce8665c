//! `rooflab devices`: what can be measured here.

use rooflab::backend::{Backend, BackendError, backends};
use rooflab::facts::{GpuConditions, Identity, Library};
use rooflab::report::{self, Block, Cell, Group, Row, Table, Tone};
use rooflab::units::{Unit, binary_bytes, human};
use serde::Serialize;

use super::Answer;
use super::context::Context;
use super::error::CliError;
use super::host::ThisProgram;

/// A backend with its devices, or why it offers none.
#[derive(Serialize)]
struct Offer {
    backend: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    devices: Vec<Listed>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    libraries: Vec<Library>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A device, and how it is just now.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    identity: Identity,
    /// The id under which a better backend reaches the same device.
    #[serde(skip_serializing_if = "Option::is_none")]
    same_as: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<GpuConditions>,
}

pub(crate) fn run(context: &mut Context) -> Result<Answer, CliError> {
    let host = ThisProgram::default();
    let mut offers: Vec<Offer> = Vec::new();
    for backend in usable() {
        let earlier: Vec<Identity> =
            offers.iter().flat_map(|offer| &offer.devices).map(|listed| listed.identity.clone()).collect();
        offers.push(offer(backend, &host, &earlier));
    }
    if context.json {
        context.write_json(&offers)?;
    } else {
        let listed = offers.iter().flat_map(|offer| &offer.devices);
        let libraries = offers.iter().flat_map(libraries);
        let blocks: Vec<Block> = [table(&offers)].into_iter().chain(listed.filter_map(now)).chain(libraries).collect();
        context.show(&blocks)?;
    }
    Ok(Answer::Yes)
}

/// The backends that are chosen from, best first.
fn usable() -> impl Iterator<Item = &'static dyn Backend> {
    backends().iter().copied().filter(|backend| !backend.on_request_only())
}

/// The id under which one of some devices is the same as another.
fn same_as(known: &[Identity], device: &Identity) -> Option<String> {
    known.iter().find(|known| known.is_same_device(device)).map(|known| known.id.clone())
}

fn offer(backend: &dyn Backend, host: &ThisProgram, earlier: &[Identity]) -> Offer {
    let (devices, reason) = match backend.devices(host) {
        Ok(devices) => {
            let gpu = |index| backend.gpu_conditions(index, host);
            let listed = devices.into_iter().enumerate().map(|(index, identity)| {
                let same_as = same_as(earlier, &identity);
                Listed { identity, same_as, gpu: gpu(index) }
            });
            (listed.collect(), None)
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            (Vec::new(), Some(format!("{error}{hint}")))
        }
    };
    Offer { backend: backend.name(), devices, libraries: backend.libraries(host), reason }
}

fn table(offers: &[Offer]) -> Block {
    let group = |offer: &Offer| {
        let mut rows: Vec<Row> = offer.devices.iter().map(row).collect();
        if rows.is_empty() {
            let reason = offer.reason.clone().unwrap_or_else(|| "no devices".to_owned());
            rows.push(Row { label: String::new(), cells: vec![Cell::new(reason, Tone::Dim)] });
        }
        Group { title: offer.backend.to_owned(), rows }
    };
    Block::Table(Table {
        columns: ["name", "kind", "architecture", "cores", "memory", "caches", "instructions"]
            .map(str::to_owned)
            .to_vec(),
        right: vec![false, false, false, true, true, false, false],
        groups: offers.iter().map(group).collect(),
    })
}

/// Which libraries of the maker's a backend uses, or why not.
fn libraries(offer: &Offer) -> impl Iterator<Item = Block> {
    offer.libraries.iter().map(|library| Block::line(format!("{}: {library}", offer.backend), Tone::Dim))
}

/// How a device is just now, where its driver tells.
fn now(listed: &Listed) -> Option<Block> {
    let text = report::gpu(listed.gpu.as_ref(), None);
    (!text.is_empty()).then(|| Block::line(format!("{}: {text}", listed.identity.id), Tone::Dim))
}

fn row(listed: &Listed) -> Row {
    let device = &listed.identity;
    let name = match &listed.same_as {
        Some(id) => format!("{} (the same as {id})", device.name),
        None => device.name.clone(),
    };
    let caches: Vec<String> =
        device.caches.iter().map(|cache| format!("L{} {}", cache.level, binary_bytes(cache.bytes))).collect();
    Row {
        label: device.id.clone(),
        cells: vec![
            Cell::new(name, Tone::Strong),
            Cell::new(device.kind.words(), if device.kind.is_hardware() { Tone::Plain } else { Tone::Warn }),
            Cell::plain(device.architecture.clone().or_else(|| device.isa.clone()).unwrap_or_default()),
            Cell::plain(known(u64::from(device.cores), |cores| cores.to_string())),
            Cell::plain(known(device.memory, |bytes| human(bytes as f64, Unit::Byte).to_string())),
            Cell::plain(caches.join(", ")),
            Cell::plain(device.features.join(", ")),
        ],
    }
}

/// A number that a device may not tell.
fn known(number: u64, text: impl Fn(u64) -> String) -> String {
    if number == 0 { "–".to_owned() } else { text(number) }
}

/// A device by its index within a backend.
#[derive(Clone, Copy)]
pub(crate) struct Choice {
    pub(crate) backend: &'static dyn Backend,
    pub(crate) index: usize,
}

/// What can be reached: of each device that several backends reach, as the best of them does.
fn reachable(host: &ThisProgram) -> Vec<(Choice, Identity)> {
    let mut found: Vec<(Choice, Identity)> = Vec::new();
    for backend in usable() {
        for (index, device) in backend.devices(host).unwrap_or_default().into_iter().enumerate() {
            if !found.iter().any(|(_, known)| known.is_same_device(&device)) {
                found.push((Choice { backend, index }, device));
            }
        }
    }
    found
}

/// The devices a user means: the best one, all that are hardware, or one by its id or its name.
pub(crate) fn choose(which: Option<&str>, host: &ThisProgram) -> Result<Vec<Choice>, CliError> {
    let hardware = || -> Result<Vec<Choice>, CliError> {
        let found = reachable(host).into_iter().filter(|(_, device)| device.kind.is_hardware());
        Some(found.map(|(choice, _)| choice).collect::<Vec<_>>()).filter(|list| !list.is_empty()).ok_or_else(no_device)
    };
    match which {
        // Backends are listed best first.
        None => hardware().map(|all| all.into_iter().take(1).collect()),
        Some("all") => hardware(),
        Some(which) => {
            let (name, index) = which.split_once(':').unwrap_or((which, "0"));
            let backend = backends().iter().copied().find(|backend| backend.name() == name);
            let choice = match (backend, index.parse::<usize>()) {
                (Some(backend), Ok(index)) => of_backend(backend, index, host)?,
                _ => named(which, &reachable(host))?,
            };
            Ok(vec![choice])
        }
    }
}

fn of_backend(backend: &'static dyn Backend, index: usize, host: &ThisProgram) -> Result<Choice, CliError> {
    let devices = backend.devices(host)?;
    if index >= devices.len() {
        return Err(BackendError::NoSuchDevice { backend: backend.name(), index, count: devices.len() }.into());
    }
    Ok(Choice { backend, index })
}

/// The one device whose name contains a text. Software that stands in for a GPU is meant only where no hardware is.
fn named(text: &str, reachable: &[(Choice, Identity)]) -> Result<Choice, CliError> {
    let wanted = text.trim().to_lowercase();
    let fits = |(_, device): &&(Choice, Identity)| !wanted.is_empty() && device.name.to_lowercase().contains(&wanted);
    let (hardware, software): (Vec<_>, Vec<_>) =
        reachable.iter().filter(fits).partition(|(_, device)| device.kind.is_hardware());
    match if hardware.is_empty() { software } else { hardware }.as_slice() {
        [(choice, _)] => Ok(*choice),
        [] => Err(CliError::new(format!("there is no device `{text}`"))
            .with_hint("`rooflab devices` lists what can be measured")),
        several => {
            let ids: Vec<&str> = several.iter().map(|(_, device)| device.id.as_str()).collect();
            Err(CliError::new(format!("`{text}` fits several devices: `{}`", ids.join("`, `")))
                .with_hint("name one of them"))
        }
    }
}

fn no_device() -> CliError {
    CliError::new("there is no device to measure").with_hint("`rooflab devices` says why")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rooflab::facts::DeviceKind;

    fn device(id: &str, name: &str, kind: DeviceKind, bus: Option<&str>) -> (Choice, Identity) {
        let (backend, index) = id.split_once(':').unwrap();
        let identity = Identity {
            id: id.to_owned(),
            backend: backend.to_owned(),
            bus: bus.map(|bus| bus.parse().unwrap()),
            ..Identity::named(name, kind)
        };
        (Choice { backend: backends()[0], index: index.parse().unwrap() }, identity)
    }

    #[test]
    fn one_device_of_two_backends_is_told_by_its_address() {
        let (_, cuda) = device("cuda:1", "NVIDIA H200", DeviceKind::Gpu, Some("00000000:3B:00.0"));
        let (_, wgpu) = device("wgpu:0", "NVIDIA H200", DeviceKind::Gpu, Some("0000:3b:00.0"));
        let (_, other) = device("wgpu:1", "NVIDIA H200", DeviceKind::Gpu, Some("0000:19:00.0"));
        let (_, silent) = device("wgpu:2", "NVIDIA H200", DeviceKind::Gpu, None);
        let known = [cuda];
        assert_eq!(same_as(&known, &wgpu).as_deref(), Some("cuda:1"));
        assert_eq!((same_as(&known, &other), same_as(&known, &silent)), (None, None));
        // Two of one backend are two, whatever their driver says.
        assert_eq!(same_as(std::slice::from_ref(&wgpu), &wgpu), None);
    }

    #[test]
    fn a_name_means_the_one_device_that_it_fits() {
        let all = [
            device("cuda:0", "NVIDIA H200", DeviceKind::Gpu, None),
            device("cuda:1", "NVIDIA A10", DeviceKind::Gpu, None),
            device("wgpu:0", "llvmpipe (LLVM 19)", DeviceKind::Software, None),
            device("cpu:0", "AMD EPYC (NVIDIA inside)", DeviceKind::Cpu, None),
        ];
        let index = |text: &str| named(text, &all).map(|choice| choice.index);
        assert_eq!((index("h200").unwrap(), index("a10").unwrap(), index("LLVM").unwrap()), (0, 1, 0));
        let message = |text: &str| index(text).unwrap_err().message();
        assert!(message("nvidia").contains("`cuda:0`, `cuda:1`, `cpu:0`"), "{}", message("nvidia"));
        assert!(
            message("radeon").contains("there is no device `radeon`") && message(" ").contains("there is no device")
        );
    }
}
