// Rows that are moved: picked, put back, kept, shifted, turned, added. A thread takes one number of what is written.
//
// A matrix (rows, width) has `tokens` rows for each sequence; `picks` of them are read, at the tokens that `reads` lists, and
// `picked` has each token's place in that list, or -1.
#include "common.cu"

DEVICE int own_number() { return blockIdx.x * blockDim.x + threadIdx.x; }

// out += x.
DEVICE void add_rows_all(const float* x, float* out, int count) {
  int i = own_number();
  if (i < count) out[i] += x[i];
}

// out = x.
DEVICE void copy_rows_all(const float* x, float* out, int count) {
  int i = own_number();
  if (i < count) out[i] = x[i];
}

// out += x, and copy = x.
DEVICE void add_and_copy_rows_all(const float* x, float* out, float* copy, int count) {
  int i = own_number();
  if (i >= count) return;
  float value = x[i];
  out[i] += value;
  copy[i] = value;
}

// out = number.
DEVICE void fill_rows_all(float* out, float number, int count) {
  int i = own_number();
  if (i < count) out[i] = number;
}

// out (sequences * picks, width) = the read rows of x.
DEVICE void gather_rows_all(const float* x, const int* reads, float* out, int tokens, int picks, int width, int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width, from = row / picks * tokens + reads[row % picks];
  out[i] = x[from * width + i % width];
}

// The read rows of out are x, or have it added; without `add` the others become 0.
DEVICE void scatter_rows_all(const float* x, const int* picked, float* out, int tokens, int picks, int width, int add,
                             int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width, place = picked[row % tokens];
  float value = place >= 0 ? x[(row / tokens * picks + place) * width + i % width] : 0;
  out[i] = add ? out[i] + value : value;
}

// out = x at the tokens from `from` to before `to`, and `lost` at the others; x may be out.
DEVICE void keep_rows_all(const float* x, float* out, int tokens, int width, int from, int to, float lost, int count) {
  int i = own_number();
  if (i >= count) return;
  int token = i / width % tokens;
  out[i] = from <= token && token < to ? x[i] : lost;
}

// Columns of out, from `to` on, are those of x from `from` on, or have them added: `width` of them. A row of x has `of_x`
// numbers, one of out `of_out`.
DEVICE void move_columns_all(const float* x, float* out, int of_x, int from, int of_out, int to, int width, int add, int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width, column = i % width;
  float value = x[row * of_x + from + column];
  float* at = out + row * of_out + to + column;
  *at = add ? *at + value : value;
}

// out (outer, inner, width) = or += x (inner, outer, width): rows by prompt become rows by token, or the other way round.
DEVICE void order_rows_all(const float* x, float* out, int outer, int inner, int width, int add, int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width;
  float value = x[(row % inner * outer + row / inner) * width + i % width];
  out[i] = add ? out[i] + value : value;
}

// Each row of out is that of `by` tokens before, of the `earlier` rows before the first, or 0. `last` gets x's `left` last rows.
DEVICE void shift_rows_all(const float* x, const float* before, float* out, float* last, int tokens, int width, int by,
                           int earlier, int left, int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width, sequence = row / tokens, token = row % tokens, from = token - by;
  float value = 0;
  if (from >= 0) {
    value = x[i - by * width];
  } else if (earlier + from >= 0) {
    value = before[(sequence * earlier + earlier + from) * width + i % width];
  }
  out[i] = value;
  int kept = token - (tokens - left);
  if (kept >= 0) last[(sequence * left + kept) * width + i % width] = x[i];
}

// dx = or += what dout and dlast say of x.
DEVICE void shift_rows_backward_all(const float* dout, const float* dlast, float* dx, int tokens, int width, int by, int left,
                                    int add, int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width, sequence = row / tokens, token = row % tokens, kept = token - (tokens - left);
  float d = add ? dx[i] : 0;
  if (token + by < tokens) d += dout[i + by * width];
  if (kept >= 0) d += dlast[(sequence * left + kept) * width + i % width];
  dx[i] = d;
}

// dbefore (sequences, earlier, width) += what dout says of the rows before the first.
DEVICE void shift_before_backward_all(const float* dout, float* dbefore, int tokens, int width, int by, int earlier, int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width, sequence = row / earlier, token = row % earlier - earlier + by;
  if (0 <= token && token < tokens && token < by) dbefore[i] += dout[(sequence * tokens + token) * width + i % width];
}

// Each row of out is the column of a table (width, entries) at one of the numbers.
DEVICE void lookup_rows_all(const float* numbers, const float* table, float* out, int width, int entries, int count) {
  int i = own_number();
  if (i < count) out[i] = table[i % width * entries + (int)numbers[i / width]];
}

// The columns of dtable += the rows of d, each at its number. The first row with a number adds up all that have it, in their
// order, so that the sum is the same each time.
DEVICE void lookup_rows_backward_all(const float* numbers, const float* d, float* dtable, int width, int entries, int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width, column = i % width, rows = count / width;
  float number = numbers[row], sum = 0;
  for (int earlier = 0; earlier < row; earlier++) {
    if (numbers[earlier] == number) return;
  }
  for (int later = row; later < rows; later++) {
    if (numbers[later] == number) sum += d[later * width + column];
  }
  dtable[column * entries + (int)number] += sum;
}

// out = x + the rows of a table (tokens, width), in every sequence.
DEVICE void add_positions_all(const float* x, const float* table, float* out, int per_sequence, int count) {
  int i = own_number();
  if (i < count) out[i] = x[i] + table[i % per_sequence];
}

// dtable (tokens, width) += the sum of d over the sequences.
DEVICE void add_positions_backward_all(const float* d, float* dtable, int sequences, int per_sequence) {
  int i = own_number();
  if (i >= per_sequence) return;
  float sum = 0;
#pragma unroll 8
  for (int s = 0; s < sequences; s++) sum += d[s * per_sequence + i];
  dtable[i] += sum;
}

// out = x, the first `turned` numbers of each row turned by their token: pair j of a head of `head` numbers by the cosine and
// sine at turns[(first + token) * head / 2 + j]. `back` turns the other way.
DEVICE void rotate_rows_all(const float* x, const float* turns, float* out, int tokens, int width, int head, int turned,
                            int first, int back, int count) {
  int i = own_number();
  if (i >= count) return;
  int row = i / width, column = i % width;
  float value = x[i];
  if (column < turned) {
    const float* turn = turns + ((first + row % tokens) * (head / 2) + column % head / 2) * 2;
    float cosine = turn[0], sine = back ? -turn[1] : turn[1];
    value = column % 2 == 0 ? value * cosine - x[i + 1] * sine : x[i - 1] * sine + value * cosine;
  }
  out[i] = value;
}

#ifdef WIDTH
KERNEL(256) add_rows(const float* x, float* out, int count) { add_rows_all(x, out, count); }
KERNEL(256) copy_rows(const float* x, float* out, int count) { copy_rows_all(x, out, count); }
KERNEL(256) add_and_copy_rows(const float* x, float* out, float* copy, int count) {
  add_and_copy_rows_all(x, out, copy, count);
}
KERNEL(256) fill_rows(float* out, float number, int count) { fill_rows_all(out, number, count); }
KERNEL(256) gather_rows(const float* x, const int* reads, float* out, int tokens, int picks, int width, int count) {
  gather_rows_all(x, reads, out, tokens, picks, width, count);
}
KERNEL(256)
scatter_rows(const float* x, const int* picked, float* out, int tokens, int picks, int width, int add, int count) {
  scatter_rows_all(x, picked, out, tokens, picks, width, add, count);
}
KERNEL(256) keep_rows(const float* x, float* out, int tokens, int width, int from, int to, float lost, int count) {
  keep_rows_all(x, out, tokens, width, from, to, lost, count);
}
KERNEL(256)
move_columns(const float* x, float* out, int of_x, int from, int of_out, int to, int width, int add, int count) {
  move_columns_all(x, out, of_x, from, of_out, to, width, add, count);
}
KERNEL(256) order_rows(const float* x, float* out, int outer, int inner, int width, int add, int count) {
  order_rows_all(x, out, outer, inner, width, add, count);
}
KERNEL(256)
shift_rows(const float* x, const float* before, float* out, float* last, int tokens, int width, int by, int earlier, int left,
           int count) {
  shift_rows_all(x, before, out, last, tokens, width, by, earlier, left, count);
}
KERNEL(256)
shift_rows_backward(const float* dout, const float* dlast, float* dx, int tokens, int width, int by, int left, int add,
                    int count) {
  shift_rows_backward_all(dout, dlast, dx, tokens, width, by, left, add, count);
}
KERNEL(256)
shift_before_backward(const float* dout, float* dbefore, int tokens, int width, int by, int earlier, int count) {
  shift_before_backward_all(dout, dbefore, tokens, width, by, earlier, count);
}
KERNEL(256) lookup_rows(const float* numbers, const float* table, float* out, int width, int entries, int count) {
  lookup_rows_all(numbers, table, out, width, entries, count);
}
KERNEL(256)
lookup_rows_backward(const float* numbers, const float* d, float* dtable, int width, int entries, int count) {
  lookup_rows_backward_all(numbers, d, dtable, width, entries, count);
}
KERNEL(256) add_positions(const float* x, const float* table, float* out, int per_sequence, int count) {
  add_positions_all(x, table, out, per_sequence, count);
}
KERNEL(256) add_positions_backward(const float* d, float* dtable, int sequences, int per_sequence) {
  add_positions_backward_all(d, dtable, sequences, per_sequence);
}
KERNEL(256)
rotate_rows(const float* x, const float* turns, float* out, int tokens, int width, int head, int turned, int first, int back,
            int count) {
  rotate_rows_all(x, turns, out, tokens, width, head, turned, first, back, count);
}
#endif
