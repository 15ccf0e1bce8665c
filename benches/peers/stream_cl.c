// Copy, triad and read of main memory through OpenCL, one element of f32 to each work item as BabelStream writes them, on the first device whose name holds a word.
//
// usage: stream_cl WORD read|copy|copy4|triad|triad4 BYTES REPETITIONS
// BYTES are those of all arrays together. Prints the best and the median rate in B/s, of repetitions that are waited for one by one, and the device.
// A result that is not what the loop must give is an error: a driver may drop a kernel without a word.

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *SOURCE =
    "kernel void fill(global float *a, global float *b, global float *c) {\n"
    "    const size_t i = get_global_id(0);\n"
    "    a[i] = (float)(i % 1021);\n"
    "    b[i] = (float)(i % 509);\n"
    "    c[i] = -1.0f;\n"
    "}\n"
    "kernel void copy(global const float *a, global const float *b, global float *c) {\n"
    "    const size_t i = get_global_id(0);\n"
    "    c[i] = a[i];\n"
    "}\n"
    "kernel void triad(global const float *a, global const float *b, global float *c) {\n"
    "    const size_t i = get_global_id(0);\n"
    "    c[i] = a[i] * 0.5f + b[i];\n"
    "}\n"
    "kernel void copy4(global const float4 *a, global const float4 *b, global float4 *c) {\n"
    "    const size_t i = get_global_id(0);\n"
    "    c[i] = a[i];\n"
    "}\n"
    "kernel void triad4(global const float4 *a, global const float4 *b, global float4 *c) {\n"
    "    const size_t i = get_global_id(0);\n"
    "    c[i] = a[i] * 0.5f + b[i];\n"
    "}\n"
    // Sixteen elements to a work item and one sum of them stored, as clpeak reads.
    "kernel void read(global const float *a, global const float *b, global float *c) {\n"
    "    size_t at = get_group_id(0) * get_local_size(0) * 16 + get_local_id(0);\n"
    "    float sum = 0.0f;\n"
    "    for (int i = 0; i < 16; i++) { sum += a[at]; at += get_local_size(0); }\n"
    "    c[get_global_id(0)] = sum;\n"
    "}\n";

enum { LANES = 256, READS = 16 };

static void check(cl_int status, const char *what) {
    if (status != CL_SUCCESS) {
        fprintf(stderr, "%s: OpenCL error %d\n", what, status);
        exit(1);
    }
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int ascending(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static cl_device_id device_named(const char *word, char *name, size_t room) {
    cl_platform_id platforms[16];
    cl_uint platform_count = 0;
    check(clGetPlatformIDs(16, platforms, &platform_count), "platforms");
    for (cl_uint p = 0; p < platform_count && p < 16; p++) {
        cl_device_id devices[16];
        cl_uint device_count = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, 16, devices, &device_count) != CL_SUCCESS) continue;
        for (cl_uint d = 0; d < device_count && d < 16; d++) {
            check(clGetDeviceInfo(devices[d], CL_DEVICE_NAME, room, name, NULL), "the device's name");
            if (strstr(name, word)) return devices[d];
        }
    }
    fprintf(stderr, "no OpenCL device is called `%s`\n", word);
    exit(1);
}

static float expected(const char *kernel, size_t i) {
    if (strncmp(kernel, "copy", 4) == 0) return (float)(i % 1021);
    if (strncmp(kernel, "triad", 5) == 0) return (float)(i % 1021) * 0.5f + (float)(i % 509);
    float sum = 0.0f;
    const size_t first = i / LANES * LANES * READS + i % LANES;
    for (size_t r = 0; r < READS; r++) sum += (float)((first + r * LANES) % 1021);
    return sum;
}

int main(int argc, char **argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: stream_cl WORD read|copy|copy4|triad|triad4 BYTES REPETITIONS\n");
        return 2;
    }
    const char *kernel_name = argv[2];
    const int reads = strcmp(kernel_name, "read") == 0;
    const size_t arrays = reads ? 1 : strncmp(kernel_name, "copy", 4) == 0 ? 2 : 3;
    const size_t of_item = reads ? READS : kernel_name[strlen(kernel_name) - 1] == '4' ? 4 : 1;
    const size_t repetitions = strtoull(argv[4], NULL, 10);
    const size_t elements = strtoull(argv[3], NULL, 10) / (4 * arrays) / (LANES * READS) * (LANES * READS);
    if (elements == 0 || repetitions == 0) {
        fprintf(stderr, "nothing to do\n");
        return 2;
    }
    char name[256] = "";
    const cl_device_id device = device_named(argv[1], name, sizeof name);
    cl_int status;
    const cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &status);
    check(status, "context");
    const cl_command_queue queue = clCreateCommandQueue(context, device, 0, &status);
    check(status, "queue");
    const cl_program program = clCreateProgramWithSource(context, 1, &SOURCE, NULL, &status);
    check(status, "program");
    check(clBuildProgram(program, 1, &device, "", NULL, NULL), "compiler");
    const cl_kernel fill = clCreateKernel(program, "fill", &status);
    check(status, "kernel");
    const cl_kernel kernel = clCreateKernel(program, kernel_name, &status);
    check(status, "kernel");
    for (cl_uint i = 0; i < 3; i++) {
        const cl_mem buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 4 * elements, NULL, &status);
        check(status, "buffer");
        check(clSetKernelArg(fill, i, sizeof buffer, &buffer), "argument");
        check(clSetKernelArg(kernel, i, sizeof buffer, &buffer), "argument");
        if (i < 2) continue;
        const size_t lanes = LANES, all = elements, items = elements / of_item, results = reads ? items : elements;
        check(clEnqueueNDRangeKernel(queue, fill, 1, NULL, &all, &lanes, 0, NULL, NULL), "filling");
        check(clFinish(queue), "filling");
        double *times = malloc(repetitions * sizeof *times);
        for (size_t r = 0; r < repetitions; r++) {
            const double start = now();
            check(clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &items, &lanes, 0, NULL, NULL), "kernel");
            check(clFinish(queue), "kernel");
            times[r] = now() - start;
        }
        float *result = malloc(4 * results);
        check(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, 4 * results, result, 0, NULL, NULL), "result");
        for (size_t at = 0; at < results; at++) {
            if (result[at] != expected(kernel_name, at)) {
                fprintf(stderr, "wrong result: element %zu is %g, not %g\n", at, result[at], expected(kernel_name, at));
                return 1;
            }
        }
        qsort(times, repetitions, sizeof *times, ascending);
        const double bytes = 4.0 * (double)(arrays * elements);
        printf("best %.6e\nmedian %.6e\ndevice %s\n", bytes / times[0], bytes / times[repetitions / 2], name);
    }
    return 0;
}
