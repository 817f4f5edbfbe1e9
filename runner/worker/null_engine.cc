#include "runner/worker/null_engine.h"

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/sha256.h"

namespace h1bench {
namespace {

constexpr std::int64_t kBytesPerToken = 4;

/// 0 to 2^24 - 1, from a hash of the texts.
std::uint32_t HashOf(const std::string& a, const std::string& b) {
  Sha256 digest;
  digest.UpdateField(a).UpdateField(b);
  const auto bytes = digest.Finish();
  return static_cast<std::uint32_t>(bytes[0]) << 16 | static_cast<std::uint32_t>(bytes[1]) << 8 |
         bytes[2];
}

class NullEngine final : public Engine {
 public:
  explicit NullEngine(const NullEngineOptions& options) : options_(options) {}

  std::unique_ptr<EngineBatch> Prepare(std::vector<EngineRequest> requests, int) override {
    auto batch = std::make_unique<Batch>();
    batch->requests = std::move(requests);
    return batch;
  }
  Status Serve(const WorkSource& source) override {
    for (EngineWork work = source(true); work.batch != nullptr; work = source(true)) {
      for (const EngineRequest& request : static_cast<const Batch&>(*work.batch).requests) {
        if (options_.delay_ms > 0)
          std::this_thread::sleep_for(std::chrono::milliseconds(options_.delay_ms));
        if (!options_.abort_on.empty() &&
            request.context.find(options_.abort_on) != std::string::npos)
          std::abort();
        if (!work.done(Answer(request))) break;
      }
    }
    return Status::Ok();
  }
  MemoryPlan planned_memory() const override { return {}; }
  MemoryPlan used_memory() const override { return {}; }
  EngineStats stats() const override { return {}; }
  std::string Identity() const override { return "null"; }
  Result<std::string> Probe() override { return Sha256Hex("null engine 1" + options_.probe); }

 private:
  struct Batch final : EngineBatch {
    std::int64_t tokens() const override { return 0; }
    std::vector<EngineRequest> requests;
  };

  static EngineResponse Answer(const EngineRequest& request) {
    EngineResponse response;
    response.tag = request.tag;
    response.prompt_tokens = static_cast<std::int64_t>(request.context.size()) / kBytesPerToken;
    for (const std::string& continuation : request.continuations) {
      response.loglikelihoods.push_back(
          -static_cast<double>(HashOf(request.context, continuation)) / 65536.0);
      response.is_greedy.push_back(false);
    }
    if (request.continuations.empty()) {
      response.text = fmt::format(" {}", HashOf(request.context, request.sampling_key) % 1000);
      response.generated_tokens = 1;
      response.finish = "eos";
    }
    return response;
  }

  NullEngineOptions options_;
};

}  // namespace

std::unique_ptr<Engine> MakeNullEngine(const NullEngineOptions& options) {
  return std::make_unique<NullEngine>(options);
}

}  // namespace h1bench
