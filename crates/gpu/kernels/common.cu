// What every kernel stands on: types, rows held by a warp, sums over a warp and over a block.
//
// NVRTC compiles these files for a GPU, one after the other as one source, with WIDTH, HEAD and STORE defined; a C++
// compiler compiles the same files for the CPU through tests/shim/shim.h, where WIDTH is defined too if it wants the entries. Storage is float or bf16; arithmetic, statistics
// and sums are float. Nothing here uses atomics: the same inputs give the same bits.
#pragma once
#ifdef __CUDACC_RTC__
typedef unsigned int uint32_t;
typedef unsigned short uint16_t;
#define DEVICE __device__ __forceinline__
#define INFINITY __int_as_float(0x7f800000)
#define KERNEL(threads) extern "C" __global__ void __launch_bounds__(threads)
#define SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define SHARED_DYNAMIC(type, name)                               \
  extern __shared__ __align__(16) unsigned char dynamic_shared[]; \
  type* name = reinterpret_cast<type*>(dynamic_shared)
#else
#include "shim.h"
#endif

constexpr unsigned ALL_LANES = 0xffffffffu;

// A float whose lower half is cut off, rounded to nearest even.
struct bf16 {
  uint16_t bits;
};

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __uint_as_float(static_cast<uint32_t>(x.bits) << 16); }

template <class T>
DEVICE T from_float(float x);
template <>
DEVICE float from_float<float>(float x) {
  return x;
}
template <>
DEVICE bf16 from_float<bf16>(float x) {
#ifdef __CUDACC_RTC__
  uint16_t rounded;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded) : "f"(x));
  return {rounded};
#else
  uint32_t bits = __float_as_uint(x);
  bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  return {static_cast<uint16_t>(nan ? 0x7fffu : rounded >> 16)};
#endif
}

// N values that are loaded and stored at once.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T at[N];
};

template <int N, class T>
DEVICE void load(const T* from, float (&to)[N]) {
  Pack<T, N> pack = *reinterpret_cast<const Pack<T, N>*>(from);
#pragma unroll
  for (int i = 0; i < N; i++) to[i] = to_float(pack.at[i]);
}

template <int N, class T>
DEVICE void store(T* to, const float (&from)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; i++) pack.at[i] = from_float<T>(from[i]);
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}

DEVICE float warp_sum(float x) {
#pragma unroll
  for (int mask = 16; mask; mask >>= 1) x += __shfl_xor_sync(ALL_LANES, x, mask);
  return x;
}

DEVICE float warp_max(float x) {
#pragma unroll
  for (int mask = 16; mask; mask >>= 1) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, mask));
  return x;
}

DEVICE int lane_id() { return threadIdx.x % 32; }
DEVICE int warp_id() { return threadIdx.x / 32; }

// One row of WIDTH values, spread over a warp: each lane holds SIZE of them, in runs of VEC neighbours.
template <int WIDTH_>
struct Row {
  static constexpr int VEC = WIDTH_ % 128 == 0 ? 4 : WIDTH_ % 64 == 0 ? 2 : 1;
  static constexpr int STEPS = (WIDTH_ + 32 * VEC - 1) / (32 * VEC);
  static constexpr int SIZE = STEPS * VEC;
  static constexpr bool WHOLE = STEPS * VEC * 32 == WIDTH_;
  float v[SIZE];

  // The column of a lane's value i.
  static DEVICE int column(int i) { return (i / VEC * 32 + lane_id()) * VEC + i % VEC; }
  static DEVICE bool holds(int i) { return WHOLE || column(i) < WIDTH_; }

  template <class T>
  static DEVICE Row read(const T* row) {
    Row r;
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
      float part[VEC] = {};
      if (holds(s * VEC)) load<VEC>(row + column(s * VEC), part);
#pragma unroll
      for (int i = 0; i < VEC; i++) r.v[s * VEC + i] = part[i];
    }
    return r;
  }

  template <class T>
  DEVICE void write(T* row) const {
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
      float part[VEC];
#pragma unroll
      for (int i = 0; i < VEC; i++) part[i] = v[s * VEC + i];
      if (holds(s * VEC)) store<VEC>(row + column(s * VEC), part);
    }
  }

  static DEVICE Row zero() {
    Row r;
#pragma unroll
    for (int i = 0; i < SIZE; i++) r.v[i] = 0;
    return r;
  }

  DEVICE void add(const Row& other) {
#pragma unroll
    for (int i = 0; i < SIZE; i++) v[i] += other.v[i];
  }

  DEVICE float dot(const Row& other) const {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < SIZE; i++) sum += v[i] * other.v[i];
    return warp_sum(sum);
  }
};

// A row's mean and the inverse of its standard deviation; for RMS norm the mean counts as 0.
struct Statistics {
  float mean, inverse;
};

template <int WIDTH_>
DEVICE Statistics statistics(const Row<WIDTH_>& x, int rms, float eps) {
  float mean = 0;
  if (!rms) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < Row<WIDTH_>::SIZE; i++) sum += x.v[i];
    mean = warp_sum(sum) / WIDTH_;
  }
  float squares = 0;
#pragma unroll
  for (int i = 0; i < Row<WIDTH_>::SIZE; i++) {
    float centred = Row<WIDTH_>::holds(i) ? x.v[i] - mean : 0;
    squares += centred * centred;
  }
  return {mean, 1.0f / sqrtf(warp_sum(squares) / WIDTH_ + eps)};
}

template <int WIDTH_>
DEVICE Row<WIDTH_> normalised(const Row<WIDTH_>& x, Statistics s) {
  Row<WIDTH_> unit;
#pragma unroll
  for (int i = 0; i < Row<WIDTH_>::SIZE; i++) {
    unit.v[i] = Row<WIDTH_>::holds(i) ? (x.v[i] - s.mean) * s.inverse : 0;
  }
  return unit;
}

// unit * weight + bias; RMS norm has no bias.
template <int WIDTH_>
DEVICE Row<WIDTH_> affine(const Row<WIDTH_>& unit, const Row<WIDTH_>& weight, const Row<WIDTH_>& bias) {
  Row<WIDTH_> y;
#pragma unroll
  for (int i = 0; i < Row<WIDTH_>::SIZE; i++) y.v[i] = unit.v[i] * weight.v[i] + bias.v[i];
  return y;
}

// The derivative by a norm's input, of that by its output.
template <int WIDTH_>
DEVICE Row<WIDTH_> norm_derivative(const Row<WIDTH_>& dy, const Row<WIDTH_>& unit, const Row<WIDTH_>& weight, float inverse,
                                   int rms) {
  Row<WIDTH_> g;
  float sum = 0, along = 0;
#pragma unroll
  for (int i = 0; i < Row<WIDTH_>::SIZE; i++) {
    g.v[i] = dy.v[i] * weight.v[i];
    sum += g.v[i];
    along += g.v[i] * unit.v[i];
  }
  sum = rms ? 0 : warp_sum(sum) / WIDTH_;
  along = warp_sum(along) / WIDTH_;
#pragma unroll
  for (int i = 0; i < Row<WIDTH_>::SIZE; i++) {
    g.v[i] = Row<WIDTH_>::holds(i) ? inverse * (g.v[i] - sum - unit.v[i] * along) : 0;
  }
  return g;
}

// The sum of a row over the WARPS warps of a block goes to `out` (WIDTH), in the order of the warps. All threads call it.
template <int WIDTH_, int WARPS>
DEVICE void add_up_rows(const Row<WIDTH_>& row, float* shared, float* out) {
  __syncthreads();
  row.write(shared + warp_id() * WIDTH_);
  __syncthreads();
  for (int c = threadIdx.x; c < WIDTH_; c += WARPS * 32) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) sum += shared[w * WIDTH_ + c];
    out[c] = sum;
  }
}

// The sum over a block, in every thread; `shared` has a float for each warp.
template <int WARPS>
DEVICE float block_sum(float x, float* shared) {
  x = warp_sum(x);
  __syncthreads();
  if (lane_id() == 0) shared[warp_id()] = x;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int w = 0; w < WARPS; w++) sum += shared[w];
  return sum;
}
