//! Arithmetic on integers.

use super::support::{Bits, b16, b32, b64, eval, parse, s32};

fn check(rows: &[(&str, u32, &[Bits], u64)]) {
    for (code, width, operands, expected) in rows {
        assert_eq!(eval(code, *width, operands), *expected, "{code}");
    }
}

#[test]
fn sums_and_products_wrap() {
    check(&[
        ("add.u32 D, A, B;", 32, &[b32(u32::MAX), b32(2)], 1),
        ("add.s16 D, A, B;", 16, &[b16(0x7fff), b16(1)], 0x8000),
        ("add.s64 D, A, -4;", 64, &[b64(1)], -3_i64 as u64),
        ("add.sat.s32 D, A, B;", 32, &[s32(i32::MAX), s32(1)], 0x7fff_ffff),
        ("sub.sat.s32 D, A, B;", 32, &[s32(i32::MIN), s32(1)], 0x8000_0000),
        ("sub.u16 D, A, B;", 16, &[b16(1), b16(2)], 0xffff),
        ("mul.lo.s32 D, A, B;", 32, &[s32(-3), s32(7)], u64::from(-21_i32 as u32)),
        ("mul.hi.s32 D, A, B;", 32, &[s32(-3), s32(7)], 0xffff_ffff),
        ("mul.hi.u32 D, A, B;", 32, &[s32(-3), s32(7)], 6),
        ("mul.hi.u64 D, A, B;", 64, &[b64(u64::MAX), b64(u64::MAX)], u64::MAX - 1),
        ("mul.hi.s64 D, A, B;", 64, &[b64(u64::MAX), b64(5)], u64::MAX),
        ("mul.wide.s32 D, A, B;", 64, &[s32(-3), s32(7)], -21_i64 as u64),
        ("mul.wide.u32 D, A, B;", 64, &[s32(-3), s32(7)], 0x6_ffff_ffeb),
        ("mul.wide.s16 D, A, B;", 32, &[b16(0xffff), b16(5)], u64::from(-5_i32 as u32)),
        ("mul.wide.u16 D, A, B;", 32, &[b16(0xffff), b16(5)], 0x4_fffb),
        ("mad.lo.u32 D, A, B, C;", 32, &[b32(1 << 31), b32(2), b32(9)], 9),
        ("mad.hi.u32 D, A, B, C;", 32, &[b32(1 << 31), b32(2), b32(9)], 10),
        ("mad.hi.sat.s32 D, A, B, C;", 32, &[s32(i32::MAX), s32(i32::MAX), s32(i32::MAX)], 0x7fff_ffff),
        ("mad.wide.s32 D, A, B, C;", 64, &[s32(-1), s32(3), b64(1)], -2_i64 as u64),
        ("mad.lo.s64 D, A, B, C;", 64, &[b64(3), b64(4), b64(5)], 17),
        ("mul24.lo.u32 D, A, B;", 32, &[b32(0xff00_0002), b32(3)], 6),
        ("mul24.hi.s32 D, A, B;", 32, &[b32(0x00ff_ffff), b32(0x10000)], 0xffff_ffff),
        ("mad24.lo.s32 D, A, B, C;", 32, &[b32(0x00ff_ffff), b32(3), b32(10)], 7),
    ]);
}

#[test]
fn quotients_and_orders() {
    check(&[
        ("div.s32 D, A, B;", 32, &[s32(-7), s32(2)], u64::from(-3_i32 as u32)),
        ("div.u32 D, A, B;", 32, &[s32(-7), s32(2)], 0x7fff_fffc),
        ("div.s32 D, A, B;", 32, &[s32(i32::MIN), s32(-1)], 0x8000_0000),
        ("div.u64 D, A, 0;", 64, &[b64(3)], u64::MAX),
        ("rem.s64 D, A, B;", 64, &[b64(-7_i64 as u64), b64(4)], -3_i64 as u64),
        ("rem.u16 D, A, B;", 16, &[b16(17), b16(5)], 2),
        ("min.s32 D, A, B;", 32, &[s32(-1), s32(1)], 0xffff_ffff),
        ("min.u32 D, A, B;", 32, &[s32(-1), s32(1)], 1),
        ("max.s64 D, A, B;", 64, &[b64(u64::MAX), b64(1)], 1),
        ("max.u16 D, A, B;", 16, &[b16(0xffff), b16(1)], 0xffff),
        ("abs.s32 D, A;", 32, &[s32(-5)], 5),
        ("abs.s64 D, A;", 64, &[b64(i64::MIN as u64)], i64::MIN as u64),
        ("neg.s16 D, A;", 16, &[b16(5)], 0xfffb),
        ("sad.u32 D, A, B, C;", 32, &[b32(3), b32(10), b32(100)], 107),
        ("sad.s32 D, A, B, C;", 32, &[s32(-3), s32(10), s32(100)], 113),
    ]);
}

#[test]
fn pairs_are_two_values() {
    check(&[
        ("add.u16x2 D, A, B;", 32, &[b32(0x0001_ffff), b32(0x0001_0001)], 0x0002_0000),
        ("min.s16x2 D, A, B;", 32, &[b32(0x0001_ffff), b32(0xffff_0001)], 0xffff_ffff),
        ("max.u16x2 D, A, B;", 32, &[b32(0x0001_ffff), b32(0xffff_0001)], 0xffff_ffff),
    ]);
}

#[test]
fn the_carry_goes_from_word_to_word() {
    let code = "{ .reg .u32 %low, %high;
        add.cc.u32 %low, A, B; addc.u32 %high, 1, 2; mov.b64 D, {%low, %high}; }";
    assert_eq!(eval(code, 64, &[b32(u32::MAX), b32(2)]), 4 << 32 | 1);
    let code = "{ .reg .u32 %low, %high;
        sub.cc.u32 %low, A, B; subc.u32 %high, 5, 2; mov.b64 D, {%low, %high}; }";
    assert_eq!(eval(code, 64, &[b32(1), b32(2)]), 2 << 32 | 0xffff_ffff);
    // 64 × 32 bits, as compilers multiply numbers of several words.
    let code = "{ .reg .u32 %al, %ah, %low, %high;
        mov.b64 {%al, %ah}, A;
        mul.lo.u32 %low, %al, B;
        mul.lo.u32 %high, %ah, B;
        mad.hi.cc.u32 %high, %al, B, %high;
        mov.b64 D, {%low, %high}; }";
    let product = 0x1234_5678_9abc_def0_u64.wrapping_mul(0xfeed);
    assert_eq!(eval(code, 64, &[b64(0x1234_5678_9abc_def0), b32(0xfeed)]), product);
    let code = "{ .reg .u64 %x; add.cc.u64 %x, A, B; madc.lo.u64 D, A, 0, 7; }";
    assert_eq!(eval(code, 64, &[b64(u64::MAX), b64(1)]), 8);
    assert_eq!(eval(code, 64, &[b64(u64::MAX - 1), b64(1)]), 7);
}

#[test]
fn dot_products_of_bytes() {
    check(&[
        ("dp4a.u32.u32 D, A, B, C;", 32, &[b32(0x0102_03ff), b32(0x0101_0102), b32(10)], 10 + 1 + 2 + 3 + 510),
        ("dp4a.s32.s32 D, A, B, C;", 32, &[b32(0xff02_03ff), b32(0x0101_0102), b32(10)], 10 - 1 + 2 + 3 - 2),
        ("dp4a.u32.s32 D, A, B, C;", 32, &[b32(0xff), b32(0xff), b32(0)], u64::from(-255_i32 as u32)),
        ("dp2a.lo.s32.u32 D, A, B, C;", 32, &[b32(0xffff_0003), b32(0x0908_0705), b32(1)], 1 + 15 - 7),
        ("dp2a.hi.s32.u32 D, A, B, C;", 32, &[b32(0xffff_0003), b32(0x0908_0705), b32(1)], 1 + 24 - 9),
    ]);
}

#[test]
fn what_is_not_understood_is_named() {
    let error = parse("frobnicate.u32 %r1, %r2;").unwrap_err();
    assert!(error.message.contains("`frobnicate`: the instruction is not supported"), "{error}");
    assert!(error.line > 10);
    for code in [
        "add.rz.u32 %r1, %r1, %r1;",
        "add.u32 %r1, %r1;",
        "add.u32 %r1, %r1, %r1, %r1;",
        "mul.u32 %r1, %r1, %r1;",
        "mul.wide.u64 %rd1, %rd1, %rd1;",
        "add.u32 %r99, %r1, %r1;",
        "add.u32 5, %r1, %r1;",
        "bra nowhere;",
        "tcgen05.fence::before_thread_sync;",
    ] {
        assert!(parse(code).is_err(), "{code}");
    }
}
