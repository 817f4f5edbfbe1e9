#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace h1bench::tokenizer {

/// A JSON value of a tokenizer.json and its place in the file, so that every error can say where. A
/// cheap view: the document outlives it.
class Node {
 public:
  Node(const Json& value, std::string path) : value_(&value), path_(std::move(path)) {}

  const Json& json() const { return *value_; }
  const std::string& path() const { return path_; }
  bool is_null() const { return value_->is_null(); }

  /// Errors of this place: "pre_tokenizer.pretokenizers[0]: ...". Corrupt() is for a file that
  /// breaks the format, Unsupported() for one that asks for something this program does not do.
  Status CorruptHere(std::string_view message) const;
  Status UnsupportedHere(std::string_view message) const;

  /// A member that must be there.
  Result<Node> Member(std::string_view key) const;
  /// A member or a null node when it is absent.
  Node Optional(std::string_view key) const;
  Result<std::string> String(std::string_view key) const;
  Result<bool> Bool(std::string_view key, bool when_absent) const;
  /// Not negative, at most `max`.
  Result<std::int64_t> Integer(std::string_view key, std::int64_t max) const;
  Result<std::vector<Node>> Items(std::string_view key) const;

  /// Fails unless this is an object without members other than those named: an unknown one may
  /// change the ids.
  Status OnlyMembers(std::initializer_list<std::string_view> known) const;
  /// The "type" of a part; `what` ("pre-tokenizer") and `known` are for the message when it is not
  /// among them.
  Result<std::string> Type(std::string_view what, const std::vector<std::string>& known) const;

 private:
  std::string MemberPath(std::string_view key) const;
  const Json* value_;
  std::string path_;
};

}  // namespace h1bench::tokenizer
