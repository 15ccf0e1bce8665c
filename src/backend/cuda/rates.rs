//! What NVIDIA states of each generation, by compute capability.
//!
//! Source: CUDA C++ Programming Guide 13, "Throughput of native arithmetic instructions" and "Technical specifications per compute capability".

use crate::backend::CycleLimit;
use crate::dtype::DType;

const SOURCE: &str = "CUDA C++ Programming Guide, throughput of native arithmetic instructions";

/// A generation. Rates are multiply-adds per multiprocessor and clock cycle.
struct Generation {
    capability: (u32, u32),
    name: &'static str,
    /// KiB of L1 cache and shared memory together.
    l1: u32,
    f64: u32,
    f32: u32,
    f16: u32,
    bf16: u32,
}

const fn generation(
    capability: (u32, u32),
    name: &'static str,
    l1: u32,
    [f64, f32, f16, bf16]: [u32; 4],
) -> Generation {
    Generation { capability, name, l1, f64, f32, f16, bf16 }
}

const GENERATIONS: [Generation; 11] = [
    generation((7, 0), "Volta", 128, [32, 64, 128, 0]),
    generation((7, 2), "Volta", 128, [2, 64, 128, 0]),
    generation((7, 5), "Turing", 96, [2, 64, 128, 0]),
    generation((8, 0), "Ampere", 192, [32, 64, 256, 128]),
    generation((8, 6), "Ampere", 128, [2, 128, 128, 128]),
    generation((8, 7), "Ampere", 192, [2, 128, 128, 128]),
    generation((8, 9), "Ada Lovelace", 128, [2, 128, 128, 128]),
    generation((9, 0), "Hopper", 256, [64, 128, 256, 256]),
    generation((10, 0), "Blackwell", 256, [64, 128, 256, 256]),
    generation((10, 3), "Blackwell", 256, [2, 128, 256, 256]),
    generation((12, 0), "Blackwell", 128, [2, 128, 128, 128]),
];

fn of(capability: (u32, u32)) -> Option<&'static Generation> {
    GENERATIONS.iter().find(|generation| generation.capability == capability)
}

/// The generation's name.
pub(super) fn architecture(capability: (u32, u32)) -> Option<&'static str> {
    of(capability).map(|generation| generation.name)
}

/// Bytes of a multiprocessor's L1 cache with its shared memory.
pub(super) fn l1(capability: (u32, u32)) -> Option<u64> {
    of(capability).map(|generation| u64::from(generation.l1) << 10)
}

/// Operations of multiply-adds in a format that a multiprocessor can do in a cycle.
pub(super) fn multiply_add(capability: (u32, u32), format: DType) -> Option<CycleLimit> {
    let generation = of(capability)?;
    let rate = match format {
        DType::F64 => generation.f64,
        DType::F32 => generation.f32,
        DType::F16 => generation.f16,
        DType::Bf16 => generation.bf16,
        _ => 0,
    };
    (rate > 0).then(|| CycleLimit { per_cycle: 2.0 * f64::from(rate), source: SOURCE })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Multiprocessors and boost clock in GHz, with the vector rates that datasheets state, in TFLOP/s.
    #[test]
    fn rates_times_clocks_are_what_datasheets_state() {
        let cases = [
            ((7, 0), DType::F64, 80, 1.53, 7.8),
            ((7, 0), DType::F32, 80, 1.53, 15.7),
            ((8, 0), DType::F64, 108, 1.41, 9.7),
            ((8, 0), DType::F32, 108, 1.41, 19.5),
            ((8, 0), DType::F16, 108, 1.41, 78.0),
            ((8, 0), DType::Bf16, 108, 1.41, 39.0),
            ((8, 9), DType::F32, 128, 2.52, 82.6),
            ((9, 0), DType::F64, 132, 1.98, 33.5),
            ((9, 0), DType::F32, 132, 1.98, 66.9),
            ((9, 0), DType::F16, 132, 1.98, 133.8),
        ];
        for (capability, format, multiprocessors, clock, stated) in cases {
            let limit = multiply_add(capability, format).unwrap();
            let rate = limit.per_cycle * f64::from(multiprocessors) * clock / 1e3;
            assert!((rate / stated - 1.0).abs() < 0.01, "{capability:?} {format}: {rate} and {stated}");
        }
    }
}
