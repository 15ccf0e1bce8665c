//! Arithmetic on f16 and bf16.

use half::{bf16, f16};
use proptest::prelude::*;

use super::support::{b16, b32, eval, parse};

fn pair(low: u16, high: u16) -> super::support::Bits {
    b32(u32::from(high) << 16 | u32::from(low))
}

/// What rounding the exact result once gives, by way of numbers with more than twice the digits.
fn reference_f16(a: f16, b: f16, c: f16) -> f16 {
    // A product has 22 digits; f64 holds its sum with c unless they are far apart, and then c is a tie-breaker at most.
    let sum = a.to_f64() * b.to_f64() + c.to_f64();
    f16::from_f32(sum as f32)
}

#[test]
fn arithmetic() {
    let [two, three] = [2.0, 3.0].map(|x| b16(f16::from_f32(x).to_bits()));
    let rows = [
        ("add.f16 D, A, B;", 5.0),
        ("sub.rn.f16 D, A, B;", 1.0),
        ("mul.f16 D, A, B;", 6.0),
        ("fma.rn.f16 D, A, B, B;", 8.0),
        ("min.f16 D, A, B;", 2.0),
        ("max.f16 D, A, B;", 3.0),
        ("neg.f16 D, A;", -3.0),
        ("abs.f16 D, A;", 3.0),
        ("fma.rn.relu.f16 D, A, 0xbc00, B;", 0.0),
        ("fma.rn.sat.f16 D, A, B, B;", 1.0),
        ("ex2.approx.f16 D, A;", 8.0),
    ];
    for (code, expected) in rows {
        let result = eval(code, 16, &[three, two]) as u16;
        assert_eq!(f16::from_bits(result).to_f32(), expected, "{code}");
        if code.contains("sat") || code.contains("0xbc00") {
            continue;
        }
        let brain = [3.0, 2.0].map(|x| b16(bf16::from_f32(x).to_bits()));
        let code = code.replace("f16", "bf16");
        assert_eq!(bf16::from_bits(eval(&code, 16, &brain) as u16).to_f32(), expected, "{code}");
    }
}

#[test]
fn special_values() {
    assert_eq!(eval("min.f16 D, A, B;", 16, &[b16(0x7e00), b16(0x3c00)]), 0x3c00);
    assert_eq!(eval("min.NaN.f16 D, A, B;", 16, &[b16(0x7e00), b16(0x3c00)]), 0x7fff);
    assert_eq!(eval("max.bf16 D, A, B;", 16, &[b16(0x8000), b16(0)]), 0);
    assert_eq!(eval("add.f16 D, A, A;", 16, &[b16(0x7bff)]), 0x7c00);
    assert_eq!(eval("add.f16 D, A, A;", 16, &[b16(0x0001)]), 2);
    assert_eq!(eval("add.ftz.f16 D, A, A;", 16, &[b16(0x0001)]), 0);
    assert!(parse("add.rz.f16 %h1, %h1, %h1;").is_err());
}

#[test]
fn what_decides_may_be_far_below_the_digits_of_f32() {
    // (1 + 2^-7) · 1.5 lies in the middle between two numbers of bf16.
    let with = |c: u16| eval("fma.rn.bf16 D, A, B, C;", 16, &[b16(0x3f81), b16(0x3fc0), b16(c)]);
    let (nothing, little, less) = (0, 0x0d80, 0x8d80);
    assert_eq!([with(nothing), with(little), with(less)], [0x3fc2, 0x3fc2, 0x3fc1]);
}

proptest! {
    #[test]
    fn pairs_are_computed_one_by_one(a: [u16; 2], b: [u16; 2], c: [u16; 2]) {
        let words = [a, b, c].map(|[low, high]| pair(low, high));
        let result = eval("fma.rn.f16x2 D, A, B, C;", 32, &words) as u32;
        for half in 0..2 {
            let alone = eval("fma.rn.f16 D, A, B, C;", 16, &[b16(a[half]), b16(b[half]), b16(c[half])]) as u16;
            prop_assert_eq!((result >> (16 * half)) as u16, alone);
        }
    }

    #[test]
    fn sums_and_products_round_once(a in -100.0_f32..100.0, b in -100.0_f32..100.0, c in -100.0_f32..100.0) {
        let [a, b, c] = [a, b, c].map(f16::from_f32);
        let bits = [a, b, c].map(|x| b16(x.to_bits()));
        let result = f16::from_bits(eval("fma.rn.f16 D, A, B, C;", 16, &bits) as u16);
        prop_assert_eq!(result.to_bits(), reference_f16(a, b, c).to_bits());
        let sum = f16::from_bits(eval("add.f16 D, A, B;", 16, &bits) as u16);
        prop_assert_eq!(sum.to_bits(), f16::from_f32(a.to_f32() + b.to_f32()).to_bits());
    }
}
