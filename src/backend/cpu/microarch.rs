//! Microarchitectures rooflab recognises, and what their data paths allow per core and clock cycle.
//!
//! The figures are the makers' own (named per row), never inferred from a measurement: that is what makes them a check on one.

use crate::backend::CycleLimit;
use crate::dtype::DType;
use crate::resource::{ComputeUnit, StreamOp};

/// One microarchitecture.
#[derive(Debug)]
pub(super) struct Microarchitecture {
    pub(super) name: &'static str,
    /// CPUs it is found in.
    found_in: &'static [Found],
    /// Bits of f32 and f64 fused multiply-adds started per cycle, over all vector units; none where models differ.
    fma_bits: Option<u32>,
    /// Bits of 8-bit dot products started per cycle, where it has them.
    dot8_bits: Option<u32>,
    /// 8-bit multiply-accumulates of the matrix units per cycle, where it has them; bf16 runs at half of that.
    matrix8: Option<u32>,
    /// Bytes loaded from L1 per cycle.
    load_bytes: u32,
    /// Bytes stored to L1 per cycle.
    store_bytes: u32,
    /// Where the figures stand.
    source: &'static str,
}

/// Models that have a microarchitecture.
#[derive(Debug)]
enum Found {
    /// AMD: family and a range of models.
    Amd(u32, u32, u32),
    /// Intel family 6: models.
    Intel(&'static [u32]),
    /// Arm: implementer and part numbers.
    Arm(u32, u32),
}

/// Which CPU this is, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each architecture constructs its own")]
pub(super) enum Model {
    Amd { family: u32, model: u32 },
    Intel { model: u32 },
    Arm { implementer: u32, part: u32 },
}

impl Microarchitecture {
    pub(super) fn of(model: Model) -> Option<&'static Self> {
        let matches = |found: &Found| match (found, model) {
            (Found::Amd(f, low, high), Model::Amd { family, model }) => *f == family && (*low..=*high).contains(&model),
            (Found::Intel(models), Model::Intel { model }) => models.contains(&model),
            (Found::Arm(i, p), Model::Arm { implementer, part }) => (*i, *p) == (implementer, part),
            _ => false,
        };
        MICROARCHITECTURES.iter().find(|core| core.found_in.iter().any(matches))
    }

    /// Operations per cycle of a multiply-add; none where the maker gives no figure.
    pub(super) fn multiply_add_limit(&self, unit: ComputeUnit, input: DType) -> Option<CycleLimit> {
        let multiply_adds = match (unit, input) {
            (ComputeUnit::Vector, DType::F32) => self.fma_bits? / 32,
            (ComputeUnit::Vector, DType::F64) => self.fma_bits? / 64,
            (ComputeUnit::Vector, DType::Int8) => self.dot8_bits? / 8,
            (ComputeUnit::Matrix, DType::Int8) => self.matrix8?,
            (ComputeUnit::Matrix, DType::Bf16) => self.matrix8? / 2,
            _ => return None,
        };
        Some(CycleLimit { per_cycle: f64::from(2 * multiply_adds), source: self.source })
    }

    /// Bytes per cycle between a core and its L1 for a streaming kernel: loads and stores overlap, the slower decides.
    pub(super) fn stream_limit(&self, op: StreamOp) -> Option<CycleLimit> {
        let loads = op.arrays_read() as f64 / f64::from(self.load_bytes);
        let stores = op.arrays_written() as f64 / f64::from(self.store_bytes);
        Some(CycleLimit { per_cycle: op.arrays() as f64 / loads.max(stores), source: self.source })
    }
}

const AMD_ZEN2: &str = "AMD, Software Optimization Guide for Family 17h Models 30h and Greater, 2.10-2.12";
const AMD_ZEN3: &str = "AMD, Software Optimization Guide for Family 19h, 2.11-2.12";
const AMD_ZEN4: &str = "AMD, Software Optimization Guide for the Zen 4 Microarchitecture (57647), 2.11-2.12";
const AMD_ZEN5: &str = "AMD, Software Optimization Guide for the Zen 5 Microarchitecture (58455), 2.11-2.12";
const INTEL: &str = "Intel 64 and IA-32 Architectures Optimization Reference Manual, chapter 2";
const ARM_N1: &str = "Arm Neoverse N1 Software Optimization Guide, 2.1 and 3.1";
const ARM_V1: &str = "Arm Neoverse V1 Software Optimization Guide, 2.1 and 3.1";
const ARM_V2: &str = "Arm Neoverse V2 Software Optimization Guide, 2.1 and 3.1";

const MICROARCHITECTURES: &[Microarchitecture] = &[
    Microarchitecture {
        name: "Zen 2",
        found_in: &[Found::Amd(0x17, 0x30, 0xff)],
        fma_bits: Some(512),
        dot8_bits: None,
        matrix8: None,
        load_bytes: 64,
        store_bytes: 32,
        source: AMD_ZEN2,
    },
    Microarchitecture {
        name: "Zen 4",
        found_in: &[Found::Amd(0x19, 0x10, 0x1f), Found::Amd(0x19, 0x60, 0x7f), Found::Amd(0x19, 0xa0, 0xaf)],
        fma_bits: Some(512),
        dot8_bits: Some(512),
        matrix8: None,
        load_bytes: 64,
        store_bytes: 32,
        source: AMD_ZEN4,
    },
    Microarchitecture {
        name: "Zen 3",
        found_in: &[Found::Amd(0x19, 0x00, 0x0f), Found::Amd(0x19, 0x20, 0x5f)],
        fma_bits: Some(512),
        dot8_bits: None,
        matrix8: None,
        load_bytes: 64,
        store_bytes: 32,
        source: AMD_ZEN3,
    },
    Microarchitecture {
        name: "Zen 5 (256-bit)",
        found_in: &[Found::Amd(0x1a, 0x20, 0x2f), Found::Amd(0x1a, 0x60, 0x6f)],
        fma_bits: Some(512),
        dot8_bits: Some(512),
        matrix8: None,
        load_bytes: 64,
        store_bytes: 64,
        source: AMD_ZEN5,
    },
    Microarchitecture {
        name: "Zen 5",
        found_in: &[Found::Amd(0x1a, 0x00, 0x1f), Found::Amd(0x1a, 0x40, 0x4f), Found::Amd(0x1a, 0x70, 0x7f)],
        fma_bits: Some(1024),
        dot8_bits: Some(1024),
        matrix8: None,
        load_bytes: 128,
        store_bytes: 64,
        source: AMD_ZEN5,
    },
    Microarchitecture {
        name: "Haswell or Broadwell",
        found_in: &[Found::Intel(&[0x3c, 0x3f, 0x45, 0x46, 0x3d, 0x47, 0x4f, 0x56])],
        fma_bits: Some(512),
        dot8_bits: None,
        matrix8: None,
        load_bytes: 64,
        store_bytes: 32,
        source: INTEL,
    },
    Microarchitecture {
        name: "Skylake (client)",
        found_in: &[Found::Intel(&[0x4e, 0x5e, 0x8e, 0x9e, 0xa5, 0xa6])],
        fma_bits: Some(512),
        dot8_bits: None,
        matrix8: None,
        load_bytes: 64,
        store_bytes: 32,
        source: INTEL,
    },
    // Some of these have one unit for 512-bit multiply-adds and some two, and nothing in them tells which.
    Microarchitecture {
        name: "Skylake-SP or Cascade Lake",
        found_in: &[Found::Intel(&[0x55])],
        fma_bits: None,
        dot8_bits: None,
        matrix8: None,
        load_bytes: 128,
        store_bytes: 64,
        source: INTEL,
    },
    Microarchitecture {
        name: "Ice Lake-SP",
        found_in: &[Found::Intel(&[0x6a, 0x6c])],
        fma_bits: Some(1024),
        dot8_bits: Some(1024),
        matrix8: None,
        load_bytes: 128,
        store_bytes: 64,
        source: INTEL,
    },
    Microarchitecture {
        name: "Golden Cove (Sapphire, Emerald or Granite Rapids)",
        found_in: &[Found::Intel(&[0x8f, 0xcf, 0xad, 0xae])],
        fma_bits: Some(1024),
        dot8_bits: Some(1024),
        matrix8: Some(1024),
        load_bytes: 128,
        store_bytes: 64,
        source: INTEL,
    },
    Microarchitecture {
        name: "Neoverse N1",
        found_in: &[Found::Arm(0x41, 0xd0c)],
        fma_bits: Some(256),
        dot8_bits: Some(256),
        matrix8: None,
        load_bytes: 32,
        store_bytes: 32,
        source: ARM_N1,
    },
    Microarchitecture {
        name: "Neoverse V1",
        found_in: &[Found::Arm(0x41, 0xd40)],
        fma_bits: Some(512),
        dot8_bits: Some(512),
        matrix8: None,
        load_bytes: 64,
        store_bytes: 32,
        source: ARM_V1,
    },
    Microarchitecture {
        name: "Neoverse V2",
        found_in: &[Found::Arm(0x41, 0xd4f)],
        fma_bits: Some(512),
        dot8_bits: Some(512),
        matrix8: None,
        load_bytes: 48,
        store_bytes: 32,
        source: ARM_V2,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_models_are_recognised() {
        let name = |model| Microarchitecture::of(model).map(|core| core.name);
        assert_eq!(name(Model::Amd { family: 0x19, model: 0x11 }), Some("Zen 4"));
        assert_eq!(name(Model::Amd { family: 0x19, model: 0x01 }), Some("Zen 3"));
        assert_eq!(name(Model::Amd { family: 0x1a, model: 0x02 }), Some("Zen 5"));
        assert_eq!(name(Model::Amd { family: 0x1a, model: 0x24 }), Some("Zen 5 (256-bit)"));
        assert_eq!(name(Model::Intel { model: 0x8f }), Some("Golden Cove (Sapphire, Emerald or Granite Rapids)"));
        assert_eq!(name(Model::Arm { implementer: 0x41, part: 0xd4f }), Some("Neoverse V2"));
        assert_eq!(name(Model::Intel { model: 0x97 }), None);
    }

    #[test]
    fn limits_follow_from_the_data_paths() {
        let zen4 = Microarchitecture::of(Model::Amd { family: 0x19, model: 0x11 }).unwrap();
        let compute = |dtype| zen4.multiply_add_limit(ComputeUnit::Vector, dtype).map(|limit| limit.per_cycle);
        assert_eq!(compute(DType::F32), Some(32.0));
        assert_eq!(compute(DType::F64), Some(16.0));
        assert_eq!(compute(DType::Int8), Some(128.0));
        assert_eq!(compute(DType::Bf16), None);
        let stream = |op| zen4.stream_limit(op).map(|limit| limit.per_cycle);
        assert_eq!(stream(StreamOp::Read), Some(64.0));
        assert_eq!(stream(StreamOp::Write), Some(32.0));
        assert_eq!(stream(StreamOp::Copy), Some(64.0));
        assert_eq!(stream(StreamOp::Triad), Some(96.0));
    }
}
