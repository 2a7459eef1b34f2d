// CUDA C++ as plain C++, to run kernels on a CPU: each thread of a block is a fiber, and barriers, shuffles and matrix
// instructions are the places where fibers switch. The order in which threads and blocks run is chosen, so a missing barrier
// shows as a wrong result in some order. Shared memory is poisoned with NaN before each block and allocated to its exact
// size, so AddressSanitizer sees a read past it.
#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
};

#define DEVICE inline
#define KERNEL(threads) static void
#define SHARED(type, name, count) type* name = emu::shared<type>(__COUNTER__, count)
#define SHARED_DYNAMIC(type, name) type* name = reinterpret_cast<type*>(emu::block.dynamic)

namespace emu {

enum class Order { forward, reverse, random };
constexpr size_t STACK = 64 << 10;

struct Fiber {
  ucontext_t context;
  dim3 thread;
  bool done = false, waits = false;
  void* fake_stack = nullptr;
};

// What the lanes of a warp hand to each other.
struct Warp {
  unsigned arrived = 0, lanes = 0;
  char in[32][64], out[32][64];
};

struct Block {
  dim3 index, size, grid;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::map<int, void*> shared;
  void* dynamic = nullptr;
  unsigned at_barrier = 0;
};

inline Block block;
inline std::vector<char> stacks;
inline ucontext_t home;
inline const void* home_stack = nullptr;
inline size_t home_size = 0;
inline void* home_fake = nullptr;
inline int current = 0;
inline std::function<void()> body;

[[noreturn]] inline void fail(const char* what) {
  std::printf("FAILED %s\n", what);
  std::fflush(stdout);
  std::_Exit(3);
}

// Back to the scheduler; returns when it picks this fiber again.
inline void pause() {
  Fiber& own = block.fibers[current];
  __sanitizer_start_switch_fiber(own.done ? nullptr : &own.fake_stack, home_stack, home_size);
  swapcontext(&own.context, &home);
  __sanitizer_finish_switch_fiber(own.fake_stack, nullptr, nullptr);
}

inline void entry() {
  __sanitizer_finish_switch_fiber(nullptr, &home_stack, &home_size);
  body();
  block.fibers[current].done = true;
  pause();
}

inline void barrier() {
  if (++block.at_barrier == block.fibers.size()) {
    block.at_barrier = 0;
    for (Fiber& fiber : block.fibers) fiber.waits = false;
    return;
  }
  block.fibers[current].waits = true;
  pause();
}

// Each lane gives up to 64 bytes and sees those of all lanes. `out` changes only when every lane has come back for more.
inline const char (*exchange(const void* from, size_t bytes))[64] {
  Warp& warp = block.warps[current / 32];
  std::memcpy(warp.in[current % 32], from, bytes);
  if (++warp.arrived == warp.lanes) {
    std::memcpy(warp.out, warp.in, sizeof warp.in);
    warp.arrived = 0;
    for (unsigned i = 0; i < warp.lanes; i++) block.fibers[current / 32 * 32 + i].waits = false;
  } else {
    block.fibers[current].waits = true;
    pause();
  }
  return warp.out;
}

inline void* poisoned(size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, std::max<size_t>(bytes, 1)) != 0) fail("no memory");
  std::memset(memory, 0xff, bytes);
  return memory;
}

template <class T>
T* shared(int key, size_t count) {
  void*& memory = block.shared[key];
  if (!memory) memory = poisoned(count * sizeof(T));
  return static_cast<T*>(memory);
}

inline void run_block(Order order, std::mt19937& random) {
  unsigned threads = block.size.x, left = threads;
  if (threads % 32 != 0 || threads > 1024) fail("a block must have whole warps, at most 32");
  block.fibers.assign(threads, {});
  block.warps.assign(threads / 32, {});
  for (Warp& warp : block.warps) warp.lanes = 32;
  block.at_barrier = 0;
  stacks.resize(threads * STACK);
  for (unsigned i = 0; i < threads; i++) {
    Fiber& fiber = block.fibers[i];
    fiber.thread = {i, 0, 0};
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = &stacks[i * STACK];
    fiber.context.uc_stack.ss_size = STACK;
    fiber.context.uc_link = &home;
    makecontext(&fiber.context, entry, 0);
  }
  std::vector<int> ready;
  while (left) {
    ready.clear();
    for (unsigned i = 0; i < threads; i++) {
      if (!block.fibers[i].done && !block.fibers[i].waits) ready.push_back(i);
    }
    if (ready.empty()) fail("deadlock: a barrier or a warp's exchange that not all threads reach");
    // In the two fixed orders each ready thread runs until it waits; in the random one the next is drawn each time.
    if (order == Order::reverse) std::reverse(ready.begin(), ready.end());
    if (order == Order::random) ready = {ready[random() % ready.size()]};
    for (int next : ready) {
      current = next;
      Fiber& fiber = block.fibers[next];
      __sanitizer_start_switch_fiber(&home_fake, &stacks[next * STACK], STACK);
      swapcontext(&home, &fiber.context);
      __sanitizer_finish_switch_fiber(home_fake, nullptr, nullptr);
      left -= fiber.done;
    }
  }
  for (auto& [key, memory] : block.shared) std::free(memory);
  block.shared.clear();
}

inline void launch(dim3 grid, unsigned threads, size_t shared_bytes, Order order, unsigned seed, std::function<void()> kernel) {
  std::mt19937 random(seed);
  std::vector<unsigned> blocks(grid.x * grid.y);
  for (unsigned i = 0; i < blocks.size(); i++) blocks[i] = i;
  if (order == Order::reverse) std::reverse(blocks.begin(), blocks.end());
  if (order == Order::random) std::shuffle(blocks.begin(), blocks.end(), random);
  body = kernel;
  block.size = {threads, 1, 1};
  block.grid = grid;
  for (unsigned b : blocks) {
    block.index = {b % grid.x, b / grid.x, 0};
    block.dynamic = poisoned(shared_bytes);
    run_block(order, random);
    std::free(block.dynamic);
  }
}

}  // namespace emu

#define threadIdx (emu::block.fibers[emu::current].thread)
#define blockIdx emu::block.index
#define blockDim emu::block.size
#define gridDim emu::block.grid

using std::max;
using std::min;
inline void __syncthreads() { emu::barrier(); }
inline void __syncwarp() {
  char nothing = 0;
  emu::exchange(&nothing, 1);
}
template <class T>
T __shfl_sync(unsigned, T value, int lane) {
  auto all = emu::exchange(&value, sizeof value);
  std::memcpy(&value, all[lane % 32], sizeof value);
  return value;
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int bits) {
  return __shfl_sync(mask, value, emu::current % 32 ^ bits);
}
inline uint32_t __float_as_uint(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float __uint_as_float(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}

namespace emu {
// d += a b as mma.sync.m16n8k16 means it: each lane hands in its part of a and b, and sees everyone's.
inline void mma16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b_low, uint32_t b_high) {
  struct Parts {
    uint32_t a[4], b[2];
  } own = {{a[0], a[1], a[2], a[3]}, {b_low, b_high}}, all[32];
  auto given = exchange(&own, sizeof own);
  for (int lane = 0; lane < 32; lane++) std::memcpy(&all[lane], given[lane], sizeof own);
  auto half = [](uint32_t both, int high) { return __uint_as_float(high ? both & 0xffff0000u : both << 16); };
  int lane = current % 32;
  for (int i = 0; i < 4; i++) {
    int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 16; k++) {
      uint32_t left = all[row % 8 * 4 + k % 8 / 2].a[row / 8 + k / 8 * 2], right = all[column * 4 + k % 8 / 2].b[k / 8];
      d[i] += half(left, k % 2) * half(right, k % 2);
    }
  }
}
// The same for mma.sync.m16n8k8 on tf32: bits past its mantissa must not matter, so they are cut here.
inline void mma1688(float (&d)[4], const uint32_t (&a)[4], uint32_t b_0, uint32_t b_1) {
  struct Parts {
    uint32_t a[4], b[2];
  } own = {{a[0], a[1], a[2], a[3]}, {b_0, b_1}}, all[32];
  auto given = exchange(&own, sizeof own);
  for (int lane = 0; lane < 32; lane++) std::memcpy(&all[lane], given[lane], sizeof own);
  auto cut = [](uint32_t bits) { return __uint_as_float(bits & 0xffffe000u); };
  int lane = current % 32;
  for (int i = 0; i < 4; i++) {
    int row = lane / 4 + 8 * (i / 2), column = lane % 4 * 2 + i % 2;
    for (int k = 0; k < 8; k++) d[i] += cut(all[row % 8 * 4 + k % 4].a[row / 8 + k / 4 * 2]) * cut(all[column * 4 + k % 4].b[k / 4]);
  }
}
}  // namespace emu
