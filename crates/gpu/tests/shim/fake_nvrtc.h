// The part of fake_cuda.cpp that compiles: NVRTC, and modules as the driver loads them.
//
// A source becomes a shared library, by the system's C++ compiler (CXX, or g++) with shim.h in front. It is preprocessed
// first, so that the kernels are found whatever macros made them; a table of them is put behind it. The binary that NVRTC
// hands out is that library, after a head with its length. Libraries are kept in the folder FAKE_NVRTC_CACHE, or else in
// `modules` beside this library. With FAKE_NVRTC_FAILS nothing compiles.
#pragma once
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <fstream>
#include <set>
#include <sstream>

// The text of shim.h.
asm(R"(
.pushsection .rodata
.globl shim_text
.hidden shim_text
shim_text:
.incbin "shim.h"
.byte 0
.popsection
)");
extern "C" __attribute__((visibility("hidden"))) const char shim_text[];

namespace {
// How modules are compiled. What a kernel would do with an exception is nobody's concern.
const std::string FLAGS = "-std=c++20 -w -fno-exceptions -fno-rtti -fno-asynchronous-unwind-tables";
const std::string LINKED = " -shared -fPIC -fvisibility=hidden -fno-gnu-unique ";

std::string optimised() {
  const char* level = std::getenv("FAKE_NVRTC_LEVEL");
  return level ? std::string(" -O") + level : " -O1";
}

uint64_t hash_of(const std::string& text, uint64_t hash = 0xcbf29ce484222325) {
  for (unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

// A binary's first bytes.
struct Head {
  char magic[8];
  uint64_t shim, bytes;
};
constexpr char MAGIC[9] = "FAKECUBI";

struct Module;
struct Kernel {
  const emu::Entry* entry;
  Module* module;
  unsigned shared_allowed = 48 << 10;
};

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}
bool write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  return bool(file);
}

// A folder of its own, removed with this.
struct Scratch {
  std::string path;
  Scratch() {
    const char* folder = std::getenv("TMPDIR");
    path = std::string(folder ? folder : "/tmp") + "/fake-cuda-XXXXXX";
    if (!mkdtemp(path.data())) emu::fail("no temporary folder");
  }
  ~Scratch() {
    for (const char* name : {"module.cu.cpp", "module.cpp", "module.so", "log"}) unlink((path + "/" + name).c_str());
    rmdir(path.c_str());
  }
};

struct Module : std::enable_shared_from_this<Module> {
  void* library = nullptr;
  std::map<std::string, Kernel> kernels;

  ~Module() {
    if (library) dlclose(library);
  }

  static std::shared_ptr<Module> load(const char* image) {
    Head head;
    std::memcpy(&head, image, sizeof head);
    if (std::memcmp(head.magic, MAGIC, 8) != 0 || head.shim != hash_of(shim_text)) return nullptr;
    Scratch scratch;
    std::string path = scratch.path + "/module.so";
    if (!write_file(path, std::string(image + sizeof head, head.bytes))) return nullptr;
    auto module = std::make_shared<Module>();
    module->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!module->library) return std::fprintf(stderr, "fake driver: %s\n", dlerror()), nullptr;
    auto start = reinterpret_cast<void (*)(const emu::Host*)>(dlsym(module->library, "fake_start"));
    auto entries = static_cast<const emu::Entry*>(dlsym(module->library, "fake_kernels"));
    if (!start || !entries) return nullptr;
    emu::Host host = emu::host_of_fibers();
    start(&host);
    for (const emu::Entry* each = entries; each->name; each++) module->kernels[each->name] = {each, module.get()};
    return module;
  }
};

// The kernels that a preprocessed text declares, as lines of the table.
std::string table_of(const std::string& text) {
  std::string table;
  std::set<std::string> names;
  auto is_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  size_t at = 0;
  while ((at = text.find("FAKE_GLOBAL", at)) != std::string::npos) {
    at += std::strlen("FAKE_GLOBAL");
    std::string threads = "1024", exactly = "false", name;
    while (at < text.size()) {
      if (std::isspace(static_cast<unsigned char>(text[at]))) {
        at++;
        continue;
      }
      if (text[at] == '#') {  // where the line came from
        at = std::min(text.find('\n', at), text.size());
        continue;
      }
      size_t start = at;
      while (at < text.size() && is_word(text[at])) at++;
      std::string word = text.substr(start, at - start);
      if (word == "FAKE_EXACTLY" || word == "FAKE_AT_MOST") {
        start = at = text.find('(', at);
        int depth = 0;
        for (; at < text.size(); at++) {
          depth += (text[at] == '(') - (text[at] == ')');
          if (depth == 0) break;
        }
        if (at++ >= text.size()) break;
        threads = text.substr(start, at - start);
        exactly = word == "FAKE_EXACTLY" ? "true" : "false";
      } else if (word.empty()) {
        break;
      } else if (word != "void" && word != "static") {
        name = word;
        break;
      }
    }
    if (name.empty() || !names.insert(name).second) continue;
    table += "  emu::Of<&::" + name + ">::entry(\"" + name + "\", emu::first" + (threads[0] == '(' ? threads : "(" + threads + ")") +
             ", " + exactly + "),\n";
  }
  return table;
}

std::string quoted(const std::string& word) {
  std::string made = "'";
  for (char c : word) made += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return made + "'";
}

struct Compiling {
  std::string text, name, log, binary;

  // The compiler's words go to the log.
  bool run(const std::string& command, const Scratch& scratch) {
    int status = std::system((command + " >" + quoted(scratch.path + "/log") + " 2>&1").c_str());
    if (status == 0) return true;
    log = read_file(scratch.path + "/log");
    if (log.empty()) log = "the compiler can't be run: " + command;
    return false;
  }

  bool compile(const std::string& compiler, const std::string& defines) {
    Scratch scratch;
    std::string whole = "#line 1 \"shim.h\"\n" + std::string(shim_text) + "\n#line 1 \"" + name + "\"\n" + text;
    std::string first = scratch.path + "/module.cu.cpp", second = scratch.path + "/module.cpp", made = scratch.path + "/module.so";
    if (!write_file(first, whole)) return log = "the temporary folder is full", false;
    if (!run(compiler + " " + FLAGS + " -E" + defines + " " + quoted(first) + " -o " + quoted(second), scratch)) return false;
    whole = read_file(second);
    whole += "\n#line 1 \"table of kernels\"\n"
             "#define EXPORTED extern \"C\" __attribute__((visibility(\"default\")))\n"
             "EXPORTED void fake_start(const emu::Host* host) { emu::host = *host; }\n"
             "EXPORTED const emu::Entry fake_kernels[] = {\n" + table_of(whole) + "  {}};\n";
    write_file(second, whole);
    std::string words = " -DFAKE_GLOBAL= '-DFAKE_EXACTLY(...)=' '-DFAKE_AT_MOST(...)=' ";
    if (!run(compiler + " " + FLAGS + optimised() + LINKED + words + quoted(second) + " -o " + quoted(made), scratch)) return false;
    std::string library = read_file(made);
    Head head = {{}, hash_of(shim_text), library.size()};
    std::memcpy(head.magic, MAGIC, 8);
    binary = std::string(reinterpret_cast<char*>(&head), sizeof head) + library;
    return true;
  }

  bool compile_once(const std::string& defines) {
    const char* named = std::getenv("CXX");
    std::string compiler = named ? named : "g++";
    std::string folder = cache();
    if (folder.empty()) return compile(compiler, defines);
    std::string key = compiler + "\n" + FLAGS + optimised() + LINKED + defines + "\n" + name + "\n" + shim_text + "\n" + text;
    char hashed[40];
    std::snprintf(hashed, sizeof hashed, "/%016lx%016lx", long(hash_of(key)), long(hash_of(key, 0x9e3779b97f4a7c15)));
    std::string kept = folder + hashed;
    // One compiles, others wait: another process may want the same.
    int lock = open((kept + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (lock >= 0) flock(lock, LOCK_EX);
    binary = read_file(kept);
    bool done = !binary.empty() || compile(compiler, defines);
    std::string fresh = kept + "." + std::to_string(getpid());
    if (done && access(kept.c_str(), R_OK) != 0 && write_file(fresh, binary)) rename(fresh.c_str(), kept.c_str());
    if (lock >= 0) close(lock);
    return done;
  }

  // Where binaries are kept; empty if nowhere.
  static std::string cache() {
    const char* named = std::getenv("FAKE_NVRTC_CACHE");
    std::string folder = named ? named : "";
    Dl_info own;
    if (!named && dladdr(shim_text, &own) && own.dli_fname) {
      std::string path = own.dli_fname;
      folder = path.substr(0, path.rfind('/') + 1) + "modules";
    }
    mkdir(folder.c_str(), 0777);
    return access(folder.c_str(), W_OK) == 0 ? folder : "";
  }
};
}  // namespace

// No real NVRTC has such a version, so a cache of compiled kernels doesn't mix the two; nor those of two shims.
API nvrtcVersion(int* major, int* minor) { return *major = 13, *minor = 100000 + hash_of(shim_text) % 100000, 0; }
API nvrtcCreateProgram(Compiling** program, const char* source, const char* name, int headers, const char* const*,
                       const char* const*) {
  if (headers != 0) return 3;
  return *program = new Compiling{source, name ? name : "default_program", "", ""}, 0;
}
API nvrtcCompileProgram(Compiling* program, int count, const char* const* options) {
  std::string defines;
  bool for_this_card = false;
  for (std::string option : std::vector<std::string>(options, options + count)) {
    bool known = option == "-default-device" || option == "--use_fast_math" || option == "-lineinfo";
    for (const char* start : {"--std=", "-D", "--gpu-architecture=", "--fmad=", "--ftz=", "--prec-div=", "--prec-sqrt=", "--maxrregcount="}) {
      known = known || option.rfind(start, 0) == 0;
    }
    if (!known) return program->log = "fake: unrecognized option " + option, 5;
    if (option.rfind("-D", 0) == 0) defines += " " + quoted(option);
    for_this_card = for_this_card || option == "--gpu-architecture=sm_90";
  }
  if (setting("FAKE_NVRTC_FAILS", 0)) return program->log = "fake", 6;
  if (!for_this_card) return program->log = "fake: the card wants --gpu-architecture=sm_90", 6;
  std::istringstream lines(program->text);
  for (std::string line; std::getline(lines, line);) {
    // NVRTC finds no headers by itself.
    if (line.rfind("#include", 0) == 0) return program->log = "fake: there is nothing to include: " + line, 6;
  }
  return program->compile_once(defines) ? 0 : 6;
}
API nvrtcGetProgramLogSize(Compiling* program, size_t* bytes) { return *bytes = program->log.size() + 1, 0; }
API nvrtcGetProgramLog(Compiling* program, char* log) {
  return std::memcpy(log, program->log.c_str(), program->log.size() + 1), 0;
}
API nvrtcGetCUBINSize(Compiling* program, size_t* bytes) { return *bytes = program->binary.size(), 0; }
API nvrtcGetCUBIN(Compiling* program, char* binary) {
  return std::memcpy(binary, program->binary.data(), program->binary.size()), 0;
}
API nvrtcGetPTXSize(Compiling* program, size_t* bytes) { return nvrtcGetCUBINSize(program, bytes); }
API nvrtcGetPTX(Compiling* program, char* binary) { return nvrtcGetCUBIN(program, binary); }
API nvrtcDestroyProgram(Compiling** program) { return delete *program, *program = nullptr, 0; }
