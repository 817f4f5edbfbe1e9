#!/usr/bin/env python3
"""The one-way rule: which folder may include which. Fails on an arrow that points the wrong way.

    python3 scripts/check_includes.py             checks the tree
    python3 scripts/check_includes.py --self-test shows that a planted wrong arrow is caught
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# folder -> folders it may include beside itself. The longest matching folder counts.
ALLOWED = {
    "base": [],
    "proto": [],
    "kernels": ["base"],
    "tasks": ["base"],
    "runner/checkpoint": ["base", "kernels"],
    "runner/tokenizer": ["base"],
    "runner/engine": ["base", "kernels", "runner/checkpoint", "runner/tokenizer"],
    "runner/estimate": ["base", "kernels", "runner/checkpoint", "runner/engine", "runner/tokenizer"],
    "runner/worker": ["base", "kernels", "proto", "runner"],
    "harness/suite": ["base", "tasks"],
    "harness/store": ["base"],
    "harness/coordinator": ["base", "tasks", "proto", "harness"],
    "reports": ["base", "harness/store"],
    "cli": ["base", "proto", "kernels", "tasks", "runner", "harness", "reports"],
    "tests": ["base", "proto", "kernels", "tasks", "runner", "harness", "reports", "cli"],
}
BASE_LINES = 1500
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def owner(path, folders):
    best = ""
    for folder in folders:
        if (path == folder or path.startswith(folder + "/")) and len(folder) > len(best):
            best = folder
    return best


def wrong_arrows(files):
    """files: (path, text). Yields a line for each include that breaks the rule."""
    for path, text in files:
        source = owner(path, ALLOWED)
        if not source:
            yield f"{path}: no rule for this folder; add it to ALLOWED with a reason"
            continue
        for target in INCLUDE.findall(text):
            folder = owner(target, ALLOWED)
            if not folder or folder == source:
                continue  # a file beside it, or a library's
            if not any(folder == one or folder.startswith(one + "/") for one in ALLOWED[source]):
                yield f"{path}: {source} may not include {target}"


def tree():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "*.h", "*.cc", "*.cu"], capture_output=True, text=True)
    names = listed.stdout.split() if listed.returncode == 0 else [
        str(p.relative_to(ROOT)) for ending in ("h", "cc", "cu") for p in ROOT.rglob("*." + ending) if "build" not in p.parts]
    return [(name, (ROOT / name).read_text(encoding="utf-8")) for name in names if (ROOT / name).exists()]


def main():
    if "--self-test" in sys.argv:
        planted = [("kernels/x.cc", '#include "runner/engine/engine.h"\n'), ("tasks/y.h", '#include "harness/store/store.h"\n')]
        found = list(wrong_arrows(planted + [("cli/z.cc", '#include "kernels/backend.h"\n')]))
        assert len(found) == 2, found
        print("a planted wrong include is caught")
        return 0
    files = tree()
    problems = list(wrong_arrows(files))
    lines = sum(text.count("\n") for name, text in files if name.startswith("base/"))
    if lines > BASE_LINES:
        problems.append(f"base/: {lines} lines, at most {BASE_LINES}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
