// Matrix products C[m, n] = A[m, k] * B[n, k]^T, row by row as a language model's weights lie.
//
// Work: 2 m n k operations; every matrix moved at least once. Bound: the multiply-add peak for many rows of A, the bandwidth of what holds B for few.
// A workgroup has a tile of C, {{BM}} rows by {{BN}} columns; strips of A and B go through its memory, turned so that four rows are a vector; an
// invocation has {{TM}} by {{TN}} sums in registers. Rows beyond the edge are computed from the last one, and not stored.

struct Sizes {
    m: u32,
    n: u32,
    fours: u32,     // groups of four elements in a row of A and B
    b_first: u32,   // group where this copy of B begins
    across: u32,    // tiles side by side
}

var<immediate> sizes: Sizes;

@group(0) @binding(0) var<storage, read> a: array<{{WORDS}}>;
@group(0) @binding(1) var<storage, read> b: array<{{WORDS}}>;
@group(0) @binding(2) var<storage, read_write> c: array<vec4<{{SUM}}>>;

const DEEP = 4u;                    // groups of four that a strip is deep
const STEPS = DEEP * {{STEPS}}u;    // steps through a strip
const ROWS = {{BM}}u / 4u;          // vectors of four rows in a strip of A, and of B
const COLUMNS = {{BN}}u / 4u;
const LANES = ({{BM}}u / {{TM}}u) * ({{BN}}u / {{TN}}u);

var<workgroup> left: array<vec4<{{STAGED}}>, STEPS * ROWS>;
var<workgroup> right: array<vec4<{{STAGED}}>, STEPS * COLUMNS>;

fn add_products(sum: vec4<{{SUM}}>, row: {{STAGED}}, columns: vec4<{{STAGED}}>) -> vec4<{{SUM}}> {
    return {{STEP}};
}

@compute @workgroup_size(LANES)
fn k_gemm(@builtin(workgroup_id) at_group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
    let tile = at_group.x + at_group.y * groups.x;
    let first_row = (tile / sizes.across) * {{BM}}u;
    let first_column = (tile % sizes.across) * {{BN}}u;
    if (first_row >= sizes.m) { return; }
    let within_row = (lane / ({{BN}}u / {{TN}}u)) * {{TM4}}u;
    let within_column = (lane % ({{BN}}u / {{TN}}u)) * {{TN4}}u;
    //@repeat {{TM4}} p
    //@repeat {{TN4}} q
    var x$p$q = vec4<{{SUM}}>();
    var y$p$q = vec4<{{SUM}}>();
    var z$p$q = vec4<{{SUM}}>();
    var w$p$q = vec4<{{SUM}}>();
    //@end
    //@end
    for (var strip = 0u; strip < sizes.fours; strip += DEEP) {
        for (var block = lane; block < ROWS * DEEP; block += LANES) {
            let depth = block % DEEP;
            let rows = block / DEEP;
            //@repeat 4 i
            let v$i = {{WIDEN}}(a[min(first_row + rows * 4u + $iu, sizes.m - 1u) * sizes.fours + strip + depth]);
            //@end
            {{STAGE_LEFT}}
        }
        for (var block = lane; block < COLUMNS * DEEP; block += LANES) {
            let depth = block % DEEP;
            let rows = block / DEEP;
            //@repeat 4 i
            let v$i = {{WIDEN}}(b[sizes.b_first + min(first_column + rows * 4u + $iu, sizes.n - 1u) * sizes.fours + strip + depth]);
            //@end
            {{STAGE_RIGHT}}
        }
        workgroupBarrier();
        for (var part = 0u; part < STEPS; part += 4u) {
            //@repeat 4 d
            {
                //@repeat {{TM4}} p
                let a$p = left[(part + $du) * ROWS + within_row + $pu];
                //@end
                //@repeat {{TN4}} q
                let b$q = right[(part + $du) * COLUMNS + within_column + $qu];
                //@end
                //@repeat {{TM4}} p
                //@repeat {{TN4}} q
                x$p$q = add_products(x$p$q, a$p.x, b$q);
                y$p$q = add_products(y$p$q, a$p.y, b$q);
                z$p$q = add_products(z$p$q, a$p.z, b$q);
                w$p$q = add_products(w$p$q, a$p.w, b$q);
                //@end
                //@end
            }
            //@end
        }
        workgroupBarrier();
    }
    let width = sizes.n / 4u;
    //@repeat {{TM4}} p
    //@repeat {{TN4}} q
    {
        let row = first_row + (within_row + $pu) * 4u;
        let column = first_column / 4u + within_column + $qu;
        if (column < width) {
            if (row < sizes.m) { c[row * width + column] = x$p$q; }
            if (row + 1u < sizes.m) { c[(row + 1u) * width + column] = y$p$q; }
            if (row + 2u < sizes.m) { c[(row + 2u) * width + column] = z$p$q; }
            if (row + 3u < sizes.m) { c[(row + 3u) * width + column] = w$p$q; }
        }
    }
    //@end
    //@end
}
