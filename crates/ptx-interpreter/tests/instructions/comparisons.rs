//! Comparisons and choices.

use super::support::{Bits, b16, b32, b64, eval, f32, s32};

#[test]
fn integers_and_floats() {
    let nan = f32(f32::NAN);
    let rows: &[(&str, &[Bits], u64)] = &[
        ("setp.lt.s32 D, A, B;", &[s32(-1), s32(1)], 1),
        ("setp.lt.u32 D, A, B;", &[s32(-1), s32(1)], 0),
        ("setp.hs.u64 D, A, B;", &[b64(u64::MAX), b64(1)], 1),
        ("setp.ge.s64 D, A, B;", &[b64(u64::MAX), b64(1)], 0),
        ("setp.eq.b16 D, A, B;", &[b16(7), b16(7)], 1),
        ("setp.ne.s16 D, A, B;", &[b16(7), b16(7)], 0),
        ("setp.le.f32 D, A, B;", &[f32(1.0), f32(1.0)], 1),
        ("setp.eq.f32 D, A, B;", &[f32(0.0), f32(-0.0)], 1),
        ("setp.ne.f32 D, A, B;", &[nan, f32(1.0)], 0),
        ("setp.neu.f32 D, A, B;", &[nan, f32(1.0)], 1),
        ("setp.gtu.f32 D, A, B;", &[nan, f32(1.0)], 1),
        ("setp.num.f32 D, A, B;", &[f32(1.0), f32(1.0)], 1),
        ("setp.nan.f32 D, A, B;", &[nan, f32(1.0)], 1),
        ("setp.lt.f16 D, A, B;", &[b16(0xbc00), b16(0x3c00)], 1),
        ("setp.gt.bf16 D, A, B;", &[b16(0x3f81), b16(0x3f80)], 1),
        ("setp.eq.ftz.f32 D, A, B;", &[f32(1e-40), f32(0.0)], 1),
        ("setp.lt.and.s32 D, A, B, C;", &[s32(1), s32(2), Bits(1, 0)], 0),
        ("setp.lt.or.s32 D, A, B, C;", &[s32(3), s32(2), Bits(1, 1)], 1),
        ("setp.lt.xor.s32 D, A, B, !C;", &[s32(1), s32(2), Bits(1, 0)], 0),
        ("testp.finite.f32 D, A;", &[f32(f32::INFINITY)], 0),
        ("testp.subnormal.f32 D, A;", &[f32(1e-40)], 1),
        ("testp.notanumber.f32 D, A;", &[nan], 1),
    ];
    for (code, operands, expected) in rows {
        assert_eq!(eval(code, 1, operands), *expected, "{code}");
    }
}

#[test]
fn two_predicates_at_once() {
    let code = "{ .reg .pred %yes; setp.lt.s32 %yes|D, A, B; }";
    assert_eq!(eval(code, 1, &[s32(1), s32(2)]), 0);
    // Of pairs, the second predicate is for the upper half.
    let code = "{ .reg .pred %low; setp.lt.f16x2 %low|D, A, B; }";
    assert_eq!(eval(code, 1, &[b32(0x3c00_4000), b32(0x4000_3c00)]), 1);
}

#[test]
fn choices() {
    let rows: &[(&str, u32, &[Bits], u64)] = &[
        ("selp.b32 D, A, B, C;", 32, &[b32(1), b32(2), Bits(1, 1)], 1),
        ("selp.f32 D, A, B, !C;", 32, &[b32(1), b32(2), Bits(1, 1)], 2),
        ("slct.b32.s32 D, A, B, C;", 32, &[b32(1), b32(2), s32(-1)], 2),
        ("slct.b32.f32 D, A, B, C;", 32, &[b32(1), b32(2), f32(0.0)], 1),
        ("set.lt.u32.s32 D, A, B;", 32, &[s32(1), s32(2)], 0xffff_ffff),
        ("set.gt.f32.s32 D, A, B;", 32, &[s32(3), s32(2)], 0x3f80_0000),
        ("set.eq.s32.f32 D, A, B;", 32, &[f32(3.0), f32(2.0)], 0),
    ];
    for (code, width, operands, expected) in rows {
        assert_eq!(eval(code, *width, operands), *expected, "{code}");
    }
}
