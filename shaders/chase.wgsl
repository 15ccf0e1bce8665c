// Pointer chase: the index of each load is what the load before it brought.
//
// Work: one dependent 8-byte load per hop, one hop per cache line, by one invocation. Bound: the latency of what holds the lines.

struct Sizes {
    turns: u32,     // of 16 hops
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> chain: array<vec2u>;
@group(0) @binding(1) var<storage, read_write> reached: array<u32>;

@compute @workgroup_size(1)
fn k_chase() {
    var at = reached[0];
    for (var turn = 0u; turn < sizes.turns; turn++) {
        //@repeat 16 u
        let link$u = chain[at];
        at = link$u.x ^ link$u.y;
        //@end
    }
    reached[0] = at;
}
