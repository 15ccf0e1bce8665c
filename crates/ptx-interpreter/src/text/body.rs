//! Kernels: parameters, declarations, labels and instructions.

use std::collections::HashMap;
use std::sync::Arc;

use super::ParseError;
use super::declaration::Declaration;
use super::module::{Kernel, Parameter, RegisterFamily};
use super::operand::{Guard, Operand, Register, Source};
use super::reader::Reader;
use super::scope::{Scopes, Symbol};
use super::statement::Statement;
use crate::instruction::{Instruction, Operation};

/// Registers of a thread beyond which a text is refused: compilers emit a few thousand at most.
const MOST_REGISTERS: u32 = 1 << 16;
/// Bytes of shared or local memory beyond which a text is refused.
const MOST_MEMORY: u32 = 1 << 24;

/// Blocks of a cluster that every device with clusters runs.
const MOST_OF_CLUSTER: u32 = 8;

/// A branch whose label has not been found yet.
struct Pending {
    instruction: usize,
    label: String,
    line: u32,
}

/// What belongs to a block in braces.
#[derive(Default)]
struct Labels {
    known: HashMap<String, u32>,
    pending: Vec<Pending>,
}

/// A kernel that is being read.
pub(super) struct Body<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) scopes: &'r mut Scopes,
    labels: Vec<Labels>,
    pub(super) kernel: Kernel,
    /// Where values go that nobody wants (`_`).
    pub(super) sink: Option<Register>,
}

/// Reads a kernel from behind `.entry`.
pub(super) fn read_kernel<'a>(
    reader: &mut Reader<'a>,
    scopes: &mut Scopes,
    text: &Arc<str>,
) -> Result<Kernel, ParseError> {
    let kernel = Kernel {
        name: reader.next()?.to_owned(),
        parameters: Vec::new(),
        parameter_bytes: 0,
        code: Vec::new(),
        registers: Vec::new(),
        register_count: 0,
        shared_bytes: 0,
        dynamic_align: 16,
        local_bytes: 0,
        max_threads: None,
        cluster: 1,
        has_proxy: false,
        text: Arc::clone(text),
    };
    scopes.open();
    let mut body = Body { reader, scopes, labels: vec![Labels::default()], kernel, sink: None };
    body.read_parameters()?;
    body.read_directives()?;
    body.read_code()?;
    body.scopes.close();
    Ok(body.kernel)
}

/// The next multiple of an alignment.
fn align_up(bytes: u32, align: u32) -> u32 {
    bytes.next_multiple_of(align.max(1))
}

impl<'a> Body<'_, 'a> {
    fn read_parameters(&mut self) -> Result<(), ParseError> {
        if !self.reader.accept("(") {
            return Ok(());
        }
        while !self.reader.accept(")") {
            self.reader.expect(".param")?;
            let declared = Declaration::read(self.reader)?;
            let offset = align_up(self.kernel.parameter_bytes, declared.align);
            self.scopes.insert(declared.name, Symbol::Place(Source::Immediate(u64::from(offset))));
            self.kernel.parameter_bytes = self.limited(offset, declared.bytes)?;
            let name = declared.name.to_owned();
            self.kernel.parameters.push(Parameter { name, offset, bytes: declared.bytes });
            self.reader.accept(",");
        }
        Ok(())
    }

    /// What stands between the parameters and the braces.
    fn read_directives(&mut self) -> Result<(), ParseError> {
        while !self.reader.accept("{") {
            let word = self.reader.next()?;
            match word {
                ".maxntid" | ".reqntid" => {
                    let mut threads = self.reader.size()?;
                    while self.reader.accept(",") {
                        threads = threads.saturating_mul(self.reader.size()?);
                    }
                    self.kernel.max_threads = Some(threads);
                }
                ".explicitcluster" => {}
                ".reqnctapercluster" => {
                    let blocks = self.reader.size()?;
                    while self.reader.accept(",") {
                        if self.reader.size()? != 1 {
                            return Err(self.reader.error("a cluster has blocks in the first direction only"));
                        }
                    }
                    if !(1..=MOST_OF_CLUSTER).contains(&blocks) {
                        return Err(self.reader.error(format!("a cluster of `{blocks}` blocks is not supported")));
                    }
                    self.kernel.cluster = blocks;
                }
                ".minnctapersm" | ".maxnctapersm" | ".maxnreg" => {
                    self.reader.number()?;
                }
                _ => return Err(self.reader.error(format!("`{word}` is not supported before a kernel's body"))),
            }
        }
        Ok(())
    }

    fn read_code(&mut self) -> Result<(), ParseError> {
        let mut depth = 1;
        while depth > 0 {
            let word = self.reader.peek().unwrap_or_default();
            match word {
                "{" => {
                    self.reader.next()?;
                    self.scopes.open();
                    self.labels.push(Labels::default());
                    depth += 1;
                }
                "}" => {
                    self.reader.next()?;
                    depth -= 1;
                    if depth > 0 {
                        self.scopes.close();
                    }
                    self.close_labels()?;
                }
                ";" => {
                    self.reader.next()?;
                }
                _ if word.starts_with('.') => self.read_declaration()?,
                _ if self.reader.peek_second() == Some(":") => {
                    self.reader.next()?;
                    self.reader.next()?;
                    let here = self.kernel.code.len() as u32;
                    if let Some(labels) = self.labels.last_mut()
                        && labels.known.insert(word.to_owned(), here).is_some()
                    {
                        return Err(self.reader.error(format!("the label `{word}` stands twice")));
                    }
                }
                _ => self.read_instruction()?,
            }
        }
        // Whatever falls off the end leaves.
        let line = self.reader.line();
        self.kernel.code.push(Instruction { guard: None, operation: Operation::Exit, line });
        Ok(())
    }

    /// Resolves the branches of a block that ends; labels of blocks around it may still come.
    fn close_labels(&mut self) -> Result<(), ParseError> {
        let Some(closed) = self.labels.pop() else { return Ok(()) };
        for pending in closed.pending {
            if let Some(target) = closed.known.get(&pending.label) {
                self.kernel.code[pending.instruction].operation = Operation::Branch { target: *target };
            } else if let Some(outer) = self.labels.last_mut() {
                outer.pending.push(pending);
            } else {
                let message = format!("there is no label `{}`", pending.label);
                return Err(ParseError::at(pending.line, message));
            }
        }
        Ok(())
    }

    fn read_declaration(&mut self) -> Result<(), ParseError> {
        let word = self.reader.next()?;
        match word {
            ".reg" => self.read_registers()?,
            ".shared" => {
                let declared = Declaration::read(self.reader)?;
                let symbol = if declared.bytes == 0 {
                    Symbol::Dynamic { align: declared.align }
                } else {
                    let offset = self.place_shared(declared.bytes, declared.align)?;
                    Symbol::Place(Source::Immediate(u64::from(offset)))
                };
                self.scopes.insert(declared.name, symbol);
            }
            ".local" => {
                let declared = Declaration::read(self.reader)?;
                let offset = align_up(self.kernel.local_bytes, declared.align);
                self.kernel.local_bytes = self.limited(offset, declared.bytes)?;
                self.scopes.insert(declared.name, Symbol::Place(Source::Immediate(u64::from(offset))));
            }
            ".pragma" => {
                self.reader.next()?;
            }
            _ => return Err(self.reader.error(format!("`{word}` is not supported within a kernel"))),
        }
        self.reader.expect(";")
    }

    pub(super) fn place_shared(&mut self, bytes: u32, align: u32) -> Result<u32, ParseError> {
        let offset = align_up(self.kernel.shared_bytes, align);
        self.kernel.shared_bytes = self.limited(offset, bytes)?;
        Ok(offset)
    }

    /// The end of something in memory, if it is a reasonable one.
    fn limited(&self, offset: u32, bytes: u32) -> Result<u32, ParseError> {
        let end = offset.checked_add(bytes).filter(|end| *end <= MOST_MEMORY);
        end.ok_or_else(|| self.reader.error(format!("a variable of `{bytes}` bytes is too large")))
    }

    fn read_registers(&mut self) -> Result<(), ParseError> {
        self.reader.next()?;
        loop {
            let name = self.reader.next()?;
            let numbered = self.reader.accept("<");
            let count = if numbered { self.reader.size()? } else { 1 };
            let first = self.add_registers(name, count, numbered)?;
            if numbered {
                self.reader.expect(">")?;
                self.scopes.insert_family(name, first, count);
            } else {
                self.scopes.insert(name, Symbol::Register(first));
            }
            if !self.reader.accept(",") {
                return Ok(());
            }
        }
    }

    pub(super) fn add_registers(&mut self, name: &str, count: u32, numbered: bool) -> Result<Register, ParseError> {
        let first = self.kernel.register_count;
        let after = first.checked_add(count).filter(|after| *after <= MOST_REGISTERS);
        self.kernel.register_count = after.ok_or_else(|| self.reader.error("there are too many registers"))?;
        self.kernel.registers.push(RegisterFamily { name: name.to_owned(), first, numbered });
        Ok(first)
    }

    fn read_instruction(&mut self) -> Result<(), ParseError> {
        let line = self.reader.line();
        let guard = if self.reader.accept("@") {
            let negated = self.reader.accept("!");
            match self.read_source()? {
                Source::Register(predicate) => Some(Guard { predicate, negated }),
                _ => return Err(ParseError::at(line, "a guard is not a register")),
            }
        } else {
            None
        };
        let opcode = self.reader.next()?;
        let is_branch = opcode == "bra" || opcode.starts_with("bra.");
        let mut operands = Vec::new();
        while !self.reader.accept(";") {
            let operand = if is_branch { Operand::Label(self.reader.next()?.to_owned()) } else { self.read_operand()? };
            operands.push(operand);
            self.reader.accept(",");
        }
        if let (true, Some(Operand::Label(label)), Some(labels)) = (is_branch, operands.first(), self.labels.last_mut())
        {
            labels.pending.push(Pending { instruction: self.kernel.code.len(), label: label.clone(), line });
        }
        self.kernel.has_proxy |= opcode.starts_with("wgmma.") || opcode.starts_with("cp.async.bulk.");
        let operation = Operation::decode(Statement::new(opcode, operands, line))?;
        self.kernel.code.push(Instruction { guard, operation, line });
        Ok(())
    }
}
