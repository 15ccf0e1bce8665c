// Multiply-adds of matrix units, on cooperative matrices in registers.
//
// Work: 131072 operations to a turn of the loop, for each worker: two operations for each product of {{EDGE}} by {{EDGE}} by {{EDGE}}. Bound: the issue rate of matrix
// multiply-adds. A worker is a subgroup with {{TALL}} factors A and {{WIDE}} factors B, of which it multiplies each by each; then with as many second factors B, and so on in turns,
// in the end once more with the first ones. Second factors are the first with their sign turned and something added: sums stay small and move all the same,
// so that a loop which ran too short has another result.
enable f16;
enable wgpu_cooperative_matrix;

alias Left = coop_mat{{EDGE}}x{{EDGE}}<f16, A>;
alias Right = coop_mat{{EDGE}}x{{EDGE}}<f16, B>;
alias Sum = coop_mat{{EDGE}}x{{EDGE}}<{{SUM}}, C>;

const ELEMENTS = {{EDGE}}u * {{EDGE}}u;
const FACTORS = {{TALL}}u + 2u * {{WIDE}}u;

struct Sizes {
    turns: u32,     // of every worker
    longer: u32,    // workers with one more
    workers: u32,
    groups: u32,    // workgroups that there is work for
    kinds: u32,     // workers after which all begins again
}

var<immediate> sizes: Sizes;
override LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> factors: array<f16>;
@group(0) @binding(1) var<storage, read_write> results: array<{{SUM}}>;

@compute @workgroup_size(LANES)
fn k_matrix_multiply_add(
    @builtin(workgroup_id) at_group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let group = at_group.x + at_group.y * groups.x;
    if (group >= sizes.groups) { return; }
    // Where subgroups are narrower than the widest that the device has, some find no work left.
    for (var worker = group * subgroups + subgroup; worker < sizes.workers; worker += sizes.groups * subgroups) {
        let first = worker % sizes.kinds * FACTORS * ELEMENTS;
        //@repeat {{TALL}} p
        let left$p = coopLoadT<Left>(&factors[first + $pu * ELEMENTS], {{EDGE}}u);
        //@end
        //@repeat {{WIDE}} q
        let first$q = coopLoadT<Right>(&factors[first + ({{TALL}}u + $qu) * ELEMENTS], {{EDGE}}u);
        let second$q = coopLoadT<Right>(&factors[first + ({{TALL}}u + {{WIDE}}u + $qu) * ELEMENTS], {{EDGE}}u);
        //@end
        //@repeat {{TALL}} p
        //@repeat {{WIDE}} q
        var sum$p_$q = Sum();
        //@end
        //@end
        let turns = sizes.turns + select(0u, 1u, worker < sizes.longer);
        for (var turn = 0u; turn < turns; turn++) {
            //@repeat {{PAIRS}} i
            //@repeat {{TALL}} p
            //@repeat {{WIDE}} q
            sum$p_$q = coopMultiplyAdd(left$p, first$q, sum$p_$q);
            //@end
            //@end
            //@repeat {{TALL}} p
            //@repeat {{WIDE}} q
            sum$p_$q = coopMultiplyAdd(left$p, second$q, sum$p_$q);
            //@end
            //@end
            //@end
        }
        // naga takes nothing that is computed within a store.
        //@repeat {{TALL}} p
        //@repeat {{WIDE}} q
        let total$p_$q = coopMultiplyAdd(left$p, first$q, sum$p_$q);
        let at$p_$q = &results[(worker * {{TALL}}u * {{WIDE}}u + $pu * {{WIDE}}u + $qu) * ELEMENTS];
        coopStoreT(total$p_$q, at$p_$q, {{EDGE}}u);
        //@end
        //@end
    }
}
