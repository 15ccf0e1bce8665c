// What kernels share that take their factors through shared memory: copies past registers, and fragments of matrices.
// It comes after words.cuh.

extern __shared__ __align__(128) unsigned char memory[];

DEVICE u32 shared_address(const void* generic) {
    u32 address;
    asm("{ .reg .u64 wide; cvta.to.shared.u64 wide, %1; cvt.u32.u64 %0, wide; }" : "=r"(address) : "l"(generic));
    return address;
}

DEVICE void copy_vector(u32 to, const u8* from) {
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16;" :: "r"(to), "l"(from) : "memory");
}
DEVICE void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int LEFT> DEVICE void wait_for_groups() { asm volatile("cp.async.wait_group %0;" :: "n"(LEFT) : "memory"); }

// Four matrices of eight rows of 16 bytes, whose addresses the lanes give.
DEVICE void load_fragments(u32& first, u32& second, u32& third, u32& fourth, u32 row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(first), "=r"(second), "=r"(third), "=r"(fourth) : "r"(row) : "memory");
}

// The same, each matrix transposed.
DEVICE void load_transposed(u32& first, u32& second, u32& third, u32& fourth, u32 row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(first), "=r"(second), "=r"(third), "=r"(fourth) : "r"(row) : "memory");
}

DEVICE void store_shared(u32 to, u32 first, u32 second) {
    asm volatile("st.shared.v2.u32 [%0], {%1, %2};" :: "r"(to), "r"(first), "r"(second) : "memory");
}
DEVICE Words load_shared(u32 from) {
    Words words;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w) : "r"(from) : "memory");
    return words;
}
