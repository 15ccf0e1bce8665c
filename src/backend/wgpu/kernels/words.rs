//! The ways to add up over a workgroup.

use crate::backend::wgpu::gpu::Gpu;
use crate::backend::wgpu::shaders::{Shader, source};

/// How invocations of a workgroup add up what each has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduction {
    /// Through the workgroup's memory.
    Tree,
    /// First within subgroups.
    Subgroups,
}

impl Reduction {
    /// The ways that a device has.
    pub(super) fn of(gpu: &Gpu) -> &'static [Self] {
        if gpu.features.contains(wgpu::Features::SUBGROUP) { &[Self::Subgroups, Self::Tree] } else { &[Self::Tree] }
    }

    /// A shader that adds up this way.
    pub(super) fn in_shader(self, shader: Shader) -> Shader {
        let partial = 4 * shader.lanes();
        match self {
            Self::Tree => shader.with("WIDTH_ARGUMENT", "").with("WIDTH", "1u").including(source!("reduce_tree")),
            Self::Subgroups => shader
                .with("WIDTH_ARGUMENT", "@builtin(subgroup_size) width: u32,")
                .with("WIDTH", "width")
                .including(source!("reduce_subgroup")),
        }
        .staging(partial)
    }

    /// In a variant's name.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Tree => "workgroup",
            Self::Subgroups => "subgroups",
        }
    }
}
