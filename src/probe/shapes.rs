//! Shapes of matrix products: squares, and the projections of language models for some tokens.

use super::catalogue::Grid;
use crate::facts::DeviceKind;
use crate::workload::Shape;

/// The weights of a projection.
struct Projection {
    /// Outputs.
    n: u64,
    /// Inputs.
    k: u64,
}

const fn projection(n: u64, k: u64) -> Projection {
    Projection { n, k }
}

/// Qwen 2.5 0.5B: hidden size 896, feed-forward 4864, 14 query heads and 2 of keys and values, of 64.
mod small {
    use super::{Projection, projection};
    pub(super) const QKV: Projection = projection(1152, 896);
    pub(super) const GATE_UP: Projection = projection(9728, 896);
    pub(super) const DOWN: Projection = projection(896, 4864);
}

/// Llama 3 8B: hidden size 4096, feed-forward 14336, 32 query heads and 8 of keys and values, of 128.
mod medium {
    use super::{Projection, projection};
    pub(super) const OUT: Projection = projection(4096, 4096);
    pub(super) const GATE_UP: Projection = projection(28_672, 4096);
    pub(super) const DOWN: Projection = projection(4096, 14_336);
}

/// Llama 3 70B: hidden size 8192, feed-forward 28672, 64 query heads and 8 of keys and values, of 128.
mod large {
    use super::{Projection, projection};
    pub(super) const QKV: Projection = projection(10_240, 8192);
}

/// Operations of one product for each lane, beyond which it takes too long for an effort.
const NORMAL_OPS: u64 = 20_000_000_000;
const THOROUGH_OPS: u64 = 80_000_000_000;

/// What the slowest GPU reaches in products, in operations per second; and the time, in seconds, after which systems reset a device that does not answer.
const LEAST_RATE_OF_GPU: u64 = 100_000_000_000;
const PATIENCE_OF_SYSTEMS: u64 = 2;
/// Rates assumed for the estimate of time, in operations per second: of a core, of a GPU whatever it is, and of a processor that stands in for one.
const RATE_OF_CORE: f64 = 150e9;
const RATE_OF_GPU: f64 = 1e12;
const RATE_OF_SOFTWARE: f64 = 20e9;

/// What computes a product, for how large it may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Speed {
    /// So many of a processor's cores.
    Lanes(u32),
    /// A GPU of so many parts: the slowest must not take so long that its driver is reset.
    Gpu(u32),
    /// A processor that stands in for a GPU.
    Software,
}

impl Speed {
    /// What so many lanes of a kind of device are.
    pub(super) const fn of(kind: DeviceKind, lanes: u32) -> Self {
        match kind {
            DeviceKind::Gpu => Self::Gpu(lanes),
            DeviceKind::Software => Self::Software,
            _ => Self::Lanes(lanes),
        }
    }

    /// Operations per second, to estimate how long products take.
    pub(super) fn ops_rate(self) -> f64 {
        match self {
            Self::Lanes(lanes) => RATE_OF_CORE * f64::from(lanes),
            Self::Gpu(lanes) => RATE_OF_GPU.max(RATE_OF_CORE * f64::from(lanes)),
            Self::Software => RATE_OF_SOFTWARE,
        }
    }

    /// The square that stands alone for products.
    const fn square(self) -> u64 {
        match self {
            Self::Lanes(_) => 1024,
            Self::Gpu(_) => 2048,
            Self::Software => 256,
        }
    }

    /// Operations at most, where a core may have so many.
    fn most_ops(self, of_core: u64) -> u64 {
        match self {
            Self::Lanes(lanes) => of_core * u64::from(lanes),
            Self::Gpu(_) => (of_core * 4).min(LEAST_RATE_OF_GPU * PATIENCE_OF_SYSTEMS),
            Self::Software => of_core / 40,
        }
    }
}

/// The shapes of a grid, in ascending order, as far as one can be computed in a fraction of a second. Those of models are left out for
/// formats that no model is kept in.
pub(super) fn of(grid: Grid, speed: Speed, with_models: bool) -> Vec<Shape> {
    let (squares, tokens, projections, ops): (&[u64], &[u64], &[Projection], u64) = match grid {
        Grid::Nothing => return Vec::new(),
        Grid::Far => return vec![Shape::square(speed.square())],
        Grid::Coarse => {
            (&[512, 1024, 2048], &[1, 8, 256], &[small::GATE_UP, small::DOWN, medium::OUT, medium::DOWN], NORMAL_OPS)
        }
        Grid::Octaves | Grid::Fine => (
            &[512, 1024, 2048, 4096],
            // 4096 tokens of the middle model's output projection are the largest square.
            &[1, 8, 32, 256],
            &[small::QKV, small::GATE_UP, small::DOWN, medium::OUT, medium::GATE_UP, medium::DOWN, large::QKV],
            THOROUGH_OPS,
        ),
    };
    let of_projection = |&m: &u64| projections.iter().map(move |&Projection { n, k }| Shape { m, n, k });
    let models = tokens.iter().filter(|_| with_models).flat_map(of_projection);
    let mut shapes: Vec<Shape> = squares.iter().map(|&size| Shape::square(size)).chain(models).collect();
    shapes.retain(|shape| shape.m * shape.n * shape.k * 2 <= speed.most_ops(ops));
    shapes.sort();
    shapes.dedup();
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grid_has_shapes_that_engines_accept_in_order() {
        for grid in [Grid::Far, Grid::Coarse, Grid::Octaves] {
            for speed in [Speed::Lanes(1), Speed::Lanes(2), Speed::Lanes(64), Speed::Gpu(1), Speed::Software] {
                let shapes = of(grid, speed, true);
                assert!(!shapes.is_empty() && shapes.is_sorted());
                assert!(shapes.iter().all(|shape| shape.k.is_multiple_of(64)));
            }
        }
        assert!(of(Grid::Octaves, Speed::Lanes(2), true).len() > 25);
        assert!(of(Grid::Octaves, Speed::Gpu(1), true).len() > 25);
        assert_eq!(of(Grid::Octaves, Speed::Lanes(2), false).len(), 4);
    }

    /// A product is one dispatch, which nothing can interrupt.
    #[test]
    fn no_gpu_is_busy_with_one_product_until_its_driver_is_reset() {
        for shape in of(Grid::Fine, Speed::of(DeviceKind::Gpu, 1), true) {
            let seconds = (2 * shape.m * shape.n * shape.k) as f64 / LEAST_RATE_OF_GPU as f64;
            assert!(seconds <= PATIENCE_OF_SYSTEMS as f64, "{shape} may take {seconds} s");
        }
    }

    #[test]
    fn a_gpu_is_not_taken_for_a_core() {
        let rate = |kind, lanes| Speed::of(kind, lanes).ops_rate();
        assert!(rate(DeviceKind::Gpu, 1) > rate(DeviceKind::Cpu, 1));
        assert!(rate(DeviceKind::Gpu, 132) > rate(DeviceKind::Gpu, 1));
        assert!(rate(DeviceKind::Software, 1) < rate(DeviceKind::Cpu, 1));
    }
}
