//! Matrix–vector products: `shaders/gemv.wgsl`.

use std::cell::OnceCell;

use half::f16;

use super::words::{Reduction, Rows, random, value};
use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::element::{PERIOD, near};
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::data::{Seed, bits};
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
/// Integers of 4 bits that share a scale.
const GROUP: u64 = 128;
const WEIGHTS: Seed = Seed(910);
const VECTOR: Seed = Seed(900);
const SCALES: Seed = Seed(901);

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

    /// The value of a weight without its scale.
    fn weight(&self, row: &[u8], index: usize) -> f64 {
        if self.weights == DType::Int4G128 {
            f64::from(i32::from(row[index / 2] >> (index % 2 * 4) & 15) - 8)
        } else {
            value(self.weights, row, index)
        }
    }

    /// The scale of a weight: powers of two for whole rows, any f16 for groups.
    fn scale(&self, row: u64, index: u64, columns: u64) -> f64 {
        match self.weights {
            DType::Int8 => f64::from(row_scale(row)),
            DType::Int4G128 => group_scale((row % PERIOD as u64) * (columns / GROUP) + index / GROUP).to_f64(),
            _ => 1.0,
        }
    }
}

fn row_scale(row: u64) -> f32 {
    1.0 / (1 << (4 + bits(SCALES, (row % PERIOD as u64) as u32) % 4)) as f32
}

/// Between 2⁻⁵ and 2⁻⁴.
fn group_scale(group: u64) -> f16 {
    f16::from_bits(0x2800 | (bits(SCALES, group as u32) & 0x3FF) as u16)
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    let of_format = |format: &Format| {
        let of_shape = |shape| [Reduction::Tree, Reduction::Subgroups].map(|way| format.shader(shape, way));
        SHAPES.into_iter().flat_map(of_shape).collect::<Vec<_>>()
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
    rows: u64,
    columns: u64,
    parts: u64,
    next: u64,
    weights: Rows,
    vector: Vec<u8>,
    /// Of the rows that differ: the exact result, and the size of what was added up.
    exact: OnceCell<Vec<(f64, f64)>>,
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
            return Err(BackendError::unsupported(format!("there is no kernel for {weights} times {activations}")));
        };
        if rows == 0 || columns == 0 || parts == 0 || !rows.is_multiple_of(4 * parts) || !columns.is_multiple_of(256) {
            return Err(BackendError::unsupported(format!(
                "{rows} rows of {columns} are not {parts} times a multiple of 4 rows, of a multiple of 256"
            )));
        }
        let elements = if weights == DType::Int4G128 { columns / 2 } else { columns };
        let host = Rows::new(weights, elements as usize, rows, WEIGHTS);
        let matrix = gpu.buffer(format.row_bytes(columns) * rows)?;
        gpu.write(&matrix, |start, piece| host.fill(start, piece))?;
        let vector = random(activations, VECTOR, columns as usize);
        let widened = gpu.buffer(4 * columns)?;
        let wide = |index: usize| value(activations, &vector, index) as f32;
        gpu.write(&widened, |start, piece| {
            for (index, element) in (start as usize / 4..columns as usize).zip(piece.chunks_exact_mut(4)) {
                element.copy_from_slice(&wide(index).to_ne_bytes());
            }
        })?;
        let groups = columns / GROUP;
        let scales = gpu.buffer(if weights == DType::Int4G128 { rows * groups * 2 } else { rows * 4 })?;
        gpu.write(&scales, |start, piece| {
            if weights == DType::Int4G128 {
                for (at, scale) in (start / 2..).zip(piece.chunks_exact_mut(2)) {
                    let group = at / groups % PERIOD as u64 * groups + at % groups;
                    scale.copy_from_slice(&group_scale(group).to_bits().to_ne_bytes());
                }
            } else {
                for (row, scale) in (start / 4..).zip(piece.chunks_exact_mut(4)) {
                    scale.copy_from_slice(&row_scale(row).to_ne_bytes());
                }
            }
        })?;
        let results = gpu.buffer(4 * rows)?;
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        for &reduction in Reduction::of(gpu) {
            for (lanes, at_once) in SHAPES {
                if lanes > gpu.limits.max_compute_invocations_per_workgroup || !(rows / parts).is_multiple_of(at_once) {
                    continue;
                }
                let pipeline = gpu.pipeline(&format.shader((lanes, at_once), reduction))?;
                let mut windows = vec![(0, &matrix), (1, &widened), (2, &results)];
                if weights.format().kind == crate::dtype::Kind::Integer {
                    windows.push((3, &scales));
                }
                let bindings = gpu.bind(&pipeline, &windows)?;
                names.push(format!("{lanes} lanes, {at_once} rows, {}", reduction.word()));
                variants.push(Variant { pipeline, bindings, rows: at_once });
            }
        }
        let inputs = [matrix, widened, scales];
        Ok(Self {
            format,
            rows,
            columns,
            parts,
            next: 0,
            weights: host,
            vector,
            exact: OnceCell::new(),
            results,
            variants,
            names,
            _inputs: inputs,
        })
    }

    fn reference(&self) -> Vec<(f64, f64)> {
        let activations: Vec<f64> =
            (0..self.columns as usize).map(|index| value(self.format.activations, &self.vector, index)).collect();
        let of_row = |row: u64| {
            let bytes = self.weights.row(row as usize);
            activations.iter().enumerate().fold((0.0, 0.0), |(sum, size), (index, x)| {
                let scale = self.format.scale(row, index as u64, self.columns);
                let product = self.format.weight(bytes, index) * scale * x;
                (sum + product, size + product.abs())
            })
        };
        (0..self.rows.min(PERIOD as u64)).map(of_row).collect()
    }

    fn multiply(&self, variant: usize, part: u64, pass: &mut wgpu::ComputePass<'_>) {
        let Variant { pipeline, bindings, rows: at_once } = &self.variants[variant];
        let rows = self.rows / self.parts;
        let words = self.format.row_bytes(self.columns) / 16;
        let immediates = Immediates::of(&[part * rows, rows, words, self.columns / GROUP]);
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
        let period = self.exact.get_or_init(|| self.reference());
        bench.gpu.read(&self.results, |start, piece| {
            for (row, result) in (start as usize / 4..self.rows as usize).zip(piece.chunks_exact(4)) {
                let (expected, size) = period[row % PERIOD];
                let found = f64::from(bytemuck::pod_read_unaligned::<f32>(result));
                // Far more than rounding adds up to, and far less than one product of thousands.
                if !near(found, expected, 4e-6 * size) {
                    return Err(format!("row {row} is {found}, the reference says {expected}"));
                }
            }
            Ok(())
        })
    }
}
