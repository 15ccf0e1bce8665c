//! PTX text to words: names, directives, numbers, punctuation, each with its line.

use super::ParseError;

/// A word of the text, as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Counted from one.
    pub(super) line: u32,
}

/// Whether a character continues a name, a directive, a number or an instruction with its modifiers.
fn continues(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$' | '%' | '.')
}

/// The bytes that the next word of `rest` takes.
fn length(rest: &str, line: u32) -> Result<usize, ParseError> {
    let Some(first) = rest.chars().next() else { return Ok(0) };
    if first == '"' {
        let end = rest.get(1..).and_then(|rest| rest.find('"'));
        return end.map(|end| end + 2).ok_or_else(|| ParseError::at(line, "a string without an end"));
    }
    if !continues(first) {
        return if "()[]{}<>,;:=|@!+-".contains(first) {
            Ok(1)
        } else {
            Err(ParseError::at(line, format!("the character `{first}` is not part of PTX")))
        };
    }
    let mut end = 0;
    loop {
        end += rest[end..].find(|c| !continues(c)).unwrap_or(rest.len() - end);
        // A modifier may hold two colons (`.L1::no_allocate`), a label ends with one.
        if rest[end..].starts_with("::") {
            end += 2;
        } else {
            return Ok(end);
        }
    }
}

/// Splits a text into words, without comments and without lines that only debuggers read.
pub(super) fn words(text: &str) -> Result<Vec<Token<'_>>, ParseError> {
    let mut tokens = Vec::new();
    let mut in_comment = false;
    for (line, content) in (1..).zip(text.lines()) {
        let mut rest = content;
        loop {
            if in_comment {
                let Some(end) = rest.find("*/") else { break };
                rest = &rest[end + 2..];
                in_comment = false;
            }
            rest = rest.trim_start();
            if rest.is_empty() || rest.starts_with("//") {
                break;
            }
            if let Some(comment) = rest.strip_prefix("/*") {
                rest = comment;
                in_comment = true;
                continue;
            }
            let (word, after) = rest.split_at(length(rest, line)?);
            if matches!(word, ".loc" | ".file") {
                break;
            }
            tokens.push(Token { text: word, line });
            rest = after;
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        words(text).unwrap().iter().map(|token| token.text).collect()
    }

    #[test]
    fn instructions_fall_into_words() {
        let text = "@!%p1 ld.global.nc.L1::no_allocate.v4.u32 {%r1,%r2}, [%rd1+-16]; // tail\n$L__BB0_2:";
        let expected = [
            "@",
            "!",
            "%p1",
            "ld.global.nc.L1::no_allocate.v4.u32",
            "{",
            "%r1",
            ",",
            "%r2",
            "}",
            ",",
            "[",
            "%rd1",
            "+",
            "-",
            "16",
            "]",
            ";",
            "$L__BB0_2",
            ":",
        ];
        assert_eq!(texts(text), expected);
    }

    #[test]
    fn comments_and_debug_lines_vanish() {
        assert_eq!(
            texts("a /* b\nc */ d\n.loc 1 2 3\n.pragma \"nounroll\";"),
            ["a", "d", ".pragma", "\"nounroll\"", ";"]
        );
        assert_eq!(words("x\n\n/* y\n*/ z").unwrap()[1].line, 4);
    }

    #[test]
    fn strange_characters_are_named() {
        let error = words("add\n#").unwrap_err();
        assert_eq!(error.to_string(), "line 2: the character `#` is not part of PTX");
        assert!(words("\"open").is_err());
    }
}
