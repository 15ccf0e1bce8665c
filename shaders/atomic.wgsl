// Atomic additions: to a word of each invocation's own, to one that some invocations share, or to one that all share.
//
// Work: 16 additions to a turn of the loop, for each invocation. Bound: how many of them the memory's units take in a cycle, to many words or to one.

struct Sizes {
    turns: u32,     // of every invocation
    longer: u32,    // invocations with one more
    threads: u32,
    shift: u32,     // invocations that share a word are 2^shift neighbours
    spread: u32,    // words from one of them to the next
}

var<immediate> sizes: Sizes;
override LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read_write> words: array<atomic<u32>>;

// What an invocation adds is its own, so that an addition which is lost or done twice shows. How far apart words are is not known to the compiler: of a word
// that a subgroup shares it could make one addition for all.
@compute @workgroup_size(LANES)
fn k_add(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
    let thread = (group.x + group.y * groups.x) * LANES + lane;
    if (thread >= sizes.threads) { return; }
    let addend = thread % 8u + 1u;
    let word = (thread >> sizes.shift) * sizes.spread;
    let turns = sizes.turns + select(0u, 1u, thread < sizes.longer);
    for (var turn = 0u; turn < turns; turn++) {
        //@repeat 16 i
        atomicAdd(&words[word], addend);
        //@end
    }
}
