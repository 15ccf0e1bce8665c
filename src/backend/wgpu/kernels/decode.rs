//! Decode attention: `shaders/decode.wgsl`.

use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::reference::decode::Operands;
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program};
use crate::dtype::DType;
use crate::workload::HEADS;

const GROUP: u64 = HEADS.group;
const DIM: u64 = HEADS.dim;
/// Invocations of a workgroup, each with two elements of the results; contexts come in multiples of it.
const LANES: u64 = DIM / 2;
/// Workgroups that share a head's context, as they are tried; and tokens of a workgroup at most, so that loops stay short.
const STRETCHES: [u64; 4] = [1, 4, 16, 64];
const MOST_TOKENS: u64 = 4096;

/// A format of keys and values.
struct Format {
    kv: DType,
    bytes: u64,
    /// Four elements of the vector of words `k`, and two of the values of token `source`.
    piece: &'static str,
    pair: &'static str,
    scales: [&'static str; 2],
}

const FORMATS: [Format; 3] = [
    Format {
        kv: DType::Bf16,
        bytes: 2,
        piece: "bf16_4(vec2u(k[2u * $pu], k[2u * $pu + 1u]))",
        pair: "bf16_2(values[source * LANES + lane])",
        scales: ["1.0", "1.0"],
    },
    Format {
        kv: DType::F16,
        bytes: 2,
        piece: "f16_4(vec2u(k[2u * $pu], k[2u * $pu + 1u]))",
        pair: "f16_2(values[source * LANES + lane])",
        scales: ["1.0", "1.0"],
    },
    Format {
        kv: DType::Int8,
        bytes: 1,
        piece: "int8_4(k[$pu])",
        pair: "int8_2(values[source * (LANES / 2u) + lane / 2u] >> ((lane % 2u) * 16u))",
        scales: ["scales[token]", "scales[sizes.tokens + token]"],
    },
];

impl Format {
    fn shader(&self, entry: &'static str) -> Shader {
        Shader::new(source!("decode"), entry)
            .including(source!("words"))
            .with("PIECE", self.piece)
            .with("VALUE", self.pair)
            .with("KEY_SCALE", self.scales[0])
            .with("VALUE_SCALE", self.scales[1])
            .with("PAIR", "u32")
            .with("GROUP", GROUP)
            .with("DIM", DIM)
            .with("VECTORS", DIM * self.bytes / 16)
            .with("PIECES", 4 / self.bytes)
            .staging(4 * (GROUP * DIM + GROUP * LANES + LANES))
    }
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    FORMATS.iter().flat_map(|format| ["k_attend", "k_join"].map(|entry| format.shader(entry))).collect()
}

struct Variant {
    attend: wgpu::BindGroup,
    join: wgpu::BindGroup,
    stretches: u64,
}

/// Decode attention of many heads at once.
pub(in crate::backend::wgpu) struct Decode {
    heads: u64,
    context: u64,
    operands: Operands,
    results: Buffer,
    attend: Pipeline,
    join: Pipeline,
    variants: Vec<Variant>,
    names: Vec<String>,
    /// Kept alive for the bindings.
    _buffers: Vec<Buffer>,
}

impl Decode {
    pub(in crate::backend::wgpu) fn new(gpu: &Gpu, kv: DType, context: u64, heads: u64) -> Result<Self, BackendError> {
        let Some(format) = FORMATS.iter().find(|format| format.kv == kv) else {
            return Err(BackendError::no_kernel(format!("there is no kernel for a cache of {kv}")));
        };
        if context == 0 || heads == 0 || !context.is_multiple_of(LANES) {
            return Err(BackendError::unsupported(format!("{context} tokens are no multiple of {LANES}")));
        }
        let tokens = context.saturating_mul(heads);
        let operands = Operands::new(kv, context, heads);
        let bytes = tokens.saturating_mul(DIM * format.bytes);
        let (cached_keys, cached_values) = (gpu.buffer(bytes)?, gpu.buffer(bytes)?);
        gpu.write(&cached_keys, |start, piece| operands.keys.fill(start, piece))?;
        gpu.write(&cached_values, |start, piece| operands.values.fill(start, piece))?;
        let scales = gpu.buffer(if operands.is_scaled() { 8 * tokens } else { 16 })?;
        gpu.write(&scales, |start, piece| operands.fill_scales(start, piece))?;
        let queries = gpu.buffer(4 * GROUP * DIM)?;
        gpu.write(&queries, |_, piece| piece.copy_from_slice(bytemuck::cast_slice(&Operands::queries())))?;
        let results = gpu.buffer(4 * heads * GROUP * DIM)?;
        let (attend, join) = (gpu.pipeline(&format.shader("k_attend"))?, gpu.pipeline(&format.shader("k_join"))?);
        let fits = |&stretches: &u64| context.is_multiple_of(LANES * stretches) && context / stretches <= MOST_TOKENS;
        let (mut variants, mut names, mut buffers) = (Vec::new(), Vec::new(), Vec::new());
        for stretches in STRETCHES.into_iter().filter(fits) {
            let partial = gpu.buffer(4 * heads * stretches * GROUP * DIM)?;
            let weights = gpu.buffer(8 * heads * stretches * GROUP)?;
            let mut of_attend =
                vec![(0, &cached_keys), (1, &cached_values), (3, &queries), (4, &partial), (5, &weights)];
            if operands.is_scaled() {
                of_attend.push((2, &scales));
            }
            let of_join = [(4, &partial), (5, &weights), (6, &results)];
            names.push(if stretches == 1 { "1 stretch".to_owned() } else { format!("{stretches} stretches") });
            let (bound, joined) = (gpu.bind(&attend, &of_attend)?, gpu.bind(&join, &of_join)?);
            variants.push(Variant { attend: bound, join: joined, stretches });
            buffers.extend([partial, weights]);
        }
        buffers.extend([cached_keys, cached_values, scales, queries]);
        Ok(Self { heads, context, operands, results, attend, join, variants, names, _buffers: buffers })
    }

    fn attend(&self, variant: usize, pass: &mut wgpu::ComputePass<'_>) {
        let Variant { attend, join, stretches } = &self.variants[variant];
        let tokens = self.context * self.heads;
        let immediates = Immediates::of(&[self.context, self.context / stretches, *stretches, tokens]);
        let groups = self.heads * stretches;
        Dispatch { pipeline: &self.attend, bindings: attend, immediates, groups }.put(pass);
        Dispatch { pipeline: &self.join, bindings: join, immediates, groups: self.heads * GROUP }.put(pass);
    }
}

impl Program for Decode {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn dispatch(&mut self, variant: usize, _: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.attend(variant, pass);
    }

    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        bench.gpu.poison(&self.results)?;
        bench.run(|pass| self.attend(variant, pass))?;
        let results = bench.gpu.contents(&self.results)?;
        self.operands.check(&Operands::queries(), &results).map_err(BackendError::WrongResult)
    }
}
