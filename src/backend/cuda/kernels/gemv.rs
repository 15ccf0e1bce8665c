//! Matrix–vector products: `kernels/gemv.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::Program;
use crate::backend::reference::gemv::Operands;
use crate::dtype::DType;

/// A format of weights, of the vector it is multiplied by, and its name among the kernels.
const FORMATS: [(DType, DType, &str); 6] = [
    (DType::F32, DType::F32, "f32"),
    (DType::F16, DType::F16, "f16"),
    (DType::Bf16, DType::Bf16, "bf16"),
    (DType::Fp8E4m3, DType::Bf16, "fp8"),
    (DType::Int8, DType::Bf16, "int8"),
    (DType::Int4G128, DType::Bf16, "int4"),
];

/// Rows that are taken at a time, and warps that share them.
const SHAPES: [(u32, u32); 4] = [(1, 1), (2, 1), (4, 1), (4, 4)];
/// Threads of a block, and its warps.
const THREADS: u32 = 256;
const WARPS: u32 = THREADS / 32;
/// Rows that every kernel divides evenly, and columns whose vector fits the shared memory that a kernel has without asking for more.
const ROWS: u64 = 4;
const MOST_COLUMNS: u64 = 12_288;
/// Far more than rounding adds up to, and far less than one product of thousands.
const ROUNDING: f64 = 4e-6;

/// Bytes of shared memory in which a block prepares the vector: in f32 for floating-point weights; for integers as two bytes, a factor for each group of 128, and an
/// offset for each 32 weights of 4 bits.
fn shared(weights: DType, columns: u64) -> u32 {
    let bytes = match weights {
        DType::Int8 => 2 * columns + columns / 32,
        DType::Int4G128 => 2 * columns + columns / 32 + columns / 8,
        _ => 4 * columns,
    };
    bytes as u32
}

/// A matrix–vector product, each with the next part of the matrix.
pub(in crate::backend::cuda) struct Gemv<'device> {
    gpu: &'device Gpu,
    operands: Operands,
    parts: u64,
    next: u64,
    matrix: Buffer,
    vector: Buffer,
    scales: Buffer,
    results: Buffer,
    variants: Vec<(Function, Grid)>,
    names: Vec<String>,
}

impl<'device> Gemv<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        (weights, activations): (DType, DType),
        (rows, columns, parts): (u64, u64, u64),
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&(DType, DType, &str)| (format.0, format.1) == (weights, activations);
        let Some((_, _, name)) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for {weights} times {activations}")));
        };
        Operands::refuse_sizes(rows, columns, ROWS.saturating_mul(parts))?;
        let of_part = rows / parts;
        if columns > MOST_COLUMNS || of_part > u64::from(u32::MAX) {
            return Err(BackendError::unsupported(format!("{of_part} rows of {columns} are too many, or too long")));
        }
        let operands = Operands::new((weights, activations), rows, columns);
        let matrix = gpu.buffer(operands.matrix().row_bytes() as u64 * rows)?;
        gpu.write_repeated(&matrix, operands.matrix().period())?;
        let vector = gpu.buffer(operands.vector().len() as u64)?;
        gpu.send(&vector, 0, operands.vector())?;
        let scales = gpu.buffer(operands.scale_bytes())?;
        gpu.write(&scales, |start, piece| operands.fill_scales(start, piece))?;
        let shared = shared(weights, columns);
        let variant = |&(at_once, warps): &(u32, u32)| {
            let function = gpu.function(Source::Gemv, &format!("gemv_{name}_r{at_once}w{warps}"))?;
            let grid = Grid { blocks: 1, threads: THREADS, shared };
            let needed = (of_part as u32).div_ceil(at_once * WARPS / warps);
            let blocks = (gpu.resident_blocks(&function, grid)? * gpu.found.multiprocessors).min(needed);
            Ok((function, Grid { blocks, ..grid }))
        };
        let variants = SHAPES.iter().map(variant).collect::<Result<Vec<_>, BackendError>>()?;
        let describe = |(at_once, warps): (u32, u32)| match (at_once, warps) {
            (1, _) => "a warp for each row".to_owned(),
            (_, 1) => format!("a warp for {at_once} rows"),
            _ => format!("{warps} warps for {at_once} rows"),
        };
        let names = SHAPES.into_iter().map(describe).collect();
        let results = gpu.buffer(4 * rows)?;
        Ok(Self { gpu, operands, parts, next: 0, matrix, vector, scales, results, variants, names })
    }

    fn multiply(&self, variant: usize, part: u64) -> Result<(), BackendError> {
        let (function, grid) = &self.variants[variant];
        let rows = self.operands.rows / self.parts;
        let before = part * rows;
        let of_rows = |buffer: &Buffer, row_bytes: u64| Argument::from(buffer.address + before * row_bytes);
        let arguments = [
            of_rows(&self.matrix, self.operands.matrix().row_bytes() as u64),
            Argument::from(&self.vector),
            of_rows(&self.scales, self.operands.scale_bytes() / self.operands.rows),
            of_rows(&self.results, 4),
            Argument::from(rows),
            Argument::from(self.operands.columns),
        ];
        self.gpu.launch(function, *grid, &arguments)
    }
}

impl Program for Gemv<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn launch(&mut self, variant: usize, _: u64) -> Result<(), BackendError> {
        self.multiply(variant, self.next)?;
        self.next = (self.next + 1) % self.parts;
        Ok(())
    }

    /// All parts, as they are gone round in.
    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        self.renew(variant)?;
        self.launch_all(variant, self.parts)?;
        self.gpu.read(&self.results, |start, piece| self.operands.check(ROUNDING, start, piece))
    }

    fn renew(&mut self, _: usize) -> Result<(), BackendError> {
        self.next = 0;
        self.gpu.poison(&self.results)
    }

    fn results(&self, _: usize) -> Option<&Buffer> {
        Some(&self.results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::ptx;

    #[test]
    fn every_shape_of_every_format_has_its_kernel() {
        for (_, _, name) in FORMATS {
            for (rows, warps) in SHAPES {
                let entry = format!(".entry gemv_{name}_r{rows}w{warps}(");
                let mut modules = ptx::ALL.iter().filter(|ptx| ptx.source == Source::Gemv);
                assert!(modules.all(|ptx| ptx.text.contains(&entry)), "{entry}");
            }
        }
    }
}
