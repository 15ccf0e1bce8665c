// Bandwidth of read, copy and triad over arrays of double, in the manner of McCalpin's STREAM.
//
//   read    sum += a[i]             8 bytes per element
//   copy    c[i] = a[i]            16 bytes per element
//   triad   c[i] = a[i] + s*b[i]   24 bytes per element
//
// Bytes are counted as STREAM does: what the loop loads plus what it stores. That plain stores may fetch the line first
// (write-allocate) is not counted. Compiled with -DNON_TEMPORAL the stores go past the caches.
//
// Usage: stream read|copy|triad BYTES REPETITIONS
// BYTES is the size of the arrays that the kernel touches, together. Threads: OMP_NUM_THREADS. Each repetition is timed on its
// own; the first is not counted. Prints "best B/s" and "median B/s", one per line.
//
// The plain variant needs -fno-tree-loop-distribute-patterns: otherwise GCC turns the copy into memcpy, which uses
// non-temporal stores for large sizes.

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifdef NON_TEMPORAL
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VECTOR 64 // bytes
#elif defined(__AVX__)
#define VECTOR 32
#else
#define VECTOR 16
#endif

#define HUGE_PAGE (2u << 20)
#define WIDTH (VECTOR / sizeof(double))
#define SUMS 8     // that do not wait for each other
#define BLOCK 64   // elements; a multiple of SUMS * WIDTH
#define STAGGER 96 // elements between arrays, so that they do not compete for the same cache sets
#define FACTOR 0.5

typedef double vector __attribute__((vector_size(VECTOR)));

static double *a, *b, *c;
static size_t elements;

static inline vector load(const double *from) {
    return *(const vector *)from;
}

static inline void store(double *to, vector value) {
#if defined(NON_TEMPORAL) && VECTOR == 64
    _mm512_stream_pd(to, (__m512d)value);
#elif defined(NON_TEMPORAL) && VECTOR == 32
    _mm256_stream_pd(to, (__m256d)value);
#elif defined(NON_TEMPORAL)
    _mm_stream_pd(to, (__m128d)value);
#else
    *(vector *)to = value;
#endif
}

// Makes non-temporal stores visible before the time is taken.
static inline void fence(void) {
#ifdef NON_TEMPORAL
    _mm_sfence();
#endif
}

static double read_all(void) {
    double total = 0;
#pragma omp parallel reduction(+ : total)
    {
        vector sums[SUMS] = {0};
#pragma omp for schedule(static)
        for (size_t i = 0; i < elements; i += SUMS * WIDTH)
            for (size_t j = 0; j < SUMS; j++)
                sums[j] += load(a + i + j * WIDTH);
        for (size_t j = 0; j < SUMS; j++)
            for (size_t k = 0; k < WIDTH; k++)
                total += sums[j][k];
    }
    return total;
}

static double copy(void) {
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < elements; i += WIDTH)
            store(c + i, load(a + i));
        fence();
    }
    return 0;
}

static double triad(void) {
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (size_t i = 0; i < elements; i += WIDTH)
            store(c + i, load(a + i) + FACTOR * load(b + i));
        fence();
    }
    return 0;
}

struct kernel {
    const char *name;
    size_t arrays;
    double (*run)(void);
    double expected; // every element of the result, or the sum over the number of elements
};

static const struct kernel kernels[] = {
    {"read", 1, read_all, 1.0},
    {"copy", 2, copy, 1.0},
    {"triad", 3, triad, 2.0},
};

static void allocate(size_t arrays) {
    size_t stride = elements + STAGGER;
    size_t bytes = (arrays * stride * sizeof(double) / HUGE_PAGE + 1) * HUGE_PAGE;
    a = aligned_alloc(HUGE_PAGE, bytes);
    if (!a) {
        fprintf(stderr, "no memory for %zu bytes\n", bytes);
        exit(1);
    }
    madvise(a, bytes, MADV_HUGEPAGE); // a wish; without it the loops run just the same
    c = a + (arrays - 1) * stride;
    b = a + stride;
    // First touch by the thread that will use it. The last array is the one written, unless there is only one.
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < elements; i++) {
        c[i] = 0;
        if (arrays > 2)
            b[i] = 2;
        a[i] = 1;
    }
}

static void verify(const struct kernel *kernel, double result) {
    size_t wrong = 0;
    if (kernel->arrays == 1) {
        wrong = result != kernel->expected * (double)elements;
    } else {
        for (size_t i = 0; i < elements; i++)
            wrong += c[i] != kernel->expected;
    }
    if (wrong) {
        fprintf(stderr, "%s: wrong result\n", kernel->name);
        exit(1);
    }
}

static int ascending(const void *x, const void *y) {
    double left = *(const double *)x, right = *(const double *)y;
    return (left > right) - (left < right);
}

int main(int argc, char **argv) {
    const struct kernel *kernel = NULL;
    for (size_t i = 0; argc == 4 && i < sizeof kernels / sizeof *kernels; i++)
        if (!strcmp(argv[1], kernels[i].name))
            kernel = &kernels[i];
    size_t repetitions = kernel ? strtoul(argv[3], NULL, 10) : 0;
    if (!repetitions) {
        fprintf(stderr, "usage: stream read|copy|triad BYTES REPETITIONS\n");
        return 2;
    }
    elements = strtoul(argv[2], NULL, 10) / sizeof(double) / kernel->arrays / BLOCK * BLOCK;
    allocate(kernel->arrays);

    double result = kernel->run();
    double *times = malloc(repetitions * sizeof *times);
    for (size_t i = 0; i < repetitions; i++) {
        double start = omp_get_wtime();
        result = kernel->run();
        times[i] = omp_get_wtime() - start;
    }
    verify(kernel, result);

    qsort(times, repetitions, sizeof *times, ascending);
    double bytes = (double)(elements * kernel->arrays * sizeof(double));
    printf("best %.6e\n", bytes / times[0]);
    printf("median %.6e\n", bytes / ((times[(repetitions - 1) / 2] + times[repetitions / 2]) / 2));
}
