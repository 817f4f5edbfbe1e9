#include <chrono>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include "cli/command.h"
#include "tasks/sandbox/attacks.h"
#include "tasks/sandbox/judge.h"

namespace h1bench::cli {
namespace {

struct Options {
  std::int64_t bench = 0;
  int parallel = 2;
  bool json = false;
};

double Seconds(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Calls work(0) ... work(count - 1) on `threads` threads.
void InParallel(int threads, std::size_t count, const std::function<void(std::size_t)>& work) {
  std::mutex mutex;
  std::size_t next = 0;
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&] {
      while (true) {
        std::unique_lock lock(mutex);
        if (next == count) return;
        const std::size_t index = next++;
        lock.unlock();
        work(index);
      }
    });
  }
  for (std::thread& thread : running) thread.join();
}

Status Bench(tasks::CodeJudge& judge, const Options& options) {
  const auto start = std::chrono::steady_clock::now();
  std::mutex mutex;
  std::int64_t wrong = 0;
  InParallel(options.parallel, static_cast<std::size_t>(options.bench), [&](std::size_t index) {
    const bool right = index % 2 == 0;
    const auto score =
        tasks::JudgeBody(judge, right ? tasks::kRightBody : "    return sorted(values)\n");
    const std::lock_guard lock(mutex);
    wrong += score.verdict == (right ? "pass" : "fail") ? 0 : 1;
  });
  const double seconds = Seconds(start), rate = static_cast<double>(options.bench) / seconds;
  if (options.json) {
    Json json;
    json.Set("programs", options.bench).Set("seconds", seconds).Set("programs_per_second", rate);
    std::printf("%s\n", WriteJson(json).c_str());
  } else {
    std::printf("%lld programs in %.2f s: %.1f programs/s, %d at a time\n",
                static_cast<long long>(options.bench), seconds, rate, options.parallel);
  }
  if (wrong > 0) return Internal("sandbox: {} programs got a wrong verdict", wrong);
  return Status::Ok();
}

Status Attack(tasks::CodeJudge& judge, const Options& options) {
  const auto attacks = tasks::Attacks();
  std::vector<tasks::Score> scores(attacks.size());
  std::vector<double> seconds(attacks.size());
  InParallel(options.parallel, attacks.size(), [&](std::size_t index) {
    const auto start = std::chrono::steady_clock::now();
    scores[index] = tasks::JudgeBody(judge, tasks::AttackBody(attacks[index]));
    seconds[index] = Seconds(start);
  });
  std::int64_t passed = 0;
  double longest = 0;
  for (std::size_t i = 0; i < attacks.size(); ++i) {
    passed += scores[i].verdict == "pass" ? 1 : 0;
    longest = std::max(longest, seconds[i]);
    if (options.json) {
      Json json;
      json.Set("attack", attacks[i].name).Set("verdict", scores[i].verdict);
      json.Set("detail", scores[i].detail).Set("seconds", seconds[i]);
      std::printf("%s\n", WriteJson(json).c_str());
    } else {
      std::printf("%-50s %-14s %5.2f s\n", attacks[i].name,
                  scores[i].verdict == "pass" ? "SUCCEEDED" : scores[i].verdict.c_str(),
                  seconds[i]);
    }
  }
  if (!options.json) {
    std::printf("%zu attacks, %lld succeeded, the longest took %.2f s\nprofile %s\n",
                attacks.size(), static_cast<long long>(passed), longest, judge.profile().c_str());
  }
  if (passed > 0) return Internal("sandbox: {} attacks succeeded; judge no code here", passed);
  return Status::Ok();
}

Status Run(const Options& options) {
  tasks::JudgeOptions judge_options;
  judge_options.parallel = options.parallel;
  H1_ASSIGN_OR_RETURN(const auto judge, tasks::LaunchJudge(judge_options));
  return options.bench > 0 ? Bench(*judge, options) : Attack(*judge, options);
}

const Command kSandbox("sandbox", "Attack the sandbox of the code judge, or time it",
                       [](CLI::App& app) {
                         auto options = std::make_shared<Options>();
                         app.add_option(
                                "--bench", options->bench,
                                "Judge this many quick programs and print how many a second")
                             ->check(CLI::Range(1, 100000));
                         app.add_option("--parallel", options->parallel, "Programs at a time")
                             ->check(CLI::Range(1, 64))
                             ->capture_default_str();
                         app.add_flag("--json", options->json, "JSON lines on standard output");
                         app.footer(
                             "Runs every hostile program that the project knows; exit code 1 when "
                             "one succeeds.\n\n"
                             "Examples:\n  h1bench sandbox\n  h1bench sandbox --bench 400");
                         return [options] { return Run(*options); };
                       });

}  // namespace
}  // namespace h1bench::cli
