#pragma once

#include <memory>

#include "runner/tokenizer/tokenizer.h"
#include "tasks/task.h"

namespace h1bench::cli {

/// What tasks ask of a tokenizer. Thread-safe; the tokenizer lives as long as either.
struct TextTokens {
  tasks::TokenCounter count;
  tasks::TokenCutter cut;
};
TextTokens TokensOf(std::shared_ptr<const Tokenizer> tokenizer);
TextTokens TokensOf(Tokenizer tokenizer);

}  // namespace h1bench::cli
