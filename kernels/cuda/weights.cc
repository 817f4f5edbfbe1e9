#include "kernels/cuda/weights.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/common/convert.h"
#include "kernels/common/layer_vectors.h"
#include "kernels/cuda/generate.h"

namespace h1bench::H1_CUDA_NAMESPACE {
namespace {

constexpr std::int64_t kStagingBytes = std::int64_t{32} << 20;

/// A stored row that belongs at `column` of a packed one; view null: none.
struct RowSource {
  const TensorView* view = nullptr;
  std::int64_t row = 0, column = 0;
};
/// The stored rows of packed row r: at most two.
using RowSources = std::function<std::array<RowSource, 2>(std::int64_t r)>;

std::int64_t MatrixBytes(std::int64_t n, std::int64_t k, bool bf16) {
  return RoundUp(n, kPadN) * RoundUp(k, kPadK) * (bf16 ? 2 : 4);
}

class Uploader {
 public:
  Uploader(bool bf16, Stream stream) : bf16_(bf16), stream_(stream) {}

  Status Init() {
    for (HostMemory& staging : staging_) {
      H1_ASSIGN_OR_RETURN(staging, HostMemory::Allocate(kStagingBytes));
    }
    return Status::Ok();
  }

  /// A packed (n, k) matrix with zeros around it.
  Result<const void*> Matrix(std::int64_t n, std::int64_t k, const RowSources& sources,
                             std::vector<DeviceMemory>& owner) {
    const std::int64_t element = bf16_ ? 2 : 4, rows = RoundUp(n, kPadN), width = RoundUp(k, kPadK);
    H1_ASSIGN_OR_RETURN(DeviceMemory memory, DeviceMemory::Allocate(rows * width * element));
    if (sources(0)[0].view->generated) {
      H1_RETURN_IF_ERROR(Generate(n, width, sources, memory));
      return Own(std::move(memory), owner);
    }
    const std::int64_t chunk = std::max<std::int64_t>(1, kStagingBytes / (width * element));
    for (std::int64_t first = 0; first < rows; first += chunk) {
      const std::int64_t count = std::min(chunk, rows - first);
      // One buffer is filled while the other one's copy is on its way.
      std::swap(staging_[0], staging_[1]);
      Fill({first, count, width, n}, sources, staging_[0].bytes());
      Synchronize(stream_);
      CopyToDevice(memory.bytes() + first * width * element, staging_[0].bytes(),
                   count * width * element, stream_);
    }
    Synchronize(stream_);
    return Own(std::move(memory), owner);
  }

  /// A vector in fp32; null for an empty one.
  Result<const float*> Vector(const std::vector<float>& values, std::vector<DeviceMemory>& owner) {
    if (values.empty()) return static_cast<const float*>(nullptr);
    const auto bytes = static_cast<std::int64_t>(values.size() * sizeof(float));
    H1_ASSIGN_OR_RETURN(DeviceMemory memory, DeviceMemory::Allocate(bytes));
    CopyToDevice(memory.bytes(), values.data(), bytes, stream_);
    Synchronize(stream_);
    return static_cast<const float*>(Own(std::move(memory), owner));
  }
  Result<const float*> Vector(const TensorView& view, std::vector<DeviceMemory>& owner) {
    return Vector(common::ToFloats(view), owner);
  }

  std::int64_t bytes() const { return bytes_; }

 private:
  const void* Own(DeviceMemory memory, std::vector<DeviceMemory>& owner) {
    bytes_ += memory.size();
    owner.push_back(std::move(memory));
    return owner.back().bytes();
  }

  /// The same where the sources are formulas: computed on the device, row by row.
  Status Generate(std::int64_t n, std::int64_t width, const RowSources& sources,
                  const DeviceMemory& to) {
    FillZero(to.bytes(), to.size(), stream_);
    constexpr std::int64_t kRows = kStagingBytes / static_cast<std::int64_t>(sizeof(GeneratedRow));
    H1_ASSIGN_OR_RETURN(const DeviceMemory table, DeviceMemory::Allocate(kStagingBytes));
    auto* const rows = reinterpret_cast<GeneratedRow*>(staging_[0].bytes());
    std::int64_t count = 0;
    const auto send = [&] {
      CopyToDevice(table.bytes(), rows, count * static_cast<std::int64_t>(sizeof(GeneratedRow)),
                   stream_);
      GenerateRows(table.as<GeneratedRow>(), count, bf16_, to.bytes(), stream_);
      Synchronize(stream_);
      count = 0;
    };
    for (std::int64_t r = 0; r < n; ++r) {
      for (const RowSource& source : sources(r)) {
        if (source.view == nullptr) continue;
        if (!source.view->generated)
          return InvalidArgument("a packed matrix of which only a part has a formula");
        const std::int64_t columns = source.view->shape[1];
        rows[count++] = {*source.view->generated, source.row * columns, r * width + source.column,
                         columns};
        if (count == kRows) send();
      }
    }
    if (count > 0) send();
    return TakeError();
  }

  /// Rows [first, first + count) of `width` elements; those from `rows` on are zeros.
  struct Rows {
    std::int64_t first, count, width, rows;
  };

  /// In several threads: the file's pages are mapped and copied by whoever reads them.
  void Fill(const Rows& part, const RowSources& sources, std::byte* to) const {
    constexpr std::int64_t kThreads = 8, kLeastBytes = std::int64_t{1} << 20;
    const std::int64_t row_bytes = part.width * (bf16_ ? 2 : 4);
    const std::int64_t threads = std::clamp<std::int64_t>(
        part.count * row_bytes / kLeastBytes, 1,
        std::min<std::int64_t>(kThreads, std::max(1U, std::thread::hardware_concurrency())));
    const auto fill = [&](std::int64_t thread) {
      const std::int64_t begin = part.count * thread / threads,
                         end = part.count * (thread + 1) / threads;
      std::memset(to + begin * row_bytes, 0, static_cast<std::size_t>((end - begin) * row_bytes));
      for (std::int64_t r = begin; r < std::min(end, part.rows - part.first); ++r) {
        for (const RowSource& source : sources(part.first + r))
          Place(source, to + r * row_bytes + source.column * (bf16_ ? 2 : 4));
      }
    };
    std::vector<std::jthread> others;
    for (std::int64_t thread = 1; thread < threads; ++thread) others.emplace_back(fill, thread);
    fill(0);
  }

  void Place(const RowSource& source, std::byte* to) const {
    if (source.view == nullptr) return;
    const std::int64_t width = source.view->shape[1];
    if (bf16_) {
      common::ConvertToBf16(*source.view, source.row * width, width,
                            reinterpret_cast<std::uint16_t*>(to));
    } else {
      common::ConvertToFloats(*source.view, source.row * width, width,
                              reinterpret_cast<float*>(to));
    }
  }

  bool bf16_;
  Stream stream_;
  std::array<HostMemory, 2> staging_;
  std::int64_t bytes_ = 0;
};

RowSources Whole(const TensorView& view) {
  return [&view](std::int64_t r) { return std::array<RowSource, 2>{RowSource{&view, r, 0}}; };
}

Status UploadMatrices(const ModelShape& s, const LayerWeights& from, Uploader& up,
                      DeviceLayer& to) {
  const common::InColumns at(s);
  const RowSources in = [&](std::int64_t r) {
    const RowSource one = r < at.q   ? RowSource{&from.ssm_in, r, 0}
                          : r < at.k ? RowSource{&from.q, r - at.q, 0}
                          : r < at.v ? RowSource{&from.k, r - at.k, 0}
                                     : RowSource{&from.v, r - at.v, 0};
    return std::array<RowSource, 2>{one};
  };
  const RowSources out = [&](std::int64_t r) {
    return std::array<RowSource, 2>{RowSource{&from.ssm_out, r, 0},
                                    RowSource{&from.o, r, s.ssm_inner}};
  };
  const RowSources gate_up = [&](std::int64_t r) {
    const std::int64_t i = r / 16 * 8 + r % 8;
    if (i >= s.intermediate) return std::array<RowSource, 2>{};
    return std::array<RowSource, 2>{RowSource{r / 8 % 2 == 0 ? &from.gate : &from.up, i, 0}};
  };
  std::vector<DeviceMemory>& owner = to.memory;
  H1_ASSIGN_OR_RETURN(to.at.in, up.Matrix(at.total, s.hidden, in, owner));
  H1_ASSIGN_OR_RETURN(to.at.out, up.Matrix(s.hidden, s.ssm_inner + s.query_rows(), out, owner));
  H1_ASSIGN_OR_RETURN(to.at.gate_up,
                      up.Matrix(2 * RoundUp(s.intermediate, 8), s.hidden, gate_up, owner));
  H1_ASSIGN_OR_RETURN(to.at.down, up.Matrix(s.hidden, s.intermediate, Whole(from.down), owner));
  return Status::Ok();
}

Status UploadLayer(const ModelShape& s, const LayerWeights& from, Uploader& up, DeviceLayer& to) {
  H1_RETURN_IF_ERROR(UploadMatrices(s, from, up, to));
  const common::LayerVectors vectors = common::MakeLayerVectors(s, from);
  std::vector<DeviceMemory>& owner = to.memory;
  H1_ASSIGN_OR_RETURN(to.at.input_norm, up.Vector(from.input_norm, owner));
  H1_ASSIGN_OR_RETURN(to.at.in_scale, up.Vector(vectors.in_scale, owner));
  H1_ASSIGN_OR_RETURN(to.at.in_bias, up.Vector(vectors.in_bias, owner));
  H1_ASSIGN_OR_RETURN(to.at.conv, up.Vector(vectors.conv, owner));
  H1_ASSIGN_OR_RETURN(to.at.conv_bias, up.Vector(from.conv_bias, owner));
  H1_ASSIGN_OR_RETURN(to.at.dt_bias, up.Vector(from.dt_bias, owner));
  H1_ASSIGN_OR_RETURN(to.at.a, up.Vector(vectors.a, owner));
  H1_ASSIGN_OR_RETURN(to.at.d_skip, up.Vector(from.d_skip, owner));
  if (s.gated_norm) {
    H1_ASSIGN_OR_RETURN(to.at.ssm_norm, up.Vector(from.ssm_norm, owner));
  }
  H1_ASSIGN_OR_RETURN(to.at.out_bias, up.Vector(vectors.out_bias, owner));
  H1_ASSIGN_OR_RETURN(to.at.ff_norm, up.Vector(from.ff_norm, owner));
  H1_ASSIGN_OR_RETURN(to.at.gate_bias, up.Vector(from.gate_bias, owner));
  H1_ASSIGN_OR_RETURN(to.at.up_bias, up.Vector(from.up_bias, owner));
  H1_ASSIGN_OR_RETURN(to.at.down_bias, up.Vector(vectors.down_bias, owner));
  return Status::Ok();
}

}  // namespace

Result<DeviceModel> UploadModel(const ModelShape& s, const ModelWeights& weights, bool bf16,
                                Stream stream) {
  DeviceModel out;
  Uploader up(bf16, stream);
  H1_RETURN_IF_ERROR(up.Init());
  H1_ASSIGN_OR_RETURN(out.embedding,
                      up.Matrix(s.vocab, s.hidden, Whole(weights.embedding), out.memory));
  H1_ASSIGN_OR_RETURN(out.head, up.Matrix(s.vocab, s.hidden, Whole(weights.lm_head), out.memory));
  H1_ASSIGN_OR_RETURN(out.final_norm, up.Vector(weights.final_norm, out.memory));
  weights.Taken(weights.embedding);
  weights.Taken(weights.lm_head);
  for (const LayerWeights& layer : weights.layers) {
    out.layers.emplace_back();
    H1_RETURN_IF_ERROR(UploadLayer(s, layer, up, out.layers.back()));
    weights.Taken(layer);
  }
  out.bytes = up.bytes();
  H1_RETURN_IF_ERROR(TakeError());
  return out;
}

std::int64_t ModelBytes(const ModelShape& s, bool bf16) {
  const common::InColumns at(s);
  const std::int64_t matrices = MatrixBytes(at.total, s.hidden, bf16) +
                                MatrixBytes(s.hidden, s.ssm_inner + s.query_rows(), bf16) +
                                MatrixBytes(2 * RoundUp(s.intermediate, 8), s.hidden, bf16) +
                                MatrixBytes(s.hidden, s.intermediate, bf16);
  std::int64_t floats = 2 * s.hidden + at.total + (s.conv_taps + 1) * s.conv_channels() +
                        3 * s.ssm_heads + (s.gated_norm ? s.ssm_inner : 0);
  if (s.ssm_in_bias || s.attention_bias) floats += at.total;
  if (s.ssm_out_bias || s.attention_bias) floats += s.hidden;
  if (s.mlp_bias) floats += 2 * s.intermediate + s.hidden;
  return s.layers * (matrices + floats * 4) + 2 * MatrixBytes(s.vocab, s.hidden, bf16) +
         s.hidden * 4;
}

}  // namespace h1bench::H1_CUDA_NAMESPACE
