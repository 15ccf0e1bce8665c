//! Operands as they are read: numbers, registers, and the places of variables.

use super::ParseError;
use super::body::Body;
use super::operand::{Address, Operand, Register, Source, Special};
use super::reader::{float, integer};
use super::scope::Symbol;

impl Body<'_, '_> {
    pub(super) fn read_operand(&mut self) -> Result<Operand, ParseError> {
        if self.reader.accept("[") {
            let base = self.read_source()?;
            if self.reader.accept(",") {
                self.reader.expect("{")?;
                let place = self.read_values()?;
                self.reader.expect("]")?;
                return Ok(Operand::Tensor(base, place));
            }
            let mut offset = 0_i64;
            if self.reader.accept("+") {
                let negative = self.reader.accept("-");
                let number = self.reader.number()? as i64;
                offset = if negative { number.wrapping_neg() } else { number };
            }
            self.reader.expect("]")?;
            return Ok(Operand::Address(Address { base, offset }));
        }
        if self.reader.accept("{") {
            return Ok(Operand::Vector(self.read_values()?));
        }
        if self.reader.accept("!") {
            return Ok(Operand::Not(self.read_source()?));
        }
        let source = self.read_source()?;
        if self.reader.accept("|") {
            return Ok(Operand::Pair(source, self.read_source()?));
        }
        Ok(Operand::Source(source))
    }

    /// Values up to a closing brace.
    fn read_values(&mut self) -> Result<Vec<Source>, ParseError> {
        let mut values = Vec::new();
        while !self.reader.accept("}") {
            values.push(self.read_source()?);
            self.reader.accept(",");
        }
        Ok(values)
    }

    pub(super) fn read_source(&mut self) -> Result<Source, ParseError> {
        let negative = self.reader.accept("-");
        let line = self.reader.line();
        let word = self.reader.next()?;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            let value = float(word).or(integer(word));
            let value = value.ok_or_else(|| ParseError::at(line, format!("`{word}` is not a number")))?;
            return Ok(Source::Immediate(if negative { value.wrapping_neg() } else { value }));
        }
        if word == "_" {
            return self.sink().map(Source::Register);
        }
        let source = match self.scopes.find(word) {
            Some(Symbol::Register(register)) => return Ok(Source::Register(register)),
            Some(Symbol::Place(place)) => place,
            Some(Symbol::Shared { bytes, align }) => {
                let place = Source::Immediate(u64::from(self.place_shared(bytes, align)?));
                self.scopes.insert_in_kernel(word, Symbol::Place(place));
                place
            }
            Some(Symbol::Dynamic { align }) => {
                self.kernel.dynamic_align = self.kernel.dynamic_align.max(align);
                Source::Dynamic(0)
            }
            None => {
                let special = Special::parse(word).map(Source::Special);
                return special.ok_or_else(|| ParseError::at(line, format!("`{word}` is not declared")));
            }
        };
        if matches!(self.reader.peek(), Some("+")) && self.reader.peek_second().is_some_and(|next| next != "-") {
            self.reader.next()?;
            let more = self.reader.number()?;
            return Ok(match source {
                Source::Immediate(offset) => Source::Immediate(offset.wrapping_add(more)),
                Source::Dynamic(offset) => Source::Dynamic(offset.wrapping_add(more)),
                Source::Global { variable, offset } => Source::Global { variable, offset: offset.wrapping_add(more) },
                other => other,
            });
        }
        Ok(source)
    }

    fn sink(&mut self) -> Result<Register, ParseError> {
        if let Some(register) = self.sink {
            return Ok(register);
        }
        let register = self.add_registers("_", 1, false)?;
        self.sink = Some(register);
        Ok(register)
    }
}
