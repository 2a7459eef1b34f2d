// Runs a kernel's threads: each thread of a block is a fiber, and barriers, shuffles and matrix instructions are the places
// where fibers switch. The order in which threads and blocks run is chosen, so a missing barrier shows as a wrong result in
// some order. Shared memory is poisoned with NaN before each block and allocated to its exact size, so AddressSanitizer sees a
// read past it.
#pragma once
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "shim.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#else
inline void __sanitizer_start_switch_fiber(void**, const void*, size_t) {}
inline void __sanitizer_finish_switch_fiber(void*, const void**, size_t*) {}
#endif

namespace emu {
inline void entry();

// A place in the program to come back to. The system's own switch, swapcontext, asks the kernel for the signal mask each time;
// this one doesn't, and is the faster by a factor of ten.
#ifdef __x86_64__
extern "C" void emu_switch(void** from, void* to);
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
.type emu_switch, @function
emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emu_switch, . - emu_switch
)");
struct Place {
  void* stack;
  void start(char* bottom, size_t bytes) {
    void** top = reinterpret_cast<void**>(bottom + bytes) - 8;
    std::fill(top, top + 8, nullptr);
    top[6] = reinterpret_cast<void*>(entry);  // where the six registers are popped, it returns to this
    stack = top;
  }
  void to(const Place& other) { emu_switch(&stack, other.stack); }
};
#else
struct Place {
  ucontext_t context;
  void start(char* bottom, size_t bytes) {
    getcontext(&context);
    context.uc_stack.ss_sp = bottom;
    context.uc_stack.ss_size = bytes;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
  }
  void to(const Place& other) { swapcontext(&context, &other.context); }
};
#endif

enum class Order { forward, reverse, random };
constexpr size_t STACK = 64 << 10;
constexpr size_t MOST_STATIC = 48 << 10;

struct Fiber {
  Place place;
  dim3 thread;
  bool done = false;
  void* fake_stack = nullptr;
};

// What the lanes of a warp hand to each other: they write one half while the other, of the exchange before, is read.
struct Warp {
  unsigned arrived = 0, half = 0;
  alignas(16) char given[2][32][64];
};

struct Shared {
  int key;
  void* memory;
};

inline Now now;
inline std::vector<Fiber> fibers;
inline std::vector<Warp> warps;
inline std::vector<Shared> shared_memory;
inline size_t shared_bytes = 0;
inline unsigned at_barrier = 0;
inline std::vector<int> ready;  // fibers that may run
inline char* stacks = nullptr;
inline Place home;
inline const void* home_stack = nullptr;
inline size_t home_size = 0;
inline void* home_fake = nullptr;
inline std::function<void()> body;
inline const char* running = "a kernel";

[[noreturn]] inline void fail(const char* what) {
  std::printf("FAILED %s: %s\n", running, what);
  std::fflush(stdout);
  std::_Exit(3);
}

// Back to the scheduler; returns when it picks this fiber again.
inline void pause() {
  Fiber& own = fibers[now.current];
  __sanitizer_start_switch_fiber(own.done ? nullptr : &own.fake_stack, home_stack, home_size);
  own.place.to(home);
  __sanitizer_finish_switch_fiber(own.fake_stack, nullptr, nullptr);
}

inline void entry() {
  __sanitizer_finish_switch_fiber(nullptr, &home_stack, &home_size);
  body();
  fibers[now.current].done = true;
  pause();
}

inline void barrier() {
  int count = fibers.size();
  if (++at_barrier < fibers.size()) return pause();
  at_barrier = 0;
  for (int i = 0; i < count; i++) {
    if (i != now.current) ready.push_back(i);
  }
}

inline const char (*exchange(const void* from, size_t bytes))[64] {
  if (bytes > 64) fail("more than 64 bytes are exchanged");
  int own = now.current;
  Warp& warp = warps[own / 32];
  std::memcpy(warp.given[warp.half][own % 32], from, bytes);
  if (++warp.arrived < 32) {
    pause();
  } else {
    warp.arrived = 0;
    warp.half ^= 1;
    for (int i = own / 32 * 32; i < own / 32 * 32 + 32; i++) {
      if (i != own) ready.push_back(i);
    }
  }
  return warp.given[warp.half ^ 1];
}

inline void* poisoned(size_t bytes) {
  void* memory = nullptr;
  if (posix_memalign(&memory, 256, std::max<size_t>(bytes, 1)) != 0) fail("no memory");
  std::memset(memory, 0xff, bytes);
  return memory;
}

inline void* share(int key, size_t bytes) {
  for (Shared& each : shared_memory) {
    if (each.key == key) return each.memory;
  }
  shared_bytes += bytes;
  if (shared_bytes > MOST_STATIC) fail("more than 48 KB of shared memory of a known size");
  return shared_memory.emplace_back(Shared{key, poisoned(bytes)}).memory;
}

inline Host host_of_fibers() { return {&now, barrier, exchange, share}; }

inline void run_block(Order order, std::mt19937& random) {
  unsigned threads = now.size.x * now.size.y * now.size.z, left = threads;
  fibers.assign(threads, {});
  warps.resize(threads / 32);
  for (Warp& warp : warps) warp.arrived = warp.half = 0;
  at_barrier = 0;
  ready.clear();
  for (unsigned i = 0; i < threads; i++) {
    fibers[i].thread = {i % now.size.x, i / now.size.x % now.size.y, i / now.size.x / now.size.y};
    fibers[i].place.start(stacks + i * STACK, STACK);
    ready.push_back(i);
  }
  auto resume = [&](int next) {
    Fiber& fiber = fibers[next];
    now.current = next;
    now.thread = fiber.thread;
    __sanitizer_start_switch_fiber(&home_fake, stacks + next * STACK, STACK);
    home.to(fiber.place);
    __sanitizer_finish_switch_fiber(home_fake, nullptr, nullptr);
    left -= fiber.done;
  };
  // In the two fixed orders each ready thread runs until it waits; in the random one the next is drawn each time.
  std::vector<int> round;
  while (left) {
    if (ready.empty()) fail("deadlock: a barrier or a warp's exchange that not all threads reach");
    if (order == Order::random) {
      std::swap(ready[random() % ready.size()], ready.back());
      int next = ready.back();
      ready.pop_back();
      resume(next);
      continue;
    }
    round.swap(ready);
    std::sort(round.begin(), round.end());
    if (order == Order::reverse) std::reverse(round.begin(), round.end());
    for (int next : round) resume(next);
    round.clear();
  }
  for (Shared& each : shared_memory) std::free(each.memory);
  shared_memory.clear();
  shared_bytes = 0;
}

inline void launch(dim3 grid, dim3 size, size_t dynamic, Order order, unsigned seed, std::function<void()> kernel) {
  unsigned threads = size.x * size.y * size.z;
  if (threads % 32 != 0 || threads > 1024) fail("a block must have whole warps, at most 32");
  if (!stacks) {
    void* mapped = mmap(nullptr, 1024 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) fail("no memory for the threads' stacks");
    stacks = static_cast<char*>(mapped);
  }
  host = host_of_fibers();
  std::mt19937 random(seed);
  std::vector<unsigned> blocks(size_t(grid.x) * grid.y * grid.z);
  for (unsigned i = 0; i < blocks.size(); i++) blocks[i] = i;
  if (order == Order::reverse) std::reverse(blocks.begin(), blocks.end());
  if (order == Order::random) std::shuffle(blocks.begin(), blocks.end(), random);
  body = kernel;
  now.size = size;
  now.grid = grid;
  for (unsigned b : blocks) {
    now.block = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
    now.dynamic = poisoned(dynamic);
    run_block(order, random);
    std::free(now.dynamic);
  }
}
inline void launch(dim3 grid, unsigned threads, size_t dynamic, Order order, unsigned seed, std::function<void()> kernel) {
  launch(grid, dim3{threads, 1, 1}, dynamic, order, seed, kernel);
}

}  // namespace emu
