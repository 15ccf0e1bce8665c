// Matrix products C[m, n] = A[m, k] * B[n, k]^T by cooperative matrices that are loaded from the workgroup's memory.
//
// Work: 2 m n k operations; every matrix moved at least once. Bound: the matrix units' issue rate, or the workgroup's memory. A workgroup of two by two subgroups
// has a tile of C, of which each subgroup takes {{ROWS}} by {{COLUMNS}} matrices of {{EDGE}} by {{EDGE}}; strips of A and B go through its memory. Tiles are whole: A and C have
// room for rows beyond the last.
{{ENABLE}}
enable wgpu_cooperative_matrix;

alias Left = coop_mat{{EDGE}}x{{EDGE}}<{{INPUT}}, A>;
alias Right = coop_mat{{EDGE}}x{{EDGE}}<{{INPUT}}, B>;
alias Sum = coop_mat{{EDGE}}x{{EDGE}}<f32, C>;

struct Sizes {
    n: u32,
    fours: u32,     // groups of four elements in a row of A and B
    b_first: u32,   // group where this copy of B begins
    across: u32,    // tiles side by side
    tiles: u32,
}

var<immediate> sizes: Sizes;
override LANES: u32 = 128u;

@group(0) @binding(0) var<storage, read> a: array<vec4<{{INPUT}}>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<{{INPUT}}>>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

const DEEP = {{DEEP}}u;             // elements that a strip is deep
const FOURS = DEEP / 4u;
const STRIDE = DEEP + {{APART}}u;   // from row to row: banks of memory that rows begin at differ
const TALL = {{ROWS}}u * {{EDGE}}u; // rows of a subgroup, and its columns
const WIDE = {{COLUMNS}}u * {{EDGE}}u;

var<workgroup> left: array<{{INPUT}}, 2u * TALL * STRIDE>;
var<workgroup> right: array<{{INPUT}}, 2u * WIDE * STRIDE>;

@compute @workgroup_size(LANES)
fn k_gemm_matrix_staged(
    @builtin(workgroup_id) at_group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
) {
    let tile = at_group.x + at_group.y * groups.x;
    if (tile >= sizes.tiles) { return; }
    let first_row = tile / sizes.across * 2u * TALL;
    let first_column = tile % sizes.across * 2u * WIDE;
    let within_row = subgroup / 2u * TALL;
    let within_column = subgroup % 2u * WIDE;
    //@repeat {{ROWS}} p
    //@repeat {{COLUMNS}} q
    var sum$p_$q = Sum();
    //@end
    //@end
    for (var strip = 0u; strip < sizes.fours; strip += FOURS) {
        for (var at = lane; at < 2u * TALL * FOURS; at += LANES) {
            let row = at / FOURS;
            let four = at % FOURS;
            let elements = a[(first_row + row) * sizes.fours + strip + four];
            //@repeat 4 e
            left[row * STRIDE + four * 4u + $eu] = elements[$e];
            //@end
        }
        for (var at = lane; at < 2u * WIDE * FOURS; at += LANES) {
            let row = at / FOURS;
            let four = at % FOURS;
            let elements = b[sizes.b_first + (first_column + row) * sizes.fours + strip + four];
            //@repeat 4 e
            right[row * STRIDE + four * 4u + $eu] = elements[$e];
            //@end
        }
        workgroupBarrier();
        for (var depth = 0u; depth < DEEP; depth += {{EDGE}}u) {
            //@repeat {{ROWS}} p
            let left$p = coopLoadT<Left>(&left[(within_row + $pu * {{EDGE}}u) * STRIDE + depth], STRIDE);
            //@end
            //@repeat {{COLUMNS}} q
            let right$q = coopLoad<Right>(&right[(within_column + $qu * {{EDGE}}u) * STRIDE + depth], STRIDE);
            //@end
            //@repeat {{ROWS}} p
            //@repeat {{COLUMNS}} q
            sum$p_$q = coopMultiplyAdd(left$p, right$q, sum$p_$q);
            //@end
            //@end
        }
        workgroupBarrier();
    }
    // naga takes nothing that is computed within a store.
    let width = sizes.n;
    //@repeat {{ROWS}} p
    //@repeat {{COLUMNS}} q
    let total$p_$q = sum$p_$q;
    let at$p_$q = &c[(first_row + within_row + $pu * {{EDGE}}u) * width + first_column + within_column + $qu * {{EDGE}}u];
    coopStoreT(total$p_$q, at$p_$q, width);
    //@end
    //@end
}
