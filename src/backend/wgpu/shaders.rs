//! WGSL sources, and the template by which one source serves its formats and widths.
//!
//! `{{NAME}}` stands for a value. A block from `//@repeat N x` to `//@end` is written N times, `$x` being 0, 1, 2 and so on in it; blocks nest. What does not change the
//! shape of the code is a pipeline constant or an immediate instead.

use std::fmt::Write;

/// A source with the values that make one shader of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shader {
    /// The file it comes from.
    pub(super) file: &'static str,
    source: &'static str,
    /// Files with functions that it calls.
    included: Vec<(&'static str, &'static str)>,
    values: Vec<(&'static str, String)>,
    /// Pipeline constants.
    pub(super) constants: Vec<(&'static str, u32)>,
    /// Its entry point.
    pub(super) entry: &'static str,
    /// Bytes of a workgroup's memory: wgpu does not hold them against what the device has.
    pub(super) staged: u64,
}

/// A file of the folder `shaders`.
macro_rules! source {
    ($name:literal) => {
        ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders/", $name, ".wgsl")))
    };
}
pub(super) use source;

impl Shader {
    pub(super) const fn new((file, source): (&'static str, &'static str), entry: &'static str) -> Self {
        Self { file, source, included: Vec::new(), values: Vec::new(), constants: Vec::new(), entry, staged: 0 }
    }

    /// The same with a value for a name of the template.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and words read better without a reference")]
    pub(super) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.values.push((name, value.to_string()));
        self
    }

    /// The same with the functions of another file.
    pub(super) fn including(mut self, file: (&'static str, &'static str)) -> Self {
        self.included.push(file);
        self
    }

    /// The same with a pipeline constant.
    pub(super) fn constant(mut self, name: &'static str, value: u32) -> Self {
        self.constants.push((name, value));
        self
    }

    /// The same with bytes of a workgroup's memory.
    pub(super) const fn staging(mut self, bytes: u64) -> Self {
        self.staged = bytes;
        self
    }

    /// Invocations of a workgroup, where they are a pipeline constant.
    pub(super) fn lanes(&self) -> u64 {
        self.constants.iter().find(|(name, _)| *name == "LANES").map_or(0, |(_, lanes)| u64::from(*lanes))
    }

    /// The shader's text.
    pub(super) fn text(&self) -> String {
        let mut text = self.source.to_owned();
        for (_, source) in &self.included {
            text += source;
        }
        for (name, value) in &self.values {
            text = text.replace(&format!("{{{{{name}}}}}"), value);
        }
        let mut lines = text.lines();
        repeated(&mut lines)
    }
}

/// Lines up to the end of a block, or of the text, with the blocks among them written out.
fn repeated(lines: &mut std::str::Lines<'_>) -> String {
    let mut text = String::new();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed == "//@end" {
            break;
        }
        let Some(block) = trimmed.strip_prefix("//@repeat ") else {
            let _ = writeln!(text, "{line}");
            continue;
        };
        let (count, name) = block.split_once(' ').unwrap_or((block, ""));
        let body = repeated(lines);
        for index in 0..count.parse().unwrap_or(0) {
            text += &body.replace(&format!("${name}"), &index.to_string());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::wgpu::kernels::every_shader;
    use naga::back::{hlsl, msl, spv};
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    #[test]
    fn the_template_writes_blocks_out() {
        let shader = |source| Shader::new(("test", source), "main").with("N", 2).with("T", "f32");
        assert_eq!(
            shader("a {{T}}\n//@repeat {{N}} i\nx$i\n//@repeat 2 j\ny$i$j\n//@end\n//@end\nb").text(),
            "a f32\nx0\ny00\ny01\nx1\ny10\ny11\nb\n"
        );
    }

    /// Bytes of the variables that a workgroup shares.
    fn of_workgroups(module: &naga::Module) -> u64 {
        let mut layouter = naga::proc::Layouter::default();
        layouter.update(module.to_ctx()).unwrap();
        let shared = module.global_variables.iter().filter(|(_, is)| is.space == naga::AddressSpace::WorkGroup);
        shared.map(|(_, variable)| u64::from(layouter[variable.ty].size)).sum()
    }

    /// Every shader is valid, says how much of a workgroup's memory it takes, and can be written in the language of every interface, whatever is installed here.
    #[test]
    fn every_shader_compiles_for_every_interface() {
        let mut files = std::collections::BTreeSet::new();
        for shader in every_shader() {
            let text = shader.text();
            let what = format!("{} {} {:?}", shader.file, shader.entry, shader.values);
            assert!(!text.contains("{{") && !text.contains("//@") && !text.contains('$'), "{what}: {text}");
            let module =
                naga::front::wgsl::parse_str(&text).unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(&text)));
            let info = Validator::new(ValidationFlags::all(), Capabilities::all())
                .validate(&module)
                .unwrap_or_else(|e| panic!("{what}: {}", e.emit_to_string(&text)));
            let constants: naga::back::PipelineConstants =
                shader.constants.iter().map(|(n, v)| ((*n).to_owned(), f64::from(*v))).collect();
            let (module, info) = naga::back::pipeline_constants::process_overrides(
                &module,
                &info,
                Some((naga::ShaderStage::Compute, shader.entry)),
                &constants,
            )
            .unwrap_or_else(|e| panic!("{what}: {e}"));
            assert!(shader.staged >= of_workgroups(&module), "{what}: {} bytes of a workgroup's memory", shader.staged);
            spv::write_vec(&module, &info, &spv::Options::default(), None).unwrap_or_else(|e| panic!("{what}: {e}"));
            // Metal has no f64, matrices of 8 by 8 alone, and never says otherwise.
            if !text.contains("f64") && !text.contains("coop_mat16x16") {
                let options =
                    msl::Options { lang_version: (2, 3), fake_missing_bindings: true, ..msl::Options::default() };
                msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
                    .unwrap_or_else(|e| panic!("{what}: {e}"));
            }
            // DirectX 12 never says that it has cooperative matrices, and naga has no words for them.
            if !text.contains("coop_mat") {
                let options = hlsl::Options {
                    shader_model: hlsl::ShaderModel::V6_4,
                    immediates_target: Some(hlsl::BindTarget::default()),
                    fake_missing_bindings: true,
                    ..hlsl::Options::default()
                };
                let pipeline = hlsl::PipelineOptions::default();
                hlsl::Writer::new(&mut String::new(), &options, &pipeline)
                    .write(&module, &info, None)
                    .unwrap_or_else(|e| panic!("{what}: {e}"));
            }
            files.insert(shader.file);
            files.extend(shader.included.iter().map(|(file, _)| *file));
        }
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/shaders")).unwrap();
        let stems: std::collections::BTreeSet<String> =
            folder.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        assert_eq!(
            stems.iter().map(String::as_str).collect::<Vec<_>>(),
            files.into_iter().collect::<Vec<_>>(),
            "every file is tested"
        );
    }
}
