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

// A channel's SCAN_STATES states from `first` on, of (states, width); 0 where there are none.
DEVICE void states_at(const float* from, size_t start, int first, int states, int width, float (&to)[SCAN_STATES]) {
#pragma unroll
  for (int n = 0; n < SCAN_STATES; n++) {
    to[n] = from && first + n < states ? from[start + static_cast<size_t>(first + n) * width] : 0;
  }
}

// y of x, both (sequences, tokens, width). States start at `before` and end at `last`, both (sequences, states, width); null
// `before`: they start at 0. y may not be x where there are more than SCAN_STATES states.
template <class T>
DEVICE void scan_all(const T* x, const float* before, const float* decay, const float* gain, const float* read,
                     const float* skip, T* y, float* last, int sequences, int tokens, int width, int states) {
  int thread = blockIdx.x * blockDim.x + threadIdx.x;
  if (thread >= sequences * width) return;
  int channel = thread % width;
  int sequence = thread / width;
  size_t start = static_cast<size_t>(sequence) * tokens * width + channel;
  size_t of_states = static_cast<size_t>(sequence) * states * width + channel;
  for (int first = 0; first < states; first += SCAN_STATES) {
    Channel own = channel_of(decay, gain, read, first, states, width, channel);
    float h[SCAN_STATES];
    states_at(before, of_states, first, states, width, h);
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
#pragma unroll
    for (int n = 0; n < SCAN_STATES; n++) {
      if (last && first + n < states) last[of_states + static_cast<size_t>(first + n) * width] = h[n];
    }
  }
}

// The derivative by x, of dy by y and of dlast by the last states; dx may be dy where there are no more than SCAN_STATES
// states. What the states before get is added to dbefore. The states are computed again, and kept in `kept` (sequences, tokens, SCAN_STATES, width).
// Each sequence leaves what it adds to the numbers' derivatives: partials (sequences, 3 states + 1, width), of decay, gain, read
// and skip in this order.
template <class T>
DEVICE void scan_backward_all(const T* x, const float* before, const T* dy, const float* dlast, const float* decay,
                              const float* gain, const float* read, const float* skip, T* dx, float* dbefore, float* kept,
                              float* partials, int sequences, int tokens, int width, int states) {
  int thread = blockIdx.x * blockDim.x + threadIdx.x;
  if (thread >= sequences * width) return;
  int sequence = thread / width, channel = thread % width;
  size_t start = static_cast<size_t>(sequence) * tokens * width + channel;
  float* states_kept = kept + static_cast<size_t>(sequence) * tokens * SCAN_STATES * width + channel;
  float* sums = partials + static_cast<size_t>(sequence) * (3 * states + 1) * width + channel;
  size_t of_states = static_cast<size_t>(sequence) * states * width + channel;
  float dskip = 0;
  for (int first = 0; first < states; first += SCAN_STATES) {
    Channel own = channel_of(decay, gain, read, first, states, width, channel);
    float start_of[SCAN_STATES], h[SCAN_STATES];
    states_at(before, of_states, first, states, width, start_of);
#pragma unroll
    for (int n = 0; n < SCAN_STATES; n++) h[n] = start_of[n];
    for (int t = 0; t < tokens; t++) {
      float v = to_float(x[start + static_cast<size_t>(t) * width]);
#pragma unroll
      for (int n = 0; n < SCAN_STATES; n++) {
        h[n] = own.decay[n] * h[n] + own.gain[n] * v;
        states_kept[(static_cast<size_t>(t) * SCAN_STATES + n) * width] = h[n];
      }
    }
    float carried[SCAN_STATES], ddecay[SCAN_STATES] = {}, dgain[SCAN_STATES] = {}, dread[SCAN_STATES] = {};
    states_at(dlast, of_states, first, states, width, carried);
    for (int t = tokens - 1; t >= 0; t--) {
      size_t at = start + static_cast<size_t>(t) * width;
      float v = to_float(x[at]), d = to_float(dy[at]);
      if (first == 0) dskip += d * v;
      float sum = first == 0 ? skip[channel] * d : to_float(dx[at]);
#pragma unroll
      for (int n = 0; n < SCAN_STATES; n++) {
        float of_before = t > 0 ? states_kept[(static_cast<size_t>(t - 1) * SCAN_STATES + n) * width] : start_of[n];
        float dh = own.read[n] * d + carried[n];
        dread[n] += d * h[n];
        ddecay[n] += dh * of_before;
        dgain[n] += dh * v;
        sum += own.gain[n] * dh;
        carried[n] = own.decay[n] * dh;
        h[n] = of_before;
      }
      dx[at] = from_float<T>(sum);
    }
#pragma unroll
    for (int n = 0; n < SCAN_STATES; n++) {
      if (first + n < states) {
        if (dbefore) dbefore[of_states + static_cast<size_t>(first + n) * width] += carried[n];
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
scan(const STORE* x, const float* before, const float* decay, const float* gain, const float* read, const float* skip, STORE* y,
     float* last, int sequences, int tokens, int width, int states) {
  scan_all(x, before, decay, gain, read, skip, y, last, sequences, tokens, width, states);
}
KERNEL(SCAN_THREADS)
scan_backward(const STORE* x, const float* before, const STORE* dy, const float* dlast, const float* decay, const float* gain,
              const float* read, const float* skip, STORE* dx, float* dbefore, float* kept, float* partials, int sequences,
              int tokens, int width, int states) {
  scan_backward_all(x, before, dy, dlast, decay, gain, read, skip, dx, dbefore, kept, partials, sequences, tokens, width, states);
}
#endif
