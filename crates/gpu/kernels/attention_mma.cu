// Causal self-attention as in attention.cu, by the tensor cores: bf16 with HEAD a multiple of 16, or floats cut to tf32 with
// HEAD a multiple of 8. One block of threads for each head of each sequence; a warp takes a tile of 16 queries (or keys,
// backward) and goes through tiles of 16 keys (or queries). Scores, softmax and sums are floats; weights and their derivatives
// are rounded for the products.
//
// Of a product's tiles, lane 4 g + t holds of the left (16 rows) rows g and g + 8, of the right (8 columns) column g, of the
// result (16 x 8) rows g and g + 8 and columns 2 t and 2 t + 1. Which of the 8 or 16 summands a lane holds is the
// instruction's matter for bf16; for tf32 we give each lane the neighbours 2 t and 2 t + 1, as the order of a sum is free.
#include "common.cu"

constexpr int MMA_WARPS = 4;
constexpr float LOG2_E = 1.4426950408889634f;
constexpr float LN_2 = 0.6931471805599453f;

// Rows rounded up to whole tiles.
constexpr int mma_rows(int tokens) { return (tokens + 15) / 16 * 16; }

// A lane's part of a left operand (16 x STEP).
typedef uint32_t Left[4];

#ifdef __CUDACC_RTC__
DEVICE void mma(float (&d)[4], const Left& a, uint32_t b_0, uint32_t b_1, bf16) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_0), "r"(b_1));
}
DEVICE void mma(float (&d)[4], const Left& a, uint32_t b_0, uint32_t b_1, float) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_0), "r"(b_1));
}
#else
DEVICE void mma(float (&d)[4], const Left& a, uint32_t b_0, uint32_t b_1, bf16) { emu::mma16816(d, a, b_0, b_1); }
DEVICE void mma(float (&d)[4], const Left& a, uint32_t b_0, uint32_t b_1, float) { emu::mma1688(d, a, b_0, b_1); }
#endif

// Two neighbours as bf16 in one word, and a float rounded to tf32.
DEVICE uint32_t pair(float low, float high) {
#ifdef __CUDACC_RTC__
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
#else
  return from_float<bf16>(low).bits | static_cast<uint32_t>(from_float<bf16>(high).bits) << 16;
#endif
}
DEVICE float to_tf32(float x) {
#ifdef __CUDACC_RTC__
  uint32_t cut;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(cut) : "f"(x));
  return __uint_as_float(cut);
#else
  return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u);
#endif
}
DEVICE bf16 to_operand(bf16 x) { return x; }
DEVICE float to_operand(float x) { return to_tf32(x); }

// Two neighbours of a row that sums go along: one summand after the other.
struct Two {
  uint32_t first, second;
};
DEVICE Two two(const float* at) {
  Pack<float, 2> pack = *reinterpret_cast<const Pack<float, 2>*>(at);
  return {__float_as_uint(pack.at[0]), __float_as_uint(pack.at[1])};
}
DEVICE uint32_t word(const bf16* at) { return *reinterpret_cast<const uint32_t*>(at); }

// Of tiles that cost the more the earlier they come, the one that this warp takes in its `turn`-th turn: to and fro over the
// warps (the other way round if `backward`), so that all have about as much to do. Not less than their number: none is left.
DEVICE int tile_of_turn(int turn, bool backward) {
  int own = (turn % 2 != 0) != backward ? MMA_WARPS - 1 - warp_id() : warp_id();
  return turn * MMA_WARPS + own;
}

// The largest, or the sum, over the four lanes that share a row.
DEVICE float quad_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 1));
  return fmaxf(x, __shfl_xor_sync(ALL_LANES, x, 2));
}
DEVICE float quad_sum(float x) {
  x += __shfl_xor_sync(ALL_LANES, x, 1);
  return x + __shfl_xor_sync(ALL_LANES, x, 2);
}

// A matrix (padded, HEAD) in shared memory, as products along its rows and along its columns want it.
//
// Rows are longer by a few values, so that the 32 lanes of a load meet all 32 banks. bf16 packs two summands in a word, so
// sums down a column need a transposed copy, `across` (HEAD, padded); floats don't.
template <int HEAD_, class T>
struct Tiles;

template <int HEAD_>
struct Tiles<HEAD_, bf16> {
  static constexpr int STEPS = HEAD_ / 16;  // of summands along a row
  static constexpr int STRIDE = HEAD_ + 8;
  bf16* rows;
  bf16* across;
  int padded;

  // The values it takes with and without sums along rows and down columns.
  static constexpr DEVICE int size(int padded, bool along, bool down) {
    return (along ? padded * STRIDE : 0) + (down ? HEAD_ * (padded + 8) : 0);
  }
  static DEVICE Tiles at(bf16*& free, int padded, bool along, bool down) {
    bf16* start = free;
    free += size(padded, along, down);
    return {along ? start : nullptr, down ? start + (along ? padded * STRIDE : 0) : nullptr, padded};
  }
  // Whether neighbouring threads should put neighbouring rows: transposed, these share words and meet all banks.
  DEVICE bool rows_first() const { return across != nullptr; }
  DEVICE void put(int row, int column, const Pack<bf16, 8>& part) {
    if (rows) *reinterpret_cast<Pack<bf16, 8>*>(rows + row * STRIDE + column) = part;
    if (across) {
#pragma unroll
      for (int j = 0; j < 8; j++) across[(column + j) * (padded + 8) + row] = part.at[j];
    }
  }
  // Left operand: 16 rows from `first` on, summands along them.
  DEVICE void left(int first, Left (&tile)[STEPS]) const {
    int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
    for (int k = 0; k < STEPS; k++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        tile[k][i] = word(rows + (first + g + i % 2 * 8) * STRIDE + 16 * k + 2 * t + i / 2 * 8);
      }
    }
  }
  // sums (16 x 8) = the tile times 8 rows from `first` on.
  DEVICE void along(const Left (&tile)[STEPS], int first, float (&sums)[4]) const {
    int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
    for (int i = 0; i < 4; i++) sums[i] = 0;
#pragma unroll
    for (int k = 0; k < STEPS; k++) {
      const bf16* at = rows + (first + g) * STRIDE + 16 * k + 2 * t;
      mma(sums, tile[k], word(at), word(at + 8), bf16());
    }
  }
  // out (16 x HEAD) += weights (16 x 16) times 16 rows from `first` on.
  DEVICE void down(const float (&weights)[2][4], int first, float (&out)[HEAD_ / 8][4]) const {
    int g = lane_id() / 4, t = lane_id() % 4;
    Left left = {pair(weights[0][0], weights[0][1]), pair(weights[0][2], weights[0][3]), pair(weights[1][0], weights[1][1]),
                 pair(weights[1][2], weights[1][3])};
#pragma unroll
    for (int d = 0; d < HEAD_ / 8; d++) {
      const bf16* at = across + (8 * d + g) * (padded + 8) + first + 2 * t;
      mma(out[d], left, word(at), word(at + 8), bf16());
    }
  }
};

template <int HEAD_>
struct Tiles<HEAD_, float> {
  static constexpr int STEPS = HEAD_ / 8;
  static constexpr int STRIDE = HEAD_ + 4;
  float* rows;

  static constexpr DEVICE int size(int padded, bool, bool) { return padded * STRIDE; }
  static DEVICE Tiles at(float*& free, int padded, bool along, bool down) {
    float* start = free;
    free += size(padded, along, down);
    return {start};
  }
  DEVICE bool rows_first() const { return false; }
  DEVICE void put(int row, int column, const Pack<float, 4>& part) {
    *reinterpret_cast<Pack<float, 4>*>(rows + row * STRIDE + column) = part;
  }
  DEVICE void left(int first, Left (&tile)[STEPS]) const {
    int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
    for (int k = 0; k < STEPS; k++) {
      Two upper = two(rows + (first + g) * STRIDE + 8 * k + 2 * t), lower = two(rows + (first + g + 8) * STRIDE + 8 * k + 2 * t);
      tile[k][0] = upper.first, tile[k][1] = lower.first, tile[k][2] = upper.second, tile[k][3] = lower.second;
    }
  }
  DEVICE void along(const Left (&tile)[STEPS], int first, float (&sums)[4]) const {
    int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
    for (int i = 0; i < 4; i++) sums[i] = 0;
#pragma unroll
    for (int k = 0; k < STEPS; k++) {
      Two right = two(rows + (first + g) * STRIDE + 8 * k + 2 * t);
      mma(sums, tile[k], right.first, right.second, 0.0f);
    }
  }
  DEVICE void down(const float (&weights)[2][4], int first, float (&out)[HEAD_ / 8][4]) const {
    int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
    for (int n = 0; n < 2; n++) {
      // Each lane's result columns 2 t and 2 t + 1 are the summands it hands in.
      Left left = {__float_as_uint(to_tf32(weights[n][0])), __float_as_uint(to_tf32(weights[n][2])),
                   __float_as_uint(to_tf32(weights[n][1])), __float_as_uint(to_tf32(weights[n][3]))};
      const float* at = rows + (first + 8 * n + 2 * t) * STRIDE + g;
#pragma unroll
      for (int d = 0; d < HEAD_ / 8; d++) {
        mma(out[d], left, __float_as_uint(at[8 * d]), __float_as_uint(at[STRIDE + 8 * d]), 0.0f);
      }
    }
  }
};

// Fills tiles with a matrix (tokens, HEAD) whose rows are `stride` apart; rows up to `padded` are 0.
template <int HEAD_, class T>
DEVICE void fetch_tiles(const T* from, int stride, Tiles<HEAD_, T> to, int tokens, int padded) {
  constexpr int N = 16 / sizeof(T);
  for (int i = threadIdx.x; i < padded * (HEAD_ / N); i += MMA_WARPS * 32) {
    int row = to.rows_first() ? i % padded : i / (HEAD_ / N);
    int column = (to.rows_first() ? i / padded : i % (HEAD_ / N)) * N;
    Pack<T, N> part = {};
    if (row < tokens) part = *reinterpret_cast<const Pack<T, N>*>(from + static_cast<size_t>(row) * stride + column);
#pragma unroll
    for (int j = 0; j < N; j++) part.at[j] = to_operand(part.at[j]);
    to.put(row, column, part);
  }
}

// Writes 16 rows (HEAD) from `first` on, those before `tokens`: rows g times `upper`, rows g + 8 times `lower`.
template <int HEAD_, class T>
DEVICE void write_tile(const float (&tile)[HEAD_ / 8][4], float upper, float lower, T* to, size_t stride, int first, int tokens) {
  int g = lane_id() / 4, t = lane_id() % 4;
#pragma unroll
  for (int d = 0; d < HEAD_ / 8; d++) {
    float above[2] = {tile[d][0] * upper, tile[d][1] * upper}, below[2] = {tile[d][2] * lower, tile[d][3] * lower};
    if (first + g < tokens) store<2>(to + (first + g) * stride + 8 * d + 2 * t, above);
    if (first + g + 8 < tokens) store<2>(to + (first + g + 8) * stride + 8 * d + 2 * t, below);
  }
}

// Bytes of shared memory that a block needs.
template <int HEAD_, class T>
constexpr DEVICE int mma_bytes(int tokens) {
  int rows = mma_rows(tokens);
  return sizeof(T) * (2 * Tiles<HEAD_, T>::size(rows, true, false) + Tiles<HEAD_, T>::size(rows, false, true));
}
template <int HEAD_, class T>
constexpr DEVICE int mma_backward_bytes(int tokens) {
  int rows = mma_rows(tokens);
  return sizeof(T) * (3 * Tiles<HEAD_, T>::size(rows, true, true) + Tiles<HEAD_, T>::size(rows, true, false)) + 8 * rows;
}

template <int HEAD_, class T>
DEVICE void attention_mma_all(const T* qkv, T* out, float* log_sums, int tokens, int heads, float scale) {
  typedef Tiles<HEAD_, T> Matrix;
  int padded = mma_rows(tokens), width = heads * HEAD_;
  SHARED_DYNAMIC(T, shared);
  Matrix queries = Matrix::at(shared, padded, true, false), keys = Matrix::at(shared, padded, true, false),
         values = Matrix::at(shared, padded, false, true);
  int sequence = blockIdx.x / heads, head = blockIdx.x % heads;
  size_t before = static_cast<size_t>(sequence) * tokens;
  const T* own = qkv + before * 3 * width + head * HEAD_;
  fetch_tiles(own, 3 * width, queries, tokens, padded);
  fetch_tiles(own + width, 3 * width, keys, tokens, padded);
  fetch_tiles(own + 2 * width, 3 * width, values, tokens, padded);
  __syncthreads();

  int g = lane_id() / 4, t = lane_id() % 4;
  float factor = scale * LOG2_E;
  // The last tiles, which meet the most keys, first.
  for (int turn = 0, tile = 0; (tile = tile_of_turn(turn, false)) < padded / 16; turn++) {
    int first = padded - 16 - 16 * tile;
    Left query[Matrix::STEPS];
    queries.left(first, query);
    float mixed[HEAD_ / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, sum[2] = {0, 0};
    for (int from = 0; from <= first; from += 16) {
      float s[2][4];
#pragma unroll
      for (int n = 0; n < 2; n++) keys.along(query, from + 8 * n, s[n]);
      float now[2] = {top[0], top[1]};
#pragma unroll
      for (int i = 0; i < 8; i++) {
        int half = i % 4 / 2, key = from + 8 * (i / 4) + 2 * t + i % 2;
        s[i / 4][i % 4] = key <= first + g + 8 * half ? s[i / 4][i % 4] * factor : -INFINITY;
        now[half] = fmaxf(now[half], s[i / 4][i % 4]);
      }
#pragma unroll
      for (int half = 0; half < 2; half++) {
        now[half] = quad_max(now[half]);
        float fade = exp2f(top[half] - now[half]);
        top[half] = now[half];
        sum[half] *= fade;
#pragma unroll
        for (int d = 0; d < HEAD_ / 8; d++) mixed[d][2 * half] *= fade, mixed[d][2 * half + 1] *= fade;
      }
#pragma unroll
      for (int i = 0; i < 8; i++) {
        int half = i % 4 / 2;
        s[i / 4][i % 4] = exp2f(s[i / 4][i % 4] - top[half]);
        sum[half] += s[i / 4][i % 4];
      }
      values.down(s, from, mixed);
    }
    sum[0] = quad_sum(sum[0]), sum[1] = quad_sum(sum[1]);
    write_tile<HEAD_>(mixed, 1 / sum[0], 1 / sum[1], out + before * width + head * HEAD_, width, first, tokens);
    if (t == 0) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        int row = first + g + 8 * half;
        if (row < tokens) log_sums[blockIdx.x * tokens + row] = top[half] * LN_2 + logf(sum[half]);
      }
    }
  }
}

// The derivative by qkv, of dout by the output `out`; dqkv may be qkv.
template <int HEAD_, class T>
DEVICE void attention_mma_backward_all(const T* qkv, const T* out, const T* dout, const float* log_sums, T* dqkv, int tokens,
                                       int heads, float scale) {
  typedef Tiles<HEAD_, T> Matrix;
  int padded = mma_rows(tokens), width = heads * HEAD_;
  SHARED_DYNAMIC(T, shared);
  Matrix queries = Matrix::at(shared, padded, true, true), keys = Matrix::at(shared, padded, true, true),
         values = Matrix::at(shared, padded, true, false), slopes = Matrix::at(shared, padded, true, true);
  float* logs = reinterpret_cast<float*>(shared);
  float* deltas = logs + padded;
  int sequence = blockIdx.x / heads, head = blockIdx.x % heads;
  size_t before = static_cast<size_t>(sequence) * tokens, stride = 3 * width;
  const T* own = qkv + before * stride + head * HEAD_;
  T* down = dqkv + before * stride + head * HEAD_;
  const T* own_out = out + before * width + head * HEAD_;
  const T* own_slopes = dout + before * width + head * HEAD_;
  fetch_tiles(own, 3 * width, queries, tokens, padded);
  fetch_tiles(own + width, 3 * width, keys, tokens, padded);
  fetch_tiles(own + 2 * width, 3 * width, values, tokens, padded);
  fetch_tiles(own_slopes, width, slopes, tokens, padded);
  // delta = the sum of a query's weights times the derivatives by them. Of padding, all is 0.
  constexpr int N = 16 / sizeof(T);
  for (int row = threadIdx.x; row < padded; row += MMA_WARPS * 32) {
    float sum = 0;
#pragma unroll
    for (int d = 0; d < HEAD_; d += N) {
      if (row < tokens) {
        float x[N], dx[N];
        load<N>(own_out + static_cast<size_t>(row) * width + d, x);
        load<N>(own_slopes + static_cast<size_t>(row) * width + d, dx);
#pragma unroll
        for (int j = 0; j < N; j++) sum += x[j] * dx[j];
      }
    }
    deltas[row] = sum;
    logs[row] = row < tokens ? log_sums[blockIdx.x * tokens + row] * LOG2_E : 0;
  }
  __syncthreads();

  int g = lane_id() / 4, t = lane_id() % 4;
  float factor = scale * LOG2_E, s[2][4], ds[2][4];
  // By the queries: a tile of them, through the tiles of keys before.
  for (int turn = 0, tile = 0; (tile = tile_of_turn(turn, false)) < padded / 16; turn++) {
    int first = padded - 16 - 16 * tile;
    Left query[Matrix::STEPS], slope[Matrix::STEPS];
    queries.left(first, query);
    slopes.left(first, slope);
    float dquery[HEAD_ / 8][4] = {};
    for (int from = 0; from <= first; from += 16) {
#pragma unroll
      for (int n = 0; n < 2; n++) keys.along(query, from + 8 * n, s[n]), values.along(slope, from + 8 * n, ds[n]);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        int row = first + g + i % 4 / 2 * 8, key = from + 8 * (i / 4) + 2 * t + i % 2;
        float p = key <= row ? exp2f(s[i / 4][i % 4] * factor - logs[row]) : 0;
        ds[i / 4][i % 4] = p * (ds[i / 4][i % 4] - deltas[row]);
      }
      keys.down(ds, from, dquery);
    }
    write_tile<HEAD_>(dquery, scale, scale, down, stride, first, tokens);
  }
  // By keys and values: a tile of them, through the tiles of queries after. Scores are transposed: (keys, queries).
  for (int turn = 0, tile = 0; (tile = tile_of_turn(turn, true)) < padded / 16; turn++) {
    int first = 16 * tile;
    Left key[Matrix::STEPS], value[Matrix::STEPS];
    keys.left(first, key);
    values.left(first, value);
    float dkey[HEAD_ / 8][4] = {}, dvalue[HEAD_ / 8][4] = {};
    for (int from = first; from < padded; from += 16) {
#pragma unroll
      for (int n = 0; n < 2; n++) queries.along(key, from + 8 * n, s[n]), slopes.along(value, from + 8 * n, ds[n]);
#pragma unroll
      for (int i = 0; i < 8; i++) {
        int row = first + g + i % 4 / 2 * 8, query = from + 8 * (i / 4) + 2 * t + i % 2;
        s[i / 4][i % 4] = row <= query ? exp2f(s[i / 4][i % 4] * factor - logs[query]) : 0;
        ds[i / 4][i % 4] = s[i / 4][i % 4] * (ds[i / 4][i % 4] - deltas[query]);
      }
      slopes.down(s, from, dvalue);
      queries.down(ds, from, dkey);
    }
    write_tile<HEAD_>(dkey, scale, scale, down + width, stride, first, tokens);
    write_tile<HEAD_>(dvalue, 1, 1, down + 2 * width, stride, first, tokens);
  }
}

#if defined(WIDTH) && HEAD % 16 == 0
KERNEL(MMA_WARPS * 32)
attention_mma(const STORE* qkv, STORE* out, float* log_sums, int tokens, int heads, float scale) {
  attention_mma_all<HEAD>(qkv, out, log_sums, tokens, heads, scale);
}
KERNEL(MMA_WARPS * 32)
attention_mma_backward(const STORE* qkv, const STORE* out, const STORE* dout, const float* log_sums, STORE* dqkv, int tokens,
                       int heads, float scale) {
  attention_mma_backward_all<HEAD>(qkv, out, dout, log_sums, dqkv, tokens, heads, scale);
}
#endif
