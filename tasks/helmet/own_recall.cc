#include <cmath>

#include "base/sha256.h"
#include "tasks/data_file.h"
#include "tasks/fewshot/python_random.h"
#include "tasks/helmet/dataset.h"
#include "tasks/ruler/generator.h"

/// HELMET's Recall without its files: json_kv drawn here, and the needles of RULER's generator.
namespace h1bench::tasks::helmet {
namespace {

constexpr std::int64_t kDepths = 6;
constexpr std::size_t kShots = 2;

/// A function of (pairs, number) alone: `pairs` random keys and values; the key asked for stands at
/// one of six depths from the first to the last in turn, the examples are other pairs.
Item DrawPairs(std::int64_t pairs, std::int64_t number) {
  const std::string hex = Sha256Hex(fmt::format("h1bench json_kv {} {}", pairs, number));
  PythonRandom random(std::stoull(hex.substr(0, 15), nullptr, 16));
  const auto count = static_cast<std::size_t>(pairs);
  std::vector<std::pair<std::string, std::string>> all;
  for (std::size_t i = 0; i < count; ++i) {
    std::string key = random.Uuid4();
    all.emplace_back(std::move(key), random.Uuid4());
  }
  const auto depth = static_cast<double>(number % kDepths) / static_cast<double>(kDepths - 1);
  const auto asked = static_cast<std::size_t>(std::llround(depth * static_cast<double>(count - 1)));
  Item item;
  item.row = number;
  item.question = all[asked].first;
  item.answers = {all[asked].second};
  std::size_t shown = 0;
  for (const std::size_t place : random.Sample(count, kShots + 1)) {
    if (place == asked || shown == kShots) continue;
    ++shown;
    item.demos +=
        fmt::format("Key: {}\nCorresponding value: {}\n\n", all[place].first, all[place].second);
  }
  std::string text = "JSON data:\n{";
  for (std::size_t i = 0; i < count; ++i)
    text += fmt::format("{}\"{}\": \"{}\"", i == 0 ? "" : ",\n ", all[i].first, all[i].second);
  item.context = [text = text + "}"] { return text; };
  return item;
}

/// NVIDIA's text is HELMET's template filled in, apart from what joins it to the answer.
Result<Item> FromRuler(const ruler::Sample& sample, std::int64_t number) {
  constexpr std::string_view kAsk = " special magic ";
  const std::size_t head = sample.input.find('\n'), tail = sample.input.rfind('\n');
  const std::size_t ask = sample.input.find(kAsk, tail);
  const std::size_t type = ask + kAsk.size(), after = sample.input.find(" for ", type);
  const std::size_t end = sample.input.rfind(" mentioned in the provided text?");
  if (ask == std::string::npos || after == std::string::npos || end == std::string::npos)
    return Internal("RULER's text has another form than expected");
  Item item;
  item.row = number;
  item.more.emplace_back("type_needle_v", sample.input.substr(type, after - type));
  item.question = sample.input.substr(after + 5, end - after - 5);
  item.answers = sample.outputs;
  item.context = [text = sample.input.substr(head + 1, tail - head - 1)] { return text; };
  return item;
}

}  // namespace

Result<std::vector<Item>> DrawJsonKv(Reading& reading) {
  std::vector<Item> items;
  for (std::int64_t i = 0; i < reading.samples; ++i)
    items.push_back(DrawPairs(reading.dataset.sizes[reading.place], i));
  return items;
}

Result<std::vector<Item>> DrawRuler(Reading& reading) {
  const std::string name = reading.dataset.name;
  const ruler::Spec* spec = ruler::FindSpec(name == "ruler_niah_mk_2"   ? "niah_multikey_2"
                                            : name == "ruler_niah_mk_3" ? "niah_multikey_3"
                                                                        : "niah_multivalue");
  ruler::Needs needs;
  needs.pairs = true;
  needs.essays = spec->haystack == ruler::Haystack::kEssay;
  H1_ASSIGN_OR_RETURN(const ruler::Sources sources,
                      ruler::ReadSources(reading.options.data, needs));
  DataDigest digest;
  for (const std::string& file : sources.files)
    H1_RETURN_IF_ERROR(digest.Add(reading.options.data, file));
  reading.files.emplace_back(name, digest.Finish());
  H1_ASSIGN_OR_RETURN(const std::vector<ruler::Sample> samples,
                      ruler::Generate({spec, kLengths[reading.place], reading.samples}, sources,
                                      reading.options.count_tokens));
  std::vector<Item> items;
  for (const ruler::Sample& sample : samples) {
    H1_ASSIGN_OR_RETURN(Item item, FromRuler(sample, static_cast<std::int64_t>(items.size())));
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace h1bench::tasks::helmet
