//! The core's clock, observed: a chain of dependent additions retires one per cycle on every core rooflab knows.

use crate::backend::time::Instant;
use crate::units::Hertz;

const ADDS_PER_ROUND: u64 = 64;

/// The calling core's clock frequency: the fastest of three chains of some thousand dependent additions, so that an
/// interrupt in one of them does not count. None on architectures without a chain.
///
/// Registers are added to registers: additions of constants are folded away by recent cores.
pub(super) fn core_clock(rounds: u64) -> Option<Hertz> {
    let mut best = 0.0_f64;
    for _ in 0..3 {
        let start = Instant::now();
        add_chain(rounds)?;
        best = best.max((rounds * ADDS_PER_ROUND) as f64 / start.elapsed().get());
    }
    Some(Hertz(best))
}

#[cfg(target_arch = "x86_64")]
fn add_chain(rounds: u64) -> Option<()> {
    // SAFETY: the assembly only touches the registers it names.
    unsafe {
        std::arch::asm!(
            "2:", ".rept 64", "add {sum}, {step}", ".endr", "dec {rounds}", "jnz 2b",
            sum = inout(reg) 1_u64 => _, step = in(reg) 3_u64, rounds = inout(reg) rounds.max(1) => _,
            options(nomem, nostack),
        );
    }
    Some(())
}

#[cfg(target_arch = "aarch64")]
fn add_chain(rounds: u64) -> Option<()> {
    // SAFETY: the assembly only touches the registers it names.
    unsafe {
        std::arch::asm!(
            "2:", ".rept 64", "add {sum}, {sum}, {step}", ".endr", "subs {rounds}, {rounds}, #1", "b.ne 2b",
            sum = inout(reg) 1_u64 => _, step = in(reg) 3_u64, rounds = inout(reg) rounds.max(1) => _,
            options(nomem, nostack),
        );
    }
    Some(())
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn add_chain(_: u64) -> Option<()> {
    None
}
