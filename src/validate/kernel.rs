//! The kernel that does an operator's work, or why there is none.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::dtype::DType;
use crate::estimate::cost::{is_plain, measured_as, summed_in};
use crate::graph::{self, Operator};
use crate::model::WeightFormat;
use crate::resource::{Phase, RowwiseOp};
use crate::units::percent;
use crate::workload::{HEADS, Kind, ROW, Shape, Workload};

/// How far a kernel's work may be from that of the operator it stands for: kernels deal rows out to lanes in granules.
const ALIKE: f64 = 0.03;
/// Operations or bytes that no kernel is asked for at once; below it, sizes can be multiplied without a thought of overflow.
const LARGEST: f64 = (1_u64 << 56) as f64;
/// Tokens up to which a product is mostly its weights.
const FEW_TOKENS: u64 = 64;
/// What columns of a matrix–vector product come in multiples of, and rows of a lane.
const COLUMNS: u64 = 256;
const ROWS: u64 = 4;

/// Operators that are predicted in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Products of one token with a matrix.
    MatrixVector,
    /// Products of a few tokens with a matrix: mostly its weights.
    FewTokens,
    /// Products of many tokens with a matrix: mostly arithmetic.
    ManyTokens,
    /// Attention of new tokens to a cache.
    DecodeAttention,
    /// Attention within prompts.
    PrefillAttention,
    /// Passes over activations.
    Pass,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 6] = [
        Self::MatrixVector,
        Self::FewTokens,
        Self::ManyTokens,
        Self::DecodeAttention,
        Self::PrefillAttention,
        Self::Pass,
    ];

    /// What it is called in a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::MatrixVector => "matrix–vector products",
            Self::FewTokens => "products of few tokens",
            Self::ManyTokens => "products of many tokens",
            Self::DecodeAttention => "attention to caches",
            Self::PrefillAttention => "attention within prompts",
            Self::Pass => "passes over activations",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

/// What of a device decides how operators are dealt out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lanes {
    /// Lanes of the whole device.
    pub(super) count: u32,
    /// Whether it is measured as a GPU is: heads are lanes of attention there.
    pub(super) is_gpu_like: bool,
    /// Whether attention takes one cache after the other.
    pub(super) takes_caches_in_turn: bool,
}

/// What executions of an operator find in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Memory {
    /// Activations, which are the same for all. What comes between two executions drives them out of the caches.
    Same,
    /// The next of several matrices or caches that a workload goes round in.
    Next,
    /// Caches in a workload of their own, where a device does not take them in turn.
    Own,
}

/// How an operator is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kernel {
    pub(super) class: Class,
    /// The kernel on one matrix, or one set of heads.
    one: Workload,
    /// Iterations that make one execution of the operator.
    pub(super) iterations: u64,
    memory: Memory,
}

impl Kernel {
    /// The kernel of an operator.
    pub(super) fn of(operator: &Operator, lanes: Lanes) -> Result<Self, String> {
        let size = operator.flops.get().max(operator.bytes().get());
        if !(size > 0.0 && size < LARGEST) {
            return Err("its size is nothing that could be run".to_owned());
        }
        let kernel = match operator.kind {
            graph::Kind::Product { m, n, k, weights } => product(Shape { m, n, k }, &weights, lanes)?,
            graph::Kind::Experts { .. } => {
                return Err("no kernel multiplies with the experts chosen for each token".to_owned());
            }
            graph::Kind::DecodeAttention { queries, .. } if queries > 1 => {
                return Err("no kernel attends to a cache with several new tokens".to_owned());
            }
            graph::Kind::DecodeAttention { sequences, context, heads, group, dim, kv, .. } => {
                has_heads(dim)?;
                if group > HEADS.group {
                    return Err(format!("kernels take {} query heads to a cached head, not {group}", HEADS.group));
                }
                let heads = sequences.saturating_mul(heads);
                attention(Class::DecodeAttention, Phase::Decode, kv.element, context, heads, lanes)
            }
            graph::Kind::PrefillAttention { cached, .. } if cached > 0 => {
                return Err("no kernel attends with a part of a prompt to what came before it".to_owned());
            }
            graph::Kind::PrefillAttention { sequences, queries, heads, group, dim, dtype, .. } => {
                has_heads(dim)?;
                let heads = sequences.saturating_mul(heads).saturating_mul(group);
                if !heads.is_multiple_of(HEADS.group) {
                    return Err(format!(
                        "{heads} query heads are no multiple of the {} that kernels take",
                        HEADS.group
                    ));
                }
                attention(Class::PrefillAttention, Phase::Prefill, dtype, queries, heads / HEADS.group, lanes)
            }
            graph::Kind::Rowwise { op: RowwiseOp::Gather, .. } => {
                return Err("the kernel's table is no larger than what it copies, and would stay in a cache".to_owned());
            }
            graph::Kind::Rowwise { op, dtype } => pass(operator, op, dtype, lanes)?,
            graph::Kind::Recurrence => return Err("no kernel passes over recurrent states".to_owned()),
            graph::Kind::Exchange(_) => return Err("one device exchanges nothing".to_owned()),
        };
        kernel.alike(operator)
    }

    /// A kernel of which one iteration on some lanes is one execution.
    const fn once(class: Class, kind: Kind, lanes: u32, memory: Memory) -> Self {
        Self { class, one: Workload { kind, lanes }, iterations: 1, memory }
    }

    /// Whether each iteration takes the next of several matrices or caches.
    pub(super) fn goes_round(&self) -> bool {
        self.memory == Memory::Next
    }

    /// The kernel with so many different matrices, or sets of heads, to go round in. Activations are those of one.
    pub(super) fn workload(&self, copies: u64) -> Workload {
        let copies = copies.max(1);
        let kind = match self.one.kind {
            Kind::Gemm { input, accumulate, shape, .. } => Kind::Gemm { input, accumulate, shape, copies },
            Kind::Gemv { weights, activations, rows, columns, .. } => {
                Kind::Gemv { weights, activations, rows: rows.saturating_mul(copies), columns, parts: copies }
            }
            Kind::Attention { phase: Phase::Decode, kv, context, .. } => {
                Kind::Attention { phase: Phase::Decode, kv, context, caches: copies }
            }
            other => other,
        };
        Workload { kind, ..self.one }
    }

    /// The workloads of a step in which the operator is executed so often, one for each of some equal runs of executions: see [`stage_of`]. No array is larger than a device
    /// takes, unless a single matrix is.
    pub(super) fn stages(&self, executions: u64, largest_array: u64) -> Vec<Workload> {
        let executions = executions.max(1);
        let of_stage = match self.memory {
            Memory::Same => executions,
            Memory::Next => (largest_array / self.bytes_of_copy() / self.iterations.max(1)).clamp(1, executions),
            Memory::Own => 1,
        };
        let stages = executions.div_ceil(of_stage);
        let first = |stage: u64| (u128::from(executions) * u128::from(stage) / u128::from(stages)) as u64;
        let copies = |stage| match self.memory {
            Memory::Next => (first(stage + 1) - first(stage)).saturating_mul(self.iterations),
            Memory::Same | Memory::Own => 1,
        };
        (0..stages).map(|stage| self.workload(copies(stage))).collect()
    }

    /// Bytes that a further copy takes.
    pub(super) fn bytes_of_copy(&self) -> u64 {
        self.workload(2).footprint().saturating_sub(self.workload(1).footprint()).max(1)
    }

    /// Bytes that a workload keeps allocated, not counting padding.
    pub(super) fn bytes(workload: &Workload) -> u64 {
        workload.footprint().max(workload.bytes_per_lane().saturating_mul(u64::from(workload.lanes)))
    }

    /// What it is, with its size, in a few words.
    pub(super) fn words(&self) -> String {
        let resource = self.one.resource();
        let times = if self.iterations > 1 { format!(", {} times", self.iterations) } else { String::new() };
        match self.one.kind {
            Kind::Gemm { shape, .. } => format!("{resource} {shape}"),
            Kind::Gemv { rows, columns, .. } => {
                format!("{resource} {}×{columns}", rows.saturating_mul(self.one.lanes.into()))
            }
            Kind::Attention { context, .. } => {
                format!("{resource} {context} tokens, {} heads{times}", self.one.lanes)
            }
            Kind::Rowwise { rows, .. } => format!("{resource} {} rows", rows.saturating_mul(self.one.lanes.into())),
            _ => resource.to_string(),
        }
    }

    /// Itself, if its work is the operator's: operations where those are what it is about, else bytes.
    fn alike(self, operator: &Operator) -> Result<Self, String> {
        let work = self.one.work();
        let times = self.iterations as f64;
        let (own, wanted) = match self.class {
            Class::MatrixVector | Class::FewTokens | Class::ManyTokens | Class::PrefillAttention => {
                (work.ops as f64 * times, operator.flops.get())
            }
            Class::DecodeAttention => (work.bytes_read as f64 * times, operator.kv.get()),
            Class::Pass => ((work.bytes_read + work.bytes_written) as f64 * times, operator.bytes().get()),
        };
        let off = own / wanted - 1.0;
        if off.abs() <= ALIKE {
            return Ok(self);
        }
        Err(format!("the nearest size of a kernel does {} as much", percent(own / wanted)))
    }
}

/// The stage that an execution belongs to, of those over which so many executions are divided.
pub(super) fn stage_of(execution: u64, executions: u64, stages: u64) -> u64 {
    let last = (u128::from(execution) + 1) * u128::from(stages);
    (last.saturating_sub(1) / u128::from(executions.max(1))) as u64
}

/// Multiplication with one matrix.
fn product(shape: Shape, weights: &WeightFormat, lanes: Lanes) -> Result<Kernel, String> {
    let Shape { m, n, k } = shape;
    let (format, stands_in) = measured_as(weights);
    if weights.sparsity.is_some() {
        return Err("no kernel leaves zeros out".to_owned());
    }
    if stands_in {
        return Err("kernels of 4-bit integers have a scale for every 128 of them".to_owned());
    }
    let activations = weights.activations;
    let count = lanes.count;
    if m == 1 && k.is_multiple_of(COLUMNS) {
        let rows = n.div_ceil(u64::from(count).max(1)).next_multiple_of(ROWS);
        let kind = Kind::Gemv { weights: format, activations, rows, columns: k, parts: 1 };
        return Ok(Kernel::once(Class::MatrixVector, kind, count, Memory::Next));
    }
    if !is_plain(weights) {
        let why =
            if m == 1 { format!("columns in multiples of {COLUMNS}, not {k}") } else { format!("1 token, not {m}") };
        return Err(format!("kernels of weights in {} take {why}", format.name()));
    }
    let class = match m {
        1 => Class::MatrixVector,
        2..=FEW_TOKENS => Class::FewTokens,
        _ => Class::ManyTokens,
    };
    let kind = Kind::Gemm { input: activations, accumulate: summed_in(activations), shape, copies: 1 };
    Ok(Kernel::once(class, kind, count, Memory::Next))
}

/// Attention of so many heads of keys and values, each with the group that kernels have.
fn attention(class: Class, phase: Phase, kv: DType, context: u64, heads: u64, lanes: Lanes) -> Kernel {
    let heads = heads.max(1);
    let most = if lanes.is_gpu_like { u64::from(u16::MAX) } else { u64::from(lanes.count.max(1)) };
    // As many rounds as it takes, each of as many heads as the others.
    let rounds = heads.div_ceil(most);
    let lanes_of_round = heads.div_ceil(rounds) as u32;
    let kind = Kind::Attention { phase, kv, context, caches: 1 };
    let memory = match (phase, lanes.takes_caches_in_turn) {
        (Phase::Prefill, _) => Memory::Same,
        (Phase::Decode, true) => Memory::Next,
        (Phase::Decode, false) => Memory::Own,
    };
    Kernel { class, one: Workload { kind, lanes: lanes_of_round }, iterations: rounds, memory }
}

fn has_heads(dim: u64) -> Result<(), String> {
    if dim == HEADS.dim { Ok(()) } else { Err(format!("kernels have heads of {} elements, not {dim}", HEADS.dim)) }
}

/// A pass over activations, in rows of the kernels' length.
fn pass(operator: &Operator, op: RowwiseOp, dtype: DType, lanes: Lanes) -> Result<Kernel, String> {
    let row = (op.elements_read() + 1) as f64 * ROW as f64 * dtype.bytes_per_element();
    let rows = (operator.bytes().get() / row / f64::from(lanes.count.max(1))).round();
    if !(rows >= 1.0 && rows < u64::MAX as f64 / row) {
        return Err(format!("kernels pass over rows of {ROW} elements, one or more on each of {} lanes", lanes.count));
    }
    let kind = Kind::Rowwise { op, dtype, rows: rows as u64, parts: 1 };
    Ok(Kernel::once(Class::Pass, kind, lanes.count, Memory::Same))
}
