// Adam with the gradient's norm, clipping and a check that it is finite, all on the device: a step whose gradient isn't
// finite changes nothing. Bias corrections come from a counter on the device, so a captured graph holds no step number.
#include "common.cu"

constexpr int ADAM_WARPS = 8;

// What one step's update needs, written by `decide`.
struct Decision {
  float norm;          // of all gradients together
  float scale;         // the clip
  float step_size;     // learning rate / (1 - beta1^t)
  float second_scale;  // 1 / sqrt(1 - beta2^t)
  int finite;
  int updates;  // made so far: kept from step to step
};

// What a caller may change between two replays of a graph.
struct Settings {
  double learning_rate, largest_norm;  // largest 0: nothing is clipped
  double beta_1, beta_2, eps, weight_decay;
};

// partials[block] = the sum of squares of its part of the gradients.
DEVICE void square_sums_all(const float* gradients, float* partials, int count) {
  SHARED(float, shared, ADAM_WARPS);
  float sum = 0;
#pragma unroll 4
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) sum += gradients[i] * gradients[i];
  sum = block_sum<ADAM_WARPS>(sum, shared);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

// One block: norm, clip, and how far this step moves.
DEVICE void decide_all(const float* partials, const Settings* settings, Decision* decision, int count) {
  SHARED(float, shared, ADAM_WARPS);
  float sum = 0;
  for (int i = threadIdx.x; i < count; i += ADAM_WARPS * 32) sum += partials[i];
  sum = block_sum<ADAM_WARPS>(sum, shared);
  if (threadIdx.x != 0) return;
  float norm = sqrtf(sum), largest = static_cast<float>(settings->largest_norm);
  bool finite = norm - norm == 0.0f;
  decision->norm = norm;
  decision->finite = finite;
  decision->scale = largest > 0 && norm > largest ? largest / norm : 1.0f;
  if (finite) decision->updates += 1;
  double t = decision->updates;
  decision->step_size = static_cast<float>(settings->learning_rate / (1.0 - pow(settings->beta_1, t)));
  decision->second_scale = static_cast<float>(1.0 / sqrt(1.0 - pow(settings->beta_2, t)));
}

// Moves parameters and moments; `low` is the parameters as the products take them, or null.
template <class T>
DEVICE void adam_all(float* parameters, const float* gradients, float* first, float* second, T* low, const Settings* settings,
                     const Decision* decision, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count || !decision->finite) return;
  float p = parameters[i];
  float g = gradients[i] * decision->scale + static_cast<float>(settings->weight_decay) * p;
  float m = static_cast<float>(settings->beta_1) * first[i] + static_cast<float>(1.0 - settings->beta_1) * g;
  float v = static_cast<float>(settings->beta_2) * second[i] + static_cast<float>(1.0 - settings->beta_2) * (g * g);
  first[i] = m;
  second[i] = v;
  p -= m / (sqrtf(v) * decision->second_scale + static_cast<float>(settings->eps)) * decision->step_size;
  parameters[i] = p;
  if (low) low[i] = from_float<T>(p);
}

// to = from, as the products take it.
template <class T>
DEVICE void narrow_all(const float* from, T* to, int count) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) to[i] = from_float<T>(from[i]);
}

#ifdef WIDTH
KERNEL(ADAM_WARPS * 32) square_sums(const float* gradients, float* partials, int count) {
  square_sums_all(gradients, partials, count);
}
KERNEL(ADAM_WARPS * 32) decide(const float* partials, const Settings* settings, Decision* decision, int count) {
  decide_all(partials, settings, decision, count);
}
KERNEL(256) adam(float* parameters, const float* gradients, float* first, float* second, STORE* low, const Settings* settings,
                 const Decision* decision, int count) {
  adam_all(parameters, gradients, first, second, low, settings, decision, count);
}
KERNEL(256) narrow(const float* from, STORE* to, int count) {
  narrow_all(from, to, count);
}
#endif
