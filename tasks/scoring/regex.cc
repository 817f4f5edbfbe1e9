#include "tasks/scoring/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "base/text.h"

namespace h1bench::tasks {
namespace {

// Work limits of one match attempt, as PCRE2 counts them: anew at every place where a match may
// begin, so that they alone leave a long text cubic.
constexpr std::uint32_t kMatchLimit = 1'000'000;
constexpr std::uint32_t kDepthLimit = 10'000;
constexpr std::uint32_t kHeapKibibytes = 20'000;
// Steps of one FindAll, over all places and matches. A count and not a time: the verdict must not
// depend on the machine. Our patterns need about ten a byte of text; the limit is a second or so.
constexpr std::int64_t kSteps = 40'000'000;
constexpr std::int64_t kBytesPerStep = 16;  // compared or checked in one go

/// Work done, in items tried and bytes passed.
struct Work {
  std::int64_t steps_left = kSteps;
  std::int64_t per_item = 1;
  std::size_t position = 0;
};

/// Called at every item of a pattern that is tried (PCRE2_AUTO_CALLOUT). Items that repeat a
/// character run over many without asking: the distance to the last item is charged.
int CountWork(pcre2_callout_block* block, void* data) {
  Work& work = *static_cast<Work*>(data);
  const std::size_t distance = std::max(block->current_position, work.position) -
                               std::min(block->current_position, work.position);
  work.position = block->current_position;
  work.steps_left -= work.per_item + static_cast<std::int64_t>(distance);
  return work.steps_left < 0 ? PCRE2_ERROR_MATCHLIMIT : 0;
}

/// PCRE2 has no memory: never to be taken for a pattern that is wrong or works too long.
template <typename T>
T* Checked(T* made) {
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

struct Context {
  Work work;
  pcre2_match_context* value = Checked(pcre2_match_context_create(nullptr));
  Context() {
    pcre2_set_match_limit(value, kMatchLimit);
    pcre2_set_depth_limit(value, kDepthLimit);
    pcre2_set_heap_limit(value, kHeapKibibytes);
    pcre2_set_callout(value, CountWork, &work);
  }
  ~Context() { pcre2_match_context_free(value); }
  Context(const Context&) = delete;
};

}  // namespace

/// The pattern twice: one code for any bytes checks the whole text again at every match, which
/// makes many small matches in a long text quadratic; the other trusts that the text is UTF-8.
struct Regex::Code {
  pcre2_code* any = nullptr;
  pcre2_code* valid = nullptr;
  ~Code() {
    pcre2_code_free(any);
    pcre2_code_free(valid);
  }
};

Result<Regex> Regex::Compile(const std::string& pattern) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  auto code = std::make_shared<Code>();
  // \C could end a match inside a character.
  const std::uint32_t options = PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;
  const auto* bytes = reinterpret_cast<PCRE2_SPTR>(pattern.data());
  code->any = pcre2_compile(bytes, pattern.size(), options | PCRE2_MATCH_INVALID_UTF, &error,
                            &offset, nullptr);
  if (code->any != nullptr)
    code->valid = pcre2_compile(bytes, pattern.size(), options, &error, &offset, nullptr);
  if (code->valid == nullptr) {
    if (error == PCRE2_ERROR_HEAP_FAILED) throw std::bad_alloc();
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof(message));
    return InvalidArgument("regex \"{}\": at character {}: {}", pattern, offset,
                           reinterpret_cast<const char*>(message));
  }
  Regex regex;
  regex.code_ = std::move(code);
  return regex;
}

Regex Regex::Constant(const std::string& pattern) {
  auto regex = Compile(pattern);
  if (!regex.ok()) {
    std::fprintf(stderr, "%s\n", regex.status().message().c_str());
    std::abort();
  }
  return std::move(regex).value();
}

Result<std::vector<Regex::Match>> Regex::FindAll(std::string_view text, std::size_t at_most) const {
  Context context;
  const bool trusted = IsValidUtf8(text);
  const pcre2_code* code = trusted ? code_->valid : code_->any;
  const std::uint32_t always = trusted ? PCRE2_NO_UTF_CHECK : 0;
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      Checked(pcre2_match_data_create_from_pattern(code, nullptr)), pcre2_match_data_free);
  // A back reference compares as many bytes as its group has.
  std::uint32_t back_references = 0;
  pcre2_pattern_info(code, PCRE2_INFO_BACKREFMAX, &back_references);
  const auto share = static_cast<std::int64_t>(text.size()) / kBytesPerStep;
  if (back_references > 0) context.work.per_item += share;
  std::vector<Match> matches;
  std::size_t start = 0;
  std::uint32_t options = 0;
  while (start <= text.size() && matches.size() < at_most) {
    context.work.position = start;
    if (!trusted) context.work.steps_left -= share;  // the text is checked once more
    if (context.work.steps_left < 0) return ResourceExhausted("regex: work limit hit");
    const int count = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                  start, options | always, data.get(), context.value);
    if (count == PCRE2_ERROR_NOMATCH) {
      if (options == 0) break;
      // After an empty match: no other match there, go on one code point later.
      ++start;
      while (start < text.size() && (static_cast<unsigned char>(text[start]) & 0xc0U) == 0x80U)
        ++start;
      options = 0;
      continue;
    }
    if (count == PCRE2_ERROR_NOMEMORY) throw std::bad_alloc();
    if (count < 0) return ResourceExhausted("regex: work limit hit (PCRE2 {})", count);
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
    Match match{bounds[0], bounds[1], {}};
    const std::uint32_t groups = pcre2_get_ovector_count(data.get());
    for (std::uint32_t group = 1; group < groups; ++group) {
      const PCRE2_SIZE low = bounds[2 * group], high = bounds[2 * group + 1];
      const bool took_part = static_cast<int>(group) < count && low != PCRE2_UNSET;
      match.groups.push_back(took_part ? std::optional(std::string(text.substr(low, high - low)))
                                       : std::nullopt);
    }
    options = match.end == match.begin ? PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED : 0;
    start = match.end;
    matches.push_back(std::move(match));
  }
  return matches;
}

Result<std::string> Regex::ReplaceAll(std::string_view text, std::string_view replacement) const {
  H1_ASSIGN_OR_RETURN(const std::vector<Match> matches, FindAll(text));
  std::string out;
  std::size_t last = 0;
  for (const Match& match : matches) {
    out.append(text, last, match.begin - last).append(replacement);
    last = match.end;
  }
  return out.append(text, last, text.size() - last);
}

}  // namespace h1bench::tasks
