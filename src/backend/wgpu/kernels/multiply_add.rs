//! Multiply-adds in registers: `shaders/multiply_add.wgsl`.

use super::{Dispatch, Immediates};
use crate::backend::BackendError;
use crate::backend::wgpu::gpu::{Buffer, Gpu, Pipeline};
use crate::backend::wgpu::shaders::{Shader, source};
use crate::backend::wgpu::timing::{Bench, Program, SUBMISSION};
use crate::dtype::DType;
use crate::workload::MULTIPLY_ADD_OPS;

/// A pair of formats, and how WGSL computes with it.
struct Format {
    input: DType,
    accumulate: DType,
    /// What the device must have, and its name.
    needs: Option<(wgpu::Features, &'static str)>,
    enable: &'static str,
    scalar: &'static str,
    /// Of immediates and results.
    word: &'static str,
    /// What sums are converted to before they are added up.
    wide: &'static str,
    /// Factors: the first invocation's x, how much less the next one's is, and y.
    factors: [f32; 3],
    /// What first sums are multiplied by.
    scale: f32,
    /// Rounding of one step, relative.
    rounding: f64,
    /// Operations of a step per element of a chain.
    ops: u64,
    /// Vectors of chains that make sense.
    shapes: &'static [Shape],
}

/// Elements to a vector, and chains of vectors that do not depend on one another.
#[derive(Clone, Copy)]
struct Shape {
    width: u32,
    chains: u32,
}

const fn shape(width: u32, chains: u32) -> Shape {
    Shape { width, chains }
}

/// Latency is hidden by chains or by threads; what is best differs between makers, and too many chains spill.
const FLOATS: [Shape; 5] = [shape(1, 8), shape(2, 4), shape(4, 2), shape(4, 3), shape(4, 1)];
const WORDS: [Shape; 4] = [shape(1, 8), shape(1, 4), shape(1, 12), shape(1, 2)];

const FORMATS: [Format; 5] = [
    Format {
        input: DType::F32,
        accumulate: DType::F32,
        needs: None,
        enable: "",
        scalar: "f32",
        word: "f32",
        wide: "f32",
        factors: [1.0 - 1.0 / 1024.0, 1.0 / 4096.0, 0.719_726_56],
        scale: 0.125,
        rounding: HANDING_OVER,
        ops: 2,
        shapes: &FLOATS,
    },
    Format {
        input: DType::F64,
        accumulate: DType::F64,
        needs: Some((wgpu::Features::SHADER_F64, "SHADER_F64")),
        enable: "",
        scalar: "f64",
        word: "f32",
        wide: "f64",
        factors: [1.0 - 1.0 / 1024.0, 1.0 / 4096.0, 0.719_726_56],
        scale: 0.125,
        rounding: f64::EPSILON / 2.0,
        ops: 2,
        shapes: &FLOATS,
    },
    Format {
        input: DType::F16,
        accumulate: DType::F16,
        needs: Some((wgpu::Features::SHADER_F16, "SHADER_F16")),
        enable: "enable f16;",
        scalar: "f16",
        word: "f32",
        wide: "f32",
        // Further from 1, so that rounding errors die out.
        factors: [0.875, 1.0 / 128.0, 0.719_726_56],
        scale: 0.125,
        rounding: 1.0 / 2048.0,
        ops: 2,
        shapes: &FLOATS,
    },
    Format {
        input: DType::Int8,
        accumulate: DType::Int32,
        needs: None,
        enable: "",
        scalar: "u32",
        word: "u32",
        wide: "u32",
        factors: [0.0; 3],
        scale: 1.0,
        rounding: 0.0,
        ops: 8,
        shapes: &WORDS,
    },
    Format {
        input: DType::Int32,
        accumulate: DType::Int32,
        needs: None,
        enable: "",
        scalar: "u32",
        word: "u32",
        wide: "u32",
        factors: [0.0; 3],
        scale: 1.0,
        rounding: 0.0,
        ops: 2,
        shapes: &FLOATS,
    },
];

/// Words of integers: x, what it differs by, y.
const INTEGERS: [u32; 3] = [0x5AC3_917F, 0x0101_0107, 0x7D83_2FB5];
/// Rounding of an f32: in these, sums are added up and handed over.
const HANDING_OVER: f64 = 1.0 / 16_777_216.0;
const LANES: [u32; 2] = [64, 256];
/// Rounds to a turn of the loop: its own cost is nothing beside them.
const UNROLL: u32 = 4;
/// Threads at most: enough for every device. Each has so many turns at least, and at most in one dispatch.
const MOST_THREADS: u64 = 1 << 18;
const LEAST_TURNS: u64 = 64;
const MOST_TURNS: u64 = 16_384;
/// Growth from one dispatch that is verified to the next.
const GROWTH: u64 = 4;
/// Factors and first sums: what threads differ in, and after how many they are alike again.
const FACTORS: u64 = 8;
const STARTS: u64 = 61;
/// What first sums of a thread's chains differ in, and those of the elements of a chain.
const OF_CHAIN: u64 = 37;
const OF_ELEMENT: u64 = 7;
const ALIKE: u64 = FACTORS * STARTS;

/// How turns are dealt out: so many threads, each with so many turns, and how many have one more.
#[derive(Clone, Copy, Debug)]
struct Deal {
    threads: u64,
    turns: u64,
    longer: u64,
}

impl Format {
    fn is_integer(&self) -> bool {
        self.accumulate == DType::Int32
    }

    /// The next sum of integers. Even factors would make sums forget where they began.
    fn integer_step(&self, sum: u32, x: u32, factor: u32) -> u32 {
        match self.input {
            DType::Int8 => x.wrapping_add(dot(sum, factor) as u32),
            _ => sum.wrapping_mul(x | 1).wrapping_add(factor),
        }
    }

    fn shader(&self, Shape { width, chains }: Shape, lanes: u32) -> Shader {
        let vector = |scalar: &str| if width == 1 { scalar.to_owned() } else { format!("vec{width}<{scalar}>") };
        let fused = |factor: &str| format!("fma(sum$c, x, {factor})");
        let dot = |factor: &str| format!("x + bitcast<u32>(dot4I8Packed(sum$c, {factor}))");
        let odd = |factor: &str| format!("sum$c * (x | Chain(1u)) + {factor}");
        let second = if self.is_integer() { "y ^ Chain(0x10325476u)" } else { "y * Scalar(-0.5)" };
        let (first, then) = match self.input {
            DType::Int8 => (dot("y"), dot("z")),
            DType::Int32 => (odd("y"), odd("z")),
            _ => (fused("y"), fused("z")),
        };
        let reduce = ["total", "total.x + total.y", "", "total.x + total.y + total.z + total.w"][width as usize - 1];
        let start = if width == 1 {
            format!("Scalar((thread + $cu * {OF_CHAIN}u) % {STARTS}u)")
        } else {
            let elements: Vec<String> =
                (0..width).map(|element| format!("{}u", u64::from(element) * OF_ELEMENT)).collect();
            let elements = elements.join(", ");
            format!("(vec{width}u(thread + $cu * {OF_CHAIN}u) + vec{width}u({elements})) % vec{width}u({STARTS}u)")
        };
        let scale = if self.is_integer() { String::new() } else { format!("* {}({})", self.scalar, self.scale) };
        Shader::new(source!("multiply_add"), "k_multiply_add")
            .with("FIRST_STEP", first)
            .with("SECOND_STEP", then)
            .with("SECOND", second)
            .with("ENABLE", self.enable)
            .with("CHAIN", vector(self.scalar))
            .with("SCALAR", self.scalar)
            .with("WORD", self.word)
            .with("WIDE", vector(self.wide))
            .with("REDUCE", reduce)
            .with("START", start)
            .with("SCALE", scale)
            .with("CHAINS", chains)
            .with("UNROLL", UNROLL)
            .constant("LANES", lanes)
    }

    /// What a chain arrives at, by its factor and its first sum.
    fn chain(&self, factor: u64, start: u64, turns: u64) -> f64 {
        let rounds = turns * u64::from(UNROLL);
        if self.is_integer() {
            let [x, step, y] = INTEGERS;
            let x = x.wrapping_sub((factor as u32).wrapping_mul(step));
            let steps = (0..rounds).flat_map(|_| [y, y ^ 0x1032_5476]);
            return f64::from(steps.fold(start as u32, |sum, factor| self.integer_step(sum, x, factor)));
        }
        let [x, step, y] = self.factors.map(f64::from);
        let x = x - factor as f64 * step;
        // A round makes x²·s + (x − ½)·y of a sum s; many of them add a geometric series up.
        let left = (x * x).powf(rounds as f64);
        start as f64 * f64::from(self.scale) * left + (x - 0.5) * y * (1.0 - left) / (1.0 - x * x)
    }

    /// What threads must arrive at, up to where they are alike again.
    fn expected(&self, Shape { width, chains }: Shape, turns: u64) -> Vec<f64> {
        let arrived: Vec<f64> = (0..ALIKE).map(|at| self.chain(at / STARTS, at % STARTS, turns)).collect();
        let of_thread = |thread: u64| {
            let element = |(chain, element): (u32, u32)| {
                let start = (thread + OF_CHAIN * u64::from(chain) + OF_ELEMENT * u64::from(element)) % STARTS;
                arrived[(thread % FACTORS * STARTS + start) as usize]
            };
            // The first chain is counted twice.
            let chains = std::iter::once(0).chain(0..chains);
            let all = chains.flat_map(|chain| (0..width).map(move |element| (chain, element))).map(element);
            if self.is_integer() {
                f64::from(all.fold(0, |sum: u32, element| sum.wrapping_add(element as u32)))
            } else {
                all.sum::<f64>()
            }
        };
        (0..ALIKE).map(of_thread).collect()
    }

    /// The first thread that did not arrive where it must.
    fn first_difference(&self, shape: Shape, deal: Deal, results: &[u8]) -> Option<String> {
        let Deal { threads, turns, longer } = deal;
        // Those with a turn more come first.
        for (range, turns) in [(0..longer, turns + 1), (longer..threads, turns)] {
            if range.is_empty() {
                continue;
            }
            let (expected, tolerance) = (self.expected(shape, turns), self.tolerance(shape, turns));
            for thread in range {
                let Some(word) = results.get(4 * thread as usize..).and_then(<[u8]>::first_chunk) else {
                    return Some(format!("thread {thread} has no result"));
                };
                let word = u32::from_ne_bytes(*word);
                let found = if self.is_integer() { f64::from(word) } else { f64::from(f32::from_bits(word)) };
                let expected = expected[(thread % ALIKE) as usize];
                let near = (found - expected).abs() <= tolerance;
                if !near {
                    return Some(format!(
                        "thread {thread} has {found} after {turns} turns, the reference says {expected}"
                    ));
                }
            }
        }
        None
    }

    /// How far rounding can take a result from that: errors of every step, as far as later steps do not make them smaller.
    fn tolerance(&self, shape: Shape, turns: u64) -> f64 {
        let [x, ..] = self.factors.map(f64::from);
        let lasting = (2.0 * (turns * u64::from(UNROLL)) as f64).min(1.0 / (1.0 - x));
        let sums = f64::from(shape.width * (shape.chains + 1));
        let largest = 61.0 * f64::from(self.scale) + 0.2 * lasting;
        largest * sums * (self.rounding * lasting + HANDING_OVER * sums)
    }
}

/// The product of four pairs of signed bytes.
fn dot(a: u32, b: u32) -> i32 {
    a.to_le_bytes()
        .into_iter()
        .zip(b.to_le_bytes())
        .map(|(a, b)| i32::from(a.cast_signed()) * i32::from(b.cast_signed()))
        .sum()
}

/// The shaders of every specialisation.
#[cfg(test)]
pub(super) fn shaders() -> Vec<Shader> {
    let of_format = |format: &Format| -> Vec<Shader> {
        format.shapes.iter().flat_map(|&shape| LANES.map(|lanes| format.shader(shape, lanes))).collect()
    };
    FORMATS.iter().flat_map(of_format).collect()
}

struct Variant {
    pipeline: Pipeline,
    bindings: wgpu::BindGroup,
    shape: Shape,
    lanes: u64,
    /// Turns of one thread that make an iteration.
    turns: u64,
}

/// Multiply-adds of a pair of formats.
pub(in crate::backend::wgpu) struct MultiplyAdd {
    format: &'static Format,
    results: Buffer,
    variants: Vec<Variant>,
    names: Vec<String>,
}

impl MultiplyAdd {
    pub(in crate::backend::wgpu) fn new(gpu: &Gpu, input: DType, accumulate: DType) -> Result<Self, BackendError> {
        let wanted = |format: &&Format| (format.input, format.accumulate) == (input, accumulate);
        let Some(format) = FORMATS.iter().find(wanted) else {
            return Err(BackendError::unsupported(format!("WGSL has no {input} multiply-adds summed in {accumulate}")));
        };
        if let Some((feature, name)) = format.needs {
            gpu.needs(feature, name)?;
        }
        let results = gpu.buffer(4 * MOST_THREADS)?;
        let (mut variants, mut names) = (Vec::new(), Vec::new());
        for &shape in format.shapes {
            for lanes in LANES.into_iter().filter(|&lanes| lanes <= gpu.limits.max_compute_invocations_per_workgroup) {
                let pipeline = gpu.pipeline(&format.shader(shape, lanes))?;
                let bindings = gpu.bind(&pipeline, &[(0, &results)])?;
                let of_turn = format.ops * 2 * u64::from(shape.width * shape.chains * UNROLL);
                names.push(format!("{} chains of {}, {lanes} lanes", shape.chains, shape.width));
                let turns = MULTIPLY_ADD_OPS / of_turn;
                variants.push(Variant { pipeline, bindings, shape, lanes: lanes.into(), turns });
            }
        }
        Ok(Self { format, results, variants, names })
    }

    /// Deals the turns of some iterations out to threads, as evenly as can be.
    fn deal(variant: &Variant, iterations: u64) -> Deal {
        let turns = iterations * variant.turns;
        let threads = (turns / LEAST_TURNS / variant.lanes * variant.lanes).clamp(variant.lanes, MOST_THREADS);
        Deal { threads, turns: turns / threads, longer: turns % threads }
    }

    fn put(&self, variant: &Variant, iterations: u64, pass: &mut wgpu::ComputePass<'_>) {
        let Deal { threads, turns, longer } = Self::deal(variant, iterations);
        let factors = if self.format.is_integer() { INTEGERS } else { self.format.factors.map(f32::to_bits) };
        let sizes = [turns, longer, threads].into_iter().chain(factors.map(u64::from));
        Dispatch {
            pipeline: &variant.pipeline,
            bindings: &variant.bindings,
            immediates: Immediates::of(&sizes.collect::<Vec<_>>()),
            groups: threads / variant.lanes,
        }
        .put(pass);
    }

    /// Checks some iterations in one dispatch, and says how long it took.
    fn verify_at(&self, variant: usize, iterations: u64, bench: &Bench<'_>) -> Result<f64, BackendError> {
        let variant = &self.variants[variant];
        bench.gpu.poison(&self.results)?;
        let time = bench.clock.time(bench.gpu, |pass| self.put(variant, iterations, pass))?;
        let results = bench.gpu.contents(&self.results)?;
        let difference = self.format.first_difference(variant.shape, Self::deal(variant, iterations), &results);
        difference.map_or(Ok(time.seconds), |text| Err(BackendError::WrongResult(text)))
    }
}

impl Program for MultiplyAdd {
    fn variants(&self) -> &[String] {
        &self.names
    }

    fn most_at_once(&self, variant: usize) -> u64 {
        (MOST_THREADS * (MOST_TURNS - 1) / self.variants[variant].turns).max(1)
    }

    fn dispatch(&mut self, variant: usize, iterations: u64, pass: &mut wgpu::ComputePass<'_>) {
        self.put(&self.variants[variant], iterations, pass);
    }

    /// One iteration and several, on threads that are alike and on threads with a turn more; and more of them up to a dispatch as long as those that are timed,
    /// all of whose threads must be there.
    fn verify(&mut self, variant: usize, bench: &Bench<'_>) -> Result<(), BackendError> {
        let most = self.most_at_once(variant);
        self.verify_at(variant, 1, bench)?;
        let mut iterations = 3;
        while self.verify_at(variant, iterations, bench)? < SUBMISSION && iterations < most {
            iterations = (iterations * GROWTH).min(most);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_divides_evenly_and_is_dealt_out_whole() {
        for format in &FORMATS {
            for shape in format.shapes {
                let of_turn = format.ops * 2 * u64::from(shape.width * shape.chains * UNROLL);
                assert_eq!(MULTIPLY_ADD_OPS % of_turn, 0, "{} {}x{}", format.input, shape.chains, shape.width);
            }
        }
    }

    /// What a device leaves that does all it is told to.
    fn results(format: &Format, shape: Shape, deal: Deal) -> Vec<u8> {
        let of_turns = [deal.turns + 1, deal.turns].map(|turns| format.expected(shape, turns));
        let word = |thread: u64| {
            let value = of_turns[usize::from(thread >= deal.longer)][(thread % ALIKE) as usize];
            if format.is_integer() { value as u32 } else { (value as f32).to_bits() }
        };
        (0..deal.threads).flat_map(|thread| word(thread).to_ne_bytes()).collect()
    }

    #[test]
    fn a_turn_too_few_is_told_from_rounding() {
        // Sums of f16 forget how many turns there were: its loop is that of the others.
        for format in FORMATS.iter().filter(|format| format.input != DType::F16) {
            for &shape in format.shapes {
                let [right, short] = [LEAST_TURNS, LEAST_TURNS - 1].map(|turns| format.expected(shape, turns));
                let tolerance = format.tolerance(shape, LEAST_TURNS);
                for thread in [0, 5, 60] {
                    let (right, short) = (right[thread], short[thread]);
                    assert!(
                        (right - short).abs() > tolerance,
                        "{} {thread}: {right} {short} ±{tolerance}",
                        format.input
                    );
                }
            }
        }
    }

    /// A driver that ends loops after some turns changes integers however many there are.
    #[test]
    fn integers_count_thousands_of_turns() {
        for format in FORMATS.iter().filter(|format| format.is_integer()) {
            let arrived = |turns: u64| format.chain(3, 5, turns);
            assert_ne!(arrived(8191), arrived(8192), "{}", format.input);
            assert_ne!(arrived(16_000), arrived(16_383), "{}", format.input);
        }
    }

    #[test]
    fn one_thread_that_did_not_run_is_found_among_many() {
        for format in &FORMATS {
            let (shape, deal) = (format.shapes[0], Deal { threads: 16_384, turns: 70, longer: 100 });
            let all = results(format, shape, deal);
            assert_eq!(format.first_difference(shape, deal, &all), None, "{}", format.input);
            for thread in [0, 99, 100, 12_345, 16_383] {
                let mut lost = all.clone();
                lost[4 * thread..][..4].fill(0xFF);
                let difference = format.first_difference(shape, deal, &lost).unwrap();
                assert!(difference.starts_with(&format!("thread {thread} ")), "{}: {difference}", format.input);
            }
        }
    }

    #[test]
    fn series_of_turns_add_up_as_turns_do() {
        for format in FORMATS.iter().filter(|format| !format.is_integer()) {
            let [x, step, y] = format.factors.map(f64::from);
            for (factor, start, turns) in [(0, 0, 1), (3, 60, 7), (7, 1, 500)] {
                let x = x - factor as f64 * step;
                let steps = (0..turns * u64::from(UNROLL)).flat_map(|_| [y, -y / 2.0]);
                let one_by_one = steps.fold(start as f64 * f64::from(format.scale), |sum, factor| sum * x + factor);
                let at_once = format.chain(factor, start, turns);
                assert!((at_once - one_by_one).abs() <= 1e-9, "{}: {at_once} {one_by_one}", format.input);
            }
        }
    }
}
