//! The topics as sections of the manual page.

use roff::{Roff, bold, roman};

use super::page::{Piece, pieces};
use super::topics::Topic;

/// The topics as sections.
pub(super) fn sections(topics: &[Topic]) -> String {
    let mut roff = Roff::new();
    for topic in topics {
        section(&mut roff, topic);
    }
    roff.render()
}

fn section(roff: &mut Roff, topic: &Topic) {
    roff.control("SH", [topic.title().to_uppercase().as_str()]);
    for piece in pieces(topic.body()) {
        match piece {
            Piece::Heading(_, text) => roff.control("SS", [text]),
            Piece::Paragraph(text) => roff.control("PP", []).text(inline(text)),
            Piece::Item(text) => roff.control("IP", ["\\(bu", "2"]).text(inline(text)),
            Piece::Code(lines) => {
                roff.control("PP", []).control("RS", ["4"]).control("nf", []);
                for line in lines {
                    roff.text([roman(line)]);
                }
                roff.control("fi", []).control("RE", [])
            }
        };
    }
}

/// What stands between backticks is bold.
fn inline(text: &str) -> Vec<roff::Inline> {
    text.split('`').enumerate().map(|(index, part)| if index % 2 == 0 { roman(part) } else { bold(part) }).collect()
}
