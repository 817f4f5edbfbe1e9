#include "tasks/custom/task_file.h"

#include <algorithm>

#include "base/yaml.h"

namespace h1bench::tasks::custom {
namespace {

using Strings = std::vector<std::string>;

const Strings kKeys = {"name",    "description",    "request", "data",   "system", "prompt",
                       "clean",   "choices",        "answer",  "shots",  "stops",  "max_new_tokens",
                       "filters", "answer_filters", "metrics", "ignore", "subset", "id"};
const Strings kGenerationKeys = {"stops", "max_new_tokens", "filters", "answer_filters", "ignore"};
const Strings kChoiceMetrics = {"acc", "acc_norm", "acc_bytes"};
const Strings kTextMetrics = {"exact_match", "f1", "contains"};
const Strings kIgnore = {"case", "punctuation", "articles", "whitespace"};
const Strings kEndings = {".jsonl", ".jsonl.gz", ".csv"};
constexpr const char* kHint = "docs/custom-tasks.md shows a task.";
constexpr std::int64_t kMany = 1'000'000'000;

bool Has(const Strings& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : file_(file.string()) {}

  Result<TaskFile> Read(const std::string& text) {
    H1_ASSIGN_OR_RETURN(root_, ParseYaml(text, file_, kHint));
    H1_RETURN_IF_ERROR(CheckKeys(file_, root_, "task", kKeys));
    for (const char* key : {"request", "data", "prompt", "answer", "metrics"}) {
      if (!root_[key])
        return InvalidArgument("{}: the key \"{}\" is missing. {}", Place(file_, root_), key,
                               kHint);
    }
    task_.name = std::filesystem::path(file_).stem().string();
    H1_RETURN_IF_ERROR(ReadTexts());
    H1_RETURN_IF_ERROR(ReadRequest());
    H1_RETURN_IF_ERROR(ReadAnswer());
    H1_RETURN_IF_ERROR(ReadMetrics());
    if (root_["shots"]) H1_RETURN_IF_ERROR(ReadShots(root_["shots"]));
    return std::move(task_);
  }

 private:
  Origin From(const YAML::Node& node, const std::string& key) const {
    return {key, Place(file_, node)};
  }
  /// An error of a part that knows no place.
  Status At(const YAML::Node& node, const std::string& key, const Status& status) const {
    return status.WithContext(Place(file_, node) + ": " + key);
  }

  Status ReadTexts() {
    if (root_["name"]) {
      H1_ASSIGN_OR_RETURN(task_.name, ReadString(file_, root_["name"], "name"));
    }
    if (root_["system"]) {
      H1_ASSIGN_OR_RETURN(task_.system, ReadTemplate(root_["system"], "system"));
      task_.system_origin = From(root_["system"], "system");
    }
    if (root_["description"]) {  // for people who read the file
      H1_RETURN_IF_ERROR(ReadString(file_, root_["description"], "description").status());
    }
    H1_ASSIGN_OR_RETURN(task_.data, ReadDataFile(root_["data"], "data"));
    H1_ASSIGN_OR_RETURN(task_.prompt, ReadTemplate(root_["prompt"], "prompt"));
    task_.prompt_origin = From(root_["prompt"], "prompt");
    // A YAML block ends with a line feed that nobody meant, and answers are joined with a space.
    const char last = task_.prompt->source().back();
    if (last == ' ' || last == '\n' || last == '\t')
      return InvalidArgument(
          "{}: prompt: expected no white space at its end: a space goes between prompt and answer. "
          "A block that starts with `|-` has none",
          Place(file_, root_["prompt"]));
    H1_ASSIGN_OR_RETURN(task_.clean, ReadSteps("clean", false));
    H1_ASSIGN_OR_RETURN(task_.subset, ReadField("subset", task_.subset_origin));
    H1_ASSIGN_OR_RETURN(task_.id, ReadField("id", task_.id_origin));
    return Status::Ok();
  }

  Status ReadRequest() {
    H1_ASSIGN_OR_RETURN(
        const std::string request,
        ReadOneOf(root_["request"], "request", {"multiple_choice", "generate_until"}));
    task_.multiple_choice = request == "multiple_choice";
    if (task_.multiple_choice) {
      for (const std::string& key : kGenerationKeys) {
        if (root_[key])
          return InvalidArgument("{}: {}: only generate_until has it", Place(file_, root_[key]),
                                 key);
      }
      return ReadChoices();
    }
    if (root_["choices"])
      return InvalidArgument("{}: choices: only multiple_choice has them",
                             Place(file_, root_["choices"]));
    if (root_["stops"]) {
      H1_ASSIGN_OR_RETURN(task_.stops, ReadStrings(root_["stops"], "stops"));
    }
    if (root_["max_new_tokens"]) {
      H1_ASSIGN_OR_RETURN(task_.max_new_tokens,
                          ReadInt(file_, root_["max_new_tokens"], "max_new_tokens", 1, 1 << 20));
    }
    H1_ASSIGN_OR_RETURN(task_.filters, ReadSteps("filters", true));
    H1_ASSIGN_OR_RETURN(task_.answer_filters, ReadSteps("answer_filters", true));
    if (!root_["ignore"]) return Status::Ok();
    H1_ASSIGN_OR_RETURN(const Strings ignore, ReadChosen("ignore", kIgnore));
    task_.ignore = {Has(ignore, "case"), Has(ignore, "punctuation"), Has(ignore, "articles"),
                    Has(ignore, "whitespace")};
    return Status::Ok();
  }

  Status ReadChoices() {
    const YAML::Node node = root_["choices"];
    if (!node)
      return InvalidArgument("{}: the key \"choices\" is missing: a field with a list, or a list",
                             Place(file_, root_));
    task_.choices.origin = From(node, "choices");
    if (node.IsScalar()) {
      H1_ASSIGN_OR_RETURN(task_.choices.list, ReadFieldPath(node, "choices"));
      return Status::Ok();
    }
    if (!node.IsSequence() || node.size() < 2 || node.size() > 100)
      return Expected(file_, node, "choices", "a field with a list, or a list of 2 to 100 texts");
    for (const YAML::Node& item : node) {
      H1_ASSIGN_OR_RETURN(Template text, ReadTemplate(item, "choices"));
      task_.choices.texts.push_back(std::move(text));
    }
    return Status::Ok();
  }

  Status ReadAnswer() {
    const YAML::Node node = root_["answer"];
    task_.answer.origin = From(node, "answer");
    if (node.IsScalar() || !task_.multiple_choice) {
      H1_ASSIGN_OR_RETURN(task_.answer.field, ReadFieldPath(node, "answer"));
      return Status::Ok();
    }
    H1_RETURN_IF_ERROR(CheckKeys(file_, node, "answer", {"field", "from", "labels"}));
    if (!node["field"])
      return InvalidArgument("{}: answer: the key \"field\" is missing", Place(file_, node));
    H1_ASSIGN_OR_RETURN(task_.answer.field, ReadFieldPath(node["field"], "field"));
    if (node["from"] && node["labels"])
      return InvalidArgument("{}: answer: expected `from` (numbers) or `labels`, found both",
                             Place(file_, node));
    if (node["from"]) {
      H1_ASSIGN_OR_RETURN(task_.answer.from, ReadInt(file_, node["from"], "from", 0, 1));
    }
    const YAML::Node labels = node["labels"];
    if (!labels) return Status::Ok();
    if (labels.IsScalar()) {
      H1_ASSIGN_OR_RETURN(task_.answer.labels_field, ReadFieldPath(labels, "labels"));
      return Status::Ok();
    }
    H1_ASSIGN_OR_RETURN(task_.answer.labels, ReadStrings(labels, "labels"));
    const std::size_t choices = task_.choices.texts.size();
    if (choices != 0 && choices != task_.answer.labels.size())
      return InvalidArgument("{}: labels: expected one for each of {} choices, found {}",
                             Place(file_, labels), choices, task_.answer.labels.size());
    return Status::Ok();
  }

  Status ReadMetrics() {
    H1_ASSIGN_OR_RETURN(task_.metrics, ReadChosen("metrics", task_.multiple_choice ? kChoiceMetrics
                                                                                   : kTextMetrics));
    return Status::Ok();
  }

  Status ReadShots(const YAML::Node& node) {
    H1_RETURN_IF_ERROR(CheckKeys(file_, node, "shots", {"data", "count", "draw", "seed"}));
    for (const char* key : {"data", "count"}) {
      if (!node[key])
        return InvalidArgument("{}: shots: the key \"{}\" is missing", Place(file_, node), key);
    }
    H1_ASSIGN_OR_RETURN(task_.shots.data, ReadDataFile(node["data"], "data"));
    H1_ASSIGN_OR_RETURN(task_.shots.count, ReadInt(file_, node["count"], "count", 0, 1000));
    if (node["draw"]) {
      H1_ASSIGN_OR_RETURN(const std::string draw,
                          ReadOneOf(node["draw"], "draw", {"random", "first"}));
      task_.shots.draw = draw == "random";
    }
    if (node["seed"]) {
      H1_ASSIGN_OR_RETURN(task_.shots.seed, ReadInt(file_, node["seed"], "seed", 0, kMany));
    }
    return Status::Ok();
  }

  Result<std::string> ReadOneOf(const YAML::Node& node, const std::string& key,
                                const Strings& known) {
    if (node.IsScalar() && Has(known, node.Scalar())) return node.Scalar();
    return Expected(file_, node, key, fmt::format("one of {}", fmt::join(known, " ")));
  }

  Result<Strings> ReadStrings(const YAML::Node& node, const std::string& key) {
    return ReadList<std::string>(
        file_, node, key, [&](const YAML::Node& item) { return ReadString(file_, item, key); });
  }

  Result<Strings> ReadChosen(const std::string& key, const Strings& known) {
    return ReadList<std::string>(file_, root_[key], key, [&](const YAML::Node& item) {
      return ReadOneOf(item, key, known);
    });
  }

  Result<DataFile> ReadDataFile(const YAML::Node& node, const std::string& key) {
    DataFile data;
    data.origin = From(node, key);
    H1_ASSIGN_OR_RETURN(data.name, ReadString(file_, node, key));
    H1_ASSIGN_OR_RETURN(data.path, ReadPath(file_, node, key));
    for (const std::string& ending : kEndings) {
      if (data.name.ends_with(ending)) return data;
    }
    return Expected(file_, node, key,
                    fmt::format("a file that ends in {}", fmt::join(kEndings, " ")));
  }

  Result<Template> ReadTemplate(const YAML::Node& node, const std::string& key) {
    H1_ASSIGN_OR_RETURN(const std::string text, ReadString(file_, node, key));
    Result<Template> out = Template::Parse(text);
    if (!out.ok()) return At(node, key, out.status());
    return out;
  }

  Result<FieldPath> ReadFieldPath(const YAML::Node& node, const std::string& key) {
    H1_ASSIGN_OR_RETURN(const std::string text, ReadString(file_, node, key));
    Result<FieldPath> out = FieldPath::Parse(text);
    if (!out.ok()) return At(node, key, out.status());
    return out;
  }

  Result<std::optional<FieldPath>> ReadField(const std::string& key, Origin& origin) {
    if (!root_[key]) return std::optional<FieldPath>();
    origin = From(root_[key], key);
    H1_ASSIGN_OR_RETURN(FieldPath path, ReadFieldPath(root_[key], key));
    return std::optional(std::move(path));
  }

  Result<std::vector<Step>> ReadSteps(const std::string& key, bool may_find) {
    std::vector<Step> steps;
    const YAML::Node list = root_[key];
    if (!list) return steps;
    if (!list.IsSequence() || list.size() == 0 || list.size() > 100)
      return Expected(file_, list, key, "a list of 1 to 100 steps");
    for (const YAML::Node& node : list) {
      H1_ASSIGN_OR_RETURN(Step step, ReadStep(node, key, may_find));
      steps.push_back(std::move(step));
    }
    return steps;
  }

  Result<Step> ReadStep(const YAML::Node& node, const std::string& key, bool may_find) {
    Step step;
    if (node.IsScalar() && node.Scalar() == "strip") return step;
    if (node.IsScalar() && node.Scalar() == "lower") {
      step.kind = Step::Kind::kLower;
      return step;
    }
    const std::string expected =
        may_find ? "strip, lower, {find: REGEX}, {regex: REGEX, with: TEXT} or {replace: TEXT, "
                   "with: TEXT}"
                 : "strip, lower, {regex: REGEX, with: TEXT} or {replace: TEXT, with: TEXT}";
    if (!node.IsMap()) return Expected(file_, node, key, expected);
    if (may_find && node["find"]) return ReadFind(node, key);
    const char* what = node["regex"] ? "regex" : "replace";
    if (!node[what]) return Expected(file_, node, key, expected);
    H1_RETURN_IF_ERROR(CheckKeys(file_, node, key, {what, "with"}));
    if (!node["with"] || !node["with"].IsScalar())
      return InvalidArgument("{}: {}: the key \"with\" is missing: what takes its place",
                             Place(file_, node), key);
    step.with = node["with"].Scalar();
    if (node["regex"]) {
      step.kind = Step::Kind::kRegex;
      H1_ASSIGN_OR_RETURN(step.regex, ReadRegex(node["regex"], "regex"));
    } else {
      step.kind = Step::Kind::kReplace;
      H1_ASSIGN_OR_RETURN(step.text, ReadString(file_, node["replace"], "replace"));
    }
    return step;
  }

  Result<Step> ReadFind(const YAML::Node& node, const std::string& key) {
    H1_RETURN_IF_ERROR(CheckKeys(file_, node, key, {"find", "match"}));
    Step step;
    step.kind = Step::Kind::kFind;
    H1_ASSIGN_OR_RETURN(step.regex, ReadRegex(node["find"], "find"));
    if (node["match"]) {
      H1_ASSIGN_OR_RETURN(const std::string match,
                          ReadOneOf(node["match"], "match", {"first", "last"}));
      step.last = match == "last";
    }
    return step;
  }

  Result<Regex> ReadRegex(const YAML::Node& node, const std::string& key) {
    H1_ASSIGN_OR_RETURN(const std::string pattern, ReadString(file_, node, key));
    if (pattern.size() > 4096) return Expected(file_, node, key, "at most 4096 bytes");
    Result<Regex> regex = Regex::Compile(pattern);
    if (!regex.ok()) return At(node, key, regex.status());
    return regex;
  }

  std::string file_;
  YAML::Node root_;
  TaskFile task_;
};

}  // namespace

Result<TaskFile> ParseTaskFile(const std::string& text, const std::filesystem::path& file) {
  return GuardYaml(file.string(), [&] { return Reader(file).Read(text); });
}

}  // namespace h1bench::tasks::custom
