//! The GPU's kernels, one file per family of workloads; each has its shader in the folder `shaders`, which says what it computes.

pub(super) mod atomic;
pub(super) mod chase;
pub(super) mod copy;
pub(super) mod decode;
pub(super) mod empty;
pub(super) mod gemm;
mod gemm_matrix;
pub(super) mod gemv;
pub(super) mod in_turn;
pub(super) mod matrix_multiply_add;
pub(super) mod multiply_add;
pub(super) mod prefill;
pub(super) mod rowwise;
pub(super) mod stream;
mod words;

use super::gpu::Pipeline;
#[cfg(test)]
use super::shaders::Shader;

/// Workgroups along one dimension of a dispatch at most, on every interface.
const MOST_GROUPS: u64 = 65_535;

/// What a shader is told with each dispatch: sizes as 32-bit words.
#[derive(Clone, Copy)]
struct Immediates {
    words: [u32; 8],
    count: usize,
}

impl Immediates {
    /// Up to eight sizes, each below 2³² because buffers are.
    fn of(sizes: &[u64]) -> Self {
        let mut words = [0; 8];
        for (word, &size) in words.iter_mut().zip(sizes) {
            *word = u32::try_from(size).unwrap_or(u32::MAX);
        }
        Self { words, count: sizes.len().min(8) }
    }
}

/// A kernel with its buffers, sizes and workgroups.
struct Dispatch<'a> {
    pipeline: &'a Pipeline,
    bindings: &'a wgpu::BindGroup,
    immediates: Immediates,
    /// Workgroups in a row; shaders count them as `x + y · width` and leave out what is beyond.
    groups: u64,
}

impl Dispatch<'_> {
    fn put(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline.raw);
        pass.set_bind_group(0, self.bindings, &[]);
        if self.immediates.count > 0 {
            pass.set_immediates(0, bytemuck::cast_slice(&self.immediates.words[..self.immediates.count]));
        }
        let rows = self.groups.div_ceil(MOST_GROUPS).max(1);
        pass.dispatch_workgroups(self.groups.div_ceil(rows) as u32, rows as u32, 1);
    }
}

/// Every specialisation of every shader.
#[cfg(test)]
pub(super) fn every_shader() -> Vec<Shader> {
    let families = [
        stream::shaders(),
        multiply_add::shaders(),
        atomic::shaders(),
        chase::shaders(),
        empty::shaders(),
        gemv::shaders(),
        gemm::shaders(),
        gemm_matrix::shaders(),
        matrix_multiply_add::shaders(),
        rowwise::shaders(),
        decode::shaders(),
        prefill::shaders(),
    ];
    families.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workgroups of several rows make a rectangle, which may hold more than there is work for.
    #[test]
    fn no_shader_goes_on_beyond_its_work() {
        let mut several = 0;
        for shader in every_shader() {
            let text = shader.text();
            let (_, entry) = text.split_once(&format!("fn {}(", shader.entry)).unwrap();
            let Some((_, counted)) = entry.split("@compute").next().unwrap().split_once(".y * groups.x") else {
                continue;
            };
            let before_work = counted.split("for (").next().unwrap();
            assert!(before_work.contains("{ return; }"), "{} of `{}`", shader.entry, shader.file);
            several += 1;
        }
        assert!(several > 100, "only {several} shaders count workgroups in rows");
    }
}
