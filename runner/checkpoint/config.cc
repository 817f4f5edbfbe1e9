#include <cmath>

#include "base/json.h"
#include "runner/checkpoint/checkpoint.h"

namespace h1bench {
namespace {

// No real dimension comes near; products of two such numbers fit 64 bits.
constexpr std::int64_t kMaxDimension = std::int64_t{1} << 24;

/// Reads members of config.json by name; the first error is kept and everything after it is a
/// default.
class Fields {
 public:
  explicit Fields(const Json& root) : root_(root) {}
  const Status& status() const { return status_; }

  /// Null when absent. JSON null counts as absent unless the caller looks itself.
  const Json* Find(const char* key) const {
    const Json* value = root_.Find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  bool IsNull(const char* key) const {
    const Json* value = root_.Find(key);
    return value != nullptr && value->is_null();
  }

  /// `absent` when the key is not there; an explicit null is an error.
  std::int64_t Dimension(const char* key, std::int64_t absent, std::int64_t max = kMaxDimension) {
    const Json* value = root_.Find(key);
    if (value == nullptr) return absent;
    if (value->is_integer() && value->as_double() >= 1 &&
        value->as_double() <= static_cast<double>(max))
      return value->as_int();
    Wrong(key, fmt::format("an integer from 1 to {}", max), *value);
    return 1;
  }
  /// As Python's truth: null is false.
  bool Flag(const char* key, bool absent) {
    const Json* value = root_.Find(key);
    if (value == nullptr) return absent;
    if (value->is_bool()) return value->as_bool();
    if (!value->is_null()) Wrong(key, "true or false", *value);
    return false;
  }
  double Number(const char* key, double absent) {
    const Json* value = Find(key);
    return value == nullptr ? absent : FiniteNumber(key, *value);
  }
  float Multiplier(const char* key) { return static_cast<float>(Number(key, 1.0)); }
  template <std::size_t N>
  std::array<float, N> Multipliers(const char* key) {
    std::array<float, N> result;
    result.fill(1.0F);
    const Json* value = Find(key);
    if (value == nullptr) return result;
    if (!value->is_array() || value->as_array().size() != N) {
      Wrong(key, fmt::format("a list of {} numbers", N), *value);
      return result;
    }
    for (std::size_t i = 0; i < N; ++i)
      result[i] = static_cast<float>(FiniteNumber(key, value->as_array()[i]));
    return result;
  }

  double FiniteNumber(const char* key, const Json& value) {
    if (value.is_number() && std::isfinite(static_cast<float>(value.as_double())))
      return value.as_double();
    Wrong(key, "a finite number", value);
    return 1;
  }
  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  void Wrong(const char* key, const std::string& expected, const Json& found) {
    Fail(InvalidArgument("\"{}\": expected {}, found {}", key, expected, Shown(found)));
  }
  static std::string Shown(const Json& value) {
    std::string text = WriteJson(value);
    if (text.size() > 80) text = text.substr(0, 77) + "...";
    return value.is_null() ? "null" : fmt::format("{} ({})", text, value.TypeName());
  }

 private:
  const Json& root_;
  Status status_;
};

/// A number where infinity may be written bare or as {"__float__": "Infinity"}.
std::optional<double> ReadLimit(const Json& value) {
  if (value.is_number()) return value.as_double();
  const Json* spelled = value.Find("__float__");
  if (spelled == nullptr || !spelled->is_string()) return std::nullopt;
  if (spelled->as_string() == "Infinity") return std::numeric_limits<double>::infinity();
  if (spelled->as_string() == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

void ReadTimeStepLimit(Fields& fields, ModelShape& shape) {
  const Json* value = fields.Find("time_step_limit");
  if (value == nullptr) return;
  if (value->is_array() && value->as_array().size() == 2) {
    const auto low = ReadLimit(value->as_array()[0]);
    const auto high = ReadLimit(value->as_array()[1]);
    if (low && high && *low <= *high) {  // NaN fails the comparison
      shape.dt_min = static_cast<float>(*low);
      shape.dt_max = static_cast<float>(*high);
      return;
    }
  }
  fields.Wrong("time_step_limit", "[low, high]", *value);
}

/// Rotary settings that are not the plain form change the mathematics: each is refused by name.
void CheckRope(Fields& fields, const char* key, const Json& rope) {
  if (!rope.is_object()) {
    fields.Wrong(key, "an object", rope);
    return;
  }
  for (const auto& [name, value] : rope.as_object()) {
    const bool is_type = name == "rope_type" || name == "type";
    const bool plain =
        name == "rope_theta" || value.is_null() || (is_type && value == Json("default")) ||
        (name == "partial_rotary_factor" && value.is_number() && value.as_double() == 1);
    if (!plain)
      fields.Fail(Unsupported("\"{}.{}\" is {}; only plain rotary embeddings are supported", key,
                              name, Fields::Shown(value)));
  }
}

void ReadRope(Fields& fields, ModelShape& shape) {
  const Json* theta = fields.Find("rope_theta");
  if (const Json* scaling = fields.Find("rope_scaling"))
    CheckRope(fields, "rope_scaling", *scaling);
  if (const Json* parameters = fields.Find("rope_parameters")) {
    CheckRope(fields, "rope_parameters", *parameters);
    const Json* inner = parameters->Find("rope_theta");
    if (inner != nullptr && theta != nullptr && inner->is_number() && theta->is_number() &&
        inner->as_double() != theta->as_double())
      fields.Fail(InvalidArgument("\"rope_theta\" is {} but \"rope_parameters.rope_theta\" is {}",
                                  Fields::Shown(*theta), Fields::Shown(*inner)));
    if (inner != nullptr) theta = inner;
  }
  if (theta == nullptr) {
    fields.Fail(InvalidArgument(
        "no \"rope_theta\" (there or in \"rope_parameters\"); released checkpoints hold 1e11, and "
        "versions of transformers disagree on a default"));
    return;
  }
  shape.rope_base = fields.FiniteNumber("rope_theta", *theta);
  if (!(shape.rope_base > 0)) fields.Wrong("rope_theta", "a number above 0", *theta);
}

void CheckArchitecture(Fields& fields) {
  const Json* type = fields.Find("model_type");
  if (type == nullptr || *type != Json("falcon_h1"))
    fields.Fail(Unsupported("\"model_type\" is {}; only falcon_h1 is supported",
                            type == nullptr ? "absent" : Fields::Shown(*type)));
  const Json* architectures = fields.Find("architectures");
  if (architectures != nullptr && *architectures != Json(Json::Array{"FalconH1ForCausalLM"}))
    fields.Fail(Unsupported("\"architectures\" is {}; only FalconH1ForCausalLM is supported",
                            Fields::Shown(*architectures)));
  const Json* activation = fields.Find("hidden_act");
  if (activation != nullptr && *activation != Json("silu"))
    fields.Fail(
        Unsupported("\"hidden_act\" is {}; only silu is supported", Fields::Shown(*activation)));
  for (const char* key : {"quantization_config", "sliding_window", "attn_logit_softcapping",
                          "final_logit_softcapping"})
    if (const Json* value = fields.Find(key))
      fields.Fail(Unsupported("\"{}\" is {}; it is not supported", key, Fields::Shown(*value)));
  if (fields.Number("partial_rotary_factor", 1) != 1)
    fields.Fail(Unsupported("\"partial_rotary_factor\" other than 1 is not supported"));
}

void ReadDimensions(Fields& fields, ModelShape& shape) {
  shape.vocab = fields.Dimension("vocab_size", 128000);
  shape.hidden = fields.Dimension("hidden_size", 4096);
  shape.intermediate = fields.Dimension("intermediate_size", 14336);
  shape.layers = fields.Dimension("num_hidden_layers", 32);
  shape.heads = fields.Dimension("num_attention_heads", 32);
  shape.kv_heads = fields.IsNull("num_key_value_heads")
                       ? shape.heads
                       : fields.Dimension("num_key_value_heads", 8);
  shape.max_positions = fields.Dimension("max_position_embeddings", 8192, std::int64_t{1} << 31);
  shape.head_dim = shape.hidden / shape.heads;
  if (fields.Find("head_dim") != nullptr)
    shape.head_dim = fields.Dimension("head_dim", 0);
  else if (shape.hidden % shape.heads != 0)
    fields.Fail(InvalidArgument(
        "no \"head_dim\", and num_attention_heads {} does not divide hidden_size {}", shape.heads,
        shape.hidden));
  if (shape.heads % shape.kv_heads != 0)
    fields.Fail(InvalidArgument("num_key_value_heads {} does not divide num_attention_heads {}",
                                shape.kv_heads, shape.heads));
  if (shape.head_dim < 2 || shape.head_dim % 2 != 0)
    fields.Fail(InvalidArgument("\"head_dim\" is {}; rotary embeddings need an even number",
                                shape.head_dim));
}

void ReadSsmDimensions(Fields& fields, ModelShape& shape) {
  shape.ssm_heads = fields.Dimension("mamba_n_heads", 128);
  shape.ssm_groups = fields.Dimension("mamba_n_groups", 1);
  shape.ssm_state = fields.Dimension("mamba_d_state", 256);
  shape.conv_taps = fields.Dimension("mamba_d_conv", 4, 64);
  shape.chunk = fields.Dimension("mamba_chunk_size", 256);
  shape.ssm_inner = fields.IsNull("mamba_d_ssm")
                        ? fields.Dimension("mamba_expand", 2, 64) * shape.hidden
                        : fields.Dimension("mamba_d_ssm", 1024);
  const Json* head_dim = fields.Find("mamba_d_head");
  shape.ssm_head_dim = head_dim == nullptr || *head_dim == Json("auto")
                           ? shape.ssm_inner / shape.ssm_heads
                           : fields.Dimension("mamba_d_head", 0);
  if (shape.ssm_heads * shape.ssm_head_dim != shape.ssm_inner)
    fields.Fail(InvalidArgument(
        "mamba_n_heads {} x mamba_d_head {} is not the inner width {} (mamba_d_ssm)",
        shape.ssm_heads, shape.ssm_head_dim, shape.ssm_inner));
  if (shape.ssm_heads % shape.ssm_groups != 0)
    fields.Fail(InvalidArgument("mamba_n_groups {} does not divide mamba_n_heads {}",
                                shape.ssm_groups, shape.ssm_heads));
}

void ReadFlagsAndMultipliers(Fields& fields, ModelShape& shape) {
  shape.tied_embeddings = fields.Flag("tie_word_embeddings", false);
  shape.gated_norm = fields.Flag("mamba_rms_norm", false);
  shape.norm_before_gate = fields.Flag("mamba_norm_before_gate", true);
  shape.conv_bias = fields.Flag("mamba_conv_bias", true);
  shape.ssm_in_bias = fields.Flag("mamba_proj_bias", false);
  shape.ssm_out_bias = fields.Flag("projectors_bias", false);
  shape.attention_bias = fields.Flag("attention_bias", false);
  shape.mlp_bias = fields.Flag("mlp_bias", false);
  shape.norm_eps = static_cast<float>(fields.Number("rms_norm_eps", 1e-5));
  if (!(shape.norm_eps >= 0)) fields.Fail(InvalidArgument("\"rms_norm_eps\" is negative"));
  shape.embedding_multiplier = fields.Multiplier("embedding_multiplier");
  shape.lm_head_multiplier = fields.Multiplier("lm_head_multiplier");
  shape.attention_in_multiplier = fields.Multiplier("attention_in_multiplier");
  shape.attention_out_multiplier = fields.Multiplier("attention_out_multiplier");
  shape.key_multiplier = fields.Multiplier("key_multiplier");
  shape.ssm_in_multiplier = fields.Multiplier("ssm_in_multiplier");
  shape.ssm_out_multiplier = fields.Multiplier("ssm_out_multiplier");
  shape.ssm_multipliers = fields.Multipliers<5>("ssm_multipliers");
  shape.mlp_multipliers = fields.Multipliers<2>("mlp_multipliers");
}

/// One id or a list of ids, each a row of the vocabulary.
std::vector<std::int32_t> ReadIds(Fields& fields, const char* key, std::int64_t vocab) {
  std::vector<std::int32_t> ids;
  const Json* value = fields.Find(key);
  if (value == nullptr) return ids;
  const Json::Array one = {*value};
  for (const Json& id : value->is_array() ? value->as_array() : one) {
    if (!id.is_integer() || id.as_double() < 0 || id.as_double() >= static_cast<double>(vocab)) {
      fields.Wrong(key, fmt::format("token ids from 0 to {}", vocab - 1), *value);
      return ids;
    }
    ids.push_back(static_cast<std::int32_t>(id.as_int()));
  }
  return ids;
}

Status ReadConfig(const Json& root, ModelConfig& config) {
  Fields fields(root);
  ModelShape& shape = config.shape;
  CheckArchitecture(fields);
  ReadDimensions(fields, shape);
  ReadSsmDimensions(fields, shape);
  ReadRope(fields, shape);
  ReadFlagsAndMultipliers(fields, shape);
  ReadTimeStepLimit(fields, shape);
  // Absent ids are the class's: pad 0, bos 1, eos 2; an explicit null is none.
  config.eos_ids = root.Find("eos_token_id") == nullptr
                       ? std::vector<std::int32_t>{2}
                       : ReadIds(fields, "eos_token_id", shape.vocab);
  const std::vector<std::int32_t> bos = root.Find("bos_token_id") == nullptr
                                            ? std::vector<std::int32_t>{1}
                                            : ReadIds(fields, "bos_token_id", shape.vocab);
  if (!bos.empty()) config.bos_id = bos[0];
  // Padding is never computed on, so an id outside the vocabulary (-1 is seen) does no harm.
  const Json* pad = fields.Find("pad_token_id");
  if (pad != nullptr && pad->is_integer() && pad->as_double() >= 0 &&
      pad->as_double() < static_cast<double>(shape.vocab))
    config.pad_id = static_cast<std::int32_t>(pad->as_int());
  return fields.status();
}

Result<Json> ParseObject(const std::string& text, const std::string& name) {
  Result<Json> root = ParseJson(text, {.max_depth = 64, .allow_nonfinite = true});
  if (!root.ok()) return root.status().WithContext(name);
  if (!root->is_object())
    return Corrupt("{}: expected a JSON object, found {}", name, root->TypeName());
  return root;
}

}  // namespace

Result<ModelConfig> ParseModelConfig(const std::string& text, const std::string& name) {
  H1_ASSIGN_OR_RETURN(const Json root, ParseObject(text, name));
  ModelConfig config;
  if (Status status = ReadConfig(root, config); !status.ok()) return status.WithContext(name);
  return config;
}

Status ApplyGenerationConfig(const std::string& text, const std::string& name,
                             ModelConfig& config) {
  H1_ASSIGN_OR_RETURN(const Json root, ParseObject(text, name));
  Fields fields(root);
  const std::vector<std::int32_t> eos = ReadIds(fields, "eos_token_id", config.shape.vocab);
  if (!eos.empty()) config.eos_ids = eos;
  return fields.status().WithContext(name);
}

}  // namespace h1bench
