//! Blocks as Markdown: paragraphs, lists, tables, and bars as text.

use super::bar;
use super::block::{Block, Cell, Group, Table, Tone};

/// Columns of a bar.
const BAR: usize = 100;

/// Renders blocks. Lines that are indented become items of lists.
#[must_use]
pub fn markdown(blocks: &[Block]) -> String {
    let mut out = String::new();
    let mut in_list = false;
    for block in blocks {
        let text = match block {
            Block::Line(cells) => cells.iter().map(toned).collect::<String>(),
            Block::Table(table) => {
                table.groups.iter().map(|group| of_group(table, group)).collect::<Vec<_>>().join("\n")
            }
            Block::Bar(bar) => format!("```text\n{}\n```", bar::line(bar, Some(BAR), true)),
        };
        let is_item = matches!(block, Block::Line(_)) && text.starts_with("  ");
        if text.trim().is_empty() {
            continue;
        }
        let continues = is_item && in_list;
        if !(out.is_empty() || continues) {
            out.push('\n');
        }
        if is_item {
            out += "- ";
        }
        out += text.trim();
        out.push('\n');
        in_list = is_item;
    }
    out
}

fn toned(cell: &Cell) -> String {
    let text = escaped(&cell.text);
    let (start, rest) = text.split_at(text.len() - text.trim_start().len());
    match cell.tone {
        Tone::Strong if !rest.trim().is_empty() => {
            let end = &rest[rest.trim_end().len()..];
            format!("{start}**{}**{end}", rest.trim_end())
        }
        _ => text,
    }
}

/// A text in which nothing is taken for markup.
fn escaped(text: &str) -> String {
    text.replace('*', "\\*").replace('<', "&lt;").replace('|', "\\|")
}

fn of_group(table: &Table, group: &Group) -> String {
    let mut text = format!("| {} |", escaped(&group.title));
    for title in &table.columns {
        text += &format!(" {} |", escaped(title));
    }
    text += "\n|---|";
    for (_, right) in table.columns.iter().zip(&table.right) {
        text += if *right { "--:|" } else { "---|" };
    }
    text.push('\n');
    for row in &group.rows {
        text += &format!("| {} |", escaped(&row.label));
        for cell in row.cells.iter().take(table.columns.len()) {
            text += &format!(" {} |", escaped(&cell.text));
        }
        for _ in row.cells.len()..table.columns.len() {
            text += " |";
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::block::Row;
    use super::*;

    #[test]
    fn lines_lists_and_tables() {
        let row = Row { label: "a|b".to_owned(), cells: vec![Cell::plain("1"), Cell::plain("x")] };
        let table = Table {
            columns: vec!["n".to_owned(), "what".to_owned()],
            right: vec![true, false],
            groups: vec![Group { title: "things".to_owned(), rows: vec![row] }],
        };
        let blocks = [
            Block::Line(vec![Cell::new("head ", Tone::Strong), Cell::plain("2 * 3 < 7")]),
            Block::blank(),
            Block::Table(table),
            Block::line("  one", Tone::Plain),
            Block::line("  two", Tone::Plain),
        ];
        let expected =
            "**head** 2 \\* 3 &lt; 7\n\n| things | n | what |\n|---|--:|---|\n| a\\|b | 1 | x |\n\n- one\n- two\n";
        assert_eq!(markdown(&blocks), expected);
    }
}
