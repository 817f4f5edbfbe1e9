#include <cmath>
#include <memory>
#include <numeric>

#include "tasks/fewshot/python_random.h"
#include "tasks/helmet/dataset.h"
#include "tasks/helmet/draws.h"
#include "tasks/helmet/rows.h"

/// Labels learned in the context. Rows as Hugging Face's data sets have them, a JSON object a line:
/// a text and its class as a number. Labels are random numbers, drawn anew for every question.
namespace h1bench::tasks::helmet {
namespace {

struct Labelled {
  std::string text;
  std::int64_t label = 0;
};

struct Field {
  const char* dataset;
  const char* label;  // the row's key
  std::int64_t labels;
};
constexpr std::array<Field, 5> kFields = {{{"trec_coarse", "coarse_label", 6},
                                           {"trec_fine", "fine_label", 50},
                                           {"banking77", "label", 77},
                                           {"clinic150", "intent", 151},
                                           {"nlu", "label", 68}}};

Result<std::vector<Labelled>> ReadLabelled(Reading& reading, const Field& field,
                                           const std::string& name) {
  std::vector<Labelled> rows;
  H1_ASSIGN_OR_RETURN(const std::string digest,
                      ForEachRow(
                          reading.folder / name, [](std::int64_t) { return true; },
                          [&](std::int64_t, const Row& row) -> Status {
                            Labelled one;
                            H1_ASSIGN_OR_RETURN(one.text, row.Text("text"));
                            H1_ASSIGN_OR_RETURN(one.label, row.Integer(field.label));
                            if (one.label < 0 || one.label >= field.labels)
                              return Corrupt("{}: {}: expected 0 to {}, found {}", row.place(),
                                             field.label, field.labels - 1, one.label);
                            rows.push_back(std::move(one));
                            return Status::Ok();
                          }));
  reading.files.emplace_back(name, digest);
  return rows;
}

/// `shots` rows in rounds that hold every label once, each round in an order of its own (upstream's
/// balance_labels, the same for every question).
std::vector<Labelled> Balanced(const std::vector<Labelled>& rows, std::size_t shots) {
  PythonRandom random(kSeed);
  std::vector<std::vector<const Labelled*>> labels;  // in order of appearance
  std::map<std::int64_t, std::size_t> places;
  for (const Labelled& row : rows) {
    const auto [found, is_new] = places.try_emplace(row.label, labels.size());
    if (is_new) labels.emplace_back();
    labels[found->second].push_back(&row);
  }
  const std::size_t count = (shots + labels.size() - 1) / labels.size();
  std::vector<std::vector<const Labelled*>> rounds(count);
  for (const auto& members : labels) {
    std::vector<std::size_t> drawn = random.Sample(members.size(), count % members.size());
    while (drawn.size() < count) {
      const std::size_t more = std::min(count - drawn.size(), members.size());
      for (const std::size_t place : random.Sample(members.size(), more)) drawn.push_back(place);
    }
    for (std::size_t round = 0; round < count; ++round)
      rounds[round].push_back(members[drawn[round]]);
  }
  std::vector<Labelled> balanced;
  for (auto& round : rounds) {
    random.Shuffle(round);
    for (const Labelled* row : round) {
      if (balanced.size() < shots) balanced.push_back(*row);
    }
  }
  return balanced;
}

/// The numbers that stand for the labels of one question.
std::vector<std::int64_t> LabelNumbers(const std::string& question, std::int64_t labels) {
  std::vector<std::int64_t> numbers(static_cast<std::size_t>(labels));
  std::iota(numbers.begin(), numbers.end(), std::int64_t{0});
  PythonRandom(TextSeed(question, kSeed)).Shuffle(numbers);
  return numbers;
}

struct Numbered {
  Labelled row;
  std::int64_t number = 0;
};

/// The questions in the order in which upstream asks them: shuffled where there are more.
std::vector<Numbered> Questions(const std::vector<Labelled>& rows, std::int64_t samples) {
  std::vector<Numbered> all;
  for (const Labelled& row : rows) all.push_back({row, static_cast<std::int64_t>(all.size())});
  if (rows.size() <= static_cast<std::size_t>(samples)) return all;
  return Shuffled(all, kSeed, static_cast<std::size_t>(samples));
}

/// NLU has one file: a tenth of its shuffled rows are the questions (train_test_split).
void Split(std::vector<Labelled>& train, std::vector<Labelled>& test) {
  const auto count = static_cast<std::size_t>(std::ceil(0.1 * static_cast<double>(train.size())));
  const std::vector<Labelled> shuffled = Shuffled(train, kSeed, train.size());
  const auto middle = shuffled.begin() + static_cast<std::ptrdiff_t>(count);
  test.assign(shuffled.begin(), middle);
  train.assign(middle, shuffled.end());
}

}  // namespace

Result<std::vector<Item>> ReadExamples(Reading& reading) {
  const Field& field = *std::find_if(kFields.begin(), kFields.end(), [&](const Field& one) {
    return std::string_view(one.dataset) == reading.dataset.name;
  });
  H1_ASSIGN_OR_RETURN(std::vector<Labelled> train,
                      ReadLabelled(reading, field, reading.dataset.files[0]));
  std::vector<Labelled> test;
  if (*reading.dataset.files[1] != '\0') {
    H1_ASSIGN_OR_RETURN(test, ReadLabelled(reading, field, reading.dataset.files[1]));
  } else {
    Split(train, test);
  }
  if (train.empty())
    return Corrupt("{}: too few rows to show and to ask",
                   (reading.folder / reading.dataset.files[0]).string());
  const auto shown = std::make_shared<const std::vector<Labelled>>(
      Balanced(train, static_cast<std::size_t>(reading.dataset.sizes[reading.place])));
  std::vector<Item> items;
  for (const auto& [row, number] : Questions(test, reading.samples)) {
    Item item;
    item.row = number;
    item.question = row.text;
    const std::vector<std::int64_t> numbers = LabelNumbers(row.text, field.labels);
    item.answers = {std::to_string(numbers[static_cast<std::size_t>(row.label)])};
    item.context = [shown, numbers] {
      std::string text;
      for (const Labelled& one : *shown)
        text += fmt::format("{}{}\nlabel: {}", text.empty() ? "" : "\n\n", one.text,
                            numbers[static_cast<std::size_t>(one.label)]);
      return text;
    };
    items.push_back(std::move(item));
  }
  return items;
}

}  // namespace h1bench::tasks::helmet
