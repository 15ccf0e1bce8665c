// Sums and maxima over a workgroup, through its memory. All invocations take part, and all get the result.

var<workgroup> partial: array<f32, LANES>;

fn group_sum(value: f32, lane: u32, width: u32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] += partial[lane + half]; }
        workgroupBarrier();
    }
    let total = partial[0];
    workgroupBarrier();
    return total;
}

fn group_max(value: f32, lane: u32, width: u32) -> f32 {
    partial[lane] = value;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if (lane < half) { partial[lane] = max(partial[lane], partial[lane + half]); }
        workgroupBarrier();
    }
    let largest = partial[0];
    workgroupBarrier();
    return largest;
}
