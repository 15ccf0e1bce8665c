//! Matrix products by cuBLASLt: the algorithms that it holds for the fastest, each verified as every kernel is.

use super::gemm::{CUT, EXACT_LENGTH, NARROW, rounding_of, suits};
use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Buffer, Gpu};
use crate::backend::cuda::libraries::cublaslt::{Choice, ComputeType, DataType, Formats, Lt, Places, Product};
use crate::backend::cuda::rates;
use crate::backend::reference::element::Element;
use crate::backend::reference::product::{Sizes, check};
use crate::backend::reference::rows::{Rows, value};
use crate::data::Seed;
use crate::dtype::DType;
use crate::workload::Shape;

/// Algorithms that are tried at most.
const ALGORITHMS: usize = 8;
/// Memory that an algorithm may have for what is in between: what NVIDIA advises for Hopper; and its share of what is free at most.
const WORKSPACE: u64 = 32 << 20;
const WORKSPACE_SHARE: u64 = 8;

/// A pair of formats that the library multiplies.
struct Format {
    input: DType,
    accumulate: DType,
    formats: Formats,
    /// What a step of a sum may be off by, relative: as of rooflab's own kernels, for the same matrix units.
    rounding: f64,
}

const fn format(input: DType, data: DataType, rounding: f64) -> Format {
    let formats = Formats { input: data, output: DataType::F32, compute: ComputeType::F32 };
    Format { input, accumulate: DType::F32, formats, rounding }
}

const FORMATS: [Format; 6] = [
    format(DType::F16, DataType::F16, CUT),
    format(DType::Bf16, DataType::Bf16, CUT),
    format(DType::Fp8E4m3, DataType::E4m3, NARROW),
    format(DType::F32, DataType::F32, CUT),
    Format {
        input: DType::F64,
        accumulate: DType::F64,
        formats: Formats { input: DataType::F64, output: DataType::F64, compute: ComputeType::F64 },
        rounding: 4.0 * <f64 as Element>::ROUNDING,
    },
    Format {
        input: DType::Int8,
        accumulate: DType::Int32,
        formats: Formats { input: DataType::I8, output: DataType::I32, compute: ComputeType::I32 },
        rounding: 0.0,
    },
];

/// A matrix product by the library.
pub(in crate::backend::cuda) struct Vendor<'device> {
    gpu: &'device Gpu,
    product: Product<'device>,
    format: &'static Format,
    shape: Shape,
    copies: u64,
    next: u64,
    host: [Rows; 2],
    /// Factors of few digits, where sums keep few.
    few: Option<[Rows; 2]>,
    a: Buffer,
    b: Buffer,
    c: Buffer,
    workspace: Buffer,
    choices: Vec<Choice>,
}

impl<'device> Vendor<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        lt: &'device Lt,
        (input, accumulate): (DType, DType),
        shape: Shape,
        copies: u64,
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.input, format.accumulate) == (input, accumulate);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::no_kernel(format!(
                "this rooflab asks cuBLASLt for no products of {input} summed in {accumulate}"
            )));
        };
        let is_fp8 = input == DType::Fp8E4m3;
        if let Some((major, minor)) = rates::matrix_units(input).filter(|&first| is_fp8 && gpu.found.capability < first)
        {
            return Err(BackendError::unsupported(format!(
                "{input} on matrix units needs compute capability {major}.{minor}"
            )));
        }
        let Shape { m, n, k } = shape;
        suits(shape)?;
        let size = |dtype: DType| u64::from(dtype.format().bits / 8);
        let copies = copies.max(1);
        let row_bytes = k.saturating_mul(size(input));
        let product = Product::new(lt, format.formats, [m, n, k])?;
        let most = gpu.available().map_or(WORKSPACE, |free| WORKSPACE.min(free / WORKSPACE_SHARE));
        let choices = product.propose(ALGORITHMS, most)?;
        let workspace = gpu.buffer(choices.iter().map(|choice| choice.workspace).max().unwrap_or(0))?;
        let factors = |rows: fn(DType, usize, u64, Seed) -> Rows, [a, b]: [Seed; 2]| {
            [(m, a), (n.saturating_mul(copies), b)].map(|(count, seed)| rows(input, k as usize, count, seed))
        };
        let a = gpu.buffer(m.saturating_mul(row_bytes))?;
        let b = gpu.buffer(n.saturating_mul(copies).saturating_mul(row_bytes))?;
        let c = gpu.buffer(m.saturating_mul(n).saturating_mul(size(accumulate)))?;
        let host = factors(Rows::new, [Seed(101), Seed(102)]);
        // Sums of fp8 keep as few digits here as in rooflab's own kernels, or more.
        let few = (is_fp8 && k <= EXACT_LENGTH).then(|| factors(Rows::of_few_digits, [Seed(104), Seed(105)]));
        let vendor = Self { gpu, product, format, shape, copies, next: 0, host, few, a, b, c, workspace, choices };
        vendor.fill(&vendor.host)?;
        Ok(vendor)
    }
}

impl Vendor<'_> {
    /// What each algorithm is called.
    pub(in crate::backend::cuda) fn names(&self) -> impl Iterator<Item = &str> {
        self.choices.iter().map(|choice| choice.name.as_str())
    }

    /// Writes factors where the library reads them.
    fn fill(&self, [a, b]: &[Rows; 2]) -> Result<(), BackendError> {
        self.gpu.write_repeated(&self.a, a.period())?;
        self.gpu.write_repeated(&self.b, b.period())
    }

    fn multiply(&self, variant: usize, copy: u64) -> Result<(), BackendError> {
        let of_copy = self.b.bytes / self.copies;
        let choice = &self.choices[variant];
        let places = Places {
            a: self.a.address,
            b: self.b.address + copy * of_copy,
            c: self.c.address,
            workspace: (self.workspace.address, choice.workspace),
        };
        self.product.multiply(choice, places, self.gpu.main().raw)
    }

    /// Enqueues a product with the next copy of B.
    pub(in crate::backend::cuda) fn launch(&mut self, variant: usize) -> Result<(), BackendError> {
        self.multiply(variant, self.next)?;
        self.next = (self.next + 1) % self.copies;
        Ok(())
    }

    /// Poisons the results, and begins again with the first copy of B.
    pub(in crate::backend::cuda) fn renew(&mut self) -> Result<(), BackendError> {
        self.next = 0;
        self.gpu.poison(&self.c)
    }

    /// What products leave behind.
    pub(in crate::backend::cuda) const fn results(&self) -> &Buffer {
        &self.c
    }

    /// Compares an algorithm's results with the reference: of factors with few digits, where sums keep few, and of others.
    pub(in crate::backend::cuda) fn verify(&self, variant: usize) -> Result<(), BackendError> {
        if let Some(few) = &self.few {
            self.fill(few)?;
            let found = self.compare(variant, few, 0.0);
            self.fill(&self.host)?;
            found?;
        }
        self.compare(variant, &self.host, rounding_of(self.format.rounding, self.shape.k))
    }

    fn compare(&self, variant: usize, factors: &[Rows; 2], rounding: f64) -> Result<(), BackendError> {
        self.gpu.poison(&self.c)?;
        let copy = self.copies - 1;
        self.multiply(variant, copy)?;
        let c = self.gpu.contents(&self.c)?;
        same(&c, factors, (self.format.input, self.format.accumulate), self.shape, copy, rounding)
    }
}

/// Compares a product with the reference, row by row: the bytes of C, and the factors, of which B's rows begin with a copy.
pub(super) fn same(
    c: &[u8],
    [a, b]: &[Rows; 2],
    (input, accumulate): (DType, DType),
    Shape { m, n, k }: Shape,
    copy: u64,
    rounding: f64,
) -> Result<(), BackendError> {
    let sizes = Sizes { m: m as usize, n: n as usize, k: k as usize };
    let first = copy as usize * sizes.n;
    let size = accumulate.format().bits as usize / 8;
    let sums = |row: usize| {
        c[size * sizes.n * row..][..size * sizes.n].chunks_exact(size).map(|word| match accumulate {
            DType::Int32 => f64::from(bytemuck::pod_read_unaligned::<i32>(word)),
            DType::F64 => bytemuck::pod_read_unaligned::<f64>(word),
            _ => f64::from(bytemuck::pod_read_unaligned::<f32>(word)),
        })
    };
    check(
        sizes,
        rounding,
        |row| (0..sizes.k).map(move |index| value(input, a.row(row), index)),
        |row| (0..sizes.k).map(move |index| value(input, b.row(first + row), index)),
        sums,
    )
    .map_err(BackendError::WrongResult)
}
