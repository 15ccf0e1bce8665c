// Matrix-vector products y[n] = W[n, k] * x[k], with weights as they are stored and a vector that was widened to f32 beforehand.
//
// Work: 2 n k operations; every weight loaded once with its scales, the vector and the result once. Bound: the bandwidth of what holds the weights;
// with few bits per weight, unpacking them. A workgroup has {{ROWS}} rows, of which its invocations take 16 bytes each at a time.

struct Sizes {
    first: u32,     // row where the part begins
    rows: u32,      // rows of the part
    words: u32,     // vectors of four words in a row
    groups: u32,    // scales in a row
}

var<immediate> sizes: Sizes;
override LANES: u32 = 64u;

@group(0) @binding(0) var<storage, read> weights: array<vec4u>;
@group(0) @binding(1) var<storage, read> vector: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> results: array<f32>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;

// The scale of a group of 128 integers of 4 bits: four vectors of words.
fn group_scale(row: u32, word: u32) -> f32 {
    let at = row * sizes.groups + word / 4u;
    let pair = unpack2x16float(scales[at / 2u]);
    return select(pair.x, pair.y, at % 2u == 1u);
}

fn row_scale(row: u32) -> f32 {
    return bitcast<f32>(scales[row]);
}

@compute @workgroup_size(LANES)
fn k_gemv(
    @builtin(workgroup_id) at_group: vec3u,
    @builtin(num_workgroups) groups: vec3u,
    {{WIDTH_ARGUMENT}}
    @builtin(local_invocation_index) lane: u32,
) {
    let within = (at_group.x + at_group.y * groups.x) * {{ROWS}}u;
    if (within >= sizes.rows) { return; }
    let row = sizes.first + within;
    //@repeat {{ROWS}} r
    var sum$r = 0.0;
    //@end
    for (var at = lane; at < sizes.words; at += LANES) {
        //@repeat {{PIECES}} p
        let x$p = vector[at * {{PIECES}}u + $pu];
        //@end
        //@repeat {{ROWS}} r
        let w$r = weights[(row + $ru) * sizes.words + at];
        //@end
        //@repeat {{ROWS}} r
        sum$r += {{PRODUCT}};
        //@end
    }
    //@repeat {{ROWS}} r
    let total$r = group_sum(sum$r, lane, {{WIDTH}}) {{ROW_SCALE}};
    //@end
    if (lane == 0u) {
        //@repeat {{ROWS}} r
        results[row + $ru] = total$r;
        //@end
    }
}
