#include "kernels/cpu/backend.h"

#include <fmt/format.h>

#include <new>

#include "kernels/common/check_segments.h"
#include "kernels/common/check_weights.h"
#include "kernels/cpu/head.h"
#include "kernels/cpu/layer.h"
#include "kernels/cpu/memory_plan.h"
#include "kernels/cpu/threads.h"

namespace h1bench::cpu {
namespace {

/// Runs `body`, which may throw what the standard library throws.
template <typename Body>
Status Guarded(const char* what, const Body& body) {
  try {
    body();
    return Status::Ok();
  } catch (const std::bad_alloc&) {
    return {StatusCode::kResourceExhausted, fmt::format("{}: out of memory", what)};
  }
}

class CpuBackend final : public Backend {
 public:
  CpuBackend(const ModelShape& shape, const BackendOptions& options)
      : shape_(shape),
        options_(options),
        slots_(StateLayout(shape, options.precision == Precision::kBf16), shape.max_positions),
        work_(WorkspaceSizes(shape, options, KindFor(options.precision))),
        pool_(ThreadCount(options.threads)) {}

  void Pack(const ModelWeights& weights) {
    const ThreadScope threads(pool_);
    PackWeights(shape_, weights, options_.precision, model_);
  }

  Result<SlotId> Allocate(std::int64_t max_tokens) override { return slots_.Allocate(max_tokens); }
  void Release(SlotId slot) override { slots_.Release(slot); }
  Result<SlotId> Fork(SlotId from, std::int64_t max_tokens) override {
    return slots_.Fork(from, max_tokens);
  }
  std::int64_t Length(SlotId slot) const override { return slots_.Length(slot); }

  Result<std::vector<RowResult>> Forward(std::span<const Segment> segments) override {
    H1_RETURN_IF_ERROR(common::CheckSegments(segments, slots_.Rooms(), shape_, options_));
    std::vector<RowResult> results;
    H1_RETURN_IF_ERROR(Guarded("forward", [&] { results = Compute(segments); }));
    return results;
  }

  const ModelShape& shape() const override { return shape_; }
  const BackendOptions& options() const override { return options_; }
  std::string Identity() const override { return cpu::Identity(); }

  MemoryPlan MemoryUsed() const override {
    MemoryPlan used;
    used.weights = model_.bytes;
    used.kv = slots_.kv_bytes();
    used.state = slots_.state_bytes();
    used.workspace = work_.bytes;
    used.context = kContextBytes;
    return used;
  }

 private:
  std::vector<RowResult> Compute(std::span<const Segment> segments) {
    if (segments.empty()) return {};
    const ThreadScope threads(pool_);
    Batch batch = MakeBatch(segments, slots_);
    ReserveKvScratch(batch.scratch_blocks);
    const LayerContext context{shape_, slots_.layout(), model_, Kernels(), work_, batch};
    FillAngles(context);
    Embed(context);
    for (std::int64_t i = 0; i < shape_.layers; ++i) {
      PointAtLayer(batch, slots_.layout(), i, work_.kv_scratch.data());
      for (const RowBlock& block : batch.blocks) ComputeLayer(context, block, i);
    }
    FinishBatch(batch);
    return AnswerRows(context);
  }

  /// A block's rows through a layer. A lone block's rows are normed for the next layer while they
  /// are at hand.
  void ComputeLayer(const LayerContext& context, const RowBlock& block, std::int64_t index) {
    const PackedLayer& layer = model_.layers[static_cast<std::size_t>(index)];
    const bool last = index + 1 == shape_.layers, alone = context.batch.blocks.size() == 1;
    RowRange rows{block.first_row, block.rows};
    if (index == 0 || !alone) Norm(context, layer.input_norm, rows);
    Mix(context, block, index);
    if (last) rows = KeepAskedRows(context, block);
    AddMixed(context, layer, rows);
    const bool norm = alone && !last;
    AddMlp(context, layer,
           norm ? &model_.layers[static_cast<std::size_t>(index) + 1].input_norm : nullptr, rows);
  }

  /// More than the plan's share is needed only by calls with very many segments that ask for no
  /// rows.
  void ReserveKvScratch(std::int64_t blocks) {
    const std::int64_t bytes = blocks * slots_.layout().kv_layer_bytes;
    if (bytes <= work_.kv_scratch.size()) return;
    work_.bytes += bytes - work_.kv_scratch.size();
    work_.kv_scratch = Buffer(bytes);
  }

  ModelShape shape_;
  BackendOptions options_;
  PackedModel model_;
  Slots slots_;
  Workspace work_;
  ThreadPool pool_;
};

}  // namespace

Result<std::unique_ptr<Backend>> CreateBackend(const ModelShape& shape, const ModelWeights& weights,
                                               const BackendOptions& options) {
  H1_RETURN_IF_ERROR(common::CheckWeights(shape, weights));
  if (options.max_batch_tokens < 1 || options.max_batch_rows < 1 || options.threads < 0) {
    return InvalidArgument(
        "backend options: max_batch_tokens {}, max_batch_rows {} must be positive, threads {} not "
        "negative",
        options.max_batch_tokens, options.max_batch_rows, options.threads);
  }
  std::unique_ptr<CpuBackend> backend;
  H1_RETURN_IF_ERROR(Guarded("loading the model", [&] {
    backend = std::make_unique<CpuBackend>(shape, options);
    backend->Pack(weights);
  }));
  return std::unique_ptr<Backend>(std::move(backend));
}

std::string Identity() { return fmt::format("cpu {}", Kernels().name); }

}  // namespace h1bench::cpu
