//! Where the time of a step goes: a bar for each operator, in the colour of what bounds it.

use super::super::chart::{Axis, Bar, Chart, Hue, Mark, Measure, Scale, Series};
use super::plain_name;
use crate::estimate::cost::Bound;
use crate::estimate::{Account, Document, Entry};
use crate::units::{Unit, human, percent};

/// The prompts and the decode step of an estimate, each as a picture.
#[must_use]
pub fn breakdown(document: &Document) -> [Chart; 2] {
    let estimate = &document.estimate;
    let about = format!("{} on {}", document.model.name, plain_name(&estimate.hardware.device));
    [("Decode", &estimate.decode), ("Prefill", &estimate.prefill)].map(|(name, account)| of_step(name, &about, account))
}

fn of_step(name: &str, about: &str, account: &Account) -> Chart {
    let (mut rows, mut bars): (Vec<String>, Vec<(Bound, Bar)>) = (Vec::new(), Vec::new());
    let mut rest = (0.0, 0.0);
    for entry in &account.operators {
        if entry.share < Account::SMALL {
            rest = (rest.0 + entry.time.get(), rest.1 + entry.share);
            continue;
        }
        let row = rows.len();
        rows.push(entry.part.word().replace('_', " "));
        bars.push((entry.bound, bar(row, entry)));
    }
    let mut series: Vec<Series> = Bound::ALL
        .into_iter()
        .enumerate()
        .filter_map(|(index, bound)| {
            let bars: Vec<Bar> = bars.iter().filter(|(of, _)| *of == bound).map(|(_, bar)| bar.clone()).collect();
            let mark = Mark::Bars { bars };
            let is_empty = matches!(&mark, Mark::Bars { bars } if bars.is_empty());
            (!is_empty).then(|| Series {
                name: format!("bound by {}", bound.word()),
                label: None,
                hue: Hue::Of(index),
                mark,
            })
        })
        .collect();
    let rest = (rest.0 > 0.0).then_some(("the rest", "operators that take little", rest));
    let waiting = account.waiting().map(|(time, share)| (time.get(), share));
    let waiting = waiting.map(|taken| ("waiting", "parts of the model wait for one another", taken));
    for (name, detail, (time, share)) in rest.into_iter().chain(waiting) {
        let bar = Bar { row: rows.len(), from: 0.0, to: time, label: label(time, share), detail: detail.to_owned() };
        rows.push(name.to_owned());
        let mark = Mark::Bars { bars: vec![bar] };
        series.push(Series { name: name.to_owned(), label: None, hue: Hue::Quiet, mark });
    }
    let what = if account.new_tokens > 1 {
        format!("{} × {} tokens", account.sequences, account.new_tokens)
    } else {
        format!("{} × 1 token at {} of context", account.sequences, account.context)
    };
    Chart {
        title: format!("{name}, {}", account.time),
        subtitle: format!("{about}: {what}, by operator"),
        x: Axis { title: "time".to_owned(), measure: Measure::Of(Unit::Second), scale: Scale::Linear, range: None },
        y: Axis { title: "operator".to_owned(), measure: Measure::Count(""), scale: Scale::Rows(rows), range: None },
        series,
        rules: Vec::new(),
    }
}

fn bar(row: usize, entry: &Entry) -> Bar {
    let time = entry.time.get();
    let detail = format!(
        "{} × {}: {}, bound by {}, {}",
        entry.count,
        entry.part.word(),
        human(time, Unit::Second),
        entry.bound.word(),
        entry.knowledge
    );
    Bar { row, from: 0.0, to: time, label: label(time, entry.share), detail }
}

fn label(time: f64, share: f64) -> String {
    format!("{} · {}", human(time, Unit::Second), percent(share))
}
