#include "runner/checkpoint/shapes.h"

#include <cmath>
#include <numbers>

#include "base/text.h"

namespace h1bench {
namespace {

/// What differs between the sizes.
struct Row {
  const char* name;
  std::int64_t parameters, vocab, hidden, intermediate, layers, heads, kv_heads, head_dim;
  std::int64_t ssm_heads, ssm_head_dim, ssm_groups, ssm_state, chunk, max_positions;
  bool gated_norm, tied;
};

constexpr Row kRows[] = {
    {"0.5B", 521'411'104, 32784, 1024, 2048, 36, 8, 2, 64, 24, 64, 1, 128, 128, 16384, false,
     false},
    {"1.5B", 1'554'863'488, 65537, 2048, 4608, 24, 8, 2, 128, 48, 64, 1, 256, 128, 131072, true,
     false},
    {"1.5B-Deep", 1'554'872'208, 65536, 1280, 3072, 66, 6, 2, 128, 24, 64, 1, 256, 128, 131072,
     true, false},
    {"3B", 3'149'387'264, 65536, 2560, 6144, 32, 10, 2, 128, 32, 128, 1, 256, 128, 131072, true,
     false},
    {"7B", 7'585'648'736, 130048, 3072, 12288, 44, 12, 2, 128, 24, 128, 1, 256, 128, 262144, true,
     false},
    {"34B", 33'642'516'224, 261120, 5120, 21504, 72, 20, 4, 128, 32, 128, 2, 256, 128, 262144, true,
     false},
    {"Tiny-90M", 91'131'072, 32768, 512, 768, 24, 8, 2, 64, 24, 32, 1, 64, 128, 16384, false, true},
};

/// The law that reproduces every published multiplier to all its digits.
void SetMultipliers(ModelShape& s) {
  const double root2 = std::numbers::sqrt2;
  const auto d = static_cast<double>(s.hidden);
  const auto query_rows = static_cast<double>(s.query_rows());
  const auto single = [](double value) { return static_cast<float>(value); };
  s.embedding_multiplier = single(4 * root2);
  s.lm_head_multiplier = single(40 / d);
  s.attention_out_multiplier = single(491520 / (d * query_rows));
  s.key_multiplier = single(3276800 / (d * d * std::sqrt(static_cast<double>(s.head_dim))));
  s.ssm_in_multiplier = single(1280 / d);
  s.ssm_out_multiplier = single(256 * root2 / static_cast<double>(s.ssm_inner));
  s.ssm_multipliers = {single(root2 / 4), 0.25F,
                       single(32 * root2 / static_cast<double>(s.ssm_state)), 0.5F,
                       single(root2 / 4)};
  s.mlp_multipliers = {single(640 * root2 / d),
                       single(1228800 / (d * static_cast<double>(s.intermediate)))};
}

ModelShape MakeShape(const Row& row) {
  ModelShape s;
  s.vocab = row.vocab;
  s.hidden = row.hidden;
  s.intermediate = row.intermediate;
  s.layers = row.layers;
  s.heads = row.heads;
  s.kv_heads = row.kv_heads;
  s.head_dim = row.head_dim;
  s.ssm_heads = row.ssm_heads;
  s.ssm_head_dim = row.ssm_head_dim;
  s.ssm_inner = row.ssm_heads * row.ssm_head_dim;
  s.ssm_groups = row.ssm_groups;
  s.ssm_state = row.ssm_state;
  s.conv_taps = 4;
  s.chunk = row.chunk;
  s.max_positions = row.max_positions;
  s.gated_norm = row.gated_norm;
  s.tied_embeddings = row.tied;
  if (row.tied) {  // Tiny-90M: all others are 1
    s.embedding_multiplier = 0.1108F;
    s.lm_head_multiplier = 0.078125F;
  } else {
    SetMultipliers(s);
  }
  return s;
}

}  // namespace

const std::vector<ReleasedShape>& ReleasedShapes() {
  static const std::vector<ReleasedShape> shapes = [] {
    std::vector<ReleasedShape> all;
    for (const Row& row : kRows) all.push_back({row.name, MakeShape(row), row.parameters});
    return all;
  }();
  return shapes;
}

Result<ReleasedShape> FindReleasedShape(const std::string& name) {
  std::vector<std::string> known;
  for (const ReleasedShape& shape : ReleasedShapes()) {
    if (shape.name == name) return shape;
    known.push_back(shape.name);
  }
  const std::string near = NearestWord(name, known);
  return InvalidArgument("no shape \"{}\"{}; known: {}", name,
                         near.empty() ? "" : " (did you mean " + near + "?)",
                         fmt::join(known, ", "));
}

}  // namespace h1bench
