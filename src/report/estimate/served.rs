//! What requests see: times to tokens, rates, and what they cost.

use super::super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::estimate::serving::{Metrics, Spread};
use crate::estimate::{Answer, Limit, ServedFacts};

/// What requests see by each profile.
pub(super) fn served(answers: &[&Answer]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        let title =
            if index == 0 { "requests".to_owned() } else { format!("requests, by {}", answer.hardware.profile) };
        match answer.served {
            ServedFacts::Steady(metrics) => blocks.extend(steady(title, &metrics)),
            ServedFacts::Saturated { capacity } => blocks.push(Block::line(
                format!("{title}: they arrive faster than they can be answered; {capacity:.3} per second can be"),
                Tone::Bad,
            )),
            ServedFacts::TooMany { admitted, limit } => {
                let text = match limit {
                    Limit::Memory => format!("they do not fit into memory at the same time; {admitted} do"),
                    Limit::Tokens => format!("a step has not enough tokens for all of them; {admitted} can run"),
                };
                blocks.push(Block::line(format!("{title}: {text}"), Tone::Bad));
            }
        }
        blocks.extend(frontier(answer));
        if let Some(table) = drafts(answer) {
            blocks.extend([
                table,
                Block::line("the draft's own weights and cache are not in the memory above", Tone::Dim),
            ]);
        }
        blocks.extend(cost(answer));
    }
    blocks
}

fn steady(title: String, metrics: &Metrics) -> Vec<Block> {
    let spread = |label: &str, spread: Spread| Row {
        label: label.to_owned(),
        cells: [spread.mean, spread.p50, spread.p90, spread.p99].map(|time| Cell::plain(time.to_string())).to_vec(),
    };
    let mut rows = vec![spread("time to first token", metrics.ttft)];
    if let Some(tpot) = metrics.tpot {
        let one = Cell::plain(tpot.to_string());
        rows.push(Row {
            label: "time per output token".to_owned(),
            cells: std::iter::once(one).chain([Cell::plain(""), Cell::plain(""), Cell::plain("")]).collect(),
        });
    }
    rows.extend(metrics.itl.map(|itl| spread("between tokens", itl)));
    rows.push(spread("whole request", metrics.latency));
    let columns = ["mean", "p50", "p90", "p99"].map(str::to_owned).to_vec();
    let table = Table { columns, right: vec![true; 4], groups: vec![Group { title, rows }] };
    let rates = format!(
        "{} tokens/s generated, {} per device, {} for each user; {} requests/s",
        rate(metrics.throughput),
        rate(metrics.throughput_per_device),
        rate(metrics.throughput_per_user),
        rate(metrics.requests)
    );
    vec![Block::Table(table), Block::line(rates, Tone::Strong)]
}

/// Three digits that matter.
pub(super) fn rate(value: f64) -> String {
    match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value if value >= 0.995 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}

fn frontier(answer: &Answer) -> Option<Block> {
    let row = |(concurrency, metrics): (u64, &Metrics)| Row {
        label: format!("{concurrency} in flight"),
        cells: vec![
            Cell::plain(rate(metrics.throughput)),
            Cell::plain(rate(metrics.throughput_per_user)),
            Cell::plain(metrics.ttft.mean.to_string()),
            Cell::plain(metrics.tpot.map_or_else(|| "–".to_owned(), |tpot| tpot.to_string())),
        ],
    };
    let rows: Vec<Row> = answer.frontier.iter().map(|point| row((point.concurrency, &point.metrics))).collect();
    let columns = ["tokens/s", "for each user", "TTFT", "TPOT"].map(str::to_owned).to_vec();
    let groups = vec![Group { title: "throughput against latency".to_owned(), rows }];
    (!answer.frontier.is_empty()).then(|| Block::Table(Table { columns, right: vec![true; 4], groups }))
}

fn drafts(answer: &Answer) -> Option<Block> {
    let best = answer.drafts.iter().map(|draft| draft.gain).fold(0.0, f64::max);
    let rows: Vec<Row> = answer
        .drafts
        .iter()
        .map(|draft| Row {
            label: match draft.length {
                0 => "no draft".to_owned(),
                1 => "1 draft token".to_owned(),
                length => format!("{length} draft tokens"),
            },
            cells: vec![
                Cell::plain(format!("{:.2}", draft.tokens)),
                Cell::plain(draft.draft.to_string()),
                Cell::plain(draft.verify.to_string()),
                Cell::plain(draft.per_token.to_string()),
                Cell::new(format!("{:.2}×", draft.gain), if draft.gain >= best { Tone::Strong } else { Tone::Plain }),
            ],
        })
        .collect();
    let columns = ["tokens a step", "draft", "verify", "per token", "gain"].map(str::to_owned).to_vec();
    let groups = vec![Group { title: "speculation".to_owned(), rows }];
    (!answer.drafts.is_empty()).then(|| Block::Table(Table { columns, right: vec![true; 5], groups }))
}

fn cost(answer: &Answer) -> Option<Block> {
    let cost = answer.per_million?;
    let energy = cost.kilowatt_hours.zip(cost.joules_per_token);
    let energy = energy.map(|(total, each)| format!("{} kWh ({} J a token)", rate(total), rate(each)));
    let price = cost.price.map(|price| format!("a price of {}", rate(price)));
    let parts: Vec<String> = energy.into_iter().chain(price).collect();
    Some(Block::line(format!("a million generated tokens: {}", parts.join(", ")), Tone::Plain))
}
