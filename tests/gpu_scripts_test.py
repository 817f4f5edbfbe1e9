#!/usr/bin/env python3
"""scripts/gpu-test and scripts/gpu-report end a part that takes too long, say so, and go on with the next.

    tests/gpu_scripts_test.py    in a copy of scripts/, with programs that stand in for the real ones; needs no GPU
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = "1"
# Golden logits take for ever, the engine's goldens fail, all others pass.
PROGRAMS = {
    "test_kernels": 'case "$*" in *GoldenLogits*) sleep 60 ;; esac',
    "test_gpu": "true",
    "test_runner": "exit 1",
    "test_cli": "true",
    "h1bench": """case "$*" in
*--version*) echo 'revision 0123456789abcdef' ;;
*131072*) sleep 60 ;;
*--shape*0.5B*|*--shape*3B*) echo '{"peak_gflops": 1000, "rows": [{"tokens_per_second": 7, "share_of_peak_gflops": 0.5}]}' ;;
*) echo 'no such card' >&2; exit 4 ;;
esac""",
}


def write(path, text):
    path.write_text("#!/bin/bash\n" + text + "\n")
    path.chmod(0o755)


def demand(condition, text):
    if not condition:
        raise SystemExit(f"unexpected:\n{text}")


def main():
    with tempfile.TemporaryDirectory(prefix="h1bench-gpu-scripts-") as name:
        tree = pathlib.Path(name)
        shutil.copytree(ROOT / "scripts", tree / "scripts")
        for folder in ("bundle/bin", "bundle/lib", "build/gpu", "path", "tmp"):
            (tree / folder).mkdir(parents=True)
        for program, text in PROGRAMS.items():
            write(tree / "bundle/bin" / program, text)
        subprocess.run(["tar", "-C", tree / "bundle", "-cJf", tree / "build/gpu/bundle.tar.xz", "."], check=True)
        write(tree / "path/nvidia-smi", "echo 'A card, 1.2, 3 MiB'")
        environment = {**os.environ, "PATH": f"{tree / 'path'}:{os.environ['PATH']}", "TMPDIR": str(tree / "tmp"),
                       "H1BENCH_PART_SECONDS": LIMIT}

        def script(*command):
            return subprocess.run([tree / command[0], *command[1:]], capture_output=True, text=True, env=environment, timeout=50)

        done = script("scripts/gpu-test", "goldens", "engine", "lm-eval")
        demand(done.returncode == 1, done)
        demand("FAIL  goldens: ended after 1 s, not finished" in done.stdout, done)
        demand("FAIL  engine (exit code 1, " in done.stdout and "ok    lm-eval (" in done.stdout, done)
        demand(script("scripts/gpu-test", "lm-eval").returncode == 0, "lm-eval alone")
        wrong = script("scripts/gpu-test", "speed")
        demand(wrong.returncode == 2 and '"speed": expected --quick or some of: goldens' in wrong.stdout, wrong)

        done = script("scripts/gpu-report", "long", "prefill")
        demand("revision 0123456789ab" in done.stdout and "A card, 1.2, 3 MiB" in done.stdout, done)
        demand("| long | not finished: ended after 1 s, in `" in done.stdout, done)
        demand("| prefill, packed 1K prompts, 3B | 7 tok/s, 50% of 1 TFLOP/s |" in done.stdout, done)
        demand("| prefill | failed: " in done.stdout and "no such card" in done.stdout, done)
        demand("7B |" not in done.stdout.replace("--shape 7B", ""), done)


main()
