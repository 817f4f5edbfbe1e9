#include "base/yaml.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <set>
#include <sstream>

#include "base/text.h"

namespace h1bench {
namespace {

constexpr std::size_t kMaxBytes = 1 << 20;
constexpr int kMaxDepth = 16;
constexpr int kMaxValues = 100'000;  // as a tree, a value of two bytes takes hundreds

/// Walks the events before any tree is built and remembers the first thing that our files may
/// not hold.
class Guard : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { Check(mark, "", anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Refuse(mark, "aliases (*name) are not allowed");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string&) override {
    Check(mark, tag, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Enter(mark, tag, anchor);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Enter(mark, tag, anchor);
  }
  void OnMapEnd() override { --depth_; }

  std::optional<std::pair<YAML::Mark, std::string>> refused;

 private:
  void Enter(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    Check(mark, tag, anchor);
    if (++depth_ > kMaxDepth) Refuse(mark, "expected at most 16 levels");
  }
  void Check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) Refuse(mark, "anchors (&name) are not allowed");
    if (!tag.empty() && tag != "?" && tag != "!") Refuse(mark, "tags (!name) are not allowed");
    if (++values_ > kMaxValues) Refuse(mark, "expected at most 100000 values");
  }
  void Refuse(const YAML::Mark& mark, const char* why) {
    if (!refused) refused = {mark, why};
  }
  int depth_ = 0, values_ = 0;
};

std::string At(const std::string& file, const YAML::Mark& mark) {
  return mark.is_null() ? file : fmt::format("{}:{}:{}", file, mark.line + 1, mark.column + 1);
}

}  // namespace

Status YamlError(const std::string& file, const YAML::Exception& error) {
  return InvalidArgument("{}: {}", At(file, error.mark), error.msg);
}

Result<YAML::Node> ParseYaml(const std::string& text, const std::string& file, const char* hint) {
  if (text.size() > kMaxBytes)
    return InvalidArgument("{}: expected at most 1 MiB of YAML, found {} bytes", file, text.size());
  if (!IsValidUtf8(text)) return InvalidArgument("{}: expected UTF-8 text", file);
  return GuardYaml(file, [&]() -> Result<YAML::Node> {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    Guard guard;
    if (!parser.HandleNextDocument(guard))
      return InvalidArgument("{}: the file is empty. {}", file, hint);
    if (guard.refused)
      return InvalidArgument("{}: {}", At(file, guard.refused->first), guard.refused->second);
    Guard second;
    if (parser.HandleNextDocument(second))
      return InvalidArgument("{}: expected one YAML document, found another after ---", file);
    return YAML::Load(text);
  });
}

std::string Place(const std::string& file, const YAML::Node& node) { return At(file, node.Mark()); }

std::string Found(const YAML::Node& node) {
  if (!node.IsDefined() || node.IsNull()) return "nothing";
  if (node.IsSequence()) return "a list";
  if (node.IsMap()) return "a mapping";
  std::string text = node.Scalar().substr(0, 60);
  return "\"" + VisibleText(text) + "\"";
}

Status Expected(const std::string& file, const YAML::Node& node, const std::string& key,
                const std::string& expected) {
  return InvalidArgument("{}: {}: expected {}, found {}", Place(file, node), key, expected,
                         Found(node));
}

Status CheckKeys(const std::string& file, const YAML::Node& map, const std::string& what,
                 const std::vector<std::string>& known) {
  if (!map.IsMap()) return Expected(file, map, what, "a mapping");
  std::set<std::string> seen;
  for (const auto& item : map) {
    if (!item.first.IsScalar()) return Expected(file, item.first, what, "a plain key");
    const std::string& key = item.first.Scalar();
    if (!seen.insert(key).second)
      return InvalidArgument("{}: {}: the key \"{}\" is there twice", Place(file, item.first), what,
                             VisibleText(key));
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const std::string near = NearestWord(key, known);
    return InvalidArgument(
        "{}: {}: unknown key \"{}\".{} Known: {}", Place(file, item.first), what, VisibleText(key),
        near.empty() ? "" : fmt::format(" Did you mean \"{}\"?", near), fmt::join(known, " "));
  }
  return Status::Ok();
}

Result<std::string> ReadString(const std::string& file, const YAML::Node& node,
                               const std::string& key) {
  if (!node.IsScalar() || node.Scalar().empty()) return Expected(file, node, key, "a text");
  return node.Scalar();
}

Result<std::int64_t> ReadInt(const std::string& file, const YAML::Node& node,
                             const std::string& key, std::int64_t low, std::int64_t high) {
  const std::string expected = fmt::format("a whole number from {} to {}", low, high);
  if (!node.IsScalar()) return Expected(file, node, key, expected);
  const std::string& text = node.Scalar();
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    return Expected(file, node, key, expected);
  return value;
}

Result<double> ReadDouble(const std::string& file, const YAML::Node& node, const std::string& key,
                          double low, double high) {
  const std::string expected = fmt::format("a number from {} to {}", low, high);
  if (!node.IsScalar()) return Expected(file, node, key, expected);
  const std::string& text = node.Scalar();
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
      value < low || value > high) {
    return Expected(file, node, key, expected);
  }
  return value;
}

Result<std::filesystem::path> ReadPath(const std::string& file, const YAML::Node& node,
                                       const std::string& key) {
  H1_ASSIGN_OR_RETURN(const std::string text, ReadString(file, node, key));
  const char* home = std::getenv("HOME");
  if (text.rfind("~/", 0) == 0 && home != nullptr)
    return std::filesystem::path(home) / text.substr(2);
  const std::filesystem::path path(text);
  return path.is_absolute() ? path
                            : (std::filesystem::path(file).parent_path() / path).lexically_normal();
}

}  // namespace h1bench
