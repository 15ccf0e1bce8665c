//! Matrix products by cooperative matrices: `shaders/gemm_matrix.wgsl` and `shaders/gemm_matrix_staged.wgsl`.

use super::Immediates;
use crate::backend::wgpu::gpu::Gpu;
use crate::backend::wgpu::matrices;
use crate::backend::wgpu::shaders::{Shader, source};
use crate::dtype::DType;
use crate::workload::Shape;

/// How subgroups share a product out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiling {
    /// Rows and columns of a matrix.
    edge: u32,
    blocks: Blocks,
    /// Invocations of a workgroup.
    lanes: u32,
}

/// Matrices that a subgroup has of C, and whether factors go through the workgroup's memory.
#[derive(Clone, Copy, Debug)]
struct Blocks {
    rows: u32,
    columns: u32,
    staged: bool,
}

const fn blocks(rows: u32, columns: u32, staged: bool) -> Blocks {
    Blocks { rows, columns, staged }
}

/// The shares that are tried, as far as the product has rows and whole columns for them.
const BLOCKS: [Blocks; 6] = [
    blocks(1, 4, false),
    blocks(2, 4, false),
    blocks(4, 4, false),
    blocks(1, 4, true),
    blocks(2, 4, true),
    blocks(4, 4, true),
];
/// Subgroups of a workgroup: two by two where they share factors.
const SUBGROUPS: u32 = 4;
/// Elements that a strip is deep in the workgroup's memory, and what a row of it is longer.
const DEEP: u32 = 32;
const APART: u32 = 8;

impl Tiling {
    /// Those for a product that a device can run.
    pub(super) fn of(gpu: &Gpu, (input, accumulate): (DType, DType), shape: Shape) -> Vec<Self> {
        if accumulate != DType::F32 || input == DType::F16 && !gpu.features.contains(wgpu::Features::SHADER_F16) {
            return Vec::new();
        }
        let (narrowest, widest) = gpu.subgroups;
        let (lanes, limits) = (widest * SUBGROUPS, &gpu.limits);
        let fits = |tiling: &Self| {
            let room = tiling.staged_bytes(input) <= limits.max_compute_workgroup_storage_size.into();
            // Where factors are shared, each subgroup has its place.
            let in_place = !tiling.blocks.staged || narrowest == widest;
            lanes <= limits.max_compute_invocations_per_workgroup && room && in_place && tiling.suits(shape)
        };
        let of_edge = |edge| BLOCKS.map(|blocks| Self { edge, blocks, lanes });
        matrices::edges(&gpu.cubes, input, accumulate).flat_map(of_edge).filter(fits).collect()
    }

    /// Rows of C that a tile has, and columns: of a workgroup where its subgroups share factors, else of a subgroup.
    pub(super) const fn rows(&self) -> u64 {
        (self.blocks.rows * self.edge * self.side()) as u64
    }

    const fn columns(&self) -> u64 {
        (self.blocks.columns * self.edge * self.side()) as u64
    }

    /// Subgroups that a tile has in either direction.
    const fn side(&self) -> u32 {
        if self.blocks.staged { 2 } else { 1 }
    }

    /// Whether the product has half a tile of rows at least, and whole tiles of columns; the lowest tiles do for every number of rows.
    const fn suits(&self, shape: Shape) -> bool {
        (self.rows() <= 16 || self.rows() <= 2 * shape.m) && shape.n.is_multiple_of(self.columns())
    }

    /// Bytes of a workgroup's memory.
    fn staged_bytes(&self, input: DType) -> u64 {
        let rows = if self.blocks.staged { self.rows() + self.columns() } else { 0 };
        rows * u64::from((DEEP + APART) * input.format().bits / 8)
    }

    pub(super) fn name(&self) -> String {
        let Self { edge, blocks: Blocks { rows, columns, staged }, .. } = self;
        let from = if *staged { "workgroup's" } else { "device's" };
        format!("cooperative matrices of {edge}×{edge}, {rows}×{columns} each, from the {from} memory")
    }

    pub(super) fn shader(&self, input: DType) -> Shader {
        let (scalar, enable) = if input == DType::F16 { ("f16", "enable f16;") } else { ("f32", "") };
        let shader = if self.blocks.staged {
            let shader = Shader::new(source!("gemm_matrix_staged"), "k_gemm_matrix_staged");
            shader.with("DEEP", DEEP).with("APART", APART)
        } else {
            Shader::new(source!("gemm_matrix"), "k_gemm_matrix")
        };
        shader
            .with("EDGE", self.edge)
            .with("INPUT", scalar)
            .with("ENABLE", enable)
            .with("ROWS", self.blocks.rows)
            .with("COLUMNS", self.blocks.columns)
            .constant("LANES", self.lanes)
            .staging(self.staged_bytes(input))
    }

    /// What the shader is told of a product with one of the copies of B, and workgroups.
    pub(super) fn dispatch(&self, Shape { m, n, k }: Shape, copy: u64) -> (Immediates, u64) {
        let across = n / self.columns();
        let tiles = across * m.div_ceil(self.rows());
        if self.blocks.staged {
            return (Immediates::of(&[n, k / 4, copy * n * (k / 4), across, tiles]), tiles);
        }
        let groups = tiles.div_ceil(SUBGROUPS.into());
        (Immediates::of(&[n, k, copy * n * k, across, tiles, groups]), groups)
    }
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    let of = |(edge, input)| BLOCKS.map(|blocks| Tiling { edge, blocks, lanes: 128 }.shader(input));
    [(8, DType::F16), (16, DType::F16), (8, DType::F32), (16, DType::F32)].into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tilings(edge: u32) -> [Tiling; 6] {
        BLOCKS.map(|blocks| Tiling { edge, blocks, lanes: 128 })
    }

    #[test]
    fn tiles_cover_every_row_and_column_once() {
        for tiling in [tilings(8), tilings(16)].concat() {
            for m in [1, 16, 100, 512] {
                let shape = Shape { m, n: 1024, k: 256 };
                let (_, groups) = tiling.dispatch(shape, 0);
                let side = u64::from(tiling.side());
                let subgroups = u64::from(SUBGROUPS) / (side * side);
                let covered = groups * subgroups * tiling.rows() * tiling.columns();
                let held = m.next_multiple_of(tiling.rows());
                assert!(covered >= held * 1024 && covered - held * 1024 < 4 * tiling.rows() * tiling.columns());
                assert!(!tiling.suits(shape) || held < m + m.max(16) * 2, "{tiling:?}: {held} rows for {m}");
            }
        }
    }

    /// A tile of 64 rows computes one token 64 times, and one of 128 columns has no whole one in 96.
    #[test]
    fn few_rows_have_low_tiles_and_no_tile_has_a_part_of_a_column() {
        let suited = |m, n| {
            let all = tilings(16).into_iter().filter(|tiling| tiling.suits(Shape { m, n, k: 64 }));
            all.map(|tiling| (tiling.rows(), tiling.columns())).collect::<Vec<_>>()
        };
        assert_eq!(suited(1, 4096), [(16, 64)]);
        assert_eq!(suited(64, 4096), [(16, 64), (32, 64), (64, 64), (32, 128), (64, 128), (128, 128)]);
        assert_eq!(suited(64, 192), [(16, 64), (32, 64), (64, 64)]);
        assert_eq!(suited(64, 96), []);
    }
}
