// What predictions cost, and how that changes with each of their numbers. A thread takes one prediction of `width` numbers.
#include "common.cu"

constexpr int LOSS_THREADS = 256;

// Kinds of loss, as the host numbers them.
constexpr int LOSS_SQUARED = 0;
constexpr int LOSS_LOGISTIC = 1;
constexpr int LOSS_CLASSES = 2;

// The gradient with respect to predictions (loops, rows, width), against targets (rows), times *share times `times`. It goes to
// slopes, (rows, width) for each loop, which begin `apart` numbers after those of the loop before; a block leaves its sum of
// losses in partials (loops, blocks). A target that is NaN counts nothing.
DEVICE void losses_all(const float* predictions, const float* targets, const float* share, float* slopes, float* partials,
                       int kind, int width, float times, int rows, int apart) {
  SHARED(float, shared, LOSS_THREADS / 32);
  int row = blockIdx.x * LOSS_THREADS + threadIdx.x;
  size_t loop = blockIdx.y;
  float loss = 0;
  if (row < rows) {
    const float* p = predictions + (loop * rows + row) * width;
    float* slope = slopes + loop * apart + static_cast<size_t>(row) * width;
    float y = targets[row], factor = *share * times;
    if (y != y) {
      for (int c = 0; c < width; c++) slope[c] = 0;
    } else if (kind == LOSS_SQUARED) {
      float error = p[0] - y;
      loss = error * error;
      slope[0] = 2 * error * factor;
    } else if (kind == LOSS_LOGISTIC) {
      float z = p[0] * y, tail = expf(-fabsf(z));
      float weight = z >= 0 ? tail / (1 + tail) : 1 / (1 + tail);
      loss = fmaxf(-z, 0.0f) + log1pf(tail);
      slope[0] = -y * weight * factor;
    } else {
      float most = p[0], whole = 0;
      for (int c = 1; c < width; c++) most = fmaxf(most, p[c]);
      for (int c = 0; c < width; c++) whole += expf(p[c] - most);
      int own = static_cast<int>(y);
      for (int c = 0; c < width; c++) slope[c] = (expf(p[c] - most) / whole - (c == own ? 1.0f : 0.0f)) * factor;
      loss = logf(whole) - (p[own] - most);
    }
    loss *= factor;
  }
  loss = block_sum<LOSS_THREADS / 32>(loss, shared);
  if (threadIdx.x == 0) partials[loop * gridDim.x + blockIdx.x] = loss;
}

// The sum of so many floats, in their order. One block.
DEVICE void loss_total_all(const float* partials, float* loss, int count) {
  SHARED(float, shared, LOSS_THREADS / 32);
  float sum = 0;
  for (int i = threadIdx.x; i < count; i += LOSS_THREADS) sum += partials[i];
  sum = block_sum<LOSS_THREADS / 32>(sum, shared);
  if (threadIdx.x == 0) *loss = sum;
}

#ifdef WIDTH
KERNEL(LOSS_THREADS)
losses(const float* predictions, const float* targets, const float* share, float* slopes, float* partials, int kind, int width,
       float times, int rows, int apart) {
  losses_all(predictions, targets, share, slopes, partials, kind, width, times, rows, apart);
}
KERNEL(LOSS_THREADS) loss_total(const float* partials, float* loss, int count) {
  loss_total_all(partials, loss, count);
}
#endif
