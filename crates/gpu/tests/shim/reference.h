// What the kernels mean, in f64.
#pragma once
#include <cmath>
#include <vector>

using Doubles = std::vector<double>;

struct Norm {
  Doubles unit;
  double inverse;
};

inline Norm norm_of(const double* x, int width, bool rms, double eps) {
  double mean = 0, squares = 0;
  for (int c = 0; c < width && !rms; c++) mean += x[c] / width;
  for (int c = 0; c < width; c++) squares += (x[c] - mean) * (x[c] - mean) / width;
  Norm norm{Doubles(width), 1 / std::sqrt(squares + eps)};
  for (int c = 0; c < width; c++) norm.unit[c] = (x[c] - mean) * norm.inverse;
  return norm;
}

inline Doubles norm_back(const Doubles& g, const Norm& norm, bool rms) {
  int width = g.size();
  double sum = 0, along = 0;
  for (int c = 0; c < width; c++) sum += rms ? 0 : g[c] / width, along += g[c] * norm.unit[c] / width;
  Doubles d(width);
  for (int c = 0; c < width; c++) d[c] = norm.inverse * (g[c] - sum - norm.unit[c] * along);
  return d;
}

struct Attended {
  Doubles out, log_sums, dqkv, dearlier;
};

// Attention over (sequences, tokens, 3, heads, head), and its derivative for `dout`. Keys and values are those of `prefix` earlier
// tokens too, and, if `causal`, not those of later ones.
template <class In, class Slope>
Attended attention_of(const In& qkv, const In& earlier, const Slope& dout, int sequences, int tokens, int prefix, bool causal,
                      int heads, int head) {
  int width = heads * head;
  double scale = 1 / std::sqrt(double(head));
  Attended a{Doubles(size_t(sequences) * tokens * width), Doubles(size_t(sequences) * heads * tokens),
             Doubles(size_t(sequences) * tokens * 3 * width), Doubles(size_t(sequences) * prefix * 3 * width)};
  for (int s = 0; s < sequences; s++) {
    for (int h = 0; h < heads; h++) {
      // Where a token's number lies; the earlier tokens, whose numbers lie elsewhere, come before token 0.
      auto at = [&](int t, int part, int d) {
        size_t row = t < 0 ? size_t(s) * prefix + prefix + t : size_t(s) * tokens + t;
        return (row * 3 + part) * width + h * head + d;
      };
      auto value = [&](int t, int part, int d) { return t < 0 ? earlier[at(t, part, d)] : qkv[at(t, part, d)]; };
      auto slope = [&](int t, int part, int d) -> double& { return (t < 0 ? a.dearlier : a.dqkv)[at(t, part, d)]; };
      for (int q = 0; q < tokens; q++) {
        int end = causal ? q + 1 : tokens;
        Doubles weights(prefix + end), slopes(prefix + end);
        double* p = weights.data() + prefix;
        double* dp = slopes.data() + prefix;
        double top = -1e300, sum = 0, delta = 0;
        for (int k = -prefix; k < end; k++) {
          for (int d = 0; d < head; d++) p[k] += scale * value(q, 0, d) * value(k, 1, d);
          top = std::max(top, p[k]);
        }
        for (double& weight : weights) weight = std::exp(weight - top), sum += weight;
        a.log_sums[(size_t(s) * heads + h) * tokens + q] = top + std::log(sum);
        size_t row = (size_t(s) * tokens + q) * width + h * head;
        for (int k = -prefix; k < end; k++) {
          p[k] /= sum;
          for (int d = 0; d < head; d++) {
            a.out[row + d] += p[k] * value(k, 2, d);
            dp[k] += dout[row + d] * value(k, 2, d);
            slope(k, 2, d) += p[k] * dout[row + d];
          }
          delta += p[k] * dp[k];
        }
        for (int k = -prefix; k < end; k++) {
          for (int d = 0; d < head; d++) {
            double ds = scale * p[k] * (dp[k] - delta);
            slope(q, 0, d) += ds * value(k, 1, d);
            slope(k, 1, d) += ds * value(q, 0, d);
          }
        }
      }
    }
  }
  return a;
}
