#!/usr/bin/env python3
"""Writes the prompts of demo/tasks from the rules alone: rows, CPython's own random, re and str. Knows nothing of h1bench.

    python3 tests/goldens/custom/make.py    writes TASK.jsonl beside itself: prompt and continuations of every document
"""

import json
import pathlib
import random
import re

HERE = pathlib.Path(__file__).resolve().parent
DATA = HERE.parents[2] / "demo/tasks"


def rows(name):
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def hellaswag(text):
    text = text.strip().replace(" [title]", ". ")
    return re.sub("\\[.*?\\]", "", text).replace("  ", " ")


def ask_arc(row):
    return f"Question: {row['question']}\nAnswer:"


def ask_hellaswag(row):
    return hellaswag(row["activity_label"] + ": " + row["ctx_a"] + " " + row["ctx_b"].capitalize())


def ask_triviaqa(row):
    return f"Question: {row['question']}?\nAnswer:"


TASKS = {
    "arc-challenge": (3, ask_arc, lambda row: row["choices"]["text"],
                      lambda row: row["choices"]["text"][row["choices"]["label"].index(row["answerKey"])]),
    "hellaswag": (2, ask_hellaswag, lambda row: [hellaswag(one) for one in row["endings"]],
                  lambda row: hellaswag(row["endings"][row["label"]])),
    "triviaqa": (5, ask_triviaqa, lambda row: [], lambda row: row["answer"]["aliases"][0]),
}

for name, (shots, ask, choices, answer) in TASKS.items():
    train = rows(name + "-train.jsonl")
    draw = random.Random(1234)
    with open(HERE / (name + ".jsonl"), "w", encoding="utf-8") as out:
        for row in rows(name + ".jsonl"):
            prompt = "".join(f"{ask(one)} {answer(one)}\n\n" for one in draw.sample(train, shots)) + ask(row)
            out.write(json.dumps({"prompt": prompt, "continuations": [" " + one for one in choices(row)]}, ensure_ascii=False) + "\n")
