// Streaming kernels over f32 arrays: read, write, copy, scale, add, triad.
//
// Work per element: 4 bytes for each array touched, 0 to 2 operations. Bound: the bandwidth of whatever holds the arrays.
// A workgroup owns a chunk, of which each invocation has {{UNROLL}} vectors in flight, side by side with its neighbours' or apart from them. With
// several passes in one dispatch, every pass deals the chunks out anew: what comes back to a multiprocessor comes from a cache that all share.

struct Sizes {
    first: u32,     // vector where the part begins
    chunks: u32,    // chunks of the part
    turns: u32,     // turns of an invocation through its chunk
    passes: u32,
    skip: u32,      // chunks by which a pass is ahead of the one before it
}

var<immediate> sizes: Sizes;
override LANES: u32 = 256u;

@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> sums: array<u32>;

const FACTOR = 0.5;

fn first_vector(group: u32, lane: u32, round: u32) -> u32 {
    let chunk = (group + round * sizes.skip) % sizes.chunks;
    return sizes.first + chunk * sizes.turns * LANES * {{UNROLL}}u + {{LANE_START}};
}

@compute @workgroup_size(LANES)
fn k_read(@builtin(workgroup_id) at_group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = at_group.x + at_group.y * groups.x;
    if (group >= sizes.chunks) { return; }
    //@repeat {{UNROLL}} u
    var sum$u = vec4u();
    //@end
    for (var round = 0u; round < sizes.passes; round++) {
        var at = first_vector(group, lane, round);
        for (var turn = 0u; turn < sizes.turns; turn++) {
            //@repeat {{UNROLL}} u
            sum$u += bitcast<vec4u>(a[at + $uu * {{VECTOR_STEP}}]);
            //@end
            at += {{TURN_STEP}};
        }
    }
    var sum = vec4u();
    //@repeat {{UNROLL}} u
    sum += sum$u;
    //@end
    sums[group * LANES + lane] = sum.x + sum.y + sum.z + sum.w;
}

@compute @workgroup_size(LANES)
fn k_store(@builtin(workgroup_id) at_group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
    let group = at_group.x + at_group.y * groups.x;
    if (group >= sizes.chunks) { return; }
    for (var round = 0u; round < sizes.passes; round++) {
        var at = first_vector(group, lane, round);
        for (var turn = 0u; turn < sizes.turns; turn++) {
            //@repeat {{UNROLL}} u
            let at$u = at + $uu * {{VECTOR_STEP}};
            let value$u = {{VALUE}};
            //@end
            //@repeat {{UNROLL}} u
            c[at$u] = value$u;
            //@end
            at += {{TURN_STEP}};
        }
    }
}
