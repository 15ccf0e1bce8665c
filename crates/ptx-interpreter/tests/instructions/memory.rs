//! Loads, stores, atomic operations and copies.

use ptx_interpreter::{Options, Schedule};

use super::support::{parse, run_with, warp};

fn with_input(code: &str, input: &[u8]) -> u64 {
    run_with(code, input, 1, Options::default()).unwrap_or_else(|fault| panic!("{code}: {fault}")).0[0]
}

#[test]
fn loads_of_all_widths_and_hints() {
    let input: Vec<u8> = (0..32_u8).map(|i| i | 0x80).collect();
    let rows = [
        ("ld.global.u8 %r1, [%in+3]; cvt.u64.u32 %rd0, %r1;", 0x83),
        ("ld.global.s8 %r1, [%in+3]; cvt.u64.u32 %rd0, %r1;", 0xffff_ff83),
        ("ld.global.u16 %h1, [%in+2]; cvt.u64.u16 %rd0, %h1;", 0x8382),
        ("ld.global.nc.u32 %r1, [%in+4]; cvt.u64.u32 %rd0, %r1;", 0x8786_8584),
        ("ld.global.s32 %rd0, [%in+4];", 0xffff_ffff_8786_8584),
        ("ld.volatile.global.b64 %rd0, [%in+8];", 0x8f8e_8d8c_8b8a_8988),
        ("ld.global.L1::no_allocate.v2.b64 {%rd1, %rd0}, [%in+16];", 0x9f9e_9d9c_9b9a_9998),
        ("ld.global.nc.L1::evict_last.L2::128B.v4.u32 {_, _, _, %r1}, [%in]; cvt.u64.u32 %rd0, %r1;", 0x8f8e_8d8c),
        ("ld.global.cg.v4.u64 {_, _, %rd0, _}, [%in];", 0x9796_9594_9392_9190),
        ("ld.b64 %rd0, [%in+-0];", 0x8786_8584_8382_8180),
        ("ld.relaxed.gpu.global.u64 %rd0, [%in];", 0x8786_8584_8382_8180),
    ];
    for (code, expected) in rows {
        assert_eq!(with_input(&format!("{code} st.global.u64 [%out], %rd0;"), &input), expected, "{code}");
    }
    assert!(parse("ld.global.v4.u32 {%r1, %r2}, [%in];").is_err());
    assert!(parse("ld.global.v8.u64 {%rd1}, [%in];").is_err());
}

#[test]
fn spaces_and_generic_addresses() {
    let code = "
        .shared .align 8 .b8 tile[64];
        .local .align 8 .b8 own[16];
        mov.u32 %r1, tile;
        mov.u64 %rd1, tile;
        cvta.shared.u64 %rd1, %rd1;
        mov.u64 %rd2, own;
        cvta.local.u64 %rd2, %rd2;
        st.shared.u32 [tile+8], 5;
        st.local.u32 [own+4], 7;
        ld.u32 %r2, [%rd1+8];
        ld.u32 %r3, [%rd2+4];
        cvta.to.shared.u64 %rd3, %rd1;
        ld.shared.u32 %r4, [%rd3+8];
        ld.shared.u32 %r5, [%r1+8];
        isspacep.shared %p1, %rd1;
        isspacep.global %p2, %rd2;
        selp.u32 %r6, 1, 0, %p1;
        selp.u32 %r7, 1, 0, %p2;
        mad.lo.u32 %r2, %r2, 10, %r3;
        mad.lo.u32 %r2, %r2, 10, %r4;
        mad.lo.u32 %r2, %r2, 10, %r5;
        mad.lo.u32 %r2, %r2, 10, %r6;
        mad.lo.u32 %r2, %r2, 10, %r7;
        st.global.u32 [%out], %r2;
        ld.param.u64 %rd4, [input];
        prefetch.global.L2 [%rd4];";
    assert_eq!(with_input(code, &[]), 575_510);
}

#[test]
fn atomic_operations_return_what_was_there() {
    let operation = |code: &str, old: u64| {
        let text = format!(
            "mov.u64 %rd5, {old}; st.global.u64 [%out], %rd5;
             {code}
             ld.global.u64 %rd6, [%out];"
        );
        with_input(&text, &[])
    };
    assert_eq!(operation("atom.global.add.u32 %r1, [%out], 5;", 0xffff_ffff), 4);
    assert_eq!(operation("red.global.add.u64 [%out], 5;", 0xffff_ffff), 0x1_0000_0004);
    assert_eq!(operation("atom.add.noftz.f16x2 %r1, [%out], 0x3c003c00;", 0x4000_3c00), 0x4200_4000);
    assert_eq!(operation("red.relaxed.gpu.global.add.f32 [%out], 0f3F800000;", 0x3f80_0000), 0x4000_0000);
    assert_eq!(operation("atom.global.min.s32 %r1, [%out], 3;", 0xffff_fffe), 0xffff_fffe);
    assert_eq!(operation("atom.global.max.u64 %rd1, [%out], 9;", 3), 9);
    assert_eq!(operation("atom.global.inc.u32 %r1, [%out], 3;", 3), 0);
    assert_eq!(operation("atom.global.dec.u32 %r1, [%out], 3;", 0), 3);
    assert_eq!(operation("atom.global.and.b32 %r1, [%out], 6;", 3), 2);
    assert_eq!(operation("atom.global.xor.b64 %rd1, [%out], 6;", 3), 5);
    assert_eq!(operation("atom.acq_rel.gpu.global.exch.b32 %r1, [%out], 6;", 3), 6);
    assert_eq!(operation("atom.global.cas.b32 %r1, [%out], 3, 8;", 3), 8);
    assert_eq!(operation("atom.global.cas.b64 %rd1, [%out], 4, 8;", 3), 3);
    assert_eq!(operation("atom.global.cas.b16 %h1, [%out], 3, 8;", 0x5_0003), 0x5_0008);
    let old = "st.global.u64 [%out], 77; atom.global.exch.b64 %rd1, [%out], 5; st.global.u64 [%out], %rd1;";
    assert_eq!(with_input(old, &[]), 77);
    assert!(parse("atom.global.min.f32 %r1, [%out], %r2;").is_err());
}

#[test]
fn every_thread_of_a_warp_adds() {
    let code = "
        .shared .align 4 .b32 sum;
        setp.eq.u32 %p1, %thread, 0;
        @%p1 st.shared.u32 [sum], 0;
        bar.sync 0;
        atom.shared.add.u32 %r1, [sum], %thread;
        bar.sync 0;
        ld.shared.u32 %r2, [sum];
        cvt.u64.u32 %rd0, %r2;
        st.global.u64 [%out], %rd0;";
    for schedule in [Schedule::Plain, Schedule::Preemptive { seed: 1 }] {
        let options = Options { schedule, races: true, ..Options::default() };
        assert_eq!(run_with(code, &[], 96, options).unwrap().0, [96 * 95 / 2; 96]);
    }
}

#[test]
fn copies_arrive_when_they_are_waited_for() {
    let input: Vec<u8> = (0..16).collect();
    let code = |wait: &str| {
        format!(
            ".shared .align 16 .b8 tile[32];
            cp.async.cg.shared.global.L2::128B [tile], [%in], 16;
            cp.async.commit_group;
            cp.async.ca.shared.global [tile+16], [%in], 8, 4;
            cp.async.commit_group;
            {wait}
            ld.shared.u32 %r1, [tile+4];
            cvt.u64.u32 %rd0, %r1;
            st.global.u64 [%out], %rd0;"
        )
    };
    let run = |wait: &str| run_with(&code(wait), &input, 1, Options::default());
    assert_eq!(run("cp.async.wait_group 1;").unwrap().0[0], 0x0706_0504);
    assert_eq!(run("cp.async.wait_all;").unwrap().0[0], 0x0706_0504);
    assert!(run("cp.async.wait_group 2;").unwrap_err().to_string().contains("before they are written"));
    let second = code("cp.async.wait_group 0;").replace("tile+4]", "tile+20]");
    assert_eq!(run_with(&second, &input, 1, Options::default()).unwrap().0[0], 0, "what is not read is zero");
}

#[test]
fn variables_of_modules_have_their_values() {
    let text = ".version 8.0
        .target sm_80
        .address_size 64
        .const .align 4 .b8 table[16] = {1, 0, 0, 0, 2, 0, 0, 0, 0xff};
        .global .align 4 .u32 counter = 40;
        .visible .entry test(.param .u64 output) {
            .reg .b32 %r<4>;
            .reg .b64 %rd<3>;
            ld.param.u64 %rd1, [output];
            ld.const.u32 %r1, [table+4];
            mov.u64 %rd2, table;
            ld.const.u32 %r2, [%rd2+8];
            atom.global.add.u32 %r3, [counter], %r1;
            ld.global.u32 %r3, [counter];
            add.u32 %r3, %r3, %r2;
            st.global.u32 [%rd1], %r3;
            ret;
        }";
    use ptx_interpreter::{Launch, Loaded, Memory, Module};
    let memory = Memory::new(1 << 16);
    let output = memory.allocate(4).unwrap();
    let loaded = Loaded::new(Module::parse(text).unwrap(), &memory).unwrap();
    let launch = Launch {
        grid: [1; 3],
        block: [1; 3],
        dynamic_shared: 0,
        parameters: &output.to_le_bytes(),
        options: Options::default(),
    };
    loaded.launch(loaded.kernel("test").unwrap(), &memory, &launch).unwrap();
    let mut result = [0; 4];
    memory.read(output, &mut result).unwrap();
    assert_eq!(u32::from_le_bytes(result), 42 + 255);
    let (address, bytes) = loaded.variable("counter").unwrap();
    memory.read(address, &mut result).unwrap();
    assert_eq!((u32::from_le_bytes(result), bytes), (42, 4));
}

#[test]
fn special_registers() {
    let sum = "mov.u32 %r1, %laneid; mov.u32 %r2, %lanemask_lt; popc.b32 %r2, %r2; mov.u32 %r3, %ntid.x;
        mov.u32 %r4, %nctaid.x; mov.u32 %r5, %ctaid.z; mad.lo.u32 %r1, %r1, 100, %r2; mad.lo.u32 %r1, %r1, 100, %r3;
        mad.lo.u32 %r1, %r1, 10, %r4; add.u32 %r1, %r1, %r5; cvt.u64.u32 %rd0, %r1; st.global.u64 [%out], %rd0;";
    let values = warp(sum);
    assert_eq!((values[0], values[31]), (321, 3_131_321));
    let time =
        warp("mov.u64 %rd1, %clock64; mov.u64 %rd2, %clock64; sub.s64 %rd0, %rd2, %rd1; st.global.u64 [%out], %rd0;");
    assert!(time[0] > 0);
}
