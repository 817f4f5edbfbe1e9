#!/usr/bin/env python3
"""Which GPU code a program holds, read from its section .nv_fatbin: needs neither a GPU nor CUDA's tools.

    scripts/cuda_architectures.py build/cuda-all/h1bench
    scripts/cuda_architectures.py build/release/h1bench --expect "80-real;90a-real;80-virtual"
    scripts/cuda_architectures.py --self-test

Prints one line for each kind of code, spelled as CMake does, and how many source files were compiled to it. --expect fails
unless just what is named there is in, from every source file.
"""

import argparse
import collections
import pathlib
import struct
import sys

MAGIC = 0xBA55ED50  # begins what nvcc made of one source file
KINDS = {1: "virtual", 2: "real"}  # PTX, machine code
ONE_CARD = 1 << 20  # of an entry's flags: 90a, not 90


class Malformed(Exception):
    pass


def gpu_section(data):
    """The bytes of a 64-bit little-endian ELF file's section of GPU code; none when it has no such section."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise Malformed("is not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    for name, _, _, _, offset, length in headers:
        start = headers[names][4] + name
        if data[start : data.index(b"\0", start)] == b".nv_fatbin":
            return data[offset : offset + length]
    return b""


def entries(code):
    """(architecture, source file) of every piece of code. A container begins with magic, version, size of this header and of
    its entries; an entry with kind, version, size of this header, of the code; architecture at 28, name at 32, flags at 40."""
    at = 0
    while at + 16 <= len(code):
        magic, _, header, size = struct.unpack_from("<IHHQ", code, at)
        if magic == 0:  # filled up to where the next one begins
            at += 8
            continue
        if magic != MAGIC:
            raise Malformed(f".nv_fatbin at byte {at}: expected {MAGIC:#x}, found {magic:#x}")
        at += header
        end = at + size
        while at < end:
            kind, _, header, size = struct.unpack_from("<HHIQ", code, at)
            number, name_at, name_size, flags = struct.unpack_from("<IIIQ", code, at + 28)
            name = code[at + name_at : at + name_at + name_size].rstrip(b"\0").decode(errors="replace")
            yield f"{number}{'a' if flags & ONE_CARD else ''}-{KINDS.get(kind, f'kind {kind}')}", name
            at += header + size


def spelled_out(architectures):
    """CMake's 80 is 80-real and 80-virtual."""
    for one in architectures.replace(",", ";").split(";"):
        yield from [one] if "-" in one else [f"{one}-real", f"{one}-virtual"]


def problems(found, expected):
    """`found`: architecture -> source files."""
    files = set().union(*found.values())
    if not files:
        yield "holds no GPU code"
    for one in expected:
        for name in sorted(files - found.get(one, set())):
            yield f"{name}: no code for {one}"
    for one in sorted(found.keys() - set(expected)):
        yield f"holds code for {one}, which was not asked for"


def self_test():
    def entry(kind, number, name, flags):
        text = name.encode().ljust(16, b"\0")
        return struct.pack("<HHIQIIHHIIIQQQ", kind, 1, 80, 8, 0, 0, 0, 0, number, 64, len(name), flags, 0, 0) + text + b"\1" * 8

    def container(*parts):
        return struct.pack("<IHHQ", MAGIC, 1, 16, sum(map(len, parts))) + b"".join(parts)

    a = container(entry(2, 80, "a.cu", 0x11), entry(2, 90, "a.cu", 0x11 | ONE_CARD), entry(1, 80, "a.cu", 0x11))
    b = container(entry(2, 80, "b.cu", 0x11), entry(1, 80, "b.cu", 0x11))
    found = collect(a + b"\0" * 8 + b)
    assert found == {"80-real": {"a.cu", "b.cu"}, "90a-real": {"a.cu"}, "80-virtual": {"a.cu", "b.cu"}}, found
    assert list(problems(found, ["80-real", "90a-real", "80-virtual"])) == ["b.cu: no code for 90a-real"]
    assert list(problems(collect(b), ["80-real", "80-virtual"])) == []
    assert list(problems(collect(b), ["80-real"])) == ["holds code for 80-virtual, which was not asked for"]
    assert list(problems({}, ["80-real"])) == ["holds no GPU code"]
    assert list(spelled_out("90a-real,80")) == ["90a-real", "80-real", "80-virtual"]
    try:
        collect(a + b"\xff" * 16)
        raise AssertionError("a damaged section was read")
    except Malformed:
        pass


def collect(code):
    found = collections.defaultdict(set)
    for architecture, name in entries(code):
        found[architecture].add(name)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", type=pathlib.Path)
    parser.add_argument("--expect", metavar="LIST", help="architectures, with ; or , between them")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if options.program is None:
        parser.error("name a program")
    try:
        found = collect(gpu_section(options.program.read_bytes()))
    except (Malformed, OSError) as error:
        sys.exit(f"{options.program}: {error}")
    for one in sorted(found):
        print(f"{one}: {len(found[one])} source files")
    wrong = list(problems(found, list(spelled_out(options.expect)))) if options.expect else []
    for text in wrong:
        print(f"{options.program}: {text}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
