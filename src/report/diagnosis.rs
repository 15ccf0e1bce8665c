//! A diagnosis as people read it: where the time went, what rules found, and what each is worth.

use super::block::{Bar, Block, Cell, Group, Row, Segment, Table, Tone};
use super::estimate::{load_line, model_line};
use crate::diagnose::{
    Absent, Cause, Checked, Diagnosis, Evidence, EvidenceUnit, Fact, Figures, Finding, Kind, Phase, Rule, Severity,
    Spent, Worth,
};
use crate::estimate::cost::Knowledge;
use crate::units::{Seconds, Unit, human, percent};

/// A diagnosis.
#[must_use]
pub fn diagnosis(document: &Diagnosis) -> Vec<Block> {
    let mut blocks = vec![Block::line(head(document), Tone::Strong)];
    blocks.push(Block::line(load_line(&document.scenario), Tone::Plain));
    blocks.push(Block::line(device(document), Tone::Plain));
    for phase in &document.phases {
        blocks.push(Block::blank());
        blocks.extend(account(phase));
    }
    if !document.findings.is_empty() {
        blocks.push(Block::blank());
    }
    for finding in &document.findings {
        blocks.extend(of_finding(&document.phases, finding));
    }
    blocks.push(Block::blank());
    blocks.extend(footer(document));
    blocks
}

/// What is said of a rule.
#[must_use]
pub fn rule_page(rule: &Rule) -> Vec<Block> {
    let title = Block::Line(vec![Cell::new(rule.id, Tone::Strong), Cell::plain(format!("  {}", rule.name))]);
    let paragraphs = rule.explain.split("\n\n").map(|text| Block::line(text, Tone::Plain));
    std::iter::once(title).chain(paragraphs).collect()
}

fn head(document: &Diagnosis) -> String {
    let mut tools: Vec<&str> = Vec::new();
    for source in &document.sources {
        if !tools.contains(&source.tool.name()) {
            tools.push(source.tool.name());
        }
    }
    let from = if tools.is_empty() { String::new() } else { format!("{} · ", tools.join(", ")) };
    format!("{from}{}", model_line(&document.model))
}

fn device(document: &Diagnosis) -> String {
    let hardware = &document.hardware;
    let count = if hardware.devices > 1 { format!("{} × ", hardware.devices) } else { String::new() };
    let known = if document.phases.iter().any(|phase| phase.spent_on(Cause::Ceilings).is_some()) || hardware.measured {
        "measured"
    } else {
        "the maker's figures"
    };
    let sheet = document.datasheet.as_ref().map(|name| format!(" · datasheet {name}")).unwrap_or_default();
    let engine = hardware.engine.as_ref().map(|engine| format!(" · under {engine}")).unwrap_or_default();
    format!("{count}{} · profile {} ({known}){sheet}{engine}", hardware.device, hardware.profile)
}

/// The unit in which all times of a phase are written, and how many of it a second is.
pub(super) fn scale(measured: Seconds) -> (f64, &'static str) {
    match measured.get() {
        time if time >= 10.0 => (1.0, "s"),
        time if time >= 1e-3 => (1e3, "ms"),
        _ => (1e6, "µs"),
    }
}

/// A time in the unit of another one.
pub(super) fn in_scale(time: Seconds, measured: Seconds) -> String {
    let (scale, unit) = scale(measured);
    format!("{:.2} {unit}", visible(time.get() * scale))
}

/// A number that is shown with two digits, without the sign of a nothing.
pub(super) fn visible(number: f64) -> f64 {
    if number.abs() < 0.005 { 0.0 } else { number }
}

/// What the time of a phase is the time of.
fn per(phase: &Phase) -> String {
    phase.accepted.map_or_else(|| phase.kind.per().to_owned(), |tokens| format!("per step of {tokens:.2} tokens"))
}

fn account(phase: &Phase) -> Vec<Block> {
    let at = |time: Seconds| in_scale(time, phase.measured);
    let size = match phase.kind {
        Kind::Prefill => format!("{} × {} tokens", phase.sequences, phase.new_tokens),
        Kind::Decode => {
            let plural = if phase.new_tokens == 1 { "" } else { "s" };
            format!("{} × {} token{plural} at {} of context", phase.sequences, phase.new_tokens, phase.context)
        }
    };
    // Of the tokens that a draft proposed, those that were accepted.
    let each = phase.accepted.unwrap_or(if phase.kind == Kind::Decode { 1.0 } else { phase.new_tokens as f64 });
    let tokens = phase.sequences as f64 * each / phase.measured.get();
    let mut blocks = vec![Block::Line(vec![
        Cell::new(format!("{}  ", phase.kind.word()), Tone::Strong),
        Cell::new(format!("measured {} {}", at(phase.measured), per(phase)), Tone::Strong),
        Cell::plain(format!("  estimate {}  {} reached", at(phase.estimate), percent(phase.reached()))),
        Cell::new(format!("  {size}, {tokens:.0} tok/s"), Tone::Dim),
    ])];
    blocks.extend(phase.floor.map(|floor| figures(phase, &floor)));
    blocks.push(bar(&phase.spent, phase.measured));
    let title = format!("{}, from the floor to what was measured", phase.kind.word());
    blocks.push(waterfall(title, &phase.spent, &phase.absent, phase.measured, |on| explain(phase, on)));
    blocks
}

/// Whether the floor is that of the maker's figures, as it is where there are any; else it is that of measured peaks.
pub(super) fn is_makers(phase: &Phase) -> bool {
    phase.floor.is_none_or(|floor| matches!(floor.knowledge(), Knowledge::Datasheet))
}

/// What a step is.
pub(super) fn explain(phase: &Phase, on: Cause) -> String {
    if is_makers(phase) {
        on.explain().to_owned()
    } else {
        on.explain().replace("the datasheet's figures", "its measured peaks")
    }
}

/// The steps from the floor to a measured time, each with what is said of it. What is left over stays the last.
pub(super) fn waterfall(
    title: String,
    spent: &[Spent],
    absent: &[Absent],
    measured: Seconds,
    explain: impl Fn(Cause) -> String,
) -> Block {
    let rows = spent.iter().map(|spent| {
        let tone = if spent.on == Cause::Unexplained { Tone::Strong } else { Tone::Plain };
        Row {
            label: spent.on.word().to_owned(),
            cells: vec![
                Cell::new(in_scale(spent.time, measured), tone),
                Cell::new(percent(visible(spent.share * 100.0) / 100.0), tone),
                Cell::new(explain(spent.on), Tone::Dim),
            ],
        }
    });
    let absent = absent.iter().map(|absent| Row {
        label: absent.cause.word().to_owned(),
        cells: vec![Cell::plain("–"), Cell::plain("–"), Cell::new(absent.why.clone(), Tone::Dim)],
    });
    let mut rows: Vec<Row> = rows.collect();
    let rest = rows.pop();
    let rows = rows.into_iter().chain(absent).chain(rest).collect();
    let columns = ["time", "share", ""].map(str::to_owned).to_vec();
    Block::Table(Table { columns, right: vec![true, true, false], groups: vec![Group { title, rows }] })
}

/// The same steps as a bar.
pub(super) fn bar(spent: &[Spent], measured: Seconds) -> Block {
    let bare = |time: Seconds| format!("{:.2}", time.get() * scale(measured).0);
    let segments = spent.iter().map(|spent| Segment {
        label: spent.on.word().to_owned(),
        value: bare(spent.time),
        size: spent.time.get(),
        is_rest: spent.on == Cause::Unexplained,
    });
    Block::Bar(Bar { title: in_scale(measured, measured), segments: segments.collect() })
}

fn figures(phase: &Phase, floor: &Figures) -> Block {
    let bound = if floor.is_memory_bound() { "memory" } else { "arithmetic" };
    Block::Line(vec![
        Cell::plain(format!(
            "{}floor {} ({bound})",
            " ".repeat(phase.kind.word().len() + 2),
            in_scale(floor.time, phase.measured)
        )),
        Cell::new(format!("  gap {:.2}×", floor.gap), Tone::Strong),
        Cell::plain(format!("  MFU {:.1} %  MBU {:.1} %", floor.mfu * 100.0, floor.mbu * 100.0)),
        Cell::new(format!("  {} FLOP/B, ridge {}", digits(floor.intensity), digits(floor.ridge)), Tone::Dim),
    ])
}

/// Four digits that matter.
pub(super) fn digits(value: f64) -> String {
    match value.abs() {
        size if size >= 999.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A finding: what is the case, what that rests on, what to try.
pub(super) fn of_finding(phases: &[Phase], finding: &Finding) -> Vec<Block> {
    let found = &finding.found;
    let tone = match found.severity {
        Severity::Note => Tone::Plain,
        Severity::Warning => Tone::Warn,
        Severity::Error => Tone::Bad,
    };
    let mut head = vec![
        Cell::new(finding.rule, Tone::Strong),
        Cell::new(format!(" {:<8} ", found.severity.word()), tone),
        Cell::plain(found.says.clone()),
    ];
    head.extend(found.worth.map(|worth| Cell::new(format!("  worth {}", gain(phases, worth)), Tone::Strong)));
    let mut blocks = vec![Block::Line(head)];
    let evidence: Vec<String> = found.evidence.iter().map(fact).collect();
    let mut line = |title: &str, text: &str| {
        blocks
            .push(Block::Line(vec![Cell::new(format!("      {title:<9} "), Tone::Dim), Cell::plain(text.to_owned())]));
    };
    if !evidence.is_empty() {
        line("evidence", &evidence.join("; "));
    }
    for remedy in &found.remedies {
        line("try", remedy);
    }
    if let Some(decide) = &found.decide {
        line("decides", decide);
    }
    blocks
}

fn gain(phases: &[Phase], worth: Worth) -> String {
    match worth {
        Worth::Time { of, up_to } => {
            let phase = phases.iter().find(|phase| phase.kind == of);
            let measured = phase.map_or(up_to, |phase| phase.measured);
            format!("up to {} {}", in_scale(up_to, measured), phase.map_or_else(|| of.per().to_owned(), per))
        }
        Worth::Product { up_to } => format!("up to {} per product", in_scale(up_to, up_to)),
        Worth::Rate { from, to, tpot } => {
            format!("{:.0} tok/s instead of {:.0}, at {} per token", to, from, in_scale(tpot, tpot))
        }
    }
}

fn fact(evidence: &Evidence) -> String {
    let is = match &evidence.is {
        Fact::Text(text) => format!("`{text}`"),
        Fact::Number { value, unit } => number(*value, *unit),
    };
    format!("{} {is} ({})", evidence.what, evidence.from)
}

fn number(value: f64, unit: EvidenceUnit) -> String {
    match (unit, unit.unit()) {
        (EvidenceUnit::Seconds, _) => in_scale(Seconds(value), Seconds(value)),
        (_, Some(unit)) => human(value, unit).to_string(),
        (EvidenceUnit::Share, _) => percent(value),
        (EvidenceUnit::Times, _) => format!("{value:.2}×"),
        (EvidenceUnit::Count, _) => format!("{value:.0}"),
        (EvidenceUnit::Intensity, _) => format!("{} FLOP/B", digits(value)),
        (EvidenceUnit::TokensPerSecond, _) => format!("{value:.0} tok/s"),
        (_, None) => human(value, Unit::Flop).to_string(),
    }
}

/// Lines below a title; nothing where there are none.
pub(super) fn list(title: &str, texts: &[String]) -> Vec<Block> {
    let lines = texts.iter().map(|text| Block::line(format!("  {text}"), Tone::Dim));
    if texts.is_empty() { Vec::new() } else { std::iter::once(Block::line(title, Tone::Plain)).chain(lines).collect() }
}

/// What was looked for and not found.
pub(super) fn not_found(checked: &[Checked]) -> Option<Block> {
    let names: Vec<String> = checked.iter().map(|rule| format!("{} {}", rule.rule, rule.name)).collect();
    (!names.is_empty()).then(|| Block::line(format!("checked, not found: {}", names.join(" · ")), Tone::Dim))
}

fn footer(document: &Diagnosis) -> Vec<Block> {
    let mut blocks: Vec<Block> = document
        .link
        .iter()
        .map(|link| {
            let (bandwidth, latency) =
                (human(link.bandwidth.get(), Unit::BytePerSecond), human(link.latency.get(), Unit::Second));
            Block::line(format!("link {bandwidth}, {latency}: {}", link.from), Tone::Plain)
        })
        .collect();
    blocks.extend(list("cannot all be true", &document.contradictions));
    blocks.extend(list("speaks against the numbers", &document.caveats));
    blocks.extend(list("the estimates rest on", &document.assumptions));
    blocks.extend(not_found(&document.checked));
    let example = document.findings.first().map_or("RL001", |finding| finding.rule);
    blocks.push(Block::line(
        format!(
            "MFU: operations of products and attention (causal, wanted logits only) at peak, over the measured time. MBU: weights, keys and values once \
             out of main memory, over the measured time. `rooflab explain {example}`"
        ),
        Tone::Dim,
    ));
    blocks
}
