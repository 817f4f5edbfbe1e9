#include "harness/suite/suite.h"

#include <algorithm>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "base/yaml.h"
#include "tasks/switches.h"
#include "tasks/task.h"

namespace h1bench {
namespace {

const std::vector<std::string> kSuiteKeys = {"name",  "description", "models",
                                             "tasks", "seed",        "data"};
const std::vector<std::string> kModelKeys = {"name", "path", "precisions", "max_length"};
const std::vector<std::string> kTaskKeys = {
    "task",           "name",    "shots",       "limit",         "subjects",
    "max_new_tokens", "repeats", "temperature", "top_p",         "fewshot_world_size",
    "lengths",        "depths",  "samples",     "ruler_variant", "ruler_qa",
    "ruler_files",    "chat",    "system"};
/// With the parity switches.
std::vector<std::string> TaskKeys() {
  std::vector<std::string> keys = kTaskKeys;
  for (const tasks::Switch& one : tasks::Switches()) keys.emplace_back(one.key);
  return keys;
}

const std::vector<std::string> kPrecisions = {"bf16", "fp32"};
constexpr std::int64_t kMany = 1'000'000'000;

/// Names go into file names and tables.
bool GoodName(const std::string& name) {
  return name.size() <= 100 &&
         std::all_of(name.begin(), name.end(),
                     [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' ||
                              c == '+';
                     }) &&
         name.find_first_not_of('.') != std::string::npos;
}

class SuiteReader {
 public:
  explicit SuiteReader(const std::filesystem::path& file) : file_(file.string()) {}

  Result<Suite> Read(const std::string& text) {
    H1_ASSIGN_OR_RETURN(const YAML::Node root,
                        ParseYaml(text, file_, "docs/suite.md shows a suite."));
    H1_RETURN_IF_ERROR(CheckKeys(file_, root, "suite", kSuiteKeys));
    Suite suite;
    suite.text = text;
    suite.name = std::filesystem::path(file_).stem().string();
    if (root["name"]) {
      H1_ASSIGN_OR_RETURN(suite.name, ReadName(root["name"], "name"));
    }
    if (root["description"]) {
      H1_ASSIGN_OR_RETURN(suite.description, ReadString(file_, root["description"], "description"));
      if (suite.description.size() > 2000)
        return Expected(file_, root["description"], "description", "at most 2000 bytes");
    }
    if (root["seed"]) {
      H1_ASSIGN_OR_RETURN(suite.seed, ReadInt(file_, root["seed"], "seed", 0, kMany));
    }
    if (root["data"]) {
      H1_ASSIGN_OR_RETURN(suite.data, ReadPath(file_, root["data"], "data"));
    }
    H1_RETURN_IF_ERROR(ReadModels(root, suite));
    H1_RETURN_IF_ERROR(ReadTasks(root, suite));
    return suite;
  }

 private:
  Result<std::string> ReadName(const YAML::Node& node, const std::string& key) {
    H1_ASSIGN_OR_RETURN(std::string name, ReadString(file_, node, key));
    if (!GoodName(name))
      return Expected(file_, node, key, "letters, digits, - _ . + (at most 100)");
    return name;
  }

  Status ReadModels(const YAML::Node& root, Suite& suite) {
    const YAML::Node list = root["models"];
    if (!list)
      return InvalidArgument(
          "{}: the key \"models\" is missing. Example: `models: [{{path: "
          "/models/Falcon-H1-0.5B-Base}}]`",
          Place(file_, root));
    if (!list.IsSequence() || list.size() == 0)
      return Expected(file_, list, "models", "a list with at least one model");
    std::set<std::string> names;
    for (const YAML::Node& node : list) {
      SuiteModel model;
      H1_ASSIGN_OR_RETURN(model, ReadModel(node));
      if (!names.insert(model.name).second) {
        return InvalidArgument(
            "{}: models: the name \"{}\" is there twice. Give one of them another `name`.",
            Place(file_, node), model.name);
      }
      suite.models.push_back(std::move(model));
    }
    return Status::Ok();
  }

  Result<SuiteModel> ReadModel(const YAML::Node& node) {
    H1_RETURN_IF_ERROR(CheckKeys(file_, node, "models", kModelKeys));
    SuiteModel model;
    model.line = node.Mark().line + 1;
    model.precisions = {"bf16"};
    if (!node["path"])
      return InvalidArgument("{}: models: the key \"path\" is missing: the folder of a checkpoint",
                             Place(file_, node));
    H1_ASSIGN_OR_RETURN(model.path, ReadPath(file_, node["path"], "path"));
    const std::filesystem::path plain =
        model.path.has_filename() ? model.path : model.path.parent_path();
    model.name = plain.filename().string();
    if (node["name"]) {
      H1_ASSIGN_OR_RETURN(model.name, ReadName(node["name"], "name"));
    } else if (!GoodName(model.name)) {
      return InvalidArgument(
          "{}: models: the folder's name \"{}\" cannot be used as a name. Add `name`.",
          Place(file_, node), VisibleText(model.name));
    }
    if (node["precisions"]) {
      H1_ASSIGN_OR_RETURN(
          model.precisions,
          ReadList<std::string>(file_, node["precisions"], "precisions",
                                [&](const YAML::Node& item) { return ReadPrecision(item); }));
    }
    if (node["max_length"]) {
      H1_ASSIGN_OR_RETURN(model.max_length,
                          ReadInt(file_, node["max_length"], "max_length", 2, 1 << 20));
    }
    return model;
  }

  Result<std::string> ReadPrecision(const YAML::Node& node) {
    if (node.IsScalar() &&
        std::find(kPrecisions.begin(), kPrecisions.end(), node.Scalar()) != kPrecisions.end())
      return node.Scalar();
    return Expected(file_, node, "precisions",
                    fmt::format("one of {}", fmt::join(kPrecisions, " ")));
  }

  Status ReadTasks(const YAML::Node& root, Suite& suite) {
    const YAML::Node list = root["tasks"];
    if (!list)
      return InvalidArgument("{}: the key \"tasks\" is missing. Example: `tasks: [mmlu]`",
                             Place(file_, root));
    if (!list.IsSequence() || list.size() == 0)
      return Expected(file_, list, "tasks", "a list with at least one task");
    std::set<std::string> names;
    for (const YAML::Node& node : list) {
      SuiteTask task;
      H1_ASSIGN_OR_RETURN(task, ReadTask(node));
      if (!names.insert(task.name).second) {
        return InvalidArgument(
            "{}: tasks: the name \"{}\" is there twice. Give one of them another `name`.",
            Place(file_, node), task.name);
      }
      suite.tasks.push_back(std::move(task));
    }
    return Status::Ok();
  }

  /// The task's name, or "custom" and the file's path among the options. Fills `name`, too.
  Status ReadTaskName(const YAML::Node& node, SuiteTask& task) {
    H1_ASSIGN_OR_RETURN(task.task, ReadString(file_, node, "task"));
    task.name = task.task;
    if (tasks::IsTaskFile(task.task)) {
      H1_ASSIGN_OR_RETURN(std::filesystem::path path, ReadPath(file_, node, "task"));
      path = std::filesystem::absolute(path).lexically_normal();  // a run is resumed from anywhere
      task.task = "custom";
      task.name = path.stem().string();
      task.options.Set("file", path.string());
      return Status::Ok();
    }
    const std::vector<std::string> known = tasks::TaskNames();
    if (std::find(known.begin(), known.end(), task.task) != known.end()) return Status::Ok();
    return tasks::UnknownTask(task.task).WithContext(Place(file_, node));
  }

  Status CheckDefaultName(const YAML::Node& node, const SuiteTask& task) {
    if (GoodName(task.name)) return Status::Ok();
    return InvalidArgument(
        "{}: tasks: the file's name \"{}\" cannot be used as a name. Add `name`.",
        Place(file_, node), VisibleText(task.name));
  }

  Result<SuiteTask> ReadTask(const YAML::Node& node) {
    SuiteTask task;
    task.line = node.Mark().line + 1;
    task.options = Json(Json::Object{});
    if (node.IsScalar()) {
      H1_RETURN_IF_ERROR(ReadTaskName(node, task));
      H1_RETURN_IF_ERROR(CheckDefaultName(node, task));
      return task;
    }
    H1_RETURN_IF_ERROR(CheckKeys(file_, node, "tasks", TaskKeys()));
    if (!node["task"])
      return InvalidArgument("{}: tasks: the key \"task\" is missing", Place(file_, node));
    H1_RETURN_IF_ERROR(ReadTaskName(node["task"], task));
    if (node["name"]) {
      H1_ASSIGN_OR_RETURN(task.name, ReadName(node["name"], "name"));
    }
    H1_RETURN_IF_ERROR(CheckDefaultName(node, task));
    for (const auto& item : node) {
      H1_RETURN_IF_ERROR(ReadOption(item.first.Scalar(), item.second, task.options));
    }
    return task;
  }

  Status ReadOption(const std::string& key, const YAML::Node& node, Json& options) {
    if (key == "task" || key == "name") return Status::Ok();
    for (const tasks::Switch& one : tasks::Switches()) {
      if (key != one.key) continue;
      H1_ASSIGN_OR_RETURN(const std::string value, ReadString(file_, node, key));
      if (std::find(one.values.begin(), one.values.end(), value) == one.values.end())
        return Expected(file_, node, key, fmt::format("{}", fmt::join(one.values, " or ")));
      options.Set(key, value);
      return Status::Ok();
    }
    if (key == "temperature" || key == "top_p") {
      H1_ASSIGN_OR_RETURN(const double value,
                          ReadDouble(file_, node, key, 0, key == "top_p" ? 1 : 100));
      options.Set(key, value);
    } else if (key == "ruler_variant" || key == "ruler_qa" || key == "system") {
      H1_ASSIGN_OR_RETURN(const std::string value, ReadString(file_, node, key));
      options.Set(key, value);
    } else if (key == "chat") {
      H1_ASSIGN_OR_RETURN(const std::string value, ReadString(file_, node, key));
      if (value != "single" && value != "multiturn")
        return Expected(file_, node, key, "single or multiturn");
      options.Set(key, value);
    } else if (key == "ruler_files") {
      H1_ASSIGN_OR_RETURN(const std::filesystem::path value, ReadPath(file_, node, key));
      options.Set(key, value.string());
    } else if (key == "subjects") {
      H1_ASSIGN_OR_RETURN(const auto items,
                          ReadList<std::string>(file_, node, key, [&](const YAML::Node& item) {
                            return ReadString(file_, item, key);
                          }));
      Json list{Json::Array{}};
      for (const std::string& item : items) list.Push(item);
      options.Set(key, list);
    } else if (key == "lengths") {
      H1_ASSIGN_OR_RETURN(const auto items,
                          ReadList<std::int64_t>(file_, node, key, [&](const YAML::Node& item) {
                            return ReadInt(file_, item, key, 16, 1 << 20);
                          }));
      Json list{Json::Array{}};
      for (const std::int64_t item : items) list.Push(item);
      options.Set(key, list);
    } else if (key == "depths") {
      H1_ASSIGN_OR_RETURN(const auto items,
                          ReadList<double>(file_, node, key, [&](const YAML::Node& item) {
                            return ReadDouble(file_, item, key, 0, 100);
                          }));
      Json list{Json::Array{}};
      for (const double item : items) list.Push(item);
      options.Set(key, list);
    } else {
      const std::int64_t low = key == "shots" ? 0 : 1;
      H1_ASSIGN_OR_RETURN(const std::int64_t value,
                          ReadInt(file_, node, key, low, key == "shots" ? 1000 : kMany));
      options.Set(key, value);
    }
    return Status::Ok();
  }

  std::string file_;
};

}  // namespace

Result<Suite> ParseSuite(const std::string& text, const std::filesystem::path& file) {
  return GuardYaml(file.string(), [&] { return SuiteReader(file).Read(text); });
}

Result<Suite> LoadSuite(const std::filesystem::path& file) {
  H1_ASSIGN_OR_RETURN(const std::string text, ReadFile(file, 1 << 20));
  return ParseSuite(text, file);
}

}  // namespace h1bench
