//! A step's account as a table: the least time, the estimate, and where it goes.

use super::super::block::{Block, Cell, Group, Row, Table, Tone};
use crate::estimate::cost::{Assumption, Bound, Knowledge};
use crate::estimate::{Account, Entry, Fetched, FloorOf};
use crate::graph::Part;
use crate::model::Role;
use crate::units::{Seconds, Unit, human, percent};

/// What the rows of an account are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Operators.
    Operator,
    /// Parts of a layer.
    Layer,
    /// What bounds the time.
    Resource,
}

/// A step's account, beside that of another profile.
pub(super) fn account(title: &str, account: &Account, against: Option<&Account>, by: By) -> Vec<Block> {
    let context = if account.new_tokens > 1 {
        format!("{} × {} tokens", account.sequences, account.new_tokens)
    } else {
        format!("{} × 1 token at {} of context", account.sequences, account.context)
    };
    let mut rows = match by {
        By::Operator => grouped(account, |entry| entry.part.word()),
        By::Layer => grouped(account, |entry| layer(entry.part)),
        By::Resource => {
            account.by_bound.iter().map(|share| row(share.of.word(), None, share.time, share.share, None)).collect()
        }
    };
    let waiting = account.waiting().filter(|_| by != By::Resource);
    rows.extend(waiting.map(|(time, share)| row("waiting", None, time, share, None)));
    let columns = ["×", "time", "share", "bound by", "known"].map(str::to_owned).to_vec();
    let right = vec![true, true, true, false, false];
    let table = Table { columns, right, groups: vec![Group { title: format!("{title}, {context}"), rows }] };
    let mut blocks = vec![Block::Table(table), total(account)];
    blocks.extend(above_floor(account));
    blocks.extend(fetched(account));
    blocks.extend(against.map(|other| beside(account, other)));
    blocks
}

/// Entries of the same name as one row, the longest first; the short ones as one. Not communication, which has its row wherever devices exchange data.
fn grouped(account: &Account, name: impl Fn(&Entry) -> &'static str) -> Vec<Row> {
    let mut sums: Vec<(&'static str, Entry)> = Vec::new();
    for entry in &account.operators {
        match sums.iter_mut().find(|(known, _)| *known == name(entry)) {
            Some((_, sum)) => {
                // The longest came first, and keeps the say on its bound.
                sum.count = sum.count.saturating_add(entry.count);
                sum.time = sum.time + entry.time;
                sum.share += entry.share;
                sum.knowledge = sum.knowledge.max(entry.knowledge);
            }
            None => sums.push((name(entry), *entry)),
        }
    }
    sums.sort_by(|a, b| b.1.time.get().total_cmp(&a.1.time.get()));
    let is_listed = |entry: &Entry| entry.share >= Account::SMALL || entry.part == Part::Communication;
    let (long, short): (Vec<_>, Vec<_>) = sums.into_iter().partition(|(_, entry)| is_listed(entry));
    let mut rows: Vec<Row> =
        long.iter().map(|(name, entry)| row(name, Some(entry.count), entry.time, entry.share, Some(entry))).collect();
    let rest: Seconds = short.iter().map(|(_, entry)| entry.time).sum();
    if rest.get() > 0.0 {
        let names: Vec<&str> = short.iter().map(|(name, _)| *name).collect();
        let share = short.iter().map(|(_, entry)| entry.share).sum();
        let label = if names.len() > 3 { "the rest".to_owned() } else { names.join(", ") };
        rows.push(row(&label, None, rest, share, None));
    }
    rows
}

fn row(label: &str, count: Option<u64>, time: Seconds, share: f64, entry: Option<&Entry>) -> Row {
    let bound = entry.map_or("", |entry| entry.bound.word());
    let known = entry.map_or("", |entry| entry.knowledge.word());
    let tone = entry.map_or(Tone::Dim, |entry| tone(entry.knowledge));
    Row {
        label: label.to_owned(),
        cells: vec![
            Cell::new(count.map_or_else(String::new, |count| count.to_string()), Tone::Dim),
            Cell::plain(human(time.get(), Unit::Second).to_string()),
            Cell::plain(percent(share)),
            Cell::plain(bound),
            Cell::new(known, tone),
        ],
    }
}

const fn tone(knowledge: Knowledge) -> Tone {
    match knowledge {
        Knowledge::Measured | Knowledge::Interpolated | Knowledge::Fitted => Tone::Dim,
        _ => Tone::Warn,
    }
}

/// The part of a layer that an operator belongs to.
const fn layer(part: Part) -> &'static str {
    match part {
        Part::Matrix(
            Role::Query
            | Role::Key
            | Role::Value
            | Role::Output
            | Role::QueryDown
            | Role::QueryUp
            | Role::LatentDown
            | Role::LatentUp
            | Role::RecurrentIn
            | Role::RecurrentBetween
            | Role::RecurrentOut,
        )
        | Part::Rope
        | Part::CacheWrite
        | Part::Attention
        | Part::Recurrence => "mixer",
        Part::Matrix(Role::Embedding | Role::Head) | Part::Embedding | Part::Sampling => "embedding and head",
        Part::Matrix(_) | Part::Activation | Part::Routing | Part::Combine => "feed-forward",
        Part::Norm | Part::Quantization | Part::Residual => "norms and residuals",
        Part::Communication => "communication",
        Part::Transfer => "transfer",
        Part::Framework => "framework",
    }
}

/// The estimate beside the least time.
fn total(account: &Account) -> Block {
    let mut cells = vec![Cell::new(format!("estimate {}", account.time), Tone::Strong)];
    if let Some(floor) = account.floor {
        let ratio = account.time / floor.time;
        cells.push(Cell::plain(format!("  {}: {ratio:.2}×", floor_line(&floor))));
    }
    let utilisation = [("MBU", account.mbu), ("MFU", account.mfu)];
    for (name, share) in utilisation.into_iter().filter_map(|(name, share)| Some((name, share?))) {
        cells.push(Cell::plain(format!("  {name} {}", percent(share))));
    }
    let known: Vec<String> =
        account.by_knowledge.iter().map(|share| format!("{} {}", percent(share.share), share.of.word())).collect();
    cells.push(Cell::new(format!("  {}", known.join(", ")), Tone::Dim));
    Block::Line(cells)
}

/// The least time, in its parts.
fn floor_line(floor: &FloorOf) -> String {
    let (time, known) = (floor.time, floor.knowledge.word());
    if is_arithmetic(floor) {
        format!("floor {time} (arithmetic, {known})")
    } else {
        format!("floor {time} = weights {} + cache {} (memory, {known})", floor.weights, floor.cache)
    }
}

fn is_arithmetic(floor: &FloorOf) -> bool {
    floor.compute >= floor.memory
}

/// What separates the estimate from the least time. The differences add up to that of the two.
fn above_floor(account: &Account) -> Option<Block> {
    let floor = account.floor.filter(|floor| floor.time.get() > 0.0)?;
    let of = |bound| match bound {
        Bound::Compute if is_arithmetic(&floor) => floor.compute.get(),
        Bound::Weights if !is_arithmetic(&floor) => floor.weights.get(),
        Bound::Kv if !is_arithmetic(&floor) => floor.cache.get(),
        _ => 0.0,
    };
    let differences = differences(account, of);
    let colon = if differences.is_empty() { "" } else { ": " };
    let text = format!("above the floor by {}{colon}{differences}", account.time - floor.time);
    Some(Block::line(text, Tone::Plain))
}

/// What comes from outside of the device's memory.
fn fetched(account: &Account) -> Option<Block> {
    let Fetched { bytes, time, exposed, knowledge } = account.fetched?;
    let bytes = human(bytes.get(), Unit::Byte);
    let text =
        format!("{bytes} from outside of the device's memory in {time} ({knowledge}), {exposed} of it waited for");
    Some(Block::line(text, Tone::Plain))
}

/// What the other profile says, and where it differs most.
fn beside(account: &Account, other: &Account) -> Block {
    let differences = differences(account, |bound| spent_on(other, bound));
    Block::line(format!("against {}: {:.2}×  {differences}", other.time, account.time / other.time), Tone::Plain)
}

/// Seconds that are spent on something.
fn spent_on(account: &Account, bound: Bound) -> f64 {
    account.by_bound.iter().find(|share| share.of == bound).map_or(0.0, |share| share.time.get())
}

/// What an account spends more or less on than another, the largest difference first; small ones are left out.
fn differences(account: &Account, other: impl Fn(Bound) -> f64) -> String {
    let mut differences: Vec<(Bound, f64)> =
        Bound::ALL.iter().map(|&bound| (bound, spent_on(account, bound) - other(bound))).collect();
    differences.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    let shown = differences.iter().filter(|(_, seconds)| seconds.abs() > Account::SMALL * account.time.get());
    let sign = |seconds: f64| if seconds > 0.0 { "+" } else { "−" };
    let words = shown.map(|(bound, seconds)| format!("{}{} {bound}", sign(*seconds), Seconds(seconds.abs())));
    words.collect::<Vec<String>>().join(", ")
}

/// What the accounts rest on, each once, with the share of each account's time; the largest first.
pub(super) fn assumptions(accounts: &[(&str, &Account)]) -> Vec<Block> {
    let mut sums: Vec<(Assumption, Vec<f64>)> = Vec::new();
    for (index, (_, account)) in accounts.iter().enumerate() {
        for assumption in &account.assumptions {
            let known = sums.iter().position(|(known, _)| known.is_like(assumption)).unwrap_or_else(|| {
                sums.push((assumption.clone(), vec![0.0; accounts.len()]));
                sums.len() - 1
            });
            sums[known].0.add_resources(&assumption.resources);
            sums[known].1[index] += assumption.share;
        }
    }
    if sums.is_empty() {
        return Vec::new();
    }
    let largest = |shares: &[f64]| shares.iter().copied().fold(0.0, f64::max);
    sums.sort_by(|a, b| largest(&b.1).total_cmp(&largest(&a.1)));
    let line = |(assumption, shares): &(Assumption, Vec<f64>)| {
        let shares = shares.iter().zip(accounts).filter(|(share, _)| **share > 0.0);
        let shares: Vec<String> = shares.map(|(share, (name, _))| format!("{} of {name}", percent(*share))).collect();
        let shares = if shares.is_empty() { String::new() } else { format!("{}: ", shares.join(", ")) };
        Block::line(format!("  {shares}{assumption}"), Tone::Dim)
    };
    [Block::blank(), Block::line("it rests on", Tone::Plain)].into_iter().chain(sums.iter().map(line)).collect()
}
