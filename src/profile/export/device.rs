//! What tools ask of a device: a bandwidth, peaks by format, memory; with a note of how each is known.

use super::super::ceilings::{Ceilings, Demand, How, Place};
use super::super::document::{Ceiling, Profile};
use super::ExportError;
use crate::dtype::DType;
use crate::resource::{Access, ComputeUnit, Key, MemoryLevel, Resource, Scope, StreamOp};
use crate::units::human;

/// A profile that is asked, and what was noted on the way.
pub(super) struct Device<'a> {
    pub(super) profile: &'a Profile,
    notes: Vec<String>,
}

/// How a number in a file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is that of a measured matrix product.
    Product,
    /// It is that of a measured resource, which products may not reach.
    Unit,
    /// Another tool measured it.
    Imported,
    /// It is the maker's figure.
    Stated,
}

impl Known {
    /// What a note says of a peak that is known like this.
    pub(super) const fn of_peak(self) -> &'static str {
        match self {
            Self::Product => "that of a measured product",
            Self::Unit => "that of a measured unit, which no product may reach",
            Self::Imported => "another tool's, which rooflab did not measure",
            Self::Stated => "the maker's, which nothing reaches",
        }
    }

    /// What a note says of a bandwidth that is known like this.
    pub(super) const fn of_bandwidth(self) -> &'static str {
        match self {
            Self::Product | Self::Unit => "measured",
            Self::Imported => "another tool's, which rooflab did not measure",
            Self::Stated => "the maker's, which nothing reaches",
        }
    }
}

/// A number with how it is known.
pub(super) type Figure = (f64, Known);

/// A step of a curve: from this size on, this share of the peak.
pub(super) type Step = [f64; 2];

impl<'a> Device<'a> {
    pub(super) const fn new(profile: &'a Profile) -> Self {
        Self { profile, notes: Vec::new() }
    }

    pub(super) fn into_notes(self) -> Vec<String> {
        self.notes
    }

    /// Says something of the file.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The value of a resource, measured or stated, of no substitute; what it is called in the notes.
    pub(super) fn known(&mut self, what: &str, resource: Resource) -> Option<Figure> {
        let value = self.value(resource)?;
        self.tell(what, resource, value);
        Some(value)
    }

    fn value(&self, resource: Resource) -> Option<Figure> {
        let demand = Demand { resource, scope: Scope::Device, at: Place::Anywhere };
        let answer = Ceilings::new(self.profile).ask(&demand);
        let known = answer.known().filter(|known| !matches!(known.how, How::Substituted { .. }))?;
        let how = match known.how {
            How::Datasheet { .. } => Known::Stated,
            How::Imported { .. } => Known::Imported,
            _ if matches!(resource, Resource::Gemm { .. }) => Known::Product,
            _ => Known::Unit,
        };
        Some((known.value, how))
    }

    fn tell(&mut self, what: &str, resource: Resource, (value, known): Figure) {
        let how = match known {
            Known::Stated => "the maker's figure",
            Known::Imported => "measured by another tool, not by rooflab",
            Known::Product | Known::Unit => "measured",
        };
        self.note(format!("{what}: {} of `{resource}`, {how}", human(value, resource.unit())));
    }

    /// Bytes per second that are read from main memory.
    pub(super) fn bandwidth(&mut self) -> Result<Figure, ExportError> {
        let resource = Resource::Memory { level: Some(MemoryLevel::Dram), access: Access::plain(StreamOp::Read) };
        self.known("memory bandwidth", resource).ok_or(ExportError::Missing("the bandwidth of its memory"))
    }

    /// The maker's figure for that bandwidth, where there is one beside a measured value.
    pub(super) fn stated_bandwidth(&self) -> Option<f64> {
        let resource = Resource::Memory { level: Some(MemoryLevel::Dram), access: Access::plain(StreamOp::Read) };
        let claim = self.profile.claim(resource).map(|claim| claim.value);
        claim.filter(|value| value.is_finite() && *value > 0.0)
    }

    /// Operations per second in one of some formats: those of the fastest matrix product that was measured; else those of the fastest unit that was; else the maker's.
    pub(super) fn peak(&mut self, what: &str, formats: &[(DType, DType)]) -> Option<Figure> {
        let products = formats.iter().map(|&(input, accumulate)| Resource::Gemm { input, accumulate }).collect();
        let units = ComputeUnit::DENSE.iter().flat_map(|&unit| {
            formats.iter().map(move |&(input, accumulate)| Resource::Compute { unit, input, accumulate })
        });
        let units: Vec<Resource> = units.collect();
        let all: [Vec<Resource>; 2] = [products, units];
        let is_own = |(_, known): Figure| !matches!(known, Known::Stated | Known::Imported);
        for resources in all {
            let known = |&resource: &Resource| Some((resource, self.value(resource)?));
            // What was measured comes before what is stated.
            let best = resources
                .iter()
                .filter_map(known)
                .max_by(|a, b| is_own(a.1).cmp(&is_own(b.1)).then(a.1.0.total_cmp(&b.1.0)));
            if let Some((resource, value)) = best {
                self.tell(what, resource, value);
                return Some(value);
            }
        }
        None
    }

    /// Operations per second in formats of 16 bits.
    pub(super) fn half(&mut self) -> Result<Figure, ExportError> {
        const HALF: [(DType, DType); 3] =
            [(DType::Bf16, DType::F32), (DType::F16, DType::F32), (DType::F16, DType::F16)];
        self.peak("16-bit arithmetic", &HALF).ok_or(ExportError::Missing("how fast it calculates in 16 bits"))
    }

    /// Operations per second in FP8.
    pub(super) fn fp8(&mut self) -> Option<Figure> {
        self.peak("FP8 arithmetic", &[(DType::Fp8E4m3, DType::F32)])
    }

    /// Operations per second in 8-bit integers.
    pub(super) fn int8(&mut self) -> Option<Figure> {
        self.peak("8-bit integer arithmetic", &[(DType::Int8, DType::Int32)])
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> Result<f64, ExportError> {
        match self.profile.device.memory {
            0 => Err(ExportError::Missing("the size of its memory")),
            bytes => Ok(bytes as f64),
        }
    }

    /// Memory in units of 2^30 bytes.
    pub(super) fn gibibytes(&self) -> Result<f64, ExportError> {
        Ok(super::rounded(self.memory()? / GIBI))
    }

    /// A ceiling of the whole device.
    pub(super) fn ceiling(&self, resource: Resource) -> Option<&'a Ceiling> {
        self.profile.ceiling(Key { resource, scope: Scope::Device })
    }

    /// Says that a profile of one device has no links between devices, where a tool wants them.
    pub(super) fn note_no_links(&mut self, fields: &str) {
        self.note(format!(
            "links between devices: none are in the profile; {fields} must be entered before more than one device is estimated"
        ));
    }
}

/// Bytes in a gibibyte.
pub(super) const GIBI: f64 = 1_073_741_824.0;

/// Shares of a peak by size, as steps: descending, each valid from its size on, the last one from 0. Sizes within a factor of four are one step, with their mean.
pub(super) fn steps(mut points: Vec<(f64, f64)>, peak: f64, scale: f64) -> Vec<Step> {
    points.retain(|(size, value)| *size > 0.0 && size.is_finite() && *value > 0.0 && value.is_finite());
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut groups: Vec<(i64, f64, Vec<f64>)> = Vec::new();
    for (size, value) in points {
        let group = (size.log2() / 2.0).floor() as i64;
        match groups.last_mut().filter(|(known, ..)| *known == group) {
            Some((.., values)) => values.push(value),
            None => groups.push((group, size, vec![value])),
        }
    }
    let mut steps: Vec<Step> = Vec::new();
    for (index, (_, size, values)) in groups.into_iter().enumerate() {
        let share = (values.iter().sum::<f64>() / values.len() as f64 / peak).clamp(1e-6, 1.0);
        steps.push([if index == 0 { 0.0 } else { super::rounded(size / scale) }, super::rounded(share)]);
    }
    if steps.is_empty() {
        steps.push([0.0, 1.0]);
    }
    steps.reverse();
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn steps_descend_to_zero() {
        let points = vec![(2e9, 50.0), (3e9, 70.0), (1e11, 100.0), (1e6, 10.0)];
        assert_eq!(steps(points, 100.0, 1e9), [[100.0, 1.0], [2.0, 0.6], [0.0, 0.1]]);
        assert_eq!(steps(Vec::new(), 1.0, 1.0), [[0.0, 1.0]]);
    }

    proptest! {
        #[test]
        fn whatever_was_measured_steps_are_shares_and_descend(
            points in prop::collection::vec((prop::num::f64::ANY, prop::num::f64::ANY), 0..20), peak in 1e-3..1e15_f64,
        ) {
            let steps = steps(points, peak, 1e6);
            prop_assert!(steps.windows(2).all(|pair| pair[0][0] > pair[1][0]), "{:?}", steps);
            prop_assert!(steps.iter().all(|step| step[1] > 0.0 && step[1] <= 1.0));
            prop_assert_eq!(steps.last().map(|step| step[0]), Some(0.0));
        }
    }
}
