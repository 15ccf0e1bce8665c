//! Blocks as HTML: lines, tables that scroll by themselves, bars.

use super::class;
use crate::report::chart::canvas::escaped;
use crate::report::{Bar, Block, Cell, Group, Table};

pub(super) fn html(blocks: &[Block]) -> String {
    blocks.iter().map(block).collect()
}

fn block(block: &Block) -> String {
    match block {
        Block::Line(cells) if cells.iter().all(|cell| cell.text.trim().is_empty()) => String::new(),
        Block::Line(cells) => format!("<p class=\"line\">{}</p>\n", cells.iter().map(inline).collect::<String>()),
        Block::Table(table) => of_table(table),
        Block::Bar(bar) => of_bar(bar),
    }
}

fn inline(cell: &Cell) -> String {
    match class(cell.tone) {
        "" => escaped(&cell.text),
        class => format!("<span class=\"{class}\">{}</span>", escaped(&cell.text)),
    }
}

fn of_table(table: &Table) -> String {
    let mut out = "<div class=\"scroll\" tabindex=\"0\">\n<table>\n".to_owned();
    for group in &table.groups {
        out += &of_group(table, group);
    }
    out + "</table>\n</div>\n"
}

fn of_group(table: &Table, group: &Group) -> String {
    let side = |index: usize| if table.right.get(index).copied().unwrap_or(false) { " class=\"right\"" } else { "" };
    let mut out = format!("<tbody>\n<tr><th scope=\"rowgroup\">{}</th>", escaped(&group.title));
    for (index, title) in table.columns.iter().enumerate() {
        out += &format!("<th scope=\"col\"{}>{}</th>", side(index), escaped(title));
    }
    out += "</tr>\n";
    for row in &group.rows {
        out += &format!("<tr><th scope=\"row\"{}>{}</th>", short(&row.label), breakable(&row.label));
        if let [only] = row.cells.as_slice()
            && table.columns.len() > 1
        {
            out += &format!("<td colspan=\"{}\">{}</td>", table.columns.len(), inline(only));
        } else {
            for (index, cell) in row.cells.iter().enumerate() {
                out += &format!("<td{}>{}</td>", side(index), inline(cell));
            }
        }
        out += "</tr>\n";
    }
    out + "</tbody>\n"
}

/// Names up to so many characters stay on one line.
const SHORT: usize = 15;

const fn short(name: &str) -> &'static str {
    if name.len() <= SHORT { " class=\"short\"" } else { "" }
}

/// A name that may be broken after its dots.
fn breakable(name: &str) -> String {
    escaped(name).replace('.', ".<wbr>").replace('_', "_<wbr>")
}

fn of_bar(bar: &Bar) -> String {
    let total: f64 = bar.segments.iter().map(|segment| segment.size.max(0.0)).sum();
    let segments = bar.segments.iter().filter(|segment| segment.size > 0.0).enumerate();
    let parts: String = segments
        .map(|(index, segment)| {
            let (share, label) =
                (segment.size / total * 100.0, escaped(&format!("{} {}", segment.label, segment.value)));
            let class = if segment.is_rest { "rest".to_owned() } else { format!("s{}", index % 3) };
            format!("<span class=\"{class}\" style=\"flex:{share:.2}\" title=\"{label}\">{label}</span>")
        })
        .collect();
    format!("<div class=\"parts\"><b>{}</b>{parts}</div>\n", escaped(&bar.title))
}
