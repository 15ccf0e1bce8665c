//! The same device with other ceilings, for what-ifs.

use crate::profile::{Ceiling, Outcome, Point, Profile};
use crate::resource::{Access, Key, MemoryLevel, Phase, Resource, Scope, StreamOp};

/// A profile each of whose values of the whole device is multiplied by a factor. A formula through products would still be that of the old values, and is left out.
pub(super) fn scaled(profile: &Profile, factor: impl Fn(&Ceiling, &Point) -> f64) -> Profile {
    let mut other = profile.clone();
    for (ceiling, own) in other.ceilings.iter_mut().zip(&profile.ceilings) {
        if own.scope != Scope::Device {
            continue;
        }
        if let Outcome::Ok { points, fit, .. } = &mut ceiling.outcome {
            let mut is_same = true;
            for (point, own_point) in points.iter_mut().zip(own.points()) {
                let factor = factor(own, own_point);
                is_same &= factor == 1.0;
                point.value *= factor;
            }
            if !is_same {
                *fit = None;
            }
        }
    }
    other
}

/// Whether a ceiling is one of arithmetic, which goes with the clock and with the number of cores.
pub(super) const fn is_arithmetic(resource: Resource) -> bool {
    matches!(
        resource,
        Resource::Compute { .. } | Resource::Gemm { .. } | Resource::Attention { phase: Phase::Prefill, .. }
    )
}

/// Whether a ceiling is one of bytes that come through the device's own memory.
pub(super) const fn is_traffic(resource: Resource) -> bool {
    matches!(
        resource,
        Resource::Memory { .. }
            | Resource::Gemv { .. }
            | Resource::Attention { phase: Phase::Decode, .. }
            | Resource::Rowwise { .. }
    )
}

/// Reading main memory.
pub(super) const READS: Resource =
    Resource::Memory { level: Some(MemoryLevel::Dram), access: Access::plain(StreamOp::Read) };

/// The value that stands for a ceiling, where it was measured.
pub(super) fn value(profile: &Profile, resource: Resource, scope: Scope) -> Option<f64> {
    let point = profile.ceiling(Key { resource, scope })?.representative()?;
    Some(point.value).filter(|value| value.is_finite() && *value > 0.0)
}
