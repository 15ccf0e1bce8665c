//! SVG in the making: elements with classes, coordinates to a tenth, text that cannot become markup.

use std::fmt::Write;

/// SVG elements, one after another.
#[derive(Clone, Debug, Default)]
pub(super) struct Canvas {
    text: String,
}

/// Where a text is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// Text in which nothing is taken for markup; control characters, which XML does not know, are replaced.
pub(in crate::report) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            character if character.is_control() => out.push('\u{fffd}'),
            character => out.push(character),
        }
    }
    out
}

// Writing to a string cannot fail.
impl Canvas {
    pub(super) fn text(&mut self, (x, y): (f64, f64), class: &str, anchor: Anchor, text: &str) {
        let (anchor, text) = (anchor.word(), escaped(text));
        let _ =
            writeln!(self.text, r#"<text x="{x:.1}" y="{y:.1}" class="{class}" text-anchor="{anchor}">{text}</text>"#);
    }

    pub(super) fn turned(&mut self, (x, y): (f64, f64), angle: f64, class: &str, text: &str) {
        let text = escaped(text);
        let turn = if angle.abs() < 0.05 {
            String::new()
        } else {
            format!(r#" transform="rotate({angle:.1} {x:.1} {y:.1})""#)
        };
        let _ = writeln!(
            self.text,
            r#"<text x="{x:.1}" y="{y:.1}" class="{class}" text-anchor="middle"{turn}>{text}</text>"#
        );
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], class: &str, detail: &str) {
        if points.is_empty() {
            return;
        }
        let data = data(points);
        let _ = writeln!(self.text, r#"<path d="{data}" class="{class}"{}"#, closed("path", detail));
    }

    pub(super) fn area(&mut self, points: &[(f64, f64)], class: &str) {
        let data = data(points);
        let _ = writeln!(self.text, r#"<path d="{data}Z" class="{class}"/>"#);
    }

    pub(super) fn circle(&mut self, (x, y): (f64, f64), radius: f64, class: &str, detail: &str) {
        let end = closed("circle", detail);
        let _ = writeln!(self.text, r#"<circle cx="{x:.1}" cy="{y:.1}" r="{radius:.1}" class="{class}"{end}"#);
    }

    pub(super) fn diamond(&mut self, (x, y): (f64, f64), radius: f64, class: &str, detail: &str) {
        let r = radius * 1.25;
        let end = closed("path", detail);
        let _ = writeln!(
            self.text,
            r#"<path d="M{x:.1} {:.1}l{r:.1} {r:.1}l{:.1} {r:.1}l{:.1} {:.1}Z" class="{class}"{end}"#,
            y - r,
            -r,
            -r,
            -r
        );
    }

    pub(super) fn rectangle(&mut self, [x, y, width, height]: [f64; 4], class: &str, detail: &str) {
        let end = closed("rect", detail);
        let _ = writeln!(
            self.text,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" class="{class}"{end}"#
        );
    }

    pub(super) fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// The end of an element, with what is to be said of it.
fn closed(name: &str, detail: &str) -> String {
    if detail.is_empty() { "/>".to_owned() } else { format!("><title>{}</title></{name}>", escaped(detail)) }
}

fn data(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let _ = write!(data, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' });
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(escaped("a<b>&\"'\u{1b}"), "a&lt;b&gt;&amp;&quot;&#39;\u{fffd}");
        let mut canvas = Canvas::default();
        canvas.circle((1.0, 2.0), 3.0, "c0", "</title><script>");
        assert!(!canvas.finish().contains("<script>"));
    }
}
