// What kernels share that measure Hopper's matrix units: factors in shared memory, and the registers of sums.
//
// A block has two warpgroups, each with 64 rows A of its own, and 192 rows B twice, all of 128 bytes. The second B is the
// first with its sign turned and some digits changed. Every bit is taken together with one of `keep`: zero makes all of
// them zeros. It comes after elements.cuh and warpgroup.cuh.

constexpr u32 GROUPS = 2;
constexpr u32 COLUMNS = 192;
constexpr u32 STRETCHES = 4;
constexpr u32 SUMS = ROWS * COLUMNS / GROUP;
// Words of a row, and of a stretch.
constexpr u32 WORDS = ROW_BYTES / 4;
constexpr u32 OF_STRETCH = WORDS / STRETCHES;

#define ALL_SUMS \
    "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, " \
    "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, " \
    "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, %64, " \
    "%65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, " \
    "%86, %87, %88, %89, %90, %91, %92, %93, %94, %95}"
#define EIGHT(s, i) \
    "+" s(d[i]), "+" s(d[i + 1]), "+" s(d[i + 2]), "+" s(d[i + 3]), "+" s(d[i + 4]), "+" s(d[i + 5]), "+" s(d[i + 6]), \
        "+" s(d[i + 7])
#define FORTY_EIGHT(s, i) \
    EIGHT(s, i), EIGHT(s, i + 8), EIGHT(s, i + 16), EIGHT(s, i + 24), EIGHT(s, i + 32), EIGHT(s, i + 40)

template <typename E, int N_PACKED, typename S> struct Factors {
    typedef E Elements;
    typedef S Sum;
    static constexpr int PACKED = N_PACKED;
};

// Writes the rows of a matrix, or of the second B: the first places of each stretch of so many words have another digit.
template <typename F, u32 STRETCH, u32 NUDGED> DEVICE void fill(u32 to, u32 matrix, u32 rows, bool second, u32 keep) {
    typedef typename F::Elements Elements;
    for (u32 index = threadIdx.x; index < rows * WORDS; index += blockDim.x) {
        const u32 row = index / WORDS, place = index % WORDS, random = random_bits(matrix, row, place);
        u32 bits = 0, flips = 0;
#pragma unroll
        for (int i = 0; i < F::PACKED; i++) {
            const bool is_nudged = place % STRETCH * F::PACKED + i < NUDGED;
            bits |= (u32)Elements::of(random >> (32 / F::PACKED * i)) << (i * Elements::BITS);
            flips ^= (u32)(Elements::FLIP | (is_nudged ? Elements::NUDGE : 0)) << (i * Elements::BITS);
        }
        const u32 at = to + row * ROW_BYTES + ((place / 4) ^ (row % 8)) * 16 + place % 4 * 4;
        asm volatile("st.shared.u32 [%0], %1;" :: "r"(at), "r"((second ? bits ^ flips : bits) & keep) : "memory");
    }
}

// The rows of all matrices in shared memory, where each group of threads finds its own.
template <typename F, u32 STRETCH, u32 NUDGED> struct Matrices {
    u64 a, first_b, second_b;

    MEMBER Matrices(u32 keep) {
        const u32 first = shared_address(memory), second = first + COLUMNS * ROW_BYTES;
        const u32 own = second + COLUMNS * ROW_BYTES;
        fill<F, STRETCH, NUDGED>(first, GROUPS, COLUMNS, false, keep);
        fill<F, STRETCH, NUDGED>(second, GROUPS, COLUMNS, true, keep);
#pragma unroll
        for (u32 i = 0; i < GROUPS; i++) fill<F, STRETCH, NUDGED>(own + i * ROWS * ROW_BYTES, i, ROWS, false, keep);
        fence_of_proxies();
        __syncthreads();
        a = descriptor(own + threadIdx.x / GROUP * ROWS * ROW_BYTES);
        first_b = descriptor(first);
        second_b = descriptor(second);
    }
};

template <typename F> DEVICE u32 result(const typename F::Sum (&sums)[SUMS]) {
    u32 total = 0;
#pragma unroll
    for (u32 i = 0; i < SUMS; i++) total = note(total, sums[i]);
    return total;
}
