// Matrix products of fp8 (e4m3), where matrix units multiply it themselves by `mma.sync`: compute capabilities 8.9 and
// 12.x. In between it is widened to f16. See gemm.cuh for what they compute, their work and their bound.
//
// build: compute_89, PTX 8.4

#include "gemm.cuh"

WITH_TILES(fp8, Fp8F32)
