#include "reports/build/shown.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/text.h"

namespace h1bench::reports {
namespace {

constexpr std::size_t kShortestPrefix = 200;  // bytes; below, folding hides more than it saves

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U; }

/// Bytes that both begin with.
std::size_t Common(const std::string& a, const std::string& b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                                  a.begin());
}

}  // namespace

double ShownSamples::PrimaryScore(std::size_t task, const ScoreRow* score) const {
  if (score == nullptr) return 0;
  for (const auto& [metric, value] : score->scores) {
    if (metric == report_.tasks[task].primary) return value;
  }
  return 0;
}

void ShownSamples::Note(std::size_t variant, std::size_t task, const SampleRow& sample,
                        const ScoreRow* score) {
  std::vector<Mark>& marks = marks_[{task, sample.subset, sample.index}];
  marks.resize(report_.variants.size());
  // All repeats right is right.
  if (PrimaryScore(task, score) != 1.0) {
    marks[variant] = Mark::kWrong;
  } else if (marks[variant] == Mark::kNone) {
    marks[variant] = Mark::kRight;
  }
}

bool ShownSamples::Differ(const std::vector<Mark>& marks) {
  return std::count(marks.begin(), marks.end(), Mark::kRight) > 0 &&
         std::count(marks.begin(), marks.end(), Mark::kWrong) > 0;
}

void ShownSamples::Choose() {
  for (std::size_t task = 0; task < report_.tasks.size(); ++task) {
    std::array<std::vector<Document>, 3> kinds;  // disagreement, all wrong, all right
    for (const auto& [document, marks] : marks_) {
      if (std::get<0>(document) != task) continue;
      const bool wrong = std::count(marks.begin(), marks.end(), Mark::kWrong) > 0;
      kinds[Differ(marks) ? 0 : wrong ? 1 : 2].push_back(document);
    }
    const std::size_t room = options_.documents_per_task;
    std::array<std::size_t, 3> take = {std::min(kinds[0].size(), room - room / 4 * 2),
                                       std::min(kinds[1].size(), room / 4),
                                       std::min(kinds[2].size(), room / 4)};
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      const std::size_t left = room - take[0] - take[1] - take[2];
      take[kind] += std::min(left, kinds[kind].size() - take[kind]);
    }
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      for (std::size_t i = 0; i < take[kind]; ++i)
        chosen_[kinds[kind][i * kinds[kind].size() / take[kind]]] = kind == 0;
    }
  }
  marks_.clear();
}

std::string ShownSamples::Cut(const std::string& text, bool& cut) const {
  if (text.size() <= options_.sample_bytes) return ReplaceInvalidUtf8(text);
  cut = true;
  std::size_t end = options_.sample_bytes / 2, begin = text.size() - options_.sample_bytes / 2;
  while (end > 0 && Continues(text[end])) --end;
  while (begin < text.size() && Continues(text[begin])) ++begin;
  return ReplaceInvalidUtf8(text.substr(0, end)) +
         fmt::format("\n[… {} bytes left out here …]\n", begin - end) +
         ReplaceInvalidUtf8(text.substr(begin));
}

std::size_t ShownSamples::PromptPlace(const SampleRow& sample) {
  const auto [found, fresh] = prompt_places_.try_emplace(sample.prompt_sha256, prompts_.size());
  if (fresh) {
    ReportPrompt& prompt = prompts_.emplace_back();
    prompt.text = Cut(sample.prompt, prompt.cut);
  }
  return found->second;
}

void ShownSamples::Take(std::size_t variant, std::size_t task, const SampleRow& row,
                        const ResponseRow* response, const ScoreRow* score) {
  const auto chosen = chosen_.find({task, row.subset, row.index});
  if (chosen == chosen_.end()) return;
  ReportSample sample;
  sample.variant = variant;
  sample.task = task;
  sample.subset = row.subset;
  sample.document_id = row.document_id;
  sample.index = row.index;
  sample.repeat = row.repeat;
  sample.differ = chosen->second;
  sample.prompt = PromptPlace(row);
  sample.score = PrimaryScore(task, score);
  bool ignored = false;
  sample.gold = Cut(row.gold, ignored);
  if (score != nullptr) {
    sample.extracted = Cut(score->extracted, ignored);
    sample.verdict = score->verdict;
    if (options_.timing) sample.detail = Cut(score->detail, ignored);
  }
  if (response != nullptr) {
    sample.response = response->error.empty() ? Cut(response->text, sample.response_cut)
                                              : "error: " + Cut(response->error, ignored);
    sample.loglikelihoods = response->loglikelihoods;
    sample.prompt_tokens = response->prompt_tokens;
    sample.generated_tokens = response->generated_tokens;
    sample.truncated_tokens = response->truncated_tokens;
    if (options_.timing) sample.seconds = response->prefill_seconds + response->decode_seconds;
  }
  samples_.push_back(std::move(sample));
}

void ShownSamples::FoldPrefixes(Report& report) {
  std::map<std::pair<std::size_t, std::string>, std::set<std::size_t>> groups;
  for (const ReportSample& sample : report.samples)
    groups[{sample.task, sample.subset}].insert(sample.prompt);
  for (const auto& [name, group] : groups) {
    // Prompts that two tasks have alike are folded with the first of them.
    const bool folded = std::any_of(group.begin(), group.end(), [&](std::size_t place) {
      return report.prompts[place].prefix.has_value();
    });
    if (group.size() < 2 || folded) continue;
    const std::string first = report.prompts[*group.begin()].text;
    std::size_t common = first.size();
    for (const std::size_t place : group)
      common = std::min(common, Common(first, report.prompts[place].text));
    common = first.rfind('\n', common == 0 ? 0 : common - 1);
    if (common == std::string::npos || ++common < kShortestPrefix) continue;
    for (const std::size_t place : group) {
      ReportPrompt& prompt = report.prompts[place];
      prompt.prefix = report.prefixes.size();
      prompt.text.erase(0, common);
    }
    report.prefixes.push_back(first.substr(0, common));
  }
}

void ShownSamples::MoveInto(Report& report) {
  std::stable_sort(samples_.begin(), samples_.end(),
                   [](const ReportSample& a, const ReportSample& b) {
                     return std::tie(a.task, a.subset, a.index, a.repeat, a.variant) <
                            std::tie(b.task, b.subset, b.index, b.repeat, b.variant);
                   });
  // Places of prompts in the order of the samples: which variant came first may not show.
  std::vector<std::size_t> places(prompts_.size(), prompts_.size());
  for (ReportSample& sample : samples_) {
    if (places[sample.prompt] == prompts_.size()) {
      places[sample.prompt] = report.prompts.size();
      report.prompts.push_back(std::move(prompts_[sample.prompt]));
    }
    sample.prompt = places[sample.prompt];
  }
  report.samples = std::move(samples_);
  FoldPrefixes(report);
}

}  // namespace h1bench::reports
