// Every kernel against f64 on the CPU, in three thread orders. `kernels barrier` and `kernels over-read` plant a fault that
// must be found.
#include "check.h"
#include "reference.h"

#include "../../kernels/norm.cu"
#include "../../kernels/between_loops.cu"
#include "../../kernels/gelu.cu"
#include "../../kernels/column_sums.cu"
#include "../../kernels/adam.cu"
#include "../../kernels/attention.cu"
#include "../../kernels/attention_mma.cu"
#include "../../kernels/scan.cu"
#include "few_rows.h"
#include "rows.h"

constexpr float EPS = 1e-5f;

template <int WIDTH, class T>
void check_norm(int rows, bool rms) {
  std::string name = named<T>((rms ? "rms norm " : "layer norm ") + std::to_string(WIDTH));
  auto x = Buffer<float>::random(rows * WIDTH, 2, 1), residual = Buffer<float>::random(rows * WIDTH);
  auto weight = Buffer<float>::random(WIDTH), bias = Buffer<float>::random(WIDTH), dy = Buffer<float>::random(rows * WIDTH);
  auto first_weight = Buffer<float>::random(WIDTH), first_bias = Buffer<float>::random(WIDTH);
  Buffer<float> sum(rows * WIDTH), dx(rows * WIDTH), z(rows * WIDTH), z_sum(rows * WIDTH), total(rows * WIDTH);
  Buffer<T> y(rows * WIDTH), low(rows * WIDTH), z_y(rows * WIDTH);
  in_all_orders(name, {{unsigned(rows + NORM_WARPS - 1) / NORM_WARPS}, NORM_WARPS * 32}, [&] {
    add_norm_rows<WIDTH>(x.at, residual.at, weight.at, rms ? nullptr : bias.at, sum.at, y.at, rows, rms, EPS);
  }, {}, sum, y);
  // The first norm is of the other kind, and its input's place gets the sum.
  in_all_orders(name + " after another", {{unsigned(rows + NORM_WARPS - 1) / NORM_WARPS}, NORM_WARPS * 32}, [&] {
    norm_add_norm_rows<WIDTH>(z_sum.at, first_weight.at, rms ? first_bias.at : nullptr, z.at, residual.at, weight.at,
                              rms ? nullptr : bias.at, z_sum.at, z_y.at, rows, !rms, rms, EPS);
  }, [&] { std::memcpy(z_sum.at, x.at, x.count * 4); }, z, z_sum, z_y);
  unsigned blocks = 2;
  Buffer<float> partials(blocks * 2 * WIDTH);
  in_all_orders(name + " backward", {{blocks}, NORM_WARPS * 32}, [&] {
    norm_backward_rows<WIDTH>(dy.at, x.at, weight.at, residual.at, dx.at, low.at, total.at, partials.at, rows, rms, EPS);
  }, [&] { std::memcpy(total.at, dy.at, dy.count * 4); }, dx, low, total, partials);

  Doubles want_sum, want_y, want_dx, want_total, want_dw(WIDTH), want_db(WIDTH), want_z, want_z_sum, want_z_y;
  for (int r = 0; r < rows; r++) {
    Doubles value(WIDTH), with(WIDTH), g(WIDTH);
    for (int c = 0; c < WIDTH; c++) value[c] = x[r * WIDTH + c], with[c] = value[c] + residual[r * WIDTH + c];
    Norm norm = norm_of(with.data(), WIDTH, rms, EPS);
    for (int c = 0; c < WIDTH; c++) {
      want_sum.push_back(with[c]);
      want_y.push_back(norm.unit[c] * weight[c] + (rms ? 0 : bias[c]));
    }
    norm = norm_of(value.data(), WIDTH, !rms, EPS);
    for (int c = 0; c < WIDTH; c++) {
      double first = norm.unit[c] * first_weight[c] + (rms ? first_bias[c] : 0);
      want_z.push_back(first);
      want_z_sum.push_back(with[c] = first + residual[r * WIDTH + c]);
    }
    norm = norm_of(with.data(), WIDTH, rms, EPS);
    for (int c = 0; c < WIDTH; c++) want_z_y.push_back(norm.unit[c] * weight[c] + (rms ? 0 : bias[c]));
    norm = norm_of(value.data(), WIDTH, rms, EPS);
    for (int c = 0; c < WIDTH; c++) {
      double slope = dy[r * WIDTH + c];
      g[c] = slope * weight[c];
      want_dw[c] += slope * norm.unit[c];
      want_db[c] += slope;
    }
    Doubles d = norm_back(g, norm, rms);
    for (int c = 0; c < WIDTH; c++) {
      want_dx.push_back(d[c] + residual[r * WIDTH + c]);
      want_total.push_back(want_dx.back() + dy[r * WIDTH + c]);
    }
  }
  compare(name + ": x + residual", sum, want_sum, 1e-7);
  compare(name, y, want_y, tolerance<T>(1e-6));
  compare(name + " after another: the first", z, want_z, 1e-6);
  compare(name + " after another: the sum", z_sum, want_z_sum, 1e-6);
  compare(name + " after another", z_y, want_z_y, tolerance<T>(2e-6));
  compare(name + " backward", dx, want_dx, 1e-6);
  compare(name + " backward, added", total, want_total, 1e-6);
  compare(name + " backward, as stored", low, want_dx, tolerance<T>(1e-6));
  Buffer<float> dw(WIDTH), db(WIDTH);
  for (int c = 0; c < WIDTH; c++) {
    dw.at[c] = db.at[c] = 0;
    for (unsigned b = 0; b < blocks; b++) {
      dw.at[c] += partials.at[b * 2 * WIDTH + c];
      db.at[c] += partials.at[b * 2 * WIDTH + WIDTH + c];
    }
  }
  compare(name + ": weight", dw, want_dw, 1e-6);
  compare(name + ": bias", db, want_db, 1e-6);
}

template <int WIDTH, class T>
void check_between_loops(int sequences, int tokens) {
  std::string name = named<T>("between loops " + std::to_string(WIDTH));
  int rows = sequences * tokens, points = (tokens + 1) / 2;
  auto wide = [&](float scale = 1) { return Buffer<float>::random(rows * WIDTH, scale); };
  auto line = [&] { return Buffer<float>::random(WIDTH); };
  auto y = wide(3), input = wide(), x1 = wide(2), dn = wide(), residual = wide(), dinput = wide();
  auto fw = line(), fb = line(), rw = line(), nw = line(), nb = line();
  auto rb = Buffer<float>::random(1), targets = Buffer<float>::random(sequences * points);
  Buffer<float> predictions(sequences * points), x(rows * WIDTH), dy(rows * WIDTH);
  Buffer<T> n(rows * WIDTH), low(rows * WIDTH);
  Launch over{{unsigned(rows + LOOP_WARPS - 1) / LOOP_WARPS}, LOOP_WARPS * 32};
  in_all_orders(name, over, [&] {
    enter_rows<WIDTH>(y.at, fw.at, fb.at, rw.at, rb.at, predictions.at, input.at, x.at, nw.at, nb.at, n.at, rows, tokens, EPS);
  }, {}, predictions, x, n);

  Doubles want_p, want_x, want_n, z_all;
  auto row_of = [&](const Buffer<float>& m, int r) {
    Doubles row(WIDTH);
    for (int c = 0; c < WIDTH; c++) row[c] = m[r * WIDTH + c];
    return row;
  };
  for (int r = 0; r < rows; r++) {
    Norm norm = norm_of(row_of(y, r).data(), WIDTH, false, EPS);
    Doubles z(WIDTH);
    double p = rb[0];
    for (int c = 0; c < WIDTH; c++) z[c] = norm.unit[c] * fw[c] + fb[c], p += z[c] * rw[c];
    if (r % tokens % 2 == 0) want_p.push_back(p);
    z_all.insert(z_all.end(), z.begin(), z.end());
    for (int c = 0; c < WIDTH; c++) z[c] += input[r * WIDTH + c];
    want_x.insert(want_x.end(), z.begin(), z.end());
    norm = norm_of(z.data(), WIDTH, false, EPS);
    for (int c = 0; c < WIDTH; c++) want_n.push_back(norm.unit[c] * nw[c] + nb[c]);
  }
  compare(name + ": predictions", predictions, want_p, 1e-6);
  compare(name + ": next input", x, want_x, 1e-6);
  compare(name + ": its norm", n, want_n, tolerance<T>(2e-6));

  Buffer<float> first_x(rows * WIDTH);
  Buffer<T> first_n(rows * WIDTH);
  in_all_orders(name + ", first", over, [&] {
    enter_rows<WIDTH, T>(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, input.at, first_x.at, nw.at, nb.at, first_n.at,
                         rows, tokens, EPS);
  }, {}, first_x, first_n);
  Doubles want_first;
  for (size_t i = 0; i < input.count; i++) want_first.push_back(input[i]);
  compare(name + ": before the first loop", first_x, want_first, 0);
  Buffer<float> last(sequences * points);
  in_all_orders(name + ", last", over, [&] {
    enter_rows<WIDTH, T>(y.at, fw.at, fb.at, rw.at, rb.at, last.at, nullptr, nullptr, nullptr, nullptr, nullptr, rows, tokens, EPS);
  }, {}, last);
  compare(name + ": predictions of the last loop", last, want_p, 1e-6);

  // Backward, in the middle of a window.
  unsigned blocks = 2;
  float share = 0.01f;
  Buffer<float> partials(blocks * 5 * WIDTH), total(dinput);
  in_all_orders(name + " backward", {{blocks}, LOOP_WARPS * 32}, [&] {
    leave_rows<WIDTH>(dn.at, x1.at, nw.at, residual.at, total.at, 0, y.at, fw.at, fb.at, rw.at, predictions.at, targets.at, share,
                      dy.at, low.at, partials.at, rows, tokens, EPS);
  }, [&] { std::memcpy(total.at, dinput.at, dinput.count * 4); }, dy, low, partials, total);
  Doubles want_total, want_dy, want_sums(5 * WIDTH);
  for (int r = 0; r < rows; r++) {
    Norm norm = norm_of(row_of(x1, r).data(), WIDTH, false, EPS);
    Doubles slope = row_of(dn, r), g(WIDTH);
    for (int c = 0; c < WIDTH; c++) {
      g[c] = slope[c] * nw[c];
      want_sums[c] += slope[c] * norm.unit[c];
      want_sums[WIDTH + c] += slope[c];
    }
    Doubles d = norm_back(g, norm, false);
    for (int c = 0; c < WIDTH; c++) d[c] += residual[r * WIDTH + c], want_total.push_back(dinput[r * WIDTH + c] + d[c]);
    int token = r % tokens, point = r / tokens * points + token / 2;
    double by_prediction = token % 2 ? 0 : double(share) * (predictions[point] - targets[point]);
    norm = norm_of(row_of(y, r).data(), WIDTH, false, EPS);
    for (int c = 0; c < WIDTH; c++) {
      d[c] += by_prediction * rw[c];
      want_sums[4 * WIDTH + c] += by_prediction * z_all[r * WIDTH + c];
      want_sums[2 * WIDTH + c] += d[c] * norm.unit[c];
      want_sums[3 * WIDTH + c] += d[c];
      g[c] = d[c] * fw[c];
    }
    for (double v : norm_back(g, norm, false)) want_dy.push_back(v);
  }
  compare(name + " backward: by the input", total, want_total, 1e-6);
  compare(name + " backward", dy, want_dy, 1e-6);
  compare(name + " backward, as stored", low, want_dy, tolerance<T>(1e-6));
  Buffer<float> sums(5 * WIDTH);
  for (int c = 0; c < 5 * WIDTH; c++) sums.at[c] = partials.at[c] + partials.at[5 * WIDTH + c];
  compare(name + " backward: parameters", sums, want_sums, 2e-6);
  // At the window's start: no loop before.
  Buffer<float> fresh(rows * WIDTH);
  in_all_orders(name + " backward, start", {{blocks}, LOOP_WARPS * 32}, [&] {
    leave_rows<WIDTH, T>(dn.at, x1.at, nw.at, residual.at, fresh.at, 1, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, share,
                         nullptr, nullptr, partials.at, rows, tokens, EPS);
  }, {}, fresh, partials);
  for (size_t i = 0; i < want_total.size(); i++) want_total[i] -= dinput[i];
  compare(name + " backward: by the input, alone", fresh, want_total, 1e-6);
}

void check_loss_and_positions() {
  int loops = 3, count = 77;
  auto p = Buffer<float>::random(loops * count), targets = Buffer<float>::random(count);
  Buffer<float> out(2);
  in_all_orders("loss", {{1}, LOSS_WARPS * 32}, [&] { squared_loss_all(p.at, targets.at, out.at, out.at + 1, loops, count); }, {}, out);
  Doubles want(2);
  for (int i = 0; i < loops * count; i++) {
    double off = p[i] - targets[i % count];
    want[0] += off * off / (loops * count), want[1] += 2 * off / (loops * count);
  }
  compare("squared loss and its slope", out, want, 1e-6);

  int sequences = 5, each = 300;
  auto x = Buffer<float>::random(sequences * each), positions = Buffer<float>::random(each);
  Buffer<float> placed(x), back(each);
  in_all_orders("positions", {{2, 3}, 256}, [&] { place_all(placed.at, positions.at, sequences, each); },
                [&] { std::memcpy(placed.at, x.at, x.count * 4); }, placed);
  in_all_orders("positions backward", {{2}, 256}, [&] { place_backward_all(x.at, back.at, sequences, each); }, {}, back);
  Doubles want_placed(x.count), want_back(each);
  for (int i = 0; i < sequences * each; i++) want_placed[i] = x[i] + positions[i % each], want_back[i % each] += x[i];
  compare("positions", placed, want_placed, 1e-7);
  compare("positions backward", back, want_back, 1e-6);
}

template <class T>
void check_gelu(int count) {
  auto x = Buffer<T>::random(count, 2), dy = Buffer<T>::random(count);
  Buffer<T> y(count), dx(count);
  unsigned blocks = (count / (16 / sizeof(T)) + 256) / 256;
  in_all_orders("gelu", {{blocks}, 256}, [&] { gelu_all(x.at, y.at, count); }, {}, y);
  in_all_orders("gelu backward", {{blocks}, 256}, [&] { gelu_backward_all(dy.at, dx.at, dx.at, count); },
                [&] { std::memcpy(dx.at, x.at, count * sizeof(T)); }, dx);
  Doubles want_y, want_dx;
  for (int i = 0; i < count; i++) {
    double v = x[i], c = std::sqrt(2 / M_PI), t = std::tanh(c * (v + 0.044715 * v * v * v));
    want_y.push_back(0.5 * v * (1 + t));
    want_dx.push_back(dy[i] * (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * c * (1 + 3 * 0.044715 * v * v)));
  }
  compare(named<T>("gelu"), y, want_y, tolerance<T>(1e-6));
  compare(named<T>("gelu backward, in place"), dx, want_dx, tolerance<T>(1e-6));

  // Of floats, whatever is stored.
  auto wide = Buffer<float>::random(count, 2);
  Buffer<float> pre(count);
  unsigned by_fours = (count / 4 + 256) / 256;
  in_all_orders("gelu of", {{by_fours}, 256}, [&] { gelu_of_all(wide.at, y.at, count); }, {}, y);
  Doubles want_pre(count);
  for (int i = 0; i < count; i++) {
    double v = wide[i], c = std::sqrt(2 / M_PI), t = std::tanh(c * (v + 0.044715 * v * v * v));
    want_pre[i] = v, want_y[i] = 0.5 * v * (1 + t);
    want_dx[i] = dy[i] * (0.5 * (1 + t) + 0.5 * v * (1 - t * t) * c * (1 + 3 * 0.044715 * v * v));
  }
  compare(named<T>("gelu of floats"), y, want_y, tolerance<T>(1e-6));
  for (int turn : {0, 1}) {
    std::string name = named<T>("gelu turn " + std::to_string(turn));
    in_all_orders(name, {{by_fours}, 256}, [&] { gelu_turn_all(dx.at, pre.at, turn, count); }, [&] {
      std::memcpy(dx.at, dy.at, count * sizeof(T));
      std::memcpy(pre.at, wide.at, count * 4);
    }, dx, pre);
    compare(name + ": slopes", dx, want_dx, tolerance<T>(1e-6));
    compare(name + (turn ? ": turned" : ": left as it was"), pre, turn ? want_y : want_pre, turn ? 1e-6 : 0);
  }
}

template <int VEC, class T>
void check_column_sums(int rows, int width) {
  auto x = Buffer<T>::random(rows * width);
  int per_block = 37;
  unsigned chunks = (rows + per_block - 1) / per_block;
  Buffer<float> partials(chunks * width), out(width);
  in_all_orders("column sums", {{unsigned(width + 32 * VEC - 1) / (32 * VEC), chunks}, SUM_WARPS * 32},
                [&] { column_sums_all<VEC>(x.at, partials.at, rows, width, per_block); }, {}, partials);
  in_all_orders("column totals", {{unsigned(width + 31) / 32}, SUM_WARPS * 32},
                [&] { column_totals_all(partials.at, out.at, chunks, width); }, {}, out);
  Doubles want(width);
  for (int i = 0; i < rows * width; i++) want[i % width] += x[i];
  compare(named<T>("column sums of " + std::to_string(width)), out, want, 1e-6);
}

// Goals of several widths, one of them with two matrices. Between the columns that are summed lies what may not be read, and
// between the goals what may not be written.
void check_many_column_totals() {
  struct Part { int at, rows, stride; };
  struct Goal { int at, width; std::vector<Part> parts; };
  const std::vector<Goal> goals = {
      {3, 37, {{0, 19, 50}}}, {41, 1, {{950, 5, 38}}}, {50, 100, {{1150, 9, 100}, {2100, 1, 130}}}};
  int numbers = 2250, count = 160, first = 0;
  Buffer<float> partials(numbers), out(count);
  auto start = Buffer<float>::random(count);
  std::vector<long long> of_goals, of_parts;
  Doubles want(count);
  for (int i = 0; i < count; i++) want[i] = start[i];
  for (const Goal& goal : goals) {
    of_goals.insert(of_goals.end(), {goal.at, goal.width, first, static_cast<long long>(goal.parts.size())});
    first += goal.parts.size();
    for (const Part& part : goal.parts) {
      of_parts.insert(of_parts.end(), {part.at, part.rows, part.stride});
      for (int i = 0; i < part.rows * goal.width; i++) {
        want[goal.at + i % goal.width] += partials.at[part.at + i / goal.width * part.stride + i % goal.width] = normal();
      }
    }
  }
  Buffer<long long> table(of_goals.size() + of_parts.size());
  std::copy(of_goals.begin(), of_goals.end(), table.at);
  std::copy(of_parts.begin(), of_parts.end(), table.at + of_goals.size());
  in_all_orders("many column totals", {{4, unsigned(goals.size())}, SUM_WARPS * 32}, [&] {
    add_column_totals_all(table.at, partials.at, out.at, goals.size());
  }, starting(out, start), out);
  compare("many column totals, added", out, want, 1e-6);
}

void check_adam() {
  int count = 1000;
  auto start = Buffer<float>::random(count), gradient = Buffer<float>::random(count);
  Buffer<float> parameters(start), first(count), second(count), partials(3);
  Buffer<bf16> low(count), narrowed(count);
  Settings settings{1e-2, 10, 0.9, 0.999, 1e-8, 0.1};
  Decision decision{};
  std::vector<double> p(count), m(count), v(count);
  for (int i = 0; i < count; i++) p[i] = start[i], first.at[i] = second.at[i] = 0;
  for (int t = 1; t <= 3; t++) {
    in_all_orders("square sums", {{3}, 256}, [&] { square_sums_all(gradient.at, partials.at, count); }, {}, partials);
    emu::launch({1}, 256, 0, emu::Order::random, 1, [&] { decide_all(partials.at, &settings, &decision, 3); });
    emu::launch({4}, 256, 0, emu::Order::random, 1, [&] {
      adam_all(parameters.at, gradient.at, first.at, second.at, low.at, &settings, &decision, count);
    });
    double norm = 0;
    for (int i = 0; i < count; i++) norm += gradient[i] * gradient[i];
    double scale = std::min(1.0, 10 / std::sqrt(norm));
    for (int i = 0; i < count; i++) {
      double g = gradient[i] * scale + 0.1 * p[i];
      m[i] = 0.9 * m[i] + 0.1 * g, v[i] = 0.999 * v[i] + 0.001 * g * g;
      p[i] -= 1e-2 * m[i] / (1 - std::pow(0.9, t)) / (std::sqrt(v[i] / (1 - std::pow(0.999, t))) + 1e-8);
    }
  }
  compare("adam: parameters after 3 steps", parameters, p, 1e-6);
  compare("adam: first moments", first, m, 1e-6);
  compare("adam: second moments", second, v, 1e-6);
  compare("adam: parameters as bf16", low, p, 6e-3);
  in_all_orders("narrow", {{4}, 256}, [&] { narrow_all(parameters.at, narrowed.at, count); }, {}, narrowed);
  failures += std::memcmp(narrowed.at, low.at, count * 2) != 0;

  Buffer<float> before(parameters);
  gradient.at[77] = NAN;
  emu::launch({3}, 256, 0, emu::Order::forward, 1, [&] { square_sums_all(gradient.at, partials.at, count); });
  emu::launch({1}, 256, 0, emu::Order::forward, 1, [&] { decide_all(partials.at, &settings, &decision, 3); });
  emu::launch({4}, 256, 0, emu::Order::forward, 1, [&] {
    adam_all(parameters.at, gradient.at, first.at, second.at, low.at, &settings, &decision, count);
  });
  bool kept = std::memcmp(before.at, parameters.at, count * 4) == 0 && !decision.finite && decision.updates == 3;
  failures += !kept;
  std::printf("%s adam: a gradient that isn't finite changes nothing\n", kept ? "ok    " : "FAILED");
}

template <int HEAD, class T>
void check_attention(int sequences, int tokens, int heads, int prefix = 0, bool causal = true) {
  std::string name = named<T>("attention " + std::to_string(tokens) + " x " + std::to_string(HEAD) +
                              (prefix ? " after " + std::to_string(prefix) : "") + (causal ? "" : ", not causal"));
  int width = heads * HEAD, rows = sequences * tokens;
  auto qkv = Buffer<T>::random(rows * 3 * width), dout = Buffer<T>::random(rows * width);
  auto earlier = Buffer<T>::random(sequences * prefix * 3 * width), start = Buffer<T>::random(earlier.count);
  // The queries of earlier tokens may not be looked at.
  for (size_t i = 0; i < earlier.count; i++) {
    if (i / width % 3 == 0) earlier.at[i] = from_float<T>(NAN);
  }
  Buffer<T> out(rows * width), dqkv(rows * 3 * width), dearlier(earlier.count);
  Buffer<float> log_sums(sequences * heads * tokens);
  float scale = 1 / std::sqrt(float(HEAD));
  unsigned blocks = sequences * heads;
  in_all_orders(name, {{blocks}, ATTENTION_WARPS * 32, size_t(attention_bytes(tokens, prefix, HEAD))}, [&] {
    attention_all<HEAD>(qkv.at, earlier.at, out.at, log_sums.at, tokens, prefix, causal, heads, scale);
  }, {}, out, log_sums);
  in_all_orders(name + " backward", {{blocks}, ATTENTION_WARPS * 32, size_t(attention_backward_bytes(tokens, prefix, HEAD))}, [&] {
    attention_backward_all<HEAD>(dqkv.at, earlier.at, dout.at, log_sums.at, dqkv.at, dearlier.at, tokens, prefix, causal, heads,
                                 scale);
  }, [&] {
    std::memcpy(dqkv.at, qkv.at, qkv.count * sizeof(T));
    std::memcpy(dearlier.at, start.at, start.count * sizeof(T));
  }, dqkv, dearlier);
  Attended want = attention_of(qkv, earlier, dout, sequences, tokens, prefix, causal, heads, HEAD);
  compare(name, out, want.out, tolerance<T>(1e-6));
  compare(name + ": log sums", log_sums, want.log_sums, 1e-6);
  compare(name + " backward, in place", dqkv, want.dqkv, tolerance<T>(2e-6));
  for (size_t i = 0; i < start.count; i++) want.dearlier[i] += start[i];
  if (prefix) compare(name + " backward, earlier", dearlier, want.dearlier, tolerance<T>(2e-6));
}

template <int HEAD, class T>
void check_attention_mma(int sequences, int tokens, int heads) {
  std::string name = named<T>("attention by tensor cores " + std::to_string(tokens) + " x " + std::to_string(HEAD));
  int width = heads * HEAD, rows = sequences * tokens;
  auto qkv = Buffer<T>::random(rows * 3 * width), dout = Buffer<T>::random(rows * width);
  Buffer<T> out(rows * width), dqkv(rows * 3 * width);
  Buffer<float> log_sums(sequences * heads * tokens);
  float scale = 1 / std::sqrt(float(HEAD));
  unsigned blocks = sequences * heads;
  in_all_orders(name, {{blocks}, MMA_WARPS * 32, size_t(mma_bytes<HEAD, T>(tokens))},
                [&] { attention_mma_all<HEAD>(qkv.at, out.at, log_sums.at, tokens, heads, scale); }, {}, out, log_sums);
  in_all_orders(name + " backward", {{blocks}, MMA_WARPS * 32, size_t(mma_backward_bytes<HEAD, T>(tokens))},
                [&] { attention_mma_backward_all<HEAD>(dqkv.at, out.at, dout.at, log_sums.at, dqkv.at, tokens, heads, scale); },
                [&] { std::memcpy(dqkv.at, qkv.at, qkv.count * sizeof(T)); }, dqkv);
  Attended want = attention_of(qkv, qkv, dout, sequences, tokens, 0, true, heads, HEAD);
  double allowed = tolerance<T>(1e-3);
  compare(name, out, want.out, allowed);
  compare(name + ": log sums", log_sums, want.log_sums, sizeof(T) == 4 ? 1e-3 : 1e-6);
  compare(name + " backward, in place", dqkv, want.dqkv, allowed);
}

// `around`: there are states before the first token, and something is made of those after the last. Where there is one pass of
// states alone, forward and backward go in place.
template <class T>
void check_scan(int sequences, int tokens, int width, int states, bool around) {
  std::string name = named<T>("scan of " + std::to_string(states) + " states" + (around ? ", between others" : ""));
  size_t all = size_t(sequences) * tokens * width, of_states = around ? sequences * states * width : 0;
  bool in_place = states <= SCAN_STATES;
  auto x = Buffer<T>::random(all), dy = Buffer<T>::random(all);
  auto gain = Buffer<float>::random(states * width), read = Buffer<float>::random(states * width);
  auto skip = Buffer<float>::random(width), decay = Buffer<float>::random(states * width, 0.1, 0.7);
  auto before = Buffer<float>::random(of_states), dlast = Buffer<float>::random(of_states);
  auto start = Buffer<float>::random(of_states);
  Buffer<T> y(all), dx(all);
  Buffer<float> last(of_states), dbefore(of_states);
  Buffer<float> kept(all * SCAN_STATES), partials(sequences * (3 * states + 1) * width);
  auto maybe = [&](Buffer<float>& buffer) { return around ? buffer.at : nullptr; };
  Launch over{{unsigned(sequences * width + SCAN_THREADS - 1) / SCAN_THREADS}, SCAN_THREADS};
  in_all_orders(name, over, [&] {
    scan_all(in_place ? y.at : x.at, maybe(before), decay.at, gain.at, read.at, skip.at, y.at, maybe(last), sequences, tokens,
             width, states);
  }, [&] { if (in_place) std::memcpy(y.at, x.at, all * sizeof(T)); }, y, last);
  in_all_orders(name + " backward", over, [&] {
    scan_backward_all(x.at, maybe(before), in_place ? dx.at : dy.at, maybe(dlast), decay.at, gain.at, read.at, skip.at, dx.at,
                      maybe(dbefore), kept.at, partials.at, sequences, tokens, width, states);
  }, [&] {
    kept.poison();
    std::memcpy(dbefore.at, start.at, of_states * 4);
    if (in_place) std::memcpy(dx.at, dy.at, all * sizeof(T));
  }, dx, dbefore, partials);
  Doubles want_y(all), want_dx(all), want_sums(partials.count), want_last(of_states), want_dbefore(of_states);
  for (int s = 0; s < sequences; s++) {
    for (int c = 0; c < width; c++) {
      auto at = [&](int t) { return (size_t(s) * tokens + t) * width + c; };
      auto sum = [&](int row) -> double& { return want_sums[(size_t(s) * (3 * states + 1) + row) * width + c]; };
      for (int t = 0; t < tokens; t++) {
        want_y[at(t)] = skip[c] * x[at(t)], want_dx[at(t)] = skip[c] * dy[at(t)];
        sum(3 * states) += dy[at(t)] * x[at(t)];
      }
      for (int n = 0; n < states; n++) {
        double a = decay[n * width + c], b = gain[n * width + c], r = read[n * width + c];
        size_t own = (size_t(s) * states + n) * width + c;
        Doubles h(tokens + 1, around ? before[own] : 0);
        double carried = around ? dlast[own] : 0;
        for (int t = 0; t < tokens; t++) h[t + 1] = a * h[t] + b * x[at(t)], want_y[at(t)] += r * h[t + 1];
        for (int t = tokens - 1; t >= 0; t--) {
          double dh = r * dy[at(t)] + carried;
          sum(n) += dh * h[t], sum(states + n) += dh * x[at(t)], sum(2 * states + n) += dy[at(t)] * h[t + 1];
          want_dx[at(t)] += b * dh, carried = a * dh;
        }
        if (around) want_last[own] = h[tokens], want_dbefore[own] = start[own] + carried;
      }
    }
  }
  compare(name, y, want_y, tolerance<T>(1e-6));
  compare(name + " backward", dx, want_dx, tolerance<T>(1e-6));
  compare(name + " backward: parameters", partials, want_sums, 1e-6);
  if (!around) return;
  compare(name + ": last", last, want_last, 1e-6);
  compare(name + " backward: before", dbefore, want_dbefore, 1e-6);
}

// A block sum with its second barrier left out: some order must give a wrong sum.
template <bool BARRIER>
void planted_sum(const float* x, float* out, int count) {
  SHARED(float, part, 64);
  float sum = 0;
  for (int i = threadIdx.x; i < count; i += blockDim.x) sum += x[i];
  part[threadIdx.x] = sum;
  for (int half = 32; half; half /= 2) {
    if (BARRIER) __syncthreads();
    if (int(threadIdx.x) < half) part[threadIdx.x] += part[threadIdx.x + half];
  }
  if (threadIdx.x == 0) *out = part[0];
}

int planted_barrier() {
  Buffer<float> x(1000), out(1);
  float want = 0;
  for (int i = 0; i < 1000; i++) want += x.at[i] = i % 7;
  int wrong[2] = {0, 0};
  for (unsigned order = 0; order < 10; order++) {
    auto o = order == 0 ? emu::Order::forward : order == 1 ? emu::Order::reverse : emu::Order::random;
    emu::launch({1}, 64, 0, o, order, [&] { planted_sum<true>(x.at, out.at, 1000); });
    wrong[0] += out.at[0] != want;
    emu::launch({1}, 64, 0, o, order, [&] { planted_sum<false>(x.at, out.at, 1000); });
    wrong[1] += out.at[0] != want;
  }
  std::printf("of 10 orders wrong: %d with the barrier, %d without\n", wrong[0], wrong[1]);
  return wrong[0] == 0 && wrong[1] > 0 ? 0 : 1;
}

// A norm told one row more than there is: AddressSanitizer must stop it.
int planted_over_read() {
  auto x = Buffer<float>::random(7 * 64), line = Buffer<float>::random(64);
  Buffer<float> y(8 * 64);
  emu::launch({1}, NORM_WARPS * 32, 0, emu::Order::forward, 1, [&] {
    add_norm_rows<64>(x.at, nullptr, line.at, line.at, nullptr, y.at, 8, 0, EPS);
  });
  std::puts("the over-read was not found");
  return 0;
}

// The shared memory of attention's blocks, for the host's own reckoning to be compared with.
int tell_bytes() {
  for (int tokens : {1, 16, 81, 202}) {
    std::printf("%d %d %d %d %d %d %d\n", tokens, attention_bytes(tokens, 0, 32), attention_backward_bytes(tokens, 0, 32),
                mma_bytes<32, float>(tokens), mma_backward_bytes<32, float>(tokens), mma_bytes<32, bf16>(tokens),
                mma_backward_bytes<32, bf16>(tokens));
  }
  return 0;
}

int main(int arguments, char** argument) {
  std::string what = arguments > 1 ? argument[1] : "";
  if (what == "barrier") return planted_barrier();
  if (what == "over-read") return planted_over_read();
  if (what == "bytes") return tell_bytes();
  check_norm<256, float>(19, false);
  check_norm<64, bf16>(9, false);
  check_norm<20, float>(9, true);
  check_norm<384, float>(5, true);
  check_between_loops<256, bf16>(2, 5);
  check_between_loops<12, float>(3, 7);
  check_between_loops<128, float>(2, 6);
  check_loss_and_positions();
  check_gelu<float>(1027);
  check_gelu<bf16>(2051);
  check_column_sums<4, float>(100, 96);
  check_column_sums<4, bf16>(90, 260);
  check_column_sums<1, float>(100, 37);
  check_column_sums<1, bf16>(90, 131);
  check_many_column_totals();
  check_adam();
  check_attention<32, float>(2, 37, 2);
  check_attention<16, float>(1, 3, 3);
  check_attention<64, float>(1, 81, 1);
  check_attention<32, bf16>(1, 33, 2);
  check_attention<16, float>(2, 11, 3, 6);
  check_attention<16, float>(1, 3, 2, 41);
  check_attention<32, bf16>(2, 13, 1, 9, false);
  check_attention<5, float>(2, 37, 3);
  check_attention<5, float>(2, 9, 3, 0, false);
  check_attention<7, bf16>(2, 13, 2, 5);
  check_attention_mma<32, bf16>(2, 81, 2);
  check_attention_mma<16, bf16>(1, 5, 3);
  check_attention_mma<64, bf16>(1, 49, 2);
  check_attention_mma<32, float>(2, 37, 2);
  check_attention_mma<64, float>(1, 16, 1);
  check_scan<float>(3, 9, 50, 11, false);
  check_scan<bf16>(2, 7, 64, 8, false);
  check_scan<float>(2, 5, 33, 19, true);
  check_scan<float>(2, 6, 21, 3, true);
  check_scan<bf16>(2, 1, 45, 8, true);
  check_rows_dots_and_losses();
  check_products_with_few_rows();
  std::printf("%d failures\n", failures);
  return failures != 0;
}
