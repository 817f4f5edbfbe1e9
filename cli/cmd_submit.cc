#include <cstdio>
#include <memory>

#include "base/file.h"
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
  if (options.json && !options.watch) {
    std::printf("{\"run\":%lld,\"samples\":%lld}\n", static_cast<long long>(created.run()),
                static_cast<long long>(created.samples()));
  } else if (!options.json) {
    std::printf("run %lld, %lld requests\n", static_cast<long long>(created.run()),
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
  app.footer("Example:\n  h1bench submit sizes.yaml --coordinator 127.0.0.1:7700 --watch");
  return [options] { return Submit(*options); };
});

}  // namespace
}  // namespace h1bench::cli
