#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "kernels/backend.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/safetensors.h"
#include "tests/device.h"
#include "tests/paths.h"

/// Golden models: a checkpoint, id sequences and the logits that transformers gave for them.
namespace h1bench::testing {

using Ids = std::vector<std::int32_t>;

struct GoldenSequence {
  Ids ids;
  std::vector<float> logits;  // (rows, vocab)
  std::int64_t rows = 0;
  std::int64_t stride = 1;  // row i is position i * stride
};

inline std::unique_ptr<Backend> MakeBackend(const Checkpoint& model, Precision precision,
                                            int threads = 2, std::int64_t max_batch_tokens = 2048,
                                            Device device = TestDevice()) {
  BackendOptions options;
  options.device = device;
  options.precision = precision;
  options.threads = threads;
  options.max_batch_tokens = max_batch_tokens;
  options.max_batch_rows = max_batch_tokens;
  auto backend = CreateBackend(model.config().shape, model.weights(), options);
  EXPECT_TRUE(backend.ok()) << backend.status().message();
  return backend.ok() ? std::move(*backend) : nullptr;
}

inline GoldenSequence ReadGolden(const std::filesystem::path& folder, const std::string& name) {
  GoldenSequence out;
  const auto text = ReadFile(folder / "golden.json");
  EXPECT_TRUE(text.ok());
  const auto json = ParseJson(*text);
  EXPECT_TRUE(json.ok());
  for (const Json& id : json->Find("sequences")->Find(name)->Find("ids")->as_array()) {
    out.ids.push_back(static_cast<std::int32_t>(id.as_int()));
  }
  const auto file = SafetensorsFile::Open(folder / "golden_logits.safetensors");
  EXPECT_TRUE(file.ok());
  const TensorView* view = file->Find(name);
  out.rows = view->shape[0];
  const Json* stride = json->Find("logit_rows");
  if (stride != nullptr && stride->as_string() == "every 50th") out.stride = 50;
  out.logits.resize(view->bytes.size() / 4);
  std::memcpy(out.logits.data(), view->bytes.data(), view->bytes.size());
  return out;
}

/// Largest |difference| over the golden positions, as a share of the largest golden |logit|.
inline double LogitError(Backend& backend, const GoldenSequence& golden) {
  const auto slot = backend.Allocate(static_cast<std::int64_t>(golden.ids.size()));
  EXPECT_TRUE(slot.ok()) << slot.status().message();
  const auto vocab = static_cast<std::size_t>(backend.shape().vocab);
  std::vector<float> ours(golden.logits.size());
  Segment segment{*slot, golden.ids, {}, true};
  for (std::int64_t i = 0; i < golden.rows; ++i) {
    segment.rows.push_back({static_cast<std::int32_t>(i * golden.stride),
                            {},
                            ours.data() + static_cast<std::size_t>(i) * vocab});
  }
  const auto result = backend.Forward(std::span(&segment, 1));
  EXPECT_TRUE(result.ok()) << result.status().message();
  backend.Release(*slot);
  double error = 0, largest = 0;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const double delta =
        std::abs(static_cast<double>(ours[i]) - static_cast<double>(golden.logits[i]));
    error = std::isnan(delta) ? INFINITY : std::max(error, delta);
    largest = std::max(largest, std::abs(static_cast<double>(golden.logits[i])));
  }
  return error / largest;
}

}  // namespace h1bench::testing
