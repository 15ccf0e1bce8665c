//! Multiply-add peaks: independent chains of one instruction, all operands in registers.
//!
//! Work: two operations per multiply-add. Bound: the issue rate of the vector or matrix units; memory is not touched.
//! Twelve or more chains hide the latency of every core rooflab knows (4 cycles × 2 to 4 units). The factor alternates between `y`
//! and −y/2, so that operands change all the time and a loop that ran too short has the wrong result.

mod reference;

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "aarch64")]
mod arm;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use crate::backend::cpu::kernels::Program;
use crate::backend::cpu::microarch::Microarchitecture;
use crate::backend::{BackendError, CycleLimit};
use crate::dtype::DType;
use crate::resource::ComputeUnit;
use crate::workload::MULTIPLY_ADD_OPS;

/// One instruction, and a loop that issues it.
struct Instruction {
    /// What it is and how many chains of it run, for the profile.
    name: &'static str,
    unit: ComputeUnit,
    input: DType,
    accumulate: DType,
    form: Form,
    operands: Operands,
    chains: usize,
    /// Whether this machine has it.
    available: fn() -> bool,
    /// Runs some rounds: in each, every chain adds x·y and then x·z.
    rounds: unsafe fn(&mut State, u64),
}

/// What one step of a chain computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// sum + x·y, rounded once.
    Fused,
    /// sum + all products at its place, rounded as the hardware likes.
    SumProducts,
    /// sum·x + y, rounded twice.
    ScaleSum,
}

/// How the registers are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operands {
    /// Vectors of some bytes; each sum adds the products at its own place (several, when factors are smaller than sums).
    Vector(usize),
    /// 16 × 64-byte tiles: each sum adds the products of a row and a column.
    Tile,
}

/// Registers' contents before and after.
#[repr(C, align(64))]
#[derive(Clone)]
struct State {
    sums: [u8; 24 * 64 + 6 * 1024],
    x: [u8; 1024],
    y: [u8; 1024],
    z: [u8; 1024],
}

impl Instruction {
    fn sums(&self) -> usize {
        self.chains * self.register_bytes() / self.sum_bytes()
    }

    fn register_bytes(&self) -> usize {
        match self.operands {
            Operands::Vector(bytes) => bytes,
            Operands::Tile => 1024,
        }
    }

    fn sum_bytes(&self) -> usize {
        self.accumulate.format().bits as usize / 8
    }

    fn factor_bytes(&self) -> usize {
        self.input.format().bits as usize / 8
    }

    /// Multiply-adds of one instruction.
    fn multiply_adds(&self) -> usize {
        let sums = self.register_bytes() / self.sum_bytes();
        match self.operands {
            Operands::Vector(bytes) => bytes / self.factor_bytes(),
            Operands::Tile => sums * 64 / self.factor_bytes(),
        }
    }

    /// Operations of one round.
    fn ops_per_round(&self) -> u64 {
        (2 * 2 * self.chains * self.multiply_adds()) as u64
    }
}

/// Every instruction rooflab knows for this architecture.
fn instructions() -> impl Iterator<Item = &'static Instruction> {
    let tables: &[&'static [Instruction]] = &[
        #[cfg(target_arch = "x86_64")]
        x86::INSTRUCTIONS,
        #[cfg(target_arch = "x86_64")]
        amx::INSTRUCTIONS,
        #[cfg(target_arch = "aarch64")]
        arm::INSTRUCTIONS,
        portable::INSTRUCTIONS,
    ];
    tables.iter().copied().flatten()
}

/// The formats this machine multiplies and adds natively, as words for its identity.
pub(in crate::backend::cpu) fn features() -> Vec<String> {
    let mut features: Vec<String> = instructions()
        .filter(|instruction| (instruction.available)())
        .filter_map(|instruction| instruction.name.split(',').next().map(str::to_owned))
        .collect();
    features.dedup();
    features
}

/// A multiply-add workload.
pub(in crate::backend::cpu) struct MultiplyAdd {
    instructions: Vec<&'static Instruction>,
    /// Registers to begin with, by instruction and lane: made here, so that making them is not timed.
    initial: Vec<Vec<State>>,
    names: Vec<String>,
    limit: Option<CycleLimit>,
}

impl MultiplyAdd {
    pub(in crate::backend::cpu) fn new(
        unit: ComputeUnit,
        input: DType,
        accumulate: DType,
        lanes: usize,
        microarchitecture: Option<&'static Microarchitecture>,
    ) -> Result<Self, BackendError> {
        let wanted = |row: &&Instruction| (row.unit, row.input, row.accumulate) == (unit, input, accumulate);
        let known: Vec<&'static Instruction> = instructions().filter(wanted).collect();
        let native: Vec<&'static Instruction> = known.iter().copied().filter(|row| (row.available)()).collect();
        if native.is_empty() {
            let mut names: Vec<&str> = known.iter().filter_map(|row| row.name.split(',').next()).collect();
            names.dedup();
            return Err(BackendError::unsupported(if names.is_empty() {
                format!("{} has no such instruction", std::env::consts::ARCH)
            } else {
                format!("needs {}, which this CPU lacks", names.join(" or "))
            }));
        }
        let limit = microarchitecture.and_then(|core| core.multiply_add_limit(unit, input));
        Ok(Self::with_instructions(native, lanes, limit))
    }

    fn with_instructions(instructions: Vec<&'static Instruction>, lanes: usize, limit: Option<CycleLimit>) -> Self {
        let of_lanes = |row: &&Instruction| (0..lanes).map(|lane| reference::initial(row, lane)).collect();
        Self {
            initial: instructions.iter().map(of_lanes).collect(),
            names: instructions.iter().map(|row| row.name.to_owned()).collect(),
            instructions,
            limit,
        }
    }
}

impl Program for MultiplyAdd {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn run(&self, variant: usize, lane: usize, iterations: u64) {
        let instruction = self.instructions[variant];
        let mut state = self.initial[variant][lane].clone();
        let rounds = MULTIPLY_ADD_OPS / instruction.ops_per_round() * iterations;
        // SAFETY: `available` found the instruction on this machine.
        unsafe { (instruction.rounds)(&mut state, rounds) };
        std::hint::black_box(&state);
    }

    fn verify(&self, variant: usize, lane: usize) -> Result<(), String> {
        let instruction = self.instructions[variant];
        let mut state = self.initial[variant][lane].clone();
        let mut expected = state.clone();
        let rounds = MULTIPLY_ADD_OPS / instruction.ops_per_round();
        // SAFETY: `available` found the instruction on this machine.
        unsafe { (instruction.rounds)(&mut state, rounds) };
        reference::rounds(instruction, &mut expected, rounds);
        reference::compare(instruction, &state, &expected, rounds)
    }

    fn limit(&self, _: usize) -> Option<CycleLimit> {
        self.limit
    }
}

/// Defines the loop of an instruction: `chains` registers of sums, each followed by its own dependencies only.
macro_rules! rounds {
    ($(#[$feature:meta])* $name:ident, $sum:ty, $factor:ty, $chains:literal, |$a:ident, $x:ident, $y:ident| $step:expr) => {
        $(#[$feature])*
        unsafe fn $name(state: &mut State, rounds: u64) {
            // SAFETY: the state is aligned to 64 bytes and holds at least as many bytes as are read and written.
            unsafe {
                let sums = state.sums.as_mut_ptr().cast::<[$sum; $chains]>();
                let mut chains = sums.read();
                let $x = state.x.as_ptr().cast::<$factor>().read();
                let y = state.y.as_ptr().cast::<$factor>().read();
                let z = state.z.as_ptr().cast::<$factor>().read();
                for _ in 0..rounds {
                    for sum in &mut chains {
                        let ($a, $y) = (*sum, y);
                        *sum = $step;
                    }
                    for sum in &mut chains {
                        let ($a, $y) = (*sum, z);
                        *sum = $step;
                    }
                }
                sums.write(chains);
            }
        }
    };
}
use rounds;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_of_this_machine_matches_its_reference() {
        let native: Vec<_> = instructions().filter(|row| (row.available)()).collect();
        for (variant, row) in native.iter().enumerate() {
            let workload = MultiplyAdd::with_instructions(native.clone(), 3, None);
            for lane in 0..3 {
                workload.verify(variant, lane).unwrap_or_else(|error| panic!("{}: {error}", row.name));
            }
        }
        let rows = |name: &str| native.iter().filter(|row| row.name.starts_with(name)).count();
        assert_eq!(rows("baseline"), 2);
        #[cfg(target_arch = "x86_64")]
        for (name, has, count) in [
            ("FMA3", std::arch::is_x86_feature_detected!("fma"), 2),
            ("AVX-512 FMA", std::arch::is_x86_feature_detected!("avx512f"), 2),
            ("AVX-512 BF16", std::arch::is_x86_feature_detected!("avx512bf16"), 1),
            ("AVX-512 VNNI", std::arch::is_x86_feature_detected!("avx512vnni"), 1),
        ] {
            assert_eq!(rows(name), if has { count } else { 0 }, "{name}");
        }
        #[cfg(target_arch = "aarch64")]
        assert_eq!(rows("NEON FMA"), 2);
    }

    #[test]
    fn work_divides_evenly_and_fits_the_state() {
        for row in instructions() {
            assert_eq!(MULTIPLY_ADD_OPS % row.ops_per_round(), 0, "{}", row.name);
            assert!(row.chains * row.register_bytes() <= size_of::<State>() - 3 * 1024, "{}", row.name);
        }
    }

    #[test]
    fn a_round_too_few_or_a_damaged_sum_is_noticed() {
        for row in instructions().filter(|row| (row.available)()) {
            let mut state = reference::initial(row, 0);
            let mut expected = state.clone();
            // SAFETY: the filter found the instruction.
            unsafe { (row.rounds)(&mut state, 7) };
            reference::rounds(row, &mut expected, 8);
            assert!(reference::compare(row, &state, &expected, 8).is_err(), "{}", row.name);
            // SAFETY: as above.
            unsafe { (row.rounds)(&mut state, 1) };
            assert_eq!(reference::compare(row, &state, &expected, 8), Ok(()), "{}", row.name);
            let sign_of_last = row.sums() * row.sum_bytes() - 1;
            state.sums[sign_of_last] ^= 0x40;
            assert!(reference::compare(row, &state, &expected, 8).is_err(), "{}", row.name);
        }
    }
}
