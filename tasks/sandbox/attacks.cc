#include "tasks/sandbox/attacks.h"

#include <sstream>

namespace h1bench::tasks {
namespace {

constexpr const char* kPrompt =
    "from typing import List\n\n\ndef helper(x):\n    return x * 2\n\n\n"
    "def double_all(values: List[int]) -> List[int]:\n    \"\"\"Twice every value.\"\"\"\n";
constexpr const char* kTests =
    "def check(candidate):\n    assert candidate([1, 2]) == [2, 4]\n    assert candidate([]) == "
    "[]\n"
    "    assert candidate([7]) == [helper(7)]\n";

// Fields: name, statements, proves, at_start, slow.
constexpr Attack kAttacks[] = {
    // Forged answers: these pass where tests and candidate share a process.
    {"an object equal to everything", R"(
class Equal:
    def __eq__(self, other):
        return True
return Equal())",
     false, true, false},
    {"a list equal to everything", R"(
class Equal(list):
    def __eq__(self, other):
        return True
return Equal())",
     false, true, false},
    {"exit with success", "import os\nos._exit(0)", false, true, false},
    {"SystemExit", "raise SystemExit(0)", false, false, false},
    {"KeyboardInterrupt", "raise KeyboardInterrupt", false, false, false},
    {"replies before they are asked for", R"(
import os
os.write(4, b'{"nonce": "", "value": {"list": []}}\n' * 9)
return [])",
     false, true, false},
    {"a verdict on every descriptor", R"(
import os
for file in range(256):
    try:
        os.write(file, b'{"verdict": "pass", "detail": ""}\n')
    except OSError:
        pass
return [])",
     false, true, false},
    {"a verdict on standard output", "print('{\"verdict\": \"pass\"}')\nreturn []", false, false,
     false},
    {"another AssertionError", R"(
import builtins
builtins.AssertionError = ZeroDivisionError
return [])",
     false, false, false},
    {"the garbage collector's objects", R"(
import gc
for found in gc.get_objects():
    if isinstance(found, dict) and 'verdict' in found:
        found['verdict'] = 'pass'
return [])",
     false, false, false},
    {"the frames of the callers", R"(
import sys
frame = sys._getframe()
while frame:
    frame.f_globals['check'] = lambda candidate: None
    frame = frame.f_back
return [])",
     false, false, false},
    {"expected values in the caller's constants", R"(
import sys
frame = sys._getframe().f_back
while frame:
    if [2, 4] in [c for c in frame.f_code.co_consts if isinstance(c, list)] or (2, 4) in frame.f_code.co_consts:
        return [2, 4] if values == [1, 2] else [14] if values else []
    frame = frame.f_back
return None)",
     false, false, false},
    {"tests in the process's own memory", R"(
import gc
text = [x for x in gc.get_objects() if isinstance(x, dict) and any('assert candidate(' in str(v) for v in list(x.values())[:50] if isinstance(v, str) and len(v) < 9999)]
assert text)",
     true, true, false},
    {"a patched JSON parser", R"(
import json
json.loads = lambda text: {'value': {'list': []}}
return [])",
     false, false, false},
    {"a patched encoder of replies", R"(
import sys
scope = sys._getframe(1).f_globals
scope['encode'] = lambda value, depth=0: {'equal': True}
return [])",
     false, false, false},
    {"a reply of a type that is no type", R"(
import os, sys
frame = sys._getframe(1)
nonce = frame.f_locals['call']['nonce']
os.write(4, ('{"nonce": "%s", "value": {"__import__": ["os"]}}\n' % nonce).encode())
return [])",
     false, false, false},
    {"one right reply, then silence", R"(
import os, sys
os.close(4)
return [])",
     false, false, false},
    {"an answer nested without end", R"(
value = []
for _ in range(100000):
    value = [value]
return value)",
     false, false, false},
    {"an answer of a million items", "return [0] * 10**6", false, false, false},
    {"an exception that prints for ever", R"(
class Endless(Exception):
    def __str__(self):
        return 'x' * 10**7
raise Endless)",
     false, false, false},
    // The host.
    {"read /etc/passwd", "open('/etc/passwd').read()", true, true, false},
    {"read the environment of process 1", "open('/proc/1/environ').read()", true, true, false},
    {"see an environment variable", R"(
import os
assert [name for name in os.environ if name not in ('PWD', 'LC_CTYPE', 'OLDPWD', 'SHLVL', '_')])",
     true, true, false},
    {"read the home folder", "import os\nassert os.listdir('/home') or os.listdir('/root')", true,
     true, false},
    {"read /usr/share", "import os\nassert os.listdir('/usr/share')", true, false, false},
    {"read /usr/local", "import os\nassert os.listdir('/usr/local')", true, false, false},
    {"read through a relative path", "open('../../../../../../etc/hostname').read()", true, false,
     false},
    {"find any file of another folder", R"(
import os
for folder in ('/boot', '/etc', '/media', '/mnt', '/opt', '/run', '/srv', '/sys', '/var', '/work'):
    if os.path.isdir(folder) and os.listdir(folder):
        break
else:
    raise OSError)",
     true, false, false},
    {"reach the loopback network", "import socket\nsocket.socket()", true, true, false},
    {"make a pair of sockets", "import socket\nsocket.socketpair()", true, false, false},
    {"write into /usr", "open('/usr/h1bench-attack', 'w')", true, true, false},
    {"write into /", "open('/h1bench-attack', 'w')", true, false, false},
    {"write into the interpreter's library", R"(
import json
open(json.__file__, 'a'))",
     true, false, false},
    {"write into /dev", "open('/dev/h1bench-attack', 'w')", true, false, false},
    {"be root", "import os\nassert os.getuid() == 0", true, false, false},
    {"become root", "import os\nos.setuid(0)", true, true, false},
    {"see other processes", R"(
import os
assert len([name for name in os.listdir('/proc') if name.isdigit()]) > 3)",
     true, false, false},
    {"kill every process", "import os\nos.kill(1, 9)\nos.kill(-1, 0)\nassert False", true, false,
     false},
    {"signal a process of the host", R"(
import os
reached = 0
for number in range(3, 5000):
    try:
        os.kill(number, 0)
        reached += 1
    except OSError:
        pass
assert reached)",
     true, false, false},
    {"make a user namespace", "import ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0",
     true, true, false},
    {"mount a file system",
     "import ctypes\nassert ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, None) == 0", true,
     false, false},
    {"trace a process", "import ctypes\nassert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0", true,
     false, false},
    {"read another process's memory",
     "import ctypes\nassert ctypes.CDLL(None).syscall(310, 1, 0, 0, 0, 0, 0) == 0", true, false,
     false},
    {"io_uring",
     "import ctypes\nassert ctypes.CDLL(None).syscall(425, 1, ctypes.create_string_buffer(256)) >= "
     "0",
     true, false, false},
    {"bpf", "import ctypes\nassert ctypes.CDLL(None).syscall(321, 0, 0, 0) >= 0", true, false,
     false},
    {"a key ring", "import ctypes\nassert ctypes.CDLL(None).syscall(250, 0, -3, 1) >= 0", true,
     false, false},
    {"a file without a name", "import os\nos.memfd_create('x')", true, false, false},
    {"pass notes by flock", "import fcntl, sys\nfcntl.flock(open(sys.executable, 'rb'), 2)", true,
     false, false},
    {"pass notes by record locks",
     "import fcntl, sys\nfcntl.lockf(open(sys.executable, 'rb'), fcntl.LOCK_SH)", true, false,
     false},
    {"pass notes by /dev/shm", "open('/dev/shm/h1bench-attack-note', 'w')", true, false, false},
    {"pass notes by shared memory",
     "import ctypes\nassert ctypes.CDLL(None).shmget(1, 4096, 0o1666) >= 0", true, false, false},
    {"find a note of an earlier program", R"(
import os
assert os.listdir('/tmp'))",
     true, false, false},
    {"leave a note and be right", R"(
open('/tmp/h1bench-attack-note', 'w').write('x')
raise ValueError)",
     true, false, false},
    // Processes and resources. A child ends at once: a second reply would hide that it lived.
    {"fork", "import os\nif os.fork() == 0:\n    os._exit(0)", true, true, false},
    {"fork through posix, after the module was removed", R"(
import sys
sys.modules.pop('os', None)
import posix
if posix.fork() == 0:
    posix._exit(0))",
     true, false, false},
    {"fork through C",
     R"(
import ctypes, os
number = ctypes.CDLL(None).syscall(57)
if number == 0:
    os._exit(0)
assert number > 0)",
     true, false, false},
    {"a shell command", "import os\nassert os.system('true') == 0", true, false, false},
    {"a subprocess",
     "import subprocess, sys\nsubprocess.run([sys.executable, '-c', '1'], check=True)", true, false,
     false},
    {"raise a limit", R"(
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 40, 1 << 40)))",
     true, true, false},
    {"three gigabytes at once", "x = bytearray(3 << 30)", true, true, false},
    {"three gigabytes in pieces",
     "x = []\nfor _ in range(96):\n    x.append(bytearray(b'1') * (32 << 20))", true, false, false},
    {"a file of 64 MiB", R"(
with open('/tmp/h1bench-attack-file', 'wb') as file:
    for _ in range(64):
        file.write(bytes(1 << 20)))",
     true, false, false},
    {"64 files of 1 MiB", R"(
for number in range(64):
    open('/tmp/h1bench-attack-%d' % number, 'wb').write(bytes(1 << 20)))",
     true, false, false},
    {"a thousand open files", "files = [open('/dev/null') for _ in range(1000)]", true, false,
     false},
    {"a hundred threads", R"(
import threading, time
for _ in range(100):
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start())",
     true, false, false},
    {"recursion without end", "def f(n):\n    return f(n + 1)\nreturn f(0)", false, false, false},
    {"a stack overflow in C",
     "import sys\nsys.setrecursionlimit(10**9)\ndef f(n):\n    return f(n + 1)\nreturn f(0)", false,
     false, false},
    {"a segmentation fault", "import ctypes\nctypes.string_at(0)\nreturn values", false, false,
     false},
    // Time.
    {"spin", "while True:\n    pass", false, false, true},
    {"sleep", "import time\ntime.sleep(100)", false, false, true},
    {"sleep without signals", R"(
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
signal.alarm(0)
time.sleep(100))",
     false, false, true},
    {"a fork bomb", R"(
import os
while True:
    try:
        os.fork()
    except OSError:
        pass)",
     false, false, true},
    {"sleep as the leader of a session", R"(
import os, time
try:
    os.setsid()
except OSError:
    pass
time.sleep(100))",
     false, false, true},
    {"a power without end in C", "return [(7 ** (7 ** 9)) % 3]", false, false, true},
    {"a regular expression without end",
     "import re\nre.match('(a+)+$', 'a' * 64 + 'b')\nreturn values", false, false, true},
};

}  // namespace

std::span<const Attack> Attacks() { return kAttacks; }

std::string AttackBody(const Attack& attack) {
  const std::string indent(attack.proves ? 8 : 4, ' ');
  std::string body = attack.proves ? "    try:\n" : "";
  std::istringstream lines(attack.code);
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty()) body += indent + line + "\n";
  }
  if (attack.proves)
    body += std::string("    except BaseException:\n        return []\n") + kRightBody;
  return body;
}

std::string CombinedBody(std::span<const Attack> attacks) {
  std::string body = "    worked = []\n    for code in (";
  for (const Attack& attack : attacks) {
    if (attack.proves && attack.at_start) body += QuoteJson(attack.code) + ",";
  }
  body +=
      "):\n        try:\n            exec(code, {})\n            worked.append(code)\n"
      "        except BaseException:\n            pass\n"
      "    return [helper(x) for x in values] if worked else []\n";
  return body;
}

Score JudgeBody(CodeJudge& judge, const std::string& body) {
  return judge.Judge(kPrompt, body, kTests, "double_all");
}

}  // namespace h1bench::tasks
