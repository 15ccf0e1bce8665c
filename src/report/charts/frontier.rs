//! Throughput against latency: what each user sees, and what the device gives in all, by requests in flight.

use super::super::chart::{Axis, Chart, Hue, Mark, Measure, Point, Scale, Series, Stroke};
use super::sound;
use crate::estimate::Answer;
use crate::estimate::serving::FrontierPoint;

/// The frontier of some estimates, each with what it is called.
#[must_use]
pub fn frontier(answers: &[(String, &Answer)]) -> Chart {
    let series = answers.iter().enumerate().filter_map(|(index, (name, answer))| {
        let points = answer.frontier.iter().map(|point| placed(name, point)).collect();
        let mark = Mark::Line { points, stroke: Stroke::Dotted, band: Vec::new() };
        sound(Series { name: name.clone(), label: None, hue: Hue::Of(index), mark })
    });
    let axis = |title: &str| Axis {
        title: title.to_owned(),
        measure: Measure::Count("tokens/s"),
        scale: Scale::Log,
        range: None,
    };
    let names: Vec<&str> = answers.iter().map(|(name, _)| name.as_str()).collect();
    Chart {
        title: "Throughput and latency".to_owned(),
        subtitle: format!("{}: numbers are requests in flight", names.join(", ")),
        x: axis("tokens per second for each user"),
        y: axis("tokens per second of a device"),
        series: series.collect(),
        rules: Vec::new(),
    }
}

fn placed(name: &str, FrontierPoint { concurrency, metrics }: &FrontierPoint) -> Point {
    let tpot = metrics.tpot.map_or_else(String::new, |tpot| format!(", {tpot} per token"));
    let detail = format!(
        "{name}: {concurrency} in flight, {:.3} tokens/s of a device, {:.3} for each user, first token after {}{tpot}",
        metrics.throughput_per_device, metrics.throughput_per_user, metrics.ttft.mean
    );
    // Doublings are numbered, the steps between them are not.
    let label = if concurrency.is_power_of_two() { concurrency.to_string() } else { String::new() };
    Point { label, ..Point::new(metrics.throughput_per_user, metrics.throughput_per_device, detail) }
}
