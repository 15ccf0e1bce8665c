//! Reading words in order.

use super::ParseError;
use super::lexer::Token;

/// The words of a text, and how far they have been read.
pub(super) struct Reader<'a> {
    tokens: Vec<Token<'a>>,
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tokens: Vec<Token<'a>>) -> Self {
        Self { tokens, position: 0 }
    }

    /// The next word, unless the text has ended.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.position).map(|token| token.text)
    }

    /// The word after the next one.
    pub(super) fn peek_second(&self) -> Option<&'a str> {
        self.tokens.get(self.position + 1).map(|token| token.text)
    }

    /// The line of the next word, or of the last one.
    pub(super) fn line(&self) -> u32 {
        self.tokens.get(self.position).or(self.tokens.last()).map_or(1, |token| token.line)
    }

    pub(super) fn next(&mut self) -> Result<&'a str, ParseError> {
        let word = self.peek().ok_or_else(|| self.error("the text ends in the middle"))?;
        self.position += 1;
        Ok(word)
    }

    /// Reads `word` if it comes next.
    pub(super) fn accept(&mut self, word: &str) -> bool {
        let is_next = self.peek() == Some(word);
        self.position += usize::from(is_next);
        is_next
    }

    pub(super) fn expect(&mut self, word: &str) -> Result<(), ParseError> {
        if self.accept(word) {
            return Ok(());
        }
        Err(self.error(format!("`{word}` is missing before `{}`", self.peek().unwrap_or("the end"))))
    }

    /// Reads a number without a sign that fits in 64 bits.
    pub(super) fn number(&mut self) -> Result<u64, ParseError> {
        let line = self.line();
        let word = self.next()?;
        integer(word).ok_or_else(|| ParseError::at(line, format!("`{word}` is not a number")))
    }

    /// Reads a number of bytes or threads.
    pub(super) fn size(&mut self) -> Result<u32, ParseError> {
        let line = self.line();
        let number = self.number()?;
        u32::try_from(number).map_err(|_| ParseError::at(line, format!("`{number}` is too large")))
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::at(self.line(), message)
    }
}

/// An integer as PTX writes it.
pub(super) fn integer(word: &str) -> Option<u64> {
    let digits = word.strip_suffix('U').unwrap_or(word);
    if let Some(hexadecimal) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        u64::from_str_radix(hexadecimal, 16).ok()
    } else if let Some(binary) = digits.strip_prefix("0b").or(digits.strip_prefix("0B")) {
        u64::from_str_radix(binary, 2).ok()
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8).ok()
    } else {
        digits.parse().ok()
    }
}

/// The bits of a floating-point number in PTX's exact notation.
pub(super) fn float(word: &str) -> Option<u64> {
    let digits = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| word.strip_prefix(prefix));
    if let Some(single) = digits(["0f", "0F"]) {
        (single.len() == 8).then(|| u64::from_str_radix(single, 16).ok()).flatten()
    } else {
        let double = digits(["0d", "0D"])?;
        (double.len() == 16).then(|| u64::from_str_radix(double, 16).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_all_notations() {
        assert_eq!(integer("10"), Some(10));
        assert_eq!(integer("0x64006400"), Some(0x6400_6400));
        assert_eq!(integer("0b101U"), Some(5));
        assert_eq!(integer("017"), Some(15));
        assert_eq!(integer("18446744073709551616"), None);
        assert_eq!(float("0f3F800000"), Some(u64::from(1.0_f32.to_bits())));
        assert_eq!(float("0d3FF0000000000000"), Some(1.0_f64.to_bits()));
        assert_eq!(float("0f3F8"), None);
    }
}
