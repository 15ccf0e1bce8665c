//! Words taken from files: short, without control characters, and never a path.

/// Characters that are kept of a word.
const LONGEST: usize = 160;

/// A word fit to be stored and shown.
pub(super) fn clean(word: &str) -> String {
    tame(&word.trim().chars().take(LONGEST).collect::<String>())
}

/// Text without control characters.
pub(super) fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The last part of a path or address; an ordinary name, and one with its owner (`meta-llama/Llama-3.1-8B`), as it is.
///
/// Folders tell who works where and on what, which is nobody's business but theirs.
pub(super) fn name(word: &str) -> String {
    let word = word.trim();
    if let Some((_, address)) = word.split_once("://") {
        let path = address.split(['?', '#']).next().and_then(|address| address.split_once('/'));
        return clean(path.map_or("", |(_host, path)| last_part(path)));
    }
    let word = word.trim_end_matches(['/', '\\']);
    let starts_as_path = word.starts_with(['/', '.', '~', '$', '%']) || word.contains('\\');
    let is_path = starts_as_path || word.matches('/').count() > 1 || word.get(1..2) == Some(":");
    clean(if is_path { last_part(word) } else { word })
}

/// What follows the last separator of a path.
pub(super) fn last_part(path: &str) -> &str {
    let path = path.trim_end_matches(['/', '\\']);
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lose_their_folders_and_owners_stay() {
        for (given, kept) in [
            ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
            ("/home/alice/models/Llama-3.1-8B/", "Llama-3.1-8B"),
            ("~/Llama", "Llama"),
            ("./a/b", "b"),
            (r"C:\models\x.gguf", "x.gguf"),
            ("C:/x", "x"),
            ("models/team/x", "x"),
            ("https://user:secret@host/v1/models/x?key=secret#y", "x"),
            ("https://user:secret@host", ""),
            ("", ""),
            ("é:", "é:"),
        ] {
            assert_eq!(name(given), kept, "{given}");
        }
    }

    #[test]
    fn words_are_short_and_tame() {
        assert_eq!(clean("a\u{1b}[31mb"), "a\u{fffd}[31mb");
        assert_eq!(clean(&"x".repeat(1000)).len(), LONGEST);
    }
}
