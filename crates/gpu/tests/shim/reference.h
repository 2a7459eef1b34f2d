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
  Doubles out, log_sums, dqkv;
};

// Causal attention over (sequences, tokens, 3, heads, head), and its derivative for `dout`.
template <class In, class Slope>
Attended attention_of(const In& qkv, const Slope& dout, int sequences, int tokens, int heads, int head) {
  int width = heads * head;
  double scale = 1 / std::sqrt(double(head));
  Attended a{Doubles(size_t(sequences) * tokens * width), Doubles(size_t(sequences) * heads * tokens),
             Doubles(size_t(sequences) * tokens * 3 * width)};
  for (int s = 0; s < sequences; s++) {
    for (int h = 0; h < heads; h++) {
      auto at = [&](int t, int part, int d) { return ((size_t(s) * tokens + t) * 3 + part) * width + h * head + d; };
      for (int q = 0; q < tokens; q++) {
        Doubles p(q + 1);
        double top = -1e300, sum = 0, delta = 0;
        for (int k = 0; k <= q; k++) {
          for (int d = 0; d < head; d++) p[k] += scale * qkv[at(q, 0, d)] * qkv[at(k, 1, d)];
          top = std::max(top, p[k]);
        }
        for (double& value : p) value = std::exp(value - top), sum += value;
        a.log_sums[(size_t(s) * heads + h) * tokens + q] = top + std::log(sum);
        Doubles dp(q + 1);
        size_t row = (size_t(s) * tokens + q) * width + h * head;
        for (int k = 0; k <= q; k++) {
          p[k] /= sum;
          for (int d = 0; d < head; d++) {
            a.out[row + d] += p[k] * qkv[at(k, 2, d)];
            dp[k] += dout[row + d] * qkv[at(k, 2, d)];
            a.dqkv[at(k, 2, d)] += p[k] * dout[row + d];
          }
          delta += p[k] * dp[k];
        }
        for (int k = 0; k <= q; k++) {
          for (int d = 0; d < head; d++) {
            double ds = scale * p[k] * (dp[k] - delta);
            a.dqkv[at(q, 0, d)] += ds * qkv[at(k, 1, d)];
            a.dqkv[at(k, 1, d)] += ds * qkv[at(q, 0, d)];
          }
        }
      }
    }
  }
  return a;
}
