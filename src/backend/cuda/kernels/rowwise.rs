//! Operators on rows of activations: `kernels/rowwise.cu`.

use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::Program;
use crate::backend::reference::element::{Element, PERIOD};
use crate::backend::reference::rowwise::Operands;
use crate::dtype::DType;
use crate::resource::RowwiseOp;

/// A format, its name among the kernels, and what rounding to it does.
const FORMATS: [(DType, &str, f64); 3] = [
    (DType::F32, "f32", <f32 as Element>::ROUNDING),
    (DType::F16, "f16", <half::f16 as Element>::ROUNDING),
    (DType::Bf16, "bf16", <half::bf16 as Element>::ROUNDING),
];
/// Threads that share a row.
const THREADS: [u32; 3] = [128, 256, 512];

/// The arrays of an operator.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Array {
    /// The first that is read, and written by operators in place.
    A,
    /// The second that is read.
    B,
    /// The one that is written by others.
    C,
}

/// Where an operator's results are.
const fn written(op: RowwiseOp) -> Array {
    match op {
        RowwiseOp::Softmax | RowwiseOp::Rope | RowwiseOp::Add => Array::A,
        RowwiseOp::RmsNorm | RowwiseOp::SiluMul | RowwiseOp::Gather => Array::C,
    }
}

/// An operator on its rows.
pub(in crate::backend::cuda) struct Rowwise<'device> {
    gpu: &'device Gpu,
    op: RowwiseOp,
    rounding: f64,
    rows: u64,
    operands: Operands,
    arrays: [Buffer; 3],
    table: Buffer,
    variants: Vec<(Function, Grid)>,
    names: Vec<String>,
}

impl<'device> Rowwise<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        (op, dtype): (RowwiseOp, DType),
        rows: u64,
    ) -> Result<Self, BackendError> {
        let Some((_, name, rounding)) = FORMATS.into_iter().find(|(format, ..)| *format == dtype) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for {op} of {dtype}")));
        };
        if rows == 0 || rows > u64::from(u32::MAX) {
            return Err(BackendError::unsupported(format!("{rows} rows are none, or too many")));
        }
        let operands = Operands::new(op, dtype, rows);
        let bytes = rows * operands.row_bytes() as u64;
        let of = |used: bool| gpu.buffer(if used { bytes } else { 0 });
        let arrays = [of(true)?, of(operands.input(1).is_some())?, of(written(op) == Array::C)?];
        // A gather is told which row each of its own is.
        let gathered = |row: u64| ((row * operands.jump % rows) as u32).to_ne_bytes();
        let beside = match op {
            RowwiseOp::Gather => (0..rows).flat_map(gathered).collect(),
            _ => operands.table(),
        };
        let table = gpu.buffer(beside.len() as u64)?;
        gpu.send(&table, 0, &beside)?;
        let variant = |&threads: &u32| {
            let function = gpu.function(Source::Rowwise, &format!("{op}_{name}_t{threads}"))?;
            let grid = Grid { blocks: 1, threads, shared: 0 };
            let resident = gpu.resident_blocks(&function, grid)? * gpu.found.multiprocessors;
            Ok((function, Grid { blocks: resident.min(rows as u32), ..grid }))
        };
        let variants = THREADS.iter().map(variant).collect::<Result<Vec<_>, BackendError>>()?;
        let names = THREADS.iter().map(|threads| format!("{threads} threads for each row")).collect();
        let rowwise = Self { gpu, op, rounding, rows, operands, arrays, table, variants, names };
        rowwise.fill()?;
        Ok(rowwise)
    }

    fn array(&self, array: Array) -> &Buffer {
        &self.arrays[array as usize]
    }

    /// Fills what is read, and poisons what is only written.
    fn fill(&self) -> Result<(), BackendError> {
        for array in [Array::A, Array::B, Array::C] {
            match self.operands.input(array as usize) {
                Some(rows) => self.gpu.write_repeated(self.array(array), rows.period())?,
                None => self.gpu.poison(self.array(array))?,
            }
        }
        Ok(())
    }

    fn operate(&self, variant: usize) -> Result<(), BackendError> {
        let (function, grid) = &self.variants[variant];
        let [a, b, c] = [Array::A, Array::B, Array::C].map(|array| Argument::from(self.array(array)));
        let [rows, period] = [self.rows, PERIOD as u64].map(Argument::from);
        self.gpu.launch(function, *grid, &[a, b, c, Argument::from(&self.table), rows, period])
    }
}

impl Program for Rowwise<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn launch(&mut self, variant: usize, _: u64) -> Result<(), BackendError> {
        self.operate(variant)
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        self.renew(variant)?;
        self.operate(variant)?;
        // Pieces are whole rows.
        self.gpu.read(self.array(written(self.op)), self.operands.checker(self.rounding))
    }

    /// Operators in place have changed their inputs.
    fn renew(&mut self, _: usize) -> Result<(), BackendError> {
        self.fill()
    }

    fn results(&self, _: usize) -> Option<&Buffer> {
        Some(self.array(written(self.op)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::ptx;

    #[test]
    fn every_operator_of_every_format_has_its_kernels() {
        for &op in RowwiseOp::ALL {
            for (_, name, _) in FORMATS {
                for threads in THREADS {
                    let entry = format!(".entry {op}_{name}_t{threads}(");
                    let mut modules = ptx::ALL.iter().filter(|ptx| ptx.source == Source::Rowwise);
                    assert!(modules.all(|ptx| ptx.text.contains(&entry)), "{entry}");
                }
            }
        }
    }
}
