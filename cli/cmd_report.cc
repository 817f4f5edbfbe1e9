#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "cli/command.h"
#include "cli/stored_run.h"
#include "harness/store/run_names.h"
#include "reports/render/render.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::string database, run, format = "text", output;
  bool no_timing = false;
  std::size_t documents = 200;
};

std::string Render(const reports::Report& report, const std::string& format) {
  if (format == "md") return reports::RenderMarkdown(report);
  if (format == "json") return reports::RenderJson(report);
  if (format == "html") return reports::RenderHtml(report);
  return reports::RenderTerminal(report,
                                 isatty(STDOUT_FILENO) != 0 && std::getenv("NO_COLOR") == nullptr);
}

Status Run(const Options& options) {
  H1_ASSIGN_OR_RETURN(const auto store, Store::Open(options.database, Store::Mode::kReadOnly));
  H1_ASSIGN_OR_RETURN(const NamedRun run, FindRun(*store, options.run, options.database));
  reports::ReportOptions how;
  how.timing = !options.no_timing;
  how.documents_per_task = options.documents;
  H1_ASSIGN_OR_RETURN(const reports::Report report, reports::BuildReport(*store, run.row.id, how));
  const std::string text = Render(report, options.format);
  if (!options.output.empty()) return WriteFileAtomically(options.output, text);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return Status::Ok();
}

const Command kReport(
    "report", "The leaderboard and everything behind it, from the database alone",
    [](CLI::App& app) {
      auto options = std::make_shared<Options>();
      app.add_option("--db", options->database, "Database of the run")->required();
      AddRunOption(app, options->run);
      app.add_option("--format", options->format, "text, md, html or json")
          ->check(CLI::IsMember({"text", "md", "html", "json"}))
          ->capture_default_str();
      app.add_flag_callback(
          "--json", [options] { options->format = "json"; }, "Same as --format json");
      app.add_option("--output", options->output, "Write there instead of to standard output");
      app.add_flag(
          "--no-timing", options->no_timing,
          "Leave out all that may differ between two executions: equal results give equal bytes");
      app.add_option("--samples", options->documents,
                     "Documents of each task in the sample viewer, with every model's answers "
                     "(html, json)")
          ->capture_default_str();
      app.footer(
          "Examples:\n  h1bench report --db sizes.db\n  h1bench report --db sizes.db --format html "
          "--output report.html");
      return [options] { return Run(*options); };
    });

}  // namespace
}  // namespace h1bench::cli
