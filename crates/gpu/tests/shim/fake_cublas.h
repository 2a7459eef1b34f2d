// The part of fake_cuda.cpp that multiplies: cuBLASLt. Sums are doubles. With FAKE_CUBLAS_ROUNDS operands are rounded as the
// compute type says, to tf32 or bf16; else they are taken as they are.
#pragma once

namespace {
constexpr int INVALID = 7, NOT_SUPPORTED = 15;
constexpr int FLOATS = 0, BF16 = 14;  // what matrices hold
constexpr int IN_F32 = 68, IN_BF16 = 75, IN_TF32 = 77;

struct Matrix {
  int type;
  size_t rows, columns, stride;
  int batch = 1;
  int64_t apart = 0;
};
struct Description {
  int compute, transposed[2] = {0, 0};
  unsigned epilogue = 1;
  const void* bias = nullptr;
};

float with_bits(uint32_t bits) { return __uint_as_float(bits); }
// To the nearest bf16, the even one of two; and to the nearest tf32.
uint32_t to_bf16(float x) {
  uint32_t bits = __float_as_uint(x);
  return x != x ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}
float to_tf32(float x) { return x - x != 0 ? x : with_bits((__float_as_uint(x) + 0x1000) & 0xffffe000); }

float read(int type, const void* at, size_t i) {
  return type == BF16 ? with_bits(uint32_t(static_cast<const uint16_t*>(at)[i]) << 16) : static_cast<const float*>(at)[i];
}
void write(int type, void* at, size_t i, double value) {
  if (type == BF16) {
    static_cast<uint16_t*>(at)[i] = to_bf16(value);
  } else {
    static_cast<float*>(at)[i] = value;
  }
}

// An operand in panels: SIDE of its rows (of its columns, if `transposed`), and of those summand after summand. Rows are filled
// up with 0.
template <size_t SIDE>
std::vector<double> panels(const Matrix& is, const void* at, bool transposed, int compute) {
  size_t rows = transposed ? is.columns : is.rows, summands = transposed ? is.rows : is.columns;
  std::vector<double> made((rows + SIDE - 1) / SIDE * SIDE * summands);
  bool rounds = setting("FAKE_CUBLAS_ROUNDS", 0) && is.type == FLOATS;
  for (size_t column = 0; column < is.columns; column++) {
    for (size_t i = 0; i < is.rows; i++) {
      float value = read(is.type, at, column * is.stride + i);
      if (rounds && compute == IN_TF32) value = to_tf32(value);
      if (rounds && compute == IN_BF16) value = with_bits(to_bf16(value) << 16);
      size_t row = transposed ? column : i, summand = transposed ? i : column;
      made[(row / SIDE * summands + summand) * SIDE + row % SIDE] = value;
    }
  }
  return made;
}

// Eight rows by four columns of a product: sums[column][row].
typedef double Eight __attribute__((vector_size(64)));
#ifdef __x86_64__
__attribute__((target_clones("avx2", "default")))
#endif
void tile(const double* left, const double* right, size_t summands, double (*sums)[8]) {
  Eight total[4] = {};
  for (size_t l = 0; l < summands; l++) {
    Eight column;
    std::memcpy(&column, left + 8 * l, sizeof column);
    for (int j = 0; j < 4; j++) total[j] += column * right[4 * l + j];
  }
  std::memcpy(sums, total, sizeof total);
}

struct Product {
  Description how;
  Matrix a, b, c, d;
  float by, and_by;

  void run(const void* left, const void* right, const void* start, void* out) const {
    size_t summands = how.transposed[0] ? a.rows : a.columns;
    auto lefts = panels<8>(a, left, how.transposed[0], how.compute);
    auto rights = panels<4>(b, right, !how.transposed[1], how.compute);
    double sums[4][8];
    for (size_t j = 0; j < d.columns; j += 4) {
      for (size_t i = 0; i < d.rows; i += 8) {
        tile(&lefts[i * summands], &rights[j * summands], summands, sums);
        for (size_t column = j; column < std::min(j + 4, d.columns); column++) {
          for (size_t row = i; row < std::min(i + 8, d.rows); row++) {
            double sum = sums[column - j][row - i] * by;
            if (and_by != 0) sum += and_by * read(c.type, start, column * c.stride + row);
            if (how.epilogue == 4) sum += read(d.type, how.bias, row);
            write(d.type, out, column * d.stride + row, sum);
          }
        }
      }
    }
  }
};

bool is_one_of(int value, std::initializer_list<int> values) { return std::find(values.begin(), values.end(), value) != values.end(); }
}  // namespace

API cublasLtCreate(void** handle) { return *handle = &something, 0; }
API cublasLtDestroy(void*) { return 0; }
extern "C" __attribute__((visibility("default"))) size_t cublasLtGetVersion() { return 130000; }
API cublasLtMatrixLayoutCreate(Matrix** made, int type, uint64_t rows, uint64_t columns, int64_t stride) {
  if (!is_one_of(type, {FLOATS, BF16})) return NOT_SUPPORTED;
  return *made = new Matrix{type, rows, columns, size_t(stride)}, 0;
}
API cublasLtMatrixLayoutSetAttribute(Matrix* own, int attribute, const void* value, size_t bytes) {
  if (attribute == 1 && bytes == 4) return *static_cast<const int*>(value) == 0 ? 0 : NOT_SUPPORTED;  // columns first
  if (attribute == 5 && bytes == 4) return std::memcpy(&own->batch, value, 4), 0;
  if (attribute == 6 && bytes == 8) return std::memcpy(&own->apart, value, 8), 0;
  return INVALID;
}
API cublasLtMatrixLayoutDestroy(Matrix* matrix) { return delete matrix, 0; }
API cublasLtMatmulDescCreate(Description** made, int compute, int scale) {
  if (!is_one_of(compute, {IN_F32, IN_BF16, IN_TF32}) || scale != FLOATS) return NOT_SUPPORTED;
  return *made = new Description{compute}, 0;
}
API cublasLtMatmulDescSetAttribute(Description* own, int attribute, const void* value, size_t bytes) {
  if ((attribute == 3 || attribute == 4) && bytes == 4) return std::memcpy(&own->transposed[attribute - 3], value, 4), 0;
  if (attribute == 7 && bytes == 4) return std::memcpy(&own->epilogue, value, 4), 0;
  if (attribute == 8 && bytes == 8) return std::memcpy(&own->bias, value, 8), 0;
  return INVALID;
}
API cublasLtMatmulDescDestroy(Description* own) { return delete own, 0; }
API cublasLtMatmulPreferenceCreate(void** made) { return *made = &something, 0; }
API cublasLtMatmulPreferenceSetAttribute(void*, int, const void*, size_t) { return 0; }
API cublasLtMatmulPreferenceDestroy(void*) { return 0; }
API cublasLtMatmulAlgoGetHeuristic(void*, Description* own, Matrix* a, Matrix* b, Matrix* c, Matrix* d, void*, int, void* found,
                                   int* count) {
  size_t m = d->rows, n = d->columns, k = own->transposed[0] ? a->rows : a->columns;
  bool fits = (own->transposed[0] ? a->columns : a->rows) == m && (own->transposed[1] ? b->columns : b->rows) == k &&
              (own->transposed[1] ? b->rows : b->columns) == n && c->rows == m && c->columns == n && a->type == b->type &&
              c->type == d->type;
  for (Matrix* each : {a, b, c, d}) fits = fits && each->stride >= each->rows && each->batch == d->batch;
  if (!fits) return INVALID;
  // Neither other epilogues, nor bf16 from and to a compute type that is for floats.
  if (!is_one_of(own->epilogue, {1, 4}) || (a->type == BF16 && own->compute != IN_F32)) return NOT_SUPPORTED;
  LOCKED;
  static long asked = 0;
  asked++;
  if (const char* file = std::getenv("FAKE_CUBLAS_TELLS")) {
    if (FILE* told = std::fopen(file, "w")) std::fprintf(told, "%ld\n", asked), std::fclose(told);
  }
  if (setting("FAKE_CUBLAS_KNOWS_NOTHING", 0)) return *count = 0, 0;
  (void)found;  // all zeros already: an algorithm, in state success
  return *count = 1, 0;
}
API cublasLtMatmul(void*, Description* how, const float* alpha, const void* a, Matrix* a_is, const void* b, Matrix* b_is,
                   const float* beta, const void* c, Matrix* c_is, void* d, Matrix* d_is, const void*, void*, size_t, void* stream) {
  LOCKED;
  Product product = {*how, *a_is, *b_is, *c_is, *d_is, *alpha, *beta};
  return put(stream, [=] {
    auto part = [](const Matrix& is, const void* at, int i) {
      return static_cast<const char*>(at) + i * is.apart * (is.type == BF16 ? 2 : 4);
    };
    for (int i = 0; i < product.d.batch; i++) {
      product.run(part(product.a, a, i), part(product.b, b, i), part(product.c, c, i), const_cast<char*>(part(product.d, d, i)));
    }
  });
}
