//! In what a device may differ from the interpreter, as data. Whatever is not here must be the same byte by byte.
//!
//! Clocks show what they like. Approximate functions have the errors that the PTX manual states for them (`ex2.approx` and `rsqrt.approx`
//! 2⁻²² of the result and less, `div.approx` two units in the last place), and the interpreter none. And an assembler may make one
//! multiply-add, rounded once, of a product and a sum that do not say how they are rounded; the interpreter rounds twice. Matrix units
//! add in an order and with roundings of their own. The additions of
//! atomics are all of integers, whose order does not matter.

use std::ops::Range;

use super::compare::{Format, Tolerance};

/// What kernels may differ in whose names begin with something.
#[derive(Debug)]
pub(crate) struct Rule {
    kernels: &'static str,
    /// Bytes that may be anything: the parameter that points to them, and where they are from there.
    pub(crate) free: &'static [(usize, Range<u64>)],
    pub(crate) tolerance: Option<Tolerance>,
    pub(crate) because: &'static str,
}

const CLOCKS: &str = "clocks";
const EXPONENTIALS: &str = "approximate exponentials and quotients";
const ROOTS: &str = "approximate reciprocal roots";
const JOINED: &str = "products and sums that the assembler joins";
const SUMMED: &str = "the order and the roundings of matrix units' sums";
const SHARES: &str = "approximate exponentials, and the order and the roundings of matrix units' sums";
const ALL: &str = "approximate exponentials and quotients, and products and sums that the assembler joins";

const fn clocks(kernels: &'static str, free: &'static [(usize, Range<u64>)]) -> Rule {
    Rule { kernels, free, tolerance: None, because: CLOCKS }
}

const fn near(kernels: &'static str, because: &'static str, format: Format, units: f64, of_largest: f64) -> Rule {
    Rule { kernels, free: &[], tolerance: Some(Tolerance { format, units, of_largest }), because }
}

/// An exponential is off by four units at most, a sum of them by as many, and a quotient by two more; a product of such numbers adds their
/// errors. A number of 16 bits is the same or the next one.
static RULES: [Rule; 41] = [
    clocks("stamp", &[(0, 0..24)]),
    // Their products are exact, and so are all sums of matrix units here: neither what is joined nor the order matters.
    near("multiply_add_bf16", JOINED, Format::F32, 0.0, 0.0),
    near("multiply_add_f16", JOINED, Format::F32, 0.0, 0.0),
    near("multiply_add_f32", JOINED, Format::F32, 0.0, 0.0),
    near("multiply_add_f64", JOINED, Format::F32, 0.0, 0.0),
    near("matrix_f", SUMMED, Format::F32, 0.0, 0.0),
    near("matrix_bf16", SUMMED, Format::F32, 0.0, 0.0),
    near("matrix_tf32", SUMMED, Format::F32, 0.0, 0.0),
    near("matrix_sparse_f", SUMMED, Format::F32, 0.0, 0.0),
    near("matrix_sparse_bf16", SUMMED, Format::F32, 0.0, 0.0),
    near("matrix_sparse_tf32", SUMMED, Format::F32, 0.0, 0.0),
    near("warpgroup_sparse_f", SUMMED, Format::F32, 0.0, 0.0),
    near("warpgroup_sparse_bf16", SUMMED, Format::F32, 0.0, 0.0),
    near("warpgroup_sparse_tf32", SUMMED, Format::F32, 0.0, 0.0),
    near("warpgroup_f", SUMMED, Format::F32, 0.0, 0.0),
    near("warpgroup_bf16", SUMMED, Format::F32, 0.0, 0.0),
    near("warpgroup_tf32", SUMMED, Format::F32, 0.0, 0.0),
    // A sum loses a digit's worth at each instruction along k, of which the small products that are compared have a few hundred. Some
    // generations sum products of 8-bit numbers with 13 digits after the first.
    near("gemm_f16_", SUMMED, Format::F32, 0.0, 512.0),
    near("gemm_bf16_", SUMMED, Format::F32, 0.0, 512.0),
    near("gemm_fp8_", SUMMED, Format::F32, 0.0, 32768.0),
    near("gemm_warpgroup_f16_", SUMMED, Format::F32, 0.0, 512.0),
    near("gemm_warpgroup_bf16_", SUMMED, Format::F32, 0.0, 512.0),
    near("gemm_warpgroup_fp8_", SUMMED, Format::F32, 0.0, 32768.0),
    near("gemm_pair_f16_", SUMMED, Format::F32, 0.0, 512.0),
    near("gemm_pair_bf16_", SUMMED, Format::F32, 0.0, 512.0),
    near("gemm_pair_fp8_", SUMMED, Format::F32, 0.0, 32768.0),
    near("softmax_f32_", EXPONENTIALS, Format::F32, 16.0, 0.0),
    near("softmax_f16_", EXPONENTIALS, Format::F16, 1.0, 0.0),
    near("softmax_bf16_", EXPONENTIALS, Format::Bf16, 1.0, 0.0),
    near("silu_mul_f32_", EXPONENTIALS, Format::F32, 16.0, 0.0),
    near("silu_mul_f16_", EXPONENTIALS, Format::F16, 1.0, 0.0),
    near("silu_mul_bf16_", EXPONENTIALS, Format::Bf16, 1.0, 0.0),
    near("rmsnorm_f32_", ROOTS, Format::F32, 6.0, 0.0),
    near("rmsnorm_f16_", ROOTS, Format::F16, 1.0, 0.0),
    near("rmsnorm_bf16_", ROOTS, Format::Bf16, 1.0, 0.0),
    near("rope_f32_", JOINED, Format::F32, 1.0, 2.0),
    near("rope_f16_", JOINED, Format::F16, 1.0, 2.0),
    near("rope_bf16_", JOINED, Format::Bf16, 1.0, 2.0),
    // Shares are rounded to bf16 before the product with the values: an exponential that is off by its last digit may be rounded to the next.
    near("prefill_bf16_", SHARES, Format::F32, 0.0, 32768.0),
    near("decode_join", EXPONENTIALS, Format::F32, 16.0, 64.0),
    // An exponent is a difference of scores: its roundings, of which the assembler may leave one out, are those of the scores.
    near("decode_", ALL, Format::F32, 16.0, 64.0),
];

/// What a kernel may differ in, if it may.
pub(crate) fn rule(kernel: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| kernel.starts_with(rule.kernels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The kernels that ship, each with its text.
    fn kernels() -> Vec<(String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/ptx");
        let mut found = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            for kernel in text.split(".entry ").skip(1) {
                let name = kernel.split('(').next().unwrap().trim();
                found.push((name.to_owned(), kernel.to_owned()));
            }
        }
        assert!(found.len() > 100);
        found
    }

    /// Whether a sum takes a product, neither of which says how it is rounded.
    fn can_be_joined(kernel: &str) -> bool {
        let mut products = BTreeSet::new();
        for line in kernel.lines() {
            let words: Vec<&str> = line.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty()).collect();
            let [operation, to, from @ ..] = words.as_slice() else { continue };
            match *operation {
                "mul.f32" | "mul.f64" => {
                    products.insert(*to);
                }
                "add.f32" | "add.f64" | "sub.f32" | "sub.f64" if from.iter().any(|from| products.contains(from)) => {
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    /// Whether matrix units add floating-point numbers up.
    fn is_summed(kernel: &str) -> bool {
        let mut words =
            kernel.split_whitespace().filter(|word| word.starts_with("mma.") || word.starts_with("wgmma.mma"));
        words.any(|word| [".f16", ".f32", ".f64"].iter().any(|format| word.contains(format)))
    }

    #[test]
    fn what_may_differ_does_so_for_a_reason_that_its_text_shows() {
        for (name, text) in kernels() {
            let clocks = ["%clock", "%globaltimer", "%smid"].iter().any(|word| text.contains(word));
            let approximate = text.contains(".approx");
            let reason = clocks || approximate || can_be_joined(&text) || is_summed(&text);
            let found = rule(&name);
            assert_eq!(found.is_some(), reason, "{name}");
            let Some(found) = found else { continue };
            assert_eq!(!found.free.is_empty(), clocks, "{name}");
            assert!(found.tolerance.is_some() || !approximate, "{name}");
        }
    }

    #[test]
    fn every_rule_is_of_a_kernel() {
        let kernels = kernels();
        for (index, row) in RULES.iter().enumerate() {
            let used =
                kernels.iter().any(|(name, _)| rule(name).is_some_and(|found| std::ptr::eq(found, &RULES[index])));
            assert!(used, "{}", row.kernels);
        }
    }

    #[test]
    fn floating_point_numbers_are_never_added_by_atomics() {
        for (name, text) in kernels() {
            let atomics = ["atom.", "red.global", "red.shared"];
            let mut lines = text.lines().filter(|line| atomics.iter().any(|atomic| line.contains(atomic)));
            assert!(
                lines.all(|line| !line.contains(".f16") && !line.contains(".f32") && !line.contains(".f64")),
                "{name}"
            );
        }
    }
}
