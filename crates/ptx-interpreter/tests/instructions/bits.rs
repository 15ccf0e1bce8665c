//! Logic, shifts, fields and permutations.

use super::support::{Bits, b16, b32, b64, eval};

fn check(rows: &[(&str, u32, &[Bits], u64)]) {
    for (code, width, operands, expected) in rows {
        assert_eq!(eval(code, *width, operands), *expected, "{code}");
    }
}

#[test]
fn logic() {
    check(&[
        ("and.b32 D, A, B;", 32, &[b32(0b1100), b32(0b1010)], 0b1000),
        ("or.b16 D, A, B;", 16, &[b16(0b1100), b16(0b1010)], 0b1110),
        ("xor.b64 D, A, B;", 64, &[b64(0b1100), b64(0b1010)], 0b0110),
        ("not.b16 D, A;", 16, &[b16(1)], 0xfffe),
        ("not.pred D, A;", 1, &[Bits(1, 1)], 0),
        ("and.pred D, A, B;", 1, &[Bits(1, 1), Bits(1, 1)], 1),
        ("xor.pred D, A, B;", 1, &[Bits(1, 1), Bits(1, 1)], 0),
        ("cnot.b32 D, A;", 32, &[b32(0)], 1),
    ]);
    // The table of a function is the function of 0xf0, 0xcc and 0xaa.
    let (a, b, c) = (0x0f0f_1234_u32, 0x3333_5678, 0x5555_9abc);
    let cases: [(u8, u32); 4] =
        [(0xf0 & 0xcc | 0xaa, a & b | c), (0xf0 ^ 0xcc ^ 0xaa, a ^ b ^ c), (!0xf0 & 0xaa, !a & c), (0xea, a & b | c)];
    for (table, expected) in cases {
        let code = format!("lop3.b32 D, A, B, C, {table};");
        assert_eq!(eval(&code, 32, &[b32(a), b32(b), b32(c)]), u64::from(expected), "{table:#x}");
    }
}

#[test]
fn shifts_clamp_their_amounts() {
    check(&[
        ("shl.b32 D, A, 4;", 32, &[b32(0xf000_000f)], 0xf0),
        ("shl.b32 D, A, 32;", 32, &[b32(1)], 0),
        ("shl.b64 D, A, B;", 64, &[b64(1), b32(63)], 1 << 63),
        ("shr.u32 D, A, 200;", 32, &[b32(u32::MAX)], 0),
        ("shr.s32 D, A, 200;", 32, &[b32(0x8000_0000)], 0xffff_ffff),
        ("shr.s16 D, A, 8;", 16, &[b16(0x8000)], 0xff80),
        ("shr.b64 D, A, 60;", 64, &[b64(u64::MAX)], 15),
        ("shf.l.wrap.b32 D, A, B, C;", 32, &[b32(0x8000_0000), b32(1), b32(33)], 3),
        ("shf.l.clamp.b32 D, A, B, C;", 32, &[b32(7), b32(1), b32(99)], 7),
        ("shf.r.wrap.b32 D, A, B, C;", 32, &[b32(2), b32(1), b32(1)], 0x8000_0001),
        ("shf.r.clamp.b32 D, A, B, C;", 32, &[b32(2), b32(9), b32(32)], 9),
    ]);
}

#[test]
fn fields() {
    check(&[
        ("bfe.u32 D, A, 4, 8;", 32, &[b32(0x0000_0ab0)], 0xab),
        ("bfe.s32 D, A, 4, 8;", 32, &[b32(0x0000_0ab0)], 0xffff_ffab),
        ("bfe.s32 D, A, 28, 16;", 32, &[b32(0x8000_0000)], 0xffff_fff8),
        ("bfe.u32 D, A, 4, 0;", 32, &[b32(u32::MAX)], 0),
        ("bfe.u64 D, A, 60, 8;", 64, &[b64(u64::MAX)], 15),
        ("bfi.b32 D, A, B, 8, 4;", 32, &[b32(0xabc), b32(u32::MAX)], 0xffff_fcff),
        ("bfi.b64 D, A, B, 32, 32;", 64, &[b64(5), b64(7)], 5 << 32 | 7),
        ("bfi.b32 D, A, B, 32, 4;", 32, &[b32(5), b32(7)], 7),
        ("szext.clamp.s32 D, A, B;", 32, &[b32(0x80), b32(8)], 0xffff_ff80),
        ("szext.wrap.u32 D, A, B;", 32, &[b32(0x1ff), b32(40)], 0xff),
    ]);
}

#[test]
fn counts() {
    check(&[
        ("popc.b32 D, A;", 32, &[b32(0xff00_00ff)], 16),
        ("popc.b64 D, A;", 32, &[b64(u64::MAX)], 64),
        ("clz.b32 D, A;", 32, &[b32(1)], 31),
        ("clz.b64 D, A;", 32, &[b64(0)], 64),
        ("bfind.u32 D, A;", 32, &[b32(0x100)], 8),
        ("bfind.s32 D, A;", 32, &[b32(0xffff_feff)], 8),
        ("bfind.u32 D, A;", 32, &[b32(0)], 0xffff_ffff),
        ("bfind.shiftamt.u32 D, A;", 32, &[b32(0x100)], 23),
        ("brev.b32 D, A;", 32, &[b32(1)], 1 << 31),
        ("brev.b64 D, A;", 64, &[b64(2)], 1 << 62),
    ]);
}

#[test]
fn bytes_are_permuted() {
    let values = [b32(0x8322_1100), b32(0x7766_5544)];
    let cases = [
        ("prmt.b32 D, A, B, 0x7520;", 0x7755_2200),
        ("prmt.b32 D, A, B, 0x000b;", 0x0000_00ff),
        ("prmt.b32 D, A, B, 0x0008;", 0x0000_0000),
        ("prmt.b32.f4e D, A, B, 1;", 0x4483_2211),
        ("prmt.b32.b4e D, A, B, 0;", 0x5566_7700),
        ("prmt.b32.rc8 D, A, B, 2;", 0x2222_2222),
        ("prmt.b32.ecl D, A, B, 2;", 0x8322_2222),
        ("prmt.b32.ecr D, A, B, 1;", 0x1111_1100),
        ("prmt.b32.rc16 D, A, B, 1;", 0x8322_8322),
    ];
    for (code, expected) in cases {
        assert_eq!(eval(code, 32, &values), expected, "{code}");
    }
}

#[test]
fn values_are_packed_and_unpacked() {
    check(&[
        ("mov.b64 D, {A, B};", 64, &[b32(1), b32(2)], 2 << 32 | 1),
        ("mov.b32 D, {A, B};", 32, &[b16(0xaaaa), b16(0xbbbb)], 0xbbbb_aaaa),
        ("{ .reg .b16 %low; mov.b32 {%low, D}, A; }", 16, &[b32(0x1234_5678)], 0x1234),
        ("{ .reg .b32 %high; mov.b64 {D, %high}, A; }", 32, &[b64(0x1_0000_0002)], 2),
        ("mov.b64 {_, D}, A;", 32, &[b64(0x1_0000_0002)], 1),
    ]);
}
