// CUDA C++ as plain C++, to run kernels on a CPU. Here is what a kernel sees; fibers.h runs its threads. The fake NVRTC puts
// this text in front of each source that it compiles, so it includes little.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

namespace emu {

// The thread that runs, and its block.
struct Now {
  dim3 thread, block, size, grid;
  int current;  // the thread's number in its block
  void* dynamic;
};

// What the one who runs the threads does for them.
struct Host {
  Now* now;
  void (*barrier)();
  // Each lane gives up to 64 bytes and sees those of all lanes, until it next calls this.
  const char (*(*exchange)(const void* from, size_t bytes))[64];
  // The same memory for the same key, within a block.
  void* (*shared)(int key, size_t bytes);
};
inline Host host;

template <class T>
T* shared(int key, size_t count) {
  return static_cast<T*>(host.shared(key, count * sizeof(T)));
}

// A kernel of a module, for the driver: its arguments are unpacked by its own C++ signature.
struct Entry {
  const char* name;
  // The threads of a block: exactly or at most so many.
  unsigned threads;
  bool exactly;
  size_t arguments;
  const size_t* sizes;
  void (*run)(void* const* arguments);
};
template <auto kernel, class = decltype(kernel)>
struct Of;
template <auto kernel, class... A>
struct Of<kernel, void (*)(A...)> {
  static constexpr size_t sizes[] = {sizeof(A)..., 0};
  template <size_t... I>
  static void call(void* const* at, std::index_sequence<I...>) {
    (void)at;
    kernel(*static_cast<A*>(at[I])...);
  }
  static void run(void* const* arguments) { call(arguments, std::index_sequence_for<A...>{}); }
  static constexpr Entry entry(const char* name, unsigned threads, bool exactly) {
    return {name, threads, exactly, sizeof...(A), sizes, run};
  }
};
constexpr unsigned first(unsigned threads, ...) { return threads; }

// What a thread copies while it goes on: nothing is there before the thread waits for it, and until then its place holds NaN.
struct Late {
  void* to;
  const void* from;  // null: zeros come
  int batch;
};
struct LateOnes {
  Late all[64];
  int count, batch;
};
inline LateOnes late[1024];
inline void bring_late(void* to, const void* from) {
  LateOnes& own = late[host.now->current];
  if (own.count == 64) __builtin_trap();
  own.all[own.count++] = {to, from, own.batch};
  __builtin_memset(to, 0xff, 16);
}
inline void end_late_batch() { late[host.now->current].batch++; }
// All batches but the last `open` come.
inline void await_late(int open) {
  LateOnes& own = late[host.now->current];
  int left = 0;
  for (int i = 0; i < own.count; i++) {
    Late& one = own.all[i];
    if (one.batch >= own.batch - open) {
      own.all[left++] = one;
    } else if (one.from) {
      __builtin_memcpy(one.to, one.from, 16);
    } else {
      __builtin_memset(one.to, 0, 16);
    }
  }
  own.count = left;
}

}  // namespace emu

// The three words FAKE_ are what the fake NVRTC looks for in the text, after macros: they name the kernels.
#define KERNEL(threads) FAKE_GLOBAL static void FAKE_EXACTLY(threads)
#define __global__ FAKE_GLOBAL
#define __launch_bounds__(...) FAKE_AT_MOST(__VA_ARGS__)
#define DEVICE inline
#define SHARED(type, name, count) type* name = emu::shared<type>(__COUNTER__, count)
#define SHARED_DYNAMIC(type, name) type* name = reinterpret_cast<type*>(emu::host.now->dynamic)
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __noinline__
#define __align__(bytes) __attribute__((aligned(bytes)))
// One block runs at a time, so a static variable does; but it isn't poisoned before each block, as SHARED is.
#define __shared__ static

#define threadIdx (emu::host.now->thread)
#define blockIdx (emu::host.now->block)
#define blockDim (emu::host.now->size)
#define gridDim (emu::host.now->grid)
#define warpSize 32

template <class A, class B>
constexpr auto max(A a, B b) {
  return a < b ? b : a;
}
template <class A, class B>
constexpr auto min(A a, B b) {
  return b < a ? b : a;
}
// Of a number and a NaN, the number: as CUDA's do.
inline float max(float a, float b) { return fmaxf(a, b); }
inline float min(float a, float b) { return fminf(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
inline double min(double a, double b) { return fmin(a, b); }

inline void __syncthreads() { emu::host.barrier(); }
inline void __syncwarp(unsigned = ~0u) {
  char nothing = 0;
  emu::host.exchange(&nothing, 1);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  auto all = emu::host.exchange(&value, sizeof value);
  __builtin_memcpy(&value, all[lane & 31], sizeof value);
  return value;
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return __shfl_sync(mask, value, emu::host.now->current % 32 ^ bits);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, int by) {
  int lane = emu::host.now->current % 32;
  return __shfl_sync(mask, value, lane + by < 32 ? lane + by : lane);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, int by) {
  int lane = emu::host.now->current % 32;
  return __shfl_sync(mask, value, lane >= by ? lane - by : lane);
}
inline unsigned __ballot_sync(unsigned, int yes) {
  char own = yes != 0;
  auto all = emu::host.exchange(&own, 1);
  unsigned bits = 0;
  for (int lane = 0; lane < 32; lane++) bits |= static_cast<unsigned>(all[lane][0]) << lane;
  return bits;
}
inline int __any_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) != 0; }
inline int __all_sync(unsigned mask, int yes) { return __ballot_sync(mask, yes) == ~0u; }
// Fibers switch at barriers and exchanges alone.
template <class T>
T atomicAdd(T* at, T by) {
  T before = *at;
  *at += by;
  return before;
}

template <class To, class From>
To __bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}
inline uint32_t __float_as_uint(float x) { return __bits_as<uint32_t>(x); }
inline float __uint_as_float(uint32_t bits) { return __bits_as<float>(bits); }
inline int __float_as_int(float x) { return __bits_as<int>(x); }
inline float __int_as_float(int bits) { return __bits_as<float>(bits); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __ffs(int x) { return __builtin_ffs(x); }
template <class T>
T __ldg(const T* at) {
  return *at;
}
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __exp10f(float x) { return powf(10.0f, x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __frsqrt_rn(float x) { return 1.0f / sqrtf(x); }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fsub_rn(float x, float y) { return x - y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.0f), 1.0f); }

#define FAKE_VECTORS(type, name)                                             \
  struct alignas(2 * sizeof(type)) name##2 {                                 \
    type x, y;                                                               \
  };                                                                         \
  struct alignas(16) name##4 {                                               \
    type x, y, z, w;                                                         \
  };                                                                         \
  inline name##2 make_##name##2(type x, type y) { return {x, y}; }           \
  inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
FAKE_VECTORS(float, float)
FAKE_VECTORS(int, int)
FAKE_VECTORS(unsigned, uint)

namespace emu {
// d += a b as mma.sync.m16n8k16 means it: each lane hands in its part of a and b, and sees everyone's.
inline void mma16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b_low, uint32_t b_high) {
  struct Parts {
    uint32_t a[4], b[2];
  } own = {{a[0], a[1], a[2], a[3]}, {b_low, b_high}};
  auto given = host.exchange(&own, sizeof own);
  auto all = [given](int lane) { return reinterpret_cast<const Parts*>(given[lane]); };
  auto half = [](uint32_t both, int high) { return __uint_as_float(high ? both & 0xffff0000u : both << 16); };
  int lane = host.now->current % 32;
  for (int i = 0; i < 4; i++) {
    int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 16; k++) {
      uint32_t left = all(row % 8 * 4 + k % 8 / 2)->a[row / 8 + k / 8 * 2], right = all(column * 4 + k % 8 / 2)->b[k / 8];
      d[i] += half(left, k % 2) * half(right, k % 2);
    }
  }
}
// The same for mma.sync.m16n8k8 on tf32: bits past its mantissa must not matter, so they are cut here.
inline void mma1688(float (&d)[4], const uint32_t (&a)[4], uint32_t b_0, uint32_t b_1) {
  struct Parts {
    uint32_t a[4], b[2];
  } own = {{a[0], a[1], a[2], a[3]}, {b_0, b_1}};
  auto given = host.exchange(&own, sizeof own);
  auto all = [given](int lane) { return reinterpret_cast<const Parts*>(given[lane]); };
  auto cut = [](uint32_t bits) { return __uint_as_float(bits & 0xffffe000u); };
  int lane = host.now->current % 32;
  for (int i = 0; i < 4; i++) {
    int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 8; k++) d[i] += cut(all(row % 8 * 4 + k % 4)->a[row / 8 + k / 4 * 2]) * cut(all(column * 4 + k % 4)->b[k / 4]);
  }
}
}  // namespace emu
