// Layer norm and RMS norm over rows, one warp a row, with the sums before and behind them.
#include "common.cu"

constexpr int NORM_WARPS = 8;

// sum = x + residual (where there is one), y = norm(sum) * weight + bias. `sum` may be x or null.
template <int WIDTH_, class T>
DEVICE void add_norm_rows(const float* x, const float* residual, const float* weight, const float* bias, float* sum, T* y,
                          int rows, int rms, float eps) {
  int row = blockIdx.x * NORM_WARPS + warp_id();
  if (row >= rows) return;
  size_t at = static_cast<size_t>(row) * WIDTH_;
  auto r = Row<WIDTH_>::read(x + at);
  if (residual) r.add(Row<WIDTH_>::read(residual + at));
  if (sum) r.write(sum + at);
  auto w = Row<WIDTH_>::read(weight);
  auto b = rms ? Row<WIDTH_>::zero() : Row<WIDTH_>::read(bias);
  affine(normalised(r, statistics(r, rms, eps)), w, b).write(y + at);
}

// Two norms with a sum between them: z = norm(x) by the first weight and bias, sum = z + residual, y = norm(sum) by the second.
// `sum` may be x.
template <int WIDTH_, class T>
DEVICE void norm_add_norm_rows(const float* x, const float* first_weight, const float* first_bias, float* z,
                               const float* residual, const float* weight, const float* bias, float* sum, T* y, int rows,
                               int first_rms, int rms, float eps) {
  int row = blockIdx.x * NORM_WARPS + warp_id();
  if (row >= rows) return;
  size_t at = static_cast<size_t>(row) * WIDTH_;
  auto r = Row<WIDTH_>::read(x + at);
  auto first_b = first_rms ? Row<WIDTH_>::zero() : Row<WIDTH_>::read(first_bias);
  r = affine(normalised(r, statistics(r, first_rms, eps)), Row<WIDTH_>::read(first_weight), first_b);
  r.write(z + at);
  r.add(Row<WIDTH_>::read(residual + at));
  r.write(sum + at);
  auto b = rms ? Row<WIDTH_>::zero() : Row<WIDTH_>::read(bias);
  affine(normalised(r, statistics(r, rms, eps)), Row<WIDTH_>::read(weight), b).write(y + at);
}

// The derivative by a norm's input x, of that by its output; `residual` joins it, `low` (or null) is a copy as the products
// take it, and `total` (or null) has it added. Each block leaves the sums over its rows of what the weight and the bias get:
// partials (blocks, 2 WIDTH).
template <int WIDTH_, class T>
DEVICE void norm_backward_rows(const float* dy, const float* x, const float* weight, const float* residual, float* dx, T* low,
                               float* total, float* partials, int rows, int rms, float eps) {
  SHARED(float, shared, NORM_WARPS* WIDTH_);
  auto w = Row<WIDTH_>::read(weight);
  auto dweight = Row<WIDTH_>::zero(), dbias = Row<WIDTH_>::zero();
  for (int row = blockIdx.x * NORM_WARPS + warp_id(); row < rows; row += gridDim.x * NORM_WARPS) {
    size_t at = static_cast<size_t>(row) * WIDTH_;
    auto value = Row<WIDTH_>::read(x + at);
    auto slope = Row<WIDTH_>::read(dy + at);
    Statistics s = statistics(value, rms, eps);
    auto unit = normalised(value, s);
#pragma unroll
    for (int i = 0; i < Row<WIDTH_>::SIZE; i++) dweight.v[i] += slope.v[i] * unit.v[i];
    dbias.add(slope);
    auto d = norm_derivative(slope, unit, w, s.inverse, rms);
    if (residual) d.add(Row<WIDTH_>::read(residual + at));
    d.write(dx + at);
    if (low) d.write(low + at);
    if (total) {
      d.add(Row<WIDTH_>::read(total + at));
      d.write(total + at);
    }
  }
  float* out = partials + static_cast<size_t>(blockIdx.x) * 2 * WIDTH_;
  add_up_rows<WIDTH_, NORM_WARPS>(dweight, shared, out);
  add_up_rows<WIDTH_, NORM_WARPS>(dbias, shared, out + WIDTH_);
}

#ifdef WIDTH
KERNEL(NORM_WARPS * 32)
add_norm(const float* x, const float* residual, const float* weight, const float* bias, float* sum, STORE* y, int rows, int rms,
         float eps) {
  add_norm_rows<WIDTH>(x, residual, weight, bias, sum, y, rows, rms, eps);
}
KERNEL(NORM_WARPS * 32)
norm_add_norm(const float* x, const float* first_weight, const float* first_bias, float* z, const float* residual,
              const float* weight, const float* bias, float* sum, STORE* y, int rows, int first_rms, int rms, float eps) {
  norm_add_norm_rows<WIDTH>(x, first_weight, first_bias, z, residual, weight, bias, sum, y, rows, first_rms, rms, eps);
}
KERNEL(NORM_WARPS * 32)
norm_backward(const float* dy, const float* x, const float* weight, const float* residual, float* dx, STORE* low, float* total,
              float* partials, int rows, int rms, float eps) {
  norm_backward_rows<WIDTH>(dy, x, weight, residual, dx, low, total, partials, rows, rms, eps);
}
#endif
