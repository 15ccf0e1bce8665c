//! Threads that wait for what never comes.

use ptx_interpreter::{Cause, Fault, Options};

use super::support::{Case, orders, plain};

fn run(body: &str, threads: u32, options: Options) -> Result<(), Fault> {
    let text = format!(
        ".version 7.4
        .target sm_70
        .address_size 64
        .visible .entry test(.param .u64 flags) {{
            .reg .pred %p<8>;
            .reg .b32 %r<8>;
            .reg .b64 %rd<4>;
            .shared .align 4 .b8 shared[64];
            ld.param.u64 %rd1, [flags];
            mov.u32 %r1, %tid.x;
            setp.lt.u32 %p1, %r1, 32;
            setp.lt.u32 %p2, %r1, 16;
            {body}
            ret;
        }}"
    );
    Case::new(&text).buffer(&[0; 4]).launch(1, threads, options)
}

/// The cause in all orders.
fn in_every_order(body: &str, threads: u32, expected: fn(&Cause) -> bool) {
    for options in orders().filter(|options| !options.races) {
        let fault = run(body, threads, options).unwrap_err();
        assert!(expected(&fault.cause), "{options:?}: {fault}");
    }
}

fn is_deadlock(cause: &Cause) -> bool {
    matches!(cause, Cause::Deadlock { stuck } if !stuck.is_empty() && stuck.iter().all(|stuck| stuck.line > 0))
}

#[test]
fn warps_at_different_barriers() {
    in_every_order("@%p1 bar.sync 1, 64; @!%p1 bar.sync 2, 64;", 64, is_deadlock);
}

#[test]
fn a_barrier_for_more_threads_than_there_are() {
    let fault = run("bar.sync 0, 128;", 64, plain()).unwrap_err();
    assert!(is_deadlock(&fault.cause), "{fault}");
    assert!(fault.to_string().contains("32 threads from 0 on at line"), "{fault}");
    assert!(fault.to_string().contains("`bar.sync 0, 128;`"), "{fault}");
}

#[test]
fn lanes_of_a_warp_at_different_barriers() {
    let body = "@%p2 bra first; bar.sync 0; bra join; first: bar.sync 0; join:";
    in_every_order(body, 32, |cause| matches!(cause, Cause::DivergentBarrier { .. }));
}

#[test]
fn a_flag_that_nobody_sets() {
    let body = "again: ld.volatile.global.u32 %r2, [%rd1]; setp.eq.u32 %p3, %r2, 0; @%p3 bra again;";
    in_every_order(body, 64, is_deadlock);
}

#[test]
fn a_lock_that_is_taken_and_never_given_back() {
    let body = "
        again:
        atom.global.cas.b32 %r2, [%rd1], 0, 1;
        setp.ne.u32 %p3, %r2, 0;
        @%p3 bra again;";
    in_every_order(body, 64, is_deadlock);
}

#[test]
fn a_flag_whose_setter_waits_itself() {
    let body = "
        @!%p1 bra other;
        bar.sync 0;
        st.global.u32 [%rd1], 1;
        bra done;
        other:
        ld.volatile.global.u32 %r2, [%rd1];
        setp.eq.u32 %p3, %r2, 0;
        @%p3 bra other;
        bar.sync 0;
        done:";
    in_every_order(body, 64, is_deadlock);
}

#[test]
fn a_flag_that_comes_late_is_waited_for() {
    let body = "
        @%p1 bra work;
        other:
        ld.volatile.global.u32 %r2, [%rd1];
        setp.eq.u32 %p3, %r2, 0;
        @%p3 bra other;
        bra done;
        work:
        mov.u32 %r3, 0;
        count:
        add.u32 %r3, %r3, 1;
        setp.lt.u32 %p4, %r3, 3000;
        @%p4 bra count;
        membar.gl;
        st.global.u32 [%rd1], 1;
        done:";
    for options in orders() {
        run(body, 64, options).unwrap();
    }
}

#[test]
fn lanes_that_wait_for_lanes_that_wait_elsewhere() {
    let body = "
        @%p2 bra shuffle;
        bar.sync 0;
        bra done;
        shuffle:
        shfl.sync.bfly.b32 %r2, %r1, 1, 31, 0xffffffff;
        bar.sync 0;
        done:";
    in_every_order(body, 32, is_deadlock);
}

#[test]
fn masks_that_do_not_agree() {
    let body = "
        selp.b32 %r2, 0xffffffff, 0xffff0000, %p2;
        shfl.sync.bfly.b32 %r3, %r1, 1, 31, %r2;";
    in_every_order(body, 32, |cause| matches!(cause, Cause::Membership { .. } | Cause::Deadlock { .. }));
}

#[test]
fn a_loop_that_counts_for_ever_uses_up_the_budget() {
    let body = "again: add.u32 %r1, %r1, 1; bra again;";
    let fault = run(body, 32, Options { budget: 1_000_000, ..plain() }).unwrap_err();
    assert_eq!(fault.cause, Cause::Budget { instructions: 1_000_000 });
}

#[test]
fn a_kernel_that_gives_up() {
    let fault = run("@%p2 trap;", 32, plain()).unwrap_err();
    assert_eq!((fault.cause, fault.thread), (Cause::Trap, Some([0, 0, 0])));
}
