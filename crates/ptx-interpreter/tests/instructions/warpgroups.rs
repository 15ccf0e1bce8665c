//! Products of matrices in shared memory, held against plain products, and looking at sums too early.

use half::{bf16, f16};
use ptx_interpreter::{Cause, Counters, Fault, Launch, Loaded, Memory, Module, Options, Schedule};

const ROWS: usize = 64;
const COLUMNS: usize = 16;
const ROW_BYTES: usize = 128;
/// Registers of sums, which are 32 bits wide.
const SUMS: usize = ROWS * COLUMNS / 128;

/// An instruction, bytes of its elements and how small integers are written in them; its sums; what follows whether to add.
struct Form {
    name: &'static str,
    bytes: usize,
    encode: fn(i32) -> [u8; 4],
    is_integer: bool,
    rest: &'static str,
}

const FORMS: [Form; 5] = [
    Form { name: "m64n16k16.f32.f16.f16", bytes: 2, encode: of_f16, is_integer: false, rest: ", 1, 1, 0, 0" },
    Form { name: "m64n16k16.f32.bf16.bf16", bytes: 2, encode: of_bf16, is_integer: false, rest: ", 1, -1, 0, 0" },
    Form { name: "m64n16k8.f32.tf32.tf32", bytes: 4, encode: of_f32, is_integer: false, rest: ", 1, 1" },
    Form { name: "m64n16k32.f32.e4m3.e4m3", bytes: 1, encode: of_e4m3, is_integer: false, rest: ", -1, -1" },
    Form { name: "m64n16k32.s32.s8.s8", bytes: 1, encode: |value| [value as u8, 0, 0, 0], is_integer: true, rest: "" },
];

fn of_f16(value: i32) -> [u8; 4] {
    let [low, high] = f16::from_f32(value as f32).to_le_bytes();
    [low, high, 0, 0]
}

fn of_bf16(value: i32) -> [u8; 4] {
    let [low, high] = bf16::from_f32(value as f32).to_le_bytes();
    [low, high, 0, 0]
}

fn of_f32(value: i32) -> [u8; 4] {
    (value as f32).to_le_bytes()
}

fn of_e4m3(value: i32) -> [u8; 4] {
    let magnitudes = [0x00, 0x38, 0x40, 0x44];
    [magnitudes[value.unsigned_abs() as usize] | if value < 0 { 0x80 } else { 0 }, 0, 0, 0]
}

/// An element of all rows: those of A, and after them those of B.
fn element(row: usize, index: usize) -> i32 {
    ((row * 5 + index * 3 + row * index % 11) % 7) as i32 - 3
}

impl Form {
    /// Rows as the hardware wants them: vectors exchanged by the number of the row.
    fn memory(&self) -> Vec<u8> {
        let mut bytes = vec![0; (ROWS + COLUMNS) * ROW_BYTES];
        for row in 0..ROWS + COLUMNS {
            for index in 0..ROW_BYTES / self.bytes {
                let (vector, within) = (index * self.bytes / 16, index * self.bytes % 16);
                let at = row * ROW_BYTES + (vector ^ (row % 8)) * 16 + within;
                bytes[at..at + self.bytes].copy_from_slice(&(self.encode)(element(row, index))[..self.bytes]);
            }
        }
        bytes
    }

    /// Multiplies the second stretch of 32 bytes, then the last one, and stores sums at the end.
    fn kernel(&self) -> String {
        let names: Vec<String> = (0..SUMS).map(|index| format!("%c{index}")).collect();
        let names = names.join(", ");
        let product = |stretch: u32, adds: &str| {
            let name = self.name;
            let rest = self.rest;
            format!(
                "add.u64 %a, %first, {0}; add.u64 %b, %second, {0};
                wgmma.mma_async.sync.aligned.{name} {{{names}}}, %a, %b, {adds}{rest};",
                2 * stretch
            )
        };
        let stores: Vec<String> =
            (0..SUMS).map(|index| format!("st.global.b32 [%out+{}], %c{index};", 4 * index)).collect();
        format!(
            ".version 8.0
            .target sm_90a
            .address_size 64
            .visible .entry test(.param .u64 input, .param .u64 output) {{
                .reg .pred %yes, %no, %more;
                .reg .b32 %c<{SUMS}>, %thread, %at, %base, %w<4>;
                .reg .b64 %in, %out, %far, %from, %first, %second, %a, %b;
                .shared .align 1024 .b8 tile[{tile}];
                ld.param.u64 %in, [input];
                ld.param.u64 %out, [output];
                mov.u32 %thread, %tid.x;
                mul.wide.u32 %far, %thread, {own};
                add.s64 %out, %out, %far;
                mov.u32 %base, tile;
                shl.b32 %at, %thread, 4;
            fill:
                cvt.u64.u32 %from, %at;
                add.u64 %from, %from, %in;
                ld.global.v4.u32 {{%w0, %w1, %w2, %w3}}, [%from];
                add.u32 %w0, %w0, 0;
                add.u32 %at, %at, %base;
                st.shared.v4.u32 [%at], {{%w0, %w1, %w2, %w3}};
                sub.u32 %at, %at, %base;
                add.u32 %at, %at, 2048;
                setp.lt.u32 %more, %at, {tile};
                @%more bra fill;
                fence.proxy.async.shared::cta;
                bar.sync 0;
                shr.u32 %at, %base, 4;
                cvt.u64.u32 %first, %at;
                or.b64 %first, %first, 0x4000004000010000;
                add.u64 %second, %first, {second};
                setp.eq.u32 %yes, 0, 0;
                setp.ne.u32 %no, 0, 0;
                wgmma.fence.sync.aligned;
                {start}
                {add}
                wgmma.commit_group.sync.aligned;
                wgmma.wait_group.sync.aligned 0;
                {stores}
                ret;
            }}",
            tile = (ROWS + COLUMNS) * ROW_BYTES,
            own = 4 * SUMS,
            second = ROWS * ROW_BYTES / 16,
            start = product(1, "%no"),
            add = product(3, "%yes"),
            stores = stores.join("\n"),
        )
    }

    fn run(&self, text: &str, options: Options) -> Result<(Vec<u8>, Counters), Fault> {
        let memory = Memory::new(1 << 20);
        let content = self.memory();
        let from = memory.allocate(content.len() as u64).unwrap();
        memory.write(from, &content).unwrap();
        let to = memory.allocate((4 * ROWS * COLUMNS) as u64).unwrap();
        memory.fill(to, 0, (4 * ROWS * COLUMNS) as u64).unwrap();
        let loaded = Loaded::new(Module::parse(text).unwrap(), &memory).unwrap();
        let parameters = [from.to_le_bytes(), to.to_le_bytes()].concat();
        let launch = Launch { grid: [1; 3], block: [128, 1, 1], dynamic_shared: 0, parameters: &parameters, options };
        let counters = loaded.launch(loaded.kernel("test").unwrap(), &memory, &launch)?;
        let mut output = vec![0; 4 * ROWS * COLUMNS];
        memory.read(to, &mut output).unwrap();
        Ok((output, counters))
    }

    /// What a thread's register must hold.
    fn expected(&self, thread: usize, register: usize) -> u32 {
        // PTX ISA, "Register fragments for wgmma, matrix D".
        let row = thread / 32 * 16 + thread % 32 / 4 + if register % 4 < 2 { 0 } else { 8 };
        let column = register / 4 * 8 + thread % 4 * 2 + register % 2;
        let of_stretch = 32 / self.bytes;
        let stretch = |number: usize| number * of_stretch..(number + 1) * of_stretch;
        let sign = if self.rest.matches('-').count() == 1 { -1 } else { 1 };
        let products = stretch(1).chain(stretch(3)).map(|k| element(row, k) * element(ROWS + column, k));
        let sum = sign * products.sum::<i32>();
        if self.is_integer { sum as u32 } else { (sum as f32).to_bits() }
    }
}

#[test]
fn every_format_is_a_plain_product() {
    for form in &FORMS {
        for schedule in [Schedule::Plain, Schedule::Preemptive { seed: 1 }, Schedule::Preemptive { seed: 2 }] {
            let options = Options { schedule, races: true, ..Options::default() };
            let (output, counters) =
                form.run(&form.kernel(), options).unwrap_or_else(|fault| panic!("{}: {fault}", form.name));
            for (index, word) in output.as_chunks::<4>().0.iter().enumerate() {
                let expected = form.expected(index / SUMS, index % SUMS);
                assert_eq!(u32::from_le_bytes(*word), expected, "{} {index}", form.name);
            }
            let depth = 2 * 32 / form.bytes;
            assert_eq!(counters.operations.matrix, (2 * ROWS * COLUMNS * depth) as u64, "{}", form.name);
        }
    }
}

#[test]
fn sums_have_no_value_before_they_are_waited_for() {
    let form = &FORMS[1];
    let text = form.kernel();
    for (what, early) in [
        ("no wait", text.replace("wgmma.wait_group.sync.aligned 0;", "")),
        ("a group too few", text.replace("wgmma.wait_group.sync.aligned 0;", "wgmma.wait_group.sync.aligned 1;")),
        ("nothing to wait for", text.replace("wgmma.commit_group.sync.aligned;", "")),
    ] {
        for schedule in [Schedule::Plain, Schedule::Preemptive { seed: 3 }] {
            let fault = form.run(&early, Options { schedule, ..Options::default() }).unwrap_err();
            assert!(matches!(fault.cause, Cause::Unset { .. }), "{what}: {fault}");
        }
    }
}

#[test]
fn wrong_places_are_found() {
    let form = &FORMS[1];
    let text = form.kernel();
    let is_wrong = |text: &str| match form.run(text, Options { races: true, ..Options::default() }) {
        Err(_) => true,
        Ok((output, _)) => {
            let words = output.as_chunks::<4>().0.iter().enumerate();
            words.into_iter().any(|(at, word)| u32::from_le_bytes(*word) != form.expected(at / SUMS, at % SUMS))
        }
    };
    assert!(!is_wrong(&text));
    let strides = text.replace("0x4000004000010000", "0x4000002000010000");
    assert!(is_wrong(&strides), "eight rows are 1024 bytes");
    assert!(is_wrong(&text.replace("0x4000004000010000", "0x8000004000010000")), "another exchange");
    assert!(is_wrong(&text.replace("add.u64 %second, %first, 512", "add.u64 %second, %first, 448")));
    assert!(is_wrong(&text.replace("bar.sync 0;", "")), "no barrier before the product");
}

/// Between the products and the wait, or around them, something that must not be.
#[test]
fn registers_and_rows_stay_while_products_are_on_their_way() {
    let form = &FORMS[1];
    let text = form.kernel();
    let cause = |text: &str, schedule| form.run(text, Options { schedule, ..Options::default() }).unwrap_err().cause;
    let before_wait = |code: &str| text.replace("wgmma.commit_group", &format!("{code} wgmma.commit_group"));
    let before_fence = |code: &str| text.replace("wgmma.fence.sync.aligned;", code);
    for schedule in [Schedule::Plain, Schedule::Preemptive { seed: 1 }, Schedule::Preemptive { seed: 2 }] {
        let written = cause(&before_wait("mov.b32 %c3, 0;"), schedule);
        assert!(matches!(&written, Cause::Held { name } if name == "%c3"), "{written:?}");
        let loaded = cause(&before_wait("ld.global.b32 %c3, [%out];"), schedule);
        assert!(matches!(loaded, Cause::Held { .. }), "{loaded:?}");
        let copied = cause(&before_wait("mov.b32 %w0, %c3;"), schedule);
        assert!(matches!(copied, Cause::Unset { .. }), "{copied:?}");
        let stored = cause(&before_wait("st.shared.b32 [%base+8192], %w1;"), schedule);
        assert!(matches!(stored, Cause::InUse { address: 8192, .. }), "{stored:?}");
        let unfenced = cause(&before_fence("mov.b32 %c5, 0;"), schedule);
        assert!(matches!(&unfenced, Cause::Unordered { name } if name == "%c5"), "{unfenced:?}");
        let unseen = cause(&text.replace("fence.proxy.async.shared::cta;", ""), schedule);
        assert!(matches!(unseen, Cause::Unfenced { .. }), "{unseen:?}");
    }
    // What was fenced may be, and what was waited for is as any other register.
    let fenced = before_fence("mov.b32 %c5, 0; wgmma.fence.sync.aligned;");
    let after =
        text.replace("wait_group.sync.aligned 0;", "wait_group.sync.aligned 0; mov.b32 %w0, %c3; mov.b32 %c3, %w0;");
    for right in [fenced, after] {
        form.run(&right, Options::default()).unwrap_or_else(|fault| panic!("{fault}"));
    }
}
