//! Every engine of this machine against an exact reference, over shapes with edges.

use super::*;
use crate::backend::cpu::arena::Arena;

fn gemm(formats: (DType, DType), shape: Shape, copies: u64, lanes: usize, arena: &mut Arena) -> Gemm {
    let needs = Gemm::needs(formats, shape, copies, lanes, 64 << 10).unwrap();
    let scratch = arena.lanes(lanes, needs.scratch).unwrap();
    let memory = arena.common(needs.common).unwrap();
    let gemm = Gemm::new(formats, needs, memory, scratch).unwrap();
    (0..lanes).for_each(|lane| gemm.fill(lane));
    gemm
}

const FORMATS: [(DType, DType); 4] =
    [(DType::F32, DType::F32), (DType::F64, DType::F64), (DType::Bf16, DType::F32), (DType::Int8, DType::Int32)];

#[test]
fn every_engine_is_right_also_at_the_edges() {
    let mut arena = Arena::default();
    let shapes = [(1, 1, 64), (3, 5, 64), (14, 32, 128), (15, 33, 448), (67, 130, 832), (130, 70, 1280), (6, 96, 896)];
    // For few tokens, every number of them and rows beyond whole groups.
    let few = (1..=9).chain([13, 17, 32]).map(|tokens| (tokens, 75, 192));
    for formats in FORMATS {
        for (m, n, k) in shapes.into_iter().chain(few.clone()) {
            let mut gemm = gemm(formats, Shape { m, n, k }, 2, 3, &mut arena);
            // Also those that the machine has better ones for; they need less room.
            let fits = |engine: &&Engine| (engine.input, engine.accumulate) == formats && (engine.available)();
            let every = ENGINES.iter().copied().flatten().filter(fits).filter(|engine| m <= engine.most_rows as u64);
            let small = Blocking { k: 192, m: 28, n: 64 };
            gemm.variants.extend(every.map(|engine| (engine, small)));
            gemm.names.resize(gemm.variants.len(), "one of all".to_owned());
            for variant in 0..gemm.variants.len() {
                for lane in 0..3 {
                    gemm.verify(variant, lane)
                        .unwrap_or_else(|error| panic!("{}, {m}×{n}×{k}: {error}", gemm.variants[variant].0.name));
                }
            }
        }
    }
}

#[test]
fn a_wrong_element_is_found() {
    let mut arena = Arena::default();
    for formats in FORMATS {
        let gemm = gemm(formats, Shape { m: 40, n: 50, k: 256 }, 1, 1, &mut arena);
        gemm.verify(0, 0).unwrap();
        // Two weights change places after the product: as if the kernel had read one for the other.
        let (block, bytes) = (gemm.block(0, 0, gemm.variants[0].1), gemm.verifier.input_bytes);
        // SAFETY: the second row of B lies within it.
        unsafe {
            let row = block.b.cast_mut().add(256 * bytes);
            gemm.product(0, 0, 0);
            std::ptr::swap_nonoverlapping(row, row.add(bytes), bytes);
        }
        let signed_sum_differs = (gemm.verifier.check)(&gemm, 0, 0).is_err();
        assert!(signed_sum_differs, "{formats:?}");
    }
}

#[test]
fn parts_tile_the_product() {
    for lanes in [1, 2, 3, 8, 12] {
        for shape in [Shape::square(512), Shape { m: 1, n: 4096, k: 64 }, Shape { m: 4096, n: 32, k: 64 }] {
            let parts = parts(shape, lanes);
            assert_eq!(parts.len(), lanes);
            let area: usize = parts.iter().map(|part| part.m() * part.n()).sum();
            assert_eq!(area as u64, shape.m * shape.n, "{shape} on {lanes}");
        }
    }
    // One token: the weights are dealt out, not the token.
    assert!(parts(Shape { m: 1, n: 4096, k: 64 }, 2).iter().all(|part| part.n() == 2048));
}

#[test]
fn a_product_with_another_copy_is_found() {
    let mut arena = Arena::default();
    let gemm = gemm(FORMATS[2], Shape { m: 4, n: 32, k: 128 }, 3, 1, &mut arena);
    gemm.product(0, 0, 1);
    assert_eq!((gemm.verifier.check)(&gemm, 0, 1), Ok(()));
    assert!((gemm.verifier.check)(&gemm, 0, 2).is_err());
}
