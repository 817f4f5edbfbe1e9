#!/usr/bin/env python3
"""Bytes that a hostile program sends to its judge (tasks/sandbox/wire.py): whatever arrives is plain data, comes back the
same from another crossing, takes little time, or is refused. Replays corpus/judge_protocol, then mutates it.

  tests/fuzz/judge_protocol_fuzz.py            the corpus and two seconds of mutations
  tests/fuzz/judge_protocol_fuzz.py --seconds 600 [--seed 7]
"""
import argparse
import json  # noqa: F401  the C scanner finds its error class there, as in checker.py
import os
import pathlib
import random
import sys
import time

HERE = pathlib.Path(__file__).parent
SCOPE = {"__name__": "wire"}
exec(compile((HERE.parent.parent / "tasks/sandbox/wire.py").read_text(), "wire.py", "exec"), SCOPE)
Channel, encode, decode = SCOPE["Channel"], SCOPE["encode"], SCOPE["decode"]
LIMIT = 1 << 16
PLAIN = (type(None), bool, int, float, str, bytes, complex, list, tuple, dict, set, frozenset)
SLOWEST = 2.0  # seconds; a message has at most LIMIT bytes


def demand_plain(value, depth=0):
    assert type(value) in PLAIN, type(value)
    assert depth <= 52
    if type(value) in (list, tuple, set, frozenset):
        for item in value:
            demand_plain(item, depth + 1)
    if type(value) is dict:
        for key, item in value.items():
            demand_plain(key, depth + 1)
            demand_plain(item, depth + 1)


def same(a, b):
    """Equal, and NaN equal to itself; sets may come in another order."""
    return a == b or sorted(repr(a)) == sorted(repr(b))


def one(data):
    """What the checker does with a reply (Checker.receive and Checker.call)."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    os.write(writing, data[:LIMIT // 2] + b"\n")
    os.close(writing)
    start = time.process_time()
    try:
        message = Channel(reading, -1, LIMIT).receive()
    except (EOFError, ValueError, RecursionError):
        return False
    finally:
        os.close(reading)
    if type(message) is not dict or "value" not in message:
        return False
    try:
        value = decode(message["value"])
    except Exception:  # as in the checker: refused
        return False
    demand_plain(value)
    try:
        again = decode(encode(value))
    except ValueError as error:  # 50 levels of tags are more than 50 of values
        assert "nested" in str(error), error
        return True
    assert same(value, again), (value, again)
    assert time.process_time() - start < SLOWEST, "slow"
    return True


def mutate(data, pool, rng):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:at] = rng.choice((b"[", b"]", b"{", b"}", b'"', b",", b":", b"1e999", b"-0", b"NaN", b"null", b'{"set":',
                                      b'{"dict":[[', b'{"i":"0x', b'{"c":[', b'{"b":"', b"\\ud800", b"\xff"))
        elif kind == 2:
            end = min(len(data), at + rng.randrange(1, 20))
            del data[at:end]
        elif kind == 3:
            other = rng.choice(pool)
            cut = rng.randrange(len(other) + 1)
            data[at:] = other[cut:]
        elif kind == 4:
            end = min(len(data), at + rng.randrange(1, 40))
            data[at:at] = data[at:end] * rng.choice((1, 2, 60))
        else:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 5)))
    return bytes(data[:LIMIT // 2])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    corpus = [path.read_bytes() for path in sorted((HERE / "corpus/judge_protocol").iterdir())]
    taken = sum(one(data) for data in corpus)
    if taken < 5 or taken == len(corpus):
        sys.exit("the corpus must have messages that are taken, and some that are not: %d of %d" % (taken, len(corpus)))
    rng, pool, runs, end = random.Random(arguments.seed), list(corpus), 0, time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        data = mutate(rng.choice(pool), pool, rng)
        try:
            good = one(data)
        except BaseException:
            pathlib.Path("crash-judge_protocol").write_bytes(data)
            print("found: %r" % data[:400], file=sys.stderr)
            raise
        runs += 1
        taken += good
        if good and len(pool) < 2000:
            pool.append(data)
    print("judge_protocol: %d files, %d mutations, %d messages taken" % (len(corpus), runs, taken))


if __name__ == "__main__":
    main()
