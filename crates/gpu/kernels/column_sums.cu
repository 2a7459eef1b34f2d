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

// Stage 2: out[c] = or += the sum of column c of `count` rows of partials, which are `stride` apart; a lane a column, a warp
// every SUM_WARPS-th row.
DEVICE void column_totals_all(const float* partials, float* out, int count, int width, int stride, int add) {
  SHARED(float, shared, SUM_WARPS * 32);
  int column = blockIdx.x * 32 + lane_id();
  float sum = 0;
  if (column < width) {
#pragma unroll 8
    for (int row = warp_id(); row < count; row += SUM_WARPS) sum += partials[static_cast<size_t>(row) * stride + column];
  }
  shared[threadIdx.x] = sum;
  __syncthreads();
  if (warp_id() == 0 && column < width) {
    float total = 0;
#pragma unroll
    for (int w = 0; w < SUM_WARPS; w++) total += shared[w * 32 + lane_id()];
    out[column] = add ? out[column] + total : total;
  }
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
KERNEL(SUM_WARPS * 32) column_totals(const float* partials, float* out, int count, int width, int stride, int add) {
  column_totals_all(partials, out, count, width, stride, add);
}
#endif
