#include "cli/bench_measure.h"

#include <chrono>
#include <utility>

namespace h1bench::cli {
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Bench {
 public:
  /// gpu: null where nobody watches one.
  Bench(Backend& backend, const BenchWork& work, Telemetry* gpu)
      : backend_(backend), work_(work), gpu_(gpu) {
    for (std::int64_t i = 0; i < work.prefill; ++i) {
      ids_.push_back(static_cast<std::int32_t>((i * 7919 + 13) % backend.shape().vocab));
    }
  }

  Result<std::vector<Measurement>> Run() {
    std::vector<Measurement> out;
    H1_ASSIGN_OR_RETURN(Measurement prefill, Prefill());
    out.push_back(std::move(prefill));
    for (const std::int64_t batch : work_.batches) {
      H1_ASSIGN_OR_RETURN(Measurement decode, Decode(batch));
      out.push_back(std::move(decode));
    }
    return out;
  }

 private:
  void Watch() {
    if (gpu_ == nullptr) return;
    gpu_->Reset();
    gpu_->Resume();
  }
  void Unwatch(Measurement& out, double tokens) {
    if (gpu_ == nullptr) return;
    gpu_->Pause();
    out.gpu = gpu_->Usage();
    out.gpu_tokens = static_cast<std::int64_t>(tokens);
  }

  /// A slot with the prompt in it, forwarded in pieces of max_batch_tokens.
  Result<SlotId> Prompt() {
    H1_ASSIGN_OR_RETURN(const SlotId slot, backend_.Allocate(work_.prefill + work_.decode + 1));
    const auto piece = static_cast<std::size_t>(backend_.options().max_batch_tokens);
    for (std::size_t first = 0; first < ids_.size(); first += piece) {
      const std::size_t count = std::min(piece, ids_.size() - first);
      Segment segment{slot, std::span(ids_).subspan(first, count), {}, true};
      if (first + count == ids_.size())
        segment.rows = {{static_cast<std::int32_t>(count - 1), {}, nullptr}};
      H1_RETURN_IF_ERROR(backend_.Forward(std::span(&segment, 1)).status());
    }
    return slot;
  }

  /// Several prompts side by side in one Forward, scored at their last row and forgotten: what a
  /// benchmark of multiple choice does.
  Status PackedPrompts(SlotId slot) {
    std::vector<Segment> segments(static_cast<std::size_t>(work_.prompts));
    for (Segment& segment : segments)
      segment = {slot, ids_, {{static_cast<std::int32_t>(work_.prefill - 1), {}, nullptr}}, false};
    return backend_.Forward(segments).status();
  }

  Result<Measurement> Prefill() {
    const std::int64_t prompts = work_.prompts;
    Measurement out{"prefill", prompts, static_cast<double>(work_.prefill * prompts), {}, {}, {}};
    out.cost = CostOfForward(backend_.shape(), backend_.options(), prompts, work_.prefill, 0);
    H1_ASSIGN_OR_RETURN(const SlotId empty, backend_.Allocate(work_.prefill + 1));
    for (int i = 0; i <= work_.repeat; ++i) {
      if (i == 1) Watch();
      const double start = Now();
      if (prompts > 1) {
        H1_RETURN_IF_ERROR(PackedPrompts(empty));
      } else {
        H1_ASSIGN_OR_RETURN(const SlotId slot, Prompt());
        backend_.Release(slot);
      }
      if (i > 0) out.seconds.push_back(Now() - start);  // the first one warms up
    }
    Unwatch(out, out.tokens * work_.repeat);
    backend_.Release(empty);
    return out;
  }

  /// `batch` slots with a prompt each. On a GPU each prompt is another: forks would share keys and
  /// states, which the card then reads from its cache. Elsewhere they are forks of one.
  Result<std::vector<SlotId>> Prompts(std::int64_t batch) {
    std::vector<SlotId> slots;
    const std::int64_t room = work_.prefill + work_.decode + 1;
    if (backend_.options().device != Device::kCuda) {
      H1_ASSIGN_OR_RETURN(const SlotId prompt, Prompt());
      slots.push_back(prompt);
      while (static_cast<std::int64_t>(slots.size()) < batch) {
        H1_ASSIGN_OR_RETURN(const SlotId slot, backend_.Fork(prompt, room));
        slots.push_back(slot);
      }
      return slots;
    }
    const std::vector<std::int32_t> ids = ids_;
    for (std::int64_t b = 0; b < batch; ++b) {
      for (std::size_t i = 0; i < ids_.size(); ++i)
        ids_[i] = static_cast<std::int32_t>((ids[i] + b * 101) % backend_.shape().vocab);
      H1_ASSIGN_OR_RETURN(const SlotId slot, Prompt());
      slots.push_back(slot);
    }
    ids_ = ids;
    return slots;
  }

  /// One token for every slot; the next ids are the argmax of these.
  Status Step(const std::vector<SlotId>& slots, std::vector<std::int32_t>& next) {
    std::vector<Segment> segments;
    for (std::size_t i = 0; i < slots.size(); ++i) {
      segments.push_back({slots[i], std::span(next).subspan(i, 1), {{0, {}, nullptr}}, true});
    }
    H1_ASSIGN_OR_RETURN(const auto results, backend_.Forward(segments));
    for (std::size_t i = 0; i < slots.size(); ++i) next[i] = results[i].argmax;
    return Status::Ok();
  }

  Result<Measurement> Decode(std::int64_t batch) {
    Measurement out{"decode", batch, static_cast<double>(batch * work_.decode), {}, {}, {}};
    for (std::int64_t i = 0; i < work_.decode; ++i) {
      const ForwardCost step =
          CostOfForward(backend_.shape(), backend_.options(), batch, 1, work_.prefill + 1 + i);
      out.cost.flops += step.flops;
      out.cost.bytes += step.bytes;
    }
    if (gpu_ != nullptr) gpu_->Reset();
    for (int i = 0; i < work_.repeat; ++i) {
      H1_ASSIGN_OR_RETURN(const std::vector<SlotId> slots, Prompts(batch));
      std::vector<std::int32_t> next;
      for (std::int64_t b = 0; b < batch; ++b)
        next.push_back(static_cast<std::int32_t>(b * 31 % backend_.shape().vocab));
      if (gpu_ != nullptr) gpu_->Resume();
      H1_RETURN_IF_ERROR(Step(slots, next));  // not timed: forks get their own state here
      const double start = Now();
      double last = start;
      for (std::int64_t step = 0; step < work_.decode; ++step) {
        H1_RETURN_IF_ERROR(Step(slots, next));
        const double now = Now();
        out.step_seconds.push_back(now - last);
        last = now;
      }
      out.seconds.push_back(last - start);
      if (gpu_ != nullptr) gpu_->Pause();
      for (const SlotId slot : slots) backend_.Release(slot);
    }
    // With the step that is not timed: it used its share of the energy.
    Unwatch(out, static_cast<double>(batch * (work_.decode + 1) * work_.repeat));
    return out;
  }

  Backend& backend_;
  const BenchWork& work_;
  Telemetry* gpu_;
  std::vector<std::int32_t> ids_;
};

}  // namespace

Result<std::vector<Measurement>> RunBenchWork(Backend& backend, const BenchWork& work,
                                              Telemetry* gpu) {
  return Bench(backend, work, gpu).Run();
}

}  // namespace h1bench::cli
