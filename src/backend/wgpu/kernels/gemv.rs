//! Matrix–vector products: `shaders/gemv.wgsl`.

use super::words::Reduction;
use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::gemv::Operands;
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::dtype::DType;

/// A format of weights.
struct Format {
    weights: DType,
    activations: DType,
    /// Vectors of four activations to a vector of four words of weights.
    pieces: u64,
    /// The product of `w$r` with `x0`, `x1` and so on.
    product: &'static str,
    /// What a row's sum is multiplied by.
    row_scale: &'static str,
}

const FORMATS: [Format; 5] = [
    Format {
        weights: DType::F32,
        activations: DType::F32,
        pieces: 1,
        product: "dot(bitcast<vec4f>(w$r), x0)",
        row_scale: "",
    },
    Format {
        weights: DType::F16,
        activations: DType::F16,
        pieces: 2,
        product: "dot(f16_4(w$r.xy), x0) + dot(f16_4(w$r.zw), x1)",
        row_scale: "",
    },
    Format {
        weights: DType::Bf16,
        activations: DType::Bf16,
        pieces: 2,
        product: "dot(bf16_4(w$r.xy), x0) + dot(bf16_4(w$r.zw), x1)",
        row_scale: "",
    },
    Format {
        weights: DType::Int8,
        activations: DType::Bf16,
        pieces: 4,
        product: "dot(int8_4(w$r.x), x0) + dot(int8_4(w$r.y), x1) + dot(int8_4(w$r.z), x2) + dot(int8_4(w$r.w), x3)",
        row_scale: "* row_scale(row + $ru)",
    },
    Format {
        weights: DType::Int4G128,
        activations: DType::Bf16,
        pieces: 8,
        product: "group_scale(row + $ru, at) * (dot(int4_4(w$r.x), x0) + dot(int4_4(w$r.x >> 16u), x1) \
                  + dot(int4_4(w$r.y), x2) + dot(int4_4(w$r.y >> 16u), x3) + dot(int4_4(w$r.z), x4) \
                  + dot(int4_4(w$r.z >> 16u), x5) + dot(int4_4(w$r.w), x6) + dot(int4_4(w$r.w >> 16u), x7))",
        row_scale: "",
    },
];

/// Invocations of a workgroup and its rows.
const SHAPES: [(u32, u64); 4] = [(64, 1), (64, 4), (128, 2), (256, 4)];
/// Rows of a workgroup that is as wide as one subgroup, and has next to nothing to add up.
const ROWS_OF_ONE: [u64; 2] = [4, 8];
/// Far more than rounding adds up to, and far less than one product of thousands.
const ROUNDING: f64 = 4e-6;

impl Format {
    fn shader(&self, (lanes, rows): (u32, u64), reduction: Reduction) -> Shader {
        let shader = Shader::new(source!("gemv"), "k_gemv")
            .including(source!("words"))
            .with("PRODUCT", self.product)
            .with("ROW_SCALE", self.row_scale)
            .with("PIECES", self.pieces)
            .with("ROWS", rows)
            .constant("LANES", lanes);
        reduction.in_shader(shader)
    }

    /// Bytes that the integers, or numbers, of a row take.
    fn row_bytes(&self, columns: u64) -> u64 {
        columns * 16 / (4 * self.pieces)
    }
}

/// The shapes that are tried on a device whose widest subgroup is known.
fn shapes(subgroup: u32) -> impl Iterator<Item = (u32, u64)> {
    let of_one = ROWS_OF_ONE.map(|rows| (subgroup, rows));
    SHAPES.into_iter().chain(of_one.into_iter().filter(|shape| !SHAPES.contains(shape)))
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    let of_format = |format: &Format| {
        let of_shape = |shape| [Reduction::Tree, Reduction::Subgroups].map(|way| format.shader(shape, way));
        [4, 8, 16, 32, 64, 128].into_iter().flat_map(shapes).flat_map(of_shape).collect::<Vec<_>>()
    };
    FORMATS.iter().flat_map(of_format).collect()
}

struct Variant {
    pipeline: Pipeline,
    bindings: wgpu::BindGroup,
    rows: u64,
}

/// A matrix–vector product.
pub(in crate::backend::wgpu) struct Gemv {
    format: &'static Format,
    operands: Operands,
    parts: u64,
    next: u64,
    results: Buffer,
    variants: Vec<Variant>,
    names: Vec<String>,
    /// Kept alive for the bindings.
    _inputs: [Buffer; 3],
}

impl Gemv {
    pub(in crate::backend::wgpu) fn new(
        gpu: &Gpu,
        (weights, activations): (DType, DType),
        (rows, columns, parts): (u64, u64, u64),
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.weights, format.activations) == (weights, activations);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for {weights} times {activations}")));
        };
        if rows == 0 || columns == 0 || parts == 0 || !rows.is_multiple_of(4 * parts) || !columns.is_multiple_of(256) {
            return Err(BackendError::unsupported(format!(
                "{rows} rows of {columns} are not {parts} times a multiple of 4 rows, of a multiple of 256"
            )));
        }
        let operands = Operands::new((weights, activations), rows, columns);
        let matrix = gpu.buffer(format.row_bytes(columns) * rows)?;
        gpu.write(&matrix, |start, piece| operands.matrix().fill(start, piece))?;
        let widened = gpu.buffer(4 * columns)?;
        gpu.write(&widened, |start, piece| {
            for (index, element) in (start as usize / 4..columns as usize).zip(piece.chunks_exact_mut(4)) {
                element.copy_from_slice(&(operands.activation(index) as f32).to_ne_bytes());
            }
        })?;
        let scales = gpu.buffer(operands.scale_bytes())?;
        gpu.write(&scales, |start, piece| operands.fill_scales(start, piece))?;
        let results = gpu.buffer(4 * rows)?;
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        for &reduction in Reduction::of(gpu) {
            for (lanes, at_once) in shapes(gpu.subgroups.1) {
                if lanes > gpu.limits.max_compute_invocations_per_workgroup || !(rows / parts).is_multiple_of(at_once) {
                    continue;
                }
                let pipeline = gpu.pipeline(&format.shader((lanes, at_once), reduction))?;
                let mut windows = vec![(0, &matrix), (1, &widened), (2, &results)];
                if operands.is_scaled() {
                    windows.push((3, &scales));
                }
                let bindings = gpu.bind(&pipeline, &windows)?;
                names.push(format!("{lanes} lanes, {at_once} rows, {}", reduction.word()));
                variants.push(Variant { pipeline, bindings, rows: at_once });
            }
        }
        let inputs = [matrix, widened, scales];
        Ok(Self { format, operands, parts, next: 0, results, variants, names, _inputs: inputs })
    }

    fn multiply(&self, variant: usize, part: u64, pass: &mut wgpu::ComputePass<'_>) {
        let Variant { pipeline, bindings, rows: at_once } = &self.variants[variant];
        let rows = self.operands.rows / self.parts;
        let words = self.format.row_bytes(self.operands.columns) / 16;
        let immediates = Immediates::of(&[part * rows, rows, words, self.operands.groups()]);
        Dispatch { pipeline, bindings, immediates, groups: rows / at_once }.put(pass);
    }
}

impl Program for Gemv {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn dispatch(&mut self, variant: usize, _: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.multiply(variant, self.next, pass);
        self.next = (self.next + 1) % self.parts;
    }

    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        bench.gpu.poison(&self.results)?;
        bench.run(|pass| (0..self.parts).for_each(|part| self.multiply(variant, part, pass)))?;
        bench.gpu.read(&self.results, |start, piece| self.operands.check(ROUNDING, start, piece))
    }
}
