//! Cooperative matrices: which of those that a device offers WGSL can use.

use super::gpu::Gpu;
use crate::backend::BackendError;
use crate::dtype::DType;

/// The feature by which WGSL reaches matrix units, by the name that wgpu gives it.
pub(super) const FEATURE: (wgpu::Features, &str) =
    (wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX, "EXPERIMENTAL_COOPERATIVE_MATRIX");

/// A product of matrices that have as many rows as columns: A and B in one format, C in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cube {
    edge: u32,
    input: DType,
    accumulate: DType,
}

impl Cube {
    /// Those among what a device offers that WGSL has types for: squares of floating-point numbers.
    pub(super) fn among(offered: &[wgpu::CooperativeMatrixProperties]) -> Vec<Self> {
        let dtype = |scalar| match scalar {
            wgpu::CooperativeScalarType::F32 => Some(DType::F32),
            wgpu::CooperativeScalarType::F16 => Some(DType::F16),
            _ => None,
        };
        let mut cubes = Vec::new();
        for offer in offered.iter().filter(|offer| offer.m_size == offer.n_size && offer.n_size == offer.k_size) {
            let (Some(input), Some(accumulate)) = (dtype(offer.ab_type), dtype(offer.cr_type)) else { continue };
            let cube = Self { edge: offer.m_size, input, accumulate };
            if [8, 16].contains(&cube.edge) && !cubes.contains(&cube) {
                cubes.push(cube);
            }
        }
        cubes
    }
}

/// What an adapter has of them, where it has all that their kernels use.
pub(super) fn of(adapter: &wgpu::Adapter) -> Vec<Cube> {
    let (feature, _) = FEATURE;
    if !adapter.features().contains(feature | wgpu::Features::SUBGROUP) {
        return Vec::new();
    }
    Cube::among(&adapter.cooperative_matrix_properties())
}

/// Rows and columns of the matrices of a pair of formats.
pub(super) fn edges(cubes: &[Cube], input: DType, accumulate: DType) -> impl Iterator<Item = u32> {
    let suits = move |cube: &&Cube| (cube.input, cube.accumulate) == (input, accumulate);
    cubes.iter().filter(suits).map(|cube| cube.edge)
}

/// Refuses a device without matrices of a pair of formats, and says what it lacks.
pub(super) fn needed(gpu: &Gpu, input: DType, accumulate: DType) -> Result<(), BackendError> {
    if gpu.cubes.is_empty() {
        let (_, name) = FEATURE;
        return Err(BackendError::unsupported(format!(
            "the device lacks {name} with squares of 8 or 16 that WGSL has types for"
        )));
    }
    if input == DType::F16 {
        gpu.needs(wgpu::Features::SHADER_F16, "SHADER_F16")?;
    }
    if edges(&gpu.cubes, input, accumulate).next().is_none() {
        return Err(BackendError::unsupported(format!(
            "the device has no cooperative matrices of {input} summed in {accumulate}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgpu::CooperativeScalarType::{F16, F32, I32};

    fn offer(
        sizes: [u32; 3],
        ab_type: wgpu::CooperativeScalarType,
        cr_type: wgpu::CooperativeScalarType,
    ) -> wgpu::CooperativeMatrixProperties {
        let [m_size, n_size, k_size] = sizes;
        wgpu::CooperativeMatrixProperties { m_size, n_size, k_size, ab_type, cr_type, saturating_accumulation: false }
    }

    /// Intel's matrices are no squares, NVIDIA's smaller ones neither, and WGSL has no integers.
    #[test]
    fn only_squares_of_floating_point_numbers_are_used() {
        let offered = [
            offer([16, 16, 16], F16, F32),
            offer([16, 8, 16], F16, F32),
            offer([8, 16, 16], F16, F32),
            offer([16, 16, 16], F16, F32),
            offer([16, 16, 16], I32, I32),
            offer([32, 32, 32], F16, F32),
            offer([8, 8, 8], F32, F32),
            offer([8, 8, 8], F16, F16),
        ];
        let cubes = Cube::among(&offered);
        let edges = |input, accumulate| edges(&cubes, input, accumulate).collect::<Vec<_>>();
        assert_eq!(edges(DType::F16, DType::F32), [16]);
        assert_eq!((edges(DType::F32, DType::F32), edges(DType::F16, DType::F16)), (vec![8], vec![8]));
        assert_eq!((cubes.len(), edges(DType::Int8, DType::Int32)), (3, vec![]));
    }
}
