//! The header of a GGUF file: metadata and the list of tensors. Nothing of the tensors themselves is read.

use std::collections::BTreeMap;
use std::io::Read;

use super::GgufError;
use crate::dtype::DType;
use crate::model::config::shortened;

type Result<T> = std::result::Result<T, GgufError>;

/// The most that is read of a file. Vocabularies take some ten megabytes.
const MAX_BYTES: u64 = 1 << 30;
const MAX_TENSORS: u64 = 1_000_000;
const MAX_ENTRIES: u64 = 100_000;
/// The longest name or key; the format allows keys of 65,535 bytes and names of 64.
const MAX_NAME: u64 = 65_535;
/// The longest text whose content is kept; longer ones (templates) are passed over.
const MAX_TEXT: u64 = 1 << 16;
/// The longest list whose content is kept: one number for each layer. Vocabularies are passed over.
const MAX_LIST: u64 = 1 << 14;
/// Lists of lists of lists are nobody's.
const MAX_DEPTH: u32 = 2;
const MAX_DIMENSIONS: u32 = 4;
/// The format's alignment of tensors where the metadata states none.
const ALIGNMENT: u64 = 32;

/// A value of the metadata.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Whole(u64),
    Flag(bool),
    Text(String),
    List(Vec<Value>),
    /// A number that counts nothing, or something too long to matter.
    Other,
}

/// A tensor by its name, type and shape, the fastest dimension first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) shape: Vec<u64>,
    pub(super) dtype: DType,
    pub(super) elements: u64,
    pub(super) bytes: u64,
}

/// What stands before the tensors of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, Value>,
    pub(super) tensors: Vec<Tensor>,
}

/// Types of tensors by their number in a file.
const TYPES: &[(u32, DType)] = &[
    (0, DType::F32),
    (1, DType::F16),
    (2, DType::Q4_0),
    (3, DType::Q4_1),
    (6, DType::Q5_0),
    (7, DType::Q5_1),
    (8, DType::Q8_0),
    (9, DType::Q8_1),
    (10, DType::Q2K),
    (11, DType::Q3K),
    (12, DType::Q4K),
    (13, DType::Q5K),
    (14, DType::Q6K),
    (15, DType::Q8K),
    (16, DType::Iq2Xxs),
    (17, DType::Iq2Xs),
    (18, DType::Iq3Xxs),
    (19, DType::Iq1S),
    (20, DType::Iq4Nl),
    (21, DType::Iq3S),
    (22, DType::Iq2S),
    (23, DType::Iq4Xs),
    (24, DType::Int8),
    (26, DType::Int32),
    (27, DType::Int64),
    (28, DType::F64),
    (29, DType::Iq1M),
    (30, DType::Bf16),
    (34, DType::Tq1_0),
    (35, DType::Tq2_0),
    (39, DType::Mxfp4),
];

impl Header {
    /// Reads a header. With the length of the file, tensors that lie beyond its end are an error.
    pub(super) fn read(reader: impl Read, length: Option<u64>) -> Result<Self> {
        let mut cursor = Cursor { reader: reader.take(MAX_BYTES), position: 0 };
        if cursor.array::<4>()? != *b"GGUF" {
            return Err(GgufError::NotGguf);
        }
        match cursor.u32()? {
            2 | 3 => {}
            version if matches!(version.swap_bytes(), 1..=3) => return Err(GgufError::BigEndian),
            version => return Err(GgufError::Version(version)),
        }
        let tensors = bounded("number of tensors", cursor.u64()?, MAX_TENSORS)?;
        let entries = bounded("number of metadata entries", cursor.u64()?, MAX_ENTRIES)?;
        let mut header = Self::default();
        for _ in 0..entries {
            let key = cursor.name("length of a key")?;
            let kind = cursor.u32()?;
            let value = cursor.value(kind, MAX_DEPTH)?;
            header.metadata.insert(key, value);
        }
        let mut end = 0;
        for _ in 0..tensors {
            let (tensor, until) = cursor.tensor()?;
            end = end.max(until);
            header.tensors.push(tensor);
        }
        if let Some(length) = length {
            let alignment = match header.metadata.get("general.alignment") {
                Some(Value::Whole(alignment)) => bounded("alignment", (*alignment).max(1), 1 << 20)?,
                _ => ALIGNMENT,
            };
            let needed = cursor.position.next_multiple_of(alignment).saturating_add(end);
            if needed > length {
                return Err(GgufError::Short { length, needed });
            }
        }
        Ok(header)
    }
}

fn bounded(what: &'static str, value: u64, limit: u64) -> Result<u64> {
    if value > limit { Err(GgufError::TooLarge { what, value, limit }) } else { Ok(value) }
}

/// Reads little-endian values one after the other.
struct Cursor<R> {
    reader: R,
    position: u64,
}

impl<R: Read> Cursor<R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.position += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Bytes of a stated length. Memory grows with what is there, not with what is claimed.
    fn bytes(&mut self, length: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader.by_ref().take(length).read_to_end(&mut bytes)?;
        self.position += bytes.len() as u64;
        if (bytes.len() as u64) < length { Err(GgufError::Truncated) } else { Ok(bytes) }
    }

    fn skip(&mut self, length: u64) -> Result<()> {
        let skipped = std::io::copy(&mut self.reader.by_ref().take(length), &mut std::io::sink())?;
        self.position += skipped;
        if skipped < length { Err(GgufError::Truncated) } else { Ok(()) }
    }

    fn name(&mut self, what: &'static str) -> Result<String> {
        let length = bounded(what, self.u64()?, MAX_NAME)?;
        let bytes = self.bytes(length)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A value of a kind. Lists may hold lists down to some depth.
    fn value(&mut self, kind: u32, depth: u32) -> Result<Value> {
        Ok(match kind {
            0 => Value::Whole(u8::from_le_bytes(self.array()?).into()),
            1 => signed(i8::from_le_bytes(self.array()?).into()),
            2 => Value::Whole(u16::from_le_bytes(self.array()?).into()),
            3 => signed(i16::from_le_bytes(self.array()?).into()),
            4 => Value::Whole(self.u32()?.into()),
            5 => signed(i32::from_le_bytes(self.array()?).into()),
            7 => Value::Flag(self.array::<1>()? != [0]),
            8 => self.text()?,
            9 => self.list(depth)?,
            10 => Value::Whole(self.u64()?),
            11 => signed(i64::from_le_bytes(self.array()?)),
            6 | 12 => {
                self.skip(if kind == 6 { 4 } else { 8 })?;
                Value::Other
            }
            _ => return Err(not_understood("kind of a metadata value", &kind.to_string(), "known are 0 to 12")),
        })
    }

    fn text(&mut self) -> Result<Value> {
        let length = bounded("length of a text", self.u64()?, MAX_BYTES)?;
        if length > MAX_TEXT {
            self.skip(length)?;
            return Ok(Value::Other);
        }
        let bytes = self.bytes(length)?;
        Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn list(&mut self, depth: u32) -> Result<Value> {
        if depth == 0 {
            return Err(not_understood("a list", "lists within lists", "they are nested too deeply"));
        }
        let kind = self.u32()?;
        let length = bounded("length of a list", self.u64()?, MAX_BYTES)?;
        let mut values = Vec::new();
        for _ in 0..length {
            let value = self.value(kind, depth - 1)?;
            if length <= MAX_LIST {
                values.push(value);
            }
        }
        Ok(if length <= MAX_LIST { Value::List(values) } else { Value::Other })
    }

    /// A tensor and the place behind it, counted from where tensors begin.
    fn tensor(&mut self) -> Result<(Tensor, u64)> {
        let name = self.name("length of a tensor's name")?;
        let too_large = |value| GgufError::TooLarge { what: "number of a tensor's elements", value, limit: 1 << 53 };
        let dimensions = self.u32()?;
        bounded("number of a tensor's dimensions", dimensions.into(), MAX_DIMENSIONS.into())?;
        let shape: Vec<u64> = (0..dimensions).map(|_| self.u64()).collect::<Result<_>>()?;
        let elements = shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
        let elements = elements.filter(|&elements| elements <= 1 << 53).ok_or_else(|| too_large(u64::MAX))?;
        let number = self.u32()?;
        let dtype = TYPES.iter().find(|(known, _)| *known == number).map(|&(_, dtype)| dtype);
        let dtype = dtype
            .ok_or_else(|| not_understood(&format!("type of tensor {name}"), &number.to_string(), "it is not known"))?;
        let format = dtype.format();
        let row = shape.first().copied().unwrap_or(1);
        if !row.is_multiple_of(format.block.into()) {
            let why = format!("{dtype} has blocks of {}", format.block);
            return Err(not_understood(&format!("row of tensor {name}"), &row.to_string(), &why));
        }
        let bits =
            u128::from(elements / u64::from(format.block)) * u128::from(format.bits * format.block + format.scale_bits);
        let bytes = u64::try_from(bits.div_ceil(8)).map_err(|_| too_large(elements))?;
        let offset = self.u64()?;
        let end = offset.checked_add(bytes);
        let end =
            end.ok_or(GgufError::TooLarge { what: "offset of a tensor", value: offset, limit: u64::MAX - bytes })?;
        Ok((Tensor { name, shape, dtype, elements, bytes }, end))
    }
}

/// A signed number: sizes are never negative.
fn signed(value: i64) -> Value {
    u64::try_from(value).map_or(Value::Other, Value::Whole)
}

pub(super) fn not_understood(what: &str, value: &str, why: &str) -> GgufError {
    GgufError::NotUnderstood { what: shortened(what), value: shortened(value), why: why.to_owned() }
}
