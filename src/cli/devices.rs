//! `rooflab devices`: what can be measured here.

use rooflab::backend::{Backend, BackendError, backends};
use rooflab::facts::{GpuConditions, Identity};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A device, and how it is just now.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    identity: Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpu: Option<GpuConditions>,
}

pub(crate) fn run(context: &mut Context) -> Result<Answer, CliError> {
    let host = ThisProgram::default();
    let offers: Vec<Offer> =
        backends().iter().filter(|backend| !backend.on_request_only()).map(|b| offer(*b, &host)).collect();
    if context.json {
        context.write_json(&offers)?;
    } else {
        let listed = offers.iter().flat_map(|offer| &offer.devices);
        let blocks: Vec<Block> = [table(&offers)].into_iter().chain(listed.filter_map(now)).collect();
        context.show(&blocks)?;
    }
    Ok(Answer::Yes)
}

fn offer(backend: &dyn Backend, host: &ThisProgram) -> Offer {
    let (devices, reason) = match backend.devices(host) {
        Ok(devices) => {
            let gpu = |index| backend.gpu_conditions(index, host);
            let listed = devices.into_iter().enumerate().map(|(index, identity)| Listed { identity, gpu: gpu(index) });
            (listed.collect(), None)
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            (Vec::new(), Some(format!("{error}{hint}")))
        }
    };
    Offer { backend: backend.name(), devices, reason }
}

fn table(offers: &[Offer]) -> Block {
    let group = |offer: &Offer| {
        let mut rows: Vec<Row> = offer.devices.iter().map(|listed| row(&listed.identity)).collect();
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

/// How a device is just now, where its driver tells.
fn now(listed: &Listed) -> Option<Block> {
    let text = report::gpu(listed.gpu.as_ref(), None);
    (!text.is_empty()).then(|| Block::line(format!("{}: {text}", listed.identity.id), Tone::Dim))
}

fn row(device: &Identity) -> Row {
    let caches: Vec<String> =
        device.caches.iter().map(|cache| format!("L{} {}", cache.level, binary_bytes(cache.bytes))).collect();
    Row {
        label: device.id.clone(),
        cells: vec![
            Cell::new(device.name.clone(), Tone::Strong),
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

/// The devices a user means: the best one, all that are hardware, or one by its id.
pub(crate) fn choose(id: Option<&str>, host: &ThisProgram) -> Result<Vec<Choice>, CliError> {
    let usable = || backends().iter().copied().filter(|backend| !backend.on_request_only());
    let all = |backend: &'static dyn Backend| {
        let devices = backend.devices(host).unwrap_or_default().into_iter().enumerate();
        let hardware = devices.filter(|(_, device)| device.kind.is_hardware());
        hardware.map(move |(index, _)| Choice { backend, index })
    };
    match id {
        // Backends are listed best first.
        None => Ok(vec![usable().flat_map(all).next().ok_or_else(no_device)?]),
        Some("all") => {
            Some(usable().flat_map(all).collect::<Vec<_>>()).filter(|list| !list.is_empty()).ok_or_else(no_device)
        }
        Some(id) => Ok(vec![by_id(id, host)?]),
    }
}

fn by_id(id: &str, host: &ThisProgram) -> Result<Choice, CliError> {
    let (name, index) = id.split_once(':').unwrap_or((id, "0"));
    let backend = backends().iter().copied().find(|backend| backend.name() == name);
    let (Some(backend), Ok(index)) = (backend, index.parse::<usize>()) else {
        return Err(CliError::new(format!("there is no device `{id}`"))
            .with_hint("`rooflab devices` lists what can be measured"));
    };
    let devices = backend.devices(host)?;
    if index >= devices.len() {
        return Err(BackendError::NoSuchDevice { backend: backend.name(), index, count: devices.len() }.into());
    }
    Ok(Choice { backend, index })
}

fn no_device() -> CliError {
    CliError::new("there is no device to measure").with_hint("`rooflab devices` says why")
}
