//! Matrix products: `shaders/gemm.wgsl`, and `gemm_matrix` beside it.

use super::gemm_matrix::Tiling;
use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::element::Element;
use crate::backend::reference::product::{Sizes, check};
use crate::backend::reference::rows::{Rows, value};
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::data::Seed;
use crate::dtype::DType;
use crate::workload::{PRODUCT_GRANULE, Shape};

/// A pair of formats.
struct Format {
    input: DType,
    accumulate: DType,
    /// Four elements as they lie in memory, and what widens them.
    words: &'static str,
    widen: &'static str,
    /// What is kept in the workgroup's memory, and summed.
    staged: &'static str,
    sum: &'static str,
    /// Steps to a group of four elements: integers take one.
    steps: u64,
    /// The product of `row` with the vector `columns`, added to `sum`.
    step: &'static str,
    rounding: f64,
}

const fn floats(input: DType, words: &'static str, widen: &'static str) -> Format {
    Format {
        input,
        accumulate: DType::F32,
        words,
        widen,
        staged: "f32",
        sum: "f32",
        steps: 4,
        step: "fma(vec4f(row), columns, sum)",
        rounding: <f32 as Element>::ROUNDING,
    }
}

const FORMATS: [Format; 4] = [
    floats(DType::F32, "vec4f", ""),
    floats(DType::F16, "vec2u", "f16_4"),
    floats(DType::Bf16, "vec2u", "bf16_4"),
    Format {
        input: DType::Int8,
        accumulate: DType::Int32,
        words: "u32",
        widen: "",
        staged: "u32",
        sum: "i32",
        steps: 1,
        step: "sum + vec4i(dot4I8Packed(row, columns.x), dot4I8Packed(row, columns.y), \
               dot4I8Packed(row, columns.z), dot4I8Packed(row, columns.w))",
        rounding: 0.0,
    },
];

/// A tile of C, and the sums that an invocation has of it.
#[derive(Clone, Copy, Debug)]
struct Tile {
    rows: u64,
    columns: u64,
    own_rows: u64,
    own_columns: u64,
}

const fn tile(rows: u64, columns: u64, own_rows: u64, own_columns: u64) -> Tile {
    Tile { rows, columns, own_rows, own_columns }
}

/// The tiles that are tried, as far as the product has rows for them.
const TILES: [Tile; 9] = [
    tile(4, 256, 4, 4),
    tile(8, 256, 8, 4),
    tile(16, 64, 4, 4),
    tile(16, 128, 8, 4),
    tile(64, 64, 4, 4),
    tile(64, 64, 8, 8),
    tile(128, 128, 8, 8),
    tile(128, 128, 16, 8),
    tile(256, 128, 16, 16),
];
/// Groups of four that a strip is deep.
const DEEP: u64 = 4;

/// Seeds of A and of B; copies of B follow one another.
const SEEDS: (Seed, Seed) = (Seed(101), Seed(102));

impl Tile {
    fn shader(self, format: &Format) -> Shader {
        // Four rows become a vector: at once where a word is an element of it, else depth by depth.
        let stage = |to: &str, rows: &str| {
            if format.steps == 1 {
                return format!("{to}[depth * {rows} + rows] = vec4(v0, v1, v2, v3);");
            }
            let line = |(depth, axis)| {
                format!(
                    "{to}[(depth * 4u + {depth}u) * {rows} + rows] = vec4(v0.{axis}, v1.{axis}, v2.{axis}, v3.{axis});"
                )
            };
            [(0, 'x'), (1, 'y'), (2, 'z'), (3, 'w')].map(line).join("\n")
        };
        Shader::new(source!("gemm"), "k_gemm")
            .including(source!("words"))
            .with("STAGE_LEFT", stage("left", "ROWS"))
            .with("STAGE_RIGHT", stage("right", "COLUMNS"))
            .with("STEPS", format.steps)
            .with("STEP", format.step)
            .with("WORDS", format.words)
            .with("WIDEN", format.widen)
            .with("STAGED", format.staged)
            .with("SUM", format.sum)
            .with("BM", self.rows)
            .with("BN", self.columns)
            .with("TM", self.own_rows)
            .with("TN", self.own_columns)
            .with("TM4", self.own_rows / 4)
            .with("TN4", self.own_columns / 4)
            .staging(self.staged(format))
    }

    const fn lanes(self) -> u64 {
        (self.rows / self.own_rows) * (self.columns / self.own_columns)
    }

    /// Bytes of a workgroup's memory.
    const fn staged(self, format: &Format) -> u64 {
        DEEP * format.steps * (self.rows + self.columns) * 4
    }

    /// Whether the product has half a tile of rows at least, and for low tiles no more than one: one of 16 does for every product.
    const fn suits(self, shape: Shape) -> bool {
        (self.rows <= 16 || self.rows <= 2 * shape.m) && (self.rows >= 16 || shape.m <= self.rows)
    }
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    FORMATS.iter().flat_map(|format| TILES.map(|tile| tile.shader(format))).collect()
}

struct Variant {
    pipeline: Pipeline,
    bindings: wgpu::BindGroup,
    way: Way,
}

/// How a product is computed.
#[derive(Clone, Copy)]
enum Way {
    Vectors(Tile),
    Matrices(Tiling),
}

/// Matrix units cut off what does not fit, always towards zero, so that errors add up faster than those of rounding.
const CUT: f64 = 4.0 * <f32 as Element>::ROUNDING;

/// A matrix product.
pub(in crate::backend::wgpu) struct Gemm {
    format: &'static Format,
    shape: Shape,
    copies: u64,
    next: u64,
    a: Rows,
    b: Rows,
    c: Buffer,
    variants: Vec<Variant>,
    names: Vec<String>,
    /// Kept alive for the bindings.
    _inputs: [Buffer; 2],
}

impl Gemm {
    pub(in crate::backend::wgpu) fn new(
        gpu: &Gpu,
        (input, accumulate): (DType, DType),
        shape: Shape,
        copies: u64,
    ) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.input, format.accumulate) == (input, accumulate);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for {input} summed in {accumulate}")));
        };
        let Shape { m, n, k } = shape;
        if m == 0 || n == 0 || k == 0 || !n.is_multiple_of(4) || !k.is_multiple_of(PRODUCT_GRANULE) {
            return Err(BackendError::unsupported(format!(
                "{shape}: a size is 0, the second is no multiple of 4, or the last none of {PRODUCT_GRANULE}"
            )));
        }
        let copies = copies.max(1);
        let bytes = |rows: u64| rows.saturating_mul(k).saturating_mul(u64::from(input.format().bits / 8));
        let tilings = Tiling::of(gpu, (input, accumulate), shape);
        // Tiles of matrices are whole: A and C have room for their rows.
        let held = tilings.iter().map(|tiling| m.next_multiple_of(tiling.rows())).fold(m, u64::max);
        // Indices are 32 bits wide.
        let most = gpu.most_bytes().min(u64::from(u32::MAX));
        if bytes(held).max(bytes(n.saturating_mul(copies))).max(held.saturating_mul(n).saturating_mul(4)) > most {
            return Err(BackendError::unsupported(format!(
                "{shape}: a matrix is larger than the {most} bytes of a buffer"
            )));
        }
        let (a, b) = (Rows::new(input, k as usize, m, SEEDS.0), Rows::new(input, k as usize, n * copies, SEEDS.1));
        let (left, right) = (gpu.buffer(bytes(held))?, gpu.buffer(bytes(n * copies))?);
        gpu.write(&left, |start, piece| a.fill(start, piece))?;
        gpu.write(&right, |start, piece| b.fill(start, piece))?;
        let c = gpu.buffer(4 * held * n)?;
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        let limits = &gpu.limits;
        for tile in TILES.into_iter().filter(|tile| tile.suits(shape)) {
            if tile.lanes() > limits.max_compute_invocations_per_workgroup.into()
                || tile.staged(format) > limits.max_compute_workgroup_storage_size.into()
            {
                continue;
            }
            names.push(format!("tiles of {}×{}, {}×{} each", tile.rows, tile.columns, tile.own_rows, tile.own_columns));
            variants.push((tile.shader(format), Way::Vectors(tile)));
        }
        for tiling in tilings {
            names.push(tiling.name());
            variants.push((tiling.shader(input), Way::Matrices(tiling)));
        }
        let ready = |(shader, way)| {
            let pipeline = gpu.pipeline(&shader)?;
            let bindings = gpu.bind(&pipeline, &[(0, &left), (1, &right), (2, &c)])?;
            Ok(Variant { pipeline, bindings, way })
        };
        let variants = variants.into_iter().map(ready).collect::<Result<Vec<_>, BackendError>>()?;
        Ok(Self { format, shape, copies, next: 0, a, b, c, variants, names, _inputs: [left, right] })
    }

    fn multiply(&self, variant: usize, copy: u64, pass: &mut wgpu::ComputePass<'_>) {
        let Variant { pipeline, bindings, way } = &self.variants[variant];
        let (immediates, groups) = match way {
            Way::Vectors(tile) => {
                let Shape { m, n, k } = self.shape;
                let across = n.div_ceil(tile.columns);
                (Immediates::of(&[m, n, k / 4, copy * n * (k / 4), across]), across * m.div_ceil(tile.rows))
            }
            Way::Matrices(tiling) => tiling.dispatch(self.shape, copy),
        };
        Dispatch { pipeline, bindings, immediates, groups }.put(pass);
    }
}

impl Program for Gemm {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn dispatch(&mut self, variant: usize, _: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.multiply(variant, self.next, pass);
        self.next = (self.next + 1) % self.copies;
    }

    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        bench.gpu.poison(&self.c)?;
        let copy = self.copies - 1;
        bench.run(|pass| self.multiply(variant, copy, pass))?;
        let c = bench.gpu.contents(&self.c)?;
        let Shape { m, n, k } = self.shape;
        let (n, k) = (n as usize, k as usize);
        let dtype = self.format.input;
        let (a, b) = (&self.a, &self.b);
        let sum = |row: usize| {
            c[4 * n * row..][..4 * n].chunks_exact(4).map(|word| match self.format.accumulate {
                DType::Int32 => f64::from(bytemuck::pod_read_unaligned::<i32>(word)),
                _ => f64::from(bytemuck::pod_read_unaligned::<f32>(word)),
            })
        };
        let first = copy as usize * n;
        let sizes = Sizes { m: m as usize, n, k };
        let rounding = match self.variants[variant].way {
            Way::Vectors(_) => self.format.rounding,
            Way::Matrices(_) => CUT,
        };
        check(
            sizes,
            rounding,
            |row| (0..k).map(move |index| value(dtype, a.row(row), index)),
            |row| (0..k).map(move |index| value(dtype, b.row(first + row), index)),
            sum,
        )
        .map_err(BackendError::WrongResult)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_rows_has_tiles_that_do_little_for_nothing() {
        for m in [1, 4, 5, 8, 16, 17, 100, 4096] {
            let suited: Vec<u64> =
                TILES.into_iter().filter(|tile| tile.suits(Shape { m, n: 64, k: 64 })).map(|tile| tile.rows).collect();
            assert!(suited.contains(&16), "{m}: {suited:?}");
            assert!(suited.iter().all(|&rows| rows <= 2 * m.max(8)), "{m}: {suited:?}");
            assert_eq!(suited.contains(&4), m <= 4);
            assert_eq!(suited.contains(&256), m >= 128);
        }
        for tile in TILES {
            assert!(tile.lanes() <= 256 && tile.lanes().is_multiple_of(16), "{tile:?}: {} lanes", tile.lanes());
            assert_eq!((tile.rows % tile.own_rows, tile.columns % tile.own_columns), (0, 0));
        }
    }

    /// Some drivers end all loops of an invocation after 65 535 turns together; a model of 70 billion parameters sums over 28 672 elements.
    #[test]
    fn loops_are_short_for_the_longest_sums_of_models() {
        for (format, tile) in FORMATS.iter().flat_map(|format| TILES.map(|tile| (format, tile))) {
            let fetches = |rows: u64| (rows / 4 * DEEP).div_ceil(tile.lanes());
            let of_strip = 1 + fetches(tile.rows) + fetches(tile.columns) + format.steps * DEEP / 4;
            let turns = 28_672 / (4 * DEEP) * of_strip;
            assert!(turns <= 18_560, "{} {tile:?}: {turns} turns", format.input);
        }
    }
}
