// A GPU's libraries without a GPU: the driver, NVRTC and cuBLASLt in one, as far as this crate calls them. Work given to the
// stream is queued and runs late, when somebody waits: a missing wait shows. Memory is NaN until written. Kernels are the
// very sources, compiled for the CPU for one WIDTH, HEAD and STORE, in a thread order drawn anew for each launch; their
// arguments are unpacked by their own C++ signatures. Products are three loops. What a machine has can be set by
// FAKE_CUDA_VERSION, FAKE_CUDA_DEVICES and FAKE_CUDA_MEMORY; with
// FAKE_NVRTC_FAILS nothing compiles.
#include <memory>
#include <string>

#include "../../kernels/common.cu"

#include "../../kernels/adam.cu"
#include "../../kernels/attention.cu"
#include "../../kernels/attention_mma.cu"
#include "../../kernels/between_loops.cu"
#include "../../kernels/column_sums.cu"
#include "../../kernels/gelu.cu"
#include "../../kernels/norm.cu"
#include "../../kernels/scan.cu"

#define API extern "C" __attribute__((visibility("default"))) int

namespace {
long setting(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atol(text) : otherwise;
}

using Work = std::function<void()>;
using Works = std::vector<Work>;
Works queue, recorded;
bool capturing = false;
void* current_context = nullptr;
int something;
unsigned launches = 0;

int put(Work work) {
  (capturing ? recorded : queue).push_back(std::move(work));
  return 0;
}

int wait() {
  if (capturing) return 900;  // as CUDA says: not allowed while a stream is captured
  for (size_t i = 0; i < queue.size(); i++) queue[i]();
  queue.clear();
  return 0;
}

// A kernel by name: runs with arguments that are packed by its own signature.
struct Kernel {
  std::vector<size_t> sizes;
  std::function<void(dim3, unsigned, size_t, void**)> run;
};

template <class... A, size_t... I>
Kernel kernel_of(void (*f)(A...), std::index_sequence<I...>) {
  return {{sizeof(A)...}, [f](dim3 grid, unsigned threads, size_t shared, void** p) {
            emu::Order orders[] = {emu::Order::random, emu::Order::reverse, emu::Order::forward};
            unsigned n = launches++;
            emu::launch(grid, threads, shared, orders[n % 3], n, [&] { f(*static_cast<A*>(p[I])...); });
          }};
}
template <class... A>
Kernel kernel_of(void (*f)(A...)) {
  return kernel_of(f, std::index_sequence_for<A...>{});
}
#define NAMED(name) {#name, kernel_of(name)}
std::map<std::string, Kernel> kernels = {
    NAMED(add_norm),     NAMED(norm_backward), NAMED(enter),           NAMED(leave),         NAMED(squared_loss),
    NAMED(place),        NAMED(place_backward), NAMED(gelu),           NAMED(gelu_backward), NAMED(column_sums),
    NAMED(column_sums_f32), NAMED(column_totals), NAMED(square_sums),  NAMED(decide),        NAMED(adam),
    NAMED(narrow),       NAMED(attention),     NAMED(attention_backward),
    NAMED(attention_mma), NAMED(attention_mma_backward), NAMED(scan), NAMED(scan_backward)};
}  // namespace

// The driver.
API cuInit(unsigned) { return 0; }
API cuDriverGetVersion(int* version) { return *version = setting("FAKE_CUDA_VERSION", 13000), 0; }
API cuDeviceGetCount(int* count) { return *count = setting("FAKE_CUDA_DEVICES", 1), 0; }
API cuDeviceGet(int* device, int ordinal) { return *device = ordinal, 0; }
API cuDeviceGetName(char* name, int bytes, int) { return std::snprintf(name, bytes, "a fake GPU"), 0; }
API cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : attribute == 76 ? 0 : attribute == 97 ? 227 << 10 : 1;  // capability, shared memory
  return 0;
}
API cuDevicePrimaryCtxRetain(void** context, int) { return *context = &something, 0; }
API cuDevicePrimaryCtxRelease_v2(int) { return 0; }
API cuCtxGetCurrent(void** context) { return *context = current_context, 0; }
API cuCtxSetCurrent(void* context) { return current_context = context, 0; }
API cuCtxSynchronize() { return wait(); }
API cuMemGetInfo_v2(size_t* free, size_t* total) {
  return *free = *total = setting("FAKE_CUDA_MEMORY", 1L << 40), 0;
}
API cuStreamCreate(void** stream, unsigned) { return *stream = &something, 0; }
API cuStreamDestroy_v2(void*) { return 0; }
API cuStreamSynchronize(void*) { return wait(); }
API cuStreamWaitEvent(void*, void*, unsigned) { return 0; }
API cuMemAllocAsync(void** at, size_t bytes, void*) {
  if (bytes > size_t(setting("FAKE_CUDA_MEMORY", 1L << 40))) return 2;
  return *at = emu::poisoned(bytes), 0;
}
API cuMemFreeAsync(void* at, void*) { return put([=] { std::free(at); }); }
API cuMemsetD8Async(void* at, unsigned char byte, size_t bytes, void*) {
  return put([=] { std::memset(at, byte, bytes); });
}
API cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t bytes, void*) {
  if (capturing) return 900;
  std::vector<char> kept(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
  return put([=] { std::memcpy(to, kept.data(), kept.size()); });
}
API cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t bytes, void*) {
  if (capturing) return 900;
  return put([=] { std::memcpy(to, from, bytes); });
}
API cuModuleLoadData(void** module, const void*) { return *module = &something, 0; }
API cuModuleUnload(void*) { return 0; }
API cuModuleGetFunction(void** function, void*, const char* name) {
  auto found = kernels.find(name);
  return found == kernels.end() ? 500 : (*function = &found->second, 0);
}
API cuFuncSetAttribute(void*, int, int) { return 0; }
API cuLaunchKernel(Kernel* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void*, void** arguments, void**) {
  if (gx * gy * gz == 0 || gy > 65535 || bx * by * bz == 0 || bx * by * bz > 1024 || shared > 227 << 10) return 1;
  std::vector<std::vector<char>> kept;
  for (size_t i = 0; i < kernel->sizes.size(); i++) {
    auto start = static_cast<char*>(arguments[i]);
    kept.emplace_back(start, start + kernel->sizes[i]);
  }
  return put([=]() mutable {
    std::vector<void*> pointers;
    for (auto& argument : kept) pointers.push_back(argument.data());
    kernel->run({gx, gy, 1}, bx, shared, pointers.data());
  });
}
API cuStreamBeginCapture_v2(void*, int) { return capturing = true, recorded.clear(), 0; }
API cuStreamEndCapture(void*, void** graph) { return capturing = false, *graph = new Works(recorded), 0; }
API cuGraphInstantiateWithFlags(void** made, void* graph, unsigned long long) {
  return *made = new Works(*static_cast<Works*>(graph)), 0;
}
API cuGraphLaunch(void* graph, void*) {
  for (auto& work : *static_cast<Works*>(graph)) put(work);
  return 0;
}
API cuGraphDestroy(void* graph) { return delete static_cast<Works*>(graph), 0; }
API cuGraphExecDestroy(void* graph) { return delete static_cast<Works*>(graph), 0; }
API cuEventCreate(void** event, unsigned) { return *event = &something, 0; }
API cuEventRecord(void*, void*) { return 0; }
API cuEventSynchronize(void*) { return wait(); }
API cuEventElapsedTime_v2(float* ms, void*, void*) { return *ms = 1, 0; }
API cuEventDestroy_v2(void*) { return 0; }

// NVRTC: takes only what the kernels here were compiled for, and the options that it knows.
API nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 0, 0; }
API nvrtcCreateProgram(void** program, const char* source, const char*, int, const char* const*, const char* const*) {
  return *program = &something, std::strlen(source) > 10000 ? 0 : 6;
}
API nvrtcCompileProgram(void*, int count, const char* const* options) {
#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
  if (setting("FAKE_NVRTC_FAILS", 0)) return 6;
  std::vector<std::string> given(options, options + count);
  for (const std::string& option : given) {
    if (option != "-default-device" && option.rfind("--std=", 0) && option.rfind("-D", 0) && option.rfind("--gpu-", 0)) return 5;
  }
  for (std::string own : {"-DWIDTH=" TEXT(WIDTH), "-DHEAD=" TEXT(HEAD), "-DSTORE=" TEXT(STORE), "--gpu-architecture=sm_90"}) {
    if (std::find(given.begin(), given.end(), own) == given.end()) return 6;
  }
  return 0;
}
API nvrtcGetProgramLogSize(void*, size_t* bytes) { return *bytes = 5, 0; }
API nvrtcGetProgramLog(void*, char* log) { return std::strcpy(log, "fake"), 0; }
API nvrtcGetCUBINSize(void*, size_t* bytes) { return *bytes = 4, 0; }
API nvrtcGetCUBIN(void*, char* binary) { return std::memcpy(binary, "fake", 4), 0; }
API nvrtcDestroyProgram(void**) { return 0; }

// cuBLASLt.
namespace {
struct Matrix {
  int type;
  size_t rows, columns, stride;
  double read(const void* at, size_t row, size_t column) const {
    size_t i = column * stride + row;
    return type == 14 ? to_float(static_cast<const bf16*>(at)[i]) : static_cast<const float*>(at)[i];
  }
  void write(void* at, size_t row, size_t column, double value) const {
    size_t i = column * stride + row;
    if (type == 14) {
      static_cast<bf16*>(at)[i] = from_float<bf16>(value);
    } else {
      static_cast<float*>(at)[i] = value;
    }
  }
};
struct Description {
  int compute, transposed[2] = {0, 0};
  unsigned epilogue = 1;
  const void* bias = nullptr;
};
}  // namespace

API cublasLtCreate(void** handle) { return *handle = &something, 0; }
API cublasLtDestroy(void*) { return 0; }
extern "C" __attribute__((visibility("default"))) size_t cublasLtGetVersion() { return 130000; }
API cublasLtMatrixLayoutCreate(void** made, int type, uint64_t rows, uint64_t columns, int64_t stride) {
  return *made = new Matrix{type, rows, columns, size_t(stride)}, 0;
}
API cublasLtMatrixLayoutDestroy(void* matrix) { return delete static_cast<Matrix*>(matrix), 0; }
API cublasLtMatmulDescCreate(void** made, int compute, int) {
  if (compute != 68 && compute != 77) return 15;
  return *made = new Description{compute}, 0;
}
API cublasLtMatmulDescSetAttribute(Description* own, int attribute, const void* value, size_t bytes) {
  if (attribute == 3 || attribute == 4) return std::memcpy(&own->transposed[attribute - 3], value, 4), 0;
  if (attribute == 7 && bytes == 4) return std::memcpy(&own->epilogue, value, 4), 0;
  if (attribute == 8 && bytes == 8) return std::memcpy(&own->bias, value, 8), 0;
  return 7;
}
API cublasLtMatmulDescDestroy(void* own) { return delete static_cast<Description*>(own), 0; }
API cublasLtMatmulPreferenceCreate(void** made) { return *made = &something, 0; }
API cublasLtMatmulPreferenceSetAttribute(void*, int, const void*, size_t) { return 0; }
API cublasLtMatmulPreferenceDestroy(void*) { return 0; }
API cublasLtMatmulAlgoGetHeuristic(void*, Description* own, Matrix* a, Matrix* b, Matrix* c, Matrix* d, void*, int, void* found,
                                   int* count) {
  size_t m = d->rows, n = d->columns, k = own->transposed[0] ? a->rows : a->columns;
  bool fits = (own->transposed[0] ? a->columns : a->rows) == m && (own->transposed[1] ? b->columns : b->rows) == k &&
              (own->transposed[1] ? b->rows : b->columns) == n && c->rows == m && c->columns == n && a->type == b->type;
  for (Matrix* each : {a, b, d}) fits = fits && each->stride >= each->rows;
  if (!fits) return 7;
  (void)found;  // all zeros already: an algorithm, in state success
  return *count = 1, 0;
}
API cublasLtMatmul(void*, Description* description, const float* alpha, const void* a, Matrix* a_is, const void* b, Matrix* b_is,
                   const float* beta, const void* c, Matrix* c_is, void* d, Matrix* d_is, const void*, void*, size_t, void*) {
  Description own = *description;
  Matrix am = *a_is, bm = *b_is, cm = *c_is, dm = *d_is;
  float by = *alpha, and_by = *beta;
  return put([=] {
    size_t k = own.transposed[0] ? am.rows : am.columns;
    for (size_t i = 0; i < dm.rows; i++) {
      for (size_t j = 0; j < dm.columns; j++) {
        double sum = 0;
        for (size_t l = 0; l < k; l++) {
          sum += (own.transposed[0] ? am.read(a, l, i) : am.read(a, i, l)) *
                 (own.transposed[1] ? bm.read(b, j, l) : bm.read(b, l, j));
        }
        sum *= by;
        if (and_by != 0) sum += and_by * cm.read(c, i, j);
        if (own.epilogue == 4) sum += Matrix{dm.type, dm.rows, 1, dm.rows}.read(own.bias, i, 0);
        dm.write(d, i, j, sum);
      }
    }
  });
}
