// Bandwidth of copy, triad and dot over arrays of double, in the manner of BabelStream's OpenMP version: plain loops over
// three arrays from aligned_alloc, each kernel timed on its own, default pages.
//
//   copy    c[i] = a[i]            16 bytes per element
//   triad   a[i] = b[i] + s*c[i]   24 bytes per element
//   dot     sum += a[i] * b[i]     16 bytes per element (two arrays are read)
//
// Bytes are counted as BabelStream does: loads plus stores, without the line fills of plain stores.
//
// Usage: babel copy|triad|dot BYTES REPETITIONS
// BYTES is the size of the arrays that the kernel touches, together. Threads: OMP_NUM_THREADS. The first repetition is not
// counted. Prints "best B/s" and "median B/s", one per line.
//
// Compiled with -ffast-math so that the sum of dot is vectorised (otherwise one core is bound by the latency of its additions),
// and with -fno-tree-loop-distribute-patterns so that copy keeps its plain stores instead of becoming a call of memcpy.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

constexpr std::size_t alignment = 2 << 20;
constexpr double factor = 0.4, start_a = 0.1, start_b = 0.2, start_c = 0.3;

struct Arrays {
    double *a, *b, *c;
    long size;
};

double *allocate(long size) {
    std::size_t bytes = (size * sizeof(double) + alignment - 1) / alignment * alignment;
    void *memory = std::aligned_alloc(alignment, bytes);
    if (!memory) {
        std::fprintf(stderr, "no memory for %zu bytes\n", bytes);
        std::exit(1);
    }
    return static_cast<double *>(memory);
}

void initialise(const Arrays &arrays) {
    double *a = arrays.a, *b = arrays.b, *c = arrays.c;
#pragma omp parallel for
    for (long i = 0; i < arrays.size; i++) {
        a[i] = start_a;
        b[i] = start_b;
        c[i] = start_c;
    }
}

double copy(const Arrays &arrays) {
    double *a = arrays.a, *c = arrays.c;
#pragma omp parallel for
    for (long i = 0; i < arrays.size; i++)
        c[i] = a[i];
    return c[arrays.size - 1];
}

double triad(const Arrays &arrays) {
    double *a = arrays.a, *b = arrays.b, *c = arrays.c;
#pragma omp parallel for
    for (long i = 0; i < arrays.size; i++)
        a[i] = b[i] + factor * c[i];
    return a[arrays.size - 1];
}

double dot(const Arrays &arrays) {
    double *a = arrays.a, *b = arrays.b;
    double sum = 0;
#pragma omp parallel for reduction(+ : sum)
    for (long i = 0; i < arrays.size; i++)
        sum += a[i] * b[i];
    return sum / arrays.size;
}

struct Kernel {
    std::string name;
    int arrays;
    double (*run)(const Arrays &);
    double expected;
};

const std::vector<Kernel> kernels = {
    {"copy", 2, copy, start_a},
    {"triad", 3, triad, start_b + factor * start_c},
    {"dot", 2, dot, start_a * start_b},
};

} // namespace

int main(int argc, char **argv) {
    auto kernel = kernels.end();
    if (argc == 4)
        kernel = std::find_if(kernels.begin(), kernels.end(), [&](const Kernel &k) { return k.name == argv[1]; });
    long repetitions = kernel == kernels.end() ? 0 : std::atol(argv[3]);
    if (repetitions < 1) {
        std::fprintf(stderr, "usage: babel copy|triad|dot BYTES REPETITIONS\n");
        return 2;
    }
    long size = std::atol(argv[2]) / long(sizeof(double)) / kernel->arrays;
    Arrays arrays{allocate(size), allocate(size), allocate(size), size};
    initialise(arrays);

    double result = kernel->run(arrays);
    std::vector<double> times;
    for (long i = 0; i < repetitions; i++) {
        auto start = std::chrono::steady_clock::now();
        result = kernel->run(arrays);
        times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
    double error = result / kernel->expected - 1;
    if (error > 1e-8 || error < -1e-8) {
        std::fprintf(stderr, "%s: wrong result\n", argv[1]);
        return 1;
    }

    std::sort(times.begin(), times.end());
    double bytes = double(size) * kernel->arrays * sizeof(double);
    std::printf("best %.6e\n", bytes / times[0]);
    std::printf("median %.6e\n", bytes / ((times[(repetitions - 1) / 2] + times[repetitions / 2]) / 2));
}
