#include "runner/checkpoint/random_weights.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

namespace h1bench {
namespace {

std::uint64_t HashName(const std::string& name) {  // FNV-1a
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

/// Round to nearest, ties to even; finite input.
std::uint16_t ToBf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float SoftplusInverse(float dt) { return std::log(std::expm1(dt)); }

/// What the linear layer named so is multiplied by in the forward pass, and its fan-in; 0: not a
/// linear layer.
struct Scale {
  std::int64_t fan_in = 0;
  float multiplier = 1;
};
Scale LinearScale(const ModelShape& s, const std::string& name) {
  const auto is = [&](const char* end) { return name.ends_with(end); };
  if (is("mamba.in_proj.weight")) return {s.hidden, s.ssm_in_multiplier};
  if (is("mamba.out_proj.weight")) return {s.ssm_inner, s.ssm_out_multiplier};
  if (is("q_proj.weight") || is("v_proj.weight")) return {s.hidden, s.attention_in_multiplier};
  if (is("k_proj.weight")) return {s.hidden, s.attention_in_multiplier * s.key_multiplier};
  if (is("o_proj.weight")) return {s.query_rows(), s.attention_out_multiplier};
  if (is("gate_proj.weight")) return {s.hidden, s.mlp_multipliers[0]};
  if (is("up_proj.weight")) return {s.hidden, 1};
  if (is("down_proj.weight")) return {s.intermediate, s.mlp_multipliers[1]};
  if (is("lm_head.weight")) return {s.hidden, s.lm_head_multiplier / 2};  // spread of 2
  if (is("conv1d.weight")) return {s.conv_taps, 1};
  return {};
}

}  // namespace

RandomTensor::RandomTensor(const ModelShape& shape, std::uint64_t seed, const std::string& name)
    : key_(Mix(seed) ^ HashName(name)) {
  const Scale scale = LinearScale(shape, name);
  if (scale.fan_in > 0) {
    const float deviation = 1 / (std::sqrt(static_cast<float>(scale.fan_in)) *
                                 std::max(std::abs(scale.multiplier), 1e-4F));
    half_width_ = deviation * std::sqrt(3.0F);
  } else if (name == "model.embed_tokens.weight") {
    // A tied embedding is also the head.
    const float out =
        shape.tied_embeddings
            ? 2 / (std::sqrt(static_cast<float>(shape.hidden)) * shape.lm_head_multiplier)
            : 1 / std::max(std::abs(shape.embedding_multiplier), 1e-4F);
    half_width_ = out * std::sqrt(3.0F);
  } else if (name.ends_with(".A_log")) {  // A from 1 to 16
    center_ = 8.5F, half_width_ = 7.5F;
    transform_ = [](float a) { return std::log(a); };
  } else if (name.ends_with(
                 ".dt_bias")) {  // time steps from 0.001 to 0.1, evenly in their logarithm
    center_ = std::log(0.01F), half_width_ = std::log(10.0F);
    transform_ = [](float log_dt) { return SoftplusInverse(std::exp(log_dt)); };
  } else if (name.ends_with(".bias")) {
    half_width_ = 0.1F;
  } else {  // norms and D
    center_ = 1, half_width_ = 0.1F;
  }
}

std::optional<Generated> RandomTensor::generated() const {
  if (center_ != 0 || transform_) return std::nullopt;
  return Generated{key_, half_width_};
}

void RandomTensor::Fill(std::int64_t first, std::span<std::uint16_t> out) const {
  constexpr std::size_t kBlock =
      64;  // a fixed count, so that the compiler vectorizes the conversion
  const float half_step = half_width_ / 65536.0F;
  auto counter = static_cast<std::uint64_t>(first) / 4;
  for (std::size_t begin = 0; begin < out.size(); begin += kBlock) {
    std::array<std::uint64_t, kBlock / 4> words;
    for (std::uint64_t& word : words) word = GeneratedWord(key_, counter++);
    const auto halves = std::bit_cast<std::array<std::uint16_t, kBlock>>(words);
    std::array<float, kBlock> values;
    for (std::size_t i = 0; i < kBlock; ++i)
      values[i] = center_ + static_cast<float>(OddOf(halves[i])) * half_step;
    if (transform_)
      for (float& value : values) value = transform_(value);
    std::array<std::uint16_t, kBlock> bits;
    for (std::size_t i = 0; i < kBlock; ++i) bits[i] = ToBf16(values[i]);
    std::copy_n(bits.begin(), std::min(kBlock, out.size() - begin),
                out.begin() + static_cast<std::ptrdiff_t>(begin));
  }
}

void FillParallel(const RandomTensor& tensor, std::int64_t first, std::span<std::uint16_t> out) {
  constexpr std::size_t kPiece = std::size_t{1} << 20;
  const std::size_t pieces = (out.size() + kPiece - 1) / kPiece;
  const std::size_t threads =
      std::min<std::size_t>(pieces, std::max(1U, std::thread::hardware_concurrency()));
  const auto work = [&](std::size_t thread) {
    for (std::size_t i = thread; i < pieces; i += threads) {
      const std::size_t begin = i * kPiece;
      tensor.Fill(first + static_cast<std::int64_t>(begin),
                  out.subspan(begin, std::min(kPiece, out.size() - begin)));
    }
  };
  std::vector<std::jthread> helpers;
  for (std::size_t thread = 1; thread < threads; ++thread) helpers.emplace_back(work, thread);
  if (threads > 0) work(0);
}

}  // namespace h1bench
