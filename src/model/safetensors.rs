//! Reading the headers of safetensors files: how many bytes a model's tensors have, and in which formats. No tensor is read.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use serde_json::Value;

use super::config::shortened;
use crate::dtype::DType;

/// The longest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;
/// The largest index of a model that is in several files.
const MAX_INDEX: u64 = 64 << 20;
/// More files than any model is in.
const MAX_FILES: usize = 10_000;

/// Why a file is not a safetensors file that is understood.
#[derive(Debug, thiserror::Error)]
pub enum SafetensorsError {
    /// It could not be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// Its header is longer than the format allows.
    #[error("its header has {0} bytes, of at most {MAX_HEADER}")]
    TooLarge(u64),
    /// It ends within its header.
    #[error("it is truncated")]
    Truncated,
    /// Its header is not JSON.
    #[error("its header is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It ends before its last tensor does.
    #[error("it is truncated: it has {length} bytes, and its tensors need {needed}")]
    Short {
        /// Bytes of the file.
        length: u64,
        /// Bytes to the end of the last tensor.
        needed: u64,
    },
    /// A tensor's numbers contradict one another.
    #[error("tensor `{tensor}`: {why}")]
    Tensor {
        /// Its name.
        tensor: String,
        /// What is wrong.
        why: String,
    },
    /// An index names no file that could lie beside it.
    #[error("the index names `{0}`, which is no name of a file")]
    Name(String),
}

/// Types of tensors with their bits, and the format where a matrix of it stands for itself.
const TYPES: &[(&str, u64, Option<DType>)] = &[
    ("F64", 64, Some(DType::F64)),
    ("F32", 32, Some(DType::F32)),
    ("F16", 16, Some(DType::F16)),
    ("BF16", 16, Some(DType::Bf16)),
    ("F8_E4M3", 8, Some(DType::Fp8E4m3)),
    ("F8_E5M2", 8, Some(DType::Fp8E5m2)),
    ("F8_E8M0", 8, None),
    ("F4", 4, None),
    ("I64", 64, None),
    ("I32", 32, None),
    ("I16", 16, None),
    ("I8", 8, None),
    ("U64", 64, None),
    ("U32", 32, None),
    ("U16", 16, None),
    ("U8", 8, None),
    ("BOOL", 8, None),
];

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

/// What the headers of a model's files say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tensors {
    /// How many tensors there are.
    pub count: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// Bytes of those in each plain format.
    pub plain: BTreeMap<DType, u64>,
}

impl Tensors {
    /// Reads a file's header. With the length of the file, its tensors must end within.
    ///
    /// # Errors
    /// When it is no such header, or one whose numbers contradict one another.
    pub fn read(mut reader: impl Read, length: Option<u64>) -> Result<Self, SafetensorsError> {
        let mut size = [0; 8];
        reader.read_exact(&mut size).map_err(|_| SafetensorsError::Truncated)?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER {
            return Err(SafetensorsError::TooLarge(size));
        }
        let mut header = Vec::new();
        reader.take(size).read_to_end(&mut header)?;
        if (header.len() as u64) < size {
            return Err(SafetensorsError::Truncated);
        }
        let entries: BTreeMap<String, Value> = serde_json::from_slice(&header)?;
        let (mut tensors, mut end) = (Self::default(), 0);
        for (name, value) in entries.into_iter().filter(|(name, _)| name != "__metadata__") {
            let entry: Entry = serde_json::from_value(value)?;
            end = end.max(entry.data_offsets[1]);
            tensors.add(&name, &entry)?;
        }
        let needed = end.saturating_add(8).saturating_add(size);
        match length {
            Some(length) if needed > length => Err(SafetensorsError::Short { length, needed }),
            _ => Ok(tensors),
        }
    }

    fn add(&mut self, name: &str, entry: &Entry) -> Result<(), SafetensorsError> {
        let wrong = |why: String| SafetensorsError::Tensor { tensor: shortened(name), why };
        let row = TYPES.iter().find(|(known, ..)| *known == entry.dtype);
        let &(_, bits, plain) =
            row.ok_or_else(|| wrong(format!("its type `{}` is not known", shortened(&entry.dtype))))?;
        let [start, end] = entry.data_offsets;
        let bytes = end.checked_sub(start).ok_or_else(|| wrong(format!("it begins at {start} and ends at {end}")))?;
        let elements = entry.shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size));
        let needed = elements.and_then(|elements| elements.checked_mul(bits)).map(|bits| bits.div_ceil(8));
        if needed != Some(bytes) {
            return Err(wrong(format!("its shape does not take the {bytes} bytes it has")));
        }
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if let Some(dtype) = plain {
            let sum = self.plain.entry(dtype).or_default();
            *sum = sum.saturating_add(bytes);
        }
        Ok(())
    }

    /// Takes another file of the same model in.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
        for (&dtype, &bytes) in &other.plain {
            let sum = self.plain.entry(dtype).or_default();
            *sum = sum.saturating_add(bytes);
        }
    }

    /// The one format of all tensors, where there is one.
    #[must_use]
    pub fn only_format(&self) -> Option<DType> {
        let mut formats = self.plain.iter();
        match (formats.next(), formats.next()) {
            (Some((&dtype, &bytes)), None) if bytes == self.bytes => Some(dtype),
            _ => None,
        }
    }
}

/// The files that the index of a model names.
///
/// # Errors
/// When it is no such index, or names something that cannot lie beside it.
pub fn files_of_index(reader: impl Read) -> Result<Vec<String>, SafetensorsError> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let mut bytes = Vec::new();
    reader.take(MAX_INDEX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_INDEX {
        return Err(SafetensorsError::TooLarge(bytes.len() as u64));
    }
    let index: Index = serde_json::from_slice(&bytes)?;
    let mut files: Vec<String> = index.weight_map.into_values().collect();
    files.sort_unstable();
    files.dedup();
    let plain = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', ':', '\0']);
    match files.iter().find(|name| !plain(name)) {
        Some(name) => Err(SafetensorsError::Name(shortened(name))),
        None if files.len() > MAX_FILES => Err(SafetensorsError::TooLarge(files.len() as u64)),
        None => Ok(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
    }

    const TWO: &str = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},
        "b":{"dtype":"I32","shape":[4],"data_offsets":[12,28]}}"#;

    #[test]
    fn bytes_are_counted_by_format() {
        let tensors = Tensors::read(&file(TWO)[..], None).unwrap();
        assert_eq!((tensors.count, tensors.bytes, tensors.only_format()), (2, 28, None));
        let one = file(r#"{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}"#);
        let mut one = Tensors::read(&one[..], None).unwrap();
        assert_eq!(one.only_format(), Some(DType::Bf16));
        one.merge(&tensors);
        assert_eq!((one.count, one.bytes, one.plain[&DType::Bf16]), (3, 40, 24));
    }

    #[test]
    fn contradictions_are_named() {
        let error = |header: &str| Tensors::read(&file(header)[..], None).unwrap_err().to_string();
        let tensor = |dtype: &str, shape: &str, offsets: &str| {
            error(&format!(r#"{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#))
        };
        assert_eq!(tensor("Q9", "[1]", "[0,1]"), "tensor `a`: its type `Q9` is not known");
        assert_eq!(tensor("F32", "[2]", "[8,0]"), "tensor `a`: it begins at 8 and ends at 0");
        assert_eq!(tensor("F32", "[2]", "[0,9]"), "tensor `a`: its shape does not take the 9 bytes it has");
        let huge = "[4294967296,4294967296]";
        assert_eq!(tensor("F32", huge, "[0,0]"), "tensor `a`: its shape does not take the 0 bytes it has");
        let whole = file(TWO);
        let length = whole.len() as u64;
        assert!(matches!(Tensors::read(&whole[..], Some(length + 27)), Err(SafetensorsError::Short { .. })));
        assert!(Tensors::read(&whole[..], Some(length + 28)).is_ok());
        let claimed = u64::MAX.to_le_bytes();
        assert!(matches!(Tensors::read(&claimed[..], None), Err(SafetensorsError::TooLarge(u64::MAX))));
    }

    #[test]
    fn an_index_names_files_beside_it_only() {
        let index =
            br#"{"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors","c":"model-1.safetensors"}}"#;
        assert_eq!(files_of_index(&index[..]).unwrap(), ["model-1.safetensors", "model-2.safetensors"]);
        for name in ["../secret", "/etc/passwd", ".", ""] {
            let index = format!(r#"{{"weight_map":{{"a":"{name}"}}}}"#);
            assert!(matches!(files_of_index(index.as_bytes()), Err(SafetensorsError::Name(_))), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_or_changed_file_is_an_error_or_its_tensors(cut in 0_usize..300, at in 0_usize..300, value: u8) {
            let whole = file(TWO);
            let _ = Tensors::read(&whole[..cut.min(whole.len())], None);
            let mut changed = whole;
            let at = at % changed.len();
            changed[at] = value;
            let _ = Tensors::read(&changed[..], Some(1 << 20));
        }
    }
}
