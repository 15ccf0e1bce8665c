// Sums and maxima over a workgroup, first within subgroups of whatever width. All invocations take part, and all get the result.

var<workgroup> partial: array<f32, LANES>;

fn group_sum(value: f32, lane: u32, width: u32) -> f32 {
    let part = subgroupAdd(value);
    if (lane % width == 0u) { partial[lane / width] = part; }
    workgroupBarrier();
    var total = 0.0;
    for (var index = 0u; index < (LANES + width - 1u) / width; index++) { total += partial[index]; }
    workgroupBarrier();
    return total;
}

fn group_max(value: f32, lane: u32, width: u32) -> f32 {
    let part = subgroupMax(value);
    if (lane % width == 0u) { partial[lane / width] = part; }
    workgroupBarrier();
    var largest = partial[0];
    for (var index = 1u; index < (LANES + width - 1u) / width; index++) { largest = max(largest, partial[index]); }
    workgroupBarrier();
    return largest;
}
