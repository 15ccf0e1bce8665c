//! Small kernels around a few instructions.

use ptx_interpreter::{Counters, Fault, Launch, Loaded, Memory, Module, Options, ParseError};

/// A kernel with registers of all widths and the addresses of its input and output in `%in` and `%out`, where every
/// thread has eight bytes of its own.
pub(crate) fn kernel(code: &str) -> String {
    format!(
        ".version 8.8
        .target sm_90
        .address_size 64
        .visible .entry test(.param .u64 input, .param .u64 output) {{
            .reg .pred %p<8>;
            .reg .b16 %h<16>;
            .reg .b32 %r<16>;
            .reg .b64 %rd<16>, %in, %out;
            .reg .b32 %thread, %offset;
            .reg .b64 %far;
            ld.param.u64 %in, [input];
            ld.param.u64 %out, [output];
            mov.u32 %thread, %tid.x;
            mul.wide.u32 %far, %thread, 8;
            add.s64 %out, %out, %far;
            {code}
            ret;
        }}"
    )
}

/// Whether instructions are understood.
pub(crate) fn parse(code: &str) -> Result<Module, ParseError> {
    Module::parse(&kernel(code))
}

/// Runs instructions in a block of so many threads. Returns what each stored, and what was counted.
pub(crate) fn run_with(
    code: &str,
    input: &[u8],
    threads: u32,
    options: Options,
) -> Result<(Vec<u64>, Counters), Fault> {
    let memory = Memory::new(1 << 20);
    let from = memory.allocate(input.len().max(8) as u64).unwrap();
    memory.write(from, input).unwrap();
    let to = memory.allocate(8 * u64::from(threads)).unwrap();
    memory.fill(to, 0, 8 * u64::from(threads)).unwrap();
    let loaded = Loaded::new(parse(code).unwrap(), &memory).unwrap();
    let kernel = loaded.kernel("test").unwrap();
    let parameters = [from.to_le_bytes(), to.to_le_bytes()].concat();
    let (grid, block) = ([1, 1, 1], [threads, 1, 1]);
    let counters =
        loaded.launch(kernel, &memory, &Launch { grid, block, dynamic_shared: 0, parameters: &parameters, options })?;
    let mut output = vec![0; 8 * threads as usize];
    memory.read(to, &mut output).unwrap();
    let words = output.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    Ok((words, counters))
}

/// What the threads of a warp store.
pub(crate) fn warp(code: &str) -> Vec<u64> {
    run_with(code, &[], 32, Options::default()).unwrap().0
}

/// A value of so many bits.
#[derive(Clone, Copy)]
pub(crate) struct Bits(pub(crate) u32, pub(crate) u64);

pub(crate) fn b16(value: u16) -> Bits {
    Bits(16, value.into())
}

pub(crate) fn b32(value: u32) -> Bits {
    Bits(32, value.into())
}

pub(crate) fn s32(value: i32) -> Bits {
    b32(value as u32)
}

pub(crate) fn b64(value: u64) -> Bits {
    Bits(64, value)
}

pub(crate) fn f32(value: f32) -> Bits {
    b32(value.to_bits())
}

pub(crate) fn f64(value: f64) -> Bits {
    b64(value.to_bits())
}

fn register(width: u32, index: usize) -> String {
    match width {
        1 => format!("%p{index}"),
        16 => format!("%h{index}"),
        32 => format!("%r{index}"),
        _ => format!("%rd{index}"),
    }
}

/// What an instruction makes of values: `D` is its result of `width` bits, `A`, `B`, `C` and `E` its operands.
pub(crate) fn eval(code: &str, width: u32, operands: &[Bits]) -> u64 {
    let mut text = String::new();
    let mut names = vec![("D", register(width, 0))];
    for (index, (name, Bits(bits, value))) in ["A", "B", "C", "E"].into_iter().zip(operands).enumerate() {
        let name_in_text = register(*bits, index + 1);
        if *bits == 1 {
            text += &format!("setp.ne.u32 {name_in_text}, {value}, 0;\n");
        } else {
            text += &format!("mov.b{bits} {name_in_text}, {value};\n");
        }
        names.push((name, name_in_text));
    }
    // Operands stand alone: between a space, a bracket, a brace, a bar or a comma.
    for word in code.split_inclusive([' ', ',', ';', '{', '}', '|', '!']) {
        let (body, end) = word.split_at(word.len() - usize::from(!word.ends_with(char::is_alphanumeric)));
        let replaced = names.iter().find(|(name, _)| *name == body).map_or(body, |(_, register)| register);
        text += replaced;
        text += end;
    }
    let result = register(width, 0);
    text += &match width {
        1 => format!("\nselp.b64 %rd0, 1, 0, {result};"),
        64 => String::new(),
        _ => format!("\ncvt.u64.u{width} %rd0, {result};"),
    };
    text += "\nst.global.u64 [%out], %rd0;";
    run_with(&text, &[], 1, Options::default()).unwrap_or_else(|fault| panic!("{code}: {fault}")).0[0]
}
