//! A picture's numbers as CSV: a line for each point, end of a bar, or place that is marked.

use super::{Chart, Mark};

/// The numbers, with what they belong to.
#[must_use]
pub fn csv(chart: &Chart) -> String {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let rows = chart.rows().unwrap_or_default();
    let x = format!("{} [{}]", chart.x.title, chart.x.measure.symbol());
    let y = match chart.rows() {
        Some(_) => chart.y.title.clone(),
        None => format!("{} [{}]", chart.y.title, chart.y.measure.symbol()),
    };
    let mut lines = vec![["series".to_owned(), x, y, "label".to_owned(), "detail".to_owned()]];
    for series in &chart.series {
        let name = || series.name.clone();
        match &series.mark {
            Mark::Line { points, .. } | Mark::Points { points, .. } => lines.extend(
                points.iter().map(|p| [name(), p.x.to_string(), p.y.to_string(), p.label.clone(), p.detail.clone()]),
            ),
            Mark::Bars { bars } => lines.extend(bars.iter().map(|bar| {
                let row = rows.get(bar.row).cloned().unwrap_or_default();
                [name(), (bar.to - bar.from).to_string(), row, bar.label.clone(), bar.detail.clone()]
            })),
        }
    }
    for line in lines {
        // Writing to memory cannot fail.
        let _ = writer.write_record(line);
    }
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}
