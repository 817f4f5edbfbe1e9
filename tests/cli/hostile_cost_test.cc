// What a big or hostile input may cost: memory held down by RLIMIT_AS in a child process, processor
// time that grows with the size and not with its square.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <fstream>
#include <functional>

#include "base/file.h"
#include "harness/coordinator/messages.h"
#include "harness/coordinator/wire.h"
#include "harness/suite/suite.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/safetensors.h"
#include "runner/checkpoint/shards.h"
#include "runner/tokenizer/tokenizer.h"
#include "tasks/data_file.h"
#include "tests/harness/coordinator_fixture.h"

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

std::string Times(const std::string& text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

/// The header of a safetensors file and its length.
std::string WithLength(std::string header) {
  header.append((8 - header.size() % 8) % 8, ' ');
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file + header;
}

std::string Safetensors(int count) {
  return WithLength(Repeat("{", R"("t{0}":{{"dtype":"F32","shape":[1],"data_offsets":[{1},{2}]}})",
                           count, "}")) +
         std::string(static_cast<std::size_t>(count) * 4, '\1');
}

/// So many log-likelihoods, ten an answer.
std::string Answers(int count) {
  v1::SubmitRequest request;
  request.set_worker_name("w");
  request.set_incarnation("1");
  for (int i = 0; i < count; ++i) {
    if (i % 10 == 0) request.add_responses()->set_key("key" + std::to_string(i));
    v1::Response& response = *request.mutable_responses(i / 10);
    response.add_loglikelihoods(-i);
    response.add_is_greedy(true);
  }
  return request.SerializeAsString();
}

/// As many answers as a message may have, with times of one byte: four in memory, in a field that
/// doubles.
std::string AnswersOfTimes(int count) {
  v1::SubmitRequest request;
  request.set_worker_name("w");
  request.set_incarnation("1");
  for (int i = 0; i < kMessageAnswerLimit; ++i) {
    v1::Response& response = *request.add_responses();
    response.set_key("k");
    for (int j = 0; j < 10 * count / kMessageAnswerLimit; ++j) response.add_inter_token_us(1);
    response.set_generated_tokens(response.inter_token_us_size() + 1);
  }
  return request.SerializeAsString();
}

/// A database of so many answers, as bytes.
std::string DatabaseOf(int count) {
  testing::StoredRun run(count);
  std::vector<std::int64_t> ids;
  std::vector<std::pair<std::int64_t, ResponseRow>> answers;
  for (int i = 0; i < count; ++i) {
    v1::Response answer;
    answer.set_key("key" + std::to_string(i));
    for (const double value : {-1.0, -2.0}) {
      answer.add_loglikelihoods(value);
      answer.add_is_greedy(true);
    }
    ids.push_back(i + 1);
    answers.emplace_back(i + 1, FromWire(answer, "w"));
  }
  EXPECT_TRUE(run.store().RecordWorker(run.run(), "w", "1", "{}").ok());
  const auto lease = run.store().GrantLease(run.run(), "w", "1", ids);
  EXPECT_TRUE(
      lease.ok() &&
      run.store().SubmitResponses(lease->lease_id, lease->attempt, "1", answers, true).ok());
  testing::Sql(run.folder() / "run.db", "PRAGMA wal_checkpoint(TRUNCATE)");
  return ReadFile(run.folder() / "run.db").value();
}

void ReadDatabase(const std::string& bytes) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("h1bench-cost-" + std::to_string(getpid()));
  std::ofstream(file, std::ios::binary) << bytes;
  const auto store = Store::Open(file, Store::Mode::kReadOnly);
  if (store.ok())
    (void)(*store)->ForEachSample(
        1, [](const VariantRow&, const RunTaskRow&, const SampleRow&, const ResponseRow*,
              const ScoreRow*) { return Status::Ok(); });
  std::filesystem::remove(file);
}

void ParseTensors(const std::string& text) {
  (void)ParseSafetensors(std::as_bytes(std::span(text)), "f");
}
void ParseIndex(const std::string& text) { (void)ParseShardIndex(text, "f"); }
void ParseSuiteText(const std::string& text) { (void)ParseSuite(text, "f"); }
void ParseRows(const std::string& text) { (void)tasks::ParseCsv(text, "f", 2); }
void ParseMessage(const std::string& text) {
  v1::SubmitRequest request;
  if (ReadMessage(text, request).ok()) (void)CheckMessage(request);
}

const std::vector<Parser>& Parsers() {
  static const std::vector<Parser> parsers = {
      {"safetensors", Safetensors, ParseTensors, 0},
      {"index",
       [](int n) { return Repeat("{\"weight_map\":{", R"("t{0}":"a.safetensors")", n, "}}"); },
       ParseIndex, 32},
      {"config", [](int n) { return Repeat("{", R"("k{0}":[1,2,3,4])", n, "}"); },
       [](const std::string& t) { (void)ParseModelConfig(t, "f"); }, 64},
      {"tokenizer",
       [](int n) {
         return Repeat(R"({"version":"1.0","model":{"type":"BPE","merges":[],"vocab":{)",
                       R"("w{0}":{0})", n, "}}}");
       },
       [](const std::string& t) { (void)Tokenizer::Parse(t, "f"); }, 128},
      {"suite", [](int n) { return Repeat("tasks: [", "mmlu", n, "]\n"); }, ParseSuiteText, 128},
      {"rows", [](int n) { return Times("\"a \"\"b\"\"\n\",c\n", n); }, ParseRows, 64},
      {"JSON rows", [](int n) { return Times("{\"key\":\"a\",\"n\":[0,1]}\n", n); },
       [](const std::string& t) { (void)tasks::ParseJsonLines(t, "f", {"key"}); }, 64},
      {"message", Answers, ParseMessage, 16},
      {"database", DatabaseOf, ReadDatabase, 0},
  };
  return parsers;
}

/// The least bytes for the most memory. What is behind them is refused when a limit is reached.
const std::vector<Parser>& Bombs() {
  static const std::vector<Parser> bombs = {
      {"tensors without fields",
       [](int n) { return WithLength(Repeat("{", "\"t{0}\":{{}}", 10 * n, "}")); }, ParseTensors,
       0},
      {"many tensors", [](int n) { return Safetensors(6 * n); }, ParseTensors, 0},
      {"index of numbers", [](int n) { return "{\"weight_map\":[" + Times("0,", 200 * n) + "0]}"; },
       ParseIndex, 20},
      {"suite of letters", [](int n) { return "tasks: [" + Times("a,", 12 * n) + "a]\n"; },
       ParseSuiteText, 64},
      {"a row of commas", [](int n) { return Times(",", 100 * n) + "\n"; }, ParseRows, 0},
      {"rows of nothing", [](int n) { return Times(",\n", 150 * n); }, ParseRows, 28},
      {"answers without content", [](int n) { return Times(std::string("\x2a\0", 2), 10 * n); },
       ParseMessage, 0},
      {"fields that nobody knows", [](int n) { return Times(std::string("\x7a\0", 2), 10 * n); },
       ParseMessage, 0},
      {"answers of times", AnswersOfTimes, ParseMessage, 16},
      {"lines of numbers",
       [](int n) { return Times("{\"key\":\"\",\"n\":[0" + Times(",0", 63) + "]}\n", 4 * n); },
       [](const std::string& t) { (void)tasks::ParseJsonLines(t, "f", {"key"}); }, 32},
      {"empty lines", [](int n) { return Times("\n", 1000 * n) + "{\"key\":\"\"}"; },
       [](const std::string& t) { (void)tasks::ParseJsonLines(t, "f", {"key"}); }, 0},
  };
  return bombs;
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
  for (const std::vector<Parser>* list : {&Parsers(), &Bombs()}) {
    for (const Parser& parser : *list) {
      const std::string text = parser.make(kElements * kTimes);
      EXPECT_TRUE(FitsInto(text.size() * parser.factor + kBound, [&] { parser.parse(text); }))
          << parser.name << ": more than " << parser.factor << " x " << text.size() << " bytes";
    }
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
