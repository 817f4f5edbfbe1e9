#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"

/// Tasks are pure: documents in, requests out; responses in, scores out. They know nothing of
/// engines or stores.
namespace h1bench::tasks {

/// What the engine is asked about one document. With continuations: log-likelihoods; without:
/// generation.
struct Request {
  std::string context;
  std::vector<std::string> continuations;
  std::vector<std::string> stops;
  std::int64_t max_new_tokens = 0;
  double temperature = 0;
  double top_p = 1;
  bool add_bos = false;       // one in front of a text that does not begin with it
  bool bf16_softmax = false;  // log-probabilities in bf16, with its ties
};

struct Response {
  std::string text;
  std::vector<double> loglikelihoods;
  std::vector<bool> is_greedy;
};

/// One benchmark item.
struct Document {
  std::string subset;      // MMLU subject, niah cell ("4096/50"), else empty
  std::int64_t index = 0;  // row of the upstream file, from 0
  std::string id;          // upstream's own name (HumanEval/12), or empty; documents of a subset
                           // that share one are variants of one question
  std::string gold;        // reference answer, for people
  Json data;               // what scoring needs
  /// Context length that the prompt was made to fill, 0 when none. A model with a smaller limit is
  /// not asked: its score there is n/a, not that of a text cut short.
  std::int64_t fills_tokens = 0;
};

struct Score {
  std::string extracted;                               // the answer taken out of the response
  std::vector<std::pair<std::string, double>> scores;  // metric -> value, in a fixed order
  /// Code: pass, fail, timeout, memory, sandbox_error. A filter that hit its work limit:
  /// regex_limit. Else empty.
  std::string verdict;
  std::string detail;  // one line for people (exception, mismatch)
};

/// Number of tokens of a text, for tasks that fill a context length.
using TokenCounter = std::function<std::int64_t(std::string_view)>;
/// Bytes of a text that are left when its last `drop` tokens go; whole characters.
using TokenCutter = std::function<std::size_t(std::string_view text, std::int64_t drop)>;

/// A program and the tests that decide about it.
struct CodeJob {
  std::string program;      // untrusted: defines `entry_point`
  std::string prompt;       // the benchmark's own text: tests may use the helpers that it defines
  std::string tests;        // Python that defines check(candidate); reads `DATA`
  std::string entry_point;  // name of the function under test
  Json data;                // what the tests see as DATA
  double wall_seconds = 0;  // 0: the judge's default
  std::int64_t memory_bytes = std::int64_t{1} << 30;   // address space of the program
  std::int64_t message_bytes = std::int64_t{1} << 20;  // one call's arguments, or its result
};

/// Runs model-written code; implemented by tasks/sandbox. Thread-safe.
class CodeJudge {
 public:
  virtual ~CodeJudge() = default;
  /// The program is prompt + completion and defines `entry_point`; `tests` defines check(candidate)
  /// as HumanEval does and may use helpers of the prompt. verdict and detail are set, scores and
  /// extracted are not.
  virtual Score Judge(const std::string& prompt, const std::string& completion,
                      const std::string& tests, const std::string& entry_point) = 0;
  /// The general form. When check() returns a text, `extracted` is that text.
  virtual Score Run(const CodeJob& job);
  /// SHA-256 over everything that decides how the sandbox holds, stored with the run.
  virtual std::string profile() const { return ""; }
};

/// What a suite entry may say. -1 and empty mean the task's default.
struct TaskOptions {
  std::filesystem::path data;  // folder with the upstream files
  std::filesystem::path file;  // custom: the task file
  std::int64_t shots = -1;
  std::vector<std::string> subjects;  // mmlu; ruler: its tasks
  std::int64_t limit = -1;            // first documents of each subset
  std::int64_t max_new_tokens = -1;
  std::int64_t seed = 1234;
  std::int64_t repeats = 1;  // samples a document (pass@k); temperature must be > 0 when > 1
  double temperature = 0;
  double top_p = 1;
  std::int64_t fewshot_world_size = 1;  // reproduces lm-eval's draws on W ranks
  std::vector<std::int64_t> lengths;    // niah, ruler: context lengths in tokens
  std::vector<double> depths;           // niah: percent
  std::int64_t samples = -1;            // niah: needles a cell; ruler: samples a task and length
  std::string ruler_variant;            // nvidia or lm-eval
  std::string ruler_qa;                 // max or mean
  std::filesystem::path ruler_files;    // folder of upstream's JSON lines, instead of drawing
  std::string chat;    // "single" or "multiturn": the model's chat template; empty: none
  std::string system;  // a system prompt of the suite's own
  std::string bos, log_softmax, mmlu_prompt, mmlu_average, mmlu_anatomy;  // tasks/switches.h
  std::string gsm8k_compare, gsm8k_cot_dot, helmet_recall;
  TokenCounter count_tokens;  // niah, ruler, helmet, mmlu_prompt: original; thread-safe
  TokenCutter cut_tokens;     // helmet; thread-safe
  /// The model's context in tokens, 0 when not known. Of lengths beyond it niah and ruler draw
  /// nothing: nobody is asked, and what cannot exist there is no reason to refuse the others.
  std::int64_t max_length = 0;
  bool Holds(std::int64_t length) const { return max_length == 0 || length <= max_length; }
};

/// A task with its data read.
class Task {
 public:
  virtual ~Task() = default;
  virtual const std::vector<Document>& documents() const = 0;
  virtual Request BuildRequest(const Document& document) const = 0;
  /// `judge` is null unless needs_judge().
  virtual Score ScoreResponse(const Document& document, const Response& response,
                              CodeJudge* judge) const = 0;
  virtual bool needs_judge() const { return false; }
  /// SHA-256 over the data files read, hex.
  virtual std::string data_digest() const = 0;
  /// What a report must know, stored with the run: {"kind": "loglikelihood"|"generate_until",
  /// "shots": n, "primary": metric, "metrics": [..], "chance": x|null, "max_new_tokens": n (the
  /// planner's), "groups": {group: [subset..]}, "grid": {"lengths": [..], "depths": [..]},
  /// "by_length": {"lengths": [..], "threshold": percent, "categories": {category: [task..]}}
  /// (subsets are "LENGTH/TASK"), "version": n, "protocol": text}. "headline" says how the subsets
  /// combine: "micro" (over documents), "macro", "lm-eval" (over documents, with its pooled
  /// standard error) or "categories" (over lengths, of the mean over categories of their tasks).
  /// "partly_chat": true when only some prompts have the chat template; "code": code is judged.
  virtual Json Describe() const = 0;
};

/// Names of all tasks, sorted.
std::vector<std::string> TaskNames();
/// One line for --help.
std::string TaskSummary(const std::string& name);
/// Whether `name` is the path of a task file (docs/custom-tasks.md): it ends in .yaml or .yml.
bool IsTaskFile(const std::string& name);
/// The refusal of a name: "Did you mean", and the known ones.
Status UnknownTask(const std::string& name);
/// Reads the task's data and checks options; errors name file, row and what was expected. `name`
/// may be a task file; with "custom", options.file is one.
Result<std::unique_ptr<Task>> LoadTask(const std::string& name, const TaskOptions& options);

}  // namespace h1bench::tasks
