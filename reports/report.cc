#include "reports/report.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <map>
#include <numeric>
#include <set>

#include "base/text.h"

namespace h1bench::reports {
namespace {

using Labelled = std::vector<std::pair<std::string, double>>;

std::string Text(const Json& json, const char* key) {
  const Json* value = json.Find(key);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

std::int64_t Integer(const Json& json, const char* key) {
  const Json* value = json.Find(key);
  return value != nullptr && value->is_integer() ? value->as_int() : 0;
}

Result<ReportTask> MakeTask(const RunTaskRow& row) {
  ReportTask task;
  task.id = row.id;
  task.name = row.name;
  task.task = row.task;
  task.data_digest = row.data_digest;
  auto describe = ParseJson(row.describe_json);
  if (!describe.ok())
    return describe.status().WithContext("run_tasks.describe_json of " + row.name);
  task.describe = std::move(*describe);
  task.kind = Text(task.describe, "kind");
  task.primary = Text(task.describe, "primary");
  task.protocol = Text(task.describe, "protocol");
  task.headline = Text(task.describe, "headline");
  task.shots = Integer(task.describe, "shots");
  if (auto options = ParseJson(row.options_json); options.ok()) {
    task.wants_bos = Text(*options, "bos") == "once" || !Text(*options, "chat").empty();
    task.options = std::move(*options);
  }
  const Json* chance = task.describe.Find("chance");
  if (chance != nullptr && chance->is_number()) task.chance = chance->as_double();
  return task;
}

ReportVariant MakeVariant(const VariantRow& row, std::size_t tasks) {
  ReportVariant variant;
  variant.id = row.id;
  variant.name = row.model_name;
  variant.precision = row.precision;
  variant.digest = row.model_digest;
  variant.parameters = row.parameters;
  variant.weight_bytes = row.weight_bytes;
  variant.max_length = row.max_length;
  if (const auto config = ParseJson(row.config_json); config.ok()) {
    const Json* bos = config->Find("bos_token_id");
    if (bos != nullptr && bos->is_integer()) variant.bos_id = bos->as_int();
  }
  variant.cells.resize(tasks);
  return variant;
}

using Document = std::pair<std::string, std::int64_t>;  // subset, index

/// Repeats of a document are one observation: counting them apart would narrow every interval.
struct Repeats {
  double sum = 0;
  std::int64_t n = 0, passed = 0;
  double mean() const { return sum / static_cast<double>(n); }
};

/// What is collected of one cell while the samples stream by.
struct Gathered {
  std::map<std::string, std::map<Document, Repeats>> metrics;
  std::map<std::string, std::int64_t> verdicts;

  /// The means by document with their subsets; empty for a metric that nobody scored.
  Labelled Values(const std::string& metric) const {
    Labelled values;
    const auto found = metrics.find(metric);
    if (found == metrics.end()) return values;
    for (const auto& [document, repeats] : found->second)
      values.emplace_back(document.first, repeats.mean());
    return values;
  }
};

/// What is known of a GPU while the engine ran, in words (members: runner/worker/telemetry.h).
std::string GpuSentence(const Json& gpu) {
  const Json* name = gpu.Find("name");
  std::string out = name != nullptr && name->is_string() ? name->as_string() : "GPU";
  const auto add = [&](const char* key, const char* label, const char* unit, double scale) {
    const Json* value = gpu.Find(key);
    if (value != nullptr && value->is_number())
      out += fmt::format(", {}{:.1f} {}", label, value->as_double() * scale, unit);
  };
  add("seconds", "", "s in the engine", 1);
  add("joules", "", "J", 1);
  add("mean_watts", "mean ", "W", 1);
  add("peak_watts", "peak ", "W", 1);
  add("sm_clock_min_mhz", "SM clock from ", "MHz", 1);
  add("sm_clock_max_mhz", "to ", "MHz", 1);
  add("celsius_max", "at most ", "°C", 1);
  add("memory_max", "at most ", "GB of memory in use", 1e-9);
  const Json* counter = gpu.Find("energy_counter");
  if (counter != nullptr && counter->is_bool() && !counter->as_bool())
    out += "; energy from sampled power, the card has no counter";
  const Json* foreign = gpu.Find("foreign_processes");
  if (foreign != nullptr && foreign->is_array() && !foreign->as_array().empty())
    out += fmt::format("; {} other process(es) computed on it: the figures are theirs too",
                       foreign->as_array().size());
  return out;
}

class Builder {
 public:
  Builder(Store& store, const ReportOptions& options) : store_(store), options_(options) {}

  Result<Report> Build(std::int64_t run) {
    H1_RETURN_IF_ERROR(ReadRun(run));
    H1_RETURN_IF_ERROR(ReadSamples());
    for (std::size_t v = 0; v < report_.variants.size(); ++v) {
      for (std::size_t t = 0; t < report_.tasks.size(); ++t) FinishCell(v, t);
      FinishVariant(report_.variants[v]);
    }
    H1_RETURN_IF_ERROR(ReadMemory());
    Rank();
    H1_RETURN_IF_ERROR(DescribeMethods());
    CollectWarnings();
    return std::move(report_);
  }

 private:
  Status ReadRun(std::int64_t run) {
    H1_ASSIGN_OR_RETURN(run_, store_.GetRun(run));
    report_.run = run_.id;
    report_.title = run_.name;
    report_.description = run_.description;
    report_.state = run_.state;
    report_.suite_text = run_.suite_text;
    report_.seed = run_.seed;
    report_.timing = options_.timing;
    H1_ASSIGN_OR_RETURN(const std::vector<RunTaskRow> tasks, store_.Tasks(run_.id));
    for (const RunTaskRow& row : tasks) {
      H1_ASSIGN_OR_RETURN(ReportTask task, MakeTask(row));
      report_.tasks.push_back(std::move(task));
    }
    H1_ASSIGN_OR_RETURN(const std::vector<VariantRow> variants, store_.Variants(run_.id));
    for (const VariantRow& row : variants)
      report_.variants.push_back(MakeVariant(row, report_.tasks.size()));
    gathered_.assign(variants.size(), std::vector<Gathered>(tasks.size()));
    shown_.assign(variants.size(), std::vector<std::vector<ReportSample>>(tasks.size()));
    H1_ASSIGN_OR_RETURN(const std::vector<std::int64_t> poisoned, store_.PoisonedSamples(run_.id));
    poisoned_.insert(poisoned.begin(), poisoned.end());
    return Status::Ok();
  }

  template <typename Rows>
  static std::size_t PlaceOf(const Rows& rows, std::int64_t id) {
    return static_cast<std::size_t>(
        std::find_if(rows.begin(), rows.end(), [&](const auto& row) { return row.id == id; }) -
        rows.begin());
  }

  Status ReadSamples() {
    H1_RETURN_IF_ERROR(store_.ForEachSample(
        run_.id, [&](const VariantRow& variant, const RunTaskRow& task, const SampleRow& sample,
                     const ResponseRow* response, const ScoreRow* score) {
          const std::size_t v = PlaceOf(report_.variants, variant.id),
                            t = PlaceOf(report_.tasks, task.id);
          ++report_.samples_total;
          Cell& cell = report_.variants[v].cells[t];
          ++cell.samples;
          if (poisoned_.count(sample.id) != 0) ++cell.poisoned;
          if (response != nullptr) {
            CountResponse(sample, *response, report_.tasks[t], cell);
            CountBos(*response, report_.variants[v].bos_id, report_.tasks[t].wants_bos, cell);
          }
          const bool failed =
              poisoned_.count(sample.id) != 0 || (response != nullptr && !response->error.empty());
          if (score == nullptr && failed)
            CountScore(sample, Wrong(report_.tasks[t]), cell, gathered_[v][t]);
          if (score != nullptr) {
            CountScore(sample, *score, cell, gathered_[v][t]);
            scorer_version_ = std::max(scorer_version_, score->version);
          }
          if (response != nullptr || score != nullptr) Show(v, t, sample, response, score);
          return Status::Ok();
        }));
    for (auto& row : shown_) {
      for (auto& samples : row) {
        std::move(samples.begin(), samples.end(), std::back_inserter(report_.samples));
      }
    }
    return Status::Ok();
  }

  void CountResponse(const SampleRow& sample, const ResponseRow& response, const ReportTask& task,
                     Cell& cell) const {
    cell.prompt_tokens += response.prompt_tokens;
    cell.generated_tokens += response.generated_tokens;
    cell.errors += response.error.empty() ? 0 : 1;
    cell.truncated += response.truncated_tokens > 0 ? 1 : 0;
    cell.empty +=
        task.kind == "generate_until" && response.error.empty() && response.text.empty() ? 1 : 0;
    cell.at_limit += response.finish == "length" ? 1 : 0;
    if (!options_.timing) return;
    if (sample.attempts == 0) {
      ++cell.looked_up;
      return;
    }
    cell.reused_tokens += response.reused_tokens;
    cell.computed_tokens += response.prompt_tokens + response.generated_tokens;
  }

  static void CountBos(const ResponseRow& response, std::optional<std::int64_t> bos, bool wanted,
                       Cell& cell) {
    const auto& ids = response.first_ids;
    if (!bos || ids.empty()) return;
    const bool first = ids[0] == *bos;
    cell.double_bos += first && ids.size() > 1 && ids[1] == *bos ? 1 : 0;
    cell.missing_bos += wanted && !first ? 1 : 0;
  }

  /// What an error or a poisoned document counts as: leaving it out would flatter the model.
  static ScoreRow Wrong(const ReportTask& task) {
    ScoreRow score;
    const Json* metrics = task.describe.Find("metrics");
    for (const Json& metric :
         metrics != nullptr && metrics->is_array() ? metrics->as_array() : Json::Array{}) {
      if (metric.is_string()) score.scores.emplace_back(metric.as_string(), 0.0);
    }
    return score;
  }

  static void CountScore(const SampleRow& sample, const ScoreRow& score, Cell& cell,
                         Gathered& gathered) {
    ++cell.scored;
    if (!score.verdict.empty()) ++gathered.verdicts[score.verdict];
    cell.invalid += score.extracted.find("[invalid]") != std::string::npos ? 1 : 0;
    for (const auto& [metric, value] : score.scores) {
      Repeats& repeats = gathered.metrics[metric][{sample.subset, sample.index}];
      repeats.sum += value;
      ++repeats.n;
      repeats.passed += value == 1.0 ? 1 : 0;
    }
  }

  std::string Cut(const std::string& text, bool& cut) const {
    if (text.size() <= options_.sample_bytes) return ReplaceInvalidUtf8(text);
    cut = true;
    std::size_t end = options_.sample_bytes;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) --end;
    return ReplaceInvalidUtf8(text.substr(0, end));
  }

  /// Keeps the first samples of a cell, preferring wrong ones once the viewer is full.
  void Show(std::size_t v, std::size_t t, const SampleRow& row, const ResponseRow* response,
            const ScoreRow* score) {
    ReportSample sample;
    sample.variant = v;
    sample.task = t;
    if (score != nullptr) {
      for (const auto& [metric, value] : score->scores) {
        if (metric == report_.tasks[t].primary) sample.score = value;
      }
      sample.extracted = ReplaceInvalidUtf8(score->extracted.substr(0, options_.sample_bytes));
      sample.verdict = score->verdict;
      if (options_.timing) sample.detail = ReplaceInvalidUtf8(score->detail);
    }
    auto& shown = shown_[v][t];
    if (shown.size() >= options_.samples_per_cell) {
      if (sample.score == 1.0) return;
      const auto right = std::find_if(shown.rbegin(), shown.rend(),
                                      [](const ReportSample& one) { return one.score == 1.0; });
      if (right == shown.rend()) return;
      shown.erase(std::next(right).base());
    }
    sample.subset = row.subset;
    sample.document_id = row.document_id;
    sample.index = row.index;
    sample.repeat = row.repeat;
    bool ignored = false;
    sample.gold = Cut(row.gold, ignored);
    sample.prompt = Cut(row.prompt, sample.prompt_cut);
    if (response != nullptr) {
      sample.response = response->error.empty() ? Cut(response->text, sample.response_cut)
                                                : "error: " + Cut(response->error, ignored);
      sample.loglikelihoods = response->loglikelihoods;
      sample.prompt_tokens = response->prompt_tokens;
      sample.generated_tokens = response->generated_tokens;
      sample.truncated_tokens = response->truncated_tokens;
      if (options_.timing) sample.seconds = response->prefill_seconds + response->decode_seconds;
    }
    shown.push_back(std::move(sample));
  }

  static std::vector<NamedEstimate> BySubset(const Labelled& values) {
    std::map<std::string, std::vector<double>> subsets;
    for (const auto& [subset, value] : values) subsets[subset].push_back(value);
    std::vector<NamedEstimate> estimates;
    for (const auto& [subset, members] : subsets)
      estimates.push_back({subset, MeanEstimate(members)});
    return estimates;
  }

  static std::vector<NamedEstimate> ByGroup(const Json& describe, const Labelled& values) {
    std::vector<NamedEstimate> estimates;
    const Json* groups = describe.Find("groups");
    if (groups == nullptr || !groups->is_object()) return estimates;
    for (const auto& [group, members] : groups->as_object()) {
      std::set<std::string> names;
      for (const Json& name : members.is_array() ? members.as_array() : Json::Array{}) {
        if (name.is_string()) names.insert(name.as_string());
      }
      Labelled inside;
      for (const auto& item : values) {
        if (names.count(item.first) != 0) inside.push_back(item);
      }
      if (!inside.empty()) estimates.push_back({group, ClusteredEstimate(inside)});
    }
    return estimates;
  }

  /// niah: subsets are "length/depth".
  static std::vector<GridCell> Grid(const Json& describe,
                                    const std::vector<NamedEstimate>& subsets) {
    std::vector<GridCell> grid;
    if (describe.Find("grid") == nullptr) return grid;
    for (const NamedEstimate& subset : subsets) {
      const std::size_t slash = subset.name.find('/');
      if (slash == std::string::npos) continue;
      GridCell cell;
      cell.estimate = subset.estimate;
      const char* const begin = subset.name.data();
      std::from_chars(begin, begin + slash, cell.length);
      std::from_chars(begin + slash + 1, begin + subset.name.size(), cell.depth);
      grid.push_back(cell);
    }
    std::sort(grid.begin(), grid.end(), [](const GridCell& a, const GridCell& b) {
      return std::pair(a.length, a.depth) < std::pair(b.length, b.depth);
    });
    return grid;
  }

  static void AddPassAtK(const std::map<Document, Repeats>& documents, Cell& cell) {
    std::int64_t repeats = 0;
    for (const auto& [document, counts] : documents)
      repeats = repeats == 0 ? counts.n : std::min(repeats, counts.n);
    for (std::int64_t k = 2; k <= repeats; k *= 2) {
      std::vector<double> values;
      for (const auto& [document, counts] : documents)
        values.push_back(PassAtK(counts.n, counts.passed, k));
      cell.metrics.push_back({fmt::format("pass@{}", k), MeanEstimate(values)});
    }
  }

  /// Lengths beyond a model's limit are not asked: n/a, and no average with models that were.
  void NoteLimit(const ReportTask& task, const ReportVariant& variant, Cell& cell) {
    const std::int64_t new_tokens = Integer(task.describe, "max_new_tokens");
    if (cell.samples == 0 && new_tokens >= variant.max_length) {
      cell.missing_reason = fmt::format("answers of up to {} tokens are beyond its limit of {}",
                                        new_tokens, variant.max_length);
      return;
    }
    const std::vector<std::int64_t> beyond = LengthsBeyond(task.describe, variant.max_length);
    if (beyond.empty()) return;
    const std::string reason = fmt::format("{} tokens are beyond its limit of {}",
                                           fmt::join(beyond, ", "), variant.max_length);
    cell.complete = false;
    if (cell.samples == 0) {
      cell.missing_reason = reason;
    } else {
      report_.warnings.push_back(fmt::format(
          "{} on {}: {}: n/a there; its score is of the shorter lengths, and it has no average",
          variant.label(), task.name, reason));
    }
  }

  void FinishCell(std::size_t v, std::size_t t) {
    const ReportTask& task = report_.tasks[t];
    const Gathered& gathered = gathered_[v][t];
    Cell& cell = report_.variants[v].cells[t];
    cell.verdicts.assign(gathered.verdicts.begin(), gathered.verdicts.end());
    cell.complete = cell.samples > 0 && cell.scored == cell.samples;
    if (cell.samples == 0) cell.missing_reason = "no samples planned";
    if (cell.samples > 0 && cell.scored == 0) cell.missing_reason = "not run yet";
    NoteLimit(task, report_.variants[v], cell);
    if (cell.scored == 0) return;
    const Labelled primary = gathered.Values(task.primary);
    cell.subsets = BySubset(primary);
    if (cell.subsets.size() > 1) cell.macro = MacroEstimate(primary);
    cell.primary = task.headline == "macro" && cell.macro ? *cell.macro
                   : task.headline == "lm-eval"           ? PooledEstimate(primary)
                                                          : ClusteredEstimate(primary);
    cell.groups = ByGroup(task.describe, primary);
    cell.grid = Grid(task.describe, cell.subsets);
    cell.by_length = SummariseLengths(task.describe, primary);
    const Json* metrics = task.describe.Find("metrics");
    for (const Json& metric :
         metrics != nullptr && metrics->is_array() ? metrics->as_array() : Json::Array{}) {
      if (!metric.is_string()) continue;
      std::vector<double> values;
      for (const auto& one : gathered.Values(metric.as_string())) values.push_back(one.second);
      if (!values.empty()) cell.metrics.push_back({metric.as_string(), MeanEstimate(values)});
    }
    const auto documents = gathered.metrics.find(task.primary);
    if (task.describe.Find("code") != nullptr && documents != gathered.metrics.end())
      AddPassAtK(documents->second, cell);
  }

  static void FinishVariant(ReportVariant& variant) {
    double sum = 0, variance = 0;
    std::int64_t scored = 0;
    bool all = !variant.cells.empty();
    for (const Cell& cell : variant.cells) {
      all = all && cell.complete;
      sum += cell.primary.mean;
      const double error = cell.primary.standard_error;
      variance += error * error;
      scored += cell.scored;
      variant.prompt_tokens += cell.prompt_tokens;
      variant.generated_tokens += cell.generated_tokens;
    }
    if (!all) return;
    const double count = static_cast<double>(variant.cells.size()), mean = sum / count,
                 half = kZ95 * std::sqrt(variance) / count;
    variant.average =
        Estimate{mean, {std::max(0.0, mean - half), std::min(1.0, mean + half)}, scored};
  }

  Status ReadMemory() {
    if (!options_.timing) return Status::Ok();
    H1_ASSIGN_OR_RETURN(const std::vector<MemoryRow> rows, store_.Memory(run_.id));
    for (const MemoryRow& row : rows) {
      const std::size_t place = PlaceOf(report_.variants, row.variant_id);
      const auto json = ParseJson(row.memory_json);
      if (place == report_.variants.size() || !json.ok()) continue;
      ReportVariant::Memory memory;
      memory.weights = Integer(*json, "weights");
      memory.kv = Integer(*json, "kv");
      memory.state = Integer(*json, "state");
      memory.workspace = Integer(*json, "workspace");
      memory.context = Integer(*json, "context");
      memory.peak_rss = Integer(*json, "peak_rss");
      const Json* seconds = json->Find("engine_seconds");
      if (seconds != nullptr && seconds->is_number())
        report_.variants[place].busy_seconds += seconds->as_double();
      const Json* gpu = json->Find("gpu");
      if (gpu != nullptr && gpu->is_object())
        report_.variants[place].gpus.emplace_back(row.worker, *gpu);
      auto& known = report_.variants[place].memory;
      if (!known || memory.peak_rss > known->peak_rss) known = memory;
    }
    for (ReportVariant& variant : report_.variants) {
      if (variant.busy_seconds <= 0) continue;
      std::int64_t tokens = 0;
      for (const Cell& cell : variant.cells) tokens += cell.computed_tokens;
      variant.tokens_per_second = static_cast<double>(tokens) / variant.busy_seconds;
    }
    return Status::Ok();
  }

  void Rank() {
    report_.ranking.resize(report_.variants.size());
    std::iota(report_.ranking.begin(), report_.ranking.end(), 0);
    std::stable_sort(report_.ranking.begin(), report_.ranking.end(),
                     [&](std::size_t a, std::size_t b) {
                       const auto& x = report_.variants[a].average;
                       const auto& y = report_.variants[b].average;
                       if (x.has_value() != y.has_value()) return x.has_value();
                       return x && x->mean > y->mean;
                     });
    if (report_.ranking.empty() || !report_.variants[report_.ranking[0]].average) {
      report_.answer = "The run is not complete: no model has a score on every task yet.";
      return;
    }
    const ReportVariant& best = report_.variants[report_.ranking[0]];
    std::vector<std::string> level;
    for (std::size_t place = 1; place < report_.ranking.size(); ++place) {
      const ReportVariant& other = report_.variants[report_.ranking[place]];
      if (other.average && other.average->interval.high >= best.average->interval.low)
        level.push_back(other.label());
    }
    report_.answer = fmt::format(
        "{} scores highest of {}: {:.1f} % on average over {} task{} (95 % interval {:.1f} to "
        "{:.1f} %){}.",
        best.label(), report_.variants.size(), best.average->mean * 100, report_.tasks.size(),
        report_.tasks.size() == 1 ? "" : "s", best.average->interval.low * 100,
        best.average->interval.high * 100,
        level.empty() ? "" : fmt::format("; within its interval: {}", fmt::join(level, ", ")));
  }

  Status DescribeMethods() {
    auto& methods = report_.methods;
    methods.emplace_back("Suite", run_.name);
    methods.emplace_back("Seed", std::to_string(run_.seed));
    for (const ReportVariant& variant : report_.variants) {
      methods.emplace_back("Model " + variant.label(),
                           fmt::format("digest {}, {} parameters, context {} tokens",
                                       variant.digest, variant.parameters, variant.max_length));
    }
    for (const ReportTask& task : report_.tasks) {
      methods.emplace_back("Task " + task.name,
                           fmt::format("{}; data digest {}", task.protocol, task.data_digest));
    }
    if (scorer_version_ > 1) {
      methods.emplace_back("Scores", fmt::format("version {}: scored again from the stored "
                                                 "responses; earlier versions are in the database",
                                                 scorer_version_));
    }
    methods.emplace_back(
        "Intervals",
        "95 %: Wilson for shares of right answers, widened by clustering where documents come in "
        "subsets "
        "(Miller, arXiv 2411.00640); errors and poisoned documents count as wrong");
    H1_ASSIGN_OR_RETURN(report_.results_digest, store_.ResultsDigest(run_.id));
    if (!options_.timing) return Status::Ok();
    H1_ASSIGN_OR_RETURN(report_.database_digest, store_.DatabaseDigest());
    auto& environment = report_.environment;
    environment.emplace_back("Wall time",
                             fmt::format("{:.1f} s over all executions", run_.wall_seconds));
    environment.emplace_back("Version", run_.version_json);
    environment.emplace_back("Machine", run_.environment_json);
    H1_ASSIGN_OR_RETURN(const std::vector<WorkerRow> workers, store_.Workers(run_.id));
    for (const WorkerRow& worker : workers)
      environment.emplace_back("Worker " + worker.worker, worker.environment_json);
    for (const ReportVariant& variant : report_.variants) {
      for (const auto& [worker, gpu] : variant.gpus)
        environment.emplace_back(fmt::format("GPU of {} for {}", worker, variant.label()),
                                 GpuSentence(gpu));
    }
    return Status::Ok();
  }

  void Warn(const ReportVariant& variant, const ReportTask& task, std::int64_t count,
            std::int64_t of, const std::string& what) {
    if (count == 0) return;
    report_.warnings.push_back(
        fmt::format("{} on {}: {} of {} {}", variant.label(), task.name, count, of, what));
  }

  /// Of a task whose answers are all alike in a way that a mistake in its set-up explains.
  void WarnOfAnswers(const ReportVariant& variant, const ReportTask& task, const Cell& cell) {
    Warn(variant, task, cell.double_bos, cell.samples,
         "prompts begin with BOS twice: their text has it twice");
    Warn(variant, task, cell.missing_bos, cell.samples,
         "prompts lack the BOS that the task asks for: it was cut off with their left end");
    const std::int64_t answered = cell.scored - cell.errors - cell.poisoned;
    if (answered <= 0) return;
    const std::string bos =
        task.wants_bos || !variant.bos_id ? "" : ", and try `bos: once`: no BOS was asked for";
    if (cell.empty == answered)
      Warn(variant, task, answered, cell.samples,
           "responses are empty: look at a stop string" + bos);
    if (cell.invalid == answered)
      Warn(variant, task, answered, cell.samples,
           "answers are invalid: nothing could be extracted by at least one filter; look at some" +
               bos);
    // RULER's budgets are as short as its answers: ending there says nothing.
    if (cell.at_limit == answered && task.describe.Find("by_length") == nullptr)
      Warn(variant, task, answered, cell.samples,
           "responses were cut at max_new_tokens: nothing stopped them");
  }

  void CollectWarnings() {
    std::int64_t looked_up = 0;
    for (const ReportVariant& variant : report_.variants) {
      for (std::size_t t = 0; t < report_.tasks.size(); ++t) {
        const Cell& cell = variant.cells[t];
        const ReportTask& task = report_.tasks[t];
        Warn(variant, task, cell.samples - cell.scored, cell.samples, "samples have no score yet");
        Warn(variant, task, cell.errors, cell.samples,
             "requests could not be answered by the engine");
        Warn(variant, task, cell.poisoned, cell.samples,
             "documents were given up after three lost workers");
        looked_up += cell.looked_up;
        Warn(variant, task, cell.truncated, cell.samples,
             "prompts were cut on the left to fit the context");
        WarnOfAnswers(variant, task, cell);
        for (const auto& [verdict, count] : cell.verdicts) {
          if (verdict == "sandbox_error")
            Warn(variant, task, count, cell.samples,
                 "programs could not be judged (sandbox_error)");
          if (verdict == "regex_limit")
            Warn(variant, task, count, cell.samples,
                 "responses count as wrong: a filter's expression did too much work (regex_limit)");
        }
      }
    }
    if (looked_up > 0) {
      report_.warnings.push_back(
          fmt::format("{} of {} responses were looked up from an earlier run of this database: "
                      "speed is that of the others",
                      looked_up, report_.samples_total));
    }
    const auto divergences = options_.timing ? store_.Divergences() : Result<std::int64_t>(0);
    if (divergences.ok() && *divergences > 0) {
      report_.warnings.push_back(
          fmt::format("{} requests were answered twice and differently: the determinism promise is "
                      "broken, please report it",
                      *divergences));
    }
  }

  Store& store_;
  const ReportOptions& options_;
  RunRow run_;
  Report report_;
  std::int64_t scorer_version_ = 0;
  std::vector<std::vector<Gathered>> gathered_;
  std::vector<std::vector<std::vector<ReportSample>>> shown_;
  std::set<std::int64_t> poisoned_;
};

}  // namespace

Result<Report> BuildReport(Store& store, std::int64_t run, const ReportOptions& options) {
  return Builder(store, options).Build(run);
}

std::vector<std::string> ScopeOfDeterminism() {
  return {
      "For one build, one backend and one processor model, a response's bits do not depend on "
      "batch size, order or the other requests in flight (L1), "
      "on prefix reuse or chunked prefill (L2), or on how many workers ran or died (L3).",
      "Equality of bits across processor or GPU models, instruction sets or library versions is "
      "not claimed.",
      "The results digest covers every response and score and leaves out times, workers and "
      "attempts.",
  };
}

}  // namespace h1bench::reports
