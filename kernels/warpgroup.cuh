// What kernels share that multiply by `wgmma`, Hopper's instructions of four warps for matrices in shared memory.
// It comes after words.cuh.

extern __shared__ __align__(1024) unsigned char memory[];

DEVICE u32 shared_address(const void* generic) {
    u32 address;
    asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }" : "=r"(address) : "l"(generic));
    return address;
}

// Bytes of a row, threads of a warpgroup, and rows that one multiplies.
constexpr u32 ROW_BYTES = 128;
constexpr u32 GROUP = 128;
constexpr u32 ROWS = 64;

// A matrix whose rows of 128 bytes follow one another, their vectors of 16 bytes exchanged by the number of the row
// (swizzle mode 1): eight rows are 1024 bytes.
DEVICE u64 descriptor(u32 address) { return (u64)(address >> 4) | 1ull << 16 | (1024ull >> 4) << 32 | 1ull << 62; }

DEVICE void fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
DEVICE void end_group() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
// Until so many groups are on their way at most.
template <int LEFT> DEVICE void wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(LEFT) : "memory"); }

// What was written in the usual way may be read by what works by itself: matrix units, copies of tensors.
DEVICE void fence_of_proxies() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
