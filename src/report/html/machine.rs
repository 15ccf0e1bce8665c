//! The page of a machine, or of several: who they are, what models would do on them, their rooflines and ceilings, and where every number comes from.

use jiff::Timestamp;

use super::{Page, Part, Section, escaped};
use crate::dtype::DType;
use crate::estimate::cost::Knowledge;
use crate::estimate::{Account, Document};
use crate::facts::DeviceKind;
use crate::profile::{Ceilings, Demand, How, Known, Place, Profile, Source};
use crate::report::charts::device_name;
use crate::report::{
    Block, Cell, Chart, Family, Group, Placed, Row, Table, Theme, Tone, breakdown, curves, frontier, products, roofline,
};
use crate::resource::{Access, ComputeUnit, MemoryLevel, Overhead, Resource, Scope, StreamOp};
use crate::units::{Bytes, Unit, human, percent};

/// A device, and what models come to on it.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// Its profile.
    pub profile: &'a Profile,
    /// The models that were tried, in the order in which they are shown.
    pub models: Vec<Rated>,
}

/// A model that was tried on a device.
#[derive(Clone, Debug)]
pub struct Rated {
    /// What it is called.
    pub model: String,
    /// What it comes to.
    pub run: Run,
}

/// What a model comes to on a device.
#[derive(Clone, Debug)]
pub enum Run {
    /// It fits, in one or several formats of its weights: an estimate of each, of one request, with the frontier.
    Fits(Vec<Document>),
    /// It fits in none of the formats that were tried.
    TooLarge {
        /// What it needs in the narrowest of them.
        needs: Bytes,
    },
    /// There is no estimate, for this reason.
    Unknown(String),
}

/// Requests in flight of the column for several.
const SEVERAL: u64 = 16;

/// The page.
#[must_use]
pub fn machines(machines: &[Machine<'_>], source: &Source, created: Timestamp) -> String {
    let names: Vec<String> = machines.iter().map(|machine| device_name(machine.profile)).collect();
    let profiles: Vec<&Profile> = machines.iter().map(|machine| machine.profile).collect();
    let documents = profiles.iter().map(|profile| (profile.header.schema.clone(), profile.to_json())).collect();
    let sections = match machines {
        [only] => of_one(only),
        several => of_several(several, &profiles),
    };
    let head = match machines {
        [only] => header(only.profile),
        _ => format!(
            "<header><p class=\"eyebrow\">rooflab · hardware report</p><h1>{}</h1></header>\n",
            escaped(&names.join(" · "))
        ),
    };
    Page {
        title: format!("{} – rooflab", names.join(", ")),
        head,
        sections,
        documents,
        foot: foot(&profiles, source, created),
    }
    .render(Theme::Adaptive)
}

fn header(profile: &Profile) -> String {
    let device = &profile.device;
    let mut facts: Vec<String> = Vec::new();
    facts.extend(device.architecture.clone());
    facts.extend((device.cores > 0).then(|| {
        let what = if device.kind == DeviceKind::Gpu { "multiprocessor" } else { "core" };
        format!("{} {what}{}", device.cores, if device.cores == 1 { "" } else { "s" })
    }));
    facts.extend((device.memory > 0).then(|| format!("{} memory", human(device.memory as f64, Unit::Byte))));
    facts.extend(
        profile.instrument.as_ref().and_then(|instrument| instrument.clock).map(|clock| clock.median.to_string()),
    );
    facts.extend(device.driver.clone());
    facts.extend(profile.conditions.virtualisation.as_ref().map(|host| format!("{host} guest")));
    facts.extend(profile.conditions.system.clone());
    let facts: String = facts.iter().map(|fact| format!("<li>{}</li>", escaped(fact))).collect();
    let alarm = if device.kind == DeviceKind::Simulated {
        "<p class=\"note alarm\">Simulated: this is rooflab's test double; its numbers are invented.</p>"
    } else {
        ""
    };
    format!(
        "<header>\n<p class=\"eyebrow\">rooflab · hardware report</p>\n<h1>{}</h1>\n<ul class=\"facts\">{facts}</ul>\n<p class=\"note\">{}</p>{alarm}\n</header>\n",
        escaped(&device_name(profile)),
        escaped(&made(profile)),
    )
}

/// When and how the profile was made.
fn made(profile: &Profile) -> String {
    let when = profile.header.created.strftime("%-d %B %Y, %H:%M UTC");
    match &profile.instrument {
        Some(instrument) => format!(
            "Measured on {when} in {} with rooflab {}{}",
            instrument.elapsed,
            profile.header.rooflab.version,
            if profile.header.complete { "." } else { "; the run is not complete." }
        ),
        None => "Nothing was measured: these are the maker's figures.".to_owned(),
    }
}

fn of_one(machine: &Machine<'_>) -> Vec<Section> {
    let profile = machine.profile;
    let mut sections = vec![Section { parts: vec![Part::Tiles(tiles(profile))], ..Section::default() }];
    sections.extend(models(machine));
    sections.push(rooflines(machine));
    sections.extend(memory(&[profile]));
    sections.extend(operators(profile));
    sections.push(ceilings(profile));
    sections
}

fn of_several(machines: &[Machine<'_>], profiles: &[&Profile]) -> Vec<Section> {
    let mut sections = Vec::new();
    for machine in machines {
        sections.push(Section {
            title: device_name(machine.profile),
            lead: made(machine.profile),
            parts: vec![Part::Tiles(tiles(machine.profile))],
        });
        sections.extend(models(machine));
    }
    let chart = roofline(profiles, &[]);
    sections.push(Section { title: "Rooflines".to_owned(), lead: ROOFLINE.to_owned(), parts: vec![part(chart)] });
    sections.extend(memory(profiles));
    sections.extend(
        profiles
            .iter()
            .map(|profile| Section { title: format!("All ceilings of {}", device_name(profile)), ..ceilings(profile) }),
    );
    sections
}

fn part(chart: Chart) -> Part {
    Part::Chart(Box::new(chart))
}

/// The figures to be seen first.
fn tiles(profile: &Profile) -> Vec<[String; 3]> {
    let ceilings = Ceilings::new(profile);
    let ask = |resource: Resource| {
        let demand = Demand { resource, scope: Scope::Device, at: Place::Anywhere };
        ceilings.ask(&demand).known().filter(|known| !matches!(known.how, How::Substituted { .. })).cloned()
    };
    let tile = |what: &str, resource: Resource| {
        let known = ask(resource)?;
        let much = human(known.value, known.unit).to_string();
        Some([what.to_owned(), much, about(profile, resource, &known)])
    };
    let dram = Some(MemoryLevel::Dram);
    let mut tiles: Vec<[String; 3]> = Vec::new();
    tiles.extend(tile("Memory, read", Resource::Memory { level: dram, access: Access::plain(StreamOp::Read) }));
    for (name, input, accumulate) in [
        ("f32", DType::F32, DType::F32),
        ("bf16", DType::Bf16, DType::F32),
        ("FP8", DType::Fp8E4m3, DType::F32),
        ("int8", DType::Int8, DType::Int32),
    ] {
        let peak = |unit| Some((unit, ask(Resource::Compute { unit, input, accumulate })?));
        let fastest = ComputeUnit::ALL.iter().filter_map(|&unit| peak(unit));
        let fastest = fastest.max_by(|a, b| a.1.value.total_cmp(&b.1.value));
        let product = Resource::Gemm { input, accumulate };
        tiles.extend(
            fastest.and_then(|(unit, _)| {
                tile(&format!("Arithmetic, {name}"), Resource::Compute { unit, input, accumulate })
            }),
        );
        if profile.instrument.is_some() && name == "bf16" {
            tiles.extend(tile("Matrix products, bf16", product));
        }
    }
    tiles.extend(tile("Memory, latency", Resource::Latency { level: dram }));
    tiles.extend(tile("Starting a kernel", Resource::Overhead { of: Overhead::Launch }));
    tiles
}

/// How a figure is known, and what speaks against it.
fn about(profile: &Profile, resource: Resource, known: &Known) -> String {
    let mut facts = vec![match (&known.how, known.error) {
        (How::Datasheet { .. }, _) => "the maker's figure".to_owned(),
        (_, Some(error)) => format!("measured, ±{}", percent(error)),
        (_, None) => "measured".to_owned(),
    }];
    let claim = profile.claim_above(resource).filter(|_| !matches!(known.how, How::Datasheet { .. }));
    facts.extend(claim.map(|claim| format!("{} of the datasheet", percent(known.value / claim.value))));
    facts.extend(known.flags.first().map(|flag| flag.word().to_owned()));
    facts.join(" · ")
}

/// What models would do here.
fn models(machine: &Machine<'_>) -> Option<Section> {
    if machine.models.is_empty() {
        return None;
    }
    let mut rows = Vec::new();
    let (mut too_large, mut unknown) = (Vec::new(), Vec::new());
    for rated in &machine.models {
        match &rated.run {
            Run::Fits(documents) => rows.extend(documents.iter().map(model_row)),
            Run::TooLarge { needs } => too_large.push(format!("{} ({needs})", rated.model)),
            Run::Unknown(why) => unknown.push(format!("{}: {why}", rated.model)),
        }
    }
    let columns = ["weights", "tokens/s", "first token", "16 users", "memory", "a token waits for", "known"];
    let table = Table {
        columns: columns.map(str::to_owned).to_vec(),
        right: vec![false, true, true, true, true, false, false],
        groups: vec![Group { title: "model".to_owned(), rows }],
    };
    let mut blocks = vec![Block::Table(table)];
    if !too_large.is_empty() {
        let text = format!("Too large for this memory, also with 4-bit weights: {}.", too_large.join(", "));
        blocks.push(Block::line(text, Tone::Dim));
    }
    blocks.extend(unknown.into_iter().map(|text| Block::line(text, Tone::Warn)));
    let mut parts = vec![Part::Blocks(blocks)];
    if let Some(document) = example(machine) {
        parts.extend(breakdown(document).into_iter().map(part));
        let name = format!("{} with {} weights", document.model.name, document.model.weights);
        let chart = frontier(&[(name, &document.estimate)]);
        if !chart.is_empty() && document.estimate.frontier.len() > 1 {
            parts.push(part(chart));
        }
    }
    let known = if machine.profile.instrument.is_some() {
        "from the ceilings measured here"
    } else {
        "from the maker's figures alone: nothing was measured, so that these are bounds rather than predictions"
    };
    Some(Section {
        title: "What models would do here".to_owned(),
        lead: format!(
            "Estimates {known}, for prompts of 1024 tokens and answers of 256. “tokens/s” and “first token” are what a single user gets; “16 users” is the tokens per second of 16 requests in flight together, or of as many as fit. “known” says what they rest on most; where it says substituted, another resource was measured and stands for it."
        ),
        parts,
    })
}

fn model_row(document: &Document) -> Row {
    let estimate = &document.estimate;
    let metrics = estimate.served.metrics();
    let number = |value: f64| match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    let dash = || Cell::new("–", Tone::Dim);
    let memory: Bytes = estimate.memory.lines.iter().map(|line| line.bytes).sum();
    let several = estimate.frontier.iter().rfind(|point| point.concurrency <= SEVERAL);
    let several = several.map(|point| match point.concurrency {
        SEVERAL => Cell::plain(number(point.metrics.throughput)),
        fewer => Cell::plain(format!("{} ({fewer})", number(point.metrics.throughput))),
    });
    let bound = estimate.decode.by_bound.first().map_or("", |share| share.of.word());
    Row {
        label: document.model.name.clone(),
        cells: vec![
            Cell::new(document.model.weights.replace(" (as stored)", ""), Tone::Dim),
            metrics.map_or_else(dash, |metrics| Cell::new(number(metrics.throughput_per_user), Tone::Strong)),
            metrics.map_or_else(dash, |metrics| Cell::plain(metrics.ttft.mean.to_string())),
            several.unwrap_or_else(dash),
            Cell::plain(memory.to_string()),
            Cell::plain(bound),
            known(&estimate.decode),
        ],
    }
}

/// How most of a step's time is known.
fn known(account: &Account) -> Cell {
    let own: f64 = account.by_knowledge.iter().filter(|share| share.of.is_own()).map(|share| share.share).sum();
    match account.by_knowledge.first() {
        Some(most) if most.of == Knowledge::Datasheet => Cell::new("datasheet", Tone::Dim),
        _ if own > 0.995 => Cell::new("measured", Tone::Dim),
        Some(most) if own < 0.5 => Cell::new(most.of.word(), Tone::Warn),
        _ => Cell::new(format!("{} measured", percent(own)), Tone::Dim),
    }
}

/// The estimate that is shown in pictures: of the most parameters among those of up to ten billion; else the first there is.
fn example<'a>(machine: &'a Machine<'_>) -> Option<&'a Document> {
    let fitting = || {
        machine.models.iter().filter_map(|rated| match &rated.run {
            Run::Fits(documents) => documents.first(),
            _ => None,
        })
    };
    let common = fitting().filter(|document| document.model.parameters <= 10_000_000_000);
    common.max_by_key(|document| document.model.parameters).or_else(|| fitting().next())
}

const ROOFLINE: &str = "An operator that does few operations for each byte is bound by memory: it lies under a slope. One that does many is bound by \
                        arithmetic: it lies under a level roof. How far it lies below its roof is what could be gained.";

fn rooflines(machine: &Machine<'_>) -> Section {
    let document = example(machine);
    let steps: Vec<Placed<'_>> = document.map_or_else(Vec::new, |document| {
        let estimate = &document.estimate;
        vec![
            Placed { name: "decode", account: &estimate.decode },
            Placed { name: "prefill", account: &estimate.prefill },
        ]
    });
    let mut chart = roofline(&[machine.profile], &steps);
    if let Some(document) = document {
        chart.title = format!("Roofline, with the operators of {}", document.model.name);
    }
    Section { title: "Roofline".to_owned(), lead: ROOFLINE.to_owned(), parts: vec![part(chart)] }
}

fn memory(profiles: &[&Profile]) -> Option<Section> {
    let charts = [Family::Bandwidth, Family::Latency].map(|family| curves(family, profiles));
    let parts: Vec<Part> = charts.into_iter().filter(|chart| !chart.is_empty()).map(part).collect();
    let lead = "Every level of the memory hierarchy, from the nearest cache to main memory. Where a curve falls, data no longer fits into the level before.";
    let title = "Memory".to_owned();
    (!parts.is_empty()).then(|| Section { title, lead: lead.to_owned(), parts })
}

fn operators(profile: &Profile) -> Option<Section> {
    let curves = [Family::Weights, Family::Attention].map(|family| curves(family, &[profile]));
    let charts = products(profile).into_iter().chain(curves);
    let parts: Vec<Part> = charts.filter(|chart| !chart.is_empty()).map(part).collect();
    let lead = "What the operators of inference reach at the shapes of language models: products of few tokens are bound by reading the weights, those of many by arithmetic.";
    let title = "Operators".to_owned();
    (!parts.is_empty()).then(|| Section { title, lead: lead.to_owned(), parts })
}

fn ceilings(profile: &Profile) -> Section {
    let blocks = crate::report::profile(profile);
    let parts = if profile.instrument.is_some() {
        let (skipped, shown): (Vec<Block>, Vec<Block>) = blocks.into_iter().partition(is_about_skipping);
        let mut parts = vec![Part::Blocks(shown)];
        if !skipped.is_empty() {
            parts.push(Part::Folded("What was not measured".to_owned(), skipped));
        }
        parts
    } else {
        vec![Part::Blocks(blocks)]
    };
    let lead = if profile.instrument.is_some() {
        "The median of undisturbed samples, the best of them, the median absolute deviation, and whatever speaks against the value. What is missing says why."
    } else {
        "What the maker prints for dense data, and where."
    };
    Section { title: "All ceilings".to_owned(), lead: lead.to_owned(), parts }
}

fn is_about_skipping(block: &Block) -> bool {
    matches!(block, Block::Line(cells) if cells.iter().any(|cell| cell.text.contains(" skipped: ")))
}

fn foot(profiles: &[&Profile], source: &Source, created: Timestamp) -> String {
    let mut out = String::new();
    let buttons: String = profiles
        .iter()
        .enumerate()
        .map(|(index, profile)| {
            let name = escaped(&profile.name);
            format!("<button data-save=\"{index}\" data-name=\"{name}.json\" hidden>Save {name}.json</button> ")
        })
        .collect();
    out += &format!("<p>{buttons}</p>\n");
    out += "<p>This page needs no network and holds its data: <code>rooflab profile show report.html</code> reads the profile back, and so does every command that takes one.</p>\n";
    let commit = source.commit.as_ref().map(|commit| format!(" ({})", escaped(commit))).unwrap_or_default();
    out += &format!(
        "<p>Made by <b>rooflab</b> {}{commit} on {}.</p>",
        escaped(&source.version),
        created.strftime("%-d %B %Y, %H:%M UTC")
    );
    out
}
