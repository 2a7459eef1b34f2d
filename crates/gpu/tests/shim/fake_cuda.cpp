// A GPU's libraries without a GPU: the driver, NVRTC and cuBLASLt in one, as far as this project calls them.
//
// Work given to a stream is queued and runs late, when somebody waits: a missing wait shows. Memory is NaN until written.
// Kernels run in a thread order drawn anew for each launch. One lock is around it all, so several threads may call.
// What a machine has, and when its card is lost, can be set: scripts/gpu/fake.sh lists the settings.
#include <signal.h>
#include <unistd.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "fibers.h"

#define API extern "C" __attribute__((visibility("default"))) int
#define LOCKED std::lock_guard<std::recursive_mutex> locked(everything)

namespace {
std::recursive_mutex everything;

long setting(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text ? std::atol(text) : otherwise;
}

constexpr int INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_IMAGE = 200, ILLEGAL_STATE = 401, NOT_FOUND = 500, NOT_READY = 600,
              TOO_MANY_THREADS = 701, NOT_WHILE_CAPTURED = 900, OUTSIDE_OF_CAPTURE = 905,
              UNKNOWN = 999;
constexpr unsigned MOST_SHARED = 227 << 10;

using Work = std::function<void()>;
using Works = std::vector<Work>;
int something;
unsigned launches = 0;
thread_local void* current_context = nullptr;

struct Stream {
  std::deque<Work> queue;
  size_t asked = 0, done = 0;
  std::shared_ptr<Works> recorded;  // while it is captured

  void run_until(size_t position) {
    while (done < position && !queue.empty()) {
      Work work = std::move(queue.front());
      queue.pop_front();
      done++;
      work();
    }
  }
};
struct Event {
  std::shared_ptr<Stream> stream;
  size_t position = 0;
  std::shared_ptr<Works> recorded;
};

// Every stream by its handle; null is the default one.
std::map<void*, std::shared_ptr<Stream>> streams = {{nullptr, std::make_shared<Stream>()}};
// Host memory that the GPU reads by itself, and so late.
std::map<const char*, size_t> pinned;

Stream& stream_of(void* stream) {
  auto found = streams.find(stream);
  if (found == streams.end()) emu::fail("a stream that isn't there");
  return *found->second;
}

// Kernels and graphs that were asked for; after so many the card is lost.
long asked_for = 0;
bool lost() { return asked_for > setting("FAKE_CUDA_LOST_AFTER", 1L << 60); }

int put(void* to, Work work) {
  if (lost()) return UNKNOWN;
  Stream& stream = stream_of(to);
  if (stream.recorded) {
    stream.recorded->push_back(std::move(work));
  } else {
    stream.queue.push_back(std::move(work));
    stream.asked++;
  }
  return 0;
}

int wait(Stream& stream) {
  if (lost()) return UNKNOWN;
  if (stream.recorded) return NOT_WHILE_CAPTURED;
  stream.run_until(stream.asked);
  return 0;
}

int wait_for_all() {
  for (auto& [handle, stream] : streams) {
    if (stream->recorded) return NOT_WHILE_CAPTURED;
  }
  for (auto& [handle, stream] : streams) wait(*stream);
  return 0;
}

bool is_pinned(const void* at) {
  auto after = pinned.upper_bound(static_cast<const char*>(at));
  if (after == pinned.begin()) return false;
  auto [start, bytes] = *std::prev(after);
  return static_cast<const char*>(at) < start + bytes;
}

// What was asked for: FAKE_CUDA_COUNTS names a file that gets it when the program ends.
struct Counts {
  long allocations = 0, copies_there = 0, copies_back = 0, bytes_back = 0, kernels = 0, graphs = 0;
  ~Counts() {
    const char* file = std::getenv("FAKE_CUDA_COUNTS");
    FILE* told = file ? std::fopen(file, "w") : nullptr;
    if (!told) return;
    std::fprintf(told, "%ld %ld %ld %ld %ld %ld\n", allocations, copies_there, copies_back, bytes_back, kernels, graphs);
    std::fclose(told);
  }
} counts;

// Memory that is taken, and the most that ever was: FAKE_CUDA_TELLS names a file that gets it.
std::map<void*, size_t> taken;
size_t in_use = 0, most = 0;

size_t memory() { return setting("FAKE_CUDA_MEMORY", 1L << 40); }

int allocate(void** at, size_t bytes) {
  LOCKED;
  if (bytes == 0) return INVALID_VALUE;
  if (lost()) return UNKNOWN;
  if (in_use + bytes > memory()) return OUT_OF_MEMORY;
  counts.allocations++;
  *at = emu::poisoned(bytes);
  in_use += taken[*at] = bytes;
  const char* file = std::getenv("FAKE_CUDA_TELLS");
  if (in_use > most && file) {
    if (FILE* told = std::fopen(file, "w")) std::fprintf(told, "%zu\n", in_use), std::fclose(told);
  }
  most = std::max(most, in_use);
  return 0;
}

// From here on others may have it, in the stream's order. Returns its bytes.
size_t give_back(void* at) {
  auto found = taken.find(at);
  if (found == taken.end()) return 0;
  size_t bytes = found->second;
  in_use -= bytes;
  taken.erase(found);
  return bytes;
}

// Memory that was given back is NaN from then on. Some of it stays, so that who reads it finds that.
constexpr size_t MOST_STAYS = 64 << 20;
std::deque<std::pair<void*, size_t>> given_back;
size_t stays = 0;

void poison(void* at, size_t bytes) {
  std::memset(at, 0xff, bytes);
  given_back.push_back({at, bytes});
  for (stays += bytes; stays > MOST_STAYS; given_back.pop_front()) {
    stays -= given_back.front().second;
    std::free(given_back.front().first);
  }
}
}  // namespace

#include "fake_cublas.h"
#include "fake_nvrtc.h"

// The device.
API cuInit(unsigned) { return 0; }
API cuGetErrorName(int, const char** name) { return *name = "an error of the fake driver", 0; }
API cuGetErrorString(int, const char** text) { return *text = "an error of the fake driver", 0; }
API cuDriverGetVersion(int* version) { return *version = setting("FAKE_CUDA_VERSION", 13000), 0; }
API cuDeviceGetCount(int* count) { return *count = setting("FAKE_CUDA_DEVICES", 1), 0; }
API cuDeviceGet(int* device, int ordinal) { return *device = ordinal, 0; }
API cuDeviceGetName(char* name, int bytes, int) { return std::snprintf(name, bytes, "a fake GPU"), 0; }
API cuDeviceGetUuid_v2(char* uuid, int) { return std::memset(uuid, 0, 16), 0; }
API cuDeviceTotalMem_v2(size_t* bytes, int) { return *bytes = memory(), 0; }
API cuDeviceGetAttribute(int* value, int attribute, int) {
  // Threads of a block; its shared memory; a warp's threads; multiprocessors; threads of one; shared memory of a
  // multiprocessor, and of a block that asks for more.
  static const std::map<int, int> known = {{1, 1024}, {8, 48 << 10}, {10, 32},       {16, 4},          {39, 2048},
                                           {81, 228 << 10}, {97, MOST_SHARED}};
  auto found = known.find(attribute);
  long capability = setting("FAKE_CUDA_CAPABILITY", 90);
  if (attribute == 75) return *value = capability / 10, 0;
  if (attribute == 76) return *value = capability % 10, 0;
  return *value = found == known.end() ? 1 : found->second, 0;
}
API cuDevicePrimaryCtxRetain(void** context, int) { return *context = &something, 0; }
API cuDevicePrimaryCtxRelease_v2(int) { return 0; }
API cuCtxGetCurrent(void** context) { return *context = current_context, 0; }
API cuCtxSetCurrent(void* context) { return current_context = context, 0; }
API cuCtxSetFlags(unsigned) { return 0; }
API cuCtxGetStreamPriorityRange(int* least, int* greatest) { return *least = *greatest = 0, 0; }
API cuCtxSynchronize() {
  LOCKED;
  return wait_for_all();
}

// Streams and events.
API cuStreamCreate(void** made, unsigned) {
  LOCKED;
  auto stream = std::make_shared<Stream>();
  streams[*made = stream.get()] = stream;
  return 0;
}
API cuStreamCreateWithPriority(void** made, unsigned flags, int) { return cuStreamCreate(made, flags); }
API cuStreamDestroy_v2(void* stream) {
  LOCKED;
  wait(stream_of(stream));
  return streams.erase(stream), 0;
}
API cuStreamSynchronize(void* stream) {
  LOCKED;
  return wait(stream_of(stream));
}
API cuStreamQuery(void* stream) {
  LOCKED;
  Stream& own = stream_of(stream);
  if (own.done == own.asked) return 0;
  return own.run_until(own.done + 1), NOT_READY;
}
API cuStreamIsCapturing(void* stream, int* status) {
  LOCKED;
  return *status = stream_of(stream).recorded != nullptr, 0;
}
API cuStreamWaitEvent(void* stream, Event* event, unsigned) {
  LOCKED;
  Stream& own = stream_of(stream);
  for (auto& [handle, each] : streams) {
    if (event->recorded && each->recorded == event->recorded) return own.recorded = event->recorded, 0;  // it joins the capture
  }
  if (own.recorded) return OUTSIDE_OF_CAPTURE;
  if (!event->stream) return 0;
  return put(stream, [other = event->stream, position = event->position] { other->run_until(position); });
}
API cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  LOCKED;
  return put(stream, [=] { function(data); });
}
API cuEventCreate(Event** event, unsigned) { return *event = new Event, 0; }
API cuEventRecord(Event* event, void* stream) {
  LOCKED;
  auto& own = streams.at(stream);
  return *event = {own, own->asked, own->recorded}, 0;
}
API cuEventSynchronize(Event* event) {
  LOCKED;
  if (event->recorded) return NOT_WHILE_CAPTURED;
  if (event->stream) event->stream->run_until(event->position);
  return 0;
}
API cuEventQuery(Event* event) {
  LOCKED;
  if (!event->stream || event->stream->done >= event->position) return 0;
  return event->stream->run_until(event->stream->done + 1), NOT_READY;
}
API cuEventElapsedTime_v2(float* ms, Event* from, Event* to) {
  LOCKED;
  for (Event* each : {from, to}) {
    if (each->stream && each->stream->done < each->position) return NOT_READY;
  }
  return *ms = 1, 0;
}
API cuEventElapsedTime(float* ms, Event* from, Event* to) { return cuEventElapsedTime_v2(ms, from, to); }
API cuEventDestroy_v2(Event* event) {
  LOCKED;
  return delete event, 0;
}

// Memory.
API cuMemGetInfo_v2(size_t* free, size_t* total) {
  LOCKED;
  return *total = memory(), *free = memory() - in_use, 0;
}
API cuMemAlloc_v2(void** at, size_t bytes) { return allocate(at, bytes); }
API cuMemAllocAsync(void** at, size_t bytes, void*) { return allocate(at, bytes); }
API cuMemFree_v2(void* at) {
  LOCKED;
  int waited = wait_for_all();
  return poison(at, give_back(at)), waited;
}
API cuMemFreeAsync(void* at, void* stream) {
  LOCKED;
  if (stream_of(stream).recorded) return NOT_WHILE_CAPTURED;
  size_t bytes = give_back(at);
  return put(stream, [=] { poison(at, bytes); });
}
API cuMemHostAlloc(void** at, size_t bytes, unsigned) {
  LOCKED;
  *at = emu::poisoned(bytes);
  return pinned[static_cast<char*>(*at)] = bytes, 0;
}
API cuMemAllocHost_v2(void** at, size_t bytes) { return cuMemHostAlloc(at, bytes, 0); }
API cuMemFreeHost(void* at) {
  LOCKED;
  if (!pinned.erase(static_cast<char*>(at))) return INVALID_VALUE;
  return std::free(at), 0;
}
API cuMemHostRegister_v2(void* at, size_t bytes, unsigned) {
  LOCKED;
  return pinned[static_cast<char*>(at)] = bytes, 0;
}
API cuMemHostUnregister(void* at) {
  LOCKED;
  return pinned.erase(static_cast<char*>(at)) ? 0 : INVALID_VALUE;
}
API cuMemsetD8Async(void* at, unsigned char byte, size_t bytes, void* stream) {
  LOCKED;
  return put(stream, [=] { std::memset(at, byte, bytes); });
}
API cuMemsetD32Async(unsigned* at, unsigned word, size_t count, void* stream) {
  LOCKED;
  return put(stream, [=] { std::fill(at, at + count, word); });
}
API cuMemsetD8_v2(void* at, unsigned char byte, size_t bytes) { return std::memset(at, byte, bytes), 0; }
API cuMemcpyHtoDAsync_v2(void* to, const void* from, size_t bytes, void* stream) {
  LOCKED;
  counts.copies_there++;
  // What isn't pinned is read at once, and can't be captured.
  if (is_pinned(from)) return put(stream, [=] { std::memcpy(to, from, bytes); });
  if (stream_of(stream).recorded) return NOT_WHILE_CAPTURED;
  std::vector<char> kept(static_cast<const char*>(from), static_cast<const char*>(from) + bytes);
  return put(stream, [=] { std::memcpy(to, kept.data(), kept.size()); });
}
API cuMemcpyDtoHAsync_v2(void* to, const void* from, size_t bytes, void* stream) {
  LOCKED;
  counts.copies_back++, counts.bytes_back += bytes;
  // What isn't pinned is written before this returns, as CUDA promises and cudarc's `clone_dtoh` needs.
  if (is_pinned(to)) return put(stream, [=] { std::memcpy(to, from, bytes); });
  if (stream_of(stream).recorded) return NOT_WHILE_CAPTURED;
  put(stream, [=] { std::memcpy(to, from, bytes); });
  return wait(stream_of(stream));
}
API cuMemcpyDtoDAsync_v2(void* to, const void* from, size_t bytes, void* stream) {
  LOCKED;
  return put(stream, [=] { std::memmove(to, from, bytes); });
}
// These are the default stream's work.
static int copy_now(void* to, const void* from, size_t bytes) {
  LOCKED;
  int waited = wait(stream_of(nullptr));
  return std::memmove(to, from, bytes), waited;
}
API cuMemcpyHtoD_v2(void* to, const void* from, size_t bytes) { return copy_now(to, from, bytes); }
API cuMemcpyDtoH_v2(void* to, const void* from, size_t bytes) { return copy_now(to, from, bytes); }
API cuMemcpyDtoD_v2(void* to, const void* from, size_t bytes) { return copy_now(to, from, bytes); }

// Modules and kernels.
API cuModuleLoadData(std::shared_ptr<Module>** made, const void* image) {
  LOCKED;
  auto module = Module::load(static_cast<const char*>(image));
  return module ? (*made = new std::shared_ptr<Module>(module), 0) : INVALID_IMAGE;
}
API cuModuleUnload(std::shared_ptr<Module>* module) {
  LOCKED;
  return delete module, 0;
}
API cuModuleGetFunction(Kernel** function, std::shared_ptr<Module>* module, const char* name) {
  LOCKED;
  auto found = (*module)->kernels.find(name);
  return found == (*module)->kernels.end() ? NOT_FOUND : (*function = &found->second, 0);
}
API cuFuncSetAttribute(Kernel* kernel, int attribute, int value) {
  LOCKED;
  if (attribute != 8) return 0;
  if (value < 0 || unsigned(value) > MOST_SHARED) return INVALID_VALUE;
  return kernel->shared_allowed = value, 0;
}
API cuFuncGetAttribute(int* value, int attribute, Kernel* kernel) {
  return *value = attribute == 0 ? kernel->entry->threads : attribute == 8 ? kernel->shared_allowed : 0, 0;
}
API cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel*, int, size_t) { return *blocks = 2, 0; }
API cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, Kernel*, int, size_t, unsigned) { return *blocks = 2, 0; }

static void bad_access(int) {
  for (const char* text : {"FAILED ", emu::running, ": touches memory that isn't there\n"}) {
    if (write(1, text, std::strlen(text)) < 0) break;
  }
  _exit(3);
}

static void run_kernel(const Kernel& kernel, dim3 grid, dim3 block, unsigned shared, std::vector<std::vector<char>>& arguments) {
  std::vector<void*> pointers;
  for (auto& argument : arguments) pointers.push_back(argument.data());
  emu::Order orders[] = {emu::Order::random, emu::Order::reverse, emu::Order::forward};
  unsigned n = launches++;
  emu::running = kernel.entry->name;
  struct sigaction ours = {}, before;
  ours.sa_handler = bad_access;
  ours.sa_flags = SA_ONSTACK;
  sigaction(SIGSEGV, &ours, &before);
  emu::launch(grid, block, shared, orders[n % 3], n, [&] { kernel.entry->run(pointers.data()); });
  sigaction(SIGSEGV, &before, nullptr);
}

API cuLaunchKernel(Kernel* kernel, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void* stream, void** arguments, void**) {
  LOCKED;
  unsigned threads = bx * by * bz;
  if (gx == 0 || gy == 0 || gz == 0 || gx > 0x7fffffff || gy > 65535 || gz > 65535) return INVALID_VALUE;
  if (threads == 0 || threads > 1024 || shared > kernel->shared_allowed) return INVALID_VALUE;
  // A kernel of this project runs with just the threads that its declaration names.
  if (threads > kernel->entry->threads || (kernel->entry->exactly && threads != kernel->entry->threads)) return TOO_MANY_THREADS;
  asked_for++, counts.kernels++;
  std::vector<std::vector<char>> kept;
  for (size_t i = 0; i < kernel->entry->arguments; i++) {
    auto start = static_cast<char*>(arguments[i]);
    kept.emplace_back(start, start + kernel->entry->sizes[i]);
  }
  // The module stays while the work does.
  return put(stream, [=, module = kernel->module->shared_from_this()]() mutable {
    run_kernel(*kernel, {gx, gy, gz}, {bx, by, bz}, shared, kept);
  });
}

// Graphs.
API cuStreamBeginCapture_v2(void* stream, int) {
  LOCKED;
  Stream& own = stream_of(stream);
  if (own.recorded || !stream) return ILLEGAL_STATE;
  return own.recorded = std::make_shared<Works>(), 0;
}
API cuStreamEndCapture(void* stream, std::shared_ptr<Works>** graph) {
  LOCKED;
  auto recorded = stream_of(stream).recorded;
  if (!recorded) return ILLEGAL_STATE;
  for (auto& [handle, each] : streams) {
    if (each->recorded == recorded) each->recorded = nullptr;
  }
  return *graph = new std::shared_ptr<Works>(recorded), 0;
}
API cuGraphInstantiateWithFlags(std::shared_ptr<Works>** made, std::shared_ptr<Works>* graph, unsigned long long) {
  return *made = new std::shared_ptr<Works>(*graph), 0;
}
API cuGraphUpload(void*, void*) { return 0; }
API cuGraphLaunch(std::shared_ptr<Works>* graph, void* stream) {
  LOCKED;
  asked_for++, counts.graphs++;
  return put(stream, [works = *graph] {
    for (Work& work : *works) work();
  });
}
API cuGraphDestroy(std::shared_ptr<Works>* graph) {
  LOCKED;
  return delete graph, 0;
}
API cuGraphExecDestroy(std::shared_ptr<Works>* graph) {
  LOCKED;
  return delete graph, 0;
}
