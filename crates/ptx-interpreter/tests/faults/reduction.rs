//! The sum of an array, block by block, as every kernel does it that brings results of threads together.

use ptx_interpreter::{Cause, Fault, Options, Space};

use super::support::{Case, orders, plain, with_races};

const KERNEL: &str = "
.version 7.4
.target sm_70
.address_size 64
.visible .entry test(.param .u64 input, .param .u64 sums, .param .u32 count) {
    .reg .pred %p<4>;
    .reg .b32 %r<16>;
    .reg .b64 %rd<8>;
    .shared .align 4 .b8 partial[512];
    ld.param.u64 %rd1, [input];
    ld.param.u64 %rd2, [sums];
    ld.param.u32 %r1, [count];
    mov.u32 %r2, %tid.x;
    mov.u32 %r3, %ctaid.x;
    mad.lo.u32 %r4, %r3, 128, %r2;
    mov.u32 %r5, 0;
    setp.ge.u32 %p1, %r4, %r1;
    @%p1 bra loaded;
    mul.wide.u32 %rd3, %r4, 4;
    add.s64 %rd4, %rd1, %rd3;
    ld.global.u32 %r5, [%rd4];
loaded:
    mov.u32 %r6, partial;
    mad.lo.u32 %r7, %r2, 4, %r6;
    st.shared.u32 [%r7], %r5;
    bar.sync 0; // before the first step
    mov.u32 %r8, 64;
step:
    setp.ge.u32 %p2, %r2, %r8;
    @%p2 bra stepped;
    mad.lo.u32 %r9, %r8, 4, %r7;
    ld.shared.u32 %r10, [%r9];
    ld.shared.u32 %r11, [%r7];
    add.u32 %r12, %r10, %r11;
    st.shared.u32 [%r7], %r12;
stepped:
    bar.sync 0; // between steps
    shr.u32 %r8, %r8, 1;
    setp.ne.u32 %p3, %r8, 0;
    @%p3 bra step;
    setp.ne.u32 %p1, %r2, 0;
    @%p1 ret;
    mul.wide.u32 %rd5, %r3, 4;
    add.s64 %rd6, %rd2, %rd5;
    ld.shared.u32 %r13, [partial];
    st.global.u32 [%rd6], %r13;
    ret;
}";

const COUNT: u32 = 300;

/// Runs the kernel with a mistake in it. The sums are right if nothing is said.
fn run(text: &str, options: Options) -> Result<bool, Fault> {
    let input: Vec<u32> = (0..COUNT).map(|i| i * i + 1).collect();
    let case = Case::new(text).buffer(&input).buffer(&[0; 3]).u32(COUNT);
    case.launch(3, 128, options)?;
    let expected: Vec<u32> = input.chunks(128).map(|chunk| chunk.iter().sum()).collect();
    Ok(case.words(8, 3) == expected)
}

fn mistake(right: &str, wrong: &str) -> String {
    assert_eq!(KERNEL.matches(right).count(), 1, "`{right}` must stand once");
    KERNEL.replace(right, wrong)
}

#[test]
fn the_right_kernel_passes_in_every_order() {
    for options in orders() {
        assert_eq!(run(KERNEL, options), Ok(true), "{options:?}");
    }
}

#[test]
fn a_missing_barrier_before_the_first_step() {
    let text = mistake("bar.sync 0; // before the first step", "");
    let fault = run(&text, plain()).unwrap_err();
    assert!(matches!(fault.cause, Cause::Uninitialised { space: Space::Shared, .. }), "{fault}");
    assert!(fault.text.starts_with("ld.shared.u32 %r10"));
}

#[test]
fn a_missing_barrier_between_steps() {
    let text = mistake("bar.sync 0; // between steps", "");
    let fault = run(&text, with_races()).unwrap_err();
    assert!(matches!(fault.cause, Cause::Race { .. }), "{fault}");
    // Without looking for races, some order gives a wrong sum.
    assert!(orders().filter(|options| !options.races).any(|options| run(&text, options) == Ok(false)));
}

#[test]
fn a_step_that_reaches_one_too_far() {
    let text = mistake("mad.lo.u32 %r9, %r8, 4, %r7;", "mad.lo.u32 %r9, %r8, 4, %r7; add.u32 %r9, %r9, 256;");
    let fault = run(&text, plain()).unwrap_err();
    assert!(matches!(fault.cause, Cause::OutOfBounds { space: Space::Shared, address: 512, .. }), "{fault}");
}

#[test]
fn shared_memory_that_the_tail_does_not_write() {
    let text = mistake("st.shared.u32 [%r7], %r5;", "@!%p1 st.shared.u32 [%r7], %r5;");
    let fault = run(&text, plain()).unwrap_err();
    assert!(matches!(fault.cause, Cause::Uninitialised { space: Space::Shared, .. }), "{fault}");
    assert_eq!(fault.block, [2, 0, 0], "only the last block has a tail");
}

#[test]
fn a_tail_that_is_not_cut_off() {
    let text = mistake("@%p1 bra loaded;", "");
    let fault = run(&text, plain()).unwrap_err();
    assert!(matches!(fault.cause, Cause::OutOfBounds { space: Space::Global, bytes: 4, .. }), "{fault}");
    assert_eq!((fault.block, fault.thread), ([2, 0, 0], Some([COUNT - 256, 0, 0])));
}

#[test]
fn a_barrier_that_not_all_reach() {
    let text = KERNEL.replace("stepped:\n    bar.sync 0; // between steps", "    bar.sync 0;\nstepped:");
    for options in orders() {
        let fault = run(&text, options).unwrap_err();
        let divergent = matches!(fault.cause, Cause::DivergentBarrier { .. } | Cause::Race { .. });
        assert!(divergent, "{options:?}: {fault}");
    }
}

#[test]
fn a_register_that_some_threads_do_not_set() {
    let text = mistake("mov.u32 %r5, 0;", "");
    let fault = run(&text, plain()).unwrap_err();
    assert_eq!(fault.cause, Cause::Unset { name: "%r5".to_owned() }, "{fault}");
}

#[test]
fn a_wide_load_at_an_odd_address() {
    let text = mistake("ld.global.u32 %r5, [%rd4];", "ld.global.v2.u32 {%r5, %r14}, [%rd4];");
    let fault = run(&text, plain()).unwrap_err();
    assert!(matches!(fault.cause, Cause::Misaligned { space: Space::Global, bytes: 8, .. }), "{fault}");
}

#[test]
fn a_sum_that_nobody_allocated() {
    let text = mistake("mul.wide.u32 %rd5, %r3, 4;", "mul.wide.u32 %rd5, %r3, 8;");
    let fault = run(&text, plain()).unwrap_err();
    assert!(matches!(fault.cause, Cause::OutOfBounds { space: Space::Global, .. }), "{fault}");
    assert!(fault.to_string().contains("next to it are 12 bytes"), "{fault}");
}

#[test]
fn memory_that_was_given_back() {
    let case = Case::new(KERNEL).buffer(&[1; 128]).buffer(&[0]).u32(128);
    case.launch(1, 128, plain()).unwrap();
    let (first, _) = case.memory.allocation(0x10_0000_0000).unwrap();
    case.memory.free(first).unwrap();
    let fault = case.launch(1, 128, plain()).unwrap_err();
    assert!(matches!(fault.cause, Cause::OutOfBounds { .. }), "{fault}");
}

#[test]
fn launches_that_no_device_accepts() {
    let case = Case::new(KERNEL).buffer(&[1; 128]).buffer(&[0]);
    for (blocks, threads) in [(0, 128), (1, 0), (1, 1025), (1, 128)] {
        let fault = case.launch(blocks, threads, plain()).unwrap_err();
        assert!(matches!(fault.cause, Cause::Launch { .. }), "{fault}");
    }
}

#[test]
fn several_workers_come_to_the_same() {
    let input: Vec<u32> = (0..128 * 40).collect();
    let sums = |workers: usize| {
        let case = Case::new(KERNEL).buffer(&input).buffer(&[0; 40]).u32(input.len() as u32);
        case.launch(40, 128, Options { workers, ..plain() }).unwrap();
        case.words(8, 40)
    };
    assert_eq!(sums(1), sums(3));
}
