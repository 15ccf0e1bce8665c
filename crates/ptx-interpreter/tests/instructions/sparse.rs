//! Products of small matrices with a sparse A, held against plain products of the whole A, with indices where the PTX ISA's
//! figures ("Matrix fragments for sparse mma") have them.

use ptx_interpreter::{Cause, Fault, Launch, Loaded, Memory, Module, Options};

use super::matrices::{
    BF16, E4M3, F16, F32, Form, Number, S8, S32, a_of_8, a_of_16, a_of_32, b_value, c_of, c_value, of_lane,
};
use super::support::parse;

/// Registers of each lane: A, B, C and the indices.
const REGISTERS: usize = 16;

/// A shape with formats.
struct Sparse {
    name: &'static str,
    depth: usize,
    factors: Number,
    sums: Number,
    /// Row and place of elements of A as they are held.
    a: fn(usize, usize, usize) -> (usize, usize),
    /// Selectors that there are.
    selectors: usize,
    /// The row and the group of four bits of a lane's indices, by its group, its number in it beyond the selector, and the
    /// place of the bits.
    indices: fn(usize, usize, usize) -> (usize, usize),
}

/// One lane has four groups of two rows; so do two, and each has one half of them; two have a row each; four do.
fn one_lane(g: usize, _: usize, i: usize) -> (usize, usize) {
    (g + 8 * (i / 4), i % 4)
}

fn halves(g: usize, t: usize, i: usize) -> (usize, usize) {
    (g + 8 * (i / 4), 4 * t + i % 4)
}

fn rows(g: usize, t: usize, i: usize) -> (usize, usize) {
    (g + 8 * t, i)
}

fn rows_and_halves(g: usize, t: usize, i: usize) -> (usize, usize) {
    (g + 8 * (t % 2), 8 * (t / 2) + i)
}

const FORMS: [Sparse; 9] = [
    Sparse {
        name: "m16n8k16.row.col.f32.f16.f16.f32",
        depth: 16,
        factors: F16,
        sums: F32,
        a: |i, g, t| (if i < 2 { g } else { g + 8 }, t * 2 + (i & 1)),
        selectors: 4,
        indices: one_lane,
    },
    wide("m16n8k32.row.col.f32.f16.f16.f32", 32, F16, F32, a_of_16),
    wide("m16n8k32.row.col.f16.f16.f16.f16", 32, F16, F16, a_of_16),
    wide("m16n8k32.row.col.f32.bf16.bf16.f32", 32, BF16, F32, a_of_16),
    Sparse {
        name: "m16n8k8.row.col.f32.tf32.tf32.f32",
        depth: 8,
        factors: F32,
        sums: F32,
        a: |i, g, t| (if i == 0 { g } else { g + 8 }, t),
        selectors: 4,
        indices: one_lane,
    },
    wide("m16n8k16.row.col.f32.tf32.tf32.f32", 16, F32, F32, a_of_32),
    Sparse {
        name: "m16n8k32.row.col.s32.s8.s8.s32",
        depth: 32,
        factors: S8,
        sums: S32,
        a: |i, g, t| (if i < 4 { g } else { g + 8 }, t * 4 + (i & 3)),
        selectors: 2,
        indices: rows,
    },
    bytes("m16n8k64.row.col.s32.s8.s8.s32", S8, S32),
    bytes("m16n8k64.row.col.f32.e4m3.e4m3.f32", E4M3, F32),
];

const fn wide(
    name: &'static str,
    depth: usize,
    factors: Number,
    sums: Number,
    a: fn(usize, usize, usize) -> (usize, usize),
) -> Sparse {
    Sparse { name, depth, factors, sums, a, selectors: 2, indices: halves }
}

const fn bytes(name: &'static str, factors: Number, sums: Number) -> Sparse {
    Sparse { name, depth: 64, factors, sums, a: a_of_8, selectors: 1, indices: rows_and_halves }
}

impl Sparse {
    /// Places of a group.
    const fn group(&self) -> usize {
        if self.factors.bits == 32 { 2 } else { 4 }
    }

    /// The places of a group that are not zero, and the bits that say so.
    fn places(&self, row: usize, group: usize) -> (Vec<usize>, u32) {
        let number = row * 5 + group * 3 + row * group % 7;
        if self.group() == 2 {
            return if number.is_multiple_of(2) { (vec![0], 0b0100) } else { (vec![1], 0b1110) };
        }
        let pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
        let (first, second) = pairs[number % pairs.len()];
        (vec![first, second], (first | second << 2) as u32)
    }

    /// An element of A as it is held: never zero, so that another place has another sum.
    fn held(row: usize, at: usize) -> i64 {
        [1, -1, 2, -2, 3, -3][(row * 7 + at * 5) % 6]
    }

    /// Row of the whole A.
    fn row(&self, row: usize) -> Vec<i64> {
        let mut whole = vec![0; self.depth];
        let held = self.group() / 2;
        for group in 0..self.depth / self.group() {
            for (index, place) in self.places(row, group).0.into_iter().enumerate() {
                whole[group * self.group() + place] = Self::held(row, group * held + index);
            }
        }
        whole
    }

    /// What the lanes hold: the indices where a selector looks for them, and what names no places elsewhere.
    fn input(&self, selector: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let lanes = 4 / self.selectors;
        for lane in 0..32 {
            let (g, t) = of_lane(lane);
            let mut own =
                Form::packed(self.factors, (0..8 * self.depth / 32).map(|i| Self::held_at((self.a)(i, g, t))));
            // B by columns, its rows in stretches of four registers of a column.
            let packed = 32 / self.factors.bits;
            let b = |i: usize| b_value((i / packed * 4 * packed + t * packed + i % packed, g));
            own.extend(Form::packed(self.factors, (0..self.depth / 4).map(b)));
            own.extend(Form::packed(self.sums, (0..4).map(|i| c_value(c_of(i, g, t)))));
            let bits = |i: usize| self.places((self.indices)(g, t % lanes, i).0, (self.indices)(g, t % lanes, i).1).1;
            let indices = (0..8).fold(0, |word, i| word | bits(i) << (4 * i));
            own.extend(if t / lanes == selector { indices } else { 0 }.to_le_bytes());
            own.resize(4 * REGISTERS, 0);
            bytes.extend(own);
        }
        bytes
    }

    fn held_at((row, at): (usize, usize)) -> i64 {
        Self::held(row, at)
    }

    /// A kernel in which every lane loads what it holds, multiplies, and stores what comes of it.
    fn kernel(&self, instruction: &str, selector: usize) -> String {
        let registers = |bits: usize, elements: usize| elements * bits / 32;
        let (of_a, of_b) = (registers(self.factors.bits, self.depth / 4), registers(self.factors.bits, self.depth / 4));
        let sums = registers(self.sums.bits, 4);
        let list = |first: usize, count: usize| {
            let names: Vec<String> = (first..first + count).map(|index| format!("%r{index}")).collect();
            format!("{{{}}}", names.join(", "))
        };
        let (a, b, c) = (list(0, of_a), list(of_a, of_b), list(of_a + of_b, sums));
        let indices = of_a + of_b + sums;
        let loads: String =
            (0..=indices).map(|index| format!("ld.global.b32 %r{index}, [%in+{}];\n", 4 * index)).collect();
        let stores: String = (0..sums)
            .map(|index| format!("st.global.b32 [%out+{}], %r{};\n", 4 * index, of_a + of_b + index))
            .collect();
        format!(
            ".version 8.5
            .target sm_80
            .address_size 64
            .visible .entry test(.param .u64 input, .param .u64 output) {{
                .reg .b32 %r<{REGISTERS}>, %thread;
                .reg .b64 %in, %out, %far;
                ld.param.u64 %in, [input];
                ld.param.u64 %out, [output];
                mov.u32 %thread, %tid.x;
                mul.wide.u32 %far, %thread, {far};
                add.s64 %in, %in, %far;
                add.s64 %out, %out, %far;
                {loads}
                {instruction}.sync.aligned.{name} {c}, {a}, {b}, {c}, %r{indices}, {selector};
                {stores}
                ret;
            }}",
            far = 4 * REGISTERS,
            name = self.name,
        )
    }

    fn run(&self, text: &str, input: &[u8]) -> Result<(Vec<u8>, u64), Fault> {
        let memory = Memory::new(1 << 20);
        let bytes = input.len() as u64;
        let (from, to) = (memory.allocate(bytes).unwrap(), memory.allocate(bytes).unwrap());
        memory.write(from, input).unwrap();
        memory.fill(to, 0, bytes).unwrap();
        let loaded = Loaded::new(Module::parse(text).unwrap(), &memory).unwrap();
        let parameters = [from.to_le_bytes(), to.to_le_bytes()].concat();
        let options = Options::default();
        let launch = Launch { grid: [1; 3], block: [32, 1, 1], dynamic_shared: 0, parameters: &parameters, options };
        let counters = loaded.launch(loaded.kernel("test").unwrap(), &memory, &launch)?;
        let mut output = vec![0; input.len()];
        memory.read(to, &mut output).unwrap();
        Ok((output, counters.operations.matrix))
    }
}

#[test]
fn every_sparse_shape_is_the_plain_product_of_the_whole() {
    for form in &FORMS {
        for selector in 0..form.selectors {
            for instruction in ["mma.sp", "mma.sp::ordered_metadata"] {
                let run = form.run(&form.kernel(instruction, selector), &form.input(selector));
                let (output, operations) = run.unwrap_or_else(|fault| panic!("{}: {fault}", form.name));
                for (lane, found) in output.chunks(4 * REGISTERS).enumerate() {
                    let (g, t) = of_lane(lane);
                    let sum = |i: usize| {
                        let (row, column) = c_of(i, g, t);
                        let pairs = form.row(row).into_iter().enumerate();
                        c_value((row, column)) + pairs.map(|(k, a)| a * b_value((k, column))).sum::<i64>()
                    };
                    let expected = Form::packed(form.sums, (0..4).map(sum));
                    assert_eq!(found[..expected.len()], expected, "{} {selector} lane {lane}", form.name);
                }
                // As many as of the dense product.
                assert_eq!(operations, 2 * 16 * 8 * form.depth as u64, "{}", form.name);
            }
        }
    }
}

#[test]
fn another_selector_finds_other_indices() {
    for form in FORMS.iter().filter(|form| form.selectors > 1) {
        let fault = form.run(&form.kernel("mma.sp", 1), &form.input(0)).unwrap_err();
        assert!(matches!(fault.cause, Cause::Indices { bits: 0 }), "{}: {fault}", form.name);
    }
}

#[test]
fn indices_name_two_places_in_the_order_that_is_stated() {
    let form = &FORMS[1];
    let place = 4 * (4 + 4 + 4);
    let with = |instruction: &str, indices: u32| {
        let mut input = form.input(0);
        input[place..place + 4].copy_from_slice(&indices.to_le_bytes());
        form.run(&form.kernel(instruction, 0), &input)
    };
    let descending = 0x4444_4441;
    assert!(with("mma.sp", descending).is_ok());
    let refused = |indices| match with("mma.sp::ordered_metadata", indices).unwrap_err().cause {
        Cause::Indices { bits } => bits,
        other => panic!("{other}"),
    };
    assert_eq!(refused(descending), 0b0001);
    assert_eq!(refused(0x4444_4454), 0b0101, "twice the same place");
}

#[test]
fn what_no_sparse_unit_has_is_not_understood() {
    let of = |form: &str, [a, b, c]: [usize; 3], selector: &str| {
        let registers = |count| format!("{{{}}}", vec!["%r1"; count].join(", "));
        let (a, b, c) = (registers(a), registers(b), registers(c));
        parse(&format!("mma.sp.sync.aligned.{form} {c}, {a}, {b}, {c}, %r2, {selector};"))
    };
    assert!(of("m16n8k32.row.col.f32.f16.f16.f32", [4, 4, 4], "1").is_ok());
    assert!(of("m16n8k32.row.col.f32.f16.f16.f32", [4, 4, 4], "2").is_err(), "there are two selectors");
    assert!(of("m16n8k32.row.col.f32.f16.f16.f32", [4, 4, 4], "%r3").is_err(), "a selector is a constant");
    assert!(of("m16n8k64.row.col.s32.s8.s8.s32", [4, 4, 4], "1").is_err(), "all lanes have indices");
    assert!(of("m16n8k32.row.col.f32.f16.f16.f32", [8, 4, 4], "0").is_err(), "zeros are not held");
    assert!(of("m16n8k32.row.col.f32.e4m3.e4m3.f32", [2, 2, 4], "0").is_err());
    assert!(of("m16n8k4.row.col.f64.f64.f64.f64", [1, 1, 4], "0").is_err());
}
