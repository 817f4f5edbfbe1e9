#include "tasks/ruler/fill.h"

#include <algorithm>
#include <cmath>

namespace h1bench::tasks::ruler {
namespace {

constexpr int kRetries = 200;  // fresh draws of the smallest size before a sample is given up

/// Python's a // b of floats (floatobject.c), which is not always floor(a / b).
double FloorDivide(double a, double b) {
  const double quotient = (a - std::fmod(a, b)) / b;
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

std::int64_t Estimate(double max_tokens, double per_unit, bool whole) {
  return whole ? static_cast<std::int64_t>(FloorDivide(max_tokens, per_unit)) * 2
               : static_cast<std::int64_t>(max_tokens / per_unit * 3);
}

Result<std::int64_t> FindSize(Maker& maker, const Job& job, const SizeSearch& search,
                              const TokenCounter& count) {
  H1_ASSIGN_OR_RETURN(const Draw first, maker.Probe(search.probe));
  const double per_unit =
      static_cast<double>(count(first.input + first.prefix)) / static_cast<double>(search.probe);
  if (!(per_unit > 0)) return InvalidArgument("the tokenizer finds no token in a sample");
  std::int64_t low = search.step;
  std::int64_t high = std::max(
      Estimate(static_cast<double>(job.length), per_unit, search.whole_estimate), search.step * 2);
  std::int64_t best = search.step;
  while (low <= high) {
    const std::int64_t middle = (low + high) / 2;
    H1_ASSIGN_OR_RETURN(const Draw draw, maker.Probe(middle));
    const std::int64_t tokens =
        count(draw.input + draw.prefix) + search.extra_tokens + job.spec->new_tokens;
    if (tokens <= job.length) {
      best = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return best;
}

/// lm-eval's: upwards in steps, the answer counted too.
Result<std::int64_t> ClimbToSize(Maker& maker, const Job& job, const SizeSearch& search,
                                 const TokenCounter& count) {
  const std::int64_t room = job.length - job.spec->new_tokens - search.extra_tokens;
  std::int64_t size = search.step, tokens = 0;
  while (tokens < room) {
    H1_ASSIGN_OR_RETURN(const Draw draw, maker.Probe(size));
    tokens = count(maker.LmEvalProbeText(draw));
    if (tokens > room) return std::max<std::int64_t>(1, size - search.step);
    size += search.step;
    if (search.largest > 0 && size > search.largest) return search.largest;
  }
  return size;
}

Result<Sample> FitSample(Maker& maker, const Job& job, const SizeSearch& search, std::int64_t size,
                         std::int64_t index, const TokenCounter& count) {
  for (int retries = 0; retries < kRetries;) {
    H1_ASSIGN_OR_RETURN(Draw draw, maker.Make(size, index));
    const std::int64_t length =
        count(search.prefix_counts ? draw.input + draw.prefix : draw.input) + job.spec->new_tokens;
    if (length <= job.length) {
      return Sample{std::move(draw.input), std::move(draw.prefix), std::move(draw.outputs), length};
    }
    if (size > search.step) {
      size -= search.step;
    } else if (maker.SameEveryTime(size, index) || ++retries == kRetries) {
      return InvalidArgument(
          "{}: sample {} does not exist at {} tokens: its smallest form has {} with the {} of the "
          "answer (upstream's script never ends here). Leave the task out or use longer lengths.",
          job.spec->name, index, job.length, length, job.spec->new_tokens);
    }
  }
  return Internal("unreachable");
}

}  // namespace

Result<std::vector<Sample>> FillLength(Maker& maker, const Job& job, const SizeSearch& search,
                                       const TokenCounter& count) {
  H1_ASSIGN_OR_RETURN(const std::int64_t size, job.variant == Variant::kNvidia
                                                   ? FindSize(maker, job, search, count)
                                                   : ClimbToSize(maker, job, search, count));
  std::vector<Sample> samples;
  for (std::int64_t index = 0; index < job.samples; ++index) {
    H1_ASSIGN_OR_RETURN(Sample sample, FitSample(maker, job, search, size, index, count));
    samples.push_back(std::move(sample));
  }
  return samples;
}

Result<std::vector<Sample>> Generate(const Job& job, const Sources& sources,
                                     const TokenCounter& count) {
  switch (job.spec->kind) {
    case Kind::kNiah:
      return GenerateNiah(job, sources, count);
    case Kind::kVt:
      return GenerateVt(job, count);
    case Kind::kCwe:
      return GenerateCwe(job, sources, count);
    case Kind::kFwe:
      return GenerateFwe(job, count);
    case Kind::kQa:
      return GenerateQa(job, sources, count);
  }
  return Internal("no such kind of RULER task");
}

std::string PythonList(const std::vector<std::string>& texts) {
  return fmt::format("['{}']", fmt::join(texts, "', '"));
}

std::string FillIn(std::string_view text,
                   const std::vector<std::pair<std::string_view, std::string_view>>& values) {
  std::string out;
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    out.append(text.substr(0, open));
    if (open == std::string_view::npos) break;
    text.remove_prefix(open);
    const auto found = std::find_if(values.begin(), values.end(), [&](const auto& value) {
      return text.substr(1, value.first.size()) == value.first &&
             text.substr(1 + value.first.size(), 1) == "}";
    });
    if (found == values.end()) {
      out += '{';
      text.remove_prefix(1);
    } else {
      out.append(found->second);
      text.remove_prefix(found->first.size() + 2);
    }
  }
  return out;
}

}  // namespace h1bench::tasks::ruler
