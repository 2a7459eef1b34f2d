// Sums over the rows of a matrix in two stages, in an order that doesn't depend on timing.
#include "common.cu"

constexpr int SUM_WARPS = 8;

// Stage 1: a block sums the columns of `per_block` rows from blockIdx.y * per_block on: partials (gridDim.y, width). A warp
// takes every SUM_WARPS-th row, a lane VEC neighbouring columns; width is a multiple of VEC.
template <int VEC, class T>
DEVICE void column_sums_all(const T* x, float* partials, int rows, int width, int per_block) {
  SHARED(float, shared, SUM_WARPS * 32 * VEC);
  int column = (blockIdx.x * 32 + lane_id()) * VEC;
  int first = blockIdx.y * per_block, last = min(first + per_block, rows);
  float sum[VEC] = {};
  if (column < width) {
#pragma unroll 4
    for (int row = first + warp_id(); row < last; row += SUM_WARPS) {
      float part[VEC];
      load<VEC>(x + static_cast<size_t>(row) * width + column, part);
#pragma unroll
      for (int i = 0; i < VEC; i++) sum[i] += part[i];
    }
  }
  store<VEC>(shared + (warp_id() * 32 + lane_id()) * VEC, sum);
  __syncthreads();
  for (int c = threadIdx.x; c < 32 * VEC; c += SUM_WARPS * 32) {
    int to = blockIdx.x * 32 * VEC + c;
    float total = 0;
#pragma unroll
    for (int w = 0; w < SUM_WARPS; w++) total += shared[w * 32 * VEC + c];
    if (to < width) partials[static_cast<size_t>(blockIdx.y) * width + to] = total;
  }
}

// The sum of a column over `count` rows of partials, which are `stride` apart, in warp 0: a lane a column, a warp every
// SUM_WARPS-th row. All threads call it.
DEVICE float column_total(const float* partials, int column, int count, int width, int stride, float* shared) {
  float sum = 0;
  if (column < width) {
#pragma unroll 8
    for (int row = warp_id(); row < count; row += SUM_WARPS) sum += partials[static_cast<size_t>(row) * stride + column];
  }
  // Others may still read what was there before.
  __syncthreads();
  shared[threadIdx.x] = sum;
  __syncthreads();
  float total = 0;
  if (warp_id() == 0) {
#pragma unroll
    for (int w = 0; w < SUM_WARPS; w++) total += shared[w * 32 + lane_id()];
  }
  return total;
}

// Stage 2: out[c] = the sum of column c of `count` rows of partials.
DEVICE void column_totals_all(const float* partials, float* out, int count, int width) {
  SHARED(float, shared, SUM_WARPS * 32);
  int column = blockIdx.x * 32 + lane_id();
  float total = column_total(partials, column, count, width, width, shared);
  if (warp_id() == 0 && column < width) out[column] = total;
}

// Numbers of the table below for each goal, and for each of its parts.
constexpr int TOTALS_GOAL = 4;
constexpr int TOTALS_PART = 3;

// Stage 2 of many sums at once: blockIdx.y counts the goals, and to each of a goal's numbers the sums of its parts' columns are
// added, one part after the other. The table has, for each of the `goals`: its first number in `out`, how many they are, its
// first part, and how many; and behind those, for each part: its first number in `partials`, its rows, how far they are apart.
DEVICE void add_column_totals_all(const long long* table, const float* partials, float* out, int goals) {
  SHARED(float, shared, SUM_WARPS * 32);
  const long long* goal = table + blockIdx.y * TOTALS_GOAL;
  const long long* part = table + goals * TOTALS_GOAL + goal[2] * TOTALS_PART;
  int first = blockIdx.x * 32, column = first + lane_id(), width = goal[1], parts = goal[3];
  if (first >= width) return;
  float* own = out + goal[0] + column;
  bool writes = warp_id() == 0 && column < width;
  float sum = writes ? *own : 0;
  for (int p = 0; p < parts; p++, part += TOTALS_PART) {
    sum += column_total(partials + part[0], column, part[1], width, part[2], shared);
  }
  if (writes) *own = sum;
}

#ifdef WIDTH
KERNEL(SUM_WARPS * 32) column_sums(const STORE* x, float* partials, int rows, int width, int per_block) {
  column_sums_all<4>(x, partials, rows, width, per_block);
}
KERNEL(SUM_WARPS * 32) column_sums_f32(const float* x, float* partials, int rows, int width, int per_block) {
  column_sums_all<4>(x, partials, rows, width, per_block);
}
// Of any width.
KERNEL(SUM_WARPS * 32) column_sums_1(const STORE* x, float* partials, int rows, int width, int per_block) {
  column_sums_all<1>(x, partials, rows, width, per_block);
}
KERNEL(SUM_WARPS * 32) column_totals(const float* partials, float* out, int count, int width) {
  column_totals_all(partials, out, count, width);
}
KERNEL(SUM_WARPS * 32) add_column_totals(const long long* table, const float* partials, float* out, int goals) {
  add_column_totals_all(table, partials, out, goals);
}
#endif
