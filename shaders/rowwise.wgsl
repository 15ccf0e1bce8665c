// Operators on rows of {{FOURS}} times four activations: softmax, RMSNorm, silu(gate) * up, rotary embedding, residual addition, gather.
//
// Work per element of the result: one or two elements loaded, one stored, up to five operations. Bound: the bandwidth of what holds the rows. A
// workgroup takes a row, of which every invocation keeps its share in registers; heads are 128 long, and their halves are turned against each other.

struct Sizes {
    first: u32,     // row where the part begins
    rows: u32,      // rows of the part
    all: u32,       // rows of the table that a gather takes from
    jump: u32,      // from one row of it to the next
    period: u32,    // positions after which angles repeat
}

var<immediate> sizes: Sizes;
override LANES: u32 = 128u;
const EPSILON = 1e-6;

@group(0) @binding(0) var<storage, read_write> a: array<{{WORDS}}>;
@group(0) @binding(1) var<storage, read> b: array<{{WORDS}}>;
@group(0) @binding(2) var<storage, read_write> c: array<{{WORDS}}>;
@group(0) @binding(3) var<storage, read> table: array<vec4f>;

@compute @workgroup_size(LANES)
fn k_rowwise(
    @builtin(workgroup_id) at_group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    {{WIDTH_ARGUMENT}}
    @builtin(local_invocation_index) lane: u32,
) {
    let within = at_group.x + at_group.y * groups.x;
    if (within >= sizes.rows) { return; }
    let row = sizes.first + within;
    let base = row * {{FOURS}}u;
    {{OPERATOR}}
}
