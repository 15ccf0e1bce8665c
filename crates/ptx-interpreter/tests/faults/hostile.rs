//! Texts that make no sense: they are refused, or run into a fault or to an end, but nothing panics.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use ptx_interpreter::{Launch, Loaded, Memory, Module, Options, Schedule};

/// A bit of everything.
const TEXT: &str = "
.version 8.0
.target sm_80
.address_size 64
.const .align 4 .b8 table[16] = {1, 2, 3};
.extern .shared .align 16 .b8 dynamic[];
.visible .entry test(.param .u64 buffer, .param .u32 count) .maxntid 64, 1, 1 {
    .reg .pred %p<4>;
    .reg .b16 %h<4>;
    .reg .b32 %r<8>;
    .reg .b64 %rd<8>;
    .shared .align 16 .b8 tile[256];
    .local .align 8 .b8 own[16];
    ld.param.u64 %rd1, [buffer];
    ld.param.u32 %r1, [count];
    mov.u32 %r2, %tid.x;
    mad.lo.u32 %r3, %r2, 4, %r1;
    shl.b32 %r3, %r3, 2;
    mul.wide.u32 %rd2, %r2, 4;
    add.s64 %rd3, %rd1, %rd2;
    ld.global.u32 %r4, [%rd3];
    ld.global.nc.v2.u32 {%r5, %r6}, [%rd1];
    st.shared.u32 [tile+8], %r4;
    bar.sync 0;
    ld.shared.u32 %r5, [tile+8];
    st.local.u64 [own], %rd1;
    ld.local.u64 %rd4, [own];
    cvta.to.global.u64 %rd4, %rd4;
    mov.u64 %rd5, dynamic;
    cp.async.cg.shared.global [%rd5], [%rd1], 16;
    cp.async.commit_group;
    cp.async.wait_group 0;
    shfl.sync.bfly.b32 %r6, %r4, 1, 31, 0xffffffff;
    setp.lt.s32 %p1, %r6, 5;
    @%p1 bra skip;
    div.s32 %r7, %r6, %r4;
    bfe.s32 %r7, %r7, %r4, %r5;
    bfi.b32 %r7, %r7, %r4, %r5, %r6;
    shf.l.wrap.b32 %r7, %r7, %r4, %r5;
    prmt.b32 %r7, %r7, %r4, %r5;
    dp2a.hi.s32.u32 %r7, %r7, %r4, %r5;
    cvt.rzi.s32.f32 %r7, %r7;
    cvt.rn.f16.f32 %h1, %r7;
    cvt.u16.u32 %h2, %r4;
    fma.rn.f16 %h1, %h1, %h1, %h2;
    ld.const.u32 %r6, [table+4];
skip:
    add.cc.u32 %r7, %r4, %r4;
    addc.u32 %r7, %r4, %r4;
    bar.red.popc.u32 %r7, 0, %p1;
    vote.sync.ballot.b32 %r7, %p1, 0xffffffff;
    atom.global.add.u32 %r7, [%rd1], 1;
    red.shared.max.s32 [tile+8], %r7;
    barrier.sync %r1, 64;
    st.global.u32 [%rd3], %r7;
    ret;
}";

/// Words that stand somewhere in a text, and some that stand nowhere.
fn word() -> impl Strategy<Value = String> {
    let words: Vec<&str> = TEXT.split_inclusive([' ', ',', ';', '.', '[', ']', '{', '}', '\n']).collect();
    let strange =
        ["0xffffffffffffffff", "-1", "99999999999", "%r7", "%tid.x", "{", "}", "\"", "é", "/*", ".v8", "@!", "_"];
    prop_oneof![select(words).prop_map(str::to_owned), select(strange.to_vec()).prop_map(str::to_owned)]
}

/// Runs a text with a small budget, in some order.
fn run(text: &str, seed: u64, block: [u32; 3], dynamic_shared: u32) {
    let Ok(module) = Module::parse(text) else { return };
    let memory = Memory::new(1 << 16);
    let buffer = memory.allocate(256).unwrap();
    memory.fill(buffer, 3, 256).unwrap();
    let Ok(loaded) = Loaded::new(module, &memory) else { return };
    let Some(kernel) = loaded.kernel("test") else { return };
    let mut parameters = [buffer.to_le_bytes(), seed.to_le_bytes()].concat();
    parameters.resize(kernel.parameter_bytes() as usize, 0);
    let schedule = if seed % 2 == 0 { Schedule::Plain } else { Schedule::Preemptive { seed } };
    let options = Options { schedule, races: seed % 3 == 0, budget: 20_000, ..Options::default() };
    let launch = Launch { grid: [2, 1, 1], block, dynamic_shared, parameters: &parameters, options };
    if let Err(fault) = loaded.launch(kernel, &memory, &launch) {
        assert!(!fault.to_string().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_texts(changes in proptest::collection::vec((any::<Index>(), word()), 0..4), seed: u64) {
        let mut parts: Vec<String> =
            TEXT.split_inclusive([' ', ',', ';', '.', '[', ']', '{', '}', '\n']).map(str::to_owned).collect();
        for (index, word) in changes {
            let index = index.index(parts.len());
            parts[index] = word;
        }
        run(&parts.concat(), seed, [64, 1, 1], 64);
    }

    #[test]
    fn strange_launches(seed: u64, block: [u32; 3], dynamic_shared: u32) {
        run(TEXT, seed, block, dynamic_shared);
        run(TEXT, seed, block.map(|extent| extent % 70), dynamic_shared % 1000);
    }

    #[test]
    fn arbitrary_texts(text in "\\PC{0,200}") {
        run(&text, 0, [1, 1, 1], 0);
        run(&format!("{TEXT}\n.visible .entry more() {{ {text} }}"), 0, [1, 1, 1], 0);
    }
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!(".version 8.0\n.target sm_80\n.const .b8 x[9] = {};", "{".repeat(100_000));
    assert!(Module::parse(&text).is_err());
    let blocks = format!("{}\n.visible .entry deep() {{ {}", TEXT, "{".repeat(100_000));
    assert!(Module::parse(&blocks).is_err());
}
