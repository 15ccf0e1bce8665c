//! A profile as a person reads it: who and how, then the ceilings as trees, with what speaks against each value.

use std::collections::BTreeSet;

use super::block::{Block, Cell, Group, Row, Table, Tone};
use super::gpu::gpu;
use super::products::{by_tokens, formula, share};
use crate::facts::{DeviceKind, Implementer, Library, TimerSource};
use crate::profile::{
    Beside, Bundled, Ceiling, Claim, Entry, Flag, Imported, ImportedPoint, Instrument, Limit, Outcome, Point, Profile,
    Rival, Shares, Steady, Unknown,
};
use crate::resource::{Axis, MemoryLevel, Resource, Scope};
use crate::units::{Unit, human, percent};

/// The report of a profile.
#[must_use]
pub fn profile(profile: &Profile) -> Vec<Block> {
    let mut blocks = vec![identity(profile)];
    if let Some(instrument) = &profile.instrument {
        blocks.extend([instrument_line(instrument), conditions(profile)]);
        let sensors = gpu(profile.conditions.gpu.as_ref(), profile.observed.gpu.as_ref());
        blocks.extend((!sensors.is_empty()).then(|| Block::line(sensors, Tone::Dim)));
    }
    blocks.extend(not_of_hardware(profile.device.kind).map(|warning| Block::line(warning, Tone::Bad)));
    blocks.extend(ceilings(profile).or_else(|| claims(profile)).map(Block::Table));
    blocks
        .extend([Scope::Device, Scope::Core].into_iter().filter_map(|scope| caches(profile, scope)).map(Block::Table));
    let scopes = [Scope::Device, Scope::Core];
    blocks.extend(scopes.into_iter().filter_map(|scope| by_tokens(profile, scope)).map(Block::Table));
    blocks.extend(imported(profile));
    blocks.extend(left_out(profile));
    blocks
}

/// What is said of a device whose numbers are ceilings of nothing.
#[must_use]
pub fn not_of_hardware(kind: DeviceKind) -> Option<&'static str> {
    match kind {
        DeviceKind::Simulated => Some("SIMULATED: this is rooflab's test double; its numbers are invented"),
        DeviceKind::Software => Some(
            "SOFTWARE: a processor stands in for a GPU here; its numbers are ceilings of neither, and nothing follows from them",
        ),
        DeviceKind::Cpu | DeviceKind::Gpu | DeviceKind::Npu => None,
    }
}

fn identity(profile: &Profile) -> Block {
    let device = &profile.device;
    let mut facts = vec![device.id.clone()];
    facts.extend(device.architecture.clone());
    let (one, many) = device.kind.parts();
    facts.extend(match (device.cores, device.logical_processors) {
        (0, _) => None,
        (cores, Some(logical)) if logical > cores => Some(format!("{cores} {many}, {logical} threads")),
        (1, _) => Some(format!("1 {one}")),
        (cores, _) => Some(format!("{cores} {many}")),
    });
    if device.memory > 0 {
        facts.push(human(device.memory as f64, Unit::Byte).to_string());
    }
    facts.extend(device.driver.clone());
    facts.extend(profile.conditions.virtualisation.as_ref().map(|host| format!("{host} guest")));
    Block::Line(vec![Cell::new(device.name.clone(), Tone::Strong), Cell::plain(" · "), Cell::plain(facts.join(" · "))])
}

fn instrument_line(instrument: &Instrument) -> Block {
    let source = match instrument.timer.source {
        TimerSource::HostClock => "host clock",
        TimerSource::DeviceEvents => "device events",
        TimerSource::Virtual => "virtual clock",
    };
    let mut facts = vec![format!("timer {} ({source})", instrument.timer.resolution)];
    facts.extend(instrument.empty_launch.map(|time| format!("empty launch {time}")));
    facts.extend(instrument.clock.map(|clock| match clock.steady() {
        true => format!("clock {}, steady", clock.median),
        false => format!("clock {} to {}", clock.low, clock.high),
    }));
    facts.push(format!("{} effort", instrument.effort.word()));
    let used = instrument.libraries.iter().filter(|library| library.version().is_some());
    facts.extend(used.map(Library::to_string));
    Block::line(facts.join(" · "), Tone::Dim)
}

fn conditions(profile: &Profile) -> Block {
    let conditions = &profile.conditions;
    let mut facts = Vec::new();
    facts.extend(conditions.threads.map(|threads| {
        let pinned = if conditions.pinned == Some(true) { "pinned " } else { "" };
        format!("{threads} {pinned}thread{}", if threads == 1 { "" } else { "s" })
    }));
    facts.extend(conditions.governor.as_ref().map(|governor| format!("governor {governor}")));
    facts.extend(conditions.load.map(|load| format!("load {load:.1} before")));
    let allocated = profile.observed.memory_allocated as f64;
    if allocated > 0.0 {
        let huge = profile
            .observed
            .memory_in_huge_pages
            .map_or(String::new(), |huge| format!(", {} in huge pages", percent((huge as f64 / allocated).min(1.0))));
        facts.push(format!("{} used{huge}", human(allocated, Unit::Byte)));
    }
    facts.extend(conditions.limit.clone());
    Block::line(facts.join(" · "), Tone::Dim)
}

/// Share of a peak below which the lack of an observed reason is worth a word.
const LOW: f64 = 0.9;

/// Main memory, compute, latency, links and overheads: a row each.
fn ceilings(profile: &Profile) -> Option<Table> {
    let mut groups = Vec::new();
    let (one, _) = profile.device.kind.parts();
    let parts: BTreeSet<Part> = profile.ceilings.iter().filter_map(Part::of).collect();
    for part in parts {
        for scope in [Scope::Device, Scope::Core] {
            let rows: Vec<Row> = profile
                .ceilings
                .iter()
                .filter(|ceiling| ceiling.scope == scope && Part::of(ceiling) == Some(part) && !is_skipped(ceiling))
                .map(|ceiling| row(profile, ceiling))
                .collect();
            let title = part.word();
            let title = if scope == Scope::Core { format!("{title}, one {one}") } else { title.to_owned() };
            if !rows.is_empty() {
                groups.push(Group { title, rows });
            }
        }
    }
    if groups.is_empty() {
        return None;
    }
    // A share of what the hardware can do at its clock is another thing than a share of what the maker prints.
    let sheet = if profile.datasheet.is_empty() { None } else { Some("of datasheet") };
    let columns: Vec<&str> = ["median", "best", "±MAD", "at", "of peak"].into_iter().chain(sheet).chain([""]).collect();
    let right = columns.iter().map(|title| !title.is_empty()).collect();
    Some(Table { columns: columns.into_iter().map(str::to_owned).collect(), right, groups })
}

/// What the maker says, where nothing was measured.
fn claims(profile: &Profile) -> Option<Table> {
    let row = |claim: &Claim| Row {
        label: claim.resource.to_string(),
        cells: vec![
            Cell::new(human(claim.value, claim.unit).to_string(), Tone::Strong),
            Cell::new(claim.source.clone(), Tone::Dim),
        ],
    };
    let rows: Vec<Row> = profile.datasheet.iter().map(row).collect();
    if rows.is_empty() {
        return None;
    }
    let columns = ["stated", "where"].map(str::to_owned).to_vec();
    Some(Table { columns, right: vec![true, false], groups: vec![Group { title: "datasheet".to_owned(), rows }] })
}

/// What other tools measured, and what is not known of it.
fn imported(profile: &Profile) -> Vec<Block> {
    let mut tools: Vec<(String, Vec<Row>)> = Vec::new();
    let mut notes: Vec<String> = Vec::new();
    for imported in &profile.imported {
        let at =
            |point: &ImportedPoint| point.at.map_or_else(|| "–".to_owned(), |at| human(at, Unit::Byte).to_string());
        let row = |point: &ImportedPoint| Row {
            label: imported.resource.to_string(),
            cells: vec![
                Cell::new(human(point.value, imported.unit).to_string(), Tone::Strong),
                Cell::plain(at(point)),
                Cell::plain(point.name.clone().unwrap_or_default()),
                Cell::new(imported.by.file.clone(), Tone::Dim),
            ],
        };
        let who = imported.by.who();
        let rows = imported.points.iter().map(row);
        match tools.iter_mut().find(|(tool, _)| *tool == who) {
            Some((_, known)) => known.extend(rows),
            None => tools.push((who, rows.collect())),
        }
        for caveat in &imported.by.caveats {
            let note = format!("{}: {caveat}", imported.by.who());
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    if tools.is_empty() {
        return Vec::new();
    }
    let of_any = unknown_of_all(profile.imported.iter());
    let group = |(who, rows): (String, Vec<Row>)| {
        let besides = unknown_besides(profile, &who, &of_any);
        Group { title: format!("measured by {who}{besides}"), rows }
    };
    let groups = tools.into_iter().map(group).collect();
    if !of_any.is_empty() {
        notes.insert(0, format!("rooflab measured none of these; not known of any: {}", in_words(&of_any)));
    }
    let columns = ["value", "at", "as it calls it", "where"].map(str::to_owned).to_vec();
    let table = Block::Table(Table { columns, right: vec![true, true, false, false], groups });
    std::iter::once(table).chain(notes.into_iter().map(|note| Block::line(note, Tone::Warn))).collect()
}

/// What is not known of any of some values.
fn unknown_of_all<'a>(mut values: impl Iterator<Item = &'a Imported>) -> BTreeSet<Unknown> {
    let lacks = |imported: &Imported| imported.by.lacks.iter().copied().collect::<BTreeSet<_>>();
    let first = values.next().map(lacks).unwrap_or_default();
    values.fold(first, |known, imported| &known & &lacks(imported))
}

/// What is not known of a tool's values, beside what is not known of any value.
fn unknown_besides(profile: &Profile, who: &str, of_any: &BTreeSet<Unknown>) -> String {
    let own = || profile.imported.iter().filter(|imported| imported.by.who() == who);
    let of_own = unknown_of_all(own());
    let of_some: BTreeSet<Unknown> = own().flat_map(|imported| imported.by.lacks.iter().copied()).collect();
    let parts = [("", &of_own - of_any), ("of some ", &of_some - &of_own)];
    let parts = parts.iter().filter(|(_, unknown)| !unknown.is_empty());
    parts.map(|(whose, unknown)| format!("; {whose}not known: {}", in_words(unknown))).collect()
}

fn in_words(unknown: &BTreeSet<Unknown>) -> String {
    unknown.iter().map(|unknown| unknown.words()).collect::<Vec<_>>().join(", ")
}

/// The parts of the tree, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Memory,
    Compute,
    Gemm,
    Gemv,
    Attention,
    Rowwise,
    Atomic,
    Latency,
    Link,
    Overhead,
}

impl Part {
    /// The part that a ceiling's row stands in; none for curves, and for caches, which have a table of their own.
    const fn of(ceiling: &Ceiling) -> Option<Self> {
        Some(match ceiling.resource {
            Resource::Memory { level: Some(MemoryLevel::Dram), .. } => Self::Memory,
            Resource::Memory { .. } | Resource::Latency { level: None } => return None,
            Resource::Compute { .. } => Self::Compute,
            Resource::Gemm { .. } => Self::Gemm,
            Resource::Gemv { .. } => Self::Gemv,
            Resource::Attention { .. } => Self::Attention,
            Resource::Rowwise { .. } => Self::Rowwise,
            Resource::Latency { .. } => Self::Latency,
            Resource::HostLink { .. } | Resource::PeerLink { .. } => Self::Link,
            Resource::Atomic { .. } => Self::Atomic,
            Resource::Overhead { .. } => Self::Overhead,
        })
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Compute => "compute",
            Self::Gemm => "gemm",
            Self::Gemv => "gemv",
            Self::Attention => "attention",
            Self::Rowwise => "rowwise",
            Self::Atomic => "atomic",
            Self::Latency => "latency",
            Self::Link => "link",
            Self::Overhead => "overhead",
        }
    }
}

fn is_skipped(ceiling: &Ceiling) -> bool {
    matches!(ceiling.outcome, Outcome::Skipped { .. })
}

fn row(profile: &Profile, ceiling: &Ceiling) -> Row {
    // The group says the first word already.
    let label = ceiling.resource.to_string();
    let label = label.split_once('.').map_or(label.as_str(), |(_, rest)| rest).to_owned();
    let only = |text: String, tone| Row { label: label.clone(), cells: vec![Cell::new(text, tone)] };
    let limit = match &ceiling.outcome {
        Outcome::Ok { limit, .. } => limit,
        Outcome::Unsupported { reason } => return only(format!("unsupported: {reason}"), Tone::Dim),
        Outcome::Skipped { reason } => return only(format!("skipped: {reason}"), Tone::Dim),
        Outcome::Failed { reason } => return only(format!("failed: {reason}"), Tone::Bad),
    };
    let Some(point) = ceiling.representative() else { return only("no points".to_owned(), Tone::Bad) };
    let claim = profile.claim_above(ceiling.resource).filter(|_| ceiling.scope == Scope::Device);
    let share =
        |whole: Option<f64>| Cell::plain(whole.map_or_else(|| "–".to_owned(), |whole| percent(point.value / whole)));
    let of_sheet = if profile.datasheet.is_empty() { None } else { Some(share(claim.map(|claim| claim.value))) };
    let (_, unit) = human(point.value, ceiling.unit).parts();
    let best = human(point.best, ceiling.unit).parts();
    // The best is given in the median's unit, unless they fall on both sides of a prefix.
    let best = if best.1 == unit { best.0 } else { format!("{} {}", best.0, best.1) };
    let at = match (ceiling.axis, point.at) {
        (Some(Axis::WorkingSet | Axis::TransferSize), Some(at)) => human(at, Unit::Byte).to_string(),
        (Some(Axis::Context), Some(at)) => format!("{at} tokens"),
        (Some(Axis::Shape), _) => point.shape.map_or_else(String::new, |shape| shape.to_string()),
        _ => "–".to_owned(),
    };
    let (note, tone) = note(profile, ceiling, point, limit.as_ref(), claim.is_some());
    let cells = [
        Cell::new(human(point.value, ceiling.unit).to_string(), Tone::Strong),
        Cell::plain(best),
        Cell::plain(percent(point.mad / point.value)),
        Cell::plain(at),
        share(limit.as_ref().map(|limit| limit.value)),
    ];
    Row { label, cells: cells.into_iter().chain(of_sheet).chain([Cell::new(note, tone)]).collect() }
}

/// What speaks against the value; or else what stands behind it.
fn note(profile: &Profile, ceiling: &Ceiling, point: &Point, limit: Option<&Limit>, claimed: bool) -> (String, Tone) {
    let broken = profile.shares(ceiling).map(shares);
    let beside =
        [implementers(point, ceiling.unit), share(profile, ceiling, point), formula(ceiling)].into_iter().flatten();
    let beside: Vec<String> = beside.collect();
    let findings: Vec<String> = telling(&point.flags).map(|flag| flag.explain(ceiling.unit)).collect();
    if !findings.is_empty() {
        // Who asked for the value of a long run sees it, whatever speaks against the one of a short run.
        let steady = point.steady.iter().map(|steady| lasting(steady, ceiling.unit)).collect();
        return ([broken.into_iter().collect(), findings, steady, beside].concat().join("; "), Tone::Warn);
    }
    if let Some(steady) = &point.steady {
        let steady = lasting(steady, ceiling.unit);
        return (broken.into_iter().chain(Some(steady)).collect::<Vec<String>>().join("; "), Tone::Dim);
    }
    if broken.is_some() || !beside.is_empty() {
        return (broken.into_iter().chain(beside).collect::<Vec<String>>().join("; "), Tone::Dim);
    }
    let low = limit.is_some_and(|limit| point.value < LOW * limit.value);
    let text = match (ceiling.resource, limit) {
        (Resource::Compute { .. }, Some(_)) if low => format!("{}; no cause was observed", point.variant),
        (Resource::Compute { .. }, None) if !claimed => format!("{}; no figure of the maker's", point.variant),
        (Resource::Compute { .. } | Resource::Atomic { .. } | Resource::Overhead { .. }, _) => point.variant.clone(),
        _ => String::new(),
    };
    (text, Tone::Dim)
}

/// Whose implementation stands for a value, and what the other's comes to, where that does not go without saying.
fn implementers(point: &Point, unit: Unit) -> Option<String> {
    let who = |by: Implementer| match by {
        Implementer::Open => "rooflab's own",
        Implementer::Vendor => "the vendor's",
    };
    match &point.beside {
        Some(Beside { by, rival: Rival::Ok { value, .. } }) => {
            Some(format!("{}; {} {}", who(point.by), who(*by), human(*value, unit)))
        }
        Some(Beside { by, rival: Rival::Absent { .. } }) => Some(format!("{}; not {}", who(point.by), who(*by))),
        None if point.by == Implementer::Vendor => Some(format!("{} alone", who(point.by))),
        None => None,
    }
}

/// What is left after a long run, and what held the device down.
fn lasting(steady: &Steady, unit: Unit) -> String {
    let clock = steady.clock.map_or(String::new(), |clock| format!(" at {clock}"));
    let why = steady.flags.iter().map(|flag| format!(", {}", flag.explain(unit))).collect::<String>();
    format!("steady {}{clock} after {}{why}", human(steady.value, unit), steady.after)
}

/// What a share of the maker's figure is made of.
fn shares(shares: Shares) -> String {
    let Shares { whole, clock, issue } = shares;
    format!("{} = clock {} × issue {}", percent(whole), percent(clock), percent(issue))
}

/// The flags that say something the others do not: a value with two modes is also unstable, and drifts, and is not repeatable. The
/// document holds them all.
fn telling(flags: &[Flag]) -> impl Iterator<Item = &Flag> {
    let rank = |flag: &Flag| match flag {
        Flag::Bimodal { .. } => Some(0),
        Flag::Unrepeatable { .. } => Some(1),
        Flag::Drifting { .. } => Some(2),
        Flag::Unstable { .. } => Some(3),
        _ => None,
    };
    let foremost = flags.iter().filter_map(rank).min();
    flags.iter().filter(move |flag| rank(flag).is_none() || rank(flag) == foremost)
}

/// Bandwidth of the caches: kernels by levels.
fn caches(profile: &Profile, scope: Scope) -> Option<Table> {
    let value = |access, level| {
        let resource = Resource::Memory { level: Some(level), access };
        profile.ceilings.iter().find(|ceiling| ceiling.resource == resource && ceiling.scope == scope)
    };
    let levels: Vec<MemoryLevel> =
        MemoryLevel::ALL.iter().copied().filter(|&level| level != MemoryLevel::Dram).collect();
    let mut accesses: Vec<_> = profile
        .ceilings
        .iter()
        .filter(|ceiling| ceiling.scope == scope && !is_skipped(ceiling))
        .filter_map(|ceiling| match ceiling.resource {
            Resource::Memory { level: Some(level), access } if levels.contains(&level) => Some(access),
            _ => None,
        })
        .collect();
    accesses.sort();
    accesses.dedup();
    let rows: Vec<Row> = accesses
        .into_iter()
        .map(|access| Row {
            label: access.to_string(),
            cells: levels
                .iter()
                .map(|&level| value(access, level).map_or_else(|| Cell::plain("–"), cache_cell))
                .collect(),
        })
        .collect();
    if rows.is_empty() {
        return None;
    }
    let place = |level: MemoryLevel| level.word().to_uppercase();
    let (one, _) = profile.device.kind.parts();
    let title = if scope == Scope::Core { format!("caches, one {one}") } else { "caches".to_owned() };
    Some(Table {
        columns: levels.iter().map(|&level| place(level)).collect(),
        right: vec![true; levels.len()],
        groups: vec![Group { title, rows }],
    })
}

/// The value, with its share of what the hardware allows where that is known, and its flags.
fn cache_cell(ceiling: &Ceiling) -> Cell {
    match ceiling.single() {
        Some(point) => {
            let mut text = human(point.value, ceiling.unit).to_string();
            if let Outcome::Ok { limit: Some(limit), .. } = &ceiling.outcome {
                text += &format!(" = {}", percent(point.value / limit.value));
            }
            if point.flags.is_empty() {
                return Cell::plain(text);
            }
            let words: Vec<&str> = telling(&point.flags).map(Flag::word).collect();
            Cell::new(format!("{text} ({})", words.join(", ")), Tone::Warn)
        }
        None => match &ceiling.outcome {
            Outcome::Failed { .. } => Cell::new("failed", Tone::Bad),
            _ => Cell::new("–", Tone::Dim),
        },
    }
}

/// What was not measured, in a line for each reason.
fn left_out(profile: &Profile) -> Vec<Block> {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for ceiling in &profile.ceilings {
        let Outcome::Skipped { reason } = &ceiling.outcome else { continue };
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    reasons.into_iter().map(|(reason, count)| Block::line(format!("{count} skipped: {reason}"), Tone::Dim)).collect()
}

/// The list of a store's profiles, and of those that ship with rooflab.
#[must_use]
pub fn list(entries: &[Entry], bundled: &[Bundled]) -> Vec<Block> {
    let stored = entries.iter().map(|entry| match &entry.profile {
        Ok(profile) => listed(&entry.name, profile),
        Err(error) => {
            Row { label: entry.name.clone(), cells: vec![Cell::new(format!("unreadable: {error}"), Tone::Bad)] }
        }
    });
    let shipped = bundled.iter().filter_map(|bundled| Some(listed(bundled.name(), bundled.profile()?)));
    let groups = [("profile", stored.collect::<Vec<Row>>()), ("bundled", shipped.collect())];
    let groups = groups.into_iter().filter(|(_, rows)| !rows.is_empty());
    let groups = groups.map(|(title, rows)| Group { title: title.to_owned(), rows }).collect();
    let columns = ["device", "kind", "measured", "effort", "holds", ""].map(str::to_owned).to_vec();
    vec![Block::Table(Table { columns, right: vec![false, false, false, false, true, false], groups })]
}

fn listed(name: &str, profile: &Profile) -> Row {
    let measured = profile.ceilings.iter().filter(|ceiling| !ceiling.points().is_empty()).count();
    let state = if profile.header.complete { "" } else { "incomplete" };
    let [kind, date, effort, holds] = match &profile.instrument {
        Some(instrument) => [
            "measured".to_owned(),
            profile.header.created.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            instrument.effort.word().to_owned(),
            many(measured, "ceiling"),
        ],
        None => {
            let holds = match profile.imported.len() {
                0 => many(profile.datasheet.len(), "claim"),
                count => many(count, "import"),
            };
            [profile.kind().to_owned(), "–".to_owned(), "–".to_owned(), holds]
        }
    };
    Row {
        label: name.to_owned(),
        cells: vec![
            Cell::plain(profile.device.name.clone()),
            Cell::plain(kind),
            Cell::plain(date),
            Cell::plain(effort),
            Cell::plain(holds),
            Cell::new(state, Tone::Warn),
        ],
    }
}

fn many(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}
