// Checks of the kernels that move rows, of read-outs with one column, and of losses.
#pragma once
#include "check.h"
#include "reference.h"

#include "../../kernels/rows.cu"
#include "../../kernels/dots.cu"
#include "../../kernels/losses.cu"

// As many blocks as the numbers need, small ones: the last has threads to spare.
constexpr unsigned FEW = 64;
inline Launch over(int count) { return {{(count + FEW - 1) / FEW}, FEW}; }

template <class Of>
Doubles each(size_t count, Of of) {
  Doubles all(count);
  for (size_t i = 0; i < count; i++) all[i] = of(i);
  return all;
}

inline Doubles numbers_of(const Buffer<float>& x) {
  return each(x.count, [&](int i) { return x[i]; });
}

inline Buffer<int> integers(const std::vector<int>& from) {
  Buffer<int> made(from.size());
  std::copy(from.begin(), from.end(), made.at);
  return made;
}

// What an output has before a kernel updates it.
inline std::function<void()> starting(Buffer<float>& out, const Buffer<float>& start) {
  return [&] { std::memcpy(out.at, start.at, start.count * 4); };
}

inline void check_plain_rows() {
  int count = 231;
  auto x = Buffer<float>::random(count), start = Buffer<float>::random(count);
  Buffer<float> out(count), copy(count);
  Doubles same = numbers_of(x), sum = each(count, [&](int i) { return start[i] + x[i]; });
  in_all_orders("add rows", over(count), [&] { add_rows_all(x.at, out.at, count); }, starting(out, start), out);
  compare("add rows", out, sum, 1e-7);
  in_all_orders("copy rows", over(count), [&] { copy_rows_all(x.at, out.at, count); }, {}, out);
  compare("copy rows", out, same, 0);
  in_all_orders("add and copy rows", over(count), [&] { add_and_copy_rows_all(x.at, out.at, copy.at, count); },
                starting(out, start), out, copy);
  compare("add and copy rows: sum", out, sum, 1e-7);
  compare("add and copy rows: copy", copy, same, 0);
  in_all_orders("fill rows", over(count), [&] { fill_rows_all(out.at, -1.5f, count); }, {}, out);
  compare("fill rows", out, Doubles(count, -1.5), 0);

  int sequences = 3, each_one = 77;
  auto table = Buffer<float>::random(each_one), slope = Buffer<float>::random(each_one);
  Buffer<float> dtable(each_one);
  in_all_orders("add positions", over(count), [&] { add_positions_all(x.at, table.at, out.at, each_one, count); }, {}, out);
  compare("add positions", out, each(count, [&](int i) { return x[i] + table[i % each_one]; }), 1e-7);
  in_all_orders("add positions backward", over(each_one),
                [&] { add_positions_backward_all(x.at, dtable.at, sequences, each_one); }, starting(dtable, slope), dtable);
  Doubles want = numbers_of(slope);
  for (int i = 0; i < count; i++) want[i % each_one] += x[i];
  compare("add positions backward", dtable, want, 1e-6);
}

// A number may come several times, or not at all.
inline void check_looked_up_rows(int entries, int width, const std::vector<int>& listed) {
  int rows = listed.size(), count = rows * width;
  Buffer<float> numbers(rows), out(count), dtable(width * entries);
  std::copy(listed.begin(), listed.end(), numbers.at);
  auto table = Buffer<float>::random(width * entries), start = Buffer<float>::random(width * entries);
  auto d = Buffer<float>::random(count);
  auto at = [&](int i) { return i % width * entries + listed[i / width]; };
  in_all_orders("lookup rows", over(count),
                [&] { lookup_rows_all(numbers.at, table.at, out.at, width, entries, count); }, {}, out);
  compare("lookup rows", out, each(count, [&](int i) { return table[at(i)]; }), 0);
  in_all_orders("lookup rows backward", over(count),
                [&] { lookup_rows_backward_all(numbers.at, d.at, dtable.at, width, entries, count); },
                starting(dtable, start), dtable);
  Doubles want = numbers_of(start);
  for (int i = 0; i < count; i++) want[at(i)] += d[i];
  compare("lookup rows backward", dtable, want, 2e-7);
}

// `reads` rises; rows that aren't read are NaN where they may not be looked at.
inline void check_picked_rows(int sequences, int tokens, int width, const std::vector<int>& listed) {
  int picks = listed.size(), count = sequences * picks * width, all = sequences * tokens * width;
  std::vector<int> places(tokens, -1);
  for (int i = 0; i < picks; i++) places[listed[i]] = i;
  auto reads = integers(listed), picked = integers(places);
  auto x = Buffer<float>::random(all), few = Buffer<float>::random(count), start = Buffer<float>::random(all);
  auto place = [&](int i) { return places[i / width % tokens]; };
  // The number of the few that lies at a number of all.
  auto at = [&](int i) { return (i / (tokens * width) * picks + place(i)) * width + i % width; };
  Doubles want(count);
  for (int i = 0; i < all; i++) {
    if (place(i) < 0) x.at[i] = NAN;
    else want[at(i)] = x[i];
  }
  Buffer<float> got(count), out(all);
  in_all_orders("gather rows", over(count), [&] { gather_rows_all(x.at, reads.at, got.at, tokens, picks, width, count); }, {}, got);
  compare("gather rows", got, want, 0);
  auto scattered = each(all, [&](int i) { return place(i) < 0 ? 0 : few[at(i)]; });
  in_all_orders("scatter rows", over(all),
                [&] { scatter_rows_all(few.at, picked.at, out.at, tokens, picks, width, 0, all); }, {}, out);
  compare("scatter rows", out, scattered, 0);
  in_all_orders("scatter rows, added", over(all),
                [&] { scatter_rows_all(few.at, picked.at, out.at, tokens, picks, width, 1, all); }, starting(out, start), out);
  compare("scatter rows, added", out, each(all, [&](int i) { return start[i] + scattered[i]; }), 1e-7);
}

inline void check_kept_rows(int sequences, int tokens, int width, int from, int to) {
  int count = sequences * tokens * width;
  float lost = -1e30f;
  auto x = Buffer<float>::random(count);
  Buffer<float> out(count);
  auto want = each(count, [&](int i) {
    int token = i / width % tokens;
    return from <= token && token < to ? x[i] : lost;
  });
  // What isn't kept may be anything.
  for (int i = 0; i < count; i++) x.at[i] = want[i] == lost ? NAN : x.at[i];
  in_all_orders("keep rows", over(count), [&] { keep_rows_all(x.at, out.at, tokens, width, from, to, lost, count); }, {}, out);
  std::string range = std::to_string(from) + " to " + std::to_string(to) + " of " + std::to_string(tokens);
  compare("keep rows " + range, out, want, 0);
  in_all_orders("keep rows in place", over(count), [&] { keep_rows_all(out.at, out.at, tokens, width, from, to, lost, count); },
                starting(out, x), out);
  compare("keep rows " + range + ", in place", out, want, 0);
}

inline void check_ordered_rows(int outer, int inner) {
  int width = 5, count = outer * inner * width;
  auto x = Buffer<float>::random(count), start = Buffer<float>::random(count);
  Buffer<float> out(count);
  for (int add : {0, 1}) {
    std::string name = "order rows " + std::to_string(outer) + " x " + std::to_string(inner) + (add ? ", added" : "");
    in_all_orders(name, over(count), [&] { order_rows_all(x.at, out.at, outer, inner, width, add, count); },
                  starting(out, start), out);
    Doubles want(count);
    for (int o = 0; o < outer; o++) {
      for (int n = 0; n < inner; n++) {
        for (int c = 0; c < width; c++) {
          int to = (o * inner + n) * width + c;
          want[to] = (add ? double(start[to]) : 0) + x[(n * outer + o) * width + c];
        }
      }
    }
    compare(name, out, want, add ? 1e-7 : 0);
  }
}

inline void check_moved_columns() {
  int rows = 13, of_x = 11, from = 4, of_out = 9, to = 2, width = 5, count = rows * width;
  // Neither has more than it needs.
  auto x = Buffer<float>::random((rows - 1) * of_x + from + width), start = Buffer<float>::random((rows - 1) * of_out + to + width);
  Buffer<float> out(start.count);
  for (int add : {0, 1}) {
    std::string name = add ? "move columns, added" : "move columns";
    in_all_orders(name, over(count), [&] { move_columns_all(x.at, out.at, of_x, from, of_out, to, width, add, count); },
                  starting(out, start), out);
    compare(name, out, each(start.count, [&](int i) {
              int column = i % of_out - to;
              bool moved = 0 <= column && column < width;
              return (moved && !add ? 0 : start[i]) + (moved ? x[i / of_out * of_x + from + column] : 0);
            }), add ? 1e-7 : 0);
  }
}

// Of one sequence, the rows before the first and its own are one list; row t of the output is number t - by + earlier in it.
inline void check_shifted_rows(int tokens, int by, int earlier, int left) {
  int sequences = 3, width = 5, count = sequences * tokens * width;
  std::string name = "shift rows " + std::to_string(tokens) + " by " + std::to_string(by) + ", " + std::to_string(earlier) +
                     " before, " + std::to_string(left) + " last";
  auto random = [&](int rows) { return Buffer<float>::random(sequences * rows * width); };
  auto x = random(tokens), before = random(earlier), dout = random(tokens), dlast = random(left);
  auto dx_start = random(tokens), dbefore_start = random(earlier);
  Buffer<float> out(count), last(dlast.count), dx(count), dbefore(before.count);
  // As the host does, a place that isn't there is null.
  auto maybe = [](Buffer<float>& buffer) { return buffer.count ? buffer.at : nullptr; };
  in_all_orders(name, over(count), [&] {
    shift_rows_all(x.at, maybe(before), out.at, maybe(last), tokens, width, by, earlier, left, count);
  }, {}, out, last);
  int listed = earlier + tokens, of_list = sequences * listed * width;
  auto list = [&](int s, int row, int c) { return (s * listed + row) * width + c; };
  Doubles all(of_list), dall(of_list), want_out(count), want_last(last.count), want_dx(count), want_dbefore(before.count);
  auto every = [&](int rows, auto visit) {
    for (int s = 0; s < sequences; s++) {
      for (int i = 0; i < rows * width; i++) visit(s * rows * width + i, s, i / width, i % width);
    }
  };
  every(earlier, [&](int i, int s, int row, int c) { all[list(s, row, c)] = before[i]; });
  every(tokens, [&](int i, int s, int row, int c) { all[list(s, earlier + row, c)] = x[i]; });
  // Forward and, transposed, backward.
  every(tokens, [&](int i, int s, int row, int c) {
    int from = row - by + earlier;
    if (from >= 0) want_out[i] = all[list(s, from, c)], dall[list(s, from, c)] += dout[i];
  });
  every(left, [&](int i, int s, int row, int c) {
    int from = listed - left + row;
    want_last[i] = all[list(s, from, c)], dall[list(s, from, c)] += dlast[i];
  });
  every(earlier, [&](int i, int s, int row, int c) { want_dbefore[i] = dbefore_start[i] + dall[list(s, row, c)]; });
  every(tokens, [&](int i, int s, int row, int c) { want_dx[i] = dall[list(s, earlier + row, c)]; });
  compare(name, out, want_out, 0);
  compare(name + ": last", last, want_last, 0);
  for (int add : {0, 1}) {
    in_all_orders(name + " backward", over(count), [&] {
      shift_rows_backward_all(dout.at, maybe(dlast), dx.at, tokens, width, by, left, add, count);
    }, [&] { if (add) std::memcpy(dx.at, dx_start.at, count * 4); }, dx);
    for (int i = 0; i < count; i++) want_dx[i] += add ? dx_start[i] : 0;
    compare(name + (add ? " backward, added" : " backward"), dx, want_dx, 2e-7);
  }
  if (!earlier) return;
  in_all_orders(name + " backward, before", over(before.count), [&] {
    shift_before_backward_all(dout.at, dbefore.at, tokens, width, by, earlier, before.count);
  }, starting(dbefore, dbefore_start), dbefore);
  compare(name + " backward, before", dbefore, want_dbefore, 1e-7);
}

inline void check_rotated_rows() {
  int sequences = 2, tokens = 5, first = 9, heads = 2, head = 6, width = 3 * heads * head, turned = 2 * heads * head;
  int count = sequences * tokens * width;
  auto x = Buffer<float>::random(count);
  // The angle of a number's pair; the table has no position more than is needed.
  auto angle = [&](int position, int pair) { return position * std::pow(10000.0, -2.0 * pair / head); };
  Buffer<float> turns((first + tokens) * head), out(count), back(count);
  for (size_t i = 0; i < turns.count; i += 2) {
    double by = angle(i / head, i % head / 2);
    turns.at[i] = std::cos(by), turns.at[i + 1] = std::sin(by);
  }
  in_all_orders("rotate rows", over(count), [&] {
    rotate_rows_all(x.at, turns.at, out.at, tokens, width, head, turned, first, 0, count);
  }, {}, out);
  in_all_orders("rotate rows back", over(count), [&] {
    rotate_rows_all(out.at, turns.at, back.at, tokens, width, head, turned, first, 1, count);
  }, {}, back);
  Doubles want = numbers_of(x);
  for (int row = 0; row < sequences * tokens; row++) {
    for (int h = 0; h < turned / head; h++) {
      for (int pair = 0; pair < head / 2; pair++) {
        int at = row * width + h * head + 2 * pair;
        double by = angle(first + row % tokens, pair);
        want[at] = std::cos(by) * x[at] - std::sin(by) * x[at + 1];
        want[at + 1] = std::sin(by) * x[at] + std::cos(by) * x[at + 1];
      }
    }
  }
  compare("rotate rows", out, want, 2e-7);
  compare("rotate rows, and back", back, numbers_of(x), 2e-7);
}

// Without `listed` all rows are read.
inline void check_dots(int width, const std::vector<int>& listed, bool with_bias) {
  int sequences = 4, tokens = 5, picks = listed.size(), all = sequences * tokens;
  int rows = picks ? sequences * picks : all, per_block = 5, blocks = (rows + per_block - 1) / per_block;
  std::string name = "dots of " + std::to_string(width) + (picks ? ", picked" : "") + (with_bias ? ", with bias" : "");
  auto reads = integers(listed);
  auto x = Buffer<float>::random(all * width), weight = Buffer<float>::random(width), dy = Buffer<float>::random(rows);
  auto bias = Buffer<float>::random(1, 1, 10), start = Buffer<float>::random(all * width);
  auto row_of = [&](int row) { return picks ? row / picks * tokens + listed[row % picks] : row; };
  std::vector<bool> read(all);
  for (int row = 0; row < rows; row++) read[row_of(row)] = true;
  for (int i = 0; i < all * width; i++) x.at[i] = read[i / width] ? x.at[i] : NAN;
  const int* chosen = picks ? reads.at : nullptr;
  int counted = picks ? tokens : 0;
  Buffer<float> out(rows), dx(all * width), partials(blocks * (width + 1));
  in_all_orders(name, {{unsigned(rows + DOT_WARPS - 1) / DOT_WARPS}, DOT_WARPS * 32}, [&] {
    dot_rows_all(x.at, weight.at, with_bias ? bias.at : nullptr, chosen, out.at, counted, picks, width, rows);
  }, {}, out);
  in_all_orders(name + " backward", {{unsigned(blocks)}, DOT_WARPS * 32}, [&] {
    dot_rows_backward_all(dy.at, x.at, weight.at, chosen, dx.at, partials.at, counted, picks, width, rows, per_block);
  }, starting(dx, start), dx, partials);
  Doubles want(rows, with_bias ? bias[0] : 0), want_dx = numbers_of(start), want_sums(partials.count);
  for (int row = 0; row < rows; row++) {
    double* sums = &want_sums[row / per_block * (width + 1)];
    for (int c = 0; c < width; c++) {
      int at = row_of(row) * width + c;
      want[row] += x[at] * weight[c];
      want_dx[at] += dy[row] * weight[c];
      sums[c] += dy[row] * x[at];
    }
    sums[width] += dy[row];
  }
  compare(name, out, want, 1e-6);
  compare(name + " backward", dx, want_dx, 1e-6);
  compare(name + " backward: weight and bias", partials, want_sums, 1e-6);
}

// By its definition: in f64 nothing here overflows.
inline double loss_of(int kind, const Doubles& p, double y) {
  if (kind == LOSS_SQUARED) return (p[0] - y) * (p[0] - y);
  if (kind == LOSS_LOGISTIC) return std::log1p(std::exp(-y * p[0]));
  double whole = 0;
  for (double value : p) whole += std::exp(value);
  return std::log(whole) - p[int(y)];
}

inline void check_losses(int kind, int width, bool far) {
  const char* kinds[] = {"squared", "logistic", "classes"};
  std::string name = std::string("losses, ") + kinds[kind] + (far ? ", far from zero" : "");
  int rows = 300, loops = 3, all = loops * rows, apart = rows * width + 13;
  unsigned blocks = (rows + LOSS_THREADS - 1) / LOSS_THREADS;
  auto p = Buffer<float>::random(all * width, 2), y = Buffer<float>::random(rows), share = Buffer<float>::random(1, 0, 0.01f);
  float times = 3;
  for (int i = 0; i < all * width && far; i++) p.at[i] = p.at[i] < 0 ? -200 : 200;
  for (int row = 0; row < rows; row++) {
    if (kind == LOSS_LOGISTIC) y.at[row] = y.at[row] < 0 ? -1 : 1;
    if (kind == LOSS_CLASSES) y.at[row] = row % width;
    // A target that is NaN, once with a prediction that is NaN too.
    if (row % 7 == 3) y.at[row] = NAN;
    if (row == 10) p.at[row * width] = NAN;
  }
  // Between two loops' slopes lies what is somebody else's.
  float others = 0.01f;
  int count = (loops - 1) * apart + rows * width;
  Buffer<float> slopes(count), partials(loops * blocks);
  in_all_orders(name, {{blocks, unsigned(loops)}, LOSS_THREADS}, [&] {
    losses_all(p.at, y.at, share.at, slopes.at, partials.at, kind, width, times, rows, apart);
  }, [&] { std::fill_n(slopes.at, count, others); }, slopes, partials);
  Doubles want(count), want_sums(loops * blocks);
  for (int i = 0; i < count; i++) want[i] = i % apart < rows * width ? 0 : others;
  double factor = double(share[0]) * times, step = 1e-4;
  for (int i = 0; i < all; i++) {
    int loop = i / rows, row = i % rows;
    if (std::isnan(y[row])) continue;
    auto own = each(width, [&](int c) { return p[i * width + c]; });
    want_sums[loop * blocks + row / LOSS_THREADS] += factor * loss_of(kind, own, y[row]);
    for (int c = 0; c < width; c++) {
      auto moved = [&](double by) {
        Doubles there = own;
        there[c] += by;
        return loss_of(kind, there, y[row]);
      };
      want[loop * apart + row * width + c] = factor * (moved(step) - moved(-step)) / (2 * step);
    }
  }
  compare(name, partials, want_sums, 1e-6);
  compare(name + ": slopes", slopes, want, 1e-6);
}

inline void check_loss_total(int count) {
  auto x = Buffer<float>::random(count, 1, 1);
  Buffer<float> out(1);
  in_all_orders("loss total", {{1}, LOSS_THREADS}, [&] { loss_total_all(x.at, out.at, count); }, {}, out);
  Doubles want(1);
  for (int i = 0; i < count; i++) want[0] += x[i];
  compare("loss total of " + std::to_string(count), out, want, 1e-6);
}

inline void check_rows_dots_and_losses() {
  check_plain_rows();
  check_looked_up_rows(5, 11, {3, 0, 3, 4, 3, 0, 1});
  check_looked_up_rows(1, 3, {0, 0, 0});
  check_picked_rows(3, 7, 11, {0, 2, 3, 6});
  check_picked_rows(2, 5, 3, {4});
  check_kept_rows(3, 7, 11, 2, 5);
  check_kept_rows(2, 5, 3, 0, 1);
  check_moved_columns();
  for (auto [outer, inner] : {std::pair{7, 3}, {1, 6}, {4, 1}, {5, 5}}) check_ordered_rows(outer, inner);
  check_shifted_rows(7, 3, 0, 0);  // none before
  check_shifted_rows(7, 3, 2, 3);  // fewer before than it moves by
  check_shifted_rows(7, 2, 5, 2);  // more
  check_shifted_rows(3, 5, 4, 3);  // moved by more than there are tokens
  check_rotated_rows();
  check_dots(37, {}, false);
  check_dots(37, {0, 2, 3}, true);
  check_dots(261, {1, 4}, false);
  check_dots(261, {}, true);
  for (bool far : {false, true}) {
    check_losses(LOSS_SQUARED, 1, far);
    check_losses(LOSS_LOGISTIC, 1, far);
    check_losses(LOSS_CLASSES, 5, far);
  }
  check_loss_total(3);
  check_loss_total(700);
}
