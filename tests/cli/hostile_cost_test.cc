// What a big or hostile input may cost: memory held down by RLIMIT_AS in a child process, processor
// time that grows with the size and not with its square.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <functional>

#include "harness/coordinator/messages.h"
#include "harness/suite/suite.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/safetensors.h"
#include "runner/checkpoint/shards.h"
#include "runner/tokenizer/tokenizer.h"
#include "tasks/data_file.h"

namespace h1bench {
namespace {

struct Parser {
  const char* name;
  std::function<std::string(int)> make;           // about so many elements
  std::function<void(const std::string&)> parse;  // refusing is as good as reading
  std::size_t factor;  // memory: at most this many times the input, and kBound
};
constexpr std::size_t kBound = std::size_t{32} << 20;
constexpr int kElements = 5000, kTimes = 8;

std::string Repeat(const std::string& head, const std::string& element, int count,
                   const std::string& tail) {
  std::string out = head;
  for (int i = 0; i < count; ++i) {
    if (i > 0) out += ",";
    out += fmt::format(fmt::runtime(element), i, 4 * i, 4 * i + 4);
  }
  return out + tail;
}

std::string Safetensors(int count) {
  std::string header =
      Repeat("{", R"("t{0}":{{"dtype":"F32","shape":[1],"data_offsets":[{1},{2}]}})", count, "}");
  header.append((8 - header.size() % 8) % 8, ' ');
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header + std::string(static_cast<std::size_t>(count) * 4, '\1');
}

std::string Answers(int count) {
  v1::SubmitRequest request;
  request.set_worker_name("w");
  request.set_incarnation("1");
  for (int i = 0; i < count; ++i) {
    v1::Response& response = *request.add_responses();
    response.set_key("key" + std::to_string(i));
    response.add_loglikelihoods(-i);
    response.add_is_greedy(true);
  }
  return request.SerializeAsString();
}

const std::vector<Parser>& Parsers() {
  static const std::vector<Parser> parsers = {
      {"safetensors", Safetensors,
       [](const std::string& t) { (void)ParseSafetensors(std::as_bytes(std::span(t)), "f"); }, 8},
      {"index",
       [](int n) { return Repeat("{\"weight_map\":{", R"("t{0}":"a.safetensors")", n, "}}"); },
       [](const std::string& t) { (void)ParseShardIndex(t, "f"); }, 32},
      {"config", [](int n) { return Repeat("{", R"("k{0}":[1,2,3,4])", n, "}"); },
       [](const std::string& t) { (void)ParseModelConfig(t, "f"); }, 64},
      {"tokenizer",
       [](int n) {
         return Repeat(R"({"version":"1.0","model":{"type":"BPE","merges":[],"vocab":{)",
                       R"("w{0}":{0})", n, "}}}");
       },
       [](const std::string& t) { (void)Tokenizer::Parse(t, "f"); }, 128},
      {"suite", [](int n) { return Repeat("tasks: [", "mmlu", n, "]\n"); },
       [](const std::string& t) { (void)ParseSuite(t, "f"); }, 256},
      {"rows",
       [](int n) {
         std::string out;
         for (int i = 0; i < n; ++i) out += "\"a \"\"b\"\"\n\",c\n";
         return out;
       },
       [](const std::string& t) { (void)tasks::ParseCsv(t, "f", 2); }, 64},
      {"message", Answers,
       [](const std::string& t) {
         v1::SubmitRequest request;
         if (request.ParseFromString(t)) (void)CheckMessage(request);
       },
       64},
  };
  return parsers;
}

std::size_t AddressSpace() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// True when `work` ends well with so much more memory than the process has.
bool FitsInto(std::size_t bytes, const std::function<void()>& work) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {AddressSpace() + bytes, AddressSpace() + bytes};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
    try {
      work();
    } catch (const std::bad_alloc&) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/// Processor seconds, the least of three.
double Cost(const std::function<void()>& work) {
  double best = 1e9;
  for (int i = 0; i < 3; ++i) {
    const std::clock_t before = std::clock();
    work();
    best = std::min(best, static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC);
  }
  return best;
}

TEST(HostileCost, MemoryStaysNearTheSizeOfTheInput) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's shadow memory does not fit under RLIMIT_AS";
#endif
  EXPECT_FALSE(FitsInto(kBound, [] {  // it can fail
    const std::vector<char> big(kBound * 4, 'x');
    if (big[big.size() / 2] != 'x') _exit(3);
  }));
  for (const Parser& parser : Parsers()) {
    const std::string text = parser.make(kElements * kTimes);
    EXPECT_TRUE(FitsInto(text.size() * parser.factor + kBound, [&] { parser.parse(text); }))
        << parser.name << ": more than " << parser.factor << " x " << text.size() << " bytes";
  }
}

TEST(HostileCost, TimeGrowsWithTheSize) {
  for (const Parser& parser : Parsers()) {
    const std::string small = parser.make(kElements), big = parser.make(kElements * kTimes);
    const double one = Cost([&] { parser.parse(small); }) + 1e-4;
    const double many = Cost([&] { parser.parse(big); });
    // Eight times the input: 8 when linear, 64 when quadratic.
    EXPECT_LT(many / one, 3.0 * kTimes) << parser.name << ": " << one << " s, then " << many;
  }
}

}  // namespace
}  // namespace h1bench
