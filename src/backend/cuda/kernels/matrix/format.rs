//! Formats that matrix units multiply, the instruction for each on every generation, and what its kernel must come to.

use super::super::elements::{Elements, float, note, random};
use super::super::sparse::spread;
use crate::backend::BackendError;
use crate::backend::cuda::rates;
use crate::dtype::DType;

/// Operations of a turn of a warp, and kinds of warps, as the kernels have them.
pub(super) const TURN_OPS: u64 = 131_072;
pub(super) const KINDS: u32 = 4;
pub(super) const WARP: u32 = 32;
/// Columns of B in one instruction.
const COLUMNS: u32 = 8;

/// A pair of formats on the generations that have its instruction.
#[derive(Clone, Copy)]
pub(super) struct Format {
    /// Whether half of A is zero, by a pattern that the instruction is told.
    pub(super) sparse: bool,
    pub(super) input: DType,
    pub(super) accumulate: DType,
    pub(super) entry: &'static str,
    /// The first compute capability whose matrix units have the instruction, and the first that does something better.
    from: (u32, u32),
    until: (u32, u32),
    /// Rows of A and the length that is summed over in one instruction.
    rows: u32,
    depth: u32,
    /// Factors A and factors B of a warp.
    pub(super) tall: u32,
    pub(super) wide: u32,
    elements: Elements,
    /// Threads of a block at most.
    pub(super) most_threads: u32,
    /// Turns of a launch at most: a few milliseconds on most devices, and a fraction of a second where the format is there for show.
    pub(super) most_turns: u64,
}

const INT8: Elements = Elements::Integer { bits: 8 };
const INT4: Elements = Elements::Integer { bits: 4 };

/// Beyond all generations.
const NEVER: (u32, u32) = (u32::MAX, 0);

const fn format(input: DType, accumulate: DType, entry: &'static str, elements: Elements) -> Format {
    Format {
        sparse: false,
        input,
        accumulate,
        entry,
        from: (8, 0),
        until: NEVER,
        rows: 16,
        depth: 16,
        tall: 2,
        wide: 4,
        elements,
        most_threads: 512,
        most_turns: 8192,
    }
}

/// The same with a sparse A, whose rows are twice as long without holding more.
const fn sparse(format: Format) -> Format {
    Format { sparse: true, depth: 2 * format.depth, ..format }
}

/// What a warp has of elements whose instructions do twice as much.
const fn few(format: Format) -> Format {
    Format { wide: 2, ..format }
}

/// f16 and integers as Turing has them. f64 as Hopper has it, which has no 4-bit integers any more.
pub(super) const FORMATS: [Format; 19] = [
    Format { from: (7, 5), until: (8, 0), depth: 8, ..format(DType::F16, DType::F32, "f16_f32_m16n8k8", float(8)) },
    Format { from: (7, 5), until: (8, 0), depth: 8, ..format(DType::F16, DType::F16, "f16_f16_m16n8k8", float(2)) },
    Format { from: (7, 5), until: (8, 0), rows: 8, tall: 4, ..format(DType::Int8, DType::Int32, "int8_m8n8k16", INT8) },
    Format {
        from: (7, 5),
        until: (8, 0),
        rows: 8,
        depth: 32,
        tall: 4,
        ..format(DType::Int4, DType::Int32, "int4_m8n8k32", INT4)
    },
    format(DType::F16, DType::F32, "f16_f32_m16n8k16", float(8)),
    format(DType::F16, DType::F16, "f16_f16_m16n8k16", float(2)),
    format(DType::Bf16, DType::F32, "bf16_m16n8k16", float(7)),
    Format { depth: 8, ..format(DType::Tf32, DType::F32, "tf32_m16n8k8", float(8)) },
    Format { depth: 32, ..format(DType::Int8, DType::Int32, "int8_m16n8k32", INT8) },
    few(Format { until: (9, 0), depth: 64, ..format(DType::Int4, DType::Int32, "int4_m16n8k64", INT4) }),
    Format { from: (8, 9), depth: 32, ..format(DType::Fp8E4m3, DType::F32, "fp8_m16n8k32", float(3)) },
    Format { rows: 8, depth: 4, tall: 4, most_turns: 256, ..format(DType::F64, DType::F64, "f64_m8n8k4", float(20)) },
    Format {
        from: (9, 0),
        until: (10, 0),
        wide: 2,
        most_threads: 256,
        most_turns: 256,
        ..format(DType::F64, DType::F64, "f64_m16n8k16", float(20))
    },
    sparse(format(DType::F16, DType::F32, "f16_f32_m16n8k32", float(8))),
    sparse(format(DType::F16, DType::F16, "f16_f16_m16n8k32", float(2))),
    sparse(format(DType::Bf16, DType::F32, "bf16_m16n8k32", float(7))),
    sparse(Format { depth: 8, ..format(DType::Tf32, DType::F32, "tf32_m16n8k16", float(8)) }),
    sparse(few(Format { depth: 32, ..format(DType::Int8, DType::Int32, "int8_m16n8k64", INT8) })),
    sparse(few(Format { from: (8, 9), depth: 32, ..format(DType::Fp8E4m3, DType::F32, "fp8_m16n8k64", float(3)) })),
];

/// The row of a pair of formats on a compute capability, or why there is none: the device's matrix units do not have it, or this rooflab has no kernel for them.
pub(super) fn choose(
    capability: (u32, u32),
    sparse: bool,
    (input, accumulate): (DType, DType),
) -> Result<&'static Format, BackendError> {
    let wanted = |format: &&Format| (format.sparse, format.input, format.accumulate) == (sparse, input, accumulate);
    let rows = || FORMATS.iter().filter(wanted);
    let of_what = if sparse { "of sparse matrices" } else { "on matrix units" };
    let (Some(first), Some(units)) = (rows().map(|format| format.from).min(), rates::matrix_units(input)) else {
        return Err(BackendError::unsupported(format!(
            "NVIDIA's matrix units have no {input} multiply-adds {}summed in {accumulate}",
            if sparse { "of sparse matrices " } else { "" }
        )));
    };
    // Sparse matrices came with Ampere, and each format with its own generation.
    let units = if sparse { first.max(units) } else { units };
    if capability < units {
        let (major, minor) = units;
        return Err(BackendError::unsupported(format!("{input} {of_what} needs compute capability {major}.{minor}")));
    }
    // What is still understood is made of other instructions there: that would be no peak.
    let end = rows().map(|format| format.until).max().unwrap_or(NEVER);
    if capability >= end {
        let (major, minor) = end;
        return Err(BackendError::unsupported(format!(
            "matrix units have no {input} from compute capability {major}.{minor} on"
        )));
    }
    if capability < first {
        return Err(BackendError::no_kernel("this rooflab has no kernel for Volta's matrix units yet"));
    }
    // A lower figure must not stand where the peak is looked for.
    let faster = match capability.0 {
        9 => Some("`wgmma`, and this rooflab has no kernel of it for these formats yet"),
        10 | 11 => Some("`tcgen05`, for which this rooflab has no kernels yet"),
        _ => None,
    };
    if let Some(faster) = faster.filter(|_| input != DType::F64) {
        let (major, minor) = capability;
        return Err(BackendError::no_kernel(format!(
            "matrix units of compute capability {major}.{minor} reach their peak through {faster}"
        )));
    }
    let suits = |format: &&Format| (format.from..format.until).contains(&capability);
    let best = rows().filter(suits).max_by_key(|format| format.from);
    best.ok_or_else(|| BackendError::no_kernel("there is no kernel for this device"))
}

impl Format {
    /// The name of its kernel.
    pub(super) fn kernel(&self) -> String {
        format!("{}_{}", if self.sparse { "matrix_sparse" } else { "matrix" }, self.entry)
    }

    /// Steps of a turn with either factor B.
    pub(super) const fn pairs(&self) -> u64 {
        TURN_OPS / (4 * (self.tall * self.wide * self.rows * COLUMNS * self.depth) as u64)
    }

    /// The product of all factors A of a kind of warp with the first factors B, or the second, row by row.
    fn product(&self, kind: u32, second: bool) -> Vec<Vec<f64>> {
        // The places of a second row that differ in a digit: a sparse row may have a zero in the first.
        let nudged = if self.sparse { 4 } else { 1 };
        let matrix = |number: u32, rows: u32, length: u32, second: bool| -> Vec<Vec<f64>> {
            let packed = (32 / self.input.format().bits).max(1);
            let element = |row, depth| {
                let random = random(number, row, depth / packed) >> (32 / packed * (depth % packed));
                self.elements.of(random, depth < nudged, second)
            };
            let row = |row| (0..length).map(|depth| element(row, depth)).collect();
            (0..rows).map(row).collect()
        };
        let held = if self.sparse { self.depth / 2 } else { self.depth };
        let mut a = matrix(2 * kind, self.tall * self.rows, held, false);
        if self.sparse {
            for (row, a) in (0..).zip(&mut a) {
                *a = spread(self.input, a, |group| random(2 * KINDS + kind, row, group));
            }
        }
        let b = matrix(2 * kind + 1, self.wide * COLUMNS, self.depth, second);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum();
        a.iter().map(|a| b.iter().map(|b| dot(a, b)).collect()).collect()
    }

    /// Every sum after some turns, exactly.
    pub(super) fn sums(&self, kind: u32, turns: u64) -> Vec<Vec<f64>> {
        let (mut first, second) = (self.product(kind, false), self.product(kind, true));
        let pairs = (turns * self.pairs()) as f64;
        for (first, second) in first.iter_mut().flatten().zip(second.iter().flatten()) {
            // One zero alone.
            *first = pairs * (*first + second) + *first + 0.0;
        }
        first
    }

    /// What a lane's sums come to.
    pub(super) fn result(&self, sums: &[Vec<f64>], lane: u32) -> u32 {
        let mut total = 0_u32;
        for (tall, wide) in (0..self.tall).flat_map(|tall| (0..self.wide).map(move |wide| (tall, wide))) {
            for element in 0..self.rows * COLUMNS / WARP {
                let row = tall * self.rows + lane / 4 + 8 * (element / 2);
                let column = wide * COLUMNS + lane % 4 * 2 + element % 2;
                total = note(total, self.accumulate, sums[row as usize][column as usize]);
            }
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::backend::cuda::ptx;
    use crate::backend::cuda::ptx::Source;
    use crate::backend::cuda::survey::Found;
    use crate::workload::MULTIPLY_ADD_OPS;

    #[test]
    fn an_iteration_is_a_whole_number_of_turns_and_a_turn_of_steps() {
        assert_eq!(MULTIPLY_ADD_OPS % TURN_OPS, 0);
        for format in &FORMATS {
            let step = u64::from(2 * format.tall * format.wide * format.rows * COLUMNS * format.depth);
            assert_eq!(format.pairs() * 2 * step, TURN_OPS, "{}", format.kernel());
        }
    }

    /// Hardware adds up in an order of its own: nothing may depend on it.
    #[test]
    fn sums_are_exact_for_as_many_turns_as_are_verified() {
        for format in &FORMATS {
            // With few warps, 17 iterations are 13 turns of each.
            for turns in [0, 1, 13] {
                for sum in format.sums(1, turns).into_iter().flatten() {
                    let held = match format.accumulate {
                        DType::F16 => f16::from_f64(sum).to_f64(),
                        DType::F32 => f64::from(sum as f32),
                        _ => sum,
                    };
                    assert!(held == sum && sum.abs() < 9e15, "{}: {sum} after {turns} turns", format.entry);
                }
            }
        }
    }

    #[test]
    fn a_turn_too_few_has_another_result() {
        for format in &FORMATS {
            let result = |turns| format.result(&format.sums(2, turns), 17);
            assert_ne!(result(1), result(0), "{}", format.entry);
            assert_ne!(result(1000), result(999), "{}", format.entry);
        }
    }

    const CAPABILITIES: [(u32, u32); 12] =
        [(7, 0), (7, 2), (7, 5), (8, 0), (8, 6), (8, 7), (8, 9), (9, 0), (10, 0), (10, 3), (12, 0), (12, 1)];
    /// Versions of CUDA of drivers: those that a file is for, those just before, and the newest.
    const DRIVERS: [(u32, u32); 10] =
        [(11, 4), (11, 8), (12, 0), (12, 1), (12, 2), (12, 3), (12, 4), (12, 7), (12, 8), (13, 0)];

    #[test]
    fn every_format_has_its_kernel_where_it_is_chosen_or_waits_for_a_driver() {
        for (capability, format) in
            CAPABILITIES.into_iter().flat_map(|capability| FORMATS.iter().map(move |row| (capability, row)))
        {
            let formats = (format.input, format.accumulate);
            let Ok(format) = choose(capability, format.sparse, formats) else { continue };
            for cuda in DRIVERS {
                let device = Found::of("", capability, cuda);
                match ptx::choose(Source::MatrixMultiplyAdd, &format.kernel(), &device) {
                    Ok(ptx) => assert!(ptx.text.contains(&format!(".entry {}(", format.kernel())), "{}", ptx.name),
                    Err(BackendError::NoKernel { reason }) => {
                        assert!(
                            cuda < (13, 0) && reason.contains("it needs a driver for CUDA 12."),
                            "{device:?}: {reason}"
                        );
                    }
                    Err(error) => panic!("{device:?}: {error}"),
                }
            }
        }
    }

    #[test]
    fn a_device_is_said_to_lack_only_what_its_matrix_units_lack() {
        let entry = |capability, formats| choose(capability, false, formats).map(|format| format.entry);
        let sparse = |capability, formats| choose(capability, true, formats).map(|format| format.entry);
        assert_eq!(entry((7, 5), (DType::Int8, DType::Int32)), Ok("int8_m8n8k16"));
        assert_eq!(entry((12, 0), (DType::Fp8E4m3, DType::F32)), Ok("fp8_m16n8k32"));
        assert_eq!(entry((9, 0), (DType::F64, DType::F64)), Ok("f64_m16n8k16"));
        assert_eq!(entry((10, 0), (DType::F64, DType::F64)), Ok("f64_m8n8k4"));
        let lacks = |capability, formats, what: &str| {
            let found = choose(capability, false, formats).map(|format| format.entry);
            assert!(matches!(&found, Err(BackendError::Unsupported { reason }) if reason.contains(what)), "{found:?}");
        };
        lacks((8, 6), (DType::Fp8E4m3, DType::F32), "8.9");
        lacks((7, 5), (DType::Bf16, DType::F32), "8.0");
        lacks((7, 0), (DType::Int8, DType::Int32), "7.2");
        lacks((6, 1), (DType::F16, DType::F32), "7.0");
        lacks((9, 0), (DType::F32, DType::F32), "have no f32");
        // What later generations make of other instructions is no peak of theirs.
        assert_eq!(entry((7, 5), (DType::Int4, DType::Int32)), Ok("int4_m8n8k32"));
        assert_eq!(entry((8, 9), (DType::Int4, DType::Int32)), Ok("int4_m16n8k64"));
        for capability in [(9, 0), (10, 0), (12, 0)] {
            lacks(capability, (DType::Int4, DType::Int32), "no int4 from compute capability 9.0 on");
        }
        assert_eq!(sparse((8, 0), (DType::Bf16, DType::F32)), Ok("bf16_m16n8k32"));
        assert_eq!(sparse((12, 0), (DType::Fp8E4m3, DType::F32)), Ok("fp8_m16n8k64"));
        for (capability, formats, what) in [
            ((7, 5), (DType::F16, DType::F32), "f16 of sparse matrices needs compute capability 8.0"),
            ((8, 6), (DType::Fp8E4m3, DType::F32), "fp8_e4m3 of sparse matrices needs compute capability 8.9"),
            ((8, 6), (DType::F64, DType::F64), "have no f64 multiply-adds of sparse matrices"),
        ] {
            let found = sparse(capability, formats);
            assert!(matches!(&found, Err(BackendError::Unsupported { reason }) if reason.contains(what)), "{found:?}");
        }
        assert!(matches!(sparse((9, 0), (DType::F16, DType::F16)), Err(BackendError::NoKernel { .. })));
        assert!(matches!(sparse((10, 0), (DType::F16, DType::F32)), Err(BackendError::NoKernel { .. })));
        let no_kernel = |capability, formats, what: &str| {
            let found = choose(capability, false, formats).map(|format| format.entry);
            assert!(matches!(&found, Err(BackendError::NoKernel { reason }) if reason.contains(what)), "{found:?}");
        };
        no_kernel((7, 0), (DType::F16, DType::F32), "Volta");
        no_kernel((7, 2), (DType::Int8, DType::Int32), "Volta");
        no_kernel((9, 0), (DType::Bf16, DType::F32), "wgmma");
        no_kernel((10, 0), (DType::Bf16, DType::F32), "tcgen05");
        no_kernel((10, 3), (DType::Fp8E4m3, DType::F32), "tcgen05");
    }
}
