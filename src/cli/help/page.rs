//! A topic's Markdown as pieces, and the pieces as text of some width. Topics use headings, paragraphs, lists and blocks of code, and no more.

use rooflab::report::{Block, Cell, Tone};
use unicode_width::UnicodeWidthStr;

/// A piece of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A heading, and how deep it is.
    Heading(usize, &'a str),
    /// A paragraph, in one line.
    Paragraph(&'a str),
    /// An item of a list, in one line.
    Item(&'a str),
    /// Lines that stay as they are.
    Code(Vec<&'a str>),
}

/// Takes a page apart. Each paragraph and each item is a line of it.
pub(crate) fn pieces(page: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut code: Option<Vec<&str>> = None;
    for line in page.lines() {
        if line.starts_with("```") {
            match code.take() {
                Some(lines) => pieces.push(Piece::Code(lines)),
                None => code = Some(Vec::new()),
            }
        } else if let Some(lines) = &mut code {
            lines.push(line);
        } else if line.starts_with('#') {
            let text = line.trim_start_matches('#');
            pieces.push(Piece::Heading(line.len() - text.len(), text.trim()));
        } else if let Some(item) = line.strip_prefix("- ") {
            pieces.push(Piece::Item(item));
        } else if !line.trim().is_empty() {
            pieces.push(Piece::Paragraph(line));
        }
    }
    pieces
}

/// Narrower than this, words would stand below each other.
const NARROWEST: usize = 24;

/// A page as lines of at most a width.
pub(super) fn blocks(page: &str, width: usize) -> Vec<Block> {
    let width = width.max(NARROWEST);
    let mut blocks = Vec::new();
    let mut before: Option<Piece<'_>> = None;
    for piece in pieces(page) {
        // A heading stands by its text, and the items of a list by each other.
        let together = matches!(
            (&before, &piece),
            (None, _) | (Some(Piece::Heading(2.., _)), _) | (Some(Piece::Item(_)), Piece::Item(_))
        );
        if !together {
            blocks.push(Block::blank());
        }
        match &piece {
            Piece::Heading(_, text) => {
                blocks.extend(wrapped(text, width).into_iter().map(|line| Block::line(line, Tone::Strong)));
            }
            Piece::Paragraph(text) => {
                blocks.extend(wrapped(text, width).into_iter().map(|line| Block::line(line, Tone::Plain)));
            }
            Piece::Item(text) => {
                for (index, line) in wrapped(text, width - 4).into_iter().enumerate() {
                    blocks
                        .push(Block::line(format!("{}{line}", if index == 0 { "  - " } else { "    " }), Tone::Plain));
                }
            }
            Piece::Code(lines) => {
                let line = |line: &&str| Block::Line(vec![Cell::plain("    "), Cell::new(*line, Tone::Dim)]);
                blocks.extend(lines.iter().map(line));
            }
        }
        before = Some(piece);
    }
    blocks
}

/// A text in lines of at most a width; a word that is longer has a line for itself.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use rooflab::report::{Style, text};

    use super::*;
    use crate::cli::help::topics::TOPICS;

    #[test]
    fn a_page_is_taken_apart() {
        let page = "# Title\n\nA text.\n\n- one\n- two\n\n```\n# as it is\n```\n";
        let expected = [
            Piece::Heading(1, "Title"),
            Piece::Paragraph("A text."),
            Piece::Item("one"),
            Piece::Item("two"),
            Piece::Code(vec!["# as it is"]),
        ];
        assert_eq!(pieces(page), expected);
    }

    #[test]
    fn lines_keep_to_the_width_and_no_word_is_lost() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for topic in TOPICS {
            for width in [0, 40, 80, 100] {
                let plain = text(&blocks(topic.page, width), Style { width: None, unicode: true, colour: false });
                let code: Vec<&str> = pieces(topic.page)
                    .into_iter()
                    .flat_map(|piece| if let Piece::Code(lines) = piece { lines } else { Vec::new() })
                    .collect();
                for line in plain.lines().filter(|line| !code.iter().any(|code| code.trim() == line.trim())) {
                    let fits = line.width() <= width.max(NARROWEST) || line.split_whitespace().count() <= 2;
                    assert!(fits, "{} at {width}: {line}", topic.name);
                }
                let marks = |word: &String| !["#", "##", "```", "-"].contains(&word.as_str());
                let (given, shown) = (words(topic.page), words(&plain));
                assert_eq!(
                    given.into_iter().filter(marks).collect::<Vec<_>>(),
                    shown.into_iter().filter(marks).collect::<Vec<_>>(),
                    "{}",
                    topic.name
                );
            }
        }
    }
}
