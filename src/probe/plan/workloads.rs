//! Workloads of each family: which places of its axis a grid takes, and how large the workload at each is.

use super::super::catalogue::{Family, Grid};
use super::super::shapes::{self, Speed};
use super::sizes::Sizes;
use crate::dtype::DType;
use crate::facts::DeviceKind;
use crate::resource::{Phase, Scope};
use crate::workload::{Kind, ROW, Shape, Workload, cache_bytes, matrix_row_bytes};

/// Smallest working set per lane: five eighths of a power of two, so that no point falls on the edge of a cache.
pub(super) const FIRST_WORKING_SET: u64 = 10 << 10;
/// The same on a GPU, which needs more to be busy at all.
const FIRST_OF_GPU: u64 = 640 << 10;
/// Smallest cycle of a pointer chase.
const FIRST_CHASE: u64 = 16 << 10;
/// Bytes per lane that one iteration of a streaming kernel passes over, in large working sets.
const PART: u64 = 2 << 20;
/// Smallest matrix of a matrix–vector product, and smallest working set of a row-wise operator, per lane.
const FIRST_MATRIX: u64 = 96 << 10;
const FIRST_ROWS: u64 = 80 << 10;
/// The same on a GPU: smaller ones are launched rather than computed.
const FIRST_OPERAND_OF_GPU: u64 = 4 << 20;
/// Smallest message between devices, and pairs of buffers at most that messages take turns in.
const FIRST_MESSAGE: u64 = 16 << 10;
const MOST_BUFFERS: u64 = 64;
/// Smallest and largest operation of all devices: nccl-tests' usual range.
const FIRST_COLLECTIVE: u64 = 1 << 10;
const LAST_COLLECTIVE: u64 = 1 << 30;
/// Heads of keys and values of one layer: a prompt's attention on a GPU takes them together.
const HEADS_OF_LAYER: u64 = 8;
/// Tokens up to which the weights of a matrix product come from memory.
const FEW_TOKENS: u64 = 64;
/// Dependent loads per iteration of a chase.
const HOPS: u64 = 4096;

/// The workloads of a family on some lanes, at the places of a grid.
pub(super) fn workloads(
    family: Family,
    part: (Scope, u32),
    grid: Grid,
    sizes: &Sizes,
    shapes: &[Shape],
) -> Vec<Workload> {
    let (_, lanes) = part;
    let wide = u64::from(lanes);
    let kinds: Vec<Kind> = match family {
        _ if grid == Grid::Nothing => Vec::new(),
        Family::Stream(access) => places(grid, sizes.first(FIRST_WORKING_SET, part, FIRST_OF_GPU), sizes.far)
            .into_iter()
            .map(|bytes| {
                let array = bytes / wide / access.op.arrays() / 4;
                let parts = sizes.parts(bytes / wide, PART);
                let granule = sizes.stream_granule * parts;
                Kind::Stream { access, elements: (array / granule).max(1) * granule, parts }
            })
            .collect(),
        Family::MultiplyAdd { unit, input, accumulate } => vec![Kind::MultiplyAdd { unit, input, accumulate }],
        Family::Gemm { input, accumulate } => {
            let speed = Speed::of(sizes.kind, lanes);
            let chosen =
                if shapes.is_empty() { shapes::of(grid, speed, input != DType::F64) } else { in_order(shapes) };
            let kind = |shape: Shape, copies: u64| Kind::Gemm { input, accumulate, shape, copies };
            let bytes = |shape, copies| Workload { kind: kind(shape, copies), lanes }.footprint();
            // Who names a shape gets it as far as there is memory.
            let most = if shapes.is_empty() { sizes.far / 2 } else { sizes.most / 2 };
            let fits = |&shape: &Shape| bytes(shape, 1) <= most;
            // For few tokens the weights are what matters, and they come from memory, not from a cache.
            let cold = |shape: Shape| if shape.m <= FEW_TOKENS { sizes.far / 2 / bytes(shape, 1) } else { 1 };
            chosen.into_iter().filter(fits).map(|shape| kind(shape, cold(shape).max(1))).collect()
        }
        Family::Gemv { weights, activations } => {
            places(grid, sizes.first(FIRST_MATRIX, part, FIRST_OPERAND_OF_GPU), sizes.far)
                .into_iter()
                .map(|bytes| {
                    let per_lane = bytes / wide;
                    let parts = sizes.parts(per_lane, PART);
                    let rows = (per_lane / matrix_row_bytes(weights, ROW) / parts / 4).max(1) * 4 * parts;
                    Kind::Gemv { weights, activations, rows, columns: ROW, parts }
                })
                .collect()
        }
        Family::Attention { phase, kv } if sizes.kind.is_gpu_like() => return attention_of_gpu(phase, kv, grid, sizes),
        Family::Attention { phase, kv } => contexts(phase, grid)
            .iter()
            .filter(|&&context| {
                let one = Workload { kind: Kind::Attention { phase, kv, context, caches: 1 }, lanes };
                one.bytes_per_lane().saturating_mul(wide) <= sizes.far
            })
            .map(|&context| {
                let caches = match phase {
                    Phase::Decode => (sizes.far / wide / cache_bytes(kv, context)).max(1),
                    Phase::Prefill => 1,
                };
                Kind::Attention { phase, kv, context, caches }
            })
            .collect(),
        Family::Rowwise { op, dtype } => places(grid, sizes.first(FIRST_ROWS, part, FIRST_OPERAND_OF_GPU), sizes.far)
            .into_iter()
            .map(|bytes| {
                let row = (ROW as f64 * dtype.bytes_per_element()) as u64 * op.arrays();
                let (per_lane, of_part) = (bytes / wide / row, PART / row);
                let parts = sizes.parts(per_lane, of_part.max(1));
                Kind::Rowwise { op, dtype, rows: (per_lane / parts).max(1) * parts, parts }
            })
            .collect(),
        Family::Chase => places(grid, FIRST_CHASE, previous_power_of_two(sizes.far))
            .into_iter()
            .map(|bytes| Kind::Chase { bytes, hops: HOPS })
            .collect(),
        Family::HostCopy(direction) => host_copies(grid, sizes.far / 2 / direction.ways())
            .into_iter()
            .map(|bytes| {
                let per_lane = bytes / u64::from(lanes);
                // Both buffers of all pairs together make the far working set.
                let buffers = (sizes.far / 2 / direction.ways() / bytes).max(1);
                Kind::HostCopy { direction, bytes: per_lane, buffers }
            })
            .collect(),
        Family::PeerCopy(exchange) if exchange.ways().is_none() => {
            // What is sent and what is received lie on each device.
            let kind = |bytes| Kind::PeerCopy { exchange, bytes, buffers: 1 };
            collectives(grid, sizes.far / 4).into_iter().map(kind).collect()
        }
        Family::PeerCopy(exchange) => {
            // A run holds as much on each device as it would for a copy within this one.
            let most = sizes.far / 2 / exchange.ways().unwrap_or(1);
            let kind = |bytes| Kind::PeerCopy { exchange, bytes, buffers: (most / bytes).clamp(1, MOST_BUFFERS) };
            peer_copies(grid, most).into_iter().map(kind).collect()
        }
        Family::Atomic(sharing) => vec![Kind::Atomic { sharing }],
        Family::Empty(overhead) => vec![Kind::Empty { overhead }],
    };
    kinds.into_iter().map(|kind| Workload { kind, lanes }).collect()
}

/// A GPU attends with many heads at once: as many as make the far working set, or those of a layer for a prompt.
fn attention_of_gpu(phase: Phase, kv: DType, grid: Grid, sizes: &Sizes) -> Vec<Workload> {
    let workload = |&context: &u64| {
        let most = match phase {
            Phase::Decode => sizes.far / cache_bytes(kv, context),
            Phase::Prefill if sizes.kind == DeviceKind::Software => 1,
            Phase::Prefill => HEADS_OF_LAYER,
        };
        let kind = Kind::Attention { phase, kv, context, caches: 1 };
        let bytes = Workload { kind, lanes: 1 }.bytes_per_lane();
        let lanes = most.min(sizes.far / bytes);
        (lanes > 0).then_some(Workload { kind, lanes: lanes.min(u64::from(u16::MAX)) as u32 })
    };
    contexts(phase, grid).iter().filter_map(workload).collect()
}

fn in_order(shapes: &[Shape]) -> Vec<Shape> {
    let mut shapes = shapes.to_vec();
    shapes.sort();
    shapes.dedup();
    shapes
}

/// Tokens of context that attention is measured at.
const fn contexts(phase: Phase, grid: Grid) -> &'static [u64] {
    match (phase, grid) {
        (_, Grid::Nothing) => &[],
        (Phase::Decode, Grid::Far) => &[4096],
        (Phase::Decode, Grid::Coarse) => &[128, 1024, 8192, 32_768],
        (Phase::Decode, Grid::Octaves | Grid::Fine) => &[128, 512, 1024, 2048, 8192, 32_768],
        (Phase::Prefill, Grid::Far) => &[1024],
        (Phase::Prefill, Grid::Coarse) => &[128, 512, 2048],
        (Phase::Prefill, Grid::Octaves | Grid::Fine) => &[128, 256, 512, 1024, 2048, 4096],
    }
}

/// Places from the first by octaves, ending in the last.
fn places(grid: Grid, first: u64, last: u64) -> Vec<u64> {
    let octaves = match grid {
        Grid::Nothing => return Vec::new(),
        Grid::Far => return vec![last],
        Grid::Coarse => 2.0,
        Grid::Octaves => 1.0,
        Grid::Fine => 0.5,
    };
    // A place close to the last would measure the same thing twice.
    let mut places: Vec<u64> = (0..)
        .map(|step| (first as f64 * f64::powf(2.0, octaves * f64::from(step))).round() as u64)
        .take_while(|&place| place as f64 <= last as f64 / 1.4)
        .collect();
    places.push(last);
    places
}

/// Transfers of a few pages to some megabytes, as far as there is memory.
fn host_copies(grid: Grid, most: u64) -> Vec<u64> {
    let last = most.min(16 << 20);
    match grid {
        Grid::Nothing => Vec::new(),
        Grid::Far => vec![last],
        _ => [64 << 10, 1 << 20].into_iter().filter(|&bytes| bytes < last).chain([last]).collect(),
    }
}

/// Messages from those that are all latency to those that fill the fastest links, as far as there is memory.
pub(super) fn peer_copies(grid: Grid, most: u64) -> Vec<u64> {
    by_factors(grid, FIRST_MESSAGE, most.min(256 << 20))
}

/// The same of operations of all devices.
pub(super) fn collectives(grid: Grid, most: u64) -> Vec<u64> {
    by_factors(grid, FIRST_COLLECTIVE, most.min(LAST_COLLECTIVE))
}

fn by_factors(grid: Grid, first: u64, last: u64) -> Vec<u64> {
    let factor = match grid {
        Grid::Nothing => return Vec::new(),
        Grid::Far => return vec![last],
        Grid::Coarse => 16,
        Grid::Octaves | Grid::Fine => 4,
    };
    let sizes = std::iter::successors(Some(first), |bytes| Some(bytes * factor));
    sizes.take_while(|&bytes| bytes < last).chain([last]).collect()
}

fn previous_power_of_two(number: u64) -> u64 {
    if number.is_power_of_two() { number } else { number.next_power_of_two() / 2 }
}
