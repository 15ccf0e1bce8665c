//! Kernels of a profiler on the roofline of a device: what bounds each, and how much time it loses against its own ceiling. No model is needed.

mod ceiling;
mod document;

use jiff::Timestamp;

use crate::estimate::Hardware;
use crate::observe::{Kernel, KernelOperations, Observation};
use crate::profile::{Profile, Source};
use crate::units::{Bytes, Flops, Hertz, Seconds};

use ceiling::Roofs;
pub use document::{Bound, KernelAccount, KernelNeed, KernelsDiagnosis, SCHEMA, schema};

/// What the diagnosis of kernels is made of.
#[derive(Clone, Copy, Debug)]
pub struct KernelsInputs<'a> {
    /// The kernels.
    pub run: &'a Observation,
    /// The device.
    pub profile: &'a Profile,
    /// Its datasheet, where it is known.
    pub datasheet: Option<&'a Profile>,
}

/// Why there is no diagnosis of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelsError {
    /// No kernel has a time.
    #[error("no kernel has a time")]
    NoTime,
}

/// Puts every kernel on the roofline, the one that loses the most time first.
///
/// # Errors
/// No kernel has a time.
pub fn diagnose_kernels(
    inputs: &KernelsInputs<'_>,
    rooflab: Source,
    created: Timestamp,
) -> Result<KernelsDiagnosis, KernelsError> {
    let roofs = Roofs::new(inputs.profile, inputs.datasheet);
    let mut kernels: Vec<KernelAccount> =
        inputs.run.kernels.iter().filter_map(|kernel| account(&roofs, kernel)).collect();
    let time: Seconds = kernels.iter().map(|kernel| kernel.total).sum();
    if time.get() <= 0.0 {
        return Err(KernelsError::NoTime);
    }
    for kernel in &mut kernels {
        kernel.share = kernel.total / time;
    }
    // What has no ceiling comes last, the longest first.
    let key = |kernel: &KernelAccount| (kernel.lost.map_or(f64::NEG_INFINITY, Seconds::get), kernel.total.get());
    kernels.sort_by(|a, b| {
        let ((lost_a, total_a), (lost_b, total_b)) = (key(a), key(b));
        lost_b.total_cmp(&lost_a).then(total_b.total_cmp(&total_a))
    });
    let known = || kernels.iter().filter(|kernel| kernel.ceiling.is_some());
    let ceiling = known().filter_map(|kernel| Some(kernel.ceiling? * kernel.launches as f64)).sum();
    Ok(KernelsDiagnosis {
        schema: SCHEMA,
        rooflab,
        created,
        sources: inputs.run.sources.clone(),
        hardware: Hardware::new(inputs.profile, 1),
        datasheet: inputs.datasheet.map(|sheet| sheet.name.clone()),
        launches: kernels.iter().map(|kernel| kernel.launches).sum(),
        time,
        known: known().map(|kernel| kernel.total).sum(),
        ceiling,
        lacks: lacks(inputs.run),
        unknown: roofs.unknown(),
        caveats: caveats(inputs, &kernels),
        kernels,
    })
}

/// A kernel on the roofline; none without a time.
fn account(roofs: &Roofs<'_>, kernel: &Kernel) -> Option<KernelAccount> {
    let time = time(kernel)?;
    let launches = kernel.launches.max(1);
    let needs = roofs.needs(kernel, time);
    let longest = needs.iter().copied().reduce(|a, b| if b.time > a.time { b } else { a });
    let bytes = bytes(kernel);
    let operations = kernel.operations.iter().filter_map(|operations| operations.count.typical()).sum::<f64>();
    let flops = (!kernel.operations.is_empty()).then_some(Flops(operations));
    let intensity = flops.zip(bytes).map(|(flops, bytes)| flops.get() / bytes.get()).filter(|ratio| ratio.is_finite());
    let total = time * launches as f64;
    let ceiling = longest.map(|need| need.time);
    Some(KernelAccount {
        name: kernel.name.clone(),
        grid: kernel.grid.clone(),
        at: kernel.at.clone(),
        launches,
        time,
        total,
        share: 0.0,
        bytes,
        flops,
        intensity,
        clock: kernel.clock.typical().map(Hertz),
        bound: longest.map(|need| need.of),
        ceiling,
        reached: ceiling.map(|ceiling| ceiling / time),
        lost: ceiling.map(|ceiling| (time - ceiling) * launches as f64),
        needs,
    })
}

/// The time of a launch.
fn time(kernel: &Kernel) -> Option<Seconds> {
    kernel.time.typical().filter(|time| *time > 0.0).map(Seconds)
}

/// Bytes of main memory that a launch reads and writes, where anything of that is known.
fn bytes(kernel: &Kernel) -> Option<Bytes> {
    let parts = [&kernel.memory_read, &kernel.memory_written, &kernel.memory_moved];
    let known: Vec<f64> = parts.iter().filter_map(|values| values.typical()).collect();
    (!known.is_empty()).then(|| Bytes(known.iter().sum()))
}

/// Whether a kernel lacks something, what that is, and the metrics that would say it.
type Lacking = (fn(&Kernel) -> bool, &'static str, &'static str);

/// Metrics that would tell what the file does not: each with what it would be good for.
fn lacks(run: &Observation) -> Vec<String> {
    let kernels: Vec<&Kernel> = run.kernels.iter().filter(|kernel| time(kernel).is_some()).collect();
    let lacking: [Lacking; 5] = [
        (|kernel| bytes(kernel).is_none(), "bytes of main memory", "`dram__bytes_read.sum,dram__bytes_write.sum`"),
        (
            |kernel| kernel.memory_read.typical().is_some() && kernel.memory_written.typical().is_none(),
            "bytes written to main memory",
            "`dram__bytes_write.sum`",
        ),
        (
            |kernel| kernel.memory_written.typical().is_some() && kernel.memory_read.typical().is_none(),
            "bytes read from main memory",
            "`dram__bytes_read.sum`",
        ),
        (
            |kernel| kernel.operations.is_empty(),
            "operations",
            "`sm__ops_path_tensor_src_bf16_dst_fp32.sum` and its like for tensor cores, `sm__sass_thread_inst_executed_op_ffma_pred_on.sum` (and `fadd`, `fmul`) for vector units",
        ),
        (|kernel| kernel.cache_moved.typical().is_none(), "bytes of the second-level cache", "`lts__t_bytes.sum`"),
    ];
    let of = |count: usize| {
        if count == kernels.len() { "any kernel".to_owned() } else { format!("{count} of {} kernels", kernels.len()) }
    };
    let counted = lacking.into_iter().map(|(lacks, what, metrics)| {
        let count = kernels.iter().filter(|kernel| lacks(kernel)).count();
        (count > 0).then(|| format!("{what} of {}: {metrics}", of(count)))
    });
    counted.flatten().collect()
}

/// How far the clock of a profiled kernel may be from that of a ceiling.
const SAME_CLOCK: f64 = 0.03;

/// How much faster than its ceiling a kernel may be before the ceiling is doubted.
const COMES_BACK: f64 = 1.05;

fn caveats(inputs: &KernelsInputs<'_>, kernels: &[KernelAccount]) -> Vec<String> {
    let mut caveats: Vec<String> = inputs.run.caveats.iter().map(ToString::to_string).collect();
    let clocks: Vec<f64> = kernels.iter().filter_map(|kernel| kernel.clock).map(Hertz::get).collect();
    let profiled = clocks.iter().sum::<f64>() / clocks.len() as f64;
    let measured = inputs.profile.instrument.as_ref().and_then(|instrument| instrument.clock).map(|clock| clock.median);
    if let Some(measured) = measured.filter(|measured| (profiled / measured.get() - 1.0).abs() > SAME_CLOCK) {
        caveats.push(format!(
            "the kernels ran at {:.2} GHz, and the ceilings were measured at {:.2} GHz: `ncu --clock-control none` leaves the clock as it is",
            profiled / 1e9,
            measured.get() / 1e9
        ));
    }
    let above = kernels.iter().filter(|kernel| kernel.reached.is_some_and(|reached| reached > COMES_BACK)).count();
    if above > 0 {
        caveats.push(format!(
            "{above} kernels are faster than their ceilings: the profile is of a slower device, or lower than what the device can do"
        ));
    }
    caveats
}

/// The operations that a need is of.
fn counted(operations: &KernelOperations) -> Option<f64> {
    operations.count.typical().filter(|count| *count > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;
    use crate::observe::{Caveat, Distribution};
    use crate::profile::{Ceiling, Outcome, Point, bundled_named};
    use crate::resource::{Key, Scope};
    use proptest::prelude::*;

    fn one(value: f64) -> Distribution {
        Distribution { mean: Some(value), ..Distribution::default() }
    }

    fn kernel(name: &str, launches: u64, time: f64, read: Option<f64>, tensor: Option<f64>) -> Kernel {
        Kernel {
            name: name.to_owned(),
            grid: Some("(8, 1, 1)".to_owned()),
            launches,
            time: one(time),
            memory_read: read.map(one).unwrap_or_default(),
            memory_written: Distribution::default(),
            memory_moved: Distribution::default(),
            cache_moved: Distribution::default(),
            operations: tensor
                .map(|count| KernelOperations {
                    tensor: true,
                    input: DType::Bf16,
                    accumulate: DType::F32,
                    count: one(count),
                })
                .into_iter()
                .collect(),
            clock: Distribution::default(),
            compute_share: Distribution::default(),
            at: "ncu.csv, row 1".to_owned(),
        }
    }

    fn diagnose(profile: &Profile, kernels: Vec<Kernel>) -> Result<KernelsDiagnosis, KernelsError> {
        let mut run = Observation::new(Vec::new());
        run.kernels = kernels;
        run.caveats.push(Caveat::Profiled);
        let inputs = KernelsInputs { run: &run, profile, datasheet: None };
        let source = Source { version: "0".to_owned(), commit: None, target: None };
        diagnose_kernels(&inputs, source, Timestamp::UNIX_EPOCH)
    }

    /// 3.35 TB/s and 989.5 TFLOP/s by the datasheet.
    fn h100() -> Profile {
        bundled_named("nvidia-h100-sxm").and_then(|bundled| bundled.profile()).unwrap().clone()
    }

    #[test]
    fn each_kernel_is_held_against_its_own_ceiling() {
        let found = diagnose(
            &h100(),
            vec![
                // 3.35 GB take 1 ms; 98.95 TFLOP take 100 ms.
                kernel("gemv", 10, 2e-3, Some(3.35e9), Some(6e9)),
                kernel("gemm", 1, 125e-3, Some(3.35e9), Some(98.95e12)),
                kernel("unknown", 1, 1.0, None, None),
            ],
        )
        .unwrap();
        let rows: Vec<(&str, Option<Bound>, Option<f64>)> = found
            .kernels
            .iter()
            .map(|kernel| {
                (kernel.name.as_str(), kernel.bound, kernel.lost.map(|lost| (lost.get() * 1e6).round() / 1e3))
            })
            .collect();
        assert_eq!(
            rows,
            [
                ("gemm", Some(Bound::Compute), Some(25.0)),
                ("gemv", Some(Bound::Memory), Some(10.0)),
                ("unknown", None, None)
            ]
        );
        assert!(found.reached().is_some_and(|reached| (reached - 110.0 / 145.0).abs() < 1e-3), "{found:?}");
        assert_eq!(found.kernels[1].intensity, Some(6e9 / 3.35e9));
        assert!(found.lacks.iter().any(|lack| lack.contains("1 of 3 kernels") && lack.contains("dram__bytes_read")));
        assert_eq!(found.caveats.len(), 1);
    }

    #[test]
    fn a_measured_ceiling_counts_and_not_the_makers() {
        let mut profile = h100();
        for (resource, value) in [("memory.dram.read", 3.0e12), ("memory.dram.copy", 2.7e12), ("memory.l2.read", 6e12)]
        {
            let key = Key { resource: resource.parse().unwrap(), scope: Scope::Device };
            let outcome =
                Outcome::Ok { points: vec![Point::exact(Some(1e11), value)], limit: None, plateau: None, fit: None };
            profile.ceilings.push(Ceiling::new(key, outcome));
        }
        let mut copy = kernel("copy", 1, 2e-3, Some(1.35e9), None);
        copy.memory_written = one(1.35e9);
        let mut cached = kernel("cached", 1, 2e-3, Some(3.0e6), None);
        cached.cache_moved = one(6e9);
        let found = diagnose(&profile, vec![kernel("read", 1, 2e-3, Some(3.0e9), None), copy, cached]).unwrap();
        for kernel in &found.kernels {
            assert!((kernel.ceiling.unwrap().get() - 1e-3).abs() < 1e-9, "{} {:?}", kernel.name, kernel.ceiling);
        }
        let cached = found.kernels.iter().find(|kernel| kernel.name == "cached").unwrap();
        assert_eq!(cached.bound, Some(Bound::Cache));
    }

    #[test]
    fn multiprocessors_that_are_busy_bound_a_kernel_whose_operations_are_not_counted() {
        let mut softmax = kernel("softmax", 1, 1e-3, Some(3.35e8), None);
        softmax.compute_share = one(0.8);
        let found = diagnose(&h100(), vec![softmax]).unwrap();
        assert_eq!(found.kernels[0].bound, Some(Bound::Issue));
        assert!((found.kernels[0].reached.unwrap() - 0.8).abs() < 1e-12);
    }

    #[test]
    fn a_kernel_above_its_ceiling_is_said_and_not_cut() {
        let found = diagnose(&h100(), vec![kernel("gemv", 1, 0.5e-3, Some(3.35e9), None)]).unwrap();
        assert!(found.kernels[0].lost.unwrap().get() < 0.0 && found.reached().is_some_and(|reached| reached > 1.9));
        assert!(found.caveats.iter().any(|caveat| caveat.contains("faster than their ceilings")));
    }

    #[test]
    fn what_was_counted_is_not_asked_for_and_a_half_of_the_traffic_is_no_whole() {
        let mut read = kernel("read", 1, 1e-3, Some(1e9), Some(1e9));
        read.cache_moved = one(1e9);
        // The profile has no bandwidth of the second-level cache: the file has said its part.
        let found = diagnose(&h100(), vec![read.clone()]).unwrap();
        assert!(found.unknown.iter().any(|unknown| unknown.contains("memory.l2.read")), "{:?}", found.unknown);
        let [lack] = &found.lacks[..] else { panic!("{:?}", found.lacks) };
        assert!(lack.starts_with("bytes written to main memory of any kernel: `dram__bytes_write.sum`"), "{lack}");
        read.memory_written = one(1e6);
        assert_eq!(diagnose(&h100(), vec![read]).unwrap().lacks, Vec::<String>::new());
    }

    #[test]
    fn without_a_ceiling_nothing_is_reached() {
        let found = diagnose(&h100(), vec![kernel("unknown", 1, 1e-3, None, None)]).unwrap();
        assert_eq!(found.reached(), None);
        assert!(found.known.get().is_sign_positive() && found.ceiling.get().is_sign_positive(), "{found:?}");
    }

    #[test]
    fn without_times_there_is_nothing_to_say() {
        assert_eq!(diagnose(&h100(), vec![kernel("x", 1, 0.0, Some(1.0), None)]), Err(KernelsError::NoTime));
        assert_eq!(diagnose(&h100(), Vec::new()), Err(KernelsError::NoTime));
    }

    proptest! {
        #[test]
        fn times_add_up_and_the_order_is_by_what_is_lost(
            given in prop::collection::vec((1_u64..1000, 1e-7..1.0_f64, prop::option::of(0.0..1e12_f64), prop::option::of(0.0..1e15_f64)), 1..20)
        ) {
            let kernels = given.iter().map(|&(launches, time, read, tensor)| kernel("k", launches, time, read, tensor)).collect();
            let found = diagnose(&h100(), kernels).unwrap();
            let shares: f64 = found.kernels.iter().map(|kernel| kernel.share).sum();
            prop_assert!((shares - 1.0).abs() < 1e-9);
            let lost: f64 = found.kernels.iter().filter_map(|kernel| kernel.lost).map(Seconds::get).sum();
            let rest = (found.known - found.ceiling).get();
            prop_assert!((lost - rest).abs() <= 1e-9 * found.known.get().max(found.ceiling.get()).max(1.0));
            let order: Vec<f64> = found.kernels.iter().map(|kernel| kernel.lost.map_or(f64::NEG_INFINITY, Seconds::get)).collect();
            prop_assert!(order.is_sorted_by(|a, b| a >= b));
        }
    }
}
