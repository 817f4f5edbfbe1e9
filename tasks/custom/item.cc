#include "tasks/custom/item.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "tasks/scoring/answers.h"

namespace h1bench::tasks::custom {
namespace {

/// The items of a list field, as texts.
Result<std::vector<std::string>> Texts(const Table& table, std::size_t row, const FieldPath& path,
                                       const Origin& origin) {
  H1_ASSIGN_OR_RETURN(const Json value, table.Field(row, path, origin));
  if (!value.is_array() || value.as_array().empty()) {
    return table.Wrong(row,
                       Corrupt("{}: expected a list with at least one item, found {}", path.text(),
                               value.is_array() ? "an empty one" : value.TypeName()),
                       origin);
  }
  std::vector<std::string> texts;
  for (const Json& item : value.as_array()) {
    Result<std::string> text = FieldText(path, item);
    if (!text.ok()) return table.Wrong(row, text.status(), origin);
    texts.push_back(std::move(*text));
  }
  return texts;
}

Result<std::string> Clean(const TaskFile& file, const Table& table, std::size_t row,
                          std::string text, const Origin& origin) {
  Result<std::string> clean = ApplySteps(file.clean, std::move(text));
  if (!clean.ok()) return table.Wrong(row, clean.status(), {"clean", origin.place});
  return clean;
}

Status ReadChoices(const TaskFile& file, const Table& table, std::size_t row, Item& item) {
  const Choices& choices = file.choices;
  if (choices.list) {
    H1_ASSIGN_OR_RETURN(item.choices, Texts(table, row, *choices.list, choices.origin));
  }
  for (const Template& text : choices.texts) {
    H1_ASSIGN_OR_RETURN(std::string choice, table.Render(row, text, choices.origin));
    item.choices.push_back(std::move(choice));
  }
  for (std::string& choice : item.choices) {
    H1_ASSIGN_OR_RETURN(choice, Clean(file, table, row, std::move(choice), choices.origin));
    if (choice.empty()) return table.Wrong(row, Corrupt("a choice is empty"), choices.origin);
  }
  if (item.choices.size() > 1) return Status::Ok();
  return table.Wrong(row, Corrupt("expected at least two choices, found one"), choices.origin);
}

/// Place of the right choice.
Result<std::size_t> RightChoice(const Answer& answer, const Table& table, std::size_t row,
                                std::size_t choices) {
  H1_ASSIGN_OR_RETURN(const std::string said, table.Text(row, *answer.field, answer.origin));
  std::vector<std::string> labels = answer.labels;
  if (answer.labels_field) {
    H1_ASSIGN_OR_RETURN(labels, Texts(table, row, *answer.labels_field, answer.origin));
  }
  if (labels.empty()) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(said.data(), said.data() + said.size(), number);
    const std::int64_t last = answer.from + static_cast<std::int64_t>(choices) - 1;
    if (error == std::errc() && end == said.data() + said.size() && number >= answer.from &&
        number <= last) {
      return static_cast<std::size_t>(number - answer.from);
    }
    return table.Wrong(
        row,
        Corrupt("{}: expected the number of a choice from {} to {}, found \"{}\"",
                answer.field->text(), answer.from, last, VisibleText(said.substr(0, 60))),
        answer.origin);
  }
  if (labels.size() != choices)
    return table.Wrong(
        row, Corrupt("expected a label for each of {} choices, found {}", choices, labels.size()),
        answer.origin);
  const auto found = std::find(labels.begin(), labels.end(), said);
  if (found != labels.end()) return static_cast<std::size_t>(found - labels.begin());
  return table.Wrong(
      row,
      Corrupt("{}: expected one of the labels {}, found \"{}\"", answer.field->text(),
              VisibleText(fmt::format("{}", fmt::join(labels, " "))),
              VisibleText(said.substr(0, 60))),
      answer.origin);
}

}  // namespace

Result<Item> MakeItem(const TaskFile& file, const Table& table, std::size_t row) {
  Item item;
  H1_ASSIGN_OR_RETURN(std::string question, table.Render(row, *file.prompt, file.prompt_origin));
  H1_ASSIGN_OR_RETURN(item.question,
                      Clean(file, table, row, std::move(question), file.prompt_origin));
  if (file.subset) {
    H1_ASSIGN_OR_RETURN(item.subset, table.Text(row, *file.subset, file.subset_origin));
  }
  if (file.id) {
    H1_ASSIGN_OR_RETURN(item.id, table.Text(row, *file.id, file.id_origin));
  }
  const Answer& answer = file.answer;
  if (file.multiple_choice) {
    H1_RETURN_IF_ERROR(ReadChoices(file, table, row, item));
    H1_ASSIGN_OR_RETURN(item.right, RightChoice(answer, table, row, item.choices.size()));
    return item;
  }
  H1_ASSIGN_OR_RETURN(const Json value, table.Field(row, *answer.field, answer.origin));
  if (value.is_array()) {
    H1_ASSIGN_OR_RETURN(item.answers, Texts(table, row, *answer.field, answer.origin));
  } else {
    H1_ASSIGN_OR_RETURN(std::string text, table.Text(row, *answer.field, answer.origin));
    item.answers.push_back(std::move(text));
  }
  for (const std::string& one : item.answers) {
    Result<std::string> gold = ApplySteps(file.answer_filters, one);
    if (gold.ok() && *gold == kInvalid && !file.answer_filters.empty())
      gold = Corrupt("answer_filters find nothing in \"{}\"", VisibleText(one.substr(0, 60)));
    if (!gold.ok()) return table.Wrong(row, gold.status(), file.answer.origin);
    item.golds.push_back(std::move(*gold));
  }
  return item;
}

}  // namespace h1bench::tasks::custom
