//! AMX: 16 × 64-byte tiles; one instruction multiplies a tile of rows by a tile of columns. Six tiles of sums, one of each factor.

use std::arch::asm;
use std::sync::OnceLock;

use super::{Form, Instruction, Operands, State};
use crate::dtype::DType;
use crate::resource::ComputeUnit;

/// Palette 1, all eight tiles with 16 rows of 64 bytes (Intel SDM volume 1, chapter 18).
#[repr(C, align(64))]
struct TileConfig {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

static CONFIG: TileConfig = TileConfig {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

macro_rules! tile_rounds {
    ($name:ident, $instruction:literal) => {
        unsafe fn $name(state: &mut State, rounds: u64) {
            // SAFETY: `available` found AMX and got the kernel's permission; the state holds six tiles of sums and one of each
            // factor, in rows of 64 bytes.
            unsafe {
                asm!(
                    "ldtilecfg [{config}]",
                    "tileloadd tmm0, [{sums} + {stride}]",
                    "tileloadd tmm1, [{sums} + {stride} + 1024]",
                    "tileloadd tmm2, [{sums} + {stride} + 2048]",
                    "tileloadd tmm3, [{sums} + {stride} + 3072]",
                    "tileloadd tmm4, [{sums} + {stride} + 4096]",
                    "tileloadd tmm5, [{sums} + {stride} + 5120]",
                    "tileloadd tmm6, [{x} + {stride}]",
                    "tileloadd tmm7, [{y} + {stride}]",
                    "test {rounds}, {rounds}",
                    "jz 3f",
                    "2:",
                    ".rept 2",
                    concat!($instruction, " tmm0, tmm6, tmm7"),
                    concat!($instruction, " tmm1, tmm6, tmm7"),
                    concat!($instruction, " tmm2, tmm6, tmm7"),
                    concat!($instruction, " tmm3, tmm6, tmm7"),
                    concat!($instruction, " tmm4, tmm6, tmm7"),
                    concat!($instruction, " tmm5, tmm6, tmm7"),
                    ".endr",
                    "dec {rounds}",
                    "jnz 2b",
                    "3:",
                    "tilestored [{sums} + {stride}], tmm0",
                    "tilestored [{sums} + {stride} + 1024], tmm1",
                    "tilestored [{sums} + {stride} + 2048], tmm2",
                    "tilestored [{sums} + {stride} + 3072], tmm3",
                    "tilestored [{sums} + {stride} + 4096], tmm4",
                    "tilestored [{sums} + {stride} + 5120], tmm5",
                    "tilerelease",
                    config = in(reg) &raw const CONFIG,
                    sums = in(reg) state.sums.as_mut_ptr(),
                    x = in(reg) state.x.as_ptr(),
                    y = in(reg) state.y.as_ptr(),
                    stride = in(reg) 64_u64,
                    rounds = inout(reg) rounds => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

tile_rounds!(int8_tiles, "tdpbssd");
tile_rounds!(bf16_tiles, "tdpbf16ps");

/// Whether tiles may be used: the CPU has them, and Linux gives this process the room to save them.
fn permitted() -> bool {
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| {
        let tiles = raw_cpuid::CpuId::new().get_extended_feature_info().is_some_and(|info| info.has_amx_tile());
        tiles && ask_kernel()
    })
}

#[cfg(target_os = "linux")]
fn ask_kernel() -> bool {
    const ARCH_REQ_XCOMP_PERM: i32 = 0x1023;
    const XFEATURE_XTILEDATA: u64 = 18;
    // SAFETY: the call takes two integers and changes only this process's permissions.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn ask_kernel() -> bool {
    false
}

fn has_int8() -> bool {
    permitted() && raw_cpuid::CpuId::new().get_extended_feature_info().is_some_and(|info| info.has_amx_int8())
}

fn has_bf16() -> bool {
    permitted() && raw_cpuid::CpuId::new().get_extended_feature_info().is_some_and(|info| info.has_amx_bf16())
}

pub(super) const INSTRUCTIONS: &[Instruction] = &[
    Instruction {
        name: "AMX BF16, 6 tiles",
        unit: ComputeUnit::Matrix,
        input: DType::Bf16,
        accumulate: DType::F32,
        form: Form::SumProducts,
        operands: Operands::Tile,
        chains: 6,
        available: has_bf16,
        rounds: bf16_tiles,
    },
    Instruction {
        name: "AMX INT8, 6 tiles",
        unit: ComputeUnit::Matrix,
        input: DType::Int8,
        accumulate: DType::Int32,
        form: Form::SumProducts,
        operands: Operands::Tile,
        chains: 6,
        available: has_int8,
        rounds: int8_tiles,
    },
];
