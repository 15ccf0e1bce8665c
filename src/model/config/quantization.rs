//! The formats that a configuration says its weights are stored in: `torch_dtype` and `quantization_config`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::ConfigError;
use super::fields::{Fields, above_zero, boolean, not_understood, text, whole, wrong};
use crate::dtype::DType;
use crate::model::exceptions::Exceptions;
use crate::model::layer::Block;
use crate::model::precision::is_left_alone;
use crate::model::{Granularity, Role, Scales, Sparsity, WeightFormat};

type Result<T> = std::result::Result<T, ConfigError>;

/// Formats of the matrices of every layer, and of what is outside of them.
pub(in crate::model) struct Formats {
    /// Of each layer.
    pub(in crate::model) layers: Vec<BTreeMap<Role, WeightFormat>>,
    /// Of the output head.
    pub(in crate::model) head: WeightFormat,
    /// Of the embedding.
    pub(in crate::model) embedding: WeightFormat,
    /// Of norms and offsets.
    pub(in crate::model) vectors: DType,
    /// Of the residual stream.
    pub(in crate::model) activations: DType,
}

/// What a `quantization_config` says.
struct Quantised {
    format: WeightFormat,
    /// Whether only experts are.
    only_experts: bool,
    /// Whether the head is, unless it is excepted.
    head: bool,
    except: Exceptions,
}

/// The formats that a configuration states; none where it states none.
pub(super) fn formats(fields: &Fields<'_>, hidden: u64, blocks: &[Block]) -> Result<Option<Formats>> {
    let base = base(fields)?;
    let Some((field, value)) = fields.anywhere("quantization_config") else {
        return Ok(base.map(|base| everywhere(hidden, blocks, base)));
    };
    let object = value.as_object().ok_or_else(|| wrong(&field, value, "an object"))?;
    let base = base.unwrap_or(DType::Bf16);
    let quantised = quantised(&Section { field, object }, base)?;
    quantised
        .except
        .affordable(blocks.len())
        .map_err(|why| not_understood("quantization_config", "exceptions", why))?;
    let plain = WeightFormat::plain(base);
    let of = |layer: usize, role: Role| {
        let chosen = if quantised.only_experts { is_expert(role) } else { !is_left_alone(role) };
        if chosen && !quantised.except.contain(layer, role) { quantised.format } else { plain }
    };
    let of_block = |(layer, block): (usize, &Block)| {
        block.matrices(hidden).into_iter().map(|matrix| (matrix.role, of(layer, matrix.role))).collect()
    };
    let layers = blocks.iter().enumerate().map(of_block).collect();
    let head = if quantised.head && !quantised.except.contain(0, Role::Head) { quantised.format } else { plain };
    Ok(Some(Formats { layers, head, embedding: plain, vectors: base, activations: base }))
}

fn everywhere(hidden: u64, blocks: &[Block], base: DType) -> Formats {
    let plain = WeightFormat::plain(base);
    let of_block = |block: &Block| block.matrices(hidden).into_iter().map(|matrix| (matrix.role, plain)).collect();
    Formats {
        layers: blocks.iter().map(of_block).collect(),
        head: plain,
        embedding: plain,
        vectors: base,
        activations: base,
    }
}

const fn is_expert(role: Role) -> bool {
    matches!(role, Role::ExpertGate | Role::ExpertUp | Role::ExpertDown)
}

fn base(fields: &Fields<'_>) -> Result<Option<DType>> {
    let Some((field, value)) = fields.anywhere("torch_dtype") else { return Ok(None) };
    match text(&field, value)?.trim_start_matches("torch.") {
        "bfloat16" => Ok(Some(DType::Bf16)),
        "float16" => Ok(Some(DType::F16)),
        "float32" => Ok(Some(DType::F32)),
        other => Err(not_understood(&field, other, "known are bfloat16, float16 and float32")),
    }
}

/// An object within a configuration, with its name.
struct Section<'a> {
    field: String,
    object: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    fn get(&self, names: &[&str]) -> Option<(String, &'a Value)> {
        names.iter().find_map(|name| {
            let value = self.object.get(*name).filter(|value| !value.is_null())?;
            Some((format!("{}.{name}", self.field), value))
        })
    }

    fn number(&self, names: &[&str], default: u64) -> Result<u64> {
        self.get(names).map_or(Ok(default), |(field, value)| whole(&field, value))
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        self.get(&[name]).map_or(Ok(default), |(field, value)| boolean(&field, value))
    }

    fn text(&self, name: &str) -> Result<Option<(String, &'a str)>> {
        self.get(&[name]).map(|(field, value)| text(&field, value).map(|text| (field, text))).transpose()
    }

    fn section(&self, name: &str) -> Result<Option<Self>> {
        let section = |(field, value): (String, &'a Value)| match value.as_object() {
            Some(object) => Ok(Section { field, object }),
            None => Err(wrong(&field, value, "an object")),
        };
        self.get(&[name]).map(section).transpose()
    }

    /// The names of modules that are not quantised.
    fn exceptions(&self, names: &[&str]) -> Result<Exceptions> {
        let Some((field, value)) = self.get(names) else { return Ok(Exceptions::default()) };
        let list = value.as_array().ok_or_else(|| wrong(&field, value, "a list"))?;
        let names = list.iter().map(|value| text(&field, value)).collect::<Result<Vec<_>>>()?;
        Exceptions::new(&names).map_err(|(name, why)| not_understood(&field, &name, why))
    }

    /// A size of groups; −1 is a whole row.
    fn group(&self, names: &[&str], default: u64) -> Result<Granularity> {
        match self.get(names) {
            Some((_, value)) if value.as_i64() == Some(-1) => Ok(Granularity::Row),
            Some((field, value)) => Ok(Granularity::Group(above_zero(&field, value)?)),
            None => Ok(Granularity::Group(default)),
        }
    }
}

/// Reads one method's section.
type Method = fn(&Section<'_>, DType) -> Result<Quantised>;

/// The methods that are understood, by their `quant_method`.
const METHODS: &[(&str, Method)] = &[
    ("gptq", gptq),
    ("awq", awq),
    ("fp8", fp8),
    ("fbgemm_fp8", fbgemm_fp8),
    ("mxfp4", mxfp4),
    ("bitsandbytes", bitsandbytes),
    ("compressed-tensors", compressed_tensors),
    ("modelopt", modelopt),
];

fn quantised(section: &Section<'_>, base: DType) -> Result<Quantised> {
    let Some((field, name)) = section.text("quant_method")? else {
        // Some tools only name themselves.
        return if section.object.contains_key("quant_algo") {
            modelopt(section, base)
        } else {
            Err(ConfigError::Missing { field: format!("{}.quant_method", section.field) })
        };
    };
    match METHODS.iter().find(|(known, _)| *known == name) {
        Some((_, read)) => read(section, base),
        None => {
            let known: Vec<&str> = METHODS.iter().map(|(name, _)| *name).collect();
            Err(not_understood(&field, name, format!("known are {}", known.join(", "))))
        }
    }
}

fn scaled(element: DType, shared_by: Granularity, [bits, zero_bits]: [u32; 2], activations: DType) -> WeightFormat {
    WeightFormat { element, scales: Some(Scales { shared_by, bits, zero_bits }), activations, sparsity: None }
}

fn integer(field: &str, bits: u64) -> Result<DType> {
    match bits {
        2 => Ok(DType::Int2),
        3 => Ok(DType::Int3),
        4 => Ok(DType::Int4),
        8 => Ok(DType::Int8),
        _ => Err(not_understood(field, &bits.to_string(), "known are 2, 3, 4 and 8 bits")),
    }
}

/// GPTQ stores a zero point for each group, also where all are equal.
fn gptq(section: &Section<'_>, base: DType) -> Result<Quantised> {
    let element = integer(&format!("{}.bits", section.field), section.number(&["bits"], 4)?)?;
    let group = section.group(&["group_size"], 128)?;
    let format = scaled(element, group, [16, element.format().bits], base);
    Ok(Quantised {
        format,
        only_experts: false,
        head: section.flag("lm_head", false)?,
        except: section.exceptions(&["modules_to_not_convert"])?,
    })
}

fn awq(section: &Section<'_>, base: DType) -> Result<Quantised> {
    let element = integer(&format!("{}.bits", section.field), section.number(&["bits", "w_bit"], 4)?)?;
    let group = section.group(&["group_size", "q_group_size"], 128)?;
    let zero_bits = if section.flag("zero_point", true)? { element.format().bits } else { 0 };
    let format = scaled(element, group, [16, zero_bits], base);
    Ok(Quantised { format, only_experts: false, head: false, except: section.exceptions(&["modules_to_not_convert"])? })
}

/// FP8 as DeepSeek and Qwen store it: a scale of 32 bits for a block or a matrix.
fn fp8(section: &Section<'_>, _: DType) -> Result<Quantised> {
    let granularity = match section.get(&["weight_block_size"]) {
        None => Granularity::Tensor,
        Some((field, value)) => match value.as_array().map(Vec::as_slice) {
            Some([outputs, inputs]) => {
                Granularity::Block { outputs: above_zero(&field, outputs)?, inputs: above_zero(&field, inputs)? }
            }
            _ => return Err(wrong(&field, value, "a list of two numbers")),
        },
    };
    let element = match section.text("fmt")? {
        None | Some((_, "e4m3" | "float8_e4m3fn")) => DType::Fp8E4m3,
        Some((_, "e5m2")) => DType::Fp8E5m2,
        Some((field, other)) => return Err(not_understood(&field, other, "known are e4m3 and e5m2")),
    };
    let format = scaled(element, granularity, [32, 0], element);
    let except = section.exceptions(&["modules_to_not_convert", "ignored_layers"])?;
    Ok(Quantised { format, only_experts: false, head: false, except })
}

fn fbgemm_fp8(section: &Section<'_>, _: DType) -> Result<Quantised> {
    let format = scaled(DType::Fp8E4m3, Granularity::Row, [32, 0], DType::Fp8E4m3);
    Ok(Quantised { format, only_experts: false, head: false, except: section.exceptions(&["modules_to_not_convert"])? })
}

/// MXFP4 as gpt-oss stores it: experts only.
fn mxfp4(section: &Section<'_>, base: DType) -> Result<Quantised> {
    let format = WeightFormat { activations: base, ..WeightFormat::plain(DType::Mxfp4) };
    Ok(Quantised { format, only_experts: true, head: false, except: section.exceptions(&["modules_to_not_convert"])? })
}

fn bitsandbytes(section: &Section<'_>, base: DType) -> Result<Quantised> {
    let format = if section.flag("load_in_8bit", false)? {
        scaled(DType::Int8, Granularity::Row, [32, 0], DType::Int8)
    } else if section.flag("load_in_4bit", false)? {
        let element = match section.text("bnb_4bit_quant_type")? {
            Some((_, "nf4")) => DType::Nf4,
            // A code of four bits as well, whatever its values.
            None | Some((_, "fp4")) => DType::Int4,
            Some((field, other)) => return Err(not_understood(&field, other, "known are nf4 and fp4")),
        };
        // A scale for 64 elements: of 32 bits, or of 8 and a second one of 32 for 256 of those.
        if section.flag("bnb_4bit_use_double_quant", false)? {
            scaled(element, Granularity::Flat(64 * 256), [8 * 256 + 32, 0], base)
        } else {
            scaled(element, Granularity::Flat(64), [32, 0], base)
        }
    } else {
        let field = format!("{}.load_in_4bit", section.field);
        return Err(not_understood(&field, "false", "either `load_in_4bit` or `load_in_8bit` is known"));
    };
    Ok(Quantised { format, only_experts: false, head: false, except: section.exceptions(&["llm_int8_skip_modules"])? })
}

/// NVIDIA ModelOpt names an algorithm.
fn modelopt(section: &Section<'_>, base: DType) -> Result<Quantised> {
    let field = format!("{}.quant_algo", section.field);
    let format = match section.text("quant_algo")? {
        Some((_, "FP8")) => scaled(DType::Fp8E4m3, Granularity::Tensor, [32, 0], DType::Fp8E4m3),
        Some((_, "NVFP4")) => scaled(DType::Nvfp4, Granularity::Tensor, [32, 0], DType::Nvfp4),
        Some((_, "W4A16_AWQ")) => scaled(DType::Int4, section.group(&["group_size"], 128)?, [16, 0], base),
        Some((_, other)) => return Err(not_understood(&field, other, "known are FP8, NVFP4 and W4A16_AWQ")),
        None => return Err(ConfigError::Missing { field }),
    };
    Ok(Quantised {
        format,
        only_experts: false,
        head: true,
        except: section.exceptions(&["ignore", "exclude_modules"])?,
    })
}

/// The format of llm-compressor: groups of modules with schemes, of which one is understood.
fn compressed_tensors(section: &Section<'_>, base: DType) -> Result<Quantised> {
    let missing = |name: &str| ConfigError::Missing { field: format!("{}.{name}", section.field) };
    let groups = section.section("config_groups")?.ok_or_else(|| missing("config_groups"))?;
    let mut names = groups.object.keys();
    let (Some(name), None) = (names.next(), names.next()) else {
        let count = groups.object.len().to_string();
        return Err(not_understood(&groups.field, &count, "one group is"));
    };
    let group = groups.section(name)?.ok_or_else(|| missing("config_groups"))?;
    let understood = |targets: &Value| {
        targets.as_array().is_some_and(|targets| targets.iter().all(|target| target.as_str() == Some("Linear")))
    };
    if let Some((field, targets)) = group.get(&["targets"]).filter(|(_, targets)| !understood(targets)) {
        return Err(not_understood(&field, &targets.to_string(), "known is `Linear`"));
    }
    let weights = group.section("weights")?.ok_or_else(|| missing("weights"))?;
    let activations = match group.section("input_activations")? {
        Some(scheme) => element(&scheme)?,
        None => base,
    };
    let element = element(&weights)?;
    let format = match element {
        DType::Mxfp4 => WeightFormat { activations, ..WeightFormat::plain(element) },
        DType::Nvfp4 => scaled(element, Granularity::Tensor, [32, 0], activations),
        _ => {
            let zero_bits = if weights.flag("symmetric", true)? { 0 } else { element.format().bits };
            scaled(element, granularity(&weights)?, [16, zero_bits], activations)
        }
    };
    let format = WeightFormat { sparsity: sparsity(section)?, ..format };
    Ok(Quantised { format, only_experts: false, head: true, except: section.exceptions(&["ignore"])? })
}

/// The element of a scheme.
fn element(scheme: &Section<'_>) -> Result<DType> {
    let bits = scheme.number(&["num_bits"], 8)?;
    let (field, kind) = scheme.text("type")?.unwrap_or_else(|| (format!("{}.type", scheme.field), "int"));
    match (kind, bits, scheme.number(&["group_size"], 0)?) {
        ("int", bits, _) => integer(&format!("{}.num_bits", scheme.field), bits),
        ("float", 8, _) => Ok(DType::Fp8E4m3),
        ("float", 4, 16) => Ok(DType::Nvfp4),
        ("float", 4, 32) => Ok(DType::Mxfp4),
        (kind, bits, group) => {
            let value = format!("{kind}, {bits} bits, groups of {group}");
            Err(not_understood(
                &field,
                &value,
                "known are int, float of 8 bits, and float of 4 bits in groups of 16 or 32",
            ))
        }
    }
}

fn granularity(scheme: &Section<'_>) -> Result<Granularity> {
    match scheme.text("strategy")? {
        None | Some((_, "tensor")) => Ok(Granularity::Tensor),
        Some((_, "channel")) => Ok(Granularity::Row),
        Some((_, "group")) => scheme.group(&["group_size"], 128),
        Some((_, "block")) => match scheme.get(&["block_structure"]) {
            Some((field, value)) => match value.as_array().map(Vec::as_slice) {
                Some([outputs, inputs]) => Ok(Granularity::Block {
                    outputs: above_zero(&field, outputs)?,
                    inputs: above_zero(&field, inputs)?,
                }),
                _ => Err(wrong(&field, value, "a list of two numbers")),
            },
            None => Err(ConfigError::Missing { field: format!("{}.block_structure", scheme.field) }),
        },
        Some((field, other)) => Err(not_understood(&field, other, "known are tensor, channel, group and block")),
    }
}

fn sparsity(section: &Section<'_>) -> Result<Option<Sparsity>> {
    let Some(sparse) = section.section("sparsity_config")? else { return Ok(None) };
    match sparse.text("sparsity_structure")? {
        Some((_, "2:4")) => Ok(Some(Sparsity::TWO_OF_FOUR)),
        None | Some((_, "unstructured" | "0:0")) => Ok(None),
        Some((field, other)) => Err(not_understood(&field, other, "known is 2:4")),
    }
}
