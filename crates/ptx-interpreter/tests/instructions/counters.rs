//! What is counted.

use ptx_interpreter::{Counters, Options};

use super::support::run_with;

fn count(code: &str) -> Counters {
    let input = [0; 1024];
    run_with(code, &input, 32, Options::default()).unwrap().1
}

#[test]
fn operations_by_class() {
    let zeros = "mov.b32 %r1, 0; mov.b16 %h1, 0; mov.b64 %rd1, 0;";
    let of = |code: &str| count(&format!("{zeros} {code}")).operations;
    let own = |code: &str| {
        let mut operations = of(code);
        // Addresses are computed too.
        operations.integer_multiply_add -= of("").integer_multiply_add;
        operations
    };
    assert_eq!(own("fma.rn.f32 %r2, %r1, %r1, %r1;").f32, 64);
    assert_eq!(own("add.f32 %r2, %r1, %r1; max.f32 %r2, %r1, %r1;").f32, 32);
    assert_eq!(own("fma.rn.f64 %rd2, %rd1, %rd1, %rd1;").f64, 64);
    assert_eq!(own("fma.rn.f16x2 %r2, %r1, %r1, %r1;").f16, 128);
    assert_eq!(own("mul.bf16 %h2, %h1, %h1;").bf16, 32);
    assert_eq!(own("dp4a.s32.s32 %r2, %r1, %r1, %r1;").integer_dot, 256);
    assert_eq!(own("mad.lo.u32 %r2, %r1, %r1, %r1;").integer_multiply_add, 64);
    let registers = "{%r2, %r3, %r4, %r5}, {%r1, %r1}, {%r1}, {%r1, %r1, %r1, %r1}";
    let product = format!("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {registers};");
    assert_eq!(own(&product).matrix, 2 * 16 * 8 * 8);
    assert_eq!(own("ex2.approx.f32 %r2, %r1;").special, 32);
}

#[test]
fn bytes_each_time_and_once() {
    let counters = count("ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%in]; st.global.u32 [%out], %r1;");
    assert_eq!((counters.loaded, counters.distinct_loaded), (32 * 16, 16));
    assert_eq!((counters.stored, counters.distinct_stored), (32 * 4, 32 * 4));
    let counters =
        count("@%p1 ld.global.u32 %r1, [%in];".replace("@%p1", "setp.lt.u32 %p1, %thread, 4; @%p1").as_str());
    assert_eq!(counters.loaded, 16);
}

#[test]
fn bank_conflicts() {
    let store = |stride: u32| {
        count(&format!(
            ".shared .align 4 .b8 tile[8192];
            mov.u32 %r1, tile;
            mad.lo.u32 %r2, %thread, {stride}, %r1;
            st.shared.u32 [%r2], %thread;"
        ))
    };
    assert_eq!((store(4).bank_conflicts, store(4).shared_accesses), (0, 1));
    assert_eq!(store(8).bank_conflicts, 1);
    assert_eq!(store(128).bank_conflicts, 31);
    assert_eq!(store(132).bank_conflicts, 0);
}
