#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>

#include "base/json.h"
#include "cli/byte_progress.h"
#include "cli/command.h"
#include "cli/units.h"
#include "kernels/backend.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/footprint.h"
#include "runner/checkpoint/shapes.h"
#include "runner/checkpoint/synthesize.h"
#include "runner/tokenizer/tokenizer.h"

namespace h1bench::cli {
namespace {

// ---- model info

struct InfoOptions {
  std::string folder, shape, memory;
  bool json = false, digest = false;
};

/// What is printed of a model, read from a folder or from the table of released shapes.
struct Facts {
  std::string name;
  ModelShape shape;
  Footprint footprint;
  std::optional<Checkpoint> checkpoint;
};

Result<Facts> Gather(const InfoOptions& options) {
  if (options.folder.empty() == options.shape.empty())
    return InvalidArgument("model info: expected a checkpoint folder or --shape NAME");
  Facts facts;
  if (!options.shape.empty()) {
    H1_ASSIGN_OR_RETURN(const ReleasedShape released, FindReleasedShape(options.shape));
    facts.name = released.name;
    facts.shape = released.shape;
  } else {
    H1_ASSIGN_OR_RETURN(facts.checkpoint, Checkpoint::Open(options.folder));
    facts.name = options.folder;
    facts.shape = facts.checkpoint->config().shape;
  }
  facts.footprint = ComputeFootprint(facts.shape);
  return facts;
}

/// How many sequences of a length the CPU backend plans into a budget, workspace included.
struct Fit {
  Precision precision = Precision::kBf16;
  std::int64_t weights = 0;
  std::vector<std::pair<std::int64_t, std::int64_t>> sequences;  // tokens of each, how many
};

std::vector<Fit> ComputeFits(const Facts& facts, std::int64_t memory) {
  std::vector<Fit> fits;
  for (const Precision precision : {Precision::kBf16, Precision::kFp32}) {
    BackendOptions backend;
    backend.precision = precision;
    const MemoryPlan none = PlanMemory(facts.shape, backend, 0, 0);
    Fit fit{precision, none.weights, {}};
    const std::int64_t limit = std::min<std::int64_t>(facts.shape.max_positions, 1 << 20);
    for (std::int64_t tokens = 1024; tokens <= limit; tokens *= 4) {
      const std::int64_t each = PlanMemory(facts.shape, backend, 1, tokens).total() - none.total();
      fit.sequences.emplace_back(tokens, std::max<std::int64_t>(0, memory - none.total()) / each);
    }
    fits.push_back(std::move(fit));
  }
  return fits;
}

Json ShapeJson(const ModelShape& s) {
  Json json;
  json.Set("layers", s.layers).Set("hidden", s.hidden).Set("intermediate", s.intermediate);
  json.Set("vocab", s.vocab).Set("max_positions", s.max_positions);
  json.Set("heads", s.heads).Set("kv_heads", s.kv_heads).Set("head_dim", s.head_dim);
  json.Set("ssm_heads", s.ssm_heads).Set("ssm_head_dim", s.ssm_head_dim);
  json.Set("ssm_groups", s.ssm_groups).Set("ssm_state", s.ssm_state).Set("conv_taps", s.conv_taps);
  json.Set("chunk", s.chunk)
      .Set("gated_norm", s.gated_norm)
      .Set("tied_embeddings", s.tied_embeddings);
  return json;
}

Json FactsJson(const Facts& facts) {
  const Footprint& f = facts.footprint;
  Json json;
  json.Set("model", facts.name).Set("parameters", f.parameters());
  Json split;
  split.Set("embedding", f.embedding).Set("lm_head", f.lm_head).Set("mamba", f.mamba);
  split.Set("attention", f.attention).Set("mlp", f.mlp).Set("norms", f.norms);
  json.Set("parameters_split", std::move(split)).Set("shape", ShapeJson(facts.shape));
  json.Set("kv_bytes_per_token", f.kv_per_token)
      .Set("ssm_state_bytes_per_sequence", f.ssm_per_sequence);
  json.Set("conv_tail_bytes_per_sequence", f.conv_per_sequence);
  if (!facts.checkpoint) return json;
  const Checkpoint& checkpoint = *facts.checkpoint;
  const ModelConfig& config = checkpoint.config();
  json.Set("weight_bytes", checkpoint.weight_bytes())
      .Set("dtype", DTypeName(checkpoint.weights().embedding.dtype));
  json.Set("bos_id", config.bos_id ? Json(std::int64_t{*config.bos_id}) : Json());
  json.Set("eos_ids", Json::Array(config.eos_ids.begin(), config.eos_ids.end()));
  const Status chat = checkpoint.CheckChat();
  json.Set("chat", chat.ok()).Set("chat_reason", chat.ok() ? Json() : Json(chat.message()));
  return json;
}

Json FitsJson(const std::vector<Fit>& fits, std::int64_t memory) {
  Json rows;
  for (const Fit& fit : fits) {
    Json sequences;
    for (const auto& [tokens, count] : fit.sequences)
      sequences.Push(Json(Json::Object{{"tokens", tokens}, {"sequences", count}}));
    rows.Push(Json(Json::Object{{"precision", PrecisionName(fit.precision)},
                                {"weight_bytes", fit.weights},
                                {"fits", std::move(sequences)}}));
  }
  Json json;
  json.Set("bytes", memory).Set("precisions", std::move(rows));
  return json;
}

std::string Millions(std::int64_t count) {
  return fmt::format("{:.1f} M", static_cast<double>(count) / 1e6);
}

void PrintFacts(const Facts& facts) {
  const ModelShape& s = facts.shape;
  const Footprint& f = facts.footprint;
  fmt::print("{}\n", facts.name);
  fmt::print("  shape         {} layers x {} wide, MLP {}, vocabulary {}, up to {} positions\n",
             s.layers, s.hidden, s.intermediate, FormatCount(s.vocab),
             FormatCount(s.max_positions));
  fmt::print("  attention     {} query and {} key-value heads of {}\n", s.heads, s.kv_heads,
             s.head_dim);
  fmt::print("  mamba         {} heads of {}, state {}, {} group{}, chunk {}{}\n", s.ssm_heads,
             s.ssm_head_dim, s.ssm_state, s.ssm_groups, s.ssm_groups == 1 ? "" : "s", s.chunk,
             s.gated_norm ? ", gated norm" : "");
  fmt::print(
      "  parameters    {}: embedding {}, head {}, mamba {}, attention {}, MLP {}, norms {}\n",
      FormatCount(f.parameters()), Millions(f.embedding),
      s.tied_embeddings ? "tied" : Millions(f.lm_head), Millions(f.mamba), Millions(f.attention),
      Millions(f.mlp), Millions(f.norms));
  if (facts.checkpoint)
    fmt::print("  weights       {} ({})\n", FormatBytes(facts.checkpoint->weight_bytes()),
               DTypeName(facts.checkpoint->weights().embedding.dtype));
  fmt::print("  per token     {} B of keys and values (16 bit)\n", FormatCount(f.kv_per_token));
  fmt::print("  per sequence  {} SSM state + {} convolution tail (fp32)\n",
             FormatBytes(f.ssm_per_sequence), FormatBytes(f.conv_per_sequence));
  if (!facts.checkpoint) return;
  fmt::print("  stops at      {}\n", fmt::join(facts.checkpoint->config().eos_ids, ", "));
  const Status chat = facts.checkpoint->CheckChat();
  fmt::print("  chat          {}\n",
             chat.ok() ? "Falcon-H1's ChatML form" : "no: " + chat.message());
}

void PrintFits(const std::vector<Fit>& fits, std::int64_t memory) {
  fmt::print("\nSequences at once in {} on the CPU backend, its workspace included\n  {:<10} {:>9}",
             FormatBytes(memory), "precision", "weights");
  for (const auto& [tokens, count] : fits[0].sequences)
    fmt::print(" {:>12}", FormatCount(tokens) + " tok");
  for (const Fit& fit : fits) {
    fmt::print("\n  {:<10} {:>9}", PrecisionName(fit.precision), FormatBytes(fit.weights));
    for (const auto& [tokens, count] : fit.sequences)
      fmt::print(" {:>12}", count == 0 ? "-" : FormatCount(count));
  }
  fmt::print("\n");
}

Status Info(const InfoOptions& options) {
  std::int64_t memory = 0;
  if (!options.memory.empty()) {
    H1_ASSIGN_OR_RETURN(memory, ParseBytes(options.memory, "--memory"));
  }
  H1_ASSIGN_OR_RETURN(const Facts facts, Gather(options));
  std::string digest;
  if (options.digest) {
    if (!facts.checkpoint) return InvalidArgument("--digest: needs a checkpoint folder");
    H1_ASSIGN_OR_RETURN(digest, facts.checkpoint->Digest());
  }
  const std::vector<Fit> fits = memory > 0 ? ComputeFits(facts, memory) : std::vector<Fit>();
  if (options.json) {
    Json json = FactsJson(facts);
    if (!digest.empty()) json.Set("digest", digest);
    if (memory > 0) json.Set("memory", FitsJson(fits, memory));
    std::cout << WriteJson(json, 2) << '\n';
    return Status::Ok();
  }
  PrintFacts(facts);
  if (!digest.empty()) fmt::print("  digest        {}\n", digest);
  if (memory > 0) PrintFits(fits, memory);
  return Status::Ok();
}

// ---- model synthesize

struct SynthesizeArguments {
  std::string shape, out, tokenizer;
  std::uint64_t seed = 0;
};

volatile std::sig_atomic_t interrupted = 0;

Status CheckTokenizer(const std::string& path, const ModelShape& shape) {
  H1_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Open(path));
  if (tokenizer.vocab_size() > shape.vocab)
    return InvalidArgument("{}: {} tokens, the shape has {} rows", path, tokenizer.vocab_size(),
                           shape.vocab);
  return Status::Ok();
}

Status Synthesize(const SynthesizeArguments& arguments) {
  H1_ASSIGN_OR_RETURN(const ReleasedShape released, FindReleasedShape(arguments.shape));
  SynthesizeOptions options;
  options.shape = released.shape;
  options.seed = arguments.seed;
  options.folder = arguments.out;
  if (!arguments.tokenizer.empty()) {
    H1_RETURN_IF_ERROR(CheckTokenizer(arguments.tokenizer, options.shape));
    options.tokenizer = arguments.tokenizer;
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  const auto start = std::chrono::steady_clock::now();
  {
    ByteProgress progress("writing " + arguments.out);
    options.progress = [&](std::int64_t done, std::int64_t total) {
      progress.Show(done, total);
      return interrupted == 0;
    };
    H1_RETURN_IF_ERROR(SynthesizeCheckpoint(options));
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  fmt::print("{}: {} random parameters ({}, bf16, seed {}) in {:.1f} s\n", arguments.out,
             FormatCount(released.parameters), FormatBytes(released.parameters * 2), arguments.seed,
             seconds.count());
  if (arguments.tokenizer.empty())
    fmt::print("It has no tokenizer.json yet; --tokenizer FILE copies one in.\n");
  return Status::Ok();
}

// ---- the command

CLI::App* SetUpInfo(CLI::App& app, const std::shared_ptr<InfoOptions>& options) {
  CLI::App* info =
      app.add_subcommand("info", "Sizes, parameters, bytes per token and sequence, what fits");
  info->add_option("DIR", options->folder, "A Hugging Face checkpoint folder");
  info->add_option(
      "--shape", options->shape,
      "A released size instead of a folder: 0.5B, 1.5B, 1.5B-Deep, 3B, 7B, 34B, Tiny-90M");
  info->add_option("--memory", options->memory,
                   "Say how many sequences fit into this much memory (8GB, 24GiB)");
  info->add_flag("--digest", options->digest,
                 "Also the SHA-256 digest that results are stored under (reads all weights)");
  info->add_flag("--json", options->json, "One JSON object instead of text");
  info->footer(
      "Examples:\n  h1bench model info Falcon-H1-0.5B-Base --memory 8GB\n"
      "  h1bench model info --shape 34B --memory 80GB --json");
  return info;
}

CLI::App* SetUpSynthesize(CLI::App& app, const std::shared_ptr<SynthesizeArguments>& options) {
  CLI::App* synthesize = app.add_subcommand(
      "synthesize", "Write random weights of a released shape in the real format");
  synthesize
      ->add_option("--shape", options->shape, "0.5B, 1.5B, 1.5B-Deep, 3B, 7B, 34B or Tiny-90M")
      ->required();
  synthesize->add_option("--seed", options->seed, "The same seed gives the same bytes")
      ->capture_default_str();
  synthesize->add_option("--tokenizer", options->tokenizer,
                         "A tokenizer.json to copy in, so that the model can be run");
  synthesize->add_option("OUT", options->out, "The folder to write; must not exist or be empty")
      ->required();
  synthesize->footer(
      "Examples:\n  h1bench model synthesize --shape 0.5B --seed 1 --tokenizer tokenizer.json "
      "random-0.5B\n  h1bench model synthesize --shape 1.5B-Deep random-1.5B-Deep");
  return synthesize;
}

Command::Run SetUp(CLI::App& app) {
  app.require_subcommand(1);
  const auto info_options = std::make_shared<InfoOptions>();
  const auto synthesize_options = std::make_shared<SynthesizeArguments>();
  const CLI::App* info = SetUpInfo(app, info_options);
  SetUpSynthesize(app, synthesize_options);
  app.footer(
      "Examples:\n  h1bench model info Falcon-H1-0.5B-Base\n  h1bench model synthesize --shape "
      "0.5B "
      "random-0.5B");
  return [info, info_options, synthesize_options] {
    return info->parsed() ? Info(*info_options) : Synthesize(*synthesize_options);
  };
}

const Command kModel("model", "Look at a checkpoint, or make a random one", SetUp);

}  // namespace
}  // namespace h1bench::cli
