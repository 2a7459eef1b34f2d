// Products with few rows against f64.
#pragma once
#include "check.h"
#include "reference.h"

#include "../../kernels/few_rows.cu"

// `off`: the operands begin so many values after a place that is aligned.
template <class T, bool LARGE, bool BACK>
void check_few_rows(int rows, int columns, int inner, bool with_bias, bool in_place, int off = 0) {
  using Tile = FewTile<T, LARGE, BACK>;
  std::string sides = std::to_string(rows) + " x " + std::to_string(columns) + " x " + std::to_string(inner);
  std::string what = std::string(BACK ? " back" : "") + (LARGE ? ", large tiles" : ", small tiles");
  std::string name = named<T>(sides + what + (off ? ", unaligned" : ""));
  auto x = Buffer<T>::random(rows * inner + off), weight = Buffer<T>::random(columns * inner + off);
  auto bias = Buffer<float>::random(columns), start = Buffer<float>::random(rows * columns);
  Buffer<float> out(rows * columns);
  dim3 grid{unsigned(columns + Tile::COLUMNS - 1) / Tile::COLUMNS, unsigned(rows + Tile::ROWS - 1) / Tile::ROWS};
  in_all_orders(name, {grid, FEW_WARPS * 32, FEW_BYTES}, [&] {
    few_rows_all<LARGE, BACK>(x.at + off, weight.at + off, with_bias ? bias.at : nullptr, in_place ? out.at : nullptr, out.at,
                              rows, columns, inner);
  }, [&] { if (in_place) std::memcpy(out.at, start.at, start.count * 4); }, out);
  Doubles want(rows * columns);
  for (int r = 0; r < rows; r++) {
    for (int c = 0; c < columns; c++) {
      double sum = (with_bias ? bias[c] : 0) + (in_place ? start[r * columns + c] : 0);
      for (int k = 0; k < inner; k++) sum += x[off + r * inner + k] * weight[off + (BACK ? k * columns + c : c * inner + k)];
      want[r * columns + c] = sum;
    }
  }
  compare(name, out, want, 1e-6);
}

template <class T, bool LARGE>
void check_few_rows_both_ways() {
  check_few_rows<T, LARGE, false>(16, 64, 256, false, true);
  check_few_rows<T, LARGE, true>(16, 32, 264, false, true);
  // Tiles that end past the matrix, more summands than fit at once, and few.
  check_few_rows<T, LARGE, false>(19, 40, 1000, true, true);
  check_few_rows<T, LARGE, true>(21, 56, 1016, false, false);
  check_few_rows<T, LARGE, false>(3, 8, 8, true, false);
  check_few_rows<T, LARGE, true>(1, 8, 3, true, true);
  // Rows that don't begin at 16 bytes, or a place that doesn't.
  check_few_rows<T, LARGE, false>(5, 33, 37, false, true);
  check_few_rows<T, LARGE, true>(5, 7, 28, false, true);
  check_few_rows<T, LARGE, true>(2, 1, 1, true, false);
  check_few_rows<T, LARGE, false>(17, 24, 40, false, true, 1);
  check_few_rows<T, LARGE, true>(9, 24, 40, false, true, 2);
}

inline void check_products_with_few_rows() {
  check_few_rows_both_ways<float, true>();
  check_few_rows_both_ways<float, false>();
  check_few_rows_both_ways<bf16, true>();
  check_few_rows_both_ways<bf16, false>();
}
