//! Products of small matrices and loading their parts, held against plain products and the layouts that the PTX ISA
//! states for each shape.

use half::{bf16, f16};
use ptx_interpreter::{Cause, Counters, Fault, Launch, Loaded, Memory, Module, Options, Schedule};

use super::support::{parse, run_with};

/// Bytes that each thread reads and writes.
const BYTES: usize = 128;

/// A shape with formats, as the manual states it: what element `i` of a lane's part is, by the lane's group and its number
/// in it.
pub(super) struct Form {
    name: &'static str,
    rows: usize,
    depth: usize,
    factors: Number,
    sums: Number,
    /// Row and column of elements of A.
    a: fn(usize, usize, usize) -> (usize, usize),
    /// Row and column of elements of B.
    b: fn(usize, usize, usize) -> (usize, usize),
}

/// How small integers are written in a format.
#[derive(Clone, Copy)]
pub(super) struct Number {
    pub(super) bits: usize,
    encode: fn(i64) -> u64,
}

const F64: Number = Number { bits: 64, encode: |value| (value as f64).to_bits() };
pub(super) const F32: Number = Number { bits: 32, encode: |value| (value as f32).to_bits().into() };
pub(super) const F16: Number = Number { bits: 16, encode: |value| f16::from_f64(value as f64).to_bits().into() };
pub(super) const BF16: Number = Number { bits: 16, encode: |value| bf16::from_f64(value as f64).to_bits().into() };
pub(super) const E4M3: Number = Number { bits: 8, encode: |value| minifloat(value, 3, 7) };
const E5M2: Number = Number { bits: 8, encode: |value| minifloat(value, 2, 15) };
pub(super) const S32: Number = Number { bits: 32, encode: |value| u64::from(value as i32 as u32) };
pub(super) const S8: Number = Number { bits: 8, encode: |value| u64::from(value as i8 as u8) };
const S4: Number = Number { bits: 4, encode: |value| value as u64 & 15 };

/// The bits of a small integer in a format of eight bits.
fn minifloat(value: i64, fraction: u32, bias: u64) -> u64 {
    let sign = u64::from(value < 0) << 7;
    let magnitude = value.unsigned_abs();
    if magnitude == 0 {
        return 0;
    }
    let exponent = magnitude.ilog2();
    let digits = (magnitude << fraction >> exponent) & ((1 << fraction) - 1);
    sign | (u64::from(exponent) + bias) << fraction | digits
}

const fn form(
    name: &'static str,
    (rows, depth): (usize, usize),
    (factors, sums): (Number, Number),
    a: fn(usize, usize, usize) -> (usize, usize),
    b: fn(usize, usize, usize) -> (usize, usize),
) -> Form {
    Form { name, rows, depth, factors, sums, a, b }
}

/// PTX ISA, "Matrix fragments for mma", shape by shape.
const FORMS: [Form; 17] = [
    form("m8n8k4.row.col.f64.f64.f64.f64", (8, 4), (F64, F64), |_, g, t| (g, t), |_, g, t| (t, g)),
    form(
        "m16n8k4.row.col.f64.f64.f64.f64",
        (16, 4),
        (F64, F64),
        |i, g, t| (if i == 0 { g } else { g + 8 }, t),
        |_, g, t| (t, g),
    ),
    form(
        "m16n8k8.row.col.f64.f64.f64.f64",
        (16, 8),
        (F64, F64),
        |i, g, t| (if i == 0 || i == 2 { g } else { g + 8 }, if i < 2 { t } else { t + 4 }),
        |i, g, t| (if i == 0 { t } else { t + 4 }, g),
    ),
    form(
        "m16n8k16.row.col.f64.f64.f64.f64",
        (16, 16),
        (F64, F64),
        |i, g, t| (if i % 2 == 0 { g } else { g + 8 }, i * 2 - i % 2 * 2 + t),
        |i, g, t| (i * 4 + t, g),
    ),
    form(
        "m16n8k4.row.col.f32.tf32.tf32.f32",
        (16, 4),
        (F32, F32),
        |i, g, t| (if i == 0 { g } else { g + 8 }, t),
        |_, g, t| (t, g),
    ),
    form("m16n8k8.row.col.f32.tf32.tf32.f32", (16, 8), (F32, F32), a_of_32, |i, g, t| {
        (if i == 0 { t } else { t + 4 }, g)
    }),
    form(
        "m16n8k8.row.col.f32.f16.f16.f32",
        (16, 8),
        (F16, F32),
        |i, g, t| (if i < 2 { g } else { g + 8 }, t * 2 + (i & 1)),
        |i, g, t| (t * 2 + i, g),
    ),
    form("m16n8k16.row.col.f32.f16.f16.f32", (16, 16), (F16, F32), a_of_16, b_of_16),
    form("m16n8k16.row.col.f16.f16.f16.f16", (16, 16), (F16, F16), a_of_16, b_of_16),
    form("m16n8k16.row.col.f32.bf16.bf16.f32", (16, 16), (BF16, F32), a_of_16, b_of_16),
    form("m16n8k32.row.col.f32.e4m3.e4m3.f32", (16, 32), (E4M3, F32), a_of_8, b_of_8),
    form("m16n8k32.row.col.f32.e5m2.e5m2.f32", (16, 32), (E5M2, F32), a_of_8, b_of_8),
    form("m8n8k16.row.col.s32.s8.s8.s32", (8, 16), (S8, S32), |i, g, t| (g, t * 4 + i), |i, g, t| (t * 4 + i, g)),
    form(
        "m16n8k16.row.col.s32.s8.s8.s32",
        (16, 16),
        (S8, S32),
        |i, g, t| (if i < 4 { g } else { g + 8 }, t * 4 + (i & 3)),
        |i, g, t| (t * 4 + i, g),
    ),
    form("m16n8k32.row.col.s32.s8.s8.s32", (16, 32), (S8, S32), a_of_8, b_of_8),
    form("m8n8k32.row.col.s32.s4.s4.s32", (8, 32), (S4, S32), |i, g, t| (g, t * 8 + i), |i, g, t| (t * 8 + i, g)),
    form(
        "m16n8k64.row.col.s32.s4.s4.s32",
        (16, 64),
        (S4, S32),
        |i, g, t| (if i / 8 % 2 == 0 { g } else { g + 8 }, t * 8 + (i & 7) + if i < 16 { 0 } else { 32 }),
        |i, g, t| (t * 8 + (i & 7) + if i < 8 { 0 } else { 32 }, g),
    ),
];

/// m16n8k8 of 32-bit elements.
pub(super) fn a_of_32(i: usize, g: usize, t: usize) -> (usize, usize) {
    (if i == 0 || i == 2 { g } else { g + 8 }, if i < 2 { t } else { t + 4 })
}

/// m16n8k16 of 16-bit elements.
pub(super) fn a_of_16(i: usize, g: usize, t: usize) -> (usize, usize) {
    let row = if i < 2 || (4..6).contains(&i) { g } else { g + 8 };
    (row, t * 2 + (i & 1) + if i < 4 { 0 } else { 8 })
}

fn b_of_16(i: usize, g: usize, t: usize) -> (usize, usize) {
    (t * 2 + (i & 1) + if i < 2 { 0 } else { 8 }, g)
}

/// m16n8k32 of 8-bit elements.
pub(super) fn a_of_8(i: usize, g: usize, t: usize) -> (usize, usize) {
    let row = if i < 4 || (8..12).contains(&i) { g } else { g + 8 };
    (row, t * 4 + (i & 3) + if i < 8 { 0 } else { 16 })
}

fn b_of_8(i: usize, g: usize, t: usize) -> (usize, usize) {
    (t * 4 + (i & 3) + if i < 4 { 0 } else { 16 }, g)
}

/// A lane's group and its number in it.
pub(super) fn of_lane(lane: usize) -> (usize, usize) {
    (lane / 4, lane % 4)
}

/// Rows and columns of sums, for all shapes.
pub(super) fn c_of(i: usize, g: usize, t: usize) -> (usize, usize) {
    (if i < 2 { g } else { g + 8 }, t * 2 + (i & 1))
}

/// Small numbers that every format has.
fn a_value((row, column): (usize, usize)) -> i64 {
    (row * 7 + column * 5) as i64 % 7 - 3
}

pub(super) fn b_value((row, column): (usize, usize)) -> i64 {
    (row * 3 + column * 11) as i64 % 5 - 2
}

pub(super) fn c_value((row, column): (usize, usize)) -> i64 {
    (row * 13 + column) as i64 % 30 - 9
}

impl Form {
    fn registers(&self, elements: usize, number: Number) -> usize {
        elements / 32 * number.bits / number.bits.max(32)
    }

    /// A kernel in which every lane loads its parts, multiplies, and stores what comes of it.
    fn kernel(&self) -> String {
        let (wide, sum_wide) = (self.factors.bits == 64, self.sums.bits == 64);
        let mut body = String::new();
        let mut at = 0;
        let mut load = |name: &str, count: usize, wide: bool| {
            let names: Vec<String> = (0..count).map(|index| format!("%{name}{index}")).collect();
            let width = if wide { 8 } else { 4 };
            for register in &names {
                body += &format!("ld.global.b{} {register}, [%in+{at}];\n", 8 * width);
                at += width;
            }
            format!("{{{}}}", names.join(", "))
        };
        let a = load(if wide { "wa" } else { "a" }, self.registers(self.rows * self.depth, self.factors), wide);
        let b = load(if wide { "wb" } else { "b" }, self.registers(8 * self.depth, self.factors), wide);
        let sums = self.registers(self.rows * 8, self.sums);
        let c = load(if sum_wide { "wc" } else { "c" }, sums, sum_wide);
        assert!(at <= BYTES);
        body += &format!("mma.sync.aligned.{} {c}, {a}, {b}, {c};\n", self.name);
        for index in 0..sums {
            let (name, width) = if sum_wide { ("wc", 8) } else { ("c", 4) };
            body += &format!("st.global.b{} [%out+{}], %{name}{index};\n", 8 * width, index * width);
        }
        format!(
            ".version 8.4
            .target sm_90
            .address_size 64
            .visible .entry test(.param .u64 input, .param .u64 output) {{
                .reg .b32 %a<8>, %b<8>, %c<8>, %thread;
                .reg .b64 %wa<8>, %wb<8>, %wc<8>, %in, %out, %far;
                ld.param.u64 %in, [input];
                ld.param.u64 %out, [output];
                mov.u32 %thread, %tid.x;
                mul.wide.u32 %far, %thread, {BYTES};
                add.s64 %in, %in, %far;
                add.s64 %out, %out, %far;
                {body}
                ret;
            }}"
        )
    }

    /// The bytes of elements that follow one another.
    pub(super) fn packed(number: Number, values: impl Iterator<Item = i64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (mut word, mut filled) = (0_u64, 0);
        for value in values {
            word |= (number.encode)(value) << filled;
            filled += number.bits;
            if filled >= 8 {
                bytes.extend(&word.to_le_bytes()[..filled / 8]);
                (word, filled) = (0, 0);
            }
        }
        bytes
    }

    fn run(&self) -> (Vec<u8>, Counters) {
        let memory = Memory::new(1 << 20);
        let (from, to) = (memory.allocate(32 * BYTES as u64).unwrap(), memory.allocate(32 * BYTES as u64).unwrap());
        for lane in 0..32 {
            let (g, t) = of_lane(lane);
            let parts = [
                Self::packed(self.factors, (0..self.rows * self.depth / 32).map(|i| a_value((self.a)(i, g, t)))),
                Self::packed(self.factors, (0..8 * self.depth / 32).map(|i| b_value((self.b)(i, g, t)))),
                Self::packed(self.sums, (0..self.rows * 8 / 32).map(|i| c_value(c_of(i, g, t)))),
            ];
            memory.write(from + (lane * BYTES) as u64, &parts.concat()).unwrap();
        }
        memory.fill(to, 0, 32 * BYTES as u64).unwrap();
        let loaded = Loaded::new(Module::parse(&self.kernel()).unwrap(), &memory).unwrap();
        let parameters = [from.to_le_bytes(), to.to_le_bytes()].concat();
        let options = Options::default();
        let launch = Launch { grid: [1; 3], block: [32, 1, 1], dynamic_shared: 0, parameters: &parameters, options };
        let kernel = loaded.kernel("test").unwrap();
        let counters = loaded.launch(kernel, &memory, &launch).unwrap_or_else(|fault| panic!("{}: {fault}", self.name));
        let mut output = vec![0; 32 * BYTES];
        memory.read(to, &mut output).unwrap();
        (output, counters)
    }
}

#[test]
fn every_shape_is_a_plain_product() {
    for form in &FORMS {
        let (output, counters) = form.run();
        for (lane, found) in output.chunks(BYTES).enumerate() {
            let product = |i: usize| {
                let (row, column) = c_of(i, lane / 4, lane % 4);
                let of_depth = |k| a_value((row, k)) * b_value((k, column));
                c_value((row, column)) + (0..form.depth).map(of_depth).sum::<i64>()
            };
            let expected = Form::packed(form.sums, (0..form.rows * 8 / 32).map(product));
            assert_eq!(found[..expected.len()], expected, "{} lane {lane}", form.name);
        }
        assert_eq!(counters.operations.matrix, 2 * (form.rows * 8 * form.depth) as u64, "{}", form.name);
    }
}

#[test]
fn what_no_matrix_unit_has_is_not_understood() {
    let of = |form: &str, a: usize, b: usize, c: usize| {
        let registers = |count| format!("{{{}}}", vec!["%r1"; count].join(", "));
        let (a, b, c) = (registers(a), registers(b), registers(c));
        parse(&format!("mma.sync.aligned.{form} {c}, {a}, {b}, {c};"))
    };
    assert!(of("m16n8k16.row.col.f32.f16.f16.f32", 4, 2, 4).is_ok());
    assert!(of("m16n8k16.row.col.f32.f16.f16.f32", 4, 2, 2).is_err(), "too few registers");
    assert!(of("m16n8k16.row.col.f32.f16.bf16.f32", 4, 2, 4).is_err());
    assert!(of("m16n8k16.row.col.f16.bf16.bf16.f16", 4, 2, 2).is_err());
    assert!(of("m16n8k16.row.row.f32.f16.f16.f32", 4, 2, 4).is_err());
    assert!(of("m16n8k32.row.col.f32.f16.f16.f32", 8, 4, 4).is_err());
    assert!(of("m8n8k4.row.col.f32.f16.f16.f32", 1, 1, 2).is_err(), "what Volta has is of another kind");
    assert!(of("m16n8k32.row.col.satfinite.f32.e4m3.e4m3.f32", 4, 2, 4).is_err());
    assert!(of("m16n8k32.row.col.satfinite.s32.u8.s8.s32", 4, 2, 4).is_ok());
}

/// A single product: the first element of the first row and column, and what was there.
fn corner(form: &str, [a, b, c]: [u32; 3], registers: [usize; 3]) -> u32 {
    let list = |name: &str, count: usize| {
        let names: Vec<String> =
            (0..count).map(|index| if index == 0 { name.to_owned() } else { "%r9".to_owned() }).collect();
        format!("{{{}}}", names.join(", "))
    };
    let sinks: Vec<String> = (0..registers[2]).map(|index| format!("%r{}", 10 + index)).collect();
    let code = format!(
        "setp.eq.u32 %p1, %thread, 0;
        mov.b32 %r9, 0;
        selp.b32 %r1, {a}, 0, %p1; selp.b32 %r2, {b}, 0, %p1; selp.b32 %r3, {c}, 0, %p1;
        mma.sync.aligned.{form} {{{}}}, {}, {}, {};
        cvt.u64.u32 %rd0, %r10; st.global.u64 [%out], %rd0;",
        sinks.join(", "),
        list("%r1", registers[0]),
        list("%r2", registers[1]),
        list("%r3", registers[2])
    );
    run_with(&code, &[], 32, Options::default()).unwrap().0[0] as u32
}

#[test]
fn sums_are_rounded_once_and_wrap_or_stay_within_bounds() {
    let pair =
        |low: f32, high: f32| u32::from(f16::from_f32(low).to_bits()) | u32::from(f16::from_f32(high).to_bits()) << 16;
    let float = "m16n8k16.row.col.f32.f16.f16.f32";
    // 1 + 2^-24 is a tie; with 2^-40 more it is none.
    let tiny = 0.5_f32.powi(12);
    let small = 0.5_f32.powi(14);
    let tie = corner(float, [pair(tiny, 0.0), pair(tiny, 0.0), 1.0_f32.to_bits()], [4, 2, 4]);
    assert_eq!(f32::from_bits(tie), 1.0);
    let more = corner(float, [pair(tiny, small), pair(tiny, small), 1.0_f32.to_bits()], [4, 2, 4]);
    assert_eq!(f32::from_bits(more), 1.0 + f32::EPSILON);
    let infinite = corner(float, [pair(f32::INFINITY, 1.0), pair(1.0, 1.0), 0], [4, 2, 4]);
    assert_eq!(f32::from_bits(infinite), f32::INFINITY);
    assert_eq!(corner(float, [pair(f32::INFINITY, 0.0), pair(0.0, 0.0), 0], [4, 2, 4]), 0x7fff_ffff);
    let integer = |saturate: &str| {
        let form = format!("m8n8k16.row.col{saturate}.s32.u8.s8.s32");
        corner(&form, [0xff, 0x7f, i32::MAX as u32], [1, 1, 2]) as i32
    };
    assert_eq!(integer(""), i32::MAX.wrapping_add(255 * 127));
    assert_eq!(integer(".satfinite"), i32::MAX);
}

#[test]
fn a_part_of_a_warp_multiplies_nothing() {
    let code = "mov.b32 %r1, 0; mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r2, %r3, %r4, %r5}, {%r1, %r1}, {%r1}, {%r1, %r1, %r1, %r1};";
    let run = |code: &str, threads: u32| -> Fault { run_with(code, &[], threads, Options::default()).unwrap_err() };
    assert!(matches!(run(code, 16).cause, Cause::Membership { lanes: 0xffff, .. }));
    let guarded = format!("setp.lt.u32 %p1, %thread, 8; {}", code.replace("mma", "@%p1 mma"));
    assert!(matches!(run(&guarded, 32).cause, Cause::Membership { lanes: 0xff, .. }), "the others have ended");
}

/// Stores its number to every 16-bit word of a tile of 512 bytes, and loads matrices from rows that lie `stride` bytes
/// apart.
fn load(form: &str, stride: u32) -> (Vec<u64>, Counters) {
    let registers = ["%r10", "%r11", "%r12", "%r13"];
    let count = form.split('.').find_map(|word| word.strip_prefix('x')?.parse::<usize>().ok()).unwrap();
    let code = format!(
        ".shared .align 16 .b8 tile[8192];
        mov.u32 %r1, tile;
        mul.lo.u32 %r2, %thread, 16;
        mov.u32 %r3, 0;
    fill:
        mad.lo.u32 %r4, %r3, 512, %r1;
        add.u32 %r4, %r4, %r2;
        mul.lo.u32 %r5, %thread, 8;
        mad.lo.u32 %r5, %r3, 256, %r5;
        mad.lo.u32 %r5, %r5, 0x10001, 0x10000;
        add.u32 %r6, %r5, 0x20002;
        add.u32 %r7, %r6, 0x20002;
        add.u32 %r8, %r7, 0x20002;
        st.shared.v4.u32 [%r4], {{%r5, %r6, %r7, %r8}};
        add.u32 %r3, %r3, 1;
        setp.lt.u32 %p1, %r3, 16;
        @%p1 bra fill;
        bar.sync 0;
        mad.lo.u32 %r9, %thread, {stride}, %r1;
        {form} {{{}}}, [%r9];
        mov.b64 %rd0, {{%r10, {}}};
        st.global.u64 [%out], %rd0;",
        registers[..count].join(", "),
        registers[count - 1]
    );
    run_with(&code, &[], 32, Options::default()).unwrap_or_else(|fault| panic!("{form}: {fault}"))
}

#[test]
fn matrices_are_loaded_row_by_row_or_transposed() {
    // Word w of the tile holds the number w; rows lie one after another, eight words each.
    let expected = |lane: u64, matrix: u64, transposed: bool| {
        let (row, column) = (lane / 4, lane % 4 * 2);
        let word = |column| matrix * 64 + if transposed { column * 8 + row } else { row * 8 + column };
        word(column) | word(column + 1) << 16
    };
    for (form, last, transposed) in [
        ("ldmatrix.sync.aligned.m8n8.x1.shared.b16", 0, false),
        ("ldmatrix.sync.aligned.m8n8.x2.shared.b16", 1, false),
        ("ldmatrix.sync.aligned.m8n8.x4.shared::cta.b16", 3, false),
        ("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16", 0, true),
        ("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16", 3, true),
    ] {
        let (found, _) = load(form, 16);
        for (lane, found) in (0..).zip(found) {
            let both = expected(lane, 0, transposed) | expected(lane, last, transposed) << 32;
            assert_eq!(found, both, "{form} lane {lane}");
        }
    }
    assert!(parse("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2}, [%r3];").is_err());
    assert!(parse("ldmatrix.sync.aligned.m8n16.x1.shared.b8x16 {%r1}, [%r3];").is_err());
}

#[test]
fn rows_of_a_matrix_in_the_same_banks_are_conflicts() {
    let of = |stride| load("ldmatrix.sync.aligned.m8n8.x4.shared.b16", stride).1;
    let stored = 16 * 4;
    assert_eq!((of(16).shared_accesses, of(16).bank_conflicts), (stored + 4, 0));
    assert_eq!(of(128).bank_conflicts, 4 * 7);
    assert_eq!(of(64).bank_conflicts, 4 * 3);
    assert_eq!(of(80).bank_conflicts, 0, "a padded row");
}

#[test]
fn copies_to_the_same_banks_are_conflicts() {
    let of = |stride: u32| {
        let code = format!(
            ".shared .align 16 .b8 tile[4096];
            mov.u32 %r1, tile;
            mad.lo.u32 %r2, %thread, {stride}, %r1;
            mul.wide.u32 %rd1, %thread, 16;
            add.u64 %rd1, %rd1, %in;
            cp.async.cg.shared.global [%r2], [%rd1], 16;
            cp.async.wait_all;"
        );
        run_with(&code, &[0; 512], 32, Options::default()).unwrap().1.bank_conflicts
    };
    assert_eq!((of(16), of(128)), (0, 4 * 7));
}

/// Products in which lanes are interrupted, and meet again.
#[test]
fn lanes_wait_for_the_whole_warp() {
    let code = "
        mov.b32 %r1, 0x3c003c00;
        mov.b32 %r9, 0;
        mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r2, %r3, %r4, %r5}, {%r1, %r1}, {%r1}, {%r9, %r9, %r9, %r9};
        cvt.u64.u32 %rd0, %r5;
        st.global.u64 [%out], %rd0;";
    for seed in 0..10 {
        let options = Options { schedule: Schedule::Preemptive { seed }, ..Options::default() };
        assert_eq!(run_with(code, &[], 96, options).unwrap().0, [u64::from(8.0_f32.to_bits()); 96]);
    }
}
