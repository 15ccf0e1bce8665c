//! Arithmetic on f32 and f64, and functions of one number.

use proptest::prelude::*;

use super::support::{Bits, eval, f32, f64, parse};

fn single(code: &str, operands: &[Bits]) -> f32 {
    f32::from_bits(eval(code, 32, operands) as u32)
}

fn double(code: &str, operands: &[Bits]) -> f64 {
    f64::from_bits(eval(code, 64, operands))
}

#[test]
fn arithmetic() {
    let singles = [
        ("add.f32 D, A, B;", 5.0),
        ("sub.f32 D, A, B;", 1.0),
        ("mul.rn.f32 D, A, B;", 6.0),
        ("fma.rn.f32 D, A, B, A;", 9.0),
        ("mad.rn.f32 D, A, B, A;", 9.0),
        ("div.rn.f32 D, A, B;", 1.5),
        ("div.full.f32 D, A, B;", 1.5),
        ("min.f32 D, A, B;", 2.0),
        ("max.f32 D, A, B;", 3.0),
        ("neg.f32 D, A;", -3.0),
        ("add.f32 D, A, 0fBF800000;", 2.0),
        ("copysign.f32 D, 0fBF800000, A;", -3.0),
    ];
    for (code, expected) in singles {
        assert_eq!(single(code, &[f32(3.0), f32(2.0)]), expected, "{code}");
        let wide = code.replace("f32", "f64").replace("0fBF800000", "0dBFF0000000000000");
        if !code.contains("full") {
            assert_eq!(double(&wide, &[f64(3.0), f64(2.0)]), f64::from(expected), "{wide}");
        }
    }
    assert_eq!(single("abs.f32 D, A;", &[f32(-1.5)]), 1.5);
}

#[test]
fn a_multiply_add_rounds_once() {
    let x = 1.0 + 3.0 * f32::EPSILON;
    assert_eq!(single("fma.rn.f32 D, A, A, B;", &[f32(x), f32(-1.0)]), x.mul_add(x, -1.0));
    assert_ne!(x.mul_add(x, -1.0), x * x - 1.0);
}

#[test]
fn directions_of_rounding() {
    let third = [f32(1.0), f32(f32::EPSILON / 4.0)];
    assert_eq!(single("add.rn.f32 D, A, B;", &third), 1.0);
    assert_eq!(single("add.rz.f32 D, A, B;", &third), 1.0);
    assert_eq!(single("add.rp.f32 D, A, B;", &third), 1.0_f32.next_up());
    assert_eq!(single("sub.rm.f32 D, A, B;", &third), 1.0_f32.next_down());
    assert_eq!(single("sub.rz.f32 D, A, B;", &third), 1.0_f32.next_down());
    assert_eq!(single("fma.rm.f32 D, A, A, B;", &[f32(1.0), f32(1e-20)]), 1.0);
    assert_eq!(single("fma.rp.f32 D, A, A, B;", &[f32(1.0), f32(1e-20)]), 1.0_f32.next_up());
    assert_eq!(single("mul.rm.f32 D, A, B;", &[f32(-0.0), f32(5.0)]).to_bits(), (-0.0_f32).to_bits());
    assert!(parse("add.rz.f64 %rd1, %rd1, %rd1;").is_err());
}

#[test]
fn special_values() {
    let nan = f32(f32::NAN);
    assert_eq!(single("min.f32 D, A, B;", &[nan, f32(1.0)]), 1.0);
    assert!(single("min.NaN.f32 D, A, B;", &[nan, f32(1.0)]).is_nan());
    assert_eq!(eval("max.f32 D, A, B;", 32, &[nan, nan]), 0x7fff_ffff);
    assert_eq!(eval("add.f32 D, A, B;", 32, &[nan, f32(1.0)]), 0x7fff_ffff);
    assert_eq!(eval("min.f32 D, A, B;", 32, &[f32(0.0), f32(-0.0)]), 0x8000_0000);
    assert_eq!(eval("max.f32 D, A, B;", 32, &[f32(-0.0), f32(0.0)]), 0);
    let tiny = f32(f32::MIN_POSITIVE / 2.0);
    assert_eq!(single("add.ftz.f32 D, A, A;", &[tiny]), 0.0);
    assert_eq!(single("add.f32 D, A, A;", &[tiny]), f32::MIN_POSITIVE);
    assert_eq!(single("add.sat.f32 D, A, A;", &[f32(0.75)]), 1.0);
    assert_eq!(single("mul.sat.f32 D, A, B;", &[f32(-1.0), f32(2.0)]), 0.0);
    assert_eq!(single("fma.rn.sat.f32 D, A, A, A;", &[nan]), 0.0);
}

#[test]
fn functions_of_one_number() {
    let close = |code: &str, x: f32, expected: f64| {
        let result = f64::from(single(code, &[f32(x)]));
        assert!((result - expected).abs() <= 1e-6 * expected.abs(), "{code}: {result} {expected}");
    };
    close("sqrt.rn.f32 D, A;", 2.0, 2.0_f64.sqrt());
    close("sqrt.approx.ftz.f32 D, A;", 2.0, 2.0_f64.sqrt());
    close("rsqrt.approx.f32 D, A;", 3.0, 1.0 / 3.0_f64.sqrt());
    close("rcp.rn.f32 D, A;", 3.0, 1.0 / 3.0);
    close("rcp.approx.ftz.f32 D, A;", 3.0, 1.0 / 3.0);
    close("ex2.approx.f32 D, A;", -1.5, (-1.5_f64).exp2());
    close("lg2.approx.ftz.f32 D, A;", 10.0, 10.0_f64.log2());
    close("sin.approx.f32 D, A;", 1.0, 1.0_f64.sin());
    close("cos.approx.f32 D, A;", 1.0, 1.0_f64.cos());
    close("tanh.approx.f32 D, A;", 0.5, 0.5_f64.tanh());
    assert_eq!(double("sqrt.rn.f64 D, A;", &[f64(2.0)]), 2.0_f64.sqrt());
    assert_eq!(double("rcp.rn.f64 D, A;", &[f64(3.0)]), 1.0 / 3.0);
    assert_eq!(single("lg2.approx.f32 D, A;", &[f32(0.0)]), f32::NEG_INFINITY);
    assert!(single("rsqrt.approx.f32 D, A;", &[f32(-1.0)]).is_nan());
    assert_eq!(single("ex2.approx.ftz.f32 D, A;", &[f32(-140.0)]), 0.0);
}

proptest! {
    #[test]
    fn rounded_to_nearest_is_what_the_processor_computes(a: f32, b: f32, c: f32) {
        let result = single("fma.rn.f32 D, A, B, C;", &[f32(a), f32(b), f32(c)]);
        let expected = a.mul_add(b, c);
        prop_assert!(result.to_bits() == expected.to_bits() || (result.is_nan() && expected.is_nan()));
    }

    #[test]
    fn directed_results_enclose_the_nearest(a in -1e3_f32..1e3, b in -1e3_f32..1e3) {
        let at = |rounding: &str| single(&format!("mul.{rounding}.f32 D, A, B;"), &[f32(a), f32(b)]);
        let exact = f64::from(a) * f64::from(b);
        prop_assert!(f64::from(at("rm")) <= exact && exact <= f64::from(at("rp")));
        prop_assert!(f64::from(at("rz")).abs() <= exact.abs());
        prop_assert!(at("rm") == at("rn") || at("rp") == at("rn"));
    }
}
