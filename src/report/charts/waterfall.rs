//! A diagnosis as a waterfall: each cause begins where the one before it ends, from the floor to what was measured.

use super::super::chart::{Axis, Bar, Chart, Hue, Mark, Measure, Scale, Series};
use super::super::diagnosis::{explain, is_makers};
use super::plain_name;
use crate::diagnose::{Cause, Diagnosis, Phase};
use crate::units::{Unit, human, percent};

/// A picture for each phase of a diagnosis.
#[must_use]
pub fn waterfall(document: &Diagnosis) -> Vec<Chart> {
    let about = format!("{} on {}", document.model.name, plain_name(&document.hardware.device));
    document.phases.iter().map(|phase| of_phase(&about, phase)).collect()
}

/// The groups of causes that a colour stands for.
fn groups(phase: &Phase) -> [(&'static str, Hue); 4] {
    let floor = if is_makers(phase) { "least time by the datasheet" } else { "least time by its measured peaks" };
    [
        (floor, Hue::Of(0)),
        ("what the device and the model add", Hue::Of(4)),
        ("unexplained", Hue::Of(1)),
        ("measured", Hue::Quiet),
    ]
}

const fn group(cause: Cause) -> usize {
    match cause {
        Cause::Weights | Cause::Kv => 0,
        Cause::Unexplained => 2,
        _ => 1,
    }
}

/// A share without the sign of a nothing.
fn visible(share: f64) -> f64 {
    if share.abs() < 5e-5 { 0.0 } else { share }
}

fn of_phase(about: &str, phase: &Phase) -> Chart {
    let mut rows = Vec::new();
    let mut bars: [Vec<Bar>; 4] = Default::default();
    let mut reached = 0.0;
    for spent in &phase.spent {
        let (from, to) = (reached, reached + spent.time.get());
        let label = format!("{} · {}", human(spent.time.get(), Unit::Second), percent(visible(spent.share)));
        let detail = format!("{}: {}", spent.on.word(), explain(phase, spent.on));
        bars[group(spent.on)].push(Bar { row: rows.len(), from, to, label, detail });
        rows.push(spent.on.word().to_owned());
        reached = to;
    }
    let measured = phase.measured.get();
    let label = human(measured, Unit::Second).to_string();
    bars[3].push(Bar { row: rows.len(), from: 0.0, to: measured, label, detail: phase.from.clone() });
    rows.push("measured".to_owned());
    let series = groups(phase).into_iter().zip(bars).filter(|(_, bars)| !bars.is_empty());
    let series =
        series.map(|((name, hue), bars)| Series { name: name.to_owned(), label: None, hue, mark: Mark::Bars { bars } });
    Chart {
        title: format!("Where the time of {} went", phase.kind.word()),
        subtitle: format!(
            "{about}: {} {} measured, {} of that explained",
            human(measured, Unit::Second),
            phase.kind.per(),
            percent(phase.reached())
        ),
        x: Axis { title: "time".to_owned(), measure: Measure::Of(Unit::Second), scale: Scale::Linear, range: None },
        y: Axis { title: "cause".to_owned(), measure: Measure::Count(""), scale: Scale::Rows(rows), range: None },
        series: series.collect(),
        rules: Vec::new(),
    }
}
