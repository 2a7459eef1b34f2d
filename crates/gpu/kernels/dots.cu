// A product with one column, as a read-out is: a dot product of each row with one weight.
//
// Row i of the result is row i of x, or, where `picks` isn't 0, the row of x at the token that `reads` lists.
#include "common.cu"

constexpr int DOT_WARPS = 8;

DEVICE int picked_row(int row, const int* reads, int tokens, int picks) {
  return picks ? row / picks * tokens + reads[row % picks] : row;
}

// out = x . weight + bias, a warp a row; the bias may be null.
DEVICE void dot_rows_all(const float* x, const float* weight, const float* bias, const int* reads, float* out, int tokens,
                         int picks, int width, int rows) {
  int row = blockIdx.x * DOT_WARPS + warp_id();
  if (row >= rows) return;
  const float* own = x + static_cast<size_t>(picked_row(row, reads, tokens, picks)) * width;
  float sum = 0;
  for (int c = lane_id(); c < width; c += 32) sum += own[c] * weight[c];
  sum = warp_sum(sum);
  if (lane_id() == 0) out[row] = sum + (bias ? bias[0] : 0);
}

// dx += dy weight, and a block leaves the sums over its `per_block` rows of what weight and bias get: partials
// (blocks, width + 1).
DEVICE void dot_rows_backward_all(const float* dy, const float* x, const float* weight, const int* reads, float* dx,
                                  float* partials, int tokens, int picks, int width, int rows, int per_block) {
  int first = blockIdx.x * per_block, last = min(first + per_block, rows);
  float* out = partials + static_cast<size_t>(blockIdx.x) * (width + 1);
  for (int c = threadIdx.x; c <= width; c += DOT_WARPS * 32) {
    float sum = 0;
    for (int row = first; row < last; row++) {
      float slope = dy[row];
      if (c == width) {
        sum += slope;
        continue;
      }
      size_t at = static_cast<size_t>(picked_row(row, reads, tokens, picks)) * width + c;
      sum += slope * x[at];
      dx[at] += slope * weight[c];
    }
    out[c] = sum;
  }
}

#ifdef WIDTH
KERNEL(DOT_WARPS * 32)
dot_rows(const float* x, const float* weight, const float* bias, const int* reads, float* out, int tokens, int picks, int width,
         int rows) {
  dot_rows_all(x, weight, bias, reads, out, tokens, picks, width, rows);
}
KERNEL(DOT_WARPS * 32)
dot_rows_backward(const float* dy, const float* x, const float* weight, const int* reads, float* dx, float* partials, int tokens,
                  int picks, int width, int rows, int per_block) {
  dot_rows_backward_all(dy, x, weight, reads, dx, partials, tokens, picks, width, rows, per_block);
}
#endif
