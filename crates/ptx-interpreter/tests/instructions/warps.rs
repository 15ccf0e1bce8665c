//! What lanes do together, and what happens when they go different ways.

use ptx_interpreter::{Cause, Options, Schedule};

use super::support::{run_with, warp};

/// Stores `%r0` of each lane.
fn lanes(code: &str) -> Vec<u64> {
    warp(&format!("{code} cvt.u64.u32 %rd0, %r0; st.global.u64 [%out], %rd0;"))
}

fn each(f: impl Fn(u64) -> u64) -> Vec<u64> {
    (0..32).map(f).collect()
}

#[test]
fn shuffles() {
    let full = "0xffffffff";
    let rows: [(&str, fn(u64) -> u64); 6] = [
        ("shfl.sync.bfly.b32 %r0, %thread, 16, 31,", |lane| lane ^ 16),
        ("shfl.sync.down.b32 %r0, %thread, 1, 31,", |lane| (lane + 1).min(31)),
        ("shfl.sync.up.b32 %r0, %thread, 2, 0,", |lane| if lane < 2 { lane } else { lane - 2 }),
        ("shfl.sync.idx.b32 %r0, %thread, 5, 31,", |_| 5),
        // Segments of eight lanes.
        ("shfl.sync.idx.b32 %r0, %thread, 3, 0x181f,", |lane| lane / 8 * 8 + 3),
        ("shfl.sync.down.b32 %r0, %thread, 1, 0x181f,", |lane| if lane % 8 == 7 { lane } else { lane + 1 }),
    ];
    for (code, expected) in rows {
        assert_eq!(lanes(&format!("{code} {full};")), each(expected), "{code}");
    }
    let found = "shfl.sync.down.b32 %r1|%p1, %thread, 4, 31, 0xffffffff; selp.u32 %r0, 1, 0, %p1;";
    assert_eq!(lanes(found), each(|lane| u64::from(lane < 28)));
}

#[test]
fn votes_and_sums() {
    let odd = "and.b32 %r1, %thread, 1; setp.eq.u32 %p1, %r1, 1;";
    assert_eq!(lanes(&format!("{odd} vote.sync.ballot.b32 %r0, %p1, -1;")), [0xaaaa_aaaa; 32]);
    assert_eq!(lanes(&format!("{odd} vote.sync.any.pred %p2, %p1, -1; selp.u32 %r0, 1, 0, %p2;")), [1; 32]);
    assert_eq!(lanes(&format!("{odd} vote.sync.all.pred %p2, %p1, -1; selp.u32 %r0, 1, 0, %p2;")), [0; 32]);
    assert_eq!(lanes(&format!("{odd} vote.sync.uni.pred %p2, !%p1, -1; selp.u32 %r0, 1, 0, %p2;")), [0; 32]);
    assert_eq!(lanes("redux.sync.add.u32 %r0, %thread, -1;"), [31 * 32 / 2; 32]);
    assert_eq!(lanes("sub.s32 %r1, 5, %thread; redux.sync.min.s32 %r0, %r1, -1;"), [u64::from(-26_i32 as u32); 32]);
    assert_eq!(lanes("redux.sync.or.b32 %r0, %thread, -1;"), [31; 32]);
    assert_eq!(
        lanes("and.b32 %r1, %thread, 3; match.any.sync.b32 %r0, %r1, -1;"),
        each(|lane| 0x1111_1111 << (lane % 4))
    );
    assert_eq!(lanes("match.all.sync.b32 %r0|%p1, 7, -1;"), [0xffff_ffff; 32]);
    assert_eq!(lanes("match.all.sync.b32 %r0|%p1, %thread, -1;"), [0; 32]);
    assert_eq!(lanes("activemask.b32 %r0;"), [0xffff_ffff; 32]);
}

#[test]
fn halves_of_a_warp_meet_separately() {
    // One instruction, two masks: as kernels do that have half a warp for a row.
    let code = "
        setp.lt.u32 %p1, %thread, 16;
        selp.b32 %r1, 0x0000ffff, 0xffff0000, %p1;
        shfl.sync.bfly.b32 %r0, %thread, 8, 31, %r1;";
    assert_eq!(lanes(code), each(|lane| lane ^ 8));
}

#[test]
fn lanes_meet_again_after_a_branch() {
    let code = "
        setp.lt.u32 %p1, %thread, 16;
        @%p1 bra first;
        mov.u32 %r1, 100;
        bra.uni join;
    first:
        mov.u32 %r1, 200;
    join:
        activemask.b32 %r2;
        shfl.sync.bfly.b32 %r0, %r1, 16, 31, 0xffffffff;";
    assert_eq!(lanes(code), each(|lane| if lane < 16 { 100 } else { 200 }));
}

#[test]
fn loops_of_different_lengths() {
    let code = "
        mov.u32 %r0, 0;
        mov.u32 %r1, 0;
    again:
        add.u32 %r0, %r0, %r1;
        add.u32 %r1, %r1, 1;
        setp.le.u32 %p1, %r1, %thread;
        @%p1 bra again;";
    assert_eq!(lanes(code), each(|lane| lane * (lane + 1) / 2));
}

#[test]
fn a_lane_outside_of_its_mask_is_a_fault() {
    let code = "shfl.sync.bfly.b32 %r0, %thread, 1, 31, 0x0000ffff;";
    let fault = run_with(code, &[], 32, Options::default()).unwrap_err();
    assert!(matches!(fault.cause, Cause::Membership { mask: 0xffff, .. }), "{fault}");
    assert_eq!(fault.thread, Some([16, 0, 0]));
    assert!(fault.text.starts_with("shfl.sync.bfly"));
}

#[test]
fn a_value_of_a_lane_that_is_gone_is_no_value() {
    let code = "
        setp.ge.u32 %p1, %thread, 16;
        @%p1 ret;
        shfl.sync.bfly.b32 %r0, %thread, 16, 31, 0xffffffff;
        add.u32 %r1, %r0, 1;";
    let fault = run_with(code, &[], 32, Options::default()).unwrap_err();
    assert_eq!(fault.cause, Cause::Unset { name: "%r0".to_owned() }, "{fault}");
}

#[test]
fn barriers_of_a_block() {
    let code = "
        .shared .align 4 .b8 values[1024];
        mov.u32 %r1, values;
        mad.lo.u32 %r2, %thread, 4, %r1;
        st.shared.u32 [%r2], %thread;
        bar.sync 0;
        xor.b32 %r3, %thread, 255;
        mad.lo.u32 %r2, %r3, 4, %r1;
        ld.shared.u32 %r0, [%r2];
        setp.gt.u32 %p1, %thread, 99;
        bar.red.popc.u32 %r4, 0, %p1;
        barrier.sync.aligned 1, 256;
        bar.red.and.pred %p2, 0, !%p1;
        @%p2 trap;
        mad.lo.u32 %r0, %r4, 1000, %r0;
        cvt.u64.u32 %rd0, %r0;
        st.global.u64 [%out], %rd0;";
    let expected: Vec<u64> = (0..256).map(|thread| 156_000 + (thread ^ 255)).collect();
    for schedule in [Schedule::Plain, Schedule::Preemptive { seed: 4 }] {
        let options = Options { schedule, races: true, ..Options::default() };
        let (values, counters) = run_with(code, &[], 256, options).unwrap();
        assert_eq!((values, counters.barriers), (expected.clone(), 4));
    }
}

#[test]
fn producers_arrive_without_waiting() {
    let code = "
        .shared .align 4 .b32 value;
        setp.ge.u32 %p1, %thread, 32;
        @%p1 bra consumer;
        st.shared.u32 [value], 9;
        bar.arrive 2, 64;
        ret;
    consumer:
        bar.sync 2, 64;
        ld.shared.u32 %r0, [value];
        cvt.u64.u32 %rd0, %r0;
        st.global.u64 [%out], %rd0;";
    for seed in 0..20 {
        let options = Options { schedule: Schedule::Preemptive { seed }, races: true, ..Options::default() };
        let (values, _) = run_with(code, &[], 64, options).unwrap();
        assert!(values[..32].iter().all(|value| *value == 0) && values[32..].iter().all(|value| *value == 9));
    }
}

#[test]
fn a_thread_may_wait_for_another_of_its_warp() {
    // A lock that one lane after the other takes: lanes of a warp go on independently.
    let code = "
        .shared .align 4 .b8 state[8];
        setp.eq.u32 %p1, %thread, 0;
        @%p1 st.shared.v2.u32 [state], {0, 0};
        bar.sync 0;
    try:
        atom.shared.cas.b32 %r1, [state], 0, 1;
        setp.ne.u32 %p2, %r1, 0;
        @%p2 bra try;
        ld.volatile.shared.u32 %r2, [state+4];
        add.u32 %r2, %r2, 1;
        st.volatile.shared.u32 [state+4], %r2;
        membar.cta;
        atom.shared.exch.b32 %r3, [state], 0;
        bar.sync 0;
        ld.shared.u32 %r0, [state+4];
        cvt.u64.u32 %rd0, %r0;
        st.global.u64 [%out], %rd0;";
    for schedule in [Schedule::Plain, Schedule::Preemptive { seed: 3 }] {
        let options = Options { schedule, ..Options::default() };
        assert_eq!(run_with(code, &[], 64, options).unwrap().0, [64; 64]);
    }
}
