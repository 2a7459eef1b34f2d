// GELU in its tanh form: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
#include "common.cu"

constexpr float GELU_SCALE = 0.7978845608028654f;
constexpr float GELU_CUBE = 0.044715f;

// Values that a thread takes at once: 16 bytes of them.
template <class T>
struct Chunk {
  static constexpr int SIZE = 16 / sizeof(T);
};

template <class T>
DEVICE void gelu_all(const T* x, T* y, int count) {
  constexpr int N = Chunk<T>::SIZE;
  int first = (blockIdx.x * blockDim.x + threadIdx.x) * N;
  auto gelu = [](float v) { return 0.5f * v * (1.0f + tanhf(GELU_SCALE * (v + GELU_CUBE * v * v * v))); };
  if (first + N <= count) {
    float v[N];
    load<N>(x + first, v);
#pragma unroll
    for (int i = 0; i < N; i++) v[i] = gelu(v[i]);
    store<N>(y + first, v);
  } else {
    for (int i = first; i < count; i++) y[i] = from_float<T>(gelu(to_float(x[i])));
  }
}

// dx = dy * gelu'(x); dx may be x.
template <class T>
DEVICE void gelu_backward_all(const T* dy, const T* x, T* dx, int count) {
  constexpr int N = Chunk<T>::SIZE;
  int first = (blockIdx.x * blockDim.x + threadIdx.x) * N;
  auto slope = [](float v) {
    float t = tanhf(GELU_SCALE * (v + GELU_CUBE * v * v * v));
    return 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * GELU_SCALE * (1.0f + 3.0f * GELU_CUBE * v * v);
  };
  if (first + N <= count) {
    float v[N], d[N];
    load<N>(x + first, v);
    load<N>(dy + first, d);
#pragma unroll
    for (int i = 0; i < N; i++) d[i] *= slope(v[i]);
    store<N>(dx + first, d);
  } else {
    for (int i = first; i < count; i++) dx[i] = from_float<T>(to_float(dy[i]) * slope(to_float(x[i])));
  }
}

// y = gelu(x), stored otherwise than x.
template <class T>
DEVICE void gelu_of_all(const float* x, T* y, int count) {
  int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  auto gelu = [](float v) { return 0.5f * v * (1.0f + tanhf(GELU_SCALE * (v + GELU_CUBE * v * v * v))); };
  if (first + 4 <= count) {
    float v[4];
    load<4>(x + first, v);
#pragma unroll
    for (int i = 0; i < 4; i++) v[i] = gelu(v[i]);
    store<4>(y + first, v);
  } else {
    for (int i = first; i < count; i++) y[i] = from_float<T>(gelu(x[i]));
  }
}

// d *= gelu'(x), and, if `turn`, x becomes gelu(x): what the layers before and after a GELU need on the way back.
template <class T>
DEVICE void gelu_turn_all(T* d, float* x, int turn, int count) {
  int first = (blockIdx.x * blockDim.x + threadIdx.x) * 4;
  auto back = [](float& slope, float& v) {
    float t = tanhf(GELU_SCALE * (v + GELU_CUBE * v * v * v));
    slope *= 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * GELU_SCALE * (1.0f + 3.0f * GELU_CUBE * v * v);
    v = 0.5f * v * (1.0f + t);
  };
  if (first + 4 <= count) {
    float v[4], slopes[4];
    load<4>(x + first, v);
    load<4>(d + first, slopes);
#pragma unroll
    for (int i = 0; i < 4; i++) back(slopes[i], v[i]);
    store<4>(d + first, slopes);
    if (turn) store<4>(x + first, v);
  } else {
    for (int i = first; i < count; i++) {
      float v = x[i], slope = to_float(d[i]);
      back(slope, v);
      d[i] = from_float<T>(slope);
      if (turn) x[i] = v;
    }
  }
}

#ifdef WIDTH
KERNEL(256) gelu_of(const float* x, STORE* y, int count) {
  gelu_of_all(x, y, count);
}
KERNEL(256) gelu_turn(STORE* d, float* x, int turn, int count) {
  gelu_turn_all(d, x, turn, count);
}
KERNEL(256) gelu(const STORE* x, STORE* y, int count) {
  gelu_all(x, y, count);
}
KERNEL(256) gelu_backward(const STORE* dy, const STORE* x, STORE* dx, int count) {
  gelu_backward_all(dy, x, dx, count);
}
#endif
