//! The CPU's kernels, one file per family of workloads.

pub(super) mod attention;
pub(super) mod chase;
pub(super) mod copy;
mod dot;
pub(super) mod empty;
pub(super) mod gemm;
pub(super) mod gemv;
pub(super) mod in_turn;
pub(super) mod multiply_add;
pub(super) mod rowwise;
pub(super) mod stream;

use super::team::Team;
use super::timing::timed;
use crate::backend::reference::element;
use crate::backend::{BackendError, CycleLimit, Kernel, Sample};

/// Asks for the data at an address, which need not exist.
#[inline(always)]
fn prefetch<T>(from: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(from.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl1keep, [{from}]", from = in(reg) from, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = from;
}

/// The same, into the second-level cache only.
#[inline(always)]
fn prefetch_second<T>(from: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is harmless.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(from.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("prfm pldl2keep, [{from}]", from = in(reg) from, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let _ = from;
}

/// Asks for what a stream of bytes comes to after an address, in two stages: into the second-level cache early, because more can be on its way there, and
/// from there into the first, because arithmetic that waits for its operands holds up the loads behind it.
#[inline(always)]
fn prefetch_stream<T>(from: *const T) {
    prefetch_second(from.wrapping_byte_add(4096));
    prefetch(from.wrapping_byte_add(1024));
}

/// A kernel that every lane runs on its own memory.
pub(super) trait Program: Sync {
    /// The implementations, described.
    fn variants(&self) -> &[String];

    /// Fills one lane's memory with its seeded data. Comes before everything else.
    fn fill(&self, _lane: usize) {}

    /// One lane's share of some iterations.
    fn run(&self, variant: usize, lane: usize, iterations: u64);

    /// Runs one iteration on one lane and checks every result.
    fn verify(&self, variant: usize, lane: usize) -> Result<(), String>;

    /// What one core's data paths allow.
    fn limit(&self, variant: usize) -> Option<CycleLimit>;
}

impl Program for Box<dyn Program> {
    fn variants(&self) -> &[String] {
        (**self).variants()
    }

    fn fill(&self, lane: usize) {
        (**self).fill(lane);
    }

    fn run(&self, variant: usize, lane: usize, iterations: u64) {
        (**self).run(variant, lane, iterations);
    }

    fn verify(&self, variant: usize, lane: usize) -> Result<(), String> {
        (**self).verify(variant, lane)
    }

    fn limit(&self, variant: usize) -> Option<CycleLimit> {
        (**self).limit(variant)
    }
}

/// A program with the team that runs it.
pub(super) struct Lanewise<'device, P> {
    team: &'device mut Team,
    lanes: usize,
    program: P,
}

impl<'device, P: Program> Lanewise<'device, P> {
    /// Fills the lanes' memory and makes the kernel ready.
    pub(super) fn new(team: &'device mut Team, lanes: usize, program: P) -> Self {
        team.run(lanes, &|lane| program.fill(lane));
        Self { team, lanes, program }
    }

    fn known(&self, variant: usize) -> Result<usize, BackendError> {
        let count = self.program.variants().len();
        if variant < count {
            return Ok(variant);
        }
        Err(BackendError::unsupported(format!("there is no variant {variant}; there are {count}")))
    }
}

impl<P: Program> Kernel for Lanewise<'_, P> {
    fn variants(&self) -> &[String] {
        self.program.variants()
    }

    fn is_filled(&self) -> bool {
        true
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        let variant = self.known(variant)?;
        let failure = std::sync::OnceLock::new();
        let program = &self.program;
        self.team.run(self.lanes, &|lane| {
            if let Err(difference) = program.verify(variant, lane) {
                // The first lane to fail is reported.
                let _ = failure.set(format!("{} on lane {lane}: {difference}", program.variants()[variant]));
            }
        });
        failure.into_inner().map_or(Ok(()), |difference| Err(BackendError::WrongResult(difference)))
    }

    fn run(&mut self, variant: usize, iterations: u64) -> Result<Sample, BackendError> {
        let variant = self.known(variant)?;
        let program = &self.program;
        Ok(timed(self.team, self.lanes, &|lane| program.run(variant, lane, iterations)))
    }

    fn limit(&self, variant: usize) -> Option<CycleLimit> {
        self.program.limit(variant)
    }
}
