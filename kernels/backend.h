#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "kernels/model.h"

/// The one interface between the engine and a device. A backend keeps the weights (packed once) and
/// the state of many sequences in *slots* of its own memory; the engine says which tokens to append
/// where and which rows it wants to know.
///
/// Determinism contract: a row's result is a function of the model and of the slot's token ids from
/// position 0 up to that row, and of nothing else: not of the other segments, of how the tokens
/// were cut into Forward calls, of forks, of threads. Reductions run in an order fixed by the
/// weight's shape, the SSD chunk grid and the KV tiles are absolute from position 0, nothing is
/// padded that is computed on.
namespace h1bench {

enum class Precision {
  kFp32,
  kBf16
};  // kBf16: weights bf16, accumulation, norms, state and KV arithmetic fp32
const char* PrecisionName(Precision precision);             // "fp32", "bf16"
Result<Precision> ParsePrecision(const std::string& name);  // lists the known ones in its error

using SlotId = std::int32_t;

/// A row whose logits are asked for.
struct RowQuery {
  std::int32_t offset = 0;                // row of its segment: logits after ids[offset]
  std::span<const std::int32_t> targets;  // ids whose logits are wanted
  float* full = nullptr;                  // host memory for all V logits, or null
};

struct RowResult {
  std::int32_t argmax = 0;  // smallest id among equal logits
  float argmax_logit = 0;
  double log_sum_exp = 0;            // natural log over all V logits
  std::vector<float> target_logits;  // in the order of RowQuery::targets
};

/// Tokens appended to one slot in one Forward.
struct Segment {
  SlotId slot = 0;
  std::span<const std::int32_t> ids;  // not empty
  std::vector<RowQuery> rows;         // offsets increasing; may be empty
  /// False: the slot is read but left as it was (scoring a question after a shared prefix). Several
  /// such segments may name the same slot in one call; a slot with a keeping segment appears once.
  bool keep = true;
};

/// Bytes of device (for the CPU: process) memory, known before anything is allocated.
struct MemoryPlan {
  std::int64_t weights = 0, kv = 0, state = 0, workspace = 0, context = 0;
  std::int64_t total() const { return weights + kv + state + workspace + context; }
};

/// Where a backend computes.
enum class Device {
  kCpu,
  kCuda,          // the first visible GPU
  kCudaEmulated,  // the CUDA backend on the host: for tests, thousands of times slower
};
const char* DeviceName(Device device);                // "cpu", "cuda", "cuda-emulated"
Result<Device> ParseDevice(const std::string& name);  // lists the known ones in its error
/// kCuda where this build has it and there is a GPU, else kCpu.
Device DefaultDevice();

struct BackendOptions {
  Device device = Device::kCpu;
  Precision precision = Precision::kBf16;
  int threads = 0;                       // 0: all cores this process may use
  std::int64_t max_batch_tokens = 2048;  // tokens of one Forward at most; sizes the workspace
  std::int64_t max_batch_rows = 512;     // row queries of one Forward at most
};

class Backend {
 public:
  virtual ~Backend() = default;

  /// A slot at position 0 that can hold `max_tokens` tokens (KV memory grows in pages as they
  /// come).
  virtual Result<SlotId> Allocate(std::int64_t max_tokens) = 0;
  virtual void Release(SlotId slot) = 0;
  /// A new slot with exactly the state of `from` (KV pages shared copy-on-write, SSM state at the
  /// chunk boundary, inputs of the partial chunk, conv tail).
  virtual Result<SlotId> Fork(SlotId from, std::int64_t max_tokens) = 0;
  virtual std::int64_t Length(SlotId slot) const = 0;

  /// Appends the segments' tokens and answers their row queries: results in order of segments, then
  /// rows. All segments together hold at most max_batch_tokens tokens. Not thread-safe: one caller
  /// per backend.
  virtual Result<std::vector<RowResult>> Forward(std::span<const Segment> segments) = 0;

  virtual const ModelShape& shape() const = 0;
  virtual const BackendOptions& options() const = 0;
  /// Bytes in use now, split.
  virtual MemoryPlan MemoryUsed() const = 0;
  /// What two machines must share for equal bits, for the request key: backend, ISA or GPU model,
  /// library versions.
  virtual std::string Identity() const = 0;
};

/// Bytes of the device's memory for `slots` sequences of up to `tokens` tokens each. Pure
/// arithmetic.
MemoryPlan PlanMemory(const ModelShape& shape, const BackendOptions& options, std::int64_t slots,
                      std::int64_t tokens);

/// Bytes of a sequence's SSM state that a decode step must read and write, on average.
double StateTraffic(const ModelShape& shape, const BackendOptions& options);

/// The backend that options.device names. `weights` need outlive only this call. kUnavailable with
/// the reason when the device is not there.
Result<std::unique_ptr<Backend>> CreateBackend(const ModelShape& shape, const ModelWeights& weights,
                                               const BackendOptions& options);
/// Identity() of a device on this machine, without a model.
Result<std::string> DeviceIdentity(Device device);
/// Bytes of the device's own memory that are free now; empty when it computes in the process's
/// memory (the CPU).
Result<std::optional<std::int64_t>> FreeDeviceMemory(Device device);

}  // namespace h1bench
