//! PTX text to modules: words, declarations, instructions.

mod body;
mod declaration;
mod lexer;
mod module;
mod operand;
mod place;
mod reader;
mod scope;
mod statement;

pub use module::{Kernel, Module, Parameter, Target, Version};
pub(crate) use operand::{Address, Guard, Operand, Register, Source, Special};
pub(crate) use statement::Statement;

/// Why a text is not a module that can be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// The line, counted from one.
    pub line: u32,
    /// What is wrong there.
    pub message: String,
}

impl ParseError {
    pub(crate) fn at(line: u32, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}
