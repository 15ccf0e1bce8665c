//! The typeface of pictures and pages, so that they look the same everywhere, and how wide text is in it.

use std::sync::LazyLock;

use ttf_parser::Face;

/// Inter Regular: Latin letters, figures and some signs.
pub(in crate::report) const REGULAR: &[u8] = include_bytes!("fonts/Inter-Regular.otf");
/// Inter SemiBold, the same characters.
pub(in crate::report) const SEMIBOLD: &[u8] = include_bytes!("fonts/Inter-SemiBold.otf");

static FACES: LazyLock<[Option<Face<'static>>; 2]> =
    LazyLock::new(|| [Face::parse(REGULAR, 0).ok(), Face::parse(SEMIBOLD, 0).ok()]);

/// Width of a character that the typeface lacks, relative to its size.
const UNKNOWN: f64 = 0.7;

/// The width of a text at a size.
pub(in crate::report) fn width(text: &str, size: f64, is_bold: bool) -> f64 {
    let face = FACES[usize::from(is_bold)].as_ref();
    let advance = |character: char| {
        let face = face?;
        let glyph = face.glyph_index(character)?;
        Some(f64::from(face.glyph_hor_advance(glyph)?) / f64::from(face.units_per_em()))
    };
    size * text.chars().map(|character| advance(character).unwrap_or(UNKNOWN)).sum::<f64>()
}

/// A text in lines of no more than a width, broken between words. A word that is wider has a line of its own.
pub(in crate::report) fn wrapped(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(&format!("{line} {word}"), size, false) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_faces_can_be_read_and_have_the_signs_that_reports_use() {
        for face in FACES.iter() {
            let face = face.as_ref().unwrap();
            for character in "aZ09·×–—…±µ²³%/()→≈≤≥".chars() {
                assert!(face.glyph_index(character).is_some(), "{character}");
            }
        }
    }

    #[test]
    fn wide_text_is_wider_and_is_broken_between_words() {
        assert!(width("mmm", 12.0, false) > 2.0 * width("iii", 12.0, false));
        assert!(width("roof", 12.0, true) > width("roof", 12.0, false));
        assert_eq!(wrapped("one two three", 12.0, width("one two", 12.0, false) + 0.1), ["one two", "three"]);
        assert_eq!(wrapped("extraordinarily wide", 12.0, 1.0), ["extraordinarily", "wide"]);
    }
}
