// Prefill attention: every token of a prompt attends to itself and those before it, in bfloat16 summed in f32.
//
// Work: 4 * group * dim operations for each of context * (context + 1) / 2 pairs of a head of keys and values. Bound: the multiply-add peak. A workgroup takes
// {{ROWS}} queries of a head, and {{KEYS}} keys and values at a time through its memory. Softmax goes along with running maximum and sum.

struct Sizes {
    context: u32,
    blocks: u32,    // of queries, in a head's context
    heads: u32,     // of queries
}

var<immediate> sizes: Sizes;

const GROUP = {{GROUP}}u;
const DIM = {{DIM}}u;
const ROWS = {{ROWS}}u;
const KEYS = {{KEYS}}u;
const LANES = DIM;
const FOURS = DIM / 4u;
const SCALE = {{SCALE}};

@group(0) @binding(0) var<storage, read> queries: array<vec2u>;
@group(0) @binding(1) var<storage, read> keys: array<vec2u>;
@group(0) @binding(2) var<storage, read> values: array<vec2u>;
@group(0) @binding(3) var<storage, read_write> results: array<f32>;

var<workgroup> query: array<vec4f, ROWS * FOURS>;
var<workgroup> strip: array<vec2u, KEYS * FOURS>;
var<workgroup> shares: array<f32, ROWS * KEYS>;
var<workgroup> less: array<f32, ROWS>;
var<workgroup> tops: array<f32, ROWS>;
var<workgroup> sums: array<f32, ROWS>;

@compute @workgroup_size(LANES)
fn k_attend(@builtin(workgroup_id) at_group: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
    let job = at_group.x + at_group.y * groups.x;
    let head = job / sizes.blocks;
    if (head >= sizes.heads) { return; }
    // The longest rows go first, so that they do not end last.
    let first = (sizes.blocks - 1u - job % sizes.blocks) * ROWS;
    let cache = (head / GROUP) * sizes.context;
    for (var at = lane; at < ROWS * FOURS; at += LANES) {
        query[at] = bf16_4(queries[(head * sizes.context + first) * FOURS + at]) * SCALE;
    }
    if (lane < ROWS) { tops[lane] = -3.0e38; sums[lane] = 0.0; }
    //@repeat {{ROWS}} r
    var result$r = 0.0;
    //@end
    for (var block = 0u; block < first + ROWS; block += KEYS) {
        workgroupBarrier();
        for (var at = lane; at < KEYS * FOURS; at += LANES) { strip[at] = keys[(cache + block) * FOURS + at]; }
        workgroupBarrier();
        // Scores: an invocation has one key and every so manieth row.
        let key = lane % KEYS;
        //@repeat {{OWN}} s
        var score$s = 0.0;
        //@end
        for (var at = 0u; at < FOURS; at++) {
            let k = bf16_4(strip[key * FOURS + at]);
            //@repeat {{OWN}} s
            score$s += dot(k, query[(lane / KEYS + $su * (LANES / KEYS)) * FOURS + at]);
            //@end
        }
        //@repeat {{OWN}} s
        {
            let row = lane / KEYS + $su * (LANES / KEYS);
            shares[row * KEYS + key] = select(-3.0e38, score$s, block + key <= first + row);
        }
        //@end
        workgroupBarrier();
        if (lane < ROWS) {
            var top = tops[lane];
            for (var at = 0u; at < KEYS; at++) { top = max(top, shares[lane * KEYS + at]); }
            var sum = 0.0;
            for (var at = 0u; at < KEYS; at++) {
                let share = exp(shares[lane * KEYS + at] - top);
                shares[lane * KEYS + at] = share;
                sum += share;
            }
            less[lane] = exp(tops[lane] - top);
            tops[lane] = top;
            sums[lane] = sums[lane] * less[lane] + sum;
        }
        for (var at = lane; at < KEYS * FOURS; at += LANES) { strip[at] = values[(cache + block) * FOURS + at]; }
        workgroupBarrier();
        // Results: an invocation has one element of every row.
        //@repeat {{ROWS}} r
        result$r *= less[$r];
        //@end
        for (var at = 0u; at < KEYS; at++) {
            let words = strip[at * FOURS + lane / 4u];
            let pair = select(words.x, words.y, (lane & 2u) != 0u);
            let v = bitcast<f32>(select(pair << 16u, pair & 0xffff0000u, (lane & 1u) != 0u));
            //@repeat {{ROWS}} r
            result$r += shares[$r * KEYS + at] * v;
            //@end
        }
    }
    //@repeat {{ROWS}} r
    results[(head * sizes.context + first + $ru) * DIM + lane] = result$r / sums[$r];
    //@end
}
