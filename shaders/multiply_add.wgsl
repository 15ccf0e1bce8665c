// Multiply-adds on values in registers.
//
// Work: two operations for each element of each chain and step, two steps to a round, {{UNROLL}} rounds to a turn of the loop; four multiply-adds
// to a step where four 8-bit integers are a word. Bound: the issue rate of multiply-adds. Every invocation has factors of its own, every element of its chains a first sum of its own, and the
// result depends on the number of turns, so that none can be left out.
{{ENABLE}}
alias Chain = {{CHAIN}};
alias Scalar = {{SCALAR}};

struct Sizes {
    turns: u32,     // of every invocation
    longer: u32,    // invocations with one more
    threads: u32,
    x: {{WORD}},    // first factor of invocation 0
    step: {{WORD}}, // by which it differs from one invocation to the next
    y: {{WORD}},    // second factor
}

var<immediate> sizes: Sizes;
override LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read_write> results: array<{{WORD}}>;

@compute @workgroup_size(LANES)
fn k_multiply_add(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
    let thread = (group.x + group.y * groups.x) * LANES + lane;
    if (thread >= sizes.threads) { return; }
    let x = Chain(Scalar(sizes.x) - Scalar(thread & 7u) * Scalar(sizes.step));
    let y = Chain(Scalar(sizes.y));
    let z = {{SECOND}};
    //@repeat {{CHAINS}} c
    var sum$c = Chain({{START}}) {{SCALE}};
    //@end
    let turns = sizes.turns + select(0u, 1u, thread < sizes.longer);
    for (var turn = 0u; turn < turns; turn++) {
        //@repeat {{UNROLL}} u
        //@repeat {{CHAINS}} c
        sum$c = {{FIRST_STEP}};
        //@end
        //@repeat {{CHAINS}} c
        sum$c = {{SECOND_STEP}};
        //@end
        //@end
    }
    var total = {{WIDE}}(sum0);
    //@repeat {{CHAINS}} c
    total += {{WIDE}}(sum$c);
    //@end
    results[thread] = {{WORD}}({{REDUCE}});
}
