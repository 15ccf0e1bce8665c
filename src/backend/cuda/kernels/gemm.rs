//! Matrix products: `kernels/gemm.cuh`.

use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::timing::Program;
use crate::backend::reference::element::Element;
use crate::backend::reference::product::{Sizes, check};
use crate::backend::reference::rows::{Rows, value};
use crate::data::Seed;
use crate::dtype::DType;
use crate::workload::{PRODUCT_GRANULE, Shape};

/// A pair of formats.
struct Format {
    input: DType,
    accumulate: DType,
    source: Source,
    /// Its name among the kernels, and of what adds parts of its sums up.
    name: &'static str,
    join: &'static str,
    /// What a step of a sum may be off by, relative. Matrix units cut off what does not fit, always towards zero, so that errors add up faster than those of
    /// rounding; and Hopper keeps some 14 bits of sums of fp8 (DeepSeek-V3 Technical Report, 3.3.2).
    rounding: f64,
}

const fn float(input: DType, source: Source, name: &'static str, rounding: f64) -> Format {
    Format { input, accumulate: DType::F32, source, name, join: "gemm_join_float", rounding }
}

const CUT: f64 = 4.0 * <f32 as Element>::ROUNDING;
const FORMATS: [Format; 4] = [
    float(DType::F16, Source::Gemm, "f16", CUT),
    float(DType::Bf16, Source::Gemm, "bf16", CUT),
    float(DType::Fp8E4m3, Source::GemmFp8, "fp8", 1.0 / 32_768.0),
    Format {
        input: DType::Int8,
        accumulate: DType::Int32,
        source: Source::Gemm,
        name: "int8",
        join: "gemm_join_integer",
        rounding: 0.0,
    },
];

/// Why a device cannot multiply a format itself.
fn lacking(input: DType, (major, minor): (u32, u32)) -> Option<String> {
    if (major, minor) < (8, 0) {
        return Some(
            "matrix products need compute capability 8.0: this rooflab has none for older devices yet".to_owned(),
        );
    }
    let native = (major, minor) == (8, 9) || major >= 12;
    (input == DType::Fp8E4m3 && !native).then(|| match major {
        8 => "fp8 on matrix units needs compute capability 8.9".to_owned(),
        _ => "`mma.sync` widens fp8 on this device, and this rooflab has no other kernels for it yet".to_owned(),
    })
}

/// Bytes of a row that are multiplied at a time, and how many such strips a block has in shared memory.
const STRIP: u64 = 64;
const STAGES: u32 = 4;
/// Strips that a part of a sum has at least, and parts at most: adding up costs as much as writing them.
const LEAST_STRIPS: u64 = 8;
const MOST_PARTS: u64 = 16;
/// Blocks and threads that add parts up.
const JOIN_THREADS: u32 = 256;

/// A tile of C, and the threads that make it.
#[derive(Clone, Copy, Debug)]
struct Tile {
    tall: u32,
    wide: u32,
    threads: u32,
}

const fn tile(tall: u32, wide: u32, threads: u32) -> Tile {
    Tile { tall, wide, threads }
}

/// The tiles that are tried, as far as the product has rows for them.
const TILES: [Tile; 4] = [tile(16, 128, 128), tile(64, 64, 128), tile(128, 128, 256), tile(128, 256, 256)];
/// Rows up to which the flat tile is tried.
const FEW_ROWS: u64 = 64;

impl Tile {
    /// Bytes of shared memory.
    const fn shared(self) -> u32 {
        (self.tall + self.wide) * STRIP as u32 * STAGES
    }

    /// Tiles of a product.
    const fn count(self, shape: Shape) -> u64 {
        shape.m.div_ceil(self.tall as u64) * shape.n.div_ceil(self.wide as u64)
    }

    /// Whether the product has more than half a tile of rows; the flat tile is for few.
    const fn suits(self, shape: Shape) -> bool {
        if self.tall <= 16 {
            shape.m <= FEW_ROWS
        } else {
            shape.m * 2 > self.tall as u64 || self.tall == 64 && shape.m > 16
        }
    }
}

/// In how many parts a length of so many strips is summed, so that as many blocks are busy as a device can run; and strips of each.
fn divide(strips: u64, tiles: u64, at_once: u64) -> (u64, u64) {
    let wanted = (at_once / tiles.max(1)).min(MOST_PARTS).min(strips / LEAST_STRIPS).max(1);
    let of_part = strips.div_ceil(wanted);
    (strips.div_ceil(of_part), of_part)
}

/// A tile, the parts of the length, and how both are launched.
struct Variant {
    function: Function,
    grid: Grid,
    parts: u64,
    of_part: u64,
}

/// A matrix product.
pub(in crate::backend::cuda) struct Gemm<'device> {
    gpu: &'device Gpu,
    format: &'static Format,
    shape: Shape,
    strips: u64,
    copies: u64,
    next: u64,
    host: [Rows; 2],
    a: Buffer,
    b: Buffer,
    c: Buffer,
    /// Sums of parts, one matrix after another.
    partial: Buffer,
    join: Function,
    variants: Vec<Variant>,
    names: Vec<String>,
}

impl<'device> Gemm<'device> {
    pub(in crate::backend::cuda) fn new(
        gpu: &'device Gpu,
        (input, accumulate): (DType, DType),
        shape: Shape,
        copies: u64,
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.input, format.accumulate) == (input, accumulate);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::unsupported(format!(
                "this rooflab has no products of {input} summed in {accumulate} for CUDA yet"
            )));
        };
        if let Some(lacking) = lacking(input, gpu.found.capability) {
            return Err(BackendError::unsupported(lacking));
        }
        let Shape { m, n, k } = shape;
        if m == 0 || n == 0 || k == 0 || !n.is_multiple_of(4) || !k.is_multiple_of(PRODUCT_GRANULE) {
            return Err(BackendError::unsupported(format!(
                "{shape}: a size is 0, the second is no multiple of 4, or the last none of {PRODUCT_GRANULE}"
            )));
        }
        let row_bytes = k.saturating_mul(u64::from(input.format().bits / 8));
        let copies = copies.max(1);
        // Within a matrix, places are 32 bits wide.
        if m.max(n).saturating_mul(row_bytes).max(m.saturating_mul(n).saturating_mul(4)) > u64::from(u32::MAX) {
            return Err(BackendError::unsupported(format!("{shape}: a matrix has more than 4 GiB")));
        }
        let strips = row_bytes / STRIP;
        let host =
            [(m, Seed(101)), (n * copies, Seed(102))].map(|(rows, seed)| Rows::new(input, k as usize, rows, seed));
        let (a, b) = (gpu.buffer(m * row_bytes)?, gpu.buffer(n.saturating_mul(copies).saturating_mul(row_bytes))?);
        gpu.write_repeated(&a, host[0].period())?;
        gpu.write_repeated(&b, host[1].period())?;
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        for tile in TILES.into_iter().filter(|tile| tile.suits(shape)) {
            let entry = format!("gemm_{}_{}x{}", format.name, tile.tall, tile.wide);
            let function = gpu.function_with_shared(format.source, &entry, tile.shared())?;
            let grid = Grid { blocks: 1, threads: tile.threads, shared: tile.shared() };
            let at_once = u64::from(gpu.resident_blocks(&function, grid)? * gpu.found.multiprocessors);
            let count = tile.count(shape);
            let mut divisions = vec![(1, strips), divide(strips, count, at_once)];
            divisions.dedup();
            for (parts, of_part) in divisions {
                let Ok(blocks) = u32::try_from(count * parts) else { continue };
                let of_length = if parts > 1 { format!(", the length in {parts} parts") } else { String::new() };
                names.push(format!("mma.sync, tiles of {}×{}{of_length}", tile.tall, tile.wide));
                variants.push(Variant { function: function.clone(), grid: Grid { blocks, ..grid }, parts, of_part });
            }
        }
        let most_parts = variants.iter().map(|variant| variant.parts).filter(|&parts| parts > 1).max().unwrap_or(0);
        let (c, partial) = (gpu.buffer(4 * m * n)?, gpu.buffer(4 * m * n * most_parts)?);
        let join = gpu.function(Source::Gemm, format.join)?;
        Ok(Self { gpu, format, shape, strips, copies, next: 0, host, a, b, c, partial, join, variants, names })
    }

    fn multiply(&self, variant: usize, copy: u64) -> Result<(), BackendError> {
        let Variant { function, grid, parts, of_part } = &self.variants[variant];
        let Shape { m, n, .. } = self.shape;
        let b = self.b.address + copy * n * self.strips * STRIP;
        let c = if *parts > 1 { &self.partial } else { &self.c };
        let [m_, n_, strips, of_part] = [m, n, self.strips, *of_part].map(Argument::from);
        let arguments = [Argument::from(&self.a), b.into(), c.into(), m_, n_, strips, of_part];
        self.gpu.launch(function, *grid, &arguments)?;
        if *parts == 1 {
            return Ok(());
        }
        let vectors = m * n / 4;
        let most = u64::from(self.gpu.found.multiprocessors) * 8;
        let blocks = vectors.div_ceil(JOIN_THREADS.into()).min(most) as u32;
        let arguments = [c.into(), Argument::from(&self.c), vectors.into(), (*parts).into()];
        self.gpu.launch(&self.join, Grid { blocks, threads: JOIN_THREADS, shared: 0 }, &arguments)
    }
}

impl Program for Gemm<'_> {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn launch(&mut self, variant: usize, _: u64) -> Result<(), BackendError> {
        self.multiply(variant, self.next)?;
        self.next = (self.next + 1) % self.copies;
        Ok(())
    }

    fn verify(&mut self, variant: usize) -> Result<(), BackendError> {
        self.gpu.poison(&self.c)?;
        self.gpu.poison(&self.partial)?;
        let copy = self.copies - 1;
        self.multiply(variant, copy)?;
        let c = self.gpu.contents(&self.c)?;
        let Shape { m, n, k } = self.shape;
        let sizes = Sizes { m: m as usize, n: n as usize, k: k as usize };
        let first = copy as usize * sizes.n;
        let (dtype, [a, b]) = (self.format.input, &self.host);
        let sums = |row: usize| {
            c[4 * sizes.n * row..][..4 * sizes.n].chunks_exact(4).map(|word| match self.format.accumulate {
                DType::Int32 => f64::from(bytemuck::pod_read_unaligned::<i32>(word)),
                _ => f64::from(bytemuck::pod_read_unaligned::<f32>(word)),
            })
        };
        check(
            sizes,
            self.format.rounding,
            |row| (0..sizes.k).map(move |index| value(dtype, a.row(row), index)),
            |row| (0..sizes.k).map(move |index| value(dtype, b.row(first + row), index)),
            sums,
        )
        .map_err(BackendError::WrongResult)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::ptx;
    use proptest::prelude::*;

    #[test]
    fn every_tile_of_every_format_has_its_kernel() {
        for format in &FORMATS {
            let text = |source| ptx::ALL.iter().filter(move |ptx| ptx.source == source).map(|ptx| ptx.text);
            for Tile { tall, wide, threads } in TILES {
                let entry = format!(".entry gemm_{}_{tall}x{wide}(", format.name);
                for text in text(format.source) {
                    let (_, kernel) = text.split_once(&entry).unwrap_or_else(|| panic!("no {entry}"));
                    let (_, most) = kernel.split_once(".maxntid ").unwrap();
                    assert_eq!(most.split([',', '\n']).next().unwrap().parse(), Ok(threads), "{entry}");
                }
            }
            assert!(text(Source::Gemm).all(|text| text.contains(&format!(".entry {}(", format.join))));
        }
    }

    /// Compute capability 8.6 has the least shared memory of those with these kernels: 99 KiB for a block.
    #[test]
    fn every_tile_fits_every_device() {
        for tile in TILES {
            assert!(tile.shared() <= 99 << 10, "{tile:?}");
        }
    }

    #[test]
    fn every_product_has_a_tile() {
        for m in 1..300 {
            let suitable = TILES.iter().filter(|tile| tile.suits(Shape { m, n: 4, k: 64 })).count();
            assert!(suitable > 0, "{m}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_the_whole_length_and_none_is_empty(strips in 1_u64..2000, tiles in 1_u64..2000, at_once in 1_u64..2000) {
            let (parts, of_part) = divide(strips, tiles, at_once);
            prop_assert!(parts >= 1 && of_part * parts >= strips && of_part * (parts - 1) < strips);
            prop_assert!(parts == 1 || of_part >= LEAST_STRIPS);
        }
    }
}
