//! An instruction as it is written, taken apart by the family that understands it.

use super::ParseError;
use super::operand::{Address, Operand, Register, Source};
use crate::kind::Kind;

/// An instruction's name, modifiers and operands. Whoever decodes it takes out what it understands; what is left in the
/// end is an error, so that no modifier is ever ignored.
#[derive(Clone, Debug)]
pub(crate) struct Statement<'a> {
    pub(crate) name: &'a str,
    modifiers: Vec<&'a str>,
    operands: std::vec::IntoIter<Operand>,
    line: u32,
}

impl<'a> Statement<'a> {
    pub(super) fn new(opcode: &'a str, operands: Vec<Operand>, line: u32) -> Self {
        let mut words = opcode.split('.');
        let name = words.next().unwrap_or_default();
        Self { name, modifiers: words.collect(), operands: operands.into_iter(), line }
    }

    /// Takes out a modifier. Returns whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let position = self.modifiers.iter().position(|modifier| *modifier == name);
        position.map(|position| self.modifiers.remove(position)).is_some()
    }

    /// Takes out every modifier of a list that changes nothing here: hints, and orderings that always hold.
    pub(crate) fn ignore(&mut self, names: &[&str]) {
        self.modifiers.retain(|modifier| !names.contains(modifier));
    }

    /// Takes out the first modifier that a table knows.
    pub(crate) fn choose<T: Copy>(&mut self, table: &[(&str, T)]) -> Option<T> {
        let known = |modifier: &&str| table.iter().find(|row| row.0 == *modifier).map(|row| row.1);
        let (position, found) =
            self.modifiers.iter().enumerate().find_map(|(position, modifier)| Some((position, known(modifier)?)))?;
        self.modifiers.remove(position);
        Some(found)
    }

    /// Takes out the first modifier that a table knows, which must be there.
    pub(crate) fn require<T: Copy>(&mut self, what: &str, table: &[(&str, T)]) -> Result<T, ParseError> {
        self.choose(table).ok_or_else(|| self.error(format!("the {what} is missing or unknown")))
    }

    /// Takes out the first modifier that names a type.
    pub(crate) fn kind(&mut self) -> Result<Kind, ParseError> {
        let position = self.modifiers.iter().position(|modifier| Kind::parse(modifier).is_some());
        let kind = position.and_then(|position| Kind::parse(self.modifiers.remove(position)));
        kind.ok_or_else(|| self.error("the type is missing or unknown"))
    }

    /// The first type among the modifiers, which stays there.
    pub(crate) fn peek_kind(&self) -> Option<Kind> {
        self.modifiers.iter().find_map(|modifier| Kind::parse(modifier))
    }

    /// Whether a modifier is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.modifiers.contains(&name)
    }

    /// How many operands are left.
    pub(crate) fn operands_left(&self) -> usize {
        self.operands.len()
    }

    /// The next operand, whatever it is.
    pub(crate) fn operand(&mut self) -> Result<Operand, ParseError> {
        self.operands.next().ok_or_else(|| self.error("an operand is missing"))
    }

    /// The next operand, which is a register that is written.
    pub(crate) fn register(&mut self) -> Result<Register, ParseError> {
        match self.source()? {
            Source::Register(register) => Ok(register),
            other => Err(self.error(format!("a register is expected where {other:?} stands"))),
        }
    }

    /// The next operand, which is a single value.
    pub(crate) fn source(&mut self) -> Result<Source, ParseError> {
        match self.operand()? {
            Operand::Source(source) => Ok(source),
            other => Err(self.error(format!("a single value is expected where {other:?} stands"))),
        }
    }

    /// The next operand, which is a constant.
    pub(crate) fn constant(&mut self) -> Result<u64, ParseError> {
        match self.source()? {
            Source::Immediate(value) => Ok(value),
            _ => Err(self.error("a constant is expected")),
        }
    }

    /// The next operands, which are single values.
    pub(crate) fn sources<const N: usize>(&mut self) -> Result<[Source; N], ParseError> {
        let mut sources = [Source::Immediate(0); N];
        for source in &mut sources {
            *source = self.source()?;
        }
        Ok(sources)
    }

    /// The next operand, which is a predicate: where it comes from and whether it is negated.
    pub(crate) fn predicate(&mut self) -> Result<(Source, bool), ParseError> {
        match self.operand()? {
            Operand::Source(source) => Ok((source, false)),
            Operand::Not(source) => Ok((source, true)),
            other => Err(self.error(format!("a predicate is expected where {other:?} stands"))),
        }
    }

    /// The next operand, which is one register or two (`d|p`).
    pub(crate) fn register_pair(&mut self) -> Result<(Register, Option<Register>), ParseError> {
        match self.operand()? {
            Operand::Source(Source::Register(first)) => Ok((first, None)),
            Operand::Pair(Source::Register(first), Source::Register(second)) => Ok((first, Some(second))),
            other => Err(self.error(format!("registers are expected where {other:?} stands"))),
        }
    }

    /// The next operand, which is an address.
    pub(crate) fn address(&mut self) -> Result<Address, ParseError> {
        match self.operand()? {
            Operand::Address(address) => Ok(address),
            other => Err(self.error(format!("an address is expected where {other:?} stands"))),
        }
    }

    /// The next operand, which is a tensor and a place in it.
    pub(crate) fn tensor(&mut self) -> Result<(Source, Vec<Source>), ParseError> {
        match self.operand()? {
            Operand::Tensor(tensor, place) => Ok((tensor, place)),
            other => Err(self.error(format!("a tensor and a place in it are expected where {other:?} stands"))),
        }
    }

    /// The next operand, which is one value or several in braces.
    pub(crate) fn values(&mut self) -> Result<Vec<Source>, ParseError> {
        match self.operand()? {
            Operand::Source(source) => Ok(vec![source]),
            Operand::Vector(sources) => Ok(sources),
            other => Err(self.error(format!("values are expected where {other:?} stands"))),
        }
    }

    /// The next operand, which is one register or several in braces.
    pub(crate) fn registers(&mut self) -> Result<Vec<Register>, ParseError> {
        let register = |source| match source {
            Source::Register(register) => Ok(register),
            other => Err(self.error(format!("a register is expected where {other:?} stands"))),
        };
        let values = self.clone().values()?.into_iter().map(register).collect();
        self.operands.next();
        values
    }

    /// Nothing may be left that nobody understood.
    pub(crate) fn finish(&self) -> Result<(), ParseError> {
        if let Some(modifier) = self.modifiers.first() {
            return Err(self.error(format!("the modifier `.{modifier}` is not supported here")));
        }
        if self.operands.len() > 0 {
            return Err(self.error("there are too many operands"));
        }
        Ok(())
    }

    /// An error that names the instruction.
    pub(crate) fn error(&self, message: impl std::fmt::Display) -> ParseError {
        ParseError::at(self.line, format!("`{}`: {message}", self.name))
    }
}
