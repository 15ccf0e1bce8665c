//! Conversions between types.

use half::{bf16, f16};
use proptest::prelude::*;

use super::support::{Bits, b16, b32, b64, eval, f32, f64, parse, s32};

fn check(rows: &[(&str, u32, &[Bits], u64)]) {
    for (code, width, operands, expected) in rows {
        assert_eq!(eval(code, *width, operands), *expected, "{code}");
    }
}

#[test]
fn between_integers() {
    check(&[
        ("cvt.s64.s32 D, A;", 64, &[s32(-2)], -2_i64 as u64),
        ("cvt.u64.u32 D, A;", 64, &[s32(-2)], 0xffff_fffe),
        ("cvt.s32.s8 D, A;", 32, &[b32(0x80)], 0xffff_ff80),
        ("cvt.u32.u8 D, A;", 32, &[b32(0x1ff)], 0xff),
        ("cvt.u16.u32 D, A;", 16, &[b32(0x1_2345)], 0x2345),
        ("cvt.sat.u8.s32 D, A;", 32, &[s32(-5)], 0),
        ("cvt.sat.s8.s32 D, A;", 32, &[s32(500)], 127),
        ("cvt.sat.u32.s64 D, A;", 32, &[b64(1 << 40)], 0xffff_ffff),
    ]);
}

#[test]
fn between_integers_and_floats() {
    check(&[
        ("cvt.rn.f32.s32 D, A;", 32, &[s32(-7)], u64::from((-7.0_f32).to_bits())),
        ("cvt.rn.f32.u32 D, A;", 32, &[b32(u32::MAX)], u64::from(4_294_967_296.0_f32.to_bits())),
        ("cvt.rz.f32.u32 D, A;", 32, &[b32(u32::MAX)], u64::from(4_294_967_040.0_f32.to_bits())),
        ("cvt.rn.f64.s64 D, A;", 64, &[b64(i64::MIN as u64)], (i64::MIN as f64).to_bits()),
        ("cvt.rn.f16.s32 D, A;", 16, &[s32(-3)], u64::from(f16::from_f32(-3.0).to_bits())),
        ("cvt.rzi.s32.f32 D, A;", 32, &[f32(-2.7)], u64::from(-2_i32 as u32)),
        ("cvt.rni.s32.f32 D, A;", 32, &[f32(2.5)], 2),
        ("cvt.rmi.s32.f32 D, A;", 32, &[f32(-2.1)], u64::from(-3_i32 as u32)),
        ("cvt.rpi.u32.f32 D, A;", 32, &[f32(2.1)], 3),
        ("cvt.rzi.u32.f32 D, A;", 32, &[f32(-9.0)], 0),
        ("cvt.rzi.s32.f32 D, A;", 32, &[f32(1e20)], 0x7fff_ffff),
        ("cvt.rzi.s32.f32 D, A;", 32, &[f32(f32::NAN)], 0),
        ("cvt.rzi.u64.f64 D, A;", 64, &[f64(1e18)], 1_000_000_000_000_000_000),
        ("cvt.rni.s8.f32 D, A;", 32, &[f32(-200.0)], 0x80),
        ("cvt.rzi.s16.f16 D, A;", 16, &[b16(0xc500)], 0xfffb),
    ]);
}

#[test]
fn between_floats() {
    check(&[
        ("cvt.f64.f32 D, A;", 64, &[f32(1.5)], 1.5_f64.to_bits()),
        ("cvt.rn.f32.f64 D, A;", 32, &[f64(0.1)], u64::from(0.1_f32.to_bits())),
        ("cvt.rz.f32.f64 D, A;", 32, &[f64(0.1)], u64::from(0.1_f32.next_down().to_bits())),
        ("cvt.f32.f16 D, A;", 32, &[b16(0x3e00)], u64::from(1.5_f32.to_bits())),
        ("cvt.f32.bf16 D, A;", 32, &[b16(0x3fc0)], u64::from(1.5_f32.to_bits())),
        ("cvt.rn.f16.f32 D, A;", 16, &[f32(1.0 / 3.0)], u64::from(f16::from_f32(1.0 / 3.0).to_bits())),
        ("cvt.rz.f16.f32 D, A;", 16, &[f32(1.0 + 1e-3)], 0x3c01),
        ("cvt.rn.bf16.f32 D, A;", 16, &[f32(1.0 / 3.0)], u64::from(bf16::from_f32(1.0 / 3.0).to_bits())),
        ("cvt.rna.tf32.f32 D, A;", 32, &[b32(0x3f80_1000)], 0x3f80_2000),
        ("cvt.rni.f32.f32 D, A;", 32, &[f32(2.5)], u64::from(2.0_f32.to_bits())),
        ("cvt.rmi.f32.f32 D, A;", 32, &[f32(-2.5)], u64::from((-3.0_f32).to_bits())),
        ("cvt.rzi.f64.f64 D, A;", 64, &[f64(-2.5)], (-2.0_f64).to_bits()),
        ("cvt.sat.f32.f32 D, A;", 32, &[f32(2.5)], u64::from(1.0_f32.to_bits())),
        ("cvt.ftz.f64.f32 D, A;", 64, &[f32(1e-40)], 0),
        ("cvt.rni.f16.f16 D, A;", 16, &[b16(0x4100)], 0x4000),
    ]);
}

#[test]
fn pairs() {
    // The first operand goes to the upper half.
    check(&[
        ("cvt.rn.f16x2.f32 D, A, B;", 32, &[f32(1.0), f32(2.0)], 0x3c00_4000),
        ("cvt.rn.bf16x2.f32 D, A, B;", 32, &[f32(1.0), f32(2.0)], 0x3f80_4000),
        ("cvt.rz.bf16x2.f32 D, A, B;", 32, &[f32(1.999), f32(2.0)], 0x3fff_4000),
        ("cvt.rn.relu.bf16x2.f32 D, A, B;", 32, &[f32(-1.0), f32(2.0)], 0x0000_4000),
        ("cvt.rn.satfinite.e4m3x2.f32 D, A, B;", 16, &[f32(1000.0), f32(-0.5)], 0x7eb0),
        ("cvt.rn.satfinite.e5m2x2.f32 D, A, B;", 16, &[f32(1e9), f32(1.0)], 0x7b3c),
        ("cvt.rn.satfinite.e4m3x2.f16x2 D, A;", 16, &[b32(0x3c00_4000)], 0x3840),
        ("cvt.rn.f16x2.e4m3x2 D, A;", 32, &[b16(0x3840)], 0x3c00_4000),
        ("cvt.rn.f16x2.e5m2x2 D, A;", 32, &[b16(0x3cc0)], 0x3c00_c000),
        ("cvt.rn.relu.f16x2.e4m3x2 D, A;", 32, &[b16(0x38c0)], 0x3c00_0000),
    ]);
    assert!(parse("cvt.rn.f16x2.f16x2 %r1, %r2;").is_err());
    assert!(parse("cvt.rn.e4m3x2.s32 %h1, %r1;").is_err());
}

proptest! {
    #[test]
    fn widening_and_narrowing_is_the_identity(bits: u16) {
        prop_assume!(!f16::from_bits(bits).is_nan());
        let code = "{ .reg .b32 %wide; cvt.f32.f16 %wide, A; cvt.rn.f16.f32 D, %wide; }";
        prop_assert_eq!(eval(code, 16, &[b16(bits)]), u64::from(bits));
    }

    #[test]
    fn integers_to_floats_round_as_the_processor(value: i64) {
        let result = eval("cvt.rn.f32.s64 D, A;", 32, &[b64(value as u64)]);
        prop_assert_eq!(result as u32, (value as f32).to_bits());
        let back = eval("cvt.rzi.s64.f64 D, A;", 64, &[f64(value as f64)]);
        prop_assert_eq!(back as i64, value as f64 as i64);
    }
}
