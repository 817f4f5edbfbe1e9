#include <cstdio>
#include <memory>

#include "base/file.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/run_client.h"
#include "harness/suite/suite.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string suite, coordinator, data;
  bool watch = false, json = false;
};

Status Submit(const Options& options) {
  H1_ASSIGN_OR_RETURN(const Suite suite,
                      LoadSuite(options.suite));  // mistakes are told before anything is sent
  v1::CreateRunRequest request;
  request.set_suite_text(suite.text);
  request.set_suite_path(std::filesystem::absolute(options.suite).lexically_normal().string());
  if (!options.data.empty()) request.set_data(std::filesystem::absolute(options.data).string());
  RunsClient client(options.coordinator);
  H1_ASSIGN_OR_RETURN(const v1::CreateRunResponse created, client.Create(request));
  H1_ASSIGN_OR_RETURN(const v1::RunProgress run, client.Find(std::to_string(created.run())));
  if (options.json && !options.watch) {
    Json json;
    json.Set("run", created.run()).Set("id", run.id()).Set("samples", created.samples());
    std::printf("%s\n", WriteJson(json).c_str());
  } else if (!options.json) {
    std::printf("run %s, %lld requests\n", run.id().c_str(),
                static_cast<long long>(created.samples()));
  }
  std::fflush(stdout);
  return options.watch
             ? WatchRun(client, created.run(), RunDisplay::Mode::kAuto, false, options.json)
             : Status::Ok();
}

const Command kSubmit("submit", "Give a suite to a coordinator", [](CLI::App& app) {
  auto options = std::make_shared<Options>();
  app.add_option("SUITE", options->suite,
                 "The suite; its paths are those of the coordinator's machine")
      ->required();
  AddCoordinatorOption(app, options->coordinator);
  app.add_option("--data", options->data, "Folder of the benchmark files, there");
  app.add_flag("--watch", options->watch, "Stay and show progress until it ends");
  app.add_flag("--json", options->json, "Print JSON");
  app.footer(
      "Examples:\n  h1bench submit sizes.yaml --coordinator 127.0.0.1:7700 --watch\n"
      "  h1bench submit sizes.yaml --data /srv/data --json");
  return [options] { return Submit(*options); };
});

}  // namespace
}  // namespace h1bench::cli
