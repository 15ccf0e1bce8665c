// Times llama.cpp's matrix-vector product: ggml_mul_mat with one column, by its CPU backend, each matrix from main memory.
//
// Usage: ggml_gemv FORMAT PLACE BYTES THREADS
// FORMAT is f32, f16, bf16, q8_0 or q4_0. PLACE is plain, for matrices as they are in a file, or repacked, for the layout that
// llama.cpp's loader chooses on this processor where it has one. BYTES is the size of all matrices, of 4096 columns each; a sample
// is a product with each of them in turn, and its graph is computed by THREADS threads (pin them with OMP_PROC_BIND).
//
// The vector is f32; the backend converts it to the format that its dot product wants, as in llama.cpp, which is in the time. The
// result is verified first, against the matrix as ggml reads it back.
//
// Prints "best W" and "median W", in weights per second, and "clean N" and "total N", one per line. A sample is clean if the
// threads of this process, together, waited less than 1.5 % of it for a processor; best and median are of the clean samples, or of
// all if fewer than two are clean.

#include <dirent.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"

#define COLUMNS 4096
#define ROWS 4096
#define ENOUGH 0.6 // seconds
#define SAMPLES 3
#define MOST_SAMPLES 1000
#define WAITED 0.015

static void fail(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

// Seconds that the threads of this process have waited for a processor, where the kernel counts them.
static double waited(void) {
    double total = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        char path[300];
        snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", task->d_name);
        FILE *file = fopen(path, "r");
        unsigned long long running, waiting;
        if (file && fscanf(file, "%llu %llu", &running, &waiting) == 2)
            total += (double)waiting * 1e-9;
        if (file)
            fclose(file);
    }
    if (tasks)
        closedir(tasks);
    return total;
}

static enum ggml_type format(const char *name) {
    for (int type = 0; type < GGML_TYPE_COUNT; type++)
        if (ggml_type_name(type) && !strcmp(ggml_type_name(type), name))
            return type;
    fail("no such format");
    return GGML_TYPE_COUNT;
}

// The layout that llama.cpp's loader would choose: the first of the backend's own that takes such a matrix.
static ggml_backend_buffer_type_t repacked(struct ggml_tensor *product) {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_dev_get_extra_bufts_t ask = (ggml_backend_dev_get_extra_bufts_t)ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts");
    for (ggml_backend_buffer_type_t *type = ask ? ask(device) : NULL; type && *type; type++) {
        // As the loader does: an empty buffer of that type is enough to ask.
        product->src[0]->buffer = ggml_backend_buft_alloc_buffer(*type, 0);
        bool taken = ggml_backend_dev_supports_op(device, product);
        ggml_backend_buffer_free(product->src[0]->buffer);
        product->src[0]->buffer = NULL;
        if (taken)
            return *type;
    }
    fail("no layout of its own for this format on this processor");
    return NULL;
}

static float uniform(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) / (float)(1 << 24) - 0.5f;
}

static void verify(enum ggml_type type, const void *matrix, const float *vector, const struct ggml_tensor *product) {
    float *row = malloc(COLUMNS * sizeof *row), *result = malloc(ROWS * sizeof *result);
    ggml_backend_tensor_get(product, result, 0, ROWS * sizeof *result);
    for (size_t i = 0; i < ROWS; i += 61) {
        const char *stored = (const char *)matrix + i * ggml_row_size(type, COLUMNS);
        if (type == GGML_TYPE_F32)
            memcpy(row, stored, COLUMNS * sizeof *row);
        else
            ggml_get_type_traits(type)->to_float(stored, row, COLUMNS);
        double expected = 0, size = 0;
        for (size_t j = 0; j < COLUMNS; j++) {
            expected += (double)row[j] * vector[j];
            size += (double)row[j] * vector[j] * (double)row[j] * vector[j];
        }
        // The vector may be rounded to 8 bits: errors of about 0.4 %, of random sign, in each product.
        if (!(fabs(result[i] - expected) <= 0.03 * sqrt(size)))
            fail("wrong result");
    }
    free(row);
    free(result);
}

static int ascending(const void *x, const void *y) {
    double left = *(const double *)x, right = *(const double *)y;
    return (left > right) - (left < right);
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: ggml_gemv FORMAT plain|repacked BYTES THREADS\n");
        return 2;
    }
    ggml_cpu_init();
    enum ggml_type type = format(argv[1]);
    size_t matrix_bytes = ROWS * ggml_row_size(type, COLUMNS);
    size_t matrices = strtoull(argv[3], NULL, 10) / matrix_bytes;
    if (matrices < 1)
        matrices = 1;

    struct ggml_init_params sizes = {(2 * matrices + 8) * ggml_tensor_overhead() + ggml_graph_overhead_custom(2 * matrices, false), NULL, true};
    struct ggml_context *weights = ggml_init(sizes), *others = ggml_init(sizes);
    struct ggml_cgraph *graph = ggml_new_graph_custom(others, 2 * matrices, false);
    struct ggml_tensor *vector = ggml_new_tensor_1d(others, GGML_TYPE_F32, COLUMNS), *first = NULL, *last = NULL;
    for (size_t i = 0; i < matrices; i++) {
        last = ggml_mul_mat(others, ggml_new_tensor_2d(weights, type, COLUMNS, ROWS), vector);
        ggml_build_forward_expand(graph, last);
        first = first ? first : last;
    }
    bool plain = !strcmp(argv[2], "plain");
    ggml_backend_buffer_type_t place = plain ? ggml_backend_cpu_buffer_type() : repacked(first);
    ggml_backend_buffer_t buffer = ggml_backend_alloc_ctx_tensors_from_buft(weights, place);
    if (!buffer || !ggml_backend_alloc_ctx_tensors_from_buft(others, ggml_backend_cpu_buffer_type()))
        fail("no memory");
    uintptr_t from = ((uintptr_t)ggml_backend_buffer_get_base(buffer) + 4095) & ~(uintptr_t)4095;
    madvise((void *)from, (matrices * matrix_bytes) & ~(size_t)4095, MADV_HUGEPAGE); // a wish

    float *values = malloc(ROWS * COLUMNS * sizeof *values), *vector_values = malloc(COLUMNS * sizeof *vector_values);
    void *matrix = malloc(matrix_bytes);
    uint32_t state = 1;
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        values[i] = uniform(&state);
    for (size_t i = 0; i < COLUMNS; i++)
        vector_values[i] = uniform(&state);
    if (type == GGML_TYPE_F32)
        memcpy(matrix, values, matrix_bytes);
    else
        ggml_quantize_chunk(type, values, matrix, 0, ROWS, COLUMNS, NULL);
    free(values);
    for (struct ggml_tensor *t = ggml_get_first_tensor(weights); t; t = ggml_get_next_tensor(weights, t))
        ggml_backend_tensor_set(t, matrix, 0, matrix_bytes);
    ggml_backend_tensor_set(vector, vector_values, 0, COLUMNS * sizeof *vector_values);

    ggml_backend_t backend = ggml_backend_cpu_init();
    ggml_backend_cpu_set_n_threads(backend, atoi(argv[4]));
    if (ggml_backend_graph_compute(backend, graph) != GGML_STATUS_SUCCESS)
        fail("the graph cannot be computed");
    verify(type, matrix, vector_values, first);
    verify(type, matrix, vector_values, last);

    static double clean[MOST_SAMPLES], all[MOST_SAMPLES];
    size_t cleans = 0, total = 0;
    for (double start = now(); total < MOST_SAMPLES && (total < SAMPLES || now() - start < ENOUGH); total++) {
        double before = waited(), begin = now();
        ggml_backend_graph_compute(backend, graph);
        all[total] = now() - begin;
        if (waited() - before <= WAITED * all[total])
            clean[cleans++] = all[total];
    }
    double *times = cleans < 2 ? all : clean;
    size_t count = cleans < 2 ? total : cleans;
    qsort(times, count, sizeof *times, ascending);
    double amount = (double)matrices * ROWS * COLUMNS;
    printf("best %.6e\n", amount / times[0]);
    printf("median %.6e\n", amount / ((times[(count - 1) / 2] + times[count / 2]) / 2));
    printf("clean %zu\ntotal %zu\n", cleans, total);
}
