//! Which share of a processor's multiply-adds programs reach that use narrower vectors than it has.
//!
//! Widths alone do not tell: many cores execute 512 bits as two halves, and lose nothing with 256. So the operations that a core was measured to do in a cycle are held against those that cores
//! do with narrower instructions.

use crate::dtype::DType;
use crate::profile::Profile;
use crate::resource::{ComputeUnit, Key, Resource, Scope};

/// An instruction set, with the f32 operations that a core does with it in a cycle at the most.
struct Set {
    name: &'static str,
    operations: f64,
}

/// Narrower sets of x86-64: two units of 256-bit multiply-adds; 128 bits with units of their own for adding and multiplying, or two for both.
const SETS: [Set; 3] = [
    Set { name: "AVX2", operations: 32.0 },
    Set { name: "SSE", operations: 16.0 },
    Set { name: "SSE", operations: 8.0 },
];

/// The share of its instructions' peak that a good product reaches at least, and what the clock may add to it at the most.
const REACHED: std::ops::RangeInclusive<f64> = 0.6..=1.03;

/// How much less a set must give than what was measured to be told from it.
const LESS: f64 = 0.6;

/// An instruction set that would explain a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Narrower {
    /// The narrower instruction set.
    pub(super) name: &'static str,
    /// The share of the measured peak that it allows.
    pub(super) allows: f64,
    /// The share that the rate is.
    pub(super) reached: f64,
    /// The measured peak of all cores, in operations per second.
    pub(super) peak: f64,
}

/// The narrower instruction set that a rate of all cores (operations per second in f32 or f64) is that of, if there is one.
pub(super) fn narrower(profile: &Profile, format: DType, rate: f64) -> Option<Narrower> {
    if profile.device.isa.as_deref() != Some("x86_64") || !matches!(format, DType::F32 | DType::F64) {
        return None;
    }
    let resource = Resource::Compute { unit: ComputeUnit::Vector, input: format, accumulate: format };
    let point = |scope| profile.ceiling(Key { resource, scope })?.representative();
    let (all, one) = (point(Scope::Device)?, point(Scope::Core)?);
    let narrow = f64::from(DType::F32.format().bits) / f64::from(format.format().bits);
    let (in_cycle, reached) = (one.value / one.clock?.get(), rate / all.value);
    SETS.iter().find_map(|set| {
        let allows = set.operations * narrow / in_cycle;
        let is_like = allows <= LESS && REACHED.contains(&(reached / allows));
        is_like.then_some(Narrower { name: set.name, allows, reached, peak: all.value })
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Run;
    use super::*;
    use crate::profile::Outcome;
    use crate::units::Hertz;

    /// Cores that do so many f32 operations in a cycle of 4 GHz, sixteen of them.
    fn profile(in_cycle: f64) -> Profile {
        let mut run = Run::processor();
        run.profile.ceilings.clear();
        let core = in_cycle * 4e9;
        for (scope, cores) in [(Scope::Core, 1.0), (Scope::Device, 16.0)] {
            run.put(
                scope,
                &[("compute.vector.f32", &[(0.0, core * cores)]), ("compute.vector.f64", &[(0.0, core * cores / 2.0)])],
            );
        }
        for ceiling in &mut run.profile.ceilings {
            if let Outcome::Ok { points, .. } = &mut ceiling.outcome {
                points[0].clock = Some(Hertz(4e9));
            }
        }
        run.profile
    }

    fn name(in_cycle: f64, format: DType, share: f64) -> Option<&'static str> {
        let peak = in_cycle * 4e9 * 16.0 * 32.0 / f64::from(format.format().bits);
        narrower(&profile(in_cycle), format, share * peak).map(|found| found.name)
    }

    #[test]
    fn a_core_with_two_wide_units_loses_half_with_half_the_width() {
        for format in [DType::F32, DType::F64] {
            assert_eq!(name(64.0, format, 0.40), Some("AVX2"));
            assert_eq!(name(64.0, format, 0.20), Some("SSE"));
            assert_eq!(name(64.0, format, 0.11), Some("SSE"));
            assert_eq!(
                (name(64.0, format, 0.87), name(64.0, format, 0.62), name(64.0, format, 0.02)),
                (None, None, None)
            );
        }
    }

    #[test]
    fn a_core_with_halved_wide_units_loses_nothing_with_half_the_width() {
        assert_eq!(name(32.0, DType::F32, 0.95), None);
        assert_eq!(name(32.0, DType::F32, 0.40), Some("SSE"));
    }

    #[test]
    fn other_processors_and_formats_say_nothing() {
        let arm = Profile {
            device: crate::facts::Identity { isa: Some("aarch64".to_owned()), ..profile(64.0).device },
            ..profile(64.0)
        };
        assert_eq!(narrower(&arm, DType::F32, 0.4 * 64.0 * 4e9 * 16.0), None);
        assert_eq!(name(64.0, DType::Int8, 0.4), None);
        assert_eq!(narrower(&profile(64.0), DType::F32, f64::NAN), None);
    }
}
