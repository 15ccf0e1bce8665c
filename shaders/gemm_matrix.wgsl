// Matrix products C[m, n] = A[m, k] * B[n, k]^T by cooperative matrices that are loaded straight from memory.
//
// Work: 2 m n k operations; every matrix moved at least once. Bound: the matrix units' issue rate, or the caches that every subgroup loads its factors from. A
// subgroup has a tile of C, {{ROWS}} by {{COLUMNS}} matrices of {{EDGE}} by {{EDGE}}. Tiles are whole: A and C have room for rows beyond the last.
{{ENABLE}}
enable wgpu_cooperative_matrix;

alias Left = coop_mat{{EDGE}}x{{EDGE}}<{{INPUT}}, A>;
alias Right = coop_mat{{EDGE}}x{{EDGE}}<{{INPUT}}, B>;
alias Sum = coop_mat{{EDGE}}x{{EDGE}}<f32, C>;

struct Sizes {
    n: u32,
    k: u32,
    b_first: u32,   // element where this copy of B begins
    across: u32,    // tiles side by side
    tiles: u32,
    groups: u32,    // workgroups that there is work for
}

var<immediate> sizes: Sizes;
override LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> a: array<{{INPUT}}>;
@group(0) @binding(1) var<storage, read> b: array<{{INPUT}}>;
@group(0) @binding(2) var<storage, read_write> c: array<f32>;

@compute @workgroup_size(LANES)
fn k_gemm_matrix(
    @builtin(workgroup_id) at_group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let group = at_group.x + at_group.y * groups.x;
    if (group >= sizes.groups) { return; }
    // Where subgroups are narrower than the widest that the device has, some find no tile left.
    for (var tile = group * subgroups + subgroup; tile < sizes.tiles; tile += sizes.groups * subgroups) {
        let row = tile / sizes.across * {{ROWS}}u * {{EDGE}}u;
        let column = tile % sizes.across * {{COLUMNS}}u * {{EDGE}}u;
        //@repeat {{ROWS}} p
        //@repeat {{COLUMNS}} q
        var sum$p_$q = Sum();
        //@end
        //@end
        for (var depth = 0u; depth < sizes.k; depth += {{EDGE}}u) {
            //@repeat {{ROWS}} p
            let left$p = coopLoadT<Left>(&a[(row + $pu * {{EDGE}}u) * sizes.k + depth], sizes.k);
            //@end
            //@repeat {{COLUMNS}} q
            let right$q = coopLoad<Right>(&b[sizes.b_first + (column + $qu * {{EDGE}}u) * sizes.k + depth], sizes.k);
            //@end
            //@repeat {{ROWS}} p
            //@repeat {{COLUMNS}} q
            sum$p_$q = coopMultiplyAdd(left$p, right$q, sum$p_$q);
            //@end
            //@end
        }
        // naga takes nothing that is computed within a store.
        let width = sizes.n;
        //@repeat {{ROWS}} p
        //@repeat {{COLUMNS}} q
        let total$p_$q = sum$p_$q;
        let at$p_$q = &c[(row + $pu * {{EDGE}}u) * width + column + $qu * {{EDGE}}u];
        coopStoreT(total$p_$q, at$p_$q, width);
        //@end
        //@end
    }
}
