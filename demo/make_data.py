#!/usr/bin/env python3
"""Writes demo/data: small benchmark files of our own in the upstream formats. Needs only Python; always the same bytes.

    python3 demo/make_data.py
"""

import csv
import gzip
import io
import json
import pathlib
import random

import corpus

DATA = pathlib.Path(__file__).parent / "data"
TEST_QUESTIONS = 16  # a subject


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def mmlu(rng):
    for subject, rows in sorted(corpus.SUBJECTS.items()):
        drawn = rng.sample(rows, 5 + TEST_QUESTIONS)
        for split, part in (("dev", drawn[:5]), ("test", drawn[5:])):
            out = io.StringIO()
            writer = csv.writer(out, lineterminator="\n")
            for question, options, answer in part:
                writer.writerow([question, *options, corpus.LETTERS[answer]])
            write(DATA / "mmlu" / split / f"{subject}_{split}.csv", out.getvalue())


def gsm8k(rng):
    for split, count in (("train", 60), ("test", 40)):
        rows = [dict(zip(("question", "answer"), corpus.word_problem(rng))) for _ in range(count)]
        write(DATA / "gsm8k" / f"{split}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def write_gzip(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0))


def humaneval():
    rows = [{"task_id": f"HumanEval/{number}", **corpus.function(place, k)}
            for number, (place, k) in enumerate(sorted(corpus.HELD_OUT))]
    write_gzip(DATA / "humaneval" / "HumanEval.jsonl.gz", rows)
    for row, (place, k) in zip(rows, sorted(corpus.HELD_OUT)):
        examples = [eval(f"[{example}]") for example in corpus.FUNCTIONS[place][-1]]  # our own text
        numbers = [[n] for n in (0, 1, -7, 1000)] if all(type(e[0]) is int for e in examples) else []
        row.update(base_input=examples, plus_input=examples + numbers, atol=0)
    write_gzip(DATA / "humanevalplus" / "HumanEvalPlus.jsonl.gz", rows)


if __name__ == "__main__":
    mmlu(random.Random(11))
    gsm8k(random.Random(12))
    humaneval()
    print(f"wrote {DATA}")
