// Self-attention, one block of threads for each head of each sequence, in float arithmetic.
//
// qkv is (sequences, tokens, 3, heads, HEAD), `earlier` the same of `prefix` tokens before them, whose keys and values are
// seen too, and the output (sequences, tokens, heads, HEAD). A causal query sees the keys up to its own, another all.
// log_sums (sequences, heads, tokens) keeps the logarithm of each softmax's denominator, from which the backward pass computes
// the weights again. A warp takes GROUP queries at once, so that a key that a lane has loaded serves all of them.
#include "common.cu"

constexpr int ATTENTION_WARPS = 8;
constexpr int GROUP = 4;

// Neighbours in a head that are loaded at once.
template <int HEAD_>
struct Neighbours {
  static constexpr int COUNT = HEAD_ % 4 == 0 ? 4 : 1;
};

// Floats from a row in shared memory to the next: a multiple of 4, for what lies behind the rows, and 4 more than a head.
constexpr DEVICE int head_stride(int head) { return (head + 3) / 4 * 4 + 4; }

// Bytes of shared memory that a block needs.
constexpr int attention_bytes(int tokens, int prefix, int head) {
  return 4 * ((3 * tokens + 2 * prefix) * head_stride(head) + ATTENTION_WARPS * (prefix + tokens) * GROUP);
}
constexpr int attention_backward_bytes(int tokens, int prefix, int head) {
  return 4 * ((4 * tokens + 2 * prefix) * head_stride(head) + ATTENTION_WARPS * (prefix + tokens) * 2 * GROUP + 2 * tokens);
}

// Rows (tokens, HEAD) of a matrix whose rows are `stride` apart, times `factor`, into shared memory. Rows there are 4 floats
// longer: 8 lanes that read 16 bytes each of 8 neighbouring rows then meet all 32 banks.
template <int HEAD_, class T>
DEVICE void fetch_head(const T* from, int stride, float factor, float* to, int tokens) {
  constexpr int N = Neighbours<HEAD_>::COUNT;
  for (int i = threadIdx.x; i < tokens * (HEAD_ / N); i += ATTENTION_WARPS * 32) {
    int row = i / (HEAD_ / N), column = i % (HEAD_ / N) * N;
    float part[N];
    load<N>(from + static_cast<size_t>(row) * stride + column, part);
#pragma unroll
    for (int j = 0; j < N; j++) part[j] *= factor;
    store<N>(to + row * head_stride(HEAD_) + column, part);
  }
}

// sums[g] = row . rows[first + g]; rows past the last stand for the last.
template <int HEAD_>
DEVICE void dot_group(const float* row, const float* rows, int first, int last_row, float (&sums)[GROUP]) {
  constexpr int N = Neighbours<HEAD_>::COUNT;
#pragma unroll
  for (int g = 0; g < GROUP; g++) sums[g] = 0;
#pragma unroll
  for (int c = 0; c < HEAD_; c += N) {
    float own[N];
    load<N>(row + c, own);
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
      float other[N];
      load<N>(rows + min(first + g, last_row) * head_stride(HEAD_) + c, other);
#pragma unroll
      for (int j = 0; j < N; j++) sums[g] += own[j] * other[j];
    }
  }
}

// For each column d of a head: sums[g] = the sum over rows from `from` to `to` of weights[row][g] * rows[row][d].
DEVICE void mix_group(const float* weights, const float* rows, int stride, int d, int from, int to, float (&sums)[GROUP]) {
#pragma unroll
  for (int g = 0; g < GROUP; g++) sums[g] = 0;
#pragma unroll 4
  for (int row = from; row < to; row++) {
    float w[GROUP], value = rows[row * stride + d];
    load<GROUP>(weights + row * GROUP, w);
#pragma unroll
    for (int g = 0; g < GROUP; g++) sums[g] += w[g] * value;
  }
}

// The first key that a query sees no more, counted from the first of the prefix.
DEVICE int keys_seen(int query, int tokens, int prefix, int causal) { return prefix + (causal ? query + 1 : tokens); }

template <int HEAD_, class T>
DEVICE void attention_all(const T* qkv, const T* earlier, T* out, float* log_sums, int tokens, int prefix, int causal, int heads,
                          float scale) {
  constexpr int STRIDE = head_stride(HEAD_);
  SHARED_DYNAMIC(float, shared);
  int all = prefix + tokens;
  float* queries = shared;
  float* keys = queries + tokens * STRIDE;
  float* values = keys + all * STRIDE;
  float* weights = values + all * STRIDE + warp_id() * all * GROUP;
  int sequence = blockIdx.x / heads, head = blockIdx.x % heads, width = heads * HEAD_;
  const T* own = qkv + static_cast<size_t>(sequence) * tokens * 3 * width + head * HEAD_;
  const T* first_ones = earlier + static_cast<size_t>(sequence) * prefix * 3 * width + head * HEAD_;
  fetch_head<HEAD_>(own, 3 * width, scale, queries, tokens);
  fetch_head<HEAD_>(first_ones + width, 3 * width, 1.0f, keys, prefix);
  fetch_head<HEAD_>(first_ones + 2 * width, 3 * width, 1.0f, values, prefix);
  fetch_head<HEAD_>(own + width, 3 * width, 1.0f, keys + prefix * STRIDE, tokens);
  fetch_head<HEAD_>(own + 2 * width, 3 * width, 1.0f, values + prefix * STRIDE, tokens);
  __syncthreads();

  for (int first = warp_id() * GROUP; first < tokens; first += ATTENTION_WARPS * GROUP) {
    int end = keys_seen(min(first + GROUP, tokens) - 1, tokens, prefix, causal);
    float top[GROUP], sum[GROUP], s[GROUP];
#pragma unroll
    for (int g = 0; g < GROUP; g++) top[g] = -INFINITY, sum[g] = 0;
#pragma unroll 1
    for (int key = lane_id(); key < end; key += 32) {
      dot_group<HEAD_>(keys + key * STRIDE, queries, first, tokens - 1, s);
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
        if (causal && key > prefix + first + g) s[g] = -INFINITY;
        top[g] = fmaxf(top[g], s[g]);
      }
      store<GROUP>(weights + key * GROUP, s);
    }
#pragma unroll
    for (int g = 0; g < GROUP; g++) top[g] = warp_max(top[g]);
#pragma unroll 1
    for (int key = lane_id(); key < end; key += 32) {
      load<GROUP>(weights + key * GROUP, s);
#pragma unroll
      for (int g = 0; g < GROUP; g++) s[g] = expf(s[g] - top[g]), sum[g] += s[g];
      store<GROUP>(weights + key * GROUP, s);
    }
    __syncwarp();
#pragma unroll
    for (int g = 0; g < GROUP; g++) sum[g] = warp_sum(sum[g]);
    for (int d = lane_id(); d < HEAD_; d += 32) {
      float mixed[GROUP];
      mix_group(weights, values, STRIDE, d, 0, end, mixed);
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
        size_t row = static_cast<size_t>(sequence) * tokens + first + g;
        if (first + g < tokens) out[row * width + head * HEAD_ + d] = from_float<T>(mixed[g] / sum[g]);
      }
    }
    if (lane_id() == 0) {
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
        if (first + g < tokens) log_sums[blockIdx.x * tokens + first + g] = top[g] + logf(sum[g]);
      }
    }
    __syncwarp();
  }
}

// The derivative by qkv, of dout by the output; dqkv may be qkv. What the earlier keys and values get is added to dearlier.
// First by the queries, a warp taking GROUP of them and its lanes the keys they see; then by keys and values, a warp taking
// GROUP of those and its lanes the queries that see them.
template <int HEAD_, class T>
DEVICE void attention_backward_all(const T* qkv, const T* earlier, const T* dout, const float* log_sums, T* dqkv, T* dearlier,
                                   int tokens, int prefix, int causal, int heads, float scale) {
  constexpr int STRIDE = head_stride(HEAD_);
  SHARED_DYNAMIC(float, shared);
  int all = prefix + tokens;
  float* queries = shared;
  float* keys = queries + tokens * STRIDE;
  float* values = keys + all * STRIDE;
  float* slopes = values + all * STRIDE;
  float* weights = slopes + tokens * STRIDE + warp_id() * all * 2 * GROUP;
  float* dscores = weights + all * GROUP;
  float* logs = slopes + tokens * STRIDE + ATTENTION_WARPS * all * 2 * GROUP;
  float* deltas = logs + tokens;
  int sequence = blockIdx.x / heads, head = blockIdx.x % heads, width = heads * HEAD_;
  size_t before = static_cast<size_t>(sequence) * tokens, before_earlier = static_cast<size_t>(sequence) * prefix;
  const T* own = qkv + before * 3 * width + head * HEAD_;
  const T* first_ones = earlier + before_earlier * 3 * width + head * HEAD_;
  T* down = dqkv + before * 3 * width + head * HEAD_;
  T* down_earlier = dearlier + before_earlier * 3 * width + head * HEAD_;
  fetch_head<HEAD_>(own, 3 * width, scale, queries, tokens);
  fetch_head<HEAD_>(first_ones + width, 3 * width, 1.0f, keys, prefix);
  fetch_head<HEAD_>(first_ones + 2 * width, 3 * width, 1.0f, values, prefix);
  fetch_head<HEAD_>(own + width, 3 * width, 1.0f, keys + prefix * STRIDE, tokens);
  fetch_head<HEAD_>(own + 2 * width, 3 * width, 1.0f, values + prefix * STRIDE, tokens);
  fetch_head<HEAD_>(dout + before * width + head * HEAD_, width, 1.0f, slopes, tokens);
  for (int i = threadIdx.x; i < tokens; i += ATTENTION_WARPS * 32) logs[i] = log_sums[blockIdx.x * tokens + i];
  __syncthreads();

  float s[GROUP], dp[GROUP], mixed[GROUP], delta[GROUP];
  for (int first = warp_id() * GROUP; first < tokens; first += ATTENTION_WARPS * GROUP) {
    int end = keys_seen(min(first + GROUP, tokens) - 1, tokens, prefix, causal);
#pragma unroll
    for (int g = 0; g < GROUP; g++) delta[g] = 0;
    for (int key = lane_id(); key < end; key += 32) {
      dot_group<HEAD_>(keys + key * STRIDE, queries, first, tokens - 1, s);
      dot_group<HEAD_>(values + key * STRIDE, slopes, first, tokens - 1, dp);
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
        int query = min(first + g, tokens - 1);
        s[g] = key < keys_seen(query, tokens, prefix, causal) ? expf(s[g] - logs[query]) : 0;
        delta[g] += s[g] * dp[g];
      }
      store<GROUP>(weights + key * GROUP, s);
      store<GROUP>(dscores + key * GROUP, dp);
    }
    // The sum of a query's weights times the derivatives by them.
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
      delta[g] = warp_sum(delta[g]);
      if (lane_id() == 0 && first + g < tokens) deltas[first + g] = delta[g];
    }
    for (int key = lane_id(); key < end; key += 32) {
      load<GROUP>(weights + key * GROUP, s);
      load<GROUP>(dscores + key * GROUP, dp);
#pragma unroll
      for (int g = 0; g < GROUP; g++) dp[g] = s[g] * (dp[g] - delta[g]);
      store<GROUP>(dscores + key * GROUP, dp);
    }
    __syncwarp();
    for (int d = lane_id(); d < HEAD_; d += 32) {
      mix_group(dscores, keys, STRIDE, d, 0, end, mixed);
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
        if (first + g < tokens) down[static_cast<size_t>(first + g) * 3 * width + d] = from_float<T>(mixed[g] * scale);
      }
    }
    __syncwarp();
  }
  __syncthreads();

  for (int first = warp_id() * GROUP; first < all; first += ATTENTION_WARPS * GROUP) {
    int from = causal ? max(first - prefix, 0) : 0;
    for (int query = from + lane_id(); query < tokens; query += 32) {
      dot_group<HEAD_>(queries + query * STRIDE, keys, first, all - 1, s);
      dot_group<HEAD_>(slopes + query * STRIDE, values, first, all - 1, dp);
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
        s[g] = first + g < keys_seen(query, tokens, prefix, causal) ? expf(s[g] - logs[query]) : 0;
        dp[g] = s[g] * (dp[g] - deltas[query]);
      }
      store<GROUP>(weights + query * GROUP, s);
      store<GROUP>(dscores + query * GROUP, dp);
    }
    __syncwarp();
    for (int d = lane_id(); d < HEAD_; d += 32) {
      float values_too[GROUP];
      mix_group(dscores, queries, STRIDE, d, from, tokens, mixed);
      mix_group(weights, slopes, STRIDE, d, from, tokens, values_too);
#pragma unroll
      for (int g = 0; g < GROUP; g++) {
        int key = first + g;
        if (key < prefix) {
          T* at = down_earlier + static_cast<size_t>(key) * 3 * width + d;
          at[width] = from_float<T>(to_float(at[width]) + mixed[g]);
          at[2 * width] = from_float<T>(to_float(at[2 * width]) + values_too[g]);
        } else if (key < all) {
          T* at = down + static_cast<size_t>(key - prefix) * 3 * width + d;
          at[width] = from_float<T>(mixed[g]);
          at[2 * width] = from_float<T>(values_too[g]);
        }
      }
    }
    __syncwarp();
  }
}

#ifdef WIDTH
KERNEL(ATTENTION_WARPS * 32)
attention(const STORE* qkv, const STORE* earlier, STORE* out, float* log_sums, int tokens, int prefix, int causal, int heads,
          float scale) {
  attention_all<HEAD>(qkv, earlier, out, log_sums, tokens, prefix, causal, heads, scale);
}
KERNEL(ATTENTION_WARPS * 32)
attention_backward(const STORE* qkv, const STORE* earlier, const STORE* dout, const float* log_sums, STORE* dqkv,
                   STORE* dearlier, int tokens, int prefix, int causal, int heads, float scale) {
  attention_backward_all<HEAD>(qkv, earlier, dout, log_sums, dqkv, dearlier, tokens, prefix, causal, heads, scale);
}
#endif
