//! The metrics of Nsight Compute that are read: their names, their units, and what an instruction counts for.
//!
//! The source of the names and of the operations of an instruction are the definitions of the roofline charts that Nsight Compute ships with.

use crate::dtype::DType;
use crate::observe::error::ReadError;
use crate::observe::object::within;

/// A number of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Time,
    Read,
    Written,
    /// Bytes read and written, or their rate, where the two are not apart.
    Moved,
    MovedRate,
    Cache,
    Compute,
    Clock,
    /// Operations of a row of [`FORMATS`].
    Operations(usize),
}

/// The metrics that are read, by the names of both pages.
const METRICS: [(&str, Item); 15] = [
    ("gpu__time_duration.sum", Item::Time),
    ("gpu__time_duration.avg", Item::Time),
    ("Duration", Item::Time),
    ("dram__bytes_read.sum", Item::Read),
    ("dram__bytes_write.sum", Item::Written),
    ("dram__bytes.sum", Item::Moved),
    ("dram__bytes.sum.per_second", Item::MovedRate),
    ("Memory Throughput", Item::MovedRate),
    ("lts__t_bytes.sum", Item::Cache),
    ("sm__throughput.avg.pct_of_peak_sustained_elapsed", Item::Compute),
    ("Compute (SM) Throughput", Item::Compute),
    ("SM Frequency", Item::Clock),
    ("sm__cycles_elapsed.avg.per_second", Item::Clock),
    ("smsp__cycles_elapsed.avg.per_second", Item::Clock),
    ("gpc__cycles_elapsed.avg.per_second", Item::Clock),
];

/// What operations are counted in: on tensor cores or not, the format of the factors, that of the sums.
pub(super) const FORMATS: [(bool, DType, DType); 12] = [
    (false, DType::F64, DType::F64),
    (false, DType::F32, DType::F32),
    (false, DType::F16, DType::F16),
    (true, DType::F64, DType::F64),
    (true, DType::Tf32, DType::F32),
    (true, DType::F16, DType::F32),
    (true, DType::F16, DType::F16),
    (true, DType::Bf16, DType::F32),
    (true, DType::Fp8E4m3, DType::F32),
    (true, DType::Int8, DType::Int32),
    (true, DType::Int4, DType::Int32),
    (true, DType::Nvfp4, DType::F32),
];

/// Instructions of the vector units, with the operations of each in a thread: those on 16 bits are done in pairs.
const INSTRUCTIONS: [(&str, usize, f64); 9] = [
    ("dadd", 0, 1.0),
    ("dmul", 0, 1.0),
    ("dfma", 0, 2.0),
    ("fadd", 1, 1.0),
    ("fmul", 1, 1.0),
    ("ffma", 1, 2.0),
    ("hadd", 2, 2.0),
    ("hmul", 2, 2.0),
    ("hfma", 2, 4.0),
];

/// Operations of tensor cores, by what stands between `sm__ops_path_tensor_` and `.sum`. Newer ones count the narrow formats together, which are at one rate.
const TENSOR: [(&str, usize); 11] = [
    ("src_fp64", 3),
    ("src_fp64_dst_fp64", 3),
    ("src_tf32_dst_fp32", 4),
    ("src_fp16_dst_fp32", 5),
    ("src_fp16_dst_fp16", 6),
    ("src_bf16_dst_fp32", 7),
    ("src_fp8", 8),
    ("src_fp8_dst_fp32", 8),
    ("src_int8", 9),
    ("src_int4", 10),
    ("src_fp4_dst_fp32", 11),
];

/// Units and what they are in base units.
const UNITS: [(&str, f64); 34] = [
    ("ns", 1e-9),
    ("nsecond", 1e-9),
    ("us", 1e-6),
    ("usecond", 1e-6),
    ("ms", 1e-3),
    ("msecond", 1e-3),
    ("s", 1.0),
    ("second", 1.0),
    ("byte", 1.0),
    ("Kbyte", 1e3),
    ("Mbyte", 1e6),
    ("Gbyte", 1e9),
    ("Tbyte", 1e12),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
    ("byte/s", 1.0),
    ("byte/second", 1.0),
    ("Mbyte/s", 1e6),
    ("Mbyte/second", 1e6),
    ("Gbyte/s", 1e9),
    ("Gbyte/second", 1e9),
    ("Tbyte/s", 1e12),
    ("Tbyte/second", 1e12),
    ("cycle/second", 1.0),
    ("cycle/usecond", 1e6),
    ("cycle/nsecond", 1e9),
    ("hz", 1.0),
    ("Mhz", 1e6),
    ("MHz", 1e6),
    ("Ghz", 1e9),
    ("GHz", 1e9),
    ("%", 0.01),
];

/// Units of counts.
const COUNTS: [(&str, f64); 9] = [
    ("", 1.0),
    ("inst", 1.0),
    ("Kinst", 1e3),
    ("Minst", 1e6),
    ("Ginst", 1e9),
    ("op", 1.0),
    ("Kop", 1e3),
    ("Mop", 1e6),
    ("Gop", 1e9),
];

/// The number that a metric is, and what its value counts for. One name stands for a share and for a rate, which its unit tells apart.
pub(super) fn item(name: &str, unit: &str) -> Option<(Item, f64)> {
    let metric = METRICS.iter().find(|(metric, _)| *metric == name).map(|(_, item)| *item);
    if let Some(item) = metric {
        let is_rate = unit.contains('/');
        return (item != Item::MovedRate || is_rate).then_some((item, 1.0));
    }
    let instruction = name
        .strip_prefix("smsp__")
        .or_else(|| name.strip_prefix("sm__"))
        .and_then(|rest| rest.strip_prefix("sass_thread_inst_executed_op_")?.strip_suffix("_pred_on.sum"));
    if let Some(instruction) = instruction {
        let known = INSTRUCTIONS.iter().find(|(name, ..)| *name == instruction);
        return known.map(|&(_, format, operations)| (Item::Operations(format), operations));
    }
    let path = name.strip_prefix("sm__ops_path_tensor_")?.strip_suffix(".sum")?;
    TENSOR.iter().find(|(name, _)| *name == path).map(|&(_, format)| (Item::Operations(format), 1.0))
}

/// `1,205.00` with its unit in base units; none for `n/a`. Without a unit the value is taken to be in the base unit, as `--print-units base` writes it.
pub(super) fn number(item: Item, word: &str, unit: &str, at: &str) -> Result<Option<f64>, ReadError> {
    let word = word.trim();
    if word.is_empty() || word.eq_ignore_ascii_case("n/a") || word.eq_ignore_ascii_case("nan") {
        return Ok(None);
    }
    let number = ungrouped(word).and_then(|word| word.parse::<f64>().ok()).filter(|number| number.is_finite());
    let number = number.ok_or_else(|| ReadError::at(at, "expected a number such as `1,205.00`"))?;
    let units: &[(&str, f64)] = if matches!(item, Item::Operations(_)) { &COUNTS } else { &UNITS };
    let known = units.iter().find(|(name, _)| *name == unit.trim());
    let (_, factor) = known.ok_or_else(|| {
        ReadError::at(at, "expected a unit of time, bytes, frequency or operations, or `%`, beside the value")
    })?;
    let number = within(number, || at.to_owned())?;
    Ok(Some(number * factor).filter(|&number| number >= 0.0))
}

/// A number without its thousands separators. A comma that separates anything but three digits is a decimal comma, which could be mistaken for one.
fn ungrouped(word: &str) -> Option<String> {
    let (whole, part) = word.split_once('.').map_or((word, None), |(whole, part)| (whole, Some(part)));
    let groups_fit = whole.split(',').skip(1).all(|group| group.len() == 3);
    if !groups_fit || part.is_some_and(|part| part.contains(',')) {
        return None;
    }
    Some(word.replace(',', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_separators_and_units() {
        assert_eq!(number(Item::Time, "1,205.00", "us", "x").unwrap(), Some(1205.0e-6));
        assert_eq!(number(Item::Read, "117,571,584", "byte", "x").unwrap(), Some(117_571_584.0));
        assert_eq!(number(Item::Time, "n/a", "", "x").unwrap(), None);
        assert_eq!(number(Item::Operations(0), "2,048", "inst", "x").unwrap(), Some(2048.0));
        assert_eq!(number(Item::MovedRate, "3.1", "Tbyte/s", "x").unwrap(), Some(3.1e12));
        for (word, unit) in [("1205,00", "us"), ("1.205,00", "us"), ("x", "us"), ("1", "furlong"), ("1e300", "us")] {
            assert!(number(Item::Time, word, unit, "x").is_err(), "{word} {unit}");
        }
    }

    #[test]
    fn operations_are_counted_by_their_instructions() {
        let ffma = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum";
        assert_eq!(item(ffma, "inst"), Some((Item::Operations(1), 2.0)));
        assert_eq!(item("sm__sass_thread_inst_executed_op_hfma_pred_on.sum", ""), Some((Item::Operations(2), 4.0)));
        assert_eq!(item("sm__ops_path_tensor_src_bf16_dst_fp32.sum", ""), Some((Item::Operations(7), 1.0)));
        assert_eq!(item("sm__ops_path_tensor_src_bf16_dst_fp32_sparsity_off.sum", ""), None);
        // A share of the peak is no rate.
        assert_eq!(item("Memory Throughput", "%"), None);
        assert_eq!(item("Memory Throughput", "Gbyte/s"), Some((Item::MovedRate, 1.0)));
    }
}
