#!/usr/bin/env python3
"""Writes docs/cli.md from the program's own --help, or checks that it is current.

  scripts/gen_cli_docs.py [--binary build/release/h1bench]           writes docs/cli.md
  scripts/gen_cli_docs.py [--binary build/release/h1bench] --check   fails with a difference
"""
import argparse
import difflib
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cli.md"

HEAD = """# h1bench on the command line

Written by `scripts/gen_cli_docs.py` from `--help`; do not edit.

Exit codes: 0 fine, 2 bad usage, input or state, 3 something named is not there, 4 a file that is damaged or not supported,
5 input/output, memory or a peer that is gone, 70 a bug of ours, 130 stopped by Ctrl-C.
"""


def help_of(binary, path):
    # Defaults must not depend on who runs this, nor on the machine.
    environment = {**os.environ, "HOME": "/home/you", "COLUMNS": "100"}
    environment.pop("XDG_DATA_HOME", None)
    result = subprocess.run([binary, *path, "--help"], capture_output=True, text=True, check=False, env=environment)
    if result.returncode != 0:
        sys.exit(f"{' '.join([binary, *path])} --help: exit status {result.returncode}\n{result.stderr}")
    return "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())


def subcommands(text):
    match = re.search(r"^Subcommands:\n((?:  .*\n?)+)", text, re.MULTILINE)
    return re.findall(r"^  ([a-z][\w-]*)", match.group(1), re.MULTILINE) if match else []


def section(binary, path):
    text = help_of(binary, path)
    if path and "Example" not in text:
        sys.exit(f"h1bench {' '.join(path)} --help has no example: give its app a footer")
    title = " ".join(["h1bench", *path])
    page = f"\n{'#' * (len(path) + 2)} {title}\n\n```\n{text}\n```\n"
    return page + "".join(section(binary, [*path, name]) for name in subcommands(text))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release/h1bench"))
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    page = HEAD + section(arguments.binary, [])
    if not arguments.check:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page, encoding="utf-8")
        return
    old = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if old != page:
        sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), page.splitlines(True), "docs/cli.md", "--help"))
        sys.exit("docs/cli.md is not current: run scripts/gen_cli_docs.py and commit the page")


if __name__ == "__main__":
    main()
