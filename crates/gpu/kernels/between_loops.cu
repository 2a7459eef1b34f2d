// What happens to a row between two loops, in one pass over it: final norm, read-out, injection with positions and the
// first block's first norm; and the same backward. Token 2 i of a sequence is x_i, whose state predicts y_i.
#include "common.cu"

constexpr int LOOP_WARPS = 8;

// The slope of the mean squared error by a prediction; `share` is 2 / (predictions in all).
DEVICE float slope_of(float prediction, float target, float share) { return share * (prediction - target); }

// z = norm(y) by `final`; predictions (sequences, points) of the x tokens; x = z + input, where the input holds embedding
// and positions; n = norm(x) by `first`. Null y: z = 0 (before the first loop). Null predictions: none are read. Null x:
// the last loop, after which only predictions are read. Tokens before `kept_from` enter every loop with a state of 0.
template <int WIDTH_, class T>
DEVICE void enter_rows(const float* y, const float* final_weight, const float* final_bias, const float* read_weight,
                       const float* read_bias, float* predictions, const float* input, float* x, const float* first_weight,
                       const float* first_bias, T* n, int rows, int tokens, float eps, int kept_from = 0) {
  int row = blockIdx.x * LOOP_WARPS + warp_id();
  if (row >= rows) return;
  size_t at = static_cast<size_t>(row) * WIDTH_;
  auto z = Row<WIDTH_>::zero();
  if (y) {
    auto value = Row<WIDTH_>::read(y + at);
    z = affine(normalised(value, statistics(value, 0, eps)), Row<WIDTH_>::read(final_weight), Row<WIDTH_>::read(final_bias));
  }
  int token = row % tokens;
  if (predictions && token % 2 == 0) {
    float prediction = z.dot(Row<WIDTH_>::read(read_weight)) + read_bias[0];
    int points = (tokens + 1) / 2;
    if (lane_id() == 0) predictions[row / tokens * points + token / 2] = prediction;
  }
  if (!x) return;
  if (token < kept_from) z = Row<WIDTH_>::zero();
  z.add(Row<WIDTH_>::read(input + at));
  z.write(x + at);
  affine(normalised(z, statistics(z, 0, eps)), Row<WIDTH_>::read(first_weight), Row<WIDTH_>::read(first_bias)).write(n + at);
}

// Backward from the blocks' input of one loop to the blocks' output of the loop before.
//
// dx = derivative of `first` norm (x, dn) + residual is the derivative by the blocks' input x = z + input: it joins dinput
// (`fresh`: it starts it). With the predictions' slopes it is the derivative by z, and dy that by y. Null dn: no loop
// follows. Null y: no loop before. Each block leaves sums over its rows: partials (blocks, 5 WIDTH): first norm's weight and
// bias, final norm's weight and bias, read-out's weight.
template <int WIDTH_, class T>
DEVICE void leave_rows(const float* dn, const float* x, const float* first_weight, const float* residual, float* dinput,
                       int fresh, const float* y, const float* final_weight, const float* final_bias, const float* read_weight,
                       const float* predictions, const float* targets, float share, float* dy, T* low, float* partials,
                       int rows, int tokens, float eps, int kept_from = 0) {
  SHARED(float, shared, LOOP_WARPS* WIDTH_);
  auto dfirst_weight = Row<WIDTH_>::zero(), dfirst_bias = Row<WIDTH_>::zero(), dfinal_weight = Row<WIDTH_>::zero(),
       dfinal_bias = Row<WIDTH_>::zero(), dread = Row<WIDTH_>::zero();
  int points = (tokens + 1) / 2;
  for (int row = blockIdx.x * LOOP_WARPS + warp_id(); row < rows; row += gridDim.x * LOOP_WARPS) {
    size_t at = static_cast<size_t>(row) * WIDTH_;
    int token = row % tokens;
    auto d = Row<WIDTH_>::zero();
    if (dn) {
      auto value = Row<WIDTH_>::read(x + at);
      auto slope = Row<WIDTH_>::read(dn + at);
      Statistics s = statistics(value, 0, eps);
      auto unit = normalised(value, s);
#pragma unroll
      for (int i = 0; i < Row<WIDTH_>::SIZE; i++) dfirst_weight.v[i] += slope.v[i] * unit.v[i];
      dfirst_bias.add(slope);
      d = norm_derivative(slope, unit, Row<WIDTH_>::read(first_weight), s.inverse, 0);
      d.add(Row<WIDTH_>::read(residual + at));
      auto total = d;
      if (!fresh) total.add(Row<WIDTH_>::read(dinput + at));
      total.write(dinput + at);
      if (token < kept_from) d = Row<WIDTH_>::zero();
    }
    if (!y) continue;
    auto value = Row<WIDTH_>::read(y + at);
    Statistics s = statistics(value, 0, eps);
    auto unit = normalised(value, s);
    auto weight = Row<WIDTH_>::read(final_weight);
    if (predictions && token % 2 == 0) {
      int point = row / tokens * points + token / 2;
      float slope = slope_of(predictions[point], targets[point], share);
      auto z = affine(unit, weight, Row<WIDTH_>::read(final_bias));
      auto read = Row<WIDTH_>::read(read_weight);
#pragma unroll
      for (int i = 0; i < Row<WIDTH_>::SIZE; i++) {
        dread.v[i] += slope * z.v[i];
        d.v[i] += slope * read.v[i];
      }
    }
#pragma unroll
    for (int i = 0; i < Row<WIDTH_>::SIZE; i++) dfinal_weight.v[i] += d.v[i] * unit.v[i];
    dfinal_bias.add(d);
    auto out = norm_derivative(d, unit, weight, s.inverse, 0);
    out.write(dy + at);
    if (low) out.write(low + at);
  }
  float* out = partials + static_cast<size_t>(blockIdx.x) * 5 * WIDTH_;
  add_up_rows<WIDTH_, LOOP_WARPS>(dfirst_weight, shared, out);
  add_up_rows<WIDTH_, LOOP_WARPS>(dfirst_bias, shared, out + WIDTH_);
  add_up_rows<WIDTH_, LOOP_WARPS>(dfinal_weight, shared, out + 2 * WIDTH_);
  add_up_rows<WIDTH_, LOOP_WARPS>(dfinal_bias, shared, out + 3 * WIDTH_);
  add_up_rows<WIDTH_, LOOP_WARPS>(dread, shared, out + 4 * WIDTH_);
}

constexpr int LOSS_WARPS = 32;

// The mean squared error of predictions (loops, count), each against targets (count), and the sum of its slopes: the
// derivative by the read-out's bias. One block.
DEVICE void squared_loss_all(const float* predictions, const float* targets, float* loss, float* slopes, int loops,
                             int count) {
  SHARED(float, shared, LOSS_WARPS);
  float error = 0, slope = 0, share = 2.0f / (static_cast<float>(loops) * count);
  for (int l = 0; l < loops; l++) {
    for (int i = threadIdx.x; i < count; i += LOSS_WARPS * 32) {
      float off = predictions[static_cast<size_t>(l) * count + i] - targets[i];
      error += off * off;
      slope += share * off;
    }
  }
  error = block_sum<LOSS_WARPS>(error, shared);
  slope = block_sum<LOSS_WARPS>(slope, shared);
  if (threadIdx.x == 0) {
    *loss = error * share / 2;
    *slopes = slope;
  }
}

// x += positions, for every sequence.
DEVICE void place_all(float* x, const float* positions, int sequences, int per_sequence) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= per_sequence) return;
  float position = positions[i];
  for (int s = blockIdx.y; s < sequences; s += gridDim.y) x[static_cast<size_t>(s) * per_sequence + i] += position;
}

// dpositions = the sum of dx over the sequences.
DEVICE void place_backward_all(const float* dx, float* dpositions, int sequences, int per_sequence) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= per_sequence) return;
  float sum = 0;
#pragma unroll 8
  for (int s = 0; s < sequences; s++) sum += dx[static_cast<size_t>(s) * per_sequence + i];
  dpositions[i] = sum;
}

#ifdef WIDTH
KERNEL(LOOP_WARPS * 32)
enter(const float* y, const float* final_weight, const float* final_bias, const float* read_weight, const float* read_bias,
      float* predictions, const float* input, float* x, const float* first_weight, const float* first_bias, STORE* n, int rows,
      int tokens, float eps, int kept_from) {
  enter_rows<WIDTH>(y, final_weight, final_bias, read_weight, read_bias, predictions, input, x, first_weight, first_bias, n,
                    rows, tokens, eps, kept_from);
}
KERNEL(LOOP_WARPS * 32)
leave(const float* dn, const float* x, const float* first_weight, const float* residual, float* dinput, int fresh,
      const float* y, const float* final_weight, const float* final_bias, const float* read_weight, const float* predictions,
      const float* targets, float share, float* dy, STORE* low, float* partials, int rows, int tokens, float eps,
      int kept_from) {
  leave_rows<WIDTH>(dn, x, first_weight, residual, dinput, fresh, y, final_weight, final_bias, read_weight, predictions,
                    targets, share, dy, low, partials, rows, tokens, eps, kept_from);
}
KERNEL(LOSS_WARPS * 32)
squared_loss(const float* predictions, const float* targets, float* loss, float* slopes, int loops, int count) {
  squared_loss_all(predictions, targets, loss, slopes, loops, count);
}
KERNEL(256) place(float* x, const float* positions, int sequences, int per_sequence) {
  place_all(x, positions, sequences, per_sequence);
}
KERNEL(256) place_backward(const float* dx, float* dpositions, int sequences, int per_sequence) {
  place_backward_all(dx, dpositions, sequences, per_sequence);
}
#endif
