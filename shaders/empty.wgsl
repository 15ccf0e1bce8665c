// The empty dispatch: what it costs to have a kernel run at all.
//
// Work: one event. Bound: the command processor, and the wait for the dispatch before, whose count this one goes on with.

@group(0) @binding(0) var<storage, read_write> count: array<u32>;

@compute @workgroup_size(1)
fn k_empty() {
    count[0] += 1u;
}
