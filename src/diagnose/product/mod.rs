//! A matrix product as a run: its time from the maker's peak over the measured one and the ceiling of its shape to what was measured.

mod document;
mod references;
#[cfg(test)]
pub(super) mod testing;

use jiff::Timestamp;

use super::document::Checked;
use super::finding::Finding;
use super::rules::PRODUCT_RULES;
use super::waterfall::{Level, steps};
use crate::dtype::DType;
use crate::estimate::Hardware;
use crate::facts::DeviceKind;
use crate::profile::{Profile, Source};
use crate::resource::Resource;
use crate::units::Seconds;
use crate::workload::{Shape, Work};

pub use document::{Against, ProductDiagnosis, Reference, SCHEMA, schema};
pub(super) use references::{Rate, References};

/// A matrix product that somebody timed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product {
    /// Its shape.
    pub shape: Shape,
    /// The format of both factors.
    pub dtype: DType,
    /// How long one took.
    pub time: Seconds,
    /// Threads that took part; where nobody said it, one for each core.
    pub threads: Option<u64>,
}

/// What the diagnosis of a product is made of.
#[derive(Clone, Copy, Debug)]
pub struct ProductInputs<'a> {
    /// What was measured.
    pub product: Product,
    /// The device.
    pub profile: &'a Profile,
    /// Its datasheet, where it is known.
    pub datasheet: Option<&'a Profile>,
}

/// Why there is no diagnosis of a product.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProductError {
    /// The shape has more operations than can be counted.
    #[error("`--product` is {0}: that are more operations than can be counted")]
    TooLarge(Shape),
    /// A number cannot be what it is said to be.
    #[error("`{flag}` is {value}; expected {expected}")]
    Number {
        /// The flag.
        flag: &'static str,
        /// The number.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// Threads of a device that is no processor.
    #[error("`--threads` is for processors; `{0}` is of none")]
    Threads(String),
    /// There is nothing to hold the product against.
    #[error("profile `{profile}` knows no peak of products in {dtype}: {why}")]
    NoPeak {
        /// The profile.
        profile: String,
        /// The format.
        dtype: DType,
        /// What it says of the nearest resource.
        why: String,
    },
}

/// A product with everything that it is held against: what rules ask.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub(super) inputs: &'a ProductInputs<'a>,
    /// Operations per second that were reached.
    pub(super) rate: f64,
    /// The peaks, and the ceiling of the shape.
    pub(super) references: References,
    /// How long main memory is busy at the least by the maker's bandwidth, where the matrices fit into no cache.
    pub(super) moved_at_least: Option<Seconds>,
    /// How long the matrices are moved at the measured bandwidth, from where they fit.
    pub(super) moved_as_measured: Option<Seconds>,
    /// The time with every cause that is known.
    pub(super) estimate: Seconds,
}

/// Times beyond this are a mistake in the unit.
const LONGEST: f64 = 1e7;

/// Diagnoses a product.
///
/// # Errors
/// When a number of it cannot be true, or the profile knows no peak of its format.
pub fn diagnose_product(
    inputs: &ProductInputs<'_>,
    rooflab: Source,
    created: Timestamp,
) -> Result<ProductDiagnosis, ProductError> {
    let Product { shape, dtype, time, threads } = inputs.product;
    check(inputs)?;
    let work = operations(shape, dtype)?;
    let rate = work.ops as f64 / time.get();
    let references = References::of(inputs, &work)?;
    let levels = references.levels(&work);
    let estimate = levels.iter().rev().find_map(|(_, level)| level.clone().ok()).unwrap_or_default();
    let floor = levels.first().and_then(|(_, level): &Level| level.clone().ok());
    let (spent, absent) = steps(levels, time);
    let (moved_at_least, moved_as_measured) = (references.moved_at_least(&work), references.moved_as_measured(&work));
    let case = Case { inputs, rate, references, moved_at_least, moved_as_measured, estimate };
    let (mut findings, mut checked) = (Vec::new(), Vec::new());
    for known in PRODUCT_RULES {
        match (known.check)(&case) {
            Some(found) => findings.push(Finding { rule: known.rule.id, name: known.rule.name, found }),
            None => checked.push(Checked { rule: known.rule.id, name: known.rule.name }),
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.found.severity));
    let Case { references, .. } = case;
    Ok(ProductDiagnosis {
        schema: SCHEMA,
        rooflab,
        created,
        shape,
        dtype,
        threads,
        hardware: Hardware::new(inputs.profile, 1),
        datasheet: inputs.datasheet.map(|sheet| sheet.name.clone()),
        cores: references.cores,
        measured: time,
        operations: work.ops,
        bytes: work.bytes_read + work.bytes_written,
        rate,
        unit: Resource::Gemm { input: dtype, accumulate: dtype }.unit(),
        is_memory_bound: references.is_memory_bound(&work),
        against: references.against(rate),
        floor,
        estimate,
        spent,
        absent,
        findings,
        checked,
        assumptions: references.assumptions,
    })
}

fn check(inputs: &ProductInputs<'_>) -> Result<(), ProductError> {
    let Product { time, threads, .. } = inputs.product;
    if !(time.get() > 0.0 && time.get() <= LONGEST) {
        let expected = "a time above 0, in seconds";
        return Err(ProductError::Number { flag: "--time", value: time.get(), expected });
    }
    if threads == Some(0) {
        return Err(ProductError::Number { flag: "--threads", value: 0.0, expected: "1 at least" });
    }
    if threads.is_some() && inputs.profile.device.kind != DeviceKind::Cpu {
        return Err(ProductError::Threads(inputs.profile.name.clone()));
    }
    Ok(())
}

/// The exact work, unless it is beyond counting.
fn operations(shape: Shape, dtype: DType) -> Result<Work, ProductError> {
    let Shape { m, n, k } = shape;
    let countable = |a: u64, b: u64| a.checked_mul(b).filter(|&product| product < u64::MAX / 64);
    let sides = [countable(m, k), countable(n, k), countable(m, n)];
    let ops = countable(m, n).and_then(|outputs| countable(outputs, k));
    if sides.contains(&None) || ops.is_none() {
        return Err(ProductError::TooLarge(shape));
    }
    Ok(shape.work(dtype, references::accumulated(dtype)))
}

impl Case<'_> {
    /// What no cause explains; nothing where the product was faster than its ceiling.
    pub(super) fn rest(&self) -> Seconds {
        Seconds((self.inputs.product.time - self.estimate).get().max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::{EvidenceUnit, Fact, Severity};
    use super::super::waterfall::Cause;
    use super::testing::{self, golden_cove, of, product};
    use super::*;
    use crate::profile::{Flag, Outcome, bundled_named};
    use proptest::prelude::*;

    fn times(found: &ProductDiagnosis) -> Vec<(Cause, f64)> {
        found.spent.iter().map(|spent| (spent.on, spent.time / found.measured)).collect()
    }

    #[test]
    fn the_rate_falls_from_the_makers_peak_to_the_measured_one() {
        let found = product(&golden_cove(), 140e9, Some(2));
        let shares: Vec<(Reference, f64)> = found.against.iter().map(|against| (against.what, against.share)).collect();
        assert_eq!(
            shares,
            [(Reference::Maker, 140.0 / 380.0), (Reference::Peak, 140.0 / 340.0), (Reference::Shape, 0.5)]
        );
        let expected = [
            (Cause::Product, 140.0 / 380.0),
            (Cause::Ceilings, 140.0 / 340.0 - 140.0 / 380.0),
            (Cause::Shapes, 0.5 - 140.0 / 340.0),
            (Cause::Unexplained, 0.5),
        ];
        for ((cause, share), (other, right)) in times(&found).into_iter().zip(expected) {
            assert!(cause == other && (share - right).abs() < 1e-12, "{cause:?}: {share} instead of {right}");
        }
        assert!((found.reached() - 0.5).abs() < 1e-12 && !found.is_memory_bound);
    }

    #[test]
    fn one_thread_is_held_against_one_core() {
        let found = product(&golden_cove(), 126e9, Some(1));
        assert_eq!(found.against(Reference::Shape).map(|against| against.rate), Some(140e9));
        assert_eq!(found.against(Reference::Maker).map(|against| against.rate), Some(190e9));
        assert_eq!(found.cores, Some(1));
    }

    #[test]
    fn more_threads_than_cores_are_all_cores_and_some_are_at_most_all() {
        let mut profile = golden_cove();
        assert_eq!(product(&profile, 126e9, Some(64)).cores, Some(2));
        profile.device.cores = 4;
        let three = product(&profile, 126e9, Some(3));
        // Three times 175 are more than the 340 of all.
        assert_eq!(three.against(Reference::Peak).map(|against| against.rate), Some(340e9));
        assert_eq!(three.against(Reference::Maker).map(|against| against.rate), Some(570e9));
    }

    #[test]
    fn bf16_may_be_widened_to_f32_where_that_is_faster() {
        let shape = Shape::square(1024);
        let found =
            of(&golden_cove(), Product { shape, dtype: DType::Bf16, time: Seconds(0.02), threads: None }).unwrap();
        assert_eq!(found.against(Reference::Peak).map(|against| against.rate), Some(340e9));
        assert!(found.absent.iter().any(|absent| absent.cause == Cause::Shapes), "{:?}", found.absent);
    }

    #[test]
    fn a_datasheet_alone_has_a_floor_and_no_ceilings() {
        let profile = bundled_named("nvidia-h100-sxm").and_then(|bundled| bundled.profile()).unwrap();
        let shape = Shape::square(8192);
        let of = |threads| of(profile, Product { shape, dtype: DType::Bf16, time: Seconds(1.7e-3), threads });
        let found = of(None).unwrap();
        assert_eq!(found.absent.len(), 2);
        assert!((found.reached() - found.floor.unwrap() / found.measured).abs() < 1e-12);
        assert_eq!(of(Some(4)), Err(ProductError::Threads("nvidia-h100-sxm".to_owned())));
        let thin = Product {
            shape: Shape { m: 1, n: 65536, k: 65536 },
            dtype: DType::Bf16,
            time: Seconds(3e-3),
            threads: None,
        };
        assert!(testing::of(profile, thin).unwrap().is_memory_bound);
    }

    #[test]
    fn faster_than_light_is_an_error_and_faster_than_measured_a_warning() {
        let first =
            |rate| product(&golden_cove(), rate, Some(2)).findings.first().map(|finding| finding.found.severity);
        assert_eq!(first(450e9), Some(Severity::Error));
        assert_eq!(first(360e9), Some(Severity::Warning));
        assert_eq!(first(300e9), None);
    }

    #[test]
    fn a_product_is_no_faster_than_its_matrices_are_moved() {
        let first = |profile: &Profile, shape, dtype, time| {
            let found = of(profile, Product { shape, dtype, time: Seconds(time), threads: None }).unwrap();
            let finding = found.findings.into_iter().find(|finding| finding.rule == "RL001")?.found;
            Some((finding.severity, finding.evidence.into_iter().last().map(|evidence| evidence.is)))
        };
        // 8.59 GB at 3.35 TB/s take 2.56 ms, their operations 8.7 µs; less is what a cache keeps from one product to the next.
        let h100 = bundled_named("nvidia-h100-sxm").and_then(|bundled| bundled.profile()).unwrap();
        let thin = |time| first(h100, Shape { m: 1, n: 65536, k: 65536 }, DType::Bf16, time);
        let Some((Severity::Error, Some(Fact::Number { value, unit: EvidenceUnit::Seconds }))) = thin(1e-4) else {
            panic!("{:?}", thin(1e-4))
        };
        assert!(value > 2.5e-3 && value < 2.565e-3, "{value}");
        assert_eq!(thin(3e-3), None);
        // A little more than its cache of 52 MB: nearly all of it may stay there.
        assert_eq!(first(h100, Shape { m: 1, n: 408, k: 65536 }, DType::Bf16, 1e-5), None);
        // 4.29 GB at the measured 25 GB/s take 172 ms, their operations 6.
        let measured = |time| first(&golden_cove(), Shape { m: 1, n: 32768, k: 32768 }, DType::F32, time);
        assert_eq!(measured(0.15).map(|(severity, _)| severity), Some(Severity::Warning));
        assert_eq!(measured(0.18), None);
    }

    #[test]
    fn only_what_moved_is_said_to_have_moved() {
        let said = |flag: Flag| {
            let mut profile = golden_cove();
            for ceiling in &mut profile.ceilings {
                if let Outcome::Ok { points, .. } = &mut ceiling.outcome
                    && ceiling.resource.to_string() == "gemm.f32"
                {
                    points.iter_mut().for_each(|point| point.flags.push(flag.clone()));
                }
            }
            product(&profile, 140e9, None).assumptions
        };
        let moved = said(Flag::Unrepeatable { visits: [2.8e11, 3.5e11] });
        assert!(matches!(&moved[..], [text] if text.contains("`gemm.f32` moved by 25 %")), "{moved:?}");
        for flag in [Flag::Nonlinear { ratio: 1.2 }, Flag::Unrepeatable { visits: [2.8e11, 2.9e11] }] {
            let flagged = said(flag);
            assert!(matches!(&flagged[..], [text] if text.starts_with("`gemm.f32` is flagged: ")), "{flagged:?}");
        }
    }

    #[test]
    fn hostile_numbers_are_refused_by_name() {
        let refused = |product| of(&golden_cove(), product).unwrap_err().to_string();
        let usual = Product { shape: Shape::square(64), dtype: DType::F32, time: Seconds(1.0), threads: None };
        assert!(refused(Product { time: Seconds(0.0), ..usual }).contains("`--time` is 0"));
        assert!(refused(Product { time: Seconds(f64::NAN), ..usual }).contains("`--time` is NaN"));
        assert!(refused(Product { threads: Some(0), ..usual }).contains("`--threads` is 0"));
        assert!(refused(Product { shape: Shape::square(u64::MAX), ..usual }).contains("`--product`"));
        assert!(refused(Product { dtype: DType::Mxfp4, ..usual }).contains("no peak of products in mxfp4"));
    }

    proptest! {
        #[test]
        fn no_product_breaks_it_and_the_steps_sum_to_what_was_measured(
            m in 1_u64..1 << 50, n in 1_u64..1 << 20, k in 1_u64..1 << 20, time in 1e-9..1e6_f64, threads in prop::option::of(1_u64..)
        ) {
            let product = Product { shape: Shape { m, n, k }, dtype: DType::F32, time: Seconds(time), threads };
            if let Ok(found) = of(&golden_cove(), product) {
                let sum: f64 = found.spent.iter().map(|spent| spent.time.get()).sum();
                let largest = found.spent.iter().map(|spent| spent.time.get().abs()).fold(time, f64::max);
                prop_assert!((sum - time).abs() <= largest * 1e-12, "{} {}", sum, time);
            }
        }
    }
}
