// Buffers with guards and poison, comparison with f64, and every kernel in three thread orders with equal bits.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "fibers.h"

#include "../../kernels/common.cu"

inline int failures = 0;
inline std::mt19937 dice(7);

inline float normal() {
  static std::normal_distribution<float> draw;
  return draw(dice);
}

// Exactly `count` values, 256 bytes aligned as the arena's are, NaN until written.
template <class T>
struct Buffer {
  T* at;
  size_t count;
  explicit Buffer(size_t n) : at(static_cast<T*>(emu::poisoned(n * sizeof(T)))), count(n) {}
  Buffer(const Buffer& other) : Buffer(other.count) { std::memcpy(at, other.at, count * sizeof(T)); }
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(at); }
  void poison() { std::memset(at, 0xff, count * sizeof(T)); }
  double operator[](size_t i) const { return to_float(at[i]); }
  static Buffer random(size_t n, float scale = 1, float middle = 0) {
    Buffer made(n);
    for (size_t i = 0; i < n; i++) made.at[i] = from_float<T>(middle + scale * normal());
    return made;
  }
};

// Largest difference, in units of the largest value wanted; NaN counts as infinite.
template <class Got>
void compare(const std::string& name, const Got& got, const std::vector<double>& want, double tolerance) {
  double worst = 0, size = 1e-30;
  for (double w : want) size = std::max(size, std::fabs(w));
  for (size_t i = 0; i < want.size(); i++) {
    double off = std::fabs(static_cast<double>(got[i]) - want[i]) / size;
    worst = off <= worst ? worst : std::isnan(off) ? INFINITY : off;
  }
  bool good = worst <= tolerance && got.count == want.size();
  failures += !good;
  std::printf("%s %-52s error %.1e, allowed %.0e\n", good ? "ok    " : "FAILED", name.c_str(), worst, tolerance);
}

struct Launch {
  dim3 grid;
  unsigned threads;
  size_t shared = 0;
};

// Runs a kernel in all orders over poisoned outputs (after `reset`, for what is updated in place); all must agree to the bit.
template <class... Outputs>
void in_all_orders(const std::string& name, Launch launch, std::function<void()> kernel, std::function<void()> reset,
                   Outputs&... outputs) {
  std::vector<std::vector<char>> first;
  emu::Order orders[] = {emu::Order::forward, emu::Order::reverse, emu::Order::random, emu::Order::random};
  for (unsigned o = 0; o < 4; o++) {
    (outputs.poison(), ...);
    if (reset) reset();
    emu::launch(launch.grid, launch.threads, launch.shared, orders[o], o, kernel);
    std::vector<std::vector<char>> bytes;
    auto keep = [&](auto& buffer) {
      auto start = reinterpret_cast<const char*>(buffer.at);
      bytes.emplace_back(start, start + buffer.count * sizeof *buffer.at);
    };
    (keep(outputs), ...);
    if (o == 0) first = bytes;
    if (bytes != first) {
      std::printf("FAILED %s: thread order %u gives other bits\n", name.c_str(), o);
      failures++;
    }
  }
}

template <class T>
constexpr double tolerance(double single) {
  return sizeof(T) == 4 ? single : 6e-3;
}
template <class T>
std::string named(const std::string& name) {
  return name + (sizeof(T) == 4 ? " f32" : " bf16");
}
