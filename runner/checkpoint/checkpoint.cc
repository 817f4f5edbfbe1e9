#include "runner/checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "runner/checkpoint/chat_template.h"
#include "runner/checkpoint/layout.h"
#include "runner/checkpoint/safetensors.h"
#include "runner/checkpoint/shards.h"

namespace h1bench {
namespace {

constexpr std::uint64_t kMaxConfigBytes = 1U << 20;
constexpr std::uint64_t kMaxTokenizerConfigBytes = 16U << 20;

/// Nothing when the file does not exist.
Result<std::optional<std::string>> ReadOptional(const std::filesystem::path& path,
                                                std::uint64_t max_bytes) {
  Result<std::string> text = ReadFile(path, max_bytes);
  if (text.ok()) return std::optional<std::string>(std::move(*text));
  if (text.status().code() == StatusCode::kNotFound) return std::optional<std::string>();
  return text.status();
}

Result<ModelConfig> ReadConfigs(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "config.json";
  Result<std::string> text = ReadFile(path, kMaxConfigBytes);
  if (!text.ok() && text.status().code() == StatusCode::kNotFound)
    return NotFound("{}: no such file; expected a Hugging Face checkpoint folder", path.string());
  if (!text.ok()) return text.status();
  H1_ASSIGN_OR_RETURN(ModelConfig config, ParseModelConfig(*text, path.string()));
  const std::filesystem::path generation = folder / "generation_config.json";
  H1_ASSIGN_OR_RETURN(const auto more, ReadOptional(generation, kMaxConfigBytes));
  if (more) H1_RETURN_IF_ERROR(ApplyGenerationConfig(*more, generation.string(), config));
  return config;
}

struct ChatFields {
  std::optional<std::string> chat_template;
  std::string bos_token;
};

/// The template is a string, or a list of {name, template} whose "default" counts; the token a
/// string or {content}.
Result<ChatFields> ParseTokenizerConfig(const std::string& text) {
  H1_ASSIGN_OR_RETURN(const Json root, ParseJson(text, {.max_depth = 64, .allow_nonfinite = true}));
  ChatFields fields;
  const Json* bos = root.Find("bos_token");
  if (bos != nullptr && bos->is_object()) bos = bos->Find("content");
  if (bos != nullptr && bos->is_string()) fields.bos_token = bos->as_string();
  const Json* value = root.Find("chat_template");
  if (value == nullptr || value->is_null()) return fields;
  if (value->is_string()) fields.chat_template = value->as_string();
  if (value->is_array())
    for (const Json& one : value->as_array()) {
      const Json* name = one.Find("name");
      const Json* body = one.Find("template");
      if (name != nullptr && *name == Json("default") && body != nullptr && body->is_string())
        fields.chat_template = body->as_string();
    }
  if (!fields.chat_template)
    return Corrupt("\"chat_template\": expected a string or a list with a template named default");
  return fields;
}

/// chat_template.jinja goes before tokenizer_config.json, as in transformers.
Result<ChatFields> ReadChatFields(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer_config.json";
  H1_ASSIGN_OR_RETURN(const std::optional<std::string> text,
                      ReadOptional(path, kMaxTokenizerConfigBytes));
  Result<ChatFields> fields = text ? ParseTokenizerConfig(*text) : ChatFields();
  if (!fields.ok()) return fields.status().WithContext(path.string());
  H1_ASSIGN_OR_RETURN(std::optional<std::string> file,
                      ReadOptional(folder / "chat_template.jinja", kMaxConfigBytes));
  if (file) fields->chat_template = std::move(file);
  return fields;
}

/// Puts every tensor where the backend looks for it, and refuses what is missing, of another shape,
/// or left over.
class Binder {
 public:
  Binder(const std::filesystem::path& folder, const TensorSet& set) : folder_(folder), set_(set) {}

  Status Bind(const ModelShape& shape, ModelWeights& weights) {
    H1_RETURN_IF_ERROR(
        VisitTensors(shape, weights, [this](const auto& name, const auto& dims, TensorView& view) {
          return BindOne(name, dims, view);
        }));
    if (shape.tied_embeddings) H1_RETURN_IF_ERROR(BindTiedHead(weights));
    for (const auto& [name, place] : set_.tensors)
      if (!used_.contains(name))
        return Corrupt("{}: tensor \"{}\" {} is not part of the model that config.json describes",
                       File(place), VisibleText(name), ShapeText(place.view.shape));
    return Status::Ok();
  }

 private:
  std::string File(const TensorSet::Place& place) const {
    return (folder_ / set_.file_names[place.file]).string();
  }

  Status BindOne(const std::string& name, const std::vector<std::int64_t>& dims, TensorView& view) {
    const auto found = set_.tensors.find(name);
    if (found == set_.tensors.end())
      return Corrupt("{}: tensor \"{}\" is missing; config.json asks for shape {}",
                     folder_.string(), name, ShapeText(dims));
    if (found->second.view.shape != dims)
      return Corrupt("{}: tensor \"{}\": expected shape {} (config.json), found {}",
                     File(found->second), name, ShapeText(dims),
                     ShapeText(found->second.view.shape));
    view = found->second.view;
    used_.insert(name);
    return Status::Ok();
  }

  /// A tied checkpoint may hold the head again; bytes other than the embedding's would make two
  /// readings possible.
  Status BindTiedHead(ModelWeights& weights) {
    weights.lm_head = weights.embedding;
    const auto found = set_.tensors.find("lm_head.weight");
    if (found == set_.tensors.end()) return Status::Ok();
    const TensorView& head = found->second.view;
    if (head.dtype != weights.embedding.dtype ||
        !std::ranges::equal(head.bytes, weights.embedding.bytes))
      return Corrupt(
          "{}: lm_head.weight differs from model.embed_tokens.weight although config.json ties "
          "them "
          "(tie_word_embeddings)",
          File(found->second));
    used_.insert(found->first);
    return Status::Ok();
  }

  const std::filesystem::path& folder_;
  const TensorSet& set_;
  std::set<std::string> used_;
};

}  // namespace

Result<Checkpoint> Checkpoint::Open(const std::filesystem::path& folder) {
  std::error_code error;
  if (!std::filesystem::is_directory(folder, error))
    return NotFound("{}: no such folder; expected a Hugging Face checkpoint folder",
                    folder.string());
  Checkpoint checkpoint;
  checkpoint.folder_ = folder;
  H1_ASSIGN_OR_RETURN(checkpoint.config_, ReadConfigs(folder));
  H1_ASSIGN_OR_RETURN(TensorSet set, OpenTensors(folder));
  H1_RETURN_IF_ERROR(Binder(folder, set).Bind(checkpoint.config_.shape, checkpoint.weights_));
  H1_ASSIGN_OR_RETURN(ChatFields chat, ReadChatFields(folder));
  checkpoint.chat_template_ = std::move(chat.chat_template);
  checkpoint.bos_token_ = std::move(chat.bos_token);
  checkpoint.files_ = std::move(set.files);
  checkpoint.weights_.taken = [files = checkpoint.files_](std::span<const std::byte> bytes) {
    for (const std::shared_ptr<MappedFile>& file : files) file->Forget(bytes);
  };
  for (auto& [name, place] : set.tensors) {
    checkpoint.parameters_ += *ElementCount(place.view.shape);
    checkpoint.weight_bytes_ += static_cast<std::int64_t>(place.view.bytes.size());
    checkpoint.tensors_.push_back({name, std::move(place.view)});
  }
  return checkpoint;
}

Status Checkpoint::CheckChat() const {
  if (!chat_template_)
    return Unsupported("{}: has no chat template (a base model?); run its tasks without chat",
                       folder_.string());
  return CheckChatTemplate(*chat_template_, bos_token_).WithContext(folder_.string());
}

}  // namespace h1bench
