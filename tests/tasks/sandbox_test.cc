#include <dirent.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tasks/sandbox/judge.h"
#include "tests/paths.h"

namespace h1bench::tasks {
namespace {

// Problems of our own in HumanEval's form.
constexpr const char* kPrompt =
    "def helper(x):\n    return x * 2\n\n\ndef double_all(values):\n    \"\"\"Twice every "
    "value.\"\"\"\n";
constexpr const char* kTests =
    "def check(candidate):\n    assert candidate([1, 2]) == [2, 4]\n    assert candidate([]) == "
    "[]\n"
    "    assert candidate([7]) == [helper(7)]\n";

int ProcessesNamed(const std::string& name) {
  int count = 0;
  DIR* folder = opendir("/proc");
  while (const dirent* entry = readdir(folder)) {
    std::ifstream file(std::string("/proc/") + entry->d_name + "/cmdline");
    std::string line;
    std::getline(file, line, '\0');
    count += line == name ? 1 : 0;
  }
  closedir(folder);
  return count;
}

/// One judge for all tests of the binary: starting one costs four jails.
CodeJudge* Judge() {
  static auto judge = LaunchJudge({.parallel = 2, .wall_seconds = 3});
  return judge.ok() ? judge->get() : nullptr;
}

std::string WhyNot() {
  const auto judge = LaunchJudge();
  return judge.ok() ? "" : judge.status().message();
}

#define NEED_JUDGE() \
  if (Judge() == nullptr) GTEST_SKIP() << WhyNot()

Score Try(const std::string& body) { return Judge()->Judge(kPrompt, body, kTests, "double_all"); }

TEST(Sandbox, RightPassesAndWrongFails) {
  NEED_JUDGE();
  EXPECT_EQ(Try("    return [helper(x) for x in values]\n").verdict, "pass");
  EXPECT_EQ(Try("    return values\n").verdict, "fail");
  EXPECT_EQ(Try("    return [2, 4]\n").verdict, "fail");
  const Score syntax = Try("    return (\n");
  EXPECT_EQ(syntax.verdict, "fail");
  EXPECT_NE(syntax.detail.find("SyntaxError"), std::string::npos) << syntax.detail;
}

TEST(Sandbox, PlainTypesCrossBothWays) {
  NEED_JUDGE();
  const char* tests =
      "def check(candidate):\n"
      "    for value in (None, True, 0, -10**40, 1.5, float('inf'), 'a\\u20ac\\n', b'x', [1, [2]], "
      "(1, 'a'), {1, 2}, {'k': (1,)}, 2j):\n"
      "        result = candidate(value)\n"
      "        assert result == value and type(result) is type(value), value\n";
  EXPECT_EQ(Judge()->Judge("def same(x):\n", "    return x\n", tests, "same").verdict, "pass");
  EXPECT_EQ(Judge()->Judge("def same(x):\n", "    return str(x)\n", tests, "same").verdict, "fail");
}

// Each of these would pass a judge that runs tests and candidate in one process, or escape a bare
// one.
TEST(Sandbox, ForgeriesFail) {
  NEED_JUDGE();
  const char* programs[] = {
      "    class Equal:\n        def __eq__(self, other):\n            return True\n    return "
      "Equal()\n",
      "    class Equal(list):\n        def __eq__(self, other):\n            return True\n    "
      "return Equal()\n",
      "    import os\n    os._exit(0)\n",
      "    raise SystemExit(0)\n",
      "    import os\n    os.write(4, b'{\"nonce\": \"\", \"value\": {\"list\": []}}\\n' * 9)\n    "
      "return []\n",
      "    import os\n    os.write(6, b'{\"verdict\": \"pass\", \"detail\": \"\"}\\n')\n    return "
      "[]\n",
      "    import builtins\n    builtins.AssertionError = ZeroDivisionError\n    return []\n",
      "    import gc\n    for o in gc.get_objects():\n        if isinstance(o, dict) and 'verdict' "
      "in o:\n            o['verdict'] = 'pass'\n    return []\n",
      "    import sys\n    f = sys._getframe()\n    while f:\n        f.f_globals['check'] = "
      "lambda c: None\n        f = f.f_back\n    return []\n",
      "    print('{\"verdict\": \"pass\"}')\n    return []\n",
      "    import os\n    for fd in range(256):\n        try:\n            os.write(fd, "
      "b'{\"verdict\": \"pass\", \"detail\": \"\"}\\n')\n        except OSError:\n            "
      "pass\n    return []\n",
      "    import json\n    json.loads = lambda s: {'value': {'list': []}}\n    return []\n",
  };
  for (const char* program : programs) EXPECT_NE(Try(program).verdict, "pass") << program;
}

// What a program can reach is told by its answer: it returns the right list only when the attack
// worked.
std::string OnlyIf(const std::string& attack) {
  return "    try:\n" + attack +
         "    except BaseException:\n        return []\n    return [helper(x) for x in values]\n";
}

TEST(Sandbox, NothingOfTheHostIsReachable) {
  NEED_JUDGE();
  setenv("H1BENCH_SECRET", "token", 1);
  const char* attacks[] = {
      "        open('/etc/passwd').read()\n",
      "        open('/proc/1/environ').read()\n",
      "        import os\n        assert 'H1BENCH_SECRET' in os.environ\n",
      "        import socket\n        socket.socket()\n",
      "        open('/usr/h1bench-test', 'w')\n",
      "        open('/h1bench-test', 'w')\n",
      "        import os\n        assert os.getuid() == 0\n",
      "        import os\n        assert len([p for p in os.listdir('/proc') if p.isdigit()]) > "
      "3\n",
      "        import os\n        os.setuid(0)\n",
      "        import os\n        assert os.listdir('/home')\n",
      "        import ctypes\n        assert ctypes.CDLL(None).unshare(0x10000000) == 0\n",
      "        import ctypes\n        assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0\n",
      "        import fcntl\n        fcntl.flock(open('/usr/bin/env'), 2)\n",
      "        import fcntl\n        fcntl.lockf(open('/usr/bin/env'), fcntl.LOCK_SH)\n",
      "        import os\n        os.memfd_create('x')\n",
      "        import os\n        os.kill(1, 9)\n        os.kill(-1, 0)\n        assert False\n",
  };
  for (const char* attack : attacks) EXPECT_NE(Try(OnlyIf(attack)).verdict, "pass") << attack;
  // The instrument works: an attack that does nothing passes.
  EXPECT_EQ(Try(OnlyIf("        pass\n")).verdict, "pass");
}

/// The checker on its own, fed with `replies` as if a candidate had written them.
std::string CheckerAlone(const std::string& replies) {
  const auto folder = std::filesystem::temp_directory_path() / "h1bench-checker";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "replies") << replies;
  std::ofstream(folder / "job") << R"({"prompt": "def f():\n    pass\n", "entry_point": "f", )"
                                << R"("tests": "def check(c):\n    assert c() == 1\n"})";
  const auto source = h1bench::testing::SourceDir() / "tasks/sandbox";
  const std::string command =
      "cd " + folder.string() + " && cat " + (source / "wire.py").string() + " " +
      (source / "checker.py").string() +
      " > program && /usr/bin/python3 -I -S program 3<replies 4>/dev/null 5<job 6>verdict";
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::ifstream file(folder / "verdict");
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// A jail that never came up is our fault, not the model's; a program that dies is the model's.
TEST(Sandbox, FailuresOfTheJailAreNotTheModels) {
  if (access("/usr/bin/python3", X_OK) != 0) GTEST_SKIP() << "needs /usr/bin/python3";
  EXPECT_NE(CheckerAlone("").find("sandbox_error"), std::string::npos);
  EXPECT_NE(CheckerAlone("{\"ready\": true}\n").find("\"fail\""), std::string::npos);
  EXPECT_NE(CheckerAlone("{\"ready\": true}\n{\"loaded\": true}\n{\"nonce\": \"guess\", \"value\": "
                         "{\"i\": \"0x1\"}}\n")
                .find("no call asked for"),
            std::string::npos);
}

TEST(Sandbox, ResourcesAreLimited) {
  NEED_JUDGE();
  EXPECT_EQ(Try("    x = bytearray(3 << 30)\n    return []\n").verdict, "memory");
  EXPECT_NE(Try(OnlyIf("        f = open('/tmp/f', 'wb')\n        for _ in range(64):\n            "
                       "f.write(bytes(1 << 20))\n        f.close()\n"))
                .verdict,
            "pass");
  EXPECT_NE(Try(OnlyIf("        for i in range(64):\n            open('/tmp/%d' % i, "
                       "'wb').write(bytes(1 << 20))\n"))
                .verdict,
            "pass");
  EXPECT_NE(Try("    return [0] * 10**6\n").verdict, "pass");
  EXPECT_NE(Try("    def f(n):\n        return f(n + 1)\n    return f(0)\n").verdict, "pass");
}

TEST(SlowSandbox, TimeIsLimitedAndNothingSurvives) {
  NEED_JUDGE();
  const char* programs[] = {
      "    while True:\n        pass\n",
      "    import time\n    time.sleep(100)\n",
      "    import signal, time\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n    "
      "signal.alarm(0)\n    time.sleep(100)\n",
      "    import os\n    while True:\n        os.fork()\n",
      "    import os, time\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(100)\n "
      "   time.sleep(100)\n",
  };
  for (const char* program : programs) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_NE(Try(program).verdict, "pass") << program;
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_LT(seconds, 4.0) << program;
  }
  usleep(200000);
  EXPECT_EQ(ProcessesNamed("bwrap"), 0);
  EXPECT_EQ(ProcessesNamed("/usr/bin/python3"), 0);
}

}  // namespace
}  // namespace h1bench::tasks
