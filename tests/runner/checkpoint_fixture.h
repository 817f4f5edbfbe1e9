#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "kernels/model.h"

namespace h1bench::testing {

/// A folder that goes away with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "h1bench-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void WriteText(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

/// Two layers, a few thousand parameters.
inline ModelShape TinyShape() {
  ModelShape s;
  s.vocab = 40, s.hidden = 16, s.intermediate = 24, s.layers = 2;
  s.heads = 4, s.kv_heads = 2, s.head_dim = 8;
  s.ssm_inner = 32, s.ssm_heads = 4, s.ssm_head_dim = 8, s.ssm_groups = 2, s.ssm_state = 8;
  s.conv_taps = 4, s.chunk = 16, s.max_positions = 128;
  s.gated_norm = true;
  return s;
}

}  // namespace h1bench::testing
