#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace h1bench::tasks::helmet {

/// Texts that many questions share (a question's variants differ in their order only), kept once.
class Passages {
 public:
  std::uint32_t Add(std::string text) {
    const auto [found, is_new] =
        places_.try_emplace(std::move(text), static_cast<std::uint32_t>(texts_.size()));
    if (is_new) texts_.push_back(&found->first);
    return found->second;
  }
  /// Joined by an empty line.
  std::string Join(const std::vector<std::uint32_t>& places) const {
    std::string text;
    for (const std::uint32_t place : places) {
      if (!text.empty()) text += "\n\n";
      text += *texts_[place];
    }
    return text;
  }

 private:
  std::unordered_map<std::string, std::uint32_t> places_;  // its keys do not move
  std::vector<const std::string*> texts_;
};

}  // namespace h1bench::tasks::helmet
