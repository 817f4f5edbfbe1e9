#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "base/json.h"
#include "cli/command.h"
#include "cli/run_models.h"
#include "cli/run_options.h"
#include "cli/units.h"
#include "runner/worker/identity.h"
#include "runner/worker/worker.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string coordinator, name;
  std::int64_t parent = 0;
  std::vector<std::string> checked, early;
  EngineArguments engine;
};

Status Work(const Options& options) {
  WorkerOptions worker;
  worker.coordinator = options.coordinator;
  worker.name = options.name.empty() ? "worker-" + std::to_string(getpid()) : options.name;
  worker.engine = ResolveEngine(options.engine.engine);
  worker.parent = options.parent;
  worker.engine_options = ToEngineOptions(options.engine);
  for (const std::string& pair : options.checked) {
    const std::size_t colon = pair.find(':');
    if (colon == std::string::npos)
      return InvalidArgument("--checked {}: expected STAMP:DIGEST", pair);
    worker.checked[pair.substr(0, colon)] = pair.substr(colon + 1);
  }
  if (!options.early.empty()) {
    worker.early.set_path(options.early[0]);
    worker.early.set_model_digest(options.early[1]);
    worker.early.set_precision(options.early[2]);
    worker.early.set_max_length(std::strtoll(options.early[3].c_str(), nullptr, 10));
  }
  if (!options.engine.memory.empty()) {
    H1_ASSIGN_OR_RETURN(worker.engine_options.memory_bytes,
                        ParseBytes(options.engine.memory, "--memory"));
  }
  worker.null_engine = {options.engine.null_delay_ms, options.engine.null_abort_on,
                        options.engine.null_probe};
  H1_ASSIGN_OR_RETURN(Json environment, ParseJson(EnvironmentJson()));
  environment.Set("pid", static_cast<std::int64_t>(getpid()))
      .Set("threads", static_cast<std::int64_t>(options.engine.threads));
  H1_ASSIGN_OR_RETURN(const std::string identity, EngineIdentity(worker.engine));
  environment.Set("engine", identity);
  environment.Set("batch", options.engine.batch)
      .Set("prefix_reuse", !options.engine.no_prefix_reuse);
  worker.environment_json = WriteJson(environment);
  return RunWorker(worker).WithContext(worker.name);
}

const Command kWorker(
    "worker", "Answer questions for a coordinator until no work is left", [](CLI::App& app) {
      auto options = std::make_shared<Options>();
      app.add_option("--coordinator", options->coordinator, "HOST:PORT of a coordinator")
          ->required();
      app.add_option("--name", options->name,
                     "Name of this worker, unique among the coordinator's; default: worker-PID");
      app.add_option("--parent", options->parent, "Die with this process")->group("");
      app.add_option("--checked", options->checked, "STAMP:DIGEST of a model's files")->group("");
      app.add_option("--early", options->early, "PATH DIGEST PRECISION MAX_LENGTH to load at once")
          ->expected(4)
          ->group("");
      AddEngineArguments(app, options->engine);
      app.footer(
          "It ends by itself when the coordinator is silent for nine seconds (exit code 5) and "
          "leaves cleanly on SIGTERM.\n"
          "Examples:\n  h1bench worker --coordinator 127.0.0.1:7700 --threads 8\n"
          "  h1bench worker --coordinator 127.0.0.1:7700 --engine cpu --memory 16GB --name left");
      return [options] { return Work(*options); };
    });

}  // namespace
}  // namespace h1bench::cli
