#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"

/// Members of JSON that the store keeps, read leniently: what is not there is empty.
namespace h1bench::reports {

inline std::string TextMember(const Json& json, const char* key) {
  const Json* value = json.Find(key);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

inline std::int64_t IntegerMember(const Json& json, const char* key) {
  const Json* value = json.Find(key);
  return value != nullptr && value->is_integer() ? value->as_int() : 0;
}

/// The strings of an array; empty where there is none.
inline std::vector<std::string> TextsMember(const Json& json, const char* key) {
  std::vector<std::string> texts;
  const Json* list = json.Find(key);
  if (list == nullptr || !list->is_array()) return texts;
  for (const Json& one : list->as_array()) {
    if (one.is_string()) texts.push_back(one.as_string());
  }
  return texts;
}

}  // namespace h1bench::reports
