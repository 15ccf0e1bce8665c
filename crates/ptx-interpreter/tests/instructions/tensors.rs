//! Barriers in shared memory, and copies of boxes of tensors.

use ptx_interpreter::{Argument, Cause, Counters, Fault, Launch, Loaded, Memory, Module, Options, Schedule, TensorMap};

/// A tensor of three rows of 24 numbers of 32 bits, of which boxes of two rows of 16 are copied.
const ROW: u64 = 24;
const ROWS: u64 = 3;
const BOX: [u32; 2] = [16, 2];
const BOX_BYTES: u32 = 128;

fn map(address: u64, exchanged: bool) -> TensorMap {
    let (sizes, strides, tile) = (vec![ROW, ROWS], vec![4 * ROW], BOX.to_vec());
    TensorMap { address, element_bytes: 4, sizes, strides, tile, exchanged }
}

fn orders() -> impl Iterator<Item = Options> {
    let seeds = (0..8).map(|seed| Schedule::Preemptive { seed });
    let schedules = std::iter::once(Schedule::Plain).chain(seeds);
    schedules.map(|schedule| Options { schedule, races: true, budget: 1 << 22, ..Options::default() })
}

/// A kernel with the map of a tensor of numbers from 100 on, and with one of another of zeros. Each of 64 threads has four
/// bytes for a result.
fn text(code: &str) -> String {
    format!(
        ".version 8.0
        .target sm_90a
        .address_size 64
        .visible .entry test(
            .param .align 64 .b8 input[128], .param .align 64 .b8 output[128], .param .u64 results
        ) {{
            .reg .pred %p<4>;
            .reg .b32 %r<8>, %bar, %tile, %thread;
            .reg .b64 %rd<4>, %in, %to, %out;
            .shared .align 1024 .b8 tile[1024];
            .shared .align 8 .b8 barriers[32];
            mov.b64 %in, input;
            cvta.param.u64 %in, %in;
            mov.b64 %to, output;
            cvta.param.u64 %to, %to;
            mov.u32 %bar, barriers;
            mov.u32 %tile, tile;
            mov.u32 %thread, %tid.x;
            ld.param.u64 %out, [results];
            mul.wide.u32 %rd0, %thread, 4;
            add.s64 %out, %out, %rd0;
            setp.eq.u32 %p0, %thread, 0;
            {code}
            ret;
        }}"
    )
}

struct Done {
    results: Vec<u32>,
    tensor: Vec<u32>,
    counters: Counters,
}

fn run(code: &str, exchanged: bool, options: Options) -> Result<Done, Fault> {
    let memory = Memory::new(1 << 20);
    let words = |address: u64, count: u64| -> Vec<u32> {
        let mut bytes = vec![0; 4 * count as usize];
        memory.read(address, &mut bytes).unwrap();
        bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect()
    };
    let numbers: Vec<u8> = (0..ROW * ROWS).flat_map(|number| (100 + number as u32).to_le_bytes()).collect();
    let [input, output, results] =
        [numbers.len() as u64, numbers.len() as u64, 256].map(|bytes| memory.allocate(bytes).unwrap());
    memory.write(input, &numbers).unwrap();
    memory.fill(output, 0, numbers.len() as u64).unwrap();
    memory.fill(results, 0, 256).unwrap();
    let loaded = Loaded::new(Module::parse(&text(code)).unwrap_or_else(|error| panic!("{error}")), &memory).unwrap();
    let kernel = loaded.kernel("test").unwrap();
    let [input, to] = [input, output].map(|address| Argument::Tensor(map(address, exchanged).to_bytes()));
    let parameters = kernel.pack(&[input, to, Argument::U64(results)]).unwrap();
    let launch = Launch { grid: [1; 3], block: [64, 1, 1], dynamic_shared: 0, parameters: &parameters, options };
    let counters = loaded.launch(kernel, &memory, &launch)?;
    Ok(Done { results: words(results, 64), tensor: words(output, ROW * ROWS), counters })
}

/// Thread 0 makes a barrier for itself; everybody knows.
const MADE: &str = "
    @%p0 mbarrier.init.shared::cta.b64 [%bar], 1;
    @%p0 fence.mbarrier_init.release.cluster;
    bar.sync 0;";

/// Waits for the first phase.
const WAIT: &str = "
    again: mbarrier.try_wait.parity.shared::cta.b64 %p1, [%bar], 0;
    @!%p1 bra again;";

/// Thread 0 has a box fetched from column 16 and a row on.
fn fetch(row: i32) -> String {
    format!(
        "mov.b32 %r5, {row};
        @%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], {BOX_BYTES};
        @%p0 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%tile], [%in, {{16, %r5}}], [%bar];"
    )
}

/// Each of the first threads takes a word from where its number lies in the box.
const TAKE: &str = "
    setp.lt.u32 %p2, %thread, 32;
    shl.b32 %r0, %thread, 2;
    add.u32 %r0, %r0, %tile;
    @%p2 ld.shared.u32 %r1, [%r0];
    @%p2 st.global.u32 [%out], %r1;";

#[test]
fn boxes_come_with_zeros_beyond_the_tensor() {
    for row in [1, 2, -1, 5] {
        for options in orders() {
            let code = [MADE, "prefetch.tensormap [%in];", &fetch(row), WAIT, TAKE].concat();
            let done = run(&code, false, options).unwrap_or_else(|fault| panic!("{fault}"));
            let value = |index: i32| {
                let (row, column) = (row + index / 16, 16 + index % 16);
                let is_within = (0..ROWS as i32).contains(&row) && column < ROW as i32;
                if is_within { (100 + row * ROW as i32 + column) as u32 } else { 0 }
            };
            assert_eq!(done.results[..32], (0..32).map(value).collect::<Vec<_>>(), "{row}");
            let within = done.results[..32].iter().filter(|value| **value > 0).count() as u64;
            assert_eq!((done.counters.loaded, done.counters.distinct_loaded), (4 * within, 4 * within));
        }
    }
}

#[test]
fn vectors_are_exchanged() {
    // Both rows lie in the first 128 bytes of the pattern, where nothing is exchanged: a box later it is.
    let later = fetch(0).replace("[%tile]", "[%r6]");
    let code = [MADE, "add.u32 %r6, %tile, 0;", &later, WAIT, TAKE].concat();
    let straight = run(&code, true, Options::default()).unwrap();
    assert_eq!(straight.results[..8], [116, 117, 118, 119, 120, 121, 122, 123]);
    let code = code.replace("add.u32 %r6, %tile, 0;", "add.u32 %r6, %tile, 128;");
    let fault = run(&code, true, Options::default()).err().unwrap();
    assert!(matches!(fault.cause, Cause::Misaligned { .. }), "{fault}");
}

/// Threads of the first warp write numbers, which are sent.
fn send(fence: &str, wait: &str) -> String {
    format!(
        "{MADE}
        setp.lt.u32 %p2, %thread, 32;
        shl.b32 %r0, %thread, 2;
        add.u32 %r0, %r0, %tile;
        add.u32 %r1, %thread, 1;
        @%p2 st.shared.u32 [%r0], %r1;
        {fence}
        bar.sync 0;
        @%p0 cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%to, {{16, 1}}], [%tile];
        @%p0 cp.async.bulk.commit_group;
        {wait}
        bar.sync 0;
        @%p2 st.shared.u32 [%r0], 9;"
    )
}

const FENCE: &str = "fence.proxy.async.shared::cta;";
const WAIT_FOR_READS: &str = "@%p0 cp.async.bulk.wait_group.read 0;";

#[test]
fn what_lies_beyond_the_tensor_is_not_written() {
    for wait in [WAIT_FOR_READS, "@%p0 cp.async.bulk.wait_group 0;"] {
        for options in orders() {
            let done = run(&send(FENCE, wait), false, options).unwrap_or_else(|fault| panic!("{fault}"));
            for (index, found) in done.tensor.iter().enumerate() {
                let (row, column) = (index as u32 / ROW as u32, index as u32 % ROW as u32);
                let expected = if row > 0 && column >= 16 { 1 + (row - 1) * 16 + column - 16 } else { 0 };
                assert_eq!(*found, expected, "row {row}, column {column}");
            }
            assert_eq!((done.counters.stored, done.counters.distinct_stored), (64, 64));
        }
    }
}

fn cause(code: &str, options: Options) -> Option<Cause> {
    run(code, false, options).err().map(|fault| fault.cause)
}

#[test]
fn what_is_sent_must_be_fenced_and_stay() {
    for options in orders() {
        let unfenced = cause(&send("", WAIT_FOR_READS), options);
        assert!(matches!(unfenced, Some(Cause::Unfenced { .. })), "{unfenced:?}");
        let overwritten = cause(&send(FENCE, ""), options);
        assert!(matches!(overwritten, Some(Cause::InUse { .. })), "{overwritten:?}");
        let too_few = cause(&send(FENCE, "@%p0 cp.async.bulk.wait_group.read 1;"), options);
        assert!(matches!(too_few, Some(Cause::InUse { .. })), "{too_few:?}");
        // Whoever sends may fence as well.
        let by_sender = send("bar.sync 0; @%p0 fence.proxy.async;", WAIT_FOR_READS);
        assert_eq!(cause(&by_sender, options), None);
    }
    let ends = send(FENCE, "").replace("@%p2 st.shared.u32 [%r0], 9;", "");
    assert!(matches!(cause(&ends, Options::default()), Some(Cause::Tensor { .. })));
}

#[test]
fn what_comes_is_not_there_before_it_is_waited_for() {
    let early = [MADE, &fetch(0), TAKE].concat();
    assert!(matches!(cause(&early, Options::default()), Some(Cause::Uninitialised { .. })));
    // Bytes that are on their way must not be written, and a barrier that is not fenced is not there.
    let written = [MADE, &fetch(0), "@%p0 st.shared.u32 [%tile], 1;", WAIT].concat();
    assert!(matches!(cause(&written, Options::default()), Some(Cause::InUse { .. })));
    let unfenced = [MADE, &fetch(0), WAIT].concat().replace("@%p0 fence.mbarrier_init.release.cluster;", "");
    assert!(matches!(cause(&unfenced, Options::default()), Some(Cause::Unfenced { .. })));
    let over_barrier = [MADE, &fetch(0).replace("[%tile]", "[%bar]"), WAIT].concat();
    assert!(cause(&over_barrier, Options::default()).is_some());
}

#[test]
fn a_phase_ends_when_all_have_arrived() {
    // Every thread arrives twice, and asks for the phase that it arrived at.
    let code = "
        @%p0 mbarrier.init.shared::cta.b64 [%bar], 64;
        bar.sync 0;
        mbarrier.arrive.shared::cta.b64 %rd1, [%bar];
        first: mbarrier.test_wait.shared::cta.b64 %p1, [%bar], %rd1;
        @!%p1 bra first;
        mbarrier.arrive.shared::cta.b64 %rd2, [%bar], 1;
        second: mbarrier.try_wait.shared::cta.b64 %p1, [%bar], %rd2, 1000;
        @!%p1 bra second;
        sub.u64 %rd2, %rd2, %rd1;
        st.global.u32 [%out], %rd2;
        bar.sync 0;
        @%p0 mbarrier.inval.shared::cta.b64 [%bar];
        @%p0 st.shared.u64 [%bar], 0;";
    let code = code.replace("st.global.u32 [%out], %rd2;", "cvt.u32.u64 %r1, %rd2; st.global.u32 [%out], %r1;");
    for options in orders() {
        let done = run(&code, false, options).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(done.results, [1; 64]);
    }
}

#[test]
fn barriers_are_used_as_they_were_made() {
    let is_barrier = |code: &str| matches!(cause(code, Options::default()), Some(Cause::Barrier { .. }));
    assert!(is_barrier("mbarrier.arrive.shared::cta.b64 _, [%bar];"), "there is none");
    assert!(is_barrier("@%p0 mbarrier.init.shared::cta.b64 [%bar], 0;"));
    assert!(is_barrier(&[MADE, "mbarrier.arrive.shared::cta.b64 _, [%bar+8];"].concat()));
    assert!(is_barrier(&[MADE, "@%p0 st.shared.u32 [%bar+4], 1;"].concat()), "it is overwritten");
    assert!(is_barrier(&[MADE, "@%p0 mbarrier.init.shared::cta.b64 [%bar], 1;"].concat()), "there is one");
    let misaligned = "@%p0 mbarrier.init.shared::cta.b64 [%bar+4], 1;";
    assert!(matches!(cause(misaligned, Options::default()), Some(Cause::Misaligned { .. })));
    for options in orders() {
        let never = [MADE, WAIT].concat();
        let found = run(&never, false, options).err().unwrap();
        assert!(matches!(&found.cause, Cause::Deadlock { stuck } if !stuck.is_empty()), "{found}");
    }
}

#[test]
fn copies_that_no_device_makes_are_refused() {
    let code = |from: &str, to: &str| [MADE, &fetch(0).replace(from, to), WAIT].concat();
    let no_map = code("[%in, ", "[%rd0, ").replace("mov.b32 %r5, 0;", "mov.b32 %r5, 0; add.u64 %rd0, %in, 64;");
    assert!(matches!(cause(&no_map, Options::default()), Some(Cause::Tensor { .. })));
    assert!(Module::parse(&text(&code(".2d.", ".3d."))).is_err());
    let other_rank = code(".2d.", ".3d.").replace("{16, %r5}", "{16, %r5, %r5}");
    assert!(matches!(cause(&other_rank, Options::default()), Some(Cause::Tensor { .. })));
    let beyond = code("[%tile]", "[%tile+1024]");
    assert!(cause(&beyond, Options::default()).is_some());
    for unknown in [
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%tile], [%in], 16, [%bar];",
        "cp.reduce.async.bulk.tensor.2d.global.shared::cta.add.tile.bulk_group [%to, {0, 0}], [%tile];",
        "mbarrier.pending_count.b64 %r0, %rd0;",
        "fence.proxy.tensormap::generic.release.gpu;",
    ] {
        assert!(Module::parse(&text(unknown)).is_err(), "{unknown}");
    }
}

/// Two blocks, of which each fetches a row of eight numbers for both and tells the other when it has come.
#[test]
fn blocks_of_a_cluster_fetch_for_one_another() {
    let text = "
        .version 8.0
        .target sm_90a
        .address_size 64
        .visible .entry test(.param .align 64 .b8 input[128], .param .u64 results)
        .explicitcluster
        .reqnctapercluster 2, 1, 1
        {
            .reg .pred %p<4>;
            .reg .b16 %both;
            .reg .b32 %r<8>, %bar, %tile, %thread, %rank, %block;
            .reg .b64 %rd<4>, %in, %out;
            .shared .align 1024 .b8 tile[256];
            .shared .align 8 .b8 barriers[16];
            mov.b64 %in, input;
            cvta.param.u64 %in, %in;
            ld.param.u64 %out, [results];
            mov.u32 %bar, barriers;
            mov.u32 %tile, tile;
            mov.u32 %thread, %tid.x;
            mov.u32 %block, %ctaid.x;
            mov.u32 %rank, %cluster_ctarank;
            mov.b16 %both, 3;
            setp.eq.u32 %p0, %thread, 0;
            @%p0 mbarrier.init.shared::cta.b64 [%bar], 1;
            @%p0 mbarrier.init.shared::cta.b64 [%bar+8], 2;
            fence.mbarrier_init.release.cluster;
            barrier.cluster.arrive.release.aligned;
            barrier.cluster.wait.acquire.aligned;
            @%p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 256;
            mad.lo.u32 %r0, %rank, 128, %tile;
            @%p0 cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster
                [%r0], [%in, {0, %block}], [%bar], %both;
            again: mbarrier.try_wait.parity.shared::cta.b64 %p1, [%bar], 0;
            @!%p1 bra again;
            shl.b32 %r1, %thread, 2;
            add.u32 %r1, %r1, %tile;
            ld.shared.u32 %r2, [%r1];
            mad.lo.u32 %r3, %block, 64, %thread;
            mul.wide.u32 %rd0, %r3, 4;
            add.s64 %out, %out, %rd0;
            st.global.u32 [%out], %r2;
            mov.u32 %r4, 0;
            tell: mapa.shared::cluster.u32 %r5, %bar, %r4;
            @%p0 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r5+8];
            add.u32 %r4, %r4, 1;
            setp.lt.u32 %p2, %r4, 2;
            @%p2 bra tell;
            told: mbarrier.try_wait.parity.shared::cta.b64 %p1, [%bar+8], 0;
            @!%p1 bra told;
            barrier.cluster.arrive.release.aligned;
            barrier.cluster.wait.acquire.aligned;
            ret;
        }";
    let run = |text: &str, blocks: u32, options: Options| {
        let memory = Memory::new(1 << 20);
        let numbers: Vec<u8> = (0..128_u32).flat_map(|number| (100 + number).to_le_bytes()).collect();
        let (input, results) = (memory.allocate(512).unwrap(), memory.allocate(1024).unwrap());
        memory.write(input, &numbers).unwrap();
        let (sizes, strides, tile) = (vec![32, 4], vec![128], vec![32, 1]);
        let map = TensorMap { address: input, element_bytes: 4, sizes, strides, tile, exchanged: false };
        let loaded = Loaded::new(Module::parse(text).unwrap_or_else(|error| panic!("{error}")), &memory).unwrap();
        let kernel = loaded.kernel("test").unwrap();
        let parameters = kernel.pack(&[Argument::Tensor(map.to_bytes()), Argument::U64(results)]).unwrap();
        let (grid, block) = ([blocks, 1, 1], [64, 1, 1]);
        let counters = loaded.launch(
            kernel,
            &memory,
            &Launch { grid, block, dynamic_shared: 0, parameters: &parameters, options },
        )?;
        let mut bytes = vec![0; 256 * blocks as usize];
        memory.read(results, &mut bytes).unwrap();
        let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect::<Vec<_>>();
        Ok::<_, Fault>((words, counters))
    };
    for options in orders() {
        let (words, counters) = run(text, 4, options).unwrap_or_else(|fault| panic!("{fault}"));
        for (index, word) in words.iter().enumerate() {
            // Both blocks of a pair have the rows of both.
            let (pair, within) = (index as u32 / 128, index as u32 % 64);
            assert_eq!(*word, 100 + 64 * pair + within, "{index}");
        }
        assert_eq!((counters.loaded, counters.distinct_loaded), (512, 512));
        let beyond = text.replace("mov.u32 %r4, 0;", "mov.u32 %r4, 2;");
        let fault = run(&beyond, 2, options).unwrap_err();
        assert!(matches!(fault.cause, Cause::Cluster { .. }), "{fault}");
    }
    let odd = run(text, 3, Options::default()).unwrap_err();
    assert!(matches!(odd.cause, Cause::Launch { .. }), "{odd}");
    let alone = text.replace("barrier.cluster.arrive.release.aligned;", "@%p0 barrier.cluster.arrive.release;");
    assert!(run(&alone, 2, Options::default()).is_err(), "others wait for a round that they did not arrive at");
}
