#include "runner/checkpoint/synthesize.h"

#include <cmath>

#include "base/file.h"
#include "base/json.h"
#include "runner/checkpoint/layout.h"
#include "runner/checkpoint/random_weights.h"
#include "runner/checkpoint/safetensors.h"
#include "runner/checkpoint/safetensors_writer.h"

namespace h1bench {
namespace {

constexpr std::int64_t kBlock = std::int64_t{1}
                                << 24;  // elements generated before they are written

struct Shard {
  std::string name;
  std::vector<TensorSpec> tensors;
  std::int64_t bytes = 0;
};

std::int64_t Bytes(const TensorSpec& tensor) { return ElementCount(tensor.shape).value_or(0) * 2; }

std::vector<Shard> PlanShards(const ModelShape& shape, std::int64_t max_bytes) {
  std::vector<Shard> shards(1);
  ModelWeights scratch;
  const Status never_fails =
      VisitTensors(shape, scratch, [&](const auto& name, const auto& dims, TensorView&) {
        TensorSpec tensor{name, DType::kBF16, dims};
        const std::int64_t bytes = Bytes(tensor);
        if (!shards.back().tensors.empty() && shards.back().bytes + bytes > max_bytes)
          shards.emplace_back();
        shards.back().tensors.push_back(std::move(tensor));
        shards.back().bytes += bytes;
        return Status::Ok();
      });
  static_cast<void>(never_fails);
  for (std::size_t i = 0; i < shards.size(); ++i)
    shards[i].name = shards.size() == 1
                         ? "model.safetensors"
                         : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
  return shards;
}

Status WriteIndex(const std::filesystem::path& folder, const std::vector<Shard>& shards,
                  std::int64_t total) {
  Json map;
  for (const Shard& shard : shards)
    for (const TensorSpec& tensor : shard.tensors) map.Set(tensor.name, shard.name);
  Json root;
  root.Set("metadata", Json::Object{{"total_size", total}});
  root.Set("weight_map", std::move(map));
  return WriteFileAtomically(folder / "model.safetensors.index.json", WriteJson(root, 2) + "\n");
}

class ShardWriter {
 public:
  ShardWriter(const SynthesizeOptions& options, std::int64_t total)
      : options_(options), total_(total) {}

  Status Write(const Shard& shard) {
    H1_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                        SafetensorsWriter::Create(options_.folder / shard.name, shard.tensors));
    for (const TensorSpec& tensor : shard.tensors) H1_RETURN_IF_ERROR(WriteTensor(tensor, writer));
    return writer.Finish();
  }

 private:
  Status WriteTensor(const TensorSpec& tensor, SafetensorsWriter& writer) {
    const RandomTensor random(options_.shape, options_.seed, tensor.name);
    const std::int64_t count = Bytes(tensor) / 2;
    for (std::int64_t first = 0; first < count; first += kBlock) {
      block_.resize(static_cast<std::size_t>(std::min(kBlock, count - first)));
      FillParallel(random, first, block_);
      H1_RETURN_IF_ERROR(writer.Append(std::as_bytes(std::span(block_))));
      done_ += static_cast<std::int64_t>(block_.size()) * 2;
      if (options_.progress && !options_.progress(done_, total_))
        return {StatusCode::kCancelled,
                "stopped; delete the unfinished folder " + options_.folder.string()};
    }
    return Status::Ok();
  }

  const SynthesizeOptions& options_;
  std::int64_t total_, done_ = 0;
  std::vector<std::uint16_t> block_;
};

Status CheckFolder(const std::filesystem::path& folder, std::int64_t needed) {
  std::error_code error;
  if (std::filesystem::exists(folder, error) &&
      (!std::filesystem::is_directory(folder, error) || !std::filesystem::is_empty(folder, error)))
    return FailedPrecondition("{}: exists and is not an empty folder; choose another",
                              folder.string());
  std::filesystem::create_directories(folder, error);
  if (error) return IoError("{}: cannot create: {}", folder.string(), error.message());
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (!error && space.available < static_cast<std::uintmax_t>(needed))
    return ResourceExhausted("{}: {:.1f} GB are needed, the disk has {:.1f} GB free",
                             folder.string(), static_cast<double>(needed) / 1e9,
                             static_cast<double>(space.available) / 1e9);
  return Status::Ok();
}

void SetMultipliers(const ModelShape& s, Json& root) {
  root.Set("embedding_multiplier", double{s.embedding_multiplier});
  root.Set("lm_head_multiplier", double{s.lm_head_multiplier});
  root.Set("attention_in_multiplier", double{s.attention_in_multiplier});
  root.Set("attention_out_multiplier", double{s.attention_out_multiplier});
  root.Set("key_multiplier", double{s.key_multiplier});
  root.Set("ssm_in_multiplier", double{s.ssm_in_multiplier});
  root.Set("ssm_out_multiplier", double{s.ssm_out_multiplier});
  Json ssm, mlp;
  for (const float value : s.ssm_multipliers) ssm.Push(double{value});
  for (const float value : s.mlp_multipliers) mlp.Push(double{value});
  root.Set("ssm_multipliers", std::move(ssm)).Set("mlp_multipliers", std::move(mlp));
}

void SetDimensions(const ModelShape& s, Json& root) {
  root.Set("vocab_size", s.vocab)
      .Set("hidden_size", s.hidden)
      .Set("intermediate_size", s.intermediate);
  root.Set("num_hidden_layers", s.layers).Set("num_attention_heads", s.heads);
  root.Set("num_key_value_heads", s.kv_heads).Set("head_dim", s.head_dim);
  root.Set("mamba_d_ssm", s.ssm_inner)
      .Set("mamba_n_heads", s.ssm_heads)
      .Set("mamba_d_head", s.ssm_head_dim);
  root.Set("mamba_n_groups", s.ssm_groups)
      .Set("mamba_d_state", s.ssm_state)
      .Set("mamba_d_conv", s.conv_taps);
  root.Set("mamba_expand", 2)
      .Set("mamba_chunk_size", s.chunk)
      .Set("max_position_embeddings", s.max_positions);
}

}  // namespace

std::string MakeConfigJson(const ModelShape& s) {
  Json root;
  root.Set("_name_or_path", kSyntheticName);
  root.Set("architectures", Json::Array{"FalconH1ForCausalLM"}).Set("model_type", "falcon_h1");
  root.Set("torch_dtype", "bfloat16").Set("hidden_act", "silu");
  SetDimensions(s, root);
  root.Set("tie_word_embeddings", s.tied_embeddings).Set("mamba_rms_norm", s.gated_norm);
  root.Set("mamba_norm_before_gate", s.norm_before_gate).Set("mamba_conv_bias", s.conv_bias);
  root.Set("mamba_proj_bias", s.ssm_in_bias).Set("projectors_bias", s.ssm_out_bias);
  root.Set("attention_bias", s.attention_bias).Set("mlp_bias", s.mlp_bias);
  // The shortest decimal that is this float: 1e-05 rather than its 17 digits as a double.
  root.Set("rms_norm_eps", std::stod(fmt::format("{}", s.norm_eps)));
  root.Set("rope_theta", s.rope_base).Set("rope_scaling", nullptr);
  if (s.dt_min != 0 || std::isfinite(s.dt_max)) {
    Json high = double{s.dt_max};
    if (std::isinf(s.dt_max)) high = Json::Object{{"__float__", "Infinity"}};
    root.Set("time_step_limit", Json::Array{double{s.dt_min}, std::move(high)});
  }
  SetMultipliers(s, root);
  root.Set("pad_token_id", 0).Set("bos_token_id", 17).Set("eos_token_id", 11);
  return WriteJson(root, 2) + "\n";
}

namespace {

/// A two-dimensional tensor is a matrix product's; all others are small.
Result<SyntheticModel> Synthesize(const ModelShape& shape, std::uint64_t seed,
                                  bool matrices_as_formulas) {
  SyntheticModel model;
  model.shape = shape;
  H1_RETURN_IF_ERROR(VisitTensors(
      shape, model.weights, [&](const auto& name, const auto& dims, TensorView& view) -> Status {
        const auto count = ElementCount(dims);
        if (!count) return InvalidArgument("tensor {} has the shape {}", name, ShapeText(dims));
        const RandomTensor random(shape, seed, name);
        if (matrices_as_formulas && dims.size() == 2) {
          view = {DType::kBF16, dims, {}, random.generated()};
          return Status::Ok();
        }
        const auto bytes = static_cast<std::size_t>(*count) * 2;
        std::unique_ptr<std::byte[]> block(new (std::nothrow) std::byte[bytes]);
        if (block == nullptr) return ResourceExhausted("no memory for {} bytes of {}", bytes, name);
        FillParallel(
            random, 0,
            {reinterpret_cast<std::uint16_t*>(block.get()), static_cast<std::size_t>(*count)});
        view = {DType::kBF16, dims, {block.get(), bytes}};
        model.storage.push_back(std::move(block));
        return Status::Ok();
      }));
  if (shape.tied_embeddings) model.weights.lm_head = model.weights.embedding;
  return model;
}

}  // namespace

Result<SyntheticModel> SynthesizeInMemory(const ModelShape& shape, std::uint64_t seed) {
  return Synthesize(shape, seed, false);
}

Result<SyntheticModel> SynthesizeForDevice(const ModelShape& shape, std::uint64_t seed) {
  return Synthesize(shape, seed, true);
}

Status SynthesizeCheckpoint(const SynthesizeOptions& options) {
  std::string tokenizer;
  if (options.tokenizer) {
    H1_ASSIGN_OR_RETURN(tokenizer, ReadFile(*options.tokenizer));
  }
  const std::vector<Shard> shards = PlanShards(options.shape, options.max_shard_bytes);
  std::int64_t total = 0;
  for (const Shard& shard : shards) total += shard.bytes;
  constexpr std::int64_t kSmallFiles = 1 << 20;
  H1_RETURN_IF_ERROR(CheckFolder(
      options.folder, total + kSmallFiles + static_cast<std::int64_t>(tokenizer.size())));
  ShardWriter writer(options, total);
  for (const Shard& shard : shards) H1_RETURN_IF_ERROR(writer.Write(shard));
  if (shards.size() > 1) H1_RETURN_IF_ERROR(WriteIndex(options.folder, shards, total));
  if (options.tokenizer)
    H1_RETURN_IF_ERROR(WriteFileAtomically(options.folder / "tokenizer.json", tokenizer));
  H1_RETURN_IF_ERROR(WriteFileAtomically(
      options.folder / "generation_config.json",
      "{\n  \"bos_token_id\": 17,\n  \"eos_token_id\": 11,\n  \"pad_token_id\": 0\n}\n"));
  // Last, so that a folder with a config is a whole checkpoint.
  return WriteFileAtomically(options.folder / "config.json", MakeConfigJson(options.shape));
}

}  // namespace h1bench
