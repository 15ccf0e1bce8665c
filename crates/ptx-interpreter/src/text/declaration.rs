//! Declarations of variables: `.shared .align 16 .b8 tile[4096];`

use super::ParseError;
use super::reader::{Reader, float, integer};
use crate::kind::Kind;

/// The largest alignment that anything needs.
const MOST_ALIGN: u32 = 1 << 12;
/// How deep initial values may be nested.
const MOST_NESTED: u32 = 8;

/// A variable or a parameter as it is declared, without its state space.
pub(super) struct Declaration<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: u32,
    pub(super) align: u32,
    /// The initial bytes, which may be fewer than there are: the rest is zero.
    pub(super) initial: Vec<u8>,
}

impl<'a> Declaration<'a> {
    /// Reads from behind the state space to before the semicolon or comma.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let mut align = None;
        let kind = loop {
            let word = reader.next()?;
            match word {
                ".align" => align = Some(reader.size()?),
                _ => {
                    let kind = word.strip_prefix('.').and_then(Kind::parse);
                    break kind.ok_or_else(|| reader.error(format!("`{word}` is not a type of a variable")))?;
                }
            }
        };
        // What a pointer points to is said to the optimiser: `.u64 .ptr .global .align 16`.
        if reader.accept(".ptr") {
            for space in [".global", ".shared", ".const", ".local"] {
                reader.accept(space);
            }
            if reader.accept(".align") {
                reader.size()?;
            }
        }
        let name = reader.next()?;
        let mut bytes = u64::from(kind.bytes());
        while reader.accept("[") {
            let count = if reader.peek() == Some("]") { 0 } else { reader.number()? };
            bytes = bytes.checked_mul(count).ok_or_else(|| reader.error(format!("`{name}` is too large")))?;
            reader.expect("]")?;
        }
        let align = align.unwrap_or(kind.bytes());
        if !align.is_power_of_two() || align > MOST_ALIGN {
            return Err(reader.error(format!("an alignment of `{align}` is not supported")));
        }
        let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes < 1 << 31);
        let bytes = bytes.ok_or_else(|| reader.error(format!("`{name}` is too large")))?;
        let mut initial = Vec::new();
        if reader.accept("=") {
            read_initial(reader, kind, MOST_NESTED, &mut initial)?;
            if initial.len() > bytes as usize {
                return Err(reader.error(format!("`{name}` has more initial values than room")));
            }
        }
        Ok(Self { name, bytes, align, initial })
    }
}

/// Reads a value, or values in braces, as the bytes that they take.
fn read_initial(reader: &mut Reader<'_>, kind: Kind, depth: u32, bytes: &mut Vec<u8>) -> Result<(), ParseError> {
    if depth > 0 && reader.accept("{") {
        while !reader.accept("}") {
            read_initial(reader, kind, depth - 1, bytes)?;
            reader.accept(",");
        }
        return Ok(());
    }
    let negative = reader.accept("-");
    let word = reader.next()?;
    let value = float(word).or(integer(word));
    let value = value.ok_or_else(|| reader.error(format!("`{word}` is not supported as an initial value")))?;
    let value = if negative { value.wrapping_neg() } else { value };
    bytes.extend_from_slice(&value.to_le_bytes()[..kind.bytes() as usize]);
    Ok(())
}
