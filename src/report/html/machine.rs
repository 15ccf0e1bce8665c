//! The page of a machine, or of several: who they are, what models would do on them, their rooflines and ceilings, and where every number comes from.

use jiff::Timestamp;

use super::models::{Rated, example, models};
use super::{Page, Part, Section, escaped};
use crate::dtype::DType;
use crate::profile::{Ceilings, Demand, How, Known, Place, Profile, Source};
use crate::report::charts::device_name;
use crate::report::{Block, Chart, Family, Placed, Theme, Tone, curves, not_of_hardware, products, roofline};
use crate::resource::{Access, ComputeUnit, MemoryLevel, Overhead, Resource, Scope, StreamOp};
use crate::units::{Unit, human, percent};

/// A device, and what models come to on it.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// Its profile.
    pub profile: &'a Profile,
    /// The models that were tried, in the order in which they are shown.
    pub models: Vec<Rated>,
}

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
        let (one, many) = device.kind.parts();
        format!("{} {}", device.cores, if device.cores == 1 { one } else { many })
    }));
    facts.extend((device.memory > 0).then(|| format!("{} memory", human(device.memory as f64, Unit::Byte))));
    facts.extend(
        profile.instrument.as_ref().and_then(|instrument| instrument.clock).map(|clock| clock.median.to_string()),
    );
    facts.extend(device.driver.clone());
    facts.extend(profile.conditions.virtualisation.as_ref().map(|host| format!("{host} guest")));
    facts.extend(profile.conditions.system.clone());
    let facts: String = facts.iter().map(|fact| format!("<li>{}</li>", escaped(fact))).collect();
    let alarm = not_of_hardware(device.kind).map(|why| format!("<p class=\"note alarm\">{}</p>", escaped(why)));
    let alarm = alarm.unwrap_or_default();
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
        None if profile.is_imported() => {
            "Nothing was measured by rooflab: these are values of other tools, and the maker's figures.".to_owned()
        }
        None => "Nothing was measured: these are the maker's figures.".to_owned(),
    }
}

fn of_one(machine: &Machine<'_>) -> Vec<Section> {
    let profile = machine.profile;
    let mut sections = vec![Section { parts: vec![Part::Tiles(tiles(profile))], ..Section::default() }];
    sections.extend(models(machine.profile, &machine.models));
    sections.push(rooflines(machine));
    sections.extend(memory(&[profile]));
    sections.extend(operators(profile));
    sections.push(ceilings(profile));
    sections
}

fn of_several(machines: &[Machine<'_>], profiles: &[&Profile]) -> Vec<Section> {
    let mut sections = Vec::new();
    for machine in machines {
        let alarm = not_of_hardware(machine.profile.device.kind).map(|why| Block::line(why, Tone::Bad));
        let mut parts: Vec<Part> = alarm.map(|why| Part::Blocks(vec![why])).into_iter().collect();
        parts.push(Part::Tiles(tiles(machine.profile)));
        let (title, lead) = (device_name(machine.profile), made(machine.profile));
        sections.push(Section { title, lead, parts });
        sections.extend(models(machine.profile, &machine.models));
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
        let fastest = ComputeUnit::DENSE.iter().filter_map(|&unit| peak(unit));
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
        (How::Imported { tool, .. }, _) => format!("measured by {tool}"),
        (_, Some(error)) => format!("measured, ±{}", percent(error)),
        (_, None) => "measured".to_owned(),
    }];
    let claim = profile.claim_above(resource).filter(|_| !matches!(known.how, How::Datasheet { .. }));
    facts.extend(claim.map(|claim| format!("{} of the datasheet", percent(known.value / claim.value))));
    facts.extend(known.flags.first().map(|flag| flag.word().to_owned()));
    facts.join(" · ")
}

const ROOFLINE: &str = "An operator that does few operations for each byte is bound by memory: it lies under a slope. One that does many is bound by \
                        arithmetic: it lies under a level roof. How far it lies below its roof is what could be gained.";

fn rooflines(machine: &Machine<'_>) -> Section {
    let document = example(&machine.models);
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
        match profile.kind() {
            "imported" => "What other tools measured, and where that stands; what the maker prints for dense data.",
            _ => "What the maker prints for dense data, and where.",
        }
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
    let which = if profiles.len() > 1 { "first profile" } else { "profile" };
    out += &format!(
        "<p>This page needs no network and holds its data: <code>rooflab profile show report.html</code> reads the {which} back, and so does every command that takes one.</p>\n"
    );
    let commit = source.commit.as_ref().map(|commit| format!(" ({})", escaped(commit))).unwrap_or_default();
    out += &format!(
        "<p>Made by <b>rooflab</b> {}{commit} on {}.</p>",
        escaped(&source.version),
        created.strftime("%-d %B %Y, %H:%M UTC")
    );
    out
}
