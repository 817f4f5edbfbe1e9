#!/usr/bin/env python3
"""Small promises about the tree: every test, fuzzer and benchmark file is built, folders say what they are, files stay readable.

    python3 scripts/check_tree.py [--build build/release]   with --build: what the build really compiles is checked, too
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONGEST = 900
LARGEST = 4_000_000
MACHINE_PATH = re.compile(r"(?<![A-Za-z0-9_.~$}\"'-])/(?:home|root|Users|mnt)/[a-z]")


def listed():
    out = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True)
    return out.stdout.splitlines() if out.returncode == 0 else []


def built_problems(names, build):
    """Files named as tests, fuzzers or benchmarks that no target compiles."""
    commands = json.loads((build / "compile_commands.json").read_text())
    compiled = {str(pathlib.Path(one["directory"], one["file"]).resolve()) for one in commands}
    for name in names:
        if name.endswith(".cc") and (name.startswith("tests/") or re.search(r"_(test|fuzz|benchmark)\.cc$", name)):
            if str((ROOT / name).resolve()) not in compiled:
                yield f"{name}: is in the tree but nothing builds it"


def tree_problems(names):
    folders = {name.split("/")[0] for name in names if "/" in name and not name.startswith(".")}
    for folder in sorted(folders - {"docs", "build"}):
        if not (ROOT / folder / "README.md").exists():
            yield f"{folder}/: has no README.md that says what it is"
    for name in names:
        path = ROOT / name
        if not path.is_file():
            continue
        if path.stat().st_size > LARGEST:
            yield f"{name}: {path.stat().st_size} bytes, at most {LARGEST}"
        if path.suffix in (".h", ".cc", ".cu", ".py"):
            text = path.read_text(encoding="utf-8")
            if text.count("\n") > LONGEST:
                yield f"{name}: {text.count(chr(10))} lines, at most {LONGEST}"
            if MACHINE_PATH.search(text):
                yield f"{name}: holds a path of one machine"
            if path.suffix == ".h" and "#pragma once" not in text:
                yield f"{name}: a header without #pragma once"


KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\([^;{]*?\)\s*)?(\w+)\((?=\w)")
NAMED_TEST = re.compile(r"`(Cuda\w+)\.(\w+)`")


def kernel_problems():
    """Kernels that tests/cuda/README.md does not hold against float64, and tests named there that do not exist."""
    manual = ROOT / "tests/cuda/README.md"
    rows = [line.split("|")[1:] for line in manual.read_text().splitlines() if line.startswith("| `")]
    listed_kernels = {(cells[0].strip(" `"), name) for cells in rows for name in re.findall(r"`(\w+)`", cells[1])}
    found = {(path.stem, name) for path in (ROOT / "kernels/cuda").glob("*.cu") for name in KERNEL.findall(path.read_text())}
    for stem, name in sorted(found - listed_kernels):
        yield f"kernels/cuda/{stem}.cu: {name}: tests/cuda/README.md names no test of it"
    for stem, name in sorted(listed_kernels - found):
        yield f"tests/cuda/README.md: there is no kernel {name} in kernels/cuda/{stem}.cu"
    tests = "".join(path.read_text() for path in (ROOT / "tests/cuda").glob("*_test.cc"))
    for suite, test in sorted(set(NAMED_TEST.findall(manual.read_text()))):
        if f"({suite}, {test})" not in tests:
            yield f"tests/cuda/README.md: there is no test {suite}.{test}"


def main():
    names = listed()
    problems = list(tree_problems(names)) + list(kernel_problems())
    if "--build" in sys.argv:
        problems += built_problems(names, ROOT / sys.argv[sys.argv.index("--build") + 1])
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
