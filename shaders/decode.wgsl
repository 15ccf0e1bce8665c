// Decode attention: the queries of one new token over the keys and values of all tokens before it, {{GROUP}} query heads to a head of keys and values.
//
// Work: 4 * group * dim * context operations for each head; keys and values loaded once. Bound: the bandwidth of what holds the cache. A workgroup
// takes a stretch of one head's tokens, {{DIM}} / 2 at a time: first an invocation has a token's scores, then two elements of the results. The
// second kernel puts the stretches together. Softmax goes along with running maximum and sum.

struct Sizes {
    context: u32,
    stretch: u32,   // tokens of a workgroup, a multiple of 64
    stretches: u32,
    tokens: u32,    // of all heads together
}

var<immediate> sizes: Sizes;

const GROUP = {{GROUP}}u;
const DIM = {{DIM}}u;
const LANES = DIM / 2u;
const VECTORS = {{VECTORS}}u;       // vectors of four words in a row of keys or values
const PIECES = {{PIECES}}u;         // vectors of four elements in one of those

@group(0) @binding(0) var<storage, read> keys: array<vec4u>;
@group(0) @binding(1) var<storage, read> values: array<{{PAIR}}>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read> queries: array<vec4f>;
@group(0) @binding(4) var<storage, read_write> partial: array<vec2f>;
@group(0) @binding(5) var<storage, read_write> weights: array<vec2f>;
@group(0) @binding(6) var<storage, read_write> results: array<vec2f>;

var<workgroup> query: array<vec4f, GROUP * DIM / 4u>;
var<workgroup> scores: array<f32, GROUP * LANES>;
var<workgroup> tops: array<f32, LANES>;

// Scales of keys lie before those of values, for all tokens of all heads; other formats have none.
fn key_scale(token: u32) -> f32 { return {{KEY_SCALE}}; }
fn value_scale(token: u32) -> f32 { return {{VALUE_SCALE}}; }

@compute @workgroup_size(LANES)
fn k_attend(@builtin(workgroup_id) at_group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
    let job = at_group.x + at_group.y * groups.x;
    let head = job / sizes.stretches;
    if (head * sizes.context >= sizes.tokens) { return; }
    let first = head * sizes.context + (job % sizes.stretches) * sizes.stretch;
    for (var at = lane; at < GROUP * DIM / 4u; at += LANES) { query[at] = queries[at]; }
    workgroupBarrier();
    //@repeat {{GROUP}} g
    var largest$g = -3.0e38;
    var sum$g = 0.0;
    var result$g = vec2f();
    //@end
    for (var block = 0u; block < sizes.stretch; block += LANES) {
        let token = first + block + lane;
        //@repeat {{GROUP}} g
        var score$g = 0.0;
        //@end
        for (var at = 0u; at < VECTORS; at++) {
            let k = keys[token * VECTORS + at];
            //@repeat {{PIECES}} p
            let k$p = {{PIECE}};
            //@repeat {{GROUP}} g
            score$g += dot(k$p, query[$gu * (DIM / 4u) + at * PIECES + $pu]);
            //@end
            //@end
        }
        let scale = key_scale(token);
        workgroupBarrier();
        //@repeat {{GROUP}} g
        score$g *= scale;
        scores[$gu * LANES + lane] = score$g;
        //@end
        workgroupBarrier();
        // An invocation has the largest of a part of a query's scores, and then of all parts.
        var part = scores[lane * GROUP];
        //@repeat {{GROUP}} g
        part = max(part, scores[lane * GROUP + $gu]);
        //@end
        tops[lane] = part;
        workgroupBarrier();
        //@repeat {{GROUP}} g
        var top$g = largest$g;
        for (var at = 0u; at < LANES / GROUP; at++) { top$g = max(top$g, tops[$gu * (LANES / GROUP) + at]); }
        let less$g = exp(largest$g - top$g);
        largest$g = top$g;
        sum$g *= less$g;
        result$g *= less$g;
        scores[$gu * LANES + lane] = exp(score$g - top$g);
        //@end
        workgroupBarrier();
        for (var at = 0u; at < LANES; at++) {
            let source = first + block + at;
            let v = {{VALUE}} * value_scale(source);
            //@repeat {{GROUP}} g
            let share$g = scores[$gu * LANES + at];
            sum$g += share$g;
            result$g += share$g * v;
            //@end
        }
    }
    //@repeat {{GROUP}} g
    partial[(job * GROUP + $gu) * LANES + lane] = result$g;
    if (lane == 0u) { weights[job * GROUP + $gu] = vec2f(largest$g, sum$g); }
    //@end
}

@compute @workgroup_size(LANES)
fn k_join(@builtin(workgroup_id) at_group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
    let row = at_group.x + at_group.y * groups.x;
    let head = row / GROUP;
    if (head * sizes.context >= sizes.tokens) { return; }
    var largest = -3.0e38;
    for (var part = 0u; part < sizes.stretches; part++) {
        largest = max(largest, weights[(head * sizes.stretches + part) * GROUP + row % GROUP].x);
    }
    var sum = 0.0;
    var result = vec2f();
    for (var part = 0u; part < sizes.stretches; part++) {
        let at = (head * sizes.stretches + part) * GROUP + row % GROUP;
        let share = exp(weights[at].x - largest);
        sum += weights[at].y * share;
        result += partial[at * LANES + lane] * share;
    }
    results[row * LANES + lane] = result / sum;
}
