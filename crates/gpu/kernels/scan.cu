// The scan of a diagonal state space over the tokens of a sequence. Of each channel, state n is h_n = decay_n h_n + gain_n v for
// the token's value v, and the output is the sum of read_n h_n, plus skip v. A thread takes one channel of one sequence, and
// SCAN_STATES states at a time.
#include "common.cu"

constexpr int SCAN_STATES = 8;
constexpr int SCAN_THREADS = 128;

// A channel's numbers, of SCAN_STATES states from `first` on; those past the last are 0. All are (states, width).
struct Channel {
  float decay[SCAN_STATES], gain[SCAN_STATES], read[SCAN_STATES];
};

DEVICE Channel channel_of(const float* decay, const float* gain, const float* read, int first, int states, int width, int channel) {
  Channel own;
#pragma unroll
  for (int n = 0; n < SCAN_STATES; n++) {
    int at = (first + n) * width + channel;
    bool there = first + n < states;
    own.decay[n] = there ? decay[at] : 0;
    own.gain[n] = there ? gain[at] : 0;
    own.read[n] = there ? read[at] : 0;
  }
  return own;
}

// y of x, both (sequences, tokens, width).
template <class T>
DEVICE void scan_all(const T* x, const float* decay, const float* gain, const float* read, const float* skip, T* y, int sequences,
                     int tokens, int width, int states) {
  int thread = blockIdx.x * blockDim.x + threadIdx.x;
  if (thread >= sequences * width) return;
  int channel = thread % width;
  size_t start = static_cast<size_t>(thread / width) * tokens * width + channel;
  for (int first = 0; first < states; first += SCAN_STATES) {
    Channel own = channel_of(decay, gain, read, first, states, width, channel);
    float h[SCAN_STATES] = {};
#pragma unroll 4
    for (int t = 0; t < tokens; t++) {
      size_t at = start + static_cast<size_t>(t) * width;
      float v = to_float(x[at]);
      float sum = first == 0 ? skip[channel] * v : to_float(y[at]);
#pragma unroll
      for (int n = 0; n < SCAN_STATES; n++) {
        h[n] = own.decay[n] * h[n] + own.gain[n] * v;
        sum += own.read[n] * h[n];
      }
      y[at] = from_float<T>(sum);
    }
  }
}

// The derivative by x, of dy by y. The states are computed again, and kept in `kept` (sequences, tokens, SCAN_STATES, width).
// Each sequence leaves what it adds to the numbers' derivatives: partials (sequences, 3 states + 1, width), of decay, gain, read
// and skip in this order.
template <class T>
DEVICE void scan_backward_all(const T* x, const T* dy, const float* decay, const float* gain, const float* read,
                              const float* skip, T* dx, float* kept, float* partials, int sequences, int tokens, int width,
                              int states) {
  int thread = blockIdx.x * blockDim.x + threadIdx.x;
  if (thread >= sequences * width) return;
  int sequence = thread / width, channel = thread % width;
  size_t start = static_cast<size_t>(sequence) * tokens * width + channel;
  float* states_kept = kept + static_cast<size_t>(sequence) * tokens * SCAN_STATES * width + channel;
  float* sums = partials + static_cast<size_t>(sequence) * (3 * states + 1) * width + channel;
  float dskip = 0;
  for (int first = 0; first < states; first += SCAN_STATES) {
    Channel own = channel_of(decay, gain, read, first, states, width, channel);
    float h[SCAN_STATES] = {};
    for (int t = 0; t < tokens; t++) {
      float v = to_float(x[start + static_cast<size_t>(t) * width]);
#pragma unroll
      for (int n = 0; n < SCAN_STATES; n++) {
        h[n] = own.decay[n] * h[n] + own.gain[n] * v;
        states_kept[(static_cast<size_t>(t) * SCAN_STATES + n) * width] = h[n];
      }
    }
    float carried[SCAN_STATES] = {}, ddecay[SCAN_STATES] = {}, dgain[SCAN_STATES] = {}, dread[SCAN_STATES] = {};
    for (int t = tokens - 1; t >= 0; t--) {
      size_t at = start + static_cast<size_t>(t) * width;
      float v = to_float(x[at]), d = to_float(dy[at]);
      if (first == 0) dskip += d * v;
      float sum = first == 0 ? skip[channel] * d : to_float(dx[at]);
#pragma unroll
      for (int n = 0; n < SCAN_STATES; n++) {
        float before = t > 0 ? states_kept[(static_cast<size_t>(t - 1) * SCAN_STATES + n) * width] : 0;
        float dh = own.read[n] * d + carried[n];
        dread[n] += d * h[n];
        ddecay[n] += dh * before;
        dgain[n] += dh * v;
        sum += own.gain[n] * dh;
        carried[n] = own.decay[n] * dh;
        h[n] = before;
      }
      dx[at] = from_float<T>(sum);
    }
#pragma unroll
    for (int n = 0; n < SCAN_STATES; n++) {
      if (first + n < states) {
        sums[static_cast<size_t>(first + n) * width] = ddecay[n];
        sums[static_cast<size_t>(states + first + n) * width] = dgain[n];
        sums[static_cast<size_t>(2 * states + first + n) * width] = dread[n];
      }
    }
  }
  sums[static_cast<size_t>(3 * states) * width] = dskip;
}

#ifdef WIDTH
KERNEL(SCAN_THREADS)
scan(const STORE* x, const float* decay, const float* gain, const float* read, const float* skip, STORE* y, int sequences,
     int tokens, int width, int states) {
  scan_all(x, decay, gain, read, skip, y, sequences, tokens, width, states);
}
KERNEL(SCAN_THREADS)
scan_backward(const STORE* x, const STORE* dy, const float* decay, const float* gain, const float* read, const float* skip,
              STORE* dx, float* kept, float* partials, int sequences, int tokens, int width, int states) {
  scan_backward_all(x, dy, decay, gain, read, skip, dx, kept, partials, sequences, tokens, width, states);
}
#endif
