//! What a launch executed.

use std::ops::AddAssign;

/// Operations by what they compute with. A multiply-add counts as two, a packed operation for each of its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Additions, multiplications, divisions and roots of f64.
    pub f64: u64,
    /// The same of f32.
    pub f32: u64,
    /// The same of f16.
    pub f16: u64,
    /// The same of bf16.
    pub bf16: u64,
    /// Multiplications and additions of integer dot products (`dp4a`, `dp2a`).
    pub integer_dot: u64,
    /// Multiplications and additions of `mad` on integers.
    pub integer_multiply_add: u64,
    /// Multiplications and additions of matrix units (`mma`), of all formats.
    pub matrix: u64,
    /// Approximations: `ex2`, `lg2`, `rcp`, `rsqrt`, `sqrt`, `sin`, `cos`, `tanh`.
    pub special: u64,
}

/// Everything that is counted during a launch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Instructions, once for each thread that executes them.
    pub instructions: u64,
    /// Operations by class.
    pub operations: Operations,
    /// Bytes that threads loaded from global memory, each time anew.
    pub loaded: u64,
    /// Bytes that threads stored to global memory. Atomic operations count here and under `loaded`.
    pub stored: u64,
    /// Bytes of global memory that were loaded at least once.
    pub distinct_loaded: u64,
    /// Bytes of global memory that were stored at least once.
    pub distinct_stored: u64,
    /// Atomic operations on global memory, once for each thread.
    pub atomics: u64,
    /// Warp-wide accesses to shared memory, in the parts that hardware makes of wide ones.
    pub shared_accesses: u64,
    /// How many times such an access had to be repeated because of bank conflicts.
    pub bank_conflicts: u64,
    /// Barriers of a block, once each time that all have arrived.
    pub barriers: u64,
}

impl AddAssign for Operations {
    fn add_assign(&mut self, other: Self) {
        self.f64 += other.f64;
        self.f32 += other.f32;
        self.f16 += other.f16;
        self.bf16 += other.bf16;
        self.integer_dot += other.integer_dot;
        self.integer_multiply_add += other.integer_multiply_add;
        self.matrix += other.matrix;
        self.special += other.special;
    }
}

impl AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        self.instructions += other.instructions;
        self.operations += other.operations;
        self.loaded += other.loaded;
        self.stored += other.stored;
        self.distinct_loaded += other.distinct_loaded;
        self.distinct_stored += other.distinct_stored;
        self.atomics += other.atomics;
        self.shared_accesses += other.shared_accesses;
        self.bank_conflicts += other.bank_conflicts;
        self.barriers += other.barriers;
    }
}
