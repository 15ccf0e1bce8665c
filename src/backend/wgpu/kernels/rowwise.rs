//! Operators on rows of activations: `shaders/rowwise.wgsl`.

use super::words::Reduction;
use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::element::{Element, PERIOD};
use crate::backend::reference::rowwise::{Operands, table};
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::dtype::DType;
use crate::resource::RowwiseOp;
use crate::workload::ROW;

/// Groups of four elements in a row, and in half of a head.
const FOURS: u64 = ROW / 4;
/// Invocations that share a row.
const LANES: [u32; 2] = [128, 256];
/// Arrays `a`, `b` and `c`, and the table, by the numbers of their bindings.
const A: u32 = 0;
const B: u32 = 1;
const C: u32 = 2;
const TABLE: u32 = 3;

/// Four elements as they lie in memory, how they are widened, and how they are rounded.
struct Format {
    dtype: DType,
    words: &'static str,
    widen: &'static str,
    narrow: &'static str,
    rounding: f64,
}

const FORMATS: [Format; 2] = [
    Format { dtype: DType::F32, words: "vec4f", widen: "", narrow: "", rounding: <f32 as Element>::ROUNDING },
    Format {
        dtype: DType::Bf16,
        words: "vec2u",
        widen: "bf16_4",
        narrow: "words_of_bf16",
        rounding: <half::bf16 as Element>::ROUNDING,
    },
];

/// What an operator does with the share of an invocation, and the arrays that it binds.
struct Operator {
    op: RowwiseOp,
    /// Arrays that are read, that which is written, and whether there is a table.
    reads: &'static [u32],
    writes: u32,
    code: &'static str,
}

const OPERATORS: [Operator; 6] = [
    Operator {
        op: RowwiseOp::Softmax,
        reads: &[A],
        writes: A,
        code: "
    //@repeat {{SHARE}} s
    var x$s = {{WIDEN}}(a[base + lane + $su * LANES]);
    //@end
    var largest = x0;
    //@repeat {{SHARE}} s
    largest = max(largest, x$s);
    //@end
    let top = group_max(max(max(largest.x, largest.y), max(largest.z, largest.w)), lane, {{WIDTH}});
    var sum = vec4f();
    //@repeat {{SHARE}} s
    x$s = exp(x$s - top);
    sum += x$s;
    //@end
    let factor = 1.0 / group_sum(sum.x + sum.y + sum.z + sum.w, lane, {{WIDTH}});
    //@repeat {{SHARE}} s
    a[base + lane + $su * LANES] = {{NARROW}}(x$s * factor);
    //@end",
    },
    Operator {
        op: RowwiseOp::RmsNorm,
        reads: &[A, TABLE],
        writes: C,
        code: "
    var sum = vec4f();
    //@repeat {{SHARE}} s
    let x$s = {{WIDEN}}(a[base + lane + $su * LANES]);
    sum += x$s * x$s;
    //@end
    let total = group_sum(sum.x + sum.y + sum.z + sum.w, lane, {{WIDTH}});
    let factor = inverseSqrt(total / f32({{FOURS}} * 4) + EPSILON);
    //@repeat {{SHARE}} s
    c[base + lane + $su * LANES] = {{NARROW}}(x$s * factor * table[lane + $su * LANES]);
    //@end",
    },
    Operator {
        op: RowwiseOp::SiluMul,
        reads: &[A, B],
        writes: C,
        code: "
    //@repeat {{SHARE}} s
    let gate$s = {{WIDEN}}(a[base + lane + $su * LANES]);
    let up$s = {{WIDEN}}(b[base + lane + $su * LANES]);
    //@end
    //@repeat {{SHARE}} s
    c[base + lane + $su * LANES] = {{NARROW}}(gate$s / (1.0 + exp(-gate$s)) * up$s);
    //@end",
    },
    Operator {
        op: RowwiseOp::Rope,
        reads: &[A, TABLE],
        writes: A,
        // Of each head's 32 groups of four, the first 16 go with the last 16.
        code: "
    let angles = (row % sizes.period) * 32u;
    //@repeat {{PAIRS}} s
    let pair$s = lane + $su * LANES;
    let within$s = pair$s % 16u;
    let at$s = base + (pair$s / 16u) * 32u + within$s;
    let x$s = {{WIDEN}}(a[at$s]);
    let y$s = {{WIDEN}}(a[at$s + 16u]);
    let cosine$s = table[angles + within$s];
    let sine$s = table[angles + 16u + within$s];
    a[at$s] = {{NARROW}}(x$s * cosine$s - y$s * sine$s);
    a[at$s + 16u] = {{NARROW}}(y$s * cosine$s + x$s * sine$s);
    //@end",
    },
    Operator {
        op: RowwiseOp::Add,
        reads: &[A, B],
        writes: A,
        code: "
    //@repeat {{SHARE}} s
    let x$s = {{WIDEN}}(a[base + lane + $su * LANES]) + {{WIDEN}}(b[base + lane + $su * LANES]);
    //@end
    //@repeat {{SHARE}} s
    a[base + lane + $su * LANES] = {{NARROW}}(x$s);
    //@end",
    },
    Operator {
        op: RowwiseOp::Gather,
        reads: &[A],
        writes: C,
        code: "
    let place = row * sizes.jump % sizes.all * {{FOURS}}u;
    //@repeat {{SHARE}} s
    let x$s = a[place + lane + $su * LANES];
    //@end
    //@repeat {{SHARE}} s
    c[base + lane + $su * LANES] = x$s;
    //@end",
    },
];

impl Operator {
    fn shader(&self, format: &Format, lanes: u32, reduction: Reduction) -> Shader {
        let share = FOURS / u64::from(lanes);
        let shader = Shader::new(source!("rowwise"), "k_rowwise")
            .including(source!("words"))
            .with("OPERATOR", self.code)
            .with("SHARE", share)
            .with("PAIRS", share / 2)
            .with("FOURS", FOURS)
            .with("WORDS", format.words)
            .with("WIDEN", format.widen)
            .with("NARROW", format.narrow)
            .constant("LANES", lanes);
        reduction.in_shader(shader)
    }

    /// The ways to reduce that make a difference.
    fn reductions(&self, all: &'static [Reduction]) -> &'static [Reduction] {
        if self.reduces() { all } else { &[Reduction::Tree] }
    }

    const fn reduces(&self) -> bool {
        matches!(self.op, RowwiseOp::Softmax | RowwiseOp::RmsNorm)
    }
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    let mut all = Vec::new();
    for operator in &OPERATORS {
        for format in &FORMATS {
            for &reduction in operator.reductions(&[Reduction::Tree, Reduction::Subgroups]) {
                all.extend(LANES.map(|lanes| operator.shader(format, lanes, reduction)));
            }
        }
    }
    all
}

/// An operator on its rows.
pub(in crate::backend::wgpu) struct Rowwise {
    operator: &'static Operator,
    format: &'static Format,
    rows: u64,
    parts: u64,
    next: u64,
    operands: Operands,
    arrays: Vec<(u32, Buffer)>,
    variants: Vec<(Pipeline, wgpu::BindGroup)>,
    names: Vec<String>,
}

impl Rowwise {
    pub(in crate::backend::wgpu) fn new(
        gpu: &Gpu,
        (op, dtype): (RowwiseOp, DType),
        (rows, parts): (u64, u64),
    ) -> Result<Self, BackendError> {
        let format = FORMATS.iter().find(|format| format.dtype == dtype);
        let Some((operator, format)) = OPERATORS.iter().find(|operator| operator.op == op).zip(format) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for {op} of {dtype}")));
        };
        if rows == 0 || parts == 0 || !rows.is_multiple_of(parts) {
            return Err(BackendError::unsupported(format!("{rows} rows are no multiple of {parts} parts")));
        }
        let operands = Operands::new(op, dtype, rows);
        let bytes = rows * operands.row_bytes() as u64;
        let mut bound: Vec<u32> = operator.reads.to_vec();
        if !bound.contains(&operator.writes) {
            bound.push(operator.writes);
        }
        let mut arrays = Vec::new();
        for binding in bound {
            arrays.push((binding, gpu.buffer(if binding == TABLE { 4 * table(op) as u64 } else { bytes })?));
        }
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        for &reduction in operator.reductions(Reduction::of(gpu)) {
            for lanes in LANES.into_iter().filter(|&lanes| lanes <= gpu.limits.max_compute_invocations_per_workgroup) {
                let pipeline = gpu.pipeline(&operator.shader(format, lanes, reduction))?;
                let windows: Vec<_> = arrays.iter().map(|(binding, buffer)| (*binding, buffer)).collect();
                let bindings = gpu.bind(&pipeline, &windows)?;
                let way = if operator.reduces() { format!(", {}", reduction.word()) } else { String::new() };
                names.push(format!("{lanes} lanes{way}"));
                variants.push((pipeline, bindings));
            }
        }
        let rowwise = Self { operator, format, rows, parts, next: 0, operands, arrays, variants, names };
        rowwise.fill(gpu)?;
        Ok(rowwise)
    }

    /// Fills what is read, and poisons what is only written.
    fn fill(&self, gpu: &Gpu) -> Result<(), BackendError> {
        for (binding, buffer) in &self.arrays {
            match (*binding, self.operands.input(*binding as usize)) {
                (TABLE, _) => {
                    let table = self.operands.table();
                    gpu.write(buffer, |start, piece| piece.copy_from_slice(&table[start as usize..][..piece.len()]))?;
                }
                (_, Some(rows)) => gpu.write(buffer, |start, piece| rows.fill(start, piece))?,
                (_, None) => gpu.poison(buffer)?,
            }
        }
        Ok(())
    }

    fn operate(&self, variant: usize, part: u64, pass: &mut wgpu::ComputePass<'_>) {
        let (pipeline, bindings) = &self.variants[variant];
        let rows = self.rows / self.parts;
        let immediates = Immediates::of(&[part * rows, rows, self.rows, self.operands.jump, PERIOD as u64]);
        Dispatch { pipeline, bindings, immediates, groups: rows }.put(pass);
    }
}

impl Program for Rowwise {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn dispatch(&mut self, variant: usize, _: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.operate(variant, self.next, pass);
        self.next = (self.next + 1) % self.parts;
    }

    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        // Operators in place have changed their inputs.
        self.fill(bench.gpu)?;
        bench.run(|pass| (0..self.parts).for_each(|part| self.operate(variant, part, pass)))?;
        let written = self.arrays.iter().filter(|(binding, _)| *binding == self.operator.writes);
        for (_, buffer) in written {
            // Pieces are whole rows.
            bench.gpu.read(buffer, self.operands.checker(self.format.rounding))?;
        }
        Ok(())
    }
}
