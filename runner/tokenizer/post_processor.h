#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "runner/tokenizer/node.h"

namespace h1bench::tokenizer {

/// Ids that a TemplateProcessing puts in front of and behind those of one text.
struct SpecialIds {
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
};

/// The member "post_processor" of a tokenizer.json. ByteLevel changes offsets alone and so does
/// nothing here; of several templates the later one goes around the earlier. `is_token` says
/// whether an id exists.
Result<SpecialIds> ReadPostProcessor(const Node& node,
                                     const std::function<bool(std::int64_t)>& is_token);

}  // namespace h1bench::tokenizer
