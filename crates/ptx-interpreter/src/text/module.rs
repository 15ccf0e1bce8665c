//! Modules: what a text declares outside of its kernels.

use std::fmt;
use std::sync::Arc;

use super::ParseError;
use super::body;
use super::declaration::Declaration;
use super::lexer;
use super::operand::{Register, Source};
use super::reader::Reader;
use super::scope::{Scopes, Symbol};
use crate::instruction::Instruction;

/// The version of the language that a text is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Before the point.
    pub major: u32,
    /// Behind the point.
    pub minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The architecture that a text is written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Compute capability times ten: `sm_90` is 90.
    pub number: u32,
    /// `a` for what runs on exactly that architecture, `f` for its family.
    pub suffix: Option<char>,
}

impl Target {
    /// Whether a device of a compute capability (times ten) runs the text.
    pub fn runs_on(self, capability: u32) -> bool {
        match self.suffix {
            None => self.number <= capability,
            Some('f') => self.number <= capability && self.number / 10 == capability / 10,
            Some(_) => self.number == capability,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sm_{}{}", self.number, self.suffix.map(String::from).unwrap_or_default())
    }
}

/// A parameter of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The name in the text.
    pub name: String,
    /// Where its bytes start among those of all parameters.
    pub offset: u32,
    /// How many they are.
    pub bytes: u32,
}

/// A variable of the module in global or constant memory.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) bytes: u32,
    pub(crate) initial: Vec<u8>,
}

/// A kernel, decoded.
#[derive(Clone, Debug)]
pub struct Kernel {
    pub(crate) name: String,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) parameter_bytes: u32,
    pub(crate) code: Vec<Instruction>,
    /// Registers of a thread, with names.
    pub(crate) registers: Vec<RegisterFamily>,
    pub(crate) register_count: u32,
    /// Shared memory whose size the text says.
    pub(crate) shared_bytes: u32,
    /// What the shared memory behind it, whose size the launch says, must be aligned to.
    pub(crate) dynamic_align: u32,
    pub(crate) local_bytes: u32,
    pub(crate) max_threads: Option<u32>,
    /// Blocks that run together and reach one another's shared memory, side by side in the first direction.
    pub(crate) cluster: u32,
    /// Whether anything works on shared memory beside the threads: copies of tensors, matrix units.
    pub(crate) has_proxy: bool,
    pub(crate) text: Arc<str>,
}

/// Registers that are declared together.
#[derive(Clone, Debug)]
pub(crate) struct RegisterFamily {
    pub(crate) name: String,
    pub(crate) first: Register,
    /// Whether a number follows the name.
    pub(crate) numbered: bool,
}

impl Kernel {
    /// The name in the text.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a launch must hand over, in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Bytes of all parameters together.
    pub fn parameter_bytes(&self) -> u32 {
        self.parameter_bytes
    }

    /// Bytes of shared memory that every block has before those that a launch asks for.
    pub fn shared_bytes(&self) -> u32 {
        self.shared_bytes
    }

    /// Bytes of local memory of a thread.
    pub fn local_bytes(&self) -> u32 {
        self.local_bytes
    }

    /// The most threads that a block may have (`__launch_bounds__`).
    pub fn max_threads(&self) -> Option<u32> {
        self.max_threads
    }

    /// 32-bit registers that the text names. An assembler finds a way with fewer.
    pub fn registers(&self) -> u32 {
        self.register_count
    }

    /// Where the shared memory begins whose size the launch says.
    pub(crate) fn dynamic_start(&self) -> u32 {
        self.shared_bytes.next_multiple_of(self.dynamic_align)
    }

    /// A line of the text, without the space around it.
    pub(crate) fn line(&self, line: u32) -> &str {
        self.text.lines().nth(line.saturating_sub(1) as usize).unwrap_or_default().trim()
    }

    /// The name of a register.
    pub(crate) fn register_name(&self, register: Register) -> String {
        let after = self.registers.partition_point(|family| family.first <= register);
        match after.checked_sub(1).and_then(|index| self.registers.get(index)) {
            Some(family) if family.numbered => format!("{}{}", family.name, register - family.first),
            Some(family) => family.name.clone(),
            None => format!("register {register}"),
        }
    }
}

/// A PTX text, decoded.
#[derive(Clone, Debug, Default)]
pub struct Module {
    /// The version of the language.
    pub version: Version,
    /// The architecture.
    pub target: Target,
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) variables: Vec<Variable>,
}

impl Module {
    /// What a text says of itself before its first kernel, without looking any further.
    pub fn header(text: &str) -> Result<(Version, Target), ParseError> {
        let mut reader = Reader::new(lexer::words(text)?);
        reader.expect(".version")?;
        let version = read_version(&mut reader)?;
        reader.expect(".target")?;
        Ok((version, read_target(&mut reader)?))
    }

    /// Decodes a text. Whatever is not understood is an error that names the line.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut reader = Reader::new(lexer::words(text)?);
        let mut module = Self::default();
        let mut scopes = Scopes::default();
        scopes.open();
        let text: Arc<str> = text.into();
        while let Some(word) = reader.peek() {
            module.read_item(word, &mut reader, &mut scopes, &text)?;
        }
        if module.version == Version::default() {
            return Err(reader.error("there is no `.version`"));
        }
        Ok(module)
    }

    /// The kernels, in the order of the text.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    fn read_item<'a>(
        &mut self,
        word: &'a str,
        reader: &mut Reader<'a>,
        scopes: &mut Scopes,
        text: &Arc<str>,
    ) -> Result<(), ParseError> {
        reader.next()?;
        match word {
            ".version" => self.version = read_version(reader)?,
            ".target" => self.target = read_target(reader)?,
            ".address_size" => {
                if reader.number()? != 64 {
                    return Err(reader.error("only addresses of 64 bits are supported"));
                }
            }
            ".visible" | ".extern" | ".weak" | ".common" => {}
            ".pragma" => {
                reader.next()?;
                reader.expect(";")?;
            }
            ".global" | ".const" => {
                let declared = Declaration::read(reader)?;
                reader.expect(";")?;
                let place = Source::Global { variable: self.variables.len() as u32, offset: 0 };
                scopes.insert(declared.name, Symbol::Place(place));
                let Declaration { name, bytes, initial, .. } = declared;
                self.variables.push(Variable { name: name.to_owned(), bytes, initial });
            }
            ".shared" => {
                let Declaration { name, bytes, align, .. } = Declaration::read(reader)?;
                reader.expect(";")?;
                let symbol = if bytes == 0 { Symbol::Dynamic { align } } else { Symbol::Shared { bytes, align } };
                scopes.insert(name, symbol);
            }
            ".entry" => self.kernels.push(body::read_kernel(reader, scopes, text)?),
            other => return Err(reader.error(format!("`{other}` is not supported outside of kernels"))),
        }
        Ok(())
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, ParseError> {
    let word = reader.next()?;
    let numbers = word.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let (major, minor) = numbers.ok_or_else(|| reader.error(format!("`{word}` is no version")))?;
    Ok(Version { major, minor })
}

fn read_target(reader: &mut Reader<'_>) -> Result<Target, ParseError> {
    let word = reader.next()?;
    let name = word.strip_prefix("sm_").unwrap_or_default();
    let digits = name.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number = digits.parse().map_err(|_| reader.error(format!("`{word}` is no architecture")))?;
    while reader.accept(",") {
        reader.next()?;
    }
    Ok(Target { number, suffix: name.chars().nth(digits.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = ".version 8.0\n.target sm_90a\n.address_size 64\n.visible .entry empty(.param .align 8 .b8 a[12], .param .u64 .ptr .global .align 1 b) { ret; }";

    #[test]
    fn headers_and_parameters() {
        let module = Module::parse(EMPTY).unwrap();
        assert_eq!((module.version.to_string(), module.target.to_string()), ("8.0".to_owned(), "sm_90a".to_owned()));
        assert_eq!(Module::header(EMPTY), Ok((module.version, module.target)));
        let kernel = &module.kernels()[0];
        let places: Vec<(u32, u32)> = kernel.parameters().iter().map(|p| (p.offset, p.bytes)).collect();
        assert_eq!((places, kernel.parameter_bytes()), (vec![(0, 12), (16, 8)], 24));
    }

    #[test]
    fn targets_run_where_they_may() {
        let runs = |name: &str, capability| {
            let text = EMPTY.replace("sm_90a", name);
            Module::header(&text).unwrap().1.runs_on(capability)
        };
        assert!(runs("sm_70", 70) && runs("sm_70", 120) && !runs("sm_80", 75));
        assert!(runs("sm_90a", 90) && !runs("sm_90a", 100));
        assert!(runs("sm_100f", 103) && !runs("sm_100f", 120));
    }

    #[test]
    fn texts_without_a_header_are_refused() {
        assert!(Module::parse("").is_err());
        assert!(Module::parse(".version 8").is_err());
        assert!(Module::parse(".version 8.0\n.target compute_80").is_err());
        assert!(Module::parse(".version 8.0\n.target sm_80\n.address_size 32").is_err());
    }
}
