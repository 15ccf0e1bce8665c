//! Matrix products: `kernels/gemm.cuh`.

use super::gemm_warpgroup::{self, Maps, Operands};
use super::vendor::same;
use crate::backend::BackendError;
use crate::backend::cuda::gpu::{Argument, Buffer, Function, Gpu, Grid};
use crate::backend::cuda::ptx::Source;
use crate::backend::cuda::rates;
use crate::backend::cuda::timing::Program;
use crate::backend::reference::element::Element;
use crate::backend::reference::rows::Rows;
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
    /// What a step of a sum may be off by, relative.
    rounding: f64,
}

const fn float(input: DType, source: Source, name: &'static str, rounding: f64) -> Format {
    Format { input, accumulate: DType::F32, source, name, join: "gemm_join_float", rounding }
}

/// Matrix units cut off what does not fit, always towards zero, so that errors add up faster than those of rounding.
pub(super) const CUT: f64 = 4.0 * <f32 as Element>::ROUNDING;
/// Ada Lovelace keeps 13 digits after the first of sums of fp8 (SageAttention2, arXiv 2411.10958): half of a unit is 2⁻¹⁴ of a sum. It is cut off once for the 32 products of an
/// instruction.
pub(super) const NARROW: f64 = 1.0 / 32_768.0;

const FORMATS: [Format; 4] = [
    float(DType::F16, Source::Gemm, "f16", CUT),
    float(DType::Bf16, Source::Gemm, "bf16", CUT),
    float(DType::Fp8E4m3, Source::GemmFp8, "fp8", NARROW),
    Format {
        input: DType::Int8,
        accumulate: DType::Int32,
        source: Source::Gemm,
        name: "int8",
        join: "gemm_join_integer",
        rounding: 0.0,
    },
];

/// What a step of a sum of some length may be off by, relative. Sums of few digits are cut off always in one direction: their errors do not even out, but grow as the sum does and as often as it is cut, once in 32 products.
pub(super) fn rounding_of(rounding: f64, length: u64) -> f64 {
    if rounding > CUT { rounding * (1.0 + (length as f64).sqrt() / 16.0) } else { rounding }
}

/// The longest sums of factors of few digits that are exact on all matrix units. Products of such factors have a mean square of 22: at this length twelve standard
/// deviations of a sum are 14 340, and below 16 384 there is a digit for each whole number also where a sum has 14 of them.
pub(super) const EXACT_LENGTH: u64 = 65_536;

impl Format {
    /// Whether products of full random data leave so much room that a strip which was left out may hide in it. Products of factors of few digits, which are
    /// exact, show it.
    const fn is_narrow(&self) -> bool {
        self.rounding > CUT
    }
}

/// Why there are no products of a format on a compute capability: the device's matrix units do not have it, or this rooflab has no kernel for them.
fn lacking(input: DType, (major, minor): (u32, u32)) -> Option<BackendError> {
    let is_fp8 = input == DType::Fp8E4m3;
    if let Some(first) = rates::matrix_units(input).filter(|&first| is_fp8 && (major, minor) < first) {
        return Some(BackendError::unsupported(format!(
            "{input} on matrix units needs compute capability {}.{}",
            first.0, first.1
        )));
    }
    if (major, minor) < (8, 0) {
        return Some(BackendError::no_kernel(
            "matrix products need compute capability 8.0: this rooflab has none for older devices yet",
        ));
    }
    let native = is_native_fp8((major, minor)) || gemm_warpgroup::suits((major, minor));
    (is_fp8 && !native).then(|| {
        BackendError::no_kernel(
            "`mma.sync` widens fp8 on this device, and this rooflab has no other kernels for it yet",
        )
    })
}

/// Whether `mma.sync` multiplies fp8 itself: in between it widens it.
fn is_native_fp8((major, minor): (u32, u32)) -> bool {
    (major, minor) == (8, 9) || major >= 12
}

/// Whether a product's sizes are those that results and factors are laid out for.
pub(super) fn suits(shape: Shape) -> Result<(), BackendError> {
    let Shape { m, n, k } = shape;
    if m == 0 || n == 0 || k == 0 || !n.is_multiple_of(4) || !k.is_multiple_of(PRODUCT_GRANULE) {
        return Err(BackendError::unsupported(format!(
            "{shape}: a size is 0, the second is no multiple of 4, or the last none of {PRODUCT_GRANULE}"
        )));
    }
    Ok(())
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
pub(super) fn divide(strips: u64, tiles: u64, at_once: u64) -> (u64, u64) {
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
    /// How kernels are told of matrices that do not find them by their addresses.
    maps: Option<Maps>,
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
    /// Factors of few digits, where they are needed.
    few: Option<[Rows; 2]>,
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
            return Err(BackendError::no_kernel(format!(
                "this rooflab has no products of {input} summed in {accumulate} for CUDA yet"
            )));
        };
        if let Some(lacking) = lacking(input, gpu.found.capability) {
            return Err(lacking);
        }
        let Shape { m, n, k } = shape;
        suits(shape)?;
        let row_bytes = k.saturating_mul(u64::from(input.format().bits / 8));
        let copies = copies.max(1);
        // Within a matrix, places are 32 bits wide.
        if m.max(n).saturating_mul(row_bytes).max(m.saturating_mul(n).saturating_mul(4)) > u64::from(u32::MAX) {
            return Err(BackendError::unsupported(format!("{shape}: a matrix has more than 4 GiB")));
        }
        let strips = row_bytes / STRIP;
        let factors = |rows: fn(DType, usize, u64, Seed) -> Rows, [a, b]: [Seed; 2]| {
            [(m, a), (n * copies, b)].map(|(count, seed)| rows(input, k as usize, count, seed))
        };
        let host = factors(Rows::new, [Seed(101), Seed(102)]);
        let few =
            (format.is_narrow() && k <= EXACT_LENGTH).then(|| factors(Rows::of_few_digits, [Seed(104), Seed(105)]));
        let (a, b) = (gpu.buffer(m * row_bytes)?, gpu.buffer(n.saturating_mul(copies).saturating_mul(row_bytes))?);
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        let widened = input == DType::Fp8E4m3 && !is_native_fp8(gpu.found.capability);
        for tile in TILES.into_iter().filter(|tile| tile.suits(shape) && !widened) {
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
                let grid = Grid { blocks, ..grid };
                variants.push(Variant { function: function.clone(), grid, parts, of_part, maps: None });
            }
        }
        let sized = (shape, row_bytes / k);
        // An old driver, or one that does not take these kernels: there are the others, and their names say so.
        let (others, mut refused) = (names.len(), None);
        let offers = match gemm_warpgroup::offers(gpu, format.name, sized, copies) {
            Err(error) if others > 0 && !error.is_of_the_device() => {
                refused = Some(error);
                Vec::new()
            }
            offers => offers?,
        };
        let parts = variants.iter().map(|variant| variant.parts).chain(offers.iter().map(|offer| offer.parts));
        let most_parts = parts.filter(|&parts| parts > 1).max().unwrap_or(0);
        let (c, partial) = (gpu.buffer(4 * m * n)?, gpu.buffer(4 * m * n * most_parts)?);
        let operands = Operands { a: a.address, b: b.address, c: c.address, partial: partial.address };
        for offer in offers {
            let maps = match offer.maps(gpu, sized, copies, operands) {
                Err(error) if others > 0 && !error.is_of_the_device() => {
                    refused = Some(error);
                    break;
                }
                maps => Some(maps?),
            };
            names.push(offer.name);
            variants.push(Variant {
                function: offer.function,
                grid: offer.grid,
                parts: offer.parts,
                of_part: offer.of_part,
                maps,
            });
        }
        if let Some(error) = refused {
            let why = format!("; `wgmma` cannot be used: {error}");
            names[..others].iter_mut().for_each(|name| name.push_str(&why));
        }
        let join = gpu.function(Source::Gemm, format.join)?;
        let gemm =
            Self { gpu, format, shape, strips, copies, next: 0, host, few, a, b, c, partial, join, variants, names };
        gemm.fill(&gemm.host)?;
        Ok(gemm)
    }

    /// Writes factors where kernels read them.
    fn fill(&self, [a, b]: &[Rows; 2]) -> Result<(), BackendError> {
        self.gpu.write_repeated(&self.a, a.period())?;
        self.gpu.write_repeated(&self.b, b.period())
    }

    fn multiply(&self, variant: usize, copy: u64) -> Result<(), BackendError> {
        let Variant { function, grid, parts, of_part, maps } = &self.variants[variant];
        let Shape { m, n, .. } = self.shape;
        let b = self.b.address + copy * n * self.strips * STRIP;
        let c = if *parts > 1 { &self.partial } else { &self.c };
        let [m_, n_, strips, of_part] = [m, n, self.strips, *of_part].map(Argument::from);
        match maps {
            Some(maps) => self.gpu.launch(function, *grid, &maps.arguments(copy))?,
            None => {
                let arguments = [Argument::from(&self.a), b.into(), c.into(), m_, n_, strips, of_part];
                self.gpu.launch(function, *grid, &arguments)?;
            }
        }
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
        if let Some(few) = &self.few {
            self.fill(few)?;
            let found = self.compare(variant, few, 0.0);
            self.fill(&self.host)?;
            found?;
        }
        self.compare(variant, &self.host, rounding_of(self.format.rounding, self.shape.k))
    }

    fn renew(&mut self, _: usize) -> Result<(), BackendError> {
        self.next = 0;
        self.poison()
    }

    fn results(&self, _: usize) -> Option<&Buffer> {
        Some(&self.c)
    }
}

impl Gemm<'_> {
    fn poison(&self) -> Result<(), BackendError> {
        self.gpu.poison(&self.c)?;
        self.gpu.poison(&self.partial)
    }

    /// Multiplies the factors that were written, with the last copy of B, and compares every row with the reference.
    fn compare(&self, variant: usize, factors: &[Rows; 2], rounding: f64) -> Result<(), BackendError> {
        self.poison()?;
        let copy = self.copies - 1;
        self.multiply(variant, copy)?;
        let c = self.gpu.contents(&self.c)?;
        same(&c, factors, (self.format.input, self.format.accumulate), self.shape, copy, rounding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cuda::ptx;
    use crate::backend::reference::product::{Sizes, check};
    use crate::backend::reference::rows::value;
    use proptest::prelude::*;

    /// Matrix units that add 32 products up exactly and keep 13 digits of the sum after the first, cutting off the rest.
    #[test]
    fn sums_that_are_cut_off_always_in_one_direction_are_right() {
        let cut = |sum: f64| if sum == 0.0 { sum } else { f64::from_bits(sum.to_bits() & !((1 << (52 - 13)) - 1)) };
        let dtype = DType::Fp8E4m3;
        for k in [4096_usize, 14_336, 28_672] {
            let [a, b] = [Seed(101), Seed(102)].map(|seed| Rows::new(dtype, k, 100, seed));
            let sizes = Sizes { m: 100, n: 100, k };
            let row = |rows: &Rows, row: usize| (0..k).map(|at| value(dtype, rows.row(row), at)).collect::<Vec<f64>>();
            let [a, b] = [&a, &b].map(|rows| (0..100).map(|at| row(rows, at)).collect::<Vec<_>>());
            let sum = |row: usize, column: usize| {
                let products = a[row].iter().zip(&b[column]).map(|(a, b)| a * b).collect::<Vec<f64>>();
                products.chunks(32).fold(0.0, |sum, products| cut(sum + products.iter().sum::<f64>()))
            };
            let found: Vec<Vec<f64>> = (0..100).map(|row| (0..100).map(|column| sum(row, column)).collect()).collect();
            let checked = |rounding: f64| {
                let of = |rows: &[Vec<f64>], row: usize| rows[row].clone().into_iter();
                check(sizes, rounding, |row| of(&a, row), |row| of(&b, row), |row| of(&found, row))
            };
            assert_eq!(checked(rounding_of(NARROW, k as u64)), Ok(()), "{k}");
            assert!(checked(CUT).is_err(), "{k}: nothing is cut off");
        }
    }

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

    #[test]
    fn a_device_is_said_to_lack_only_what_its_matrix_units_lack() {
        let unsupported =
            |input, capability| matches!(lacking(input, capability), Some(BackendError::Unsupported { .. }));
        let no_kernel = |input, capability| matches!(lacking(input, capability), Some(BackendError::NoKernel { .. }));
        assert!(unsupported(DType::Fp8E4m3, (8, 6)) && unsupported(DType::Fp8E4m3, (7, 0)));
        assert!(no_kernel(DType::F16, (7, 0)) && no_kernel(DType::Int8, (7, 5)));
        assert!(no_kernel(DType::Fp8E4m3, (10, 0)) && no_kernel(DType::Fp8E4m3, (10, 3)));
        assert_eq!(lacking(DType::Fp8E4m3, (9, 0)), None);
        assert_eq!(lacking(DType::Fp8E4m3, (8, 9)).or_else(|| lacking(DType::Bf16, (9, 0))), None);
    }

    /// The values of some rows of few digits.
    fn few(rows: u64, length: u64, seed: u32) -> Vec<Vec<f64>> {
        Rows::of_few_digits(DType::Fp8E4m3, length as usize, rows, Seed(seed)).exact(DType::Fp8E4m3, |_| 1.0)
    }

    #[test]
    fn sums_of_few_digits_are_exact_in_14_of_them() {
        let (a, b) = (few(8, EXACT_LENGTH, 104), few(8, EXACT_LENGTH, 105));
        for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (a, b))) {
            let mut sum = 0.0_f64;
            for (a, b) in a.iter().zip(b) {
                sum += a * b;
                assert!(sum.abs() < 16_384.0, "{sum}");
            }
        }
    }

    #[test]
    fn a_strip_that_a_tile_leaves_out_is_found() {
        let sizes = Sizes { m: 2, n: 128, k: 2048 };
        let (a, b) = (few(2, 2048, 104), few(128, 2048, 105));
        // One tile of a single row, and one of its strips.
        let product = |left_out: std::ops::Range<usize>| -> Vec<Vec<f64>> {
            let sum = |row: usize, column: usize| -> f64 {
                let counts = |index: &usize| row != 1 || !left_out.contains(index);
                (0..sizes.k).filter(counts).map(|index| a[row][index] * b[column][index]).sum()
            };
            (0..sizes.m).map(|row| (0..sizes.n).map(|column| sum(row, column)).collect()).collect()
        };
        let checked = |c: &[Vec<f64>], rounding| {
            let row = |rows: &[Vec<f64>], row: usize| rows[row].clone().into_iter();
            check(sizes, rounding, |index| row(&a, index), |index| row(&b, index), |index| row(c, index))
        };
        assert_eq!(checked(&product(0..0), 0.0), Ok(()));
        for strip in [0..64, 960..1024, 1984..2048] {
            let said = checked(&product(strip), 0.0).unwrap_err();
            assert!(said.contains("row 1"), "{said}");
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
