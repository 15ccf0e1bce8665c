//! The reference of the multiply-adds: seeded operands, and the same rounds one product at a time.

use half::{bf16, f16};

use super::{Form, Instruction, Operands, State};
use crate::data::{Seed, signed_f64};
use crate::dtype::{DType, Kind};

/// Registers before the first round. Factors are random in (−1, 1), or random bytes in 0…127 and −127…127, which mean the same
/// to instructions that read the first factor as signed and as unsigned.
pub(super) fn initial(instruction: &Instruction, lane: usize) -> State {
    let lane = lane as u32;
    let random = |seed: u32, index: usize| signed_f64(Seed(seed + 8 * lane), index as u32);
    let mut state = State { sums: [0; _], x: [0; _], y: [0; _], z: [0; _] };
    for index in 0..instruction.sums() {
        write(instruction.accumulate, &mut state.sums, index, random(1, index) * scale(instruction.accumulate));
    }
    for index in 0..1024 / instruction.factor_bytes() {
        let scale = scale(instruction.input);
        let x = match instruction.form {
            // Near 1, so that sums remember how many rounds there were.
            Form::ScaleSum => 1.0 - random(2, index).abs() * 1e-4,
            Form::Fused | Form::SumProducts => random(2, index) * scale,
        };
        write(instruction.input, &mut state.x, index, if instruction.input == DType::Int8 { x.abs() } else { x });
        let y = random(3, index) * scale;
        write(instruction.input, &mut state.y, index, y);
        // Tiles are eight in all: six sums, x and y. Their rounds add x·y twice.
        let z = if instruction.operands == Operands::Tile { y } else { -y / 2.0 };
        write(instruction.input, &mut state.z, index, z);
    }
    state
}

fn scale(dtype: DType) -> f64 {
    match dtype.format().kind {
        Kind::Float => 1.0,
        Kind::Integer => 127.0,
    }
}

/// The rounds, one sum after the other.
pub(super) fn rounds(instruction: &Instruction, state: &mut State, rounds: u64) {
    let State { sums, x, y, z } = state;
    let per_register = instruction.register_bytes() / instruction.sum_bytes();
    for index in 0..instruction.sums() {
        let products = [&*y, &*z].map(|factor| products(instruction, index % per_register, x, factor));
        for _ in 0..rounds {
            for products in &products {
                add_products(instruction, sums, index, products);
            }
        }
    }
}

/// The products that a sum at some place in its register adds, as pairs of factors.
fn products(instruction: &Instruction, place: usize, x: &[u8], y: &[u8]) -> Vec<(f64, f64)> {
    let group = (instruction.sum_bytes() / instruction.factor_bytes()).max(1);
    let pair = |x_at, y_at| (read(instruction.input, x, x_at), read(instruction.input, y, y_at));
    match instruction.operands {
        Operands::Vector(_) => (place * group..(place + 1) * group).map(|at| pair(at, at)).collect(),
        Operands::Tile => {
            // Row of x, column of y; columns are interleaved by groups, 16 groups to a row of 64 bytes.
            let (row, column, per_row) = (place / 16, place % 16, 16 * group);
            (0..per_row).map(|i| pair(row * per_row + i, (i / group) * per_row + column * group + i % group)).collect()
        }
    }
}

fn add_products(instruction: &Instruction, sums: &mut [u8], index: usize, products: &[(f64, f64)]) {
    let before = read(instruction.accumulate, sums, index);
    let products = products.iter().copied();
    let after = match (instruction.input, instruction.form) {
        (DType::F32, Form::Fused) => {
            products.fold(before, |sum, (x, y)| f64::from((x as f32).mul_add(y as f32, sum as f32)))
        }
        (DType::F64, Form::Fused) => products.fold(before, |sum, (x, y)| x.mul_add(y, sum)),
        (DType::F32, Form::ScaleSum) => {
            products.fold(before, |sum, (x, y)| f64::from(sum as f32 * x as f32 + y as f32))
        }
        (_, Form::ScaleSum) => products.fold(before, |sum, (x, y)| sum * x + y),
        // f16: the product and the sum are exact in f64, so that one rounding remains. bf16: rounded once here, in some other
        // order on the machine. Integers: exact, then wrapped to 32 bits by `write`.
        _ => products.fold(before, |sum, (x, y)| sum + x * y),
    };
    write(instruction.accumulate, sums, index, after);
}

/// Compares all sums after some rounds: bit by bit, except for bf16, where the order and kind of rounding are the hardware's own (Arm
/// rounds intermediate products to odd). There each addition may be off by two units in the last place of the sum.
pub(super) fn compare(instruction: &Instruction, result: &State, expected: &State, rounds: u64) -> Result<(), String> {
    let additions = 2.0 * rounds as f64;
    let relative = if instruction.input == DType::Bf16 { additions * 2.0 * f64::from(f32::EPSILON) } else { 0.0 };
    for index in 0..instruction.sums() {
        let found = read(instruction.accumulate, &result.sums, index);
        let wanted = read(instruction.accumulate, &expected.sums, index);
        let same = (found - wanted).abs() <= relative * wanted.abs().max(1.0);
        if !same {
            return Err(format!("sum {index} is {found}, the reference says {wanted}"));
        }
    }
    Ok(())
}

fn read(dtype: DType, bytes: &[u8], index: usize) -> f64 {
    match dtype {
        DType::F64 => f64::from_le_bytes(element(bytes, index)),
        DType::F32 => f64::from(f32::from_le_bytes(element(bytes, index))),
        DType::F16 => f16::from_le_bytes(element(bytes, index)).to_f64(),
        DType::Bf16 => bf16::from_le_bytes(element(bytes, index)).to_f64(),
        DType::Int8 => f64::from(i8::from_le_bytes(element(bytes, index))),
        _ => f64::from(i32::from_le_bytes(element(bytes, index))),
    }
}

fn element<const N: usize>(bytes: &[u8], index: usize) -> [u8; N] {
    std::array::from_fn(|byte| bytes[index * N + byte])
}

fn write(dtype: DType, bytes: &mut [u8], index: usize, value: f64) {
    let mut put = |element: &[u8]| bytes[index * element.len()..][..element.len()].copy_from_slice(element);
    match dtype {
        DType::F64 => put(&value.to_le_bytes()),
        DType::F32 => put(&(value as f32).to_le_bytes()),
        DType::F16 => put(&f16::from_f64(value).to_le_bytes()),
        DType::Bf16 => put(&bf16::from_f64(value).to_le_bytes()),
        DType::Int8 => put(&(value as i8).to_le_bytes()),
        _ => put(&(value as i64 as i32).to_le_bytes()),
    }
}
