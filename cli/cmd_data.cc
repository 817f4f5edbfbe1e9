#include <algorithm>
#include <csignal>
#include <iostream>
#include <memory>

#include "base/json.h"
#include "cli/byte_progress.h"
#include "cli/command.h"
#include "cli/units.h"
#include "tasks/data/download.h"
#include "tasks/data/manifest.h"

namespace h1bench::cli {
namespace {

using tasks::FileState;
using tasks::KnownFile;

struct Options {
  std::string folder, mirror;
  std::vector<std::string> sets;
  bool json = false;
};

volatile std::sig_atomic_t interrupted = 0;

const char* StateName(FileState state) {
  switch (state) {
    case FileState::kKnown:
      return "ok";
    case FileState::kMissing:
      return "missing";
    case FileState::kDifferent:
      return "different";
  }
  return "?";
}

/// One data set's files and what is wrong with them.
struct SetReport {
  const tasks::DataSet* set = nullptr;
  std::vector<std::pair<const KnownFile*, FileState>> files;

  std::int64_t Count(FileState state) const {
    return std::count_if(files.begin(), files.end(),
                         [&](const auto& file) { return file.second == state; });
  }
  /// An optional set that is not there at all is no fault, unless it was asked for by name.
  bool IsFaulty(bool asked) const {
    const std::int64_t missing = Count(FileState::kMissing);
    if (Count(FileState::kDifferent) > 0) return true;
    return missing > 0 &&
           (asked || set->needed || missing < static_cast<std::int64_t>(files.size()));
  }
};

Result<std::vector<SetReport>> CheckSets(const Options& options) {
  std::vector<std::string> names = options.sets;
  if (names.empty())
    for (const tasks::DataSet& set : tasks::DataSets()) names.emplace_back(set.name);
  H1_ASSIGN_OR_RETURN(const std::vector<KnownFile> selected, tasks::SelectFiles(names));
  std::vector<SetReport> reports;
  for (const tasks::DataSet& set : tasks::DataSets()) {
    SetReport report{&set, {}};
    for (const KnownFile& file : selected)
      if (file.set == set.name)
        report.files.emplace_back(tasks::FindKnownFile(file.path),
                                  tasks::CheckFile(options.folder, file));
    if (!report.files.empty()) reports.push_back(std::move(report));
  }
  return reports;
}

Json ReportJson(const std::vector<SetReport>& reports, const Options& options) {
  Json sets;
  for (const SetReport& report : reports) {
    Json files;
    for (const auto& [file, state] : report.files) {
      Json row;
      row.Set("path", file->path).Set("state", StateName(state)).Set("bytes", file->size);
      row.Set("sha256", file->sha256).Set("url", tasks::UpstreamUrl(*file));
      files.Push(std::move(row));
    }
    Json row;
    row.Set("set", report.set->name)
        .Set("needed", report.set->needed)
        .Set("licence", report.set->licence);
    row.Set("ok",
            report.Count(FileState::kKnown) == static_cast<std::int64_t>(report.files.size()));
    row.Set("files", std::move(files));
    sets.Push(std::move(row));
  }
  Json json;
  json.Set("folder", options.folder).Set("sets", std::move(sets));
  return json;
}

void PrintReport(const SetReport& report) {
  const auto total = static_cast<std::int64_t>(report.files.size());
  const std::int64_t known = report.Count(FileState::kKnown);
  const std::int64_t missing = report.Count(FileState::kMissing);
  std::string state = known == total ? fmt::format("ok, {} file{}", total, total == 1 ? "" : "s")
                      : missing == total
                          ? report.set->needed ? "missing" : "not there (no task needs it)"
                          : fmt::format("{} of {} files ok", known, total);
  fmt::print("  {:<16} {:<30} {}\n", report.set->name, state, report.set->summary);
  int listed = 0;
  for (const auto& [file, file_state] : report.files) {
    if (file_state == FileState::kKnown || missing == total) continue;
    if (++listed > 10) {
      fmt::print("    ... and {} more\n", total - known - 10);
      break;
    }
    fmt::print("    {}: {}\n", file->path,
               file_state == FileState::kMissing ? "missing" : "not upstream's file");
  }
}

Status Check(const Options& options) {
  H1_ASSIGN_OR_RETURN(const std::vector<SetReport> reports, CheckSets(options));
  if (options.json) {
    std::cout << WriteJson(ReportJson(reports, options), 2) << '\n';
  } else {
    fmt::print("{}\n", options.folder);
    for (const SetReport& report : reports) PrintReport(report);
  }
  std::string faulty;
  for (const SetReport& report : reports)
    if (report.IsFaulty(!options.sets.empty())) faulty += " " + std::string(report.set->name);
  if (faulty.empty()) return Status::Ok();
  return FailedPrecondition("{}: not complete; `h1bench data fetch --data {}{}` repairs it",
                            options.folder, options.folder, faulty);
}

/// Files that are not there yet. A file of our name with other contents is not ours to overwrite.
Result<std::vector<KnownFile>> FilesToFetch(const Options& options) {
  H1_ASSIGN_OR_RETURN(const std::vector<KnownFile> selected, tasks::SelectFiles(options.sets));
  std::vector<KnownFile> files;
  for (const KnownFile& file : selected) {
    const FileState state = tasks::CheckFile(options.folder, file);
    if (state == FileState::kDifferent) return tasks::RequireKnownFile(options.folder, file);
    if (state == FileState::kMissing) files.push_back(file);
  }
  return files;
}

std::string UrlOf(const KnownFile& file, const std::string& mirror) {
  if (mirror.empty()) return tasks::UpstreamUrl(file);
  return fmt::format("{}{}{}", mirror, mirror.ends_with('/') ? "" : "/", file.path);
}

Status Fetch(const Options& options) {
  if (!options.mirror.empty() && !options.mirror.starts_with("http://") &&
      !options.mirror.starts_with("https://"))
    return InvalidArgument("--mirror: expected http://... or https://..., found \"{}\"",
                           options.mirror);
  H1_ASSIGN_OR_RETURN(const std::vector<KnownFile> files, FilesToFetch(options));
  std::int64_t total = 0;
  for (const KnownFile& file : files) total += file.size;
  if (files.empty()) {
    fmt::print("{}: everything is there\n", options.folder);
    return Status::Ok();
  }
  fmt::print("{}: {} files, {}\n", options.folder, files.size(), FormatBytes(total));
  std::fflush(stdout);
  std::signal(SIGINT, [](int) { interrupted = 1; });
  tasks::Downloader downloader;
  ByteProgress progress("fetching");
  std::int64_t finished = 0;
  for (const KnownFile& file : files) {
    const tasks::Downloader::Item item{UrlOf(file, options.mirror),
                                       std::filesystem::path(options.folder) / file.path, file.size,
                                       std::string(file.sha256)};
    H1_RETURN_IF_ERROR(downloader.Fetch(item, [&](std::int64_t done) {
      progress.Show(finished + done, total);
      return interrupted == 0;
    }));
    finished += file.size;
  }
  fmt::print("{}: complete, every digest is upstream's\n", options.folder);
  return Status::Ok();
}

std::string SetNames() {
  std::string names;
  for (const tasks::DataSet& set : tasks::DataSets())
    names += fmt::format("  {:<16} {}{}\n", set.name, set.summary, set.needed ? "" : " (optional)");
  return names;
}

void AddCommon(CLI::App& app, Options& options) {
  app.add_option("SETS", options.sets, "Data sets by name; all that tasks need when none is named");
  app.add_option("--data", options.folder, "The data folder")
      ->default_str("~/.local/share/h1bench/data");
}

Command::Run SetUp(CLI::App& app) {
  app.require_subcommand(1);
  const auto options = std::make_shared<Options>();
  CLI::App* check =
      app.add_subcommand("check", "Compare the benchmark files with the known digests");
  AddCommon(*check, *options);
  check->add_flag("--json", options->json, "One JSON object instead of text");
  check->footer(
      "Data sets:\n" + SetNames() +
      "Examples:\n  h1bench data check\n  h1bench data check mmlu --data /srv/data --json");
  CLI::App* fetch = app.add_subcommand(
      "fetch", "Download the benchmark files from upstream, with resume and digests");
  AddCommon(*fetch, *options);
  fetch->add_option("--mirror", options->mirror,
                    "Take the files from URL/mmlu/test/... instead of upstream");
  fetch->footer("Data sets:\n" + SetNames() +
                "Examples:\n  h1bench data fetch\n  h1bench data fetch mmlu --mirror "
                "http://files.example/h1bench");
  app.footer(
      "Examples:\n  h1bench data fetch && h1bench data check\n  h1bench data fetch mmlu gsm8k");
  return [check, options] {
    if (options->folder.empty()) options->folder = tasks::DefaultDataFolder().string();
    return check->parsed() ? Check(*options) : Fetch(*options);
  };
}

const Command kData("data", "Fetch and check the benchmark files", SetUp);

}  // namespace
}  // namespace h1bench::cli
