// Products with few rows, such as a recurrence has at each token: x (rows, inner) with a weight, which is (columns, inner)
// forward and (inner, columns) backward. They are so small that waiting is most of their time, so each loads as much as it
// can before it waits at all.
//
// A block makes a tile of the result, by all summands: large tiles where they are enough to fill a GPU, else small ones.
// Its warps share the summands, SLICE of FEW_WARPS * SLICE each, and have nothing to do with one another until the end:
// each brings its own slices into shared memory, FEW_STAGES of them at a time. A thread adds up 4 x 4 values of the tile. In
// small tiles that leaves lanes, so GROUPS of them share a slice's summands too. At the end all groups' sums are added, in
// their order.
#include "common.cu"

constexpr int FEW_WARPS = 8;
constexpr int FEW_STAGES = 3;
// Sides of the result's tiles.
constexpr int FEW_LARGE_ROWS = 16;
constexpr int FEW_LARGE_COLUMNS = 32;
constexpr int FEW_SMALL_ROWS = 8;
constexpr int FEW_SMALL_COLUMNS = 16;
// Shared memory of a block: every card that we run on has as much.
constexpr int FEW_BYTES = 92160;

// 16 bytes to shared memory, or as many zeros. They are there when `arrived` says so, for this thread alone.
DEVICE void bring(void* to, const void* from, bool there) {
#ifdef __CUDACC_RTC__
  uint32_t at = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(from), "r"(there ? 16 : 0) : "memory");
#else
  emu::bring_late(to, there ? from : nullptr);
#endif
}
// What was brought since the last call of this is one batch.
DEVICE void end_batch() {
#ifdef __CUDACC_RTC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emu::end_late_batch();
#endif
}
// Waits for all batches but the last `OPEN`.
template <int OPEN>
DEVICE void arrived() {
#ifdef __CUDACC_RTC__
  asm volatile("cp.async.wait_group %0;" ::"n"(OPEN) : "memory");
#else
  emu::await_late(OPEN);
#endif
}

// A matrix by rows, in memory.
template <class T>
struct Matrix {
  static constexpr int RUN = 16 / sizeof(T);
  const T* at;
  int rows, columns;
  // Whether a run of 16 bytes never begins in one row and ends in another, nor is badly aligned.
  bool in_runs;

  static DEVICE Matrix of(const T* at, int rows, int columns) {
    return {at, rows, columns, columns % RUN == 0 && reinterpret_cast<size_t>(at) % 16 == 0};
  }

  // A warp brings ROWS x COLUMNS of it, from `row` and `column` on, to rows STRIDE apart; zeros where it has none.
  template <int ROWS, int COLUMNS, int STRIDE>
  DEVICE void bring_part(int row, int column, T* to) const {
    constexpr int RUNS = COLUMNS / RUN, AT_ONCE = 32 / RUNS;
    static_assert(32 % RUNS == 0 && ROWS % AT_ONCE == 0, "all lanes have as much to do");
    int own_row = lane_id() / RUNS, own_column = lane_id() % RUNS * RUN;
    row += own_row;
    column += own_column;
    to += own_row * STRIDE + own_column;
    const T* from = at + static_cast<size_t>(row) * columns + column;
    size_t apart = static_cast<size_t>(AT_ONCE) * columns;
    // Rows that are left to this lane. Of a place past the matrix nothing is read.
    int left = column < columns ? rows - row : 0;
    if (in_runs) {
#pragma unroll
      for (int r = 0; r < ROWS; r += AT_ONCE, from += apart) bring(to + r * STRIDE, from, r < left);
      return;
    }
#pragma unroll 1
    for (int r = 0; r < ROWS; r += AT_ONCE, from += apart) {
#pragma unroll
      for (int e = 0; e < RUN; e++) to[r * STRIDE + e] = r < left && column + e < columns ? from[e] : T{};
    }
  }
};

// How a tile lies in shared memory, and which part of it a lane has. Strides are such that lanes that load at once meet
// different banks.
template <class T, bool LARGE, bool BACK>
struct FewTile {
  static constexpr int ROWS = LARGE ? FEW_LARGE_ROWS : FEW_SMALL_ROWS;
  static constexpr int COLUMNS = LARGE ? FEW_LARGE_COLUMNS : FEW_SMALL_COLUMNS;
  static constexpr int ROW_LANES = ROWS / 4, COLUMN_LANES = COLUMNS / 4;
  static constexpr int GROUPS = 32 / (ROW_LANES * COLUMN_LANES);
  // Summands of a warp at a time.
  static constexpr int SLICE = LARGE ? 16 : 32;
  static constexpr int RUN = Matrix<T>::RUN;
  // Of rows that sums go along, and of those that they go across.
  static constexpr int ALONG = SLICE + (LARGE ? RUN : 2 * RUN), ACROSS = COLUMNS + RUN;
  static constexpr int X = ROWS * ALONG, WEIGHT = BACK ? SLICE * ACROSS : COLUMNS * ALONG;
  static constexpr int STAGE = X + WEIGHT, OF_WARP = FEW_STAGES * STAGE;
  // A group's sums, as floats.
  static constexpr int LINE = COLUMNS + (LARGE ? 8 : 4), PART = ROWS * LINE + (LARGE ? 0 : 8);
  static_assert(FEW_WARPS * OF_WARP * int(sizeof(T)) <= FEW_BYTES, "stages fit");
  static_assert(GROUPS * PART * 4 <= OF_WARP * int(sizeof(T)), "sums fit where the stages were");
  static_assert(OF_WARP * sizeof(T) % 16 == 0 && STAGE * sizeof(T) % 16 == 0 && X * sizeof(T) % 16 == 0, "aligned");

  int row, column, group;

  // Of two lanes that differ in the lowest bit, or in the next, one of the two operands is the same: such loads of 16 bytes
  // take half the time.
  static DEVICE FewTile own() {
    int lane = lane_id(), row = lane & 1, column = lane >> 1 & 3;
    if (!LARGE) return {row, column, lane >> 3};
    return {row | (lane >> 2 & 2), column | (lane >> 2 & 4), 0};
  }
  DEVICE int row_of(int i) const { return row + ROW_LANES * i; }
  DEVICE int column_of(int j) const { return BACK ? 4 * column + j : column + COLUMN_LANES * j; }

  // Adds the products of a slice's summands. With more than two steps at once registers are spilled on sm_100.
  DEVICE void add(const T* x, const T* weight, float (&sums)[4][4]) const {
#pragma unroll 2
    for (int step = 0; step < SLICE / (4 * GROUPS); step++) {
      int first = 4 * (group + GROUPS * step);
      float left[4][4], right[4][4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        load<4>(x + row_of(i) * ALONG + first, left[i]);
        load<4>(BACK ? weight + (first + i) * ACROSS + 4 * column : weight + column_of(i) * ALONG + first, right[i]);
      }
#pragma unroll
      for (int k = 0; k < 4; k++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
#pragma unroll
          for (int j = 0; j < 4; j++) sums[i][j] += left[i][k] * (BACK ? right[k][j] : right[j][k]);
        }
      }
    }
  }
};

// out = x . weight + bias + start, all (rows, columns) but for the bias (columns); null bias or start: none. `start` may lie
// where `out` does.
template <bool LARGE, bool BACK, class T>
DEVICE void few_rows_all(const T* x, const T* weight, const float* bias, const float* start, float* out, int rows, int columns,
                         int inner) {
  using Tile = FewTile<T, LARGE, BACK>;
  constexpr int VALUES = (Tile::ROWS * Tile::COLUMNS + FEW_WARPS * 32 - 1) / (FEW_WARPS * 32);
  SHARED_DYNAMIC(T, shared);
  T* own = shared + warp_id() * Tile::OF_WARP;
  Tile tile = Tile::own();
  int row = blockIdx.y * Tile::ROWS, column = blockIdx.x * Tile::COLUMNS;
  int turns = (inner + FEW_WARPS * Tile::SLICE - 1) / (FEW_WARPS * Tile::SLICE);
  auto left = Matrix<T>::of(x, rows, inner);
  auto right = BACK ? Matrix<T>::of(weight, inner, columns) : Matrix<T>::of(weight, columns, inner);
  auto bring_slice = [&](int turn) {
    int first = (turn * FEW_WARPS + warp_id()) * Tile::SLICE;
    T* to = own + turn % FEW_STAGES * Tile::STAGE;
    if (turn < turns) {
      left.template bring_part<Tile::ROWS, Tile::SLICE, Tile::ALONG>(row, first, to);
      if constexpr (BACK) {
        right.template bring_part<Tile::SLICE, Tile::COLUMNS, Tile::ACROSS>(first, column, to + Tile::X);
      } else {
        right.template bring_part<Tile::COLUMNS, Tile::SLICE, Tile::ALONG>(column, first, to + Tile::X);
      }
    }
    end_batch();
  };
#pragma unroll 1
  for (int turn = 0; turn < FEW_STAGES; turn++) bring_slice(turn);

  // What a thread will add at the end: asked for now, waited for then.
  float of_bias[VALUES], of_start[VALUES];
#pragma unroll
  for (int v = 0; v < VALUES; v++) {
    int value = v * FEW_WARPS * 32 + threadIdx.x, r = row + value / Tile::COLUMNS, c = column + value % Tile::COLUMNS;
    bool there = value < Tile::ROWS * Tile::COLUMNS && r < rows && c < columns;
    of_bias[v] = there && bias ? bias[c] : 0;
    of_start[v] = there && start ? start[static_cast<size_t>(r) * columns + c] : 0;
  }

  float sums[4][4] = {};
  for (int turn = 0; turn < turns; turn++) {
    arrived<FEW_STAGES - 1>();
    __syncwarp();
    const T* stage = own + turn % FEW_STAGES * Tile::STAGE;
    tile.add(stage, stage + Tile::X, sums);
    // Other lanes may still read what the next slice will replace.
    __syncwarp();
    bring_slice(turn + FEW_STAGES);
  }

  float* part = reinterpret_cast<float*>(own) + tile.group * Tile::PART;
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int j = 0; j < 4; j++) part[tile.row_of(i) * Tile::LINE + tile.column_of(j)] = sums[i][j];
  }
  __syncthreads();
#pragma unroll
  for (int v = 0; v < VALUES; v++) {
    int value = v * FEW_WARPS * 32 + threadIdx.x, r = value / Tile::COLUMNS, c = value % Tile::COLUMNS;
    if (value >= Tile::ROWS * Tile::COLUMNS || row + r >= rows || column + c >= columns) continue;
    float total = 0;
#pragma unroll
    for (int w = 0; w < FEW_WARPS; w++) {
      const float* parts = reinterpret_cast<const float*>(shared + w * Tile::OF_WARP) + r * Tile::LINE + c;
#pragma unroll
      for (int g = 0; g < Tile::GROUPS; g++) total += parts[g * Tile::PART];
    }
    out[static_cast<size_t>(row + r) * columns + column + c] = total + of_bias[v] + of_start[v];
  }
}

#ifdef WIDTH
KERNEL(FEW_WARPS * 32) few_rows_large(const STORE* x, const STORE* weight, const float* bias, const float* start, float* out,
                                      int rows, int columns, int inner) {
  few_rows_all<true, false>(x, weight, bias, start, out, rows, columns, inner);
}
KERNEL(FEW_WARPS * 32) few_rows_small(const STORE* x, const STORE* weight, const float* bias, const float* start, float* out,
                                      int rows, int columns, int inner) {
  few_rows_all<false, false>(x, weight, bias, start, out, rows, columns, inner);
}
KERNEL(FEW_WARPS * 32) few_rows_back_large(const STORE* x, const STORE* weight, const float* bias, const float* start,
                                           float* out, int rows, int columns, int inner) {
  few_rows_all<true, true>(x, weight, bias, start, out, rows, columns, inner);
}
KERNEL(FEW_WARPS * 32) few_rows_back_small(const STORE* x, const STORE* weight, const float* bias, const float* start,
                                           float* out, int rows, int columns, int inner) {
  few_rows_all<false, true>(x, weight, bias, start, out, rows, columns, inner);
}
#endif
