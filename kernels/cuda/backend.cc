#include "kernels/cuda/backend.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/common/check_segments.h"
#include "kernels/common/check_weights.h"
#include "kernels/cuda/batch.h"
#include "kernels/cuda/weights.h"
#include "kernels/cuda/workspace.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

/// What the driver takes for a process: an estimate, the only number of a plan that is not
/// arithmetic.
constexpr std::int64_t kContextBytes = std::int64_t{600} << 20;

/// A decode step's kernels start while the one before ends when there are at most so many rows: 7B
/// on an H200 gained 2 % with 16 rows; all kernels but products lost 2.5 % with 32 and with 64.
constexpr std::int64_t kEarlyRows = 16;

Status CheckCudaShape(const ModelShape& s) {
  if (s.head_dim > 256)
    return Unsupported("head_dim {}: the CUDA backend has attention to 256", s.head_dim);
  if (s.ssm_state > 512)
    return Unsupported("mamba_d_state {}: the CUDA backend has the scan to 512", s.ssm_state);
  return Status::Ok();
}

/// Pinned host memory and device memory of one size, grown when a call needs more.
struct Staging {
  HostMemory host;
  DeviceMemory device;
  /// True in `moved` when the memory is another one now.
  Status Reserve(std::int64_t bytes, bool& moved) {
    if (bytes <= device.size()) return Status::Ok();
    moved = true;
    const std::int64_t size = RoundUp(bytes + bytes / 2, 4096);
    H1_ASSIGN_OR_RETURN(host, HostMemory::Allocate(size));
    H1_ASSIGN_OR_RETURN(device, DeviceMemory::Allocate(size));
    return Status::Ok();
  }
};

class CudaBackend final : public Backend {
 public:
  CudaBackend(const ModelShape& shape, const BackendOptions& options)
      : shape_(shape),
        options_(options),
        bf16_(options.precision == Precision::kBf16),
        slots_(StateLayout(shape, bf16_), shape.max_positions) {}
  ~CudaBackend() override {
    Synchronize(stream_);
    DestroyStream(stream_);
#ifndef H1_CUDA_EMULATION
    ProfileReport();
#endif
  }

  Status Init(const ModelWeights& weights) {
    H1_ASSIGN_OR_RETURN(identity_, H1_CUDA_NAMESPACE::Identity());
    H1_ASSIGN_OR_RETURN(const DeviceFacts facts, QueryDevice());
    paths_ = ChoosePaths(Dims(shape_), bf16_, facts.capability());
    H1_ASSIGN_OR_RETURN(stream_, CreateStream());
    H1_RETURN_IF_ERROR(branch_.Create());
    H1_ASSIGN_OR_RETURN(model_, UploadModel(shape_, weights, bf16_, stream_));
    H1_ASSIGN_OR_RETURN(work_, Workspace::Create(shape_, options_, stream_));
    bool moved = false;
    H1_RETURN_IF_ERROR(
        tables_.Reserve(TableBytes(options_.max_batch_tokens, 64, 4096, 4096), moved));
    Synchronize(stream_);
    return TakeError();
  }

  Result<SlotId> Allocate(std::int64_t max_tokens) override { return slots_.Allocate(max_tokens); }
  void Release(SlotId slot) override { slots_.Release(slot); }
  Result<SlotId> Fork(SlotId from, std::int64_t max_tokens) override {
    return slots_.Fork(from, max_tokens);
  }
  std::int64_t Length(SlotId slot) const override { return slots_.Length(slot); }

  Result<std::vector<RowResult>> Forward(std::span<const Segment> segments) override {
    H1_RETURN_IF_ERROR(common::CheckSegments(segments, slots_.Rooms(), shape_, options_));
    if (segments.empty()) return std::vector<RowResult>{};
    const std::int64_t tile_rows = AttentionTileRows(shape_, bf16_);
    H1_ASSIGN_OR_RETURN(HostBatch batch, MakeBatch(segments, slots_, tile_rows, stream_));
    bool moved = false;
    H1_RETURN_IF_ERROR(tables_.Reserve(TableBytes(batch), moved));
    H1_RETURN_IF_ERROR(
        targets_.Reserve(static_cast<std::int64_t>(batch.targets.size() + 1) * 4, moved));
    H1_RETURN_IF_ERROR(answers_.Reserve(
        static_cast<std::int64_t>((batch.asked.size() + 1) * sizeof(HeadRow)), moved));
    if (moved) recorded_.reset();
    const DeviceBatch tables =
        SendBatch(batch, tables_.host.bytes(), tables_.device.bytes(), stream_);
    const StageContext context{Dims(shape_), slots_.layout(), tables, work_.buffers(),
                               bf16_,        stream_,         paths_};
    Compute(context, batch);
    Synchronize(stream_);
    H1_RETURN_IF_ERROR(TakeError());
    FinishBatch(batch);
    return Collect(batch);
  }

  const ModelShape& shape() const override { return shape_; }
  const BackendOptions& options() const override { return options_; }
  std::string Identity() const override { return identity_; }
  MemoryPlan MemoryUsed() const override {
    MemoryPlan used;
    used.weights = model_.bytes;
    used.kv = slots_.kv_bytes();
    used.state = slots_.state_bytes();
    used.workspace = work_.bytes() + tables_.device.size() + targets_.device.size() +
                     answers_.device.size() + kPageSlabBytes;
    used.context = kContextBytes;
    return used;
  }

 private:
  /// A call whose tables lie where the last one's did (the next step of the same sequences) is the
  /// same kernels with the same arguments: the second such call records them, later ones replay.
  void Compute(const StageContext& c, const HostBatch& batch) {
    const bool full = std::any_of(batch.queries.begin(), batch.queries.end(),
                                  [](const RowQuery* query) { return query->full != nullptr; });
    const bool again = recorded_ && *recorded_ == c.batch && !full && Graph::Available();
    if (!again) {
      graph_.Clear();
      recorded_ = c.batch;
      RunLayers(c);
      RunHead(c, batch);
      return;
    }
    if (!graph_.ready()) {
      Graph::BeginCapture(stream_, c.batch.rows <= kEarlyRows);
      RunLayers(c);
      RunHead(c, batch);
      graph_.EndCapture(stream_);
    }
    if (graph_.ready()) graph_.Launch(stream_);
  }

  void RunLayers(const StageContext& c) {
    const Buffers& b = c.buffers;
    StageContext beside = c;
    beside.stream = branch_.stream();
    Embed(c, model_.embedding, shape_.rope_base);
    for (std::int64_t i = 0; i < shape_.layers; ++i) {
      const LayerPointers& w = model_.layers[static_cast<std::size_t>(i)].at;
      RmsNorm(c, b.x, w.input_norm, c.batch.rows, b.normed);
      InProduct(c, w);
      PostIn(c, w, i);
      branch_.Fork(
          stream_);  // scan and attention read the same rows and write columns of their own
      Attend(beside, i);
      Scan(c, w, i);
      if (shape_.gated_norm) GateNorm(c, w);
      branch_.Join(stream_);
      if (c.batch.any_kept && !PostInKeeps(c)) Keep(c, i);
      const bool last = i + 1 == shape_.layers;
      if (last && c.batch.asked_count == 0) return;
      if (last) GatherAsked(c);
      AddMixed(c, w, last);
      AddMlp(c, w, last);
    }
  }

  GemmArgs Product(const void* in, const void* weight, std::int64_t rows, std::int64_t n,
                   std::int64_t k) const {
    GemmArgs args;
    args.in = in;
    args.weight = weight;
    args.rows = rows;
    args.n = n;
    args.k = k;
    args.ldi = RoundUp(k, kPadK);
    return args;
  }

  void InProduct(const StageContext& c, const LayerPointers& w) const {
    GemmArgs args = Product(c.buffers.normed, w.in, c.batch.rows, c.dims.wide, c.dims.hidden);
    args.out = c.buffers.wide;
    args.ldo = c.dims.wide;
    args.scale = w.in_scale;
    args.bias = w.in_bias;
    Gemm(args, paths_.products, stream_);
  }

  /// The residual rows at hand: all, or in the last layer the asked ones.
  static float* Residual(const StageContext& c, bool last) {
    return last ? c.buffers.last_x : c.buffers.x;
  }
  static std::int64_t Rows(const StageContext& c, bool last) {
    return last ? c.batch.asked_count : c.batch.rows;
  }

  void AddMixed(const StageContext& c, const LayerPointers& w, bool last) const {
    GemmArgs args = Product(last ? c.buffers.last_mixed : c.buffers.mixed, w.out, Rows(c, last),
                            c.dims.hidden, c.dims.ssm_inner + c.dims.heads * c.dims.head_dim);
    args.epilogue = Epilogue::kAdd;
    args.out = Residual(c, last);
    args.ldo = c.dims.hidden;
    args.bias = w.out_bias;
    Gemm(args, paths_.products, stream_);
  }

  void AddMlp(const StageContext& c, const LayerPointers& w, bool last) const {
    RmsNorm(c, Residual(c, last), w.ff_norm, Rows(c, last), c.buffers.normed);
    GemmArgs up = Product(c.buffers.normed, w.gate_up, Rows(c, last),
                          2 * RoundUp(c.dims.intermediate, 8), c.dims.hidden);
    up.epilogue = Epilogue::kSwiGlu;
    up.out = c.buffers.swiglu;
    up.ldo = RoundUp(c.dims.intermediate, kPadK);
    up.columns = c.dims.intermediate;
    up.bias = w.gate_bias;
    up.bias_up = w.up_bias;
    up.factor = shape_.mlp_multipliers[0];
    Gemm(up, paths_.products, stream_);
    GemmArgs down =
        Product(c.buffers.swiglu, w.down, Rows(c, last), c.dims.hidden, c.dims.intermediate);
    down.epilogue = Epilogue::kAdd;
    down.out = Residual(c, last);
    down.ldo = c.dims.hidden;
    down.bias = w.down_bias;
    down.factor = shape_.mlp_multipliers[1];
    Gemm(down, paths_.products, stream_);
  }

  /// Final norm, vocabulary product and answers of the asked rows, kLogitRows at a time.
  void RunHead(const StageContext& c, const HostBatch& batch) {
    if (c.batch.asked_count == 0) return;
    RmsNorm(c, c.buffers.last_x, model_.final_norm, c.batch.asked_count, c.buffers.normed);
    const std::int64_t width = RoundUp(c.dims.hidden, kPadK) * (bf16_ ? 2 : 4);
    for (std::int64_t first = 0; first < c.batch.asked_count; first += kLogitRows) {
      const std::int64_t count = std::min(kLogitRows, c.batch.asked_count - first);
      GemmArgs args = Product(static_cast<const std::byte*>(c.buffers.normed) + first * width,
                              model_.head, count, c.dims.vocab, c.dims.hidden);
      args.out = c.buffers.logits;
      args.ldo = c.dims.vocab;
      Gemm(args, paths_.products, stream_);
      Head(c, first, count, answers_.device.as<HeadRow>(), targets_.device.as<float>());
      CopyFullRows(c, batch, first, count);
    }
    CopyToHost(answers_.host.bytes(), answers_.device.bytes(),
               c.batch.asked_count * static_cast<std::int64_t>(sizeof(HeadRow)), stream_);
    CopyToHost(targets_.host.bytes(), targets_.device.bytes(), c.batch.target_count * 4, stream_);
  }

  void CopyFullRows(const StageContext& c, const HostBatch& batch, std::int64_t first,
                    std::int64_t count) const {
    for (std::int64_t i = 0; i < count; ++i) {
      float* full = batch.queries[static_cast<std::size_t>(first + i)]->full;
      if (full != nullptr)
        CopyToHost(full, c.buffers.logits + i * c.dims.vocab, c.dims.vocab * 4, stream_);
    }
  }

  std::vector<RowResult> Collect(const HostBatch& batch) const {
    std::vector<RowResult> out(batch.queries.size());
    const auto* rows = reinterpret_cast<const HeadRow*>(answers_.host.bytes());
    const auto* targets = reinterpret_cast<const float*>(targets_.host.bytes());
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i].argmax = rows[i].argmax;
      out[i].argmax_logit = rows[i].max;
      out[i].log_sum_exp = rows[i].log_sum_exp;
      out[i].target_logits.assign(targets + batch.target_begin[i],
                                  targets + batch.target_begin[i + 1]);
    }
    return out;
  }

  ModelShape shape_;
  BackendOptions options_;
  bool bf16_;
  Paths paths_;
  std::string identity_;
  Stream stream_{};
  Branch branch_;
  DeviceModel model_;
  Workspace work_;
  Slots slots_;
  Staging tables_, targets_, answers_;
  Graph graph_;
  std::optional<DeviceBatch> recorded_;
};

}  // namespace

Result<std::unique_ptr<Backend>> CreateBackend(const ModelShape& shape, const ModelWeights& weights,
                                               const BackendOptions& options) {
  H1_RETURN_IF_ERROR(common::CheckWeights(shape, weights, true));
  H1_RETURN_IF_ERROR(CheckCudaShape(shape));
  // A grid has at most 65 535 blocks along y, where the scan has a Forward's segments.
  if (options.max_batch_tokens > 65535) {
    return InvalidArgument(
        "backend options: max_batch_tokens {}: the CUDA backend has 65535 at most",
        options.max_batch_tokens);
  }
  if (options.max_batch_tokens < 1 || options.max_batch_rows < 1) {
    return InvalidArgument(
        "backend options: max_batch_tokens {} and max_batch_rows {} must be positive",
        options.max_batch_tokens, options.max_batch_rows);
  }
  auto backend = std::make_unique<CudaBackend>(shape, options);
  H1_RETURN_IF_ERROR(backend->Init(weights));
  return std::unique_ptr<Backend>(std::move(backend));
}

MemoryPlan PlanMemory(const ModelShape& shape, const BackendOptions& options, std::int64_t slots,
                      std::int64_t tokens) {
  const StateLayout layout(shape, options.precision == Precision::kBf16);
  MemoryPlan plan;
  plan.weights = ModelBytes(shape, options.precision == Precision::kBf16);
  plan.kv = slots * CeilDiv(tokens, kPageTokens) * layout.page_bytes;
  plan.state = slots * (layout.state_bytes() + layout.recent_bytes());
  const std::int64_t pages = slots * CeilDiv(tokens, kPageTokens);
  plan.workspace = Workspace::Bytes(shape, options) +
                   2 * TableBytes(options.max_batch_tokens, options.max_batch_tokens, pages, 4096) +
                   kPageSlabBytes;
  plan.context = kContextBytes;
  return plan;
}

double StateTraffic(const ModelShape& shape, const BackendOptions& options) {
  const StateLayout layout(shape, options.precision == Precision::kBf16);
  const auto state = static_cast<double>(layout.state_bytes());
  const auto recent = static_cast<double>(layout.recent_bytes());
  // By chunks: read every step, written every kChunk-th; half an open chunk's inputs are read.
  return layout.chunked ? state * (1 + 1.0 / kChunk) + recent / 2 : 2 * (state + recent);
}

Result<std::string> Identity() {
  H1_ASSIGN_OR_RETURN(const DeviceFacts facts, QueryDevice());
  return fmt::format(
      "cuda {}; sm_{}{}; {} multiprocessors; driver {}, runtime {}; own products, no "
      "cuBLASLt",
      facts.name, facts.major, facts.minor, facts.multiprocessors, facts.driver, facts.runtime);
}

Result<std::string> KernelPaths(const ModelShape& shape, Precision precision) {
  H1_ASSIGN_OR_RETURN(const DeviceFacts facts, QueryDevice());
  return DescribePaths(Dims(shape), precision == Precision::kBf16, facts.capability());
}

Result<std::int64_t> FreeMemory() {
  H1_ASSIGN_OR_RETURN(const DeviceFacts facts, QueryDevice());
  return facts.free_bytes;
}

}  // namespace h1bench::H1_CUDA_NAMESPACE
