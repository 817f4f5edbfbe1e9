#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/run_options.h"
#include "kernels/backend.h"
#include "runner/checkpoint/checkpoint.h"
#include "runner/checkpoint/safetensors_writer.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string model, ids, precision = "fp32", output, device = "auto";
  int threads = 0;
};

/// An array of ids, or an object whose member "ids" is one.
Result<std::vector<std::int32_t>> ReadIds(const std::string& path) {
  H1_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  auto parsed = ParseJson(text);
  if (!parsed.ok()) return parsed.status().WithContext(path);
  const Json* array = parsed->is_object() ? parsed->Find("ids") : &*parsed;
  if (array == nullptr || !array->is_array() || array->as_array().empty()) {
    return InvalidArgument("{}: expected an array of token ids, or an object with \"ids\"", path);
  }
  std::vector<std::int32_t> ids;
  for (const Json& id : array->as_array()) {
    if (!id.is_integer() || id.as_int() < 0 || id.as_int() > INT32_MAX) {
      return InvalidArgument("{}: id {} is {}, expected a whole number from 0", path, ids.size(),
                             WriteJson(id));
    }
    ids.push_back(static_cast<std::int32_t>(id.as_int()));
  }
  return ids;
}

/// Forwards `ids` piece by piece and appends every position's logits.
Status WriteRows(Backend& backend, const std::vector<std::int32_t>& ids,
                 SafetensorsWriter& writer) {
  const auto piece = static_cast<std::size_t>(backend.options().max_batch_rows);
  const auto vocab = static_cast<std::size_t>(backend.shape().vocab);
  H1_ASSIGN_OR_RETURN(const SlotId slot, backend.Allocate(static_cast<std::int64_t>(ids.size())));
  std::vector<float> logits(std::min(piece, ids.size()) * vocab);
  for (std::size_t first = 0; first < ids.size(); first += piece) {
    const std::size_t count = std::min(piece, ids.size() - first);
    Segment segment{slot, std::span(ids).subspan(first, count), {}, true};
    for (std::size_t i = 0; i < count; ++i) {
      segment.rows.push_back({static_cast<std::int32_t>(i), {}, logits.data() + i * vocab});
    }
    auto results = backend.Forward(std::span(&segment, 1));
    H1_RETURN_IF_ERROR(results.status());
    H1_RETURN_IF_ERROR(writer.Append(std::as_bytes(std::span(logits).first(count * vocab))));
  }
  return writer.Finish();
}

Status Logits(const Options& options) {
  H1_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, ReadIds(options.ids));
  H1_ASSIGN_OR_RETURN(const Checkpoint model, Checkpoint::Open(options.model));
  BackendOptions backend_options;
  H1_ASSIGN_OR_RETURN(backend_options.device, ParseDevice(ResolveEngine(options.device)));
  H1_ASSIGN_OR_RETURN(backend_options.precision, ParsePrecision(options.precision));
  backend_options.threads = options.threads;
  backend_options.max_batch_tokens = backend_options.max_batch_rows = 128;
  H1_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                      CreateBackend(model.config().shape, model.weights(), backend_options));
  const TensorSpec spec{
      "logits", DType::kF32, {static_cast<std::int64_t>(ids.size()), model.config().shape.vocab}};
  H1_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                      SafetensorsWriter::Create(options.output, std::span(&spec, 1)));
  const Status status = WriteRows(*backend, ids, writer);
  return status.ok() ? status : status.WithContext(options.ids);
}

Command::Run SetUp(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "A model folder")->required();
  app.add_option("--ids", options->ids,
                 "JSON file: an array of token ids, or an object with \"ids\"")
      ->required();
  app.add_option("--precision", options->precision, "fp32 (the reference) or bf16")
      ->capture_default_str();
  app.add_option("--device", options->device, "auto, cpu, cuda or cuda-emulated")
      ->capture_default_str();
  app.add_option("--output", options->output, "The .safetensors file to write")->required();
  app.add_option("--threads", options->threads, "Threads; 0: all cores")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.footer(
      "Writes one tensor, logits (positions, vocabulary) fp32: row i follows ids[0..i]. For "
      "comparing the engine with\n"
      "a reference.\n"
      "Examples:\n"
      "  h1bench logits Falcon-H1-0.5B-Base --ids ids.json --precision fp32 --output "
      "logits.safetensors\n"
      "  h1bench logits Falcon-H1-0.5B-Base --ids ids.json --precision bf16 --threads 8 --output "
      "bf16.safetensors");
  return [options] { return Logits(*options); };
}

const Command kLogits("logits", "Write the logits of every position of a token sequence", SetUp);

}  // namespace
}  // namespace h1bench::cli
