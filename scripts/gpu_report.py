#!/usr/bin/env python3
"""The parts of scripts/gpu-report: each measures, and prints rows `what | figure | bar | command`."""

import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time

ROWS = []
SCRATCH = pathlib.Path(tempfile.mkdtemp(prefix="h1bench-report-"))
PART_SECONDS = float(os.environ.get("H1BENCH_PART_SECONDS", "590"))
DEADLINE = time.monotonic() + PART_SECONDS  # of the part that runs


class Ended(Exception):
    """The part's time is over; its rows so far are complete."""


def row(what, figure, bar, command):
    ROWS.append((what, figure, bar, command))
    print(f"| {what} | {figure} | {bar} | `{command}` |", flush=True)


def run(*command, **options):
    shown = " ".join(str(part) for part in command)
    left = max(0.1, DEADLINE - time.monotonic())
    # timeout ends the workers of a run, too, which are in its process group.
    done = subprocess.run(["timeout", "-k", "10", f"{left:.1f}", *(str(part) for part in command)], capture_output=True, text=True,
                          **options)
    if done.returncode in (124, 137) and time.monotonic() >= DEADLINE:
        raise Ended(f"ended after {PART_SECONDS:.0f} s, in `{shown}`")
    if done.returncode != 0:
        raise RuntimeError(f"{shown}: exit {done.returncode}: {done.stderr[-800:]}")
    return done.stdout


def bench(shape, prefill, prompts=1, decode=1, batch="1", repeat=2):
    command = ["bench", "--device", "cuda", "--shape", shape, "--prefill", prefill, "--prompts", prompts, "--decode", decode,
               "--batch", batch, "--repeat", repeat]
    out = json.loads(run(BIN, *command, "--json"))
    return out, "h1bench " + " ".join(str(part) for part in command)


def part_prefill():
    for shape, prompts, bar in (("0.5B", 16, "45 %"), ("3B", 16, "60 %"), ("7B", 16, "70 %")):
        out, command = bench(shape, 1024, prompts, repeat=3)
        line = out["rows"][0]
        row(f"prefill, packed 1K prompts, {shape}",
            f"{line['tokens_per_second']:.0f} tok/s, {line['share_of_peak_gflops']:.0%} of {out['peak_gflops'] / 1e3:.0f} TFLOP/s",
            "≥ " + bar, command)


def part_decode():
    for shape in ("0.5B", "3B", "7B"):
        out, command = bench(shape, 1024, 1, 64, "1,32,64,256")
        for line in out["rows"][1:]:
            share = line["share_of_peak_bandwidth"]
            bar = {("7B", 64): "≤ 1.4 x", ("7B", 256): "≥ 70 % of the replay ceiling"}.get((shape, line["batch"]), "")
            row(f"decode B={line['batch']}, 1K context, {shape}",
                f"{line['tokens_per_second']:.0f} tok/s, {1e3 * line['batch'] / line['tokens_per_second']:.2f} ms a step, "
                f"{share:.0%} of {out['peak_gigabytes_per_second']:.0f} GB/s ({1 / share:.2f} x the bytes' floor)",
                bar, command)


def part_long():
    out, command = bench("7B", 131072, 1, 1, "1", 1)
    seconds = 131072 / out["rows"][0]["tokens_per_second"]
    row("one 128K prompt, 7B", f"{seconds:.2f} s", "≤ 9 s on an H200", command)


def part_products():
    for shape in ("0.5B", "3B", "7B"):
        for rows in (8192, 64):
            command = ["bench", "--device", "cuda", "--products", "--shape", shape, "--prefill", rows]
            rates = json.loads(run(BIN, *command, "--json"))
            figures = ", ".join(f"{r['name']} {r['gflops'] / 1e3:.0f}/{r['library_gflops'] / 1e3:.0f}" for r in rates)
            flops = [r["n"] * r["k"] for r in rates]
            ours = sum(f / r["gflops"] for f, r in zip(flops, rates))
            theirs = sum(f / max(r["library_gflops"], 1e-9) for f, r in zip(flops, rates))
            halves = sum(f / max(r["library_bf16_gflops"], 1e-9) for f, r in zip(flops, rates))
            row(f"batch-invariant products against the library's fastest, {shape}, {rows} rows",
                f"{ours / theirs - 1:+.0%} time for results of the same type, {ours / halves - 1:+.0%} against bf16 results "
                f"(TFLOP/s ours/library: {figures})", "≤ +5 %",
                "h1bench " + " ".join(str(part) for part in command))


def synthesize(shape, folder):
    """A checkpoint with random weights; the demo's small tokenizer where the vocabulary is too small for gpt2's."""
    tokenizer = pathlib.Path(os.environ.get("H1BENCH_SHARED", "../shared")) / "data/tokenizers/gpt2/tokenizer.json"
    if shape == "0.5B":
        tokenizer = pathlib.Path("demo/models/toy/tokenizer.json")
    if not folder.exists():
        run(BIN, "model", "synthesize", "--shape", shape, "--seed", "1", "--tokenizer", tokenizer, folder)
    return folder


def part_accuracy():
    import numpy
    model = synthesize("0.5B", SCRATCH / "0.5B")
    ids = SCRATCH / "ids.json"
    ids.write_text(json.dumps([(i * 7919 + 13) % 32000 for i in range(2048)]))
    logits = {}
    for precision in ("fp32", "bf16"):
        out = SCRATCH / f"{precision}.safetensors"
        run(BIN, "logits", model, "--ids", ids, "--device", "cuda", "--precision", precision, "--output", out)
        data = out.read_bytes()
        header = struct.unpack("<Q", data[:8])[0]
        shape = json.loads(data[8:8 + header])["logits"]["shape"]
        logits[precision] = numpy.frombuffer(data[8 + header:], dtype="<f4").reshape(shape)
    reference, ours = logits["fp32"].astype("f8"), logits["bf16"].astype("f8")
    error = numpy.linalg.norm(ours - reference) / numpy.linalg.norm(reference)
    top = numpy.sort(reference, axis=1)
    margin = (top[:, -1] - top[:, -2]) / numpy.abs(reference).max()
    clear = margin > 1e-2
    same = (ours.argmax(1) == reference.argmax(1))
    row("bf16 against fp32, 0.5B, 2 048 tokens",
        f"relative error {error:.1e} (norms); top-1 equal {same.mean():.1%} of all, {same[clear].mean():.1%} of {clear.sum()} with a margin",
        "≤ 1e-2, ≥ 99 %", "h1bench logits MODEL --device cuda --precision fp32|bf16")


def part_peers():
    peers = pathlib.Path(os.environ.get("H1BENCH_SHARED", "../shared")) / "peers"
    for shape in ("0.5B", "3B"):
        text = run("python3", "hf_bench.py", "bf16", shape, cwd=peers)
        theirs = {line.split(":")[0]: float(line.split(":")[1].split()[0]) for line in text.splitlines() if ":" in line}
        out, command = bench(shape, 512, 1, 16, "1,8,32", 3)
        ours = {f"{r['phase']}{r['batch']}": r["tokens_per_second"] for r in out["rows"]}
        for name, key, bar in (("prefill 512", "prefill1", "≥ 5 x"), ("decode B=1", "decode1", ""), ("decode B=8", "decode8", ""),
                               ("decode B=32", "decode32", "≥ 10 x")):
            row(f"against transformers, {shape}, {name}", f"{ours[key]:.0f} against {theirs[name]:.0f} tok/s: {ours[key] / theirs[name]:.1f} x",
                bar, command + "; peers/hf_bench.py bf16 " + shape)


def suite(name, model, tasks):
    path = SCRATCH / f"{name}.yaml"
    # One name for the model: it is part of the results' digest, which parts compare.
    path.write_text(f"name: {name}\nmodels: [{{name: model, path: {model}, precisions: [bf16], max_length: 4096}}]\ntasks: {tasks}\n")
    return path


def mmlu(model, limit, reuse):
    """One whole run from a fresh database: what `run --json` says, and its seconds from start to exit."""
    tasks = "[mmlu]" if limit is None else f"[{{task: mmlu, limit: {limit}}}]"
    path = suite(f"mmlu-{'reuse' if reuse else 'apart'}-{limit or 'all'}", model, tasks)
    shared = pathlib.Path(os.environ.get("H1BENCH_SHARED", "../shared"))
    command = [BIN, "run", path, "--engine", "cuda", "--data", shared / "data", "--db", SCRATCH / f"{path.stem}.db", "--progress", "none",
               "--batch", "256", "--json"] + ([] if reuse else ["--no-prefix-reuse"])
    begin = time.time()
    out = json.loads(run(*command))
    out["wall"] = time.time() - begin
    out["used"] = out["workers"][0]["used"]
    shown = {key: out[key] for key in ("wall", "elapsed_seconds", "ending_seconds", "start", "used")}
    print(f"{path.stem}: {json.dumps(shown)}", file=sys.stderr, flush=True)
    return out


def part_mmlu():
    begin = time.time()
    model = synthesize("7B", SCRATCH / "7B")
    print(f"7B synthesized in {time.time() - begin:.1f} s", file=sys.stderr, flush=True)
    out = mmlu(model, None, True)
    used, start = out["used"], out["start"]
    forwards = used["prefill_seconds"] + used["decode_seconds"] + used["mixed_seconds"]
    row(f"MMLU 5-shot, 7B shape, {out['cells'][0]['scored']} questions",
        f"{out['wall']:.1f} s in all: {start['planned_seconds']:.1f} s planning (of that {start['reading_models_seconds']:.1f} s reading the "
        f"model, {start['measuring_seconds']:.1f} s measuring), {used['load_seconds']:.1f} s loading, {used['engine_seconds']:.1f} s in the "
        f"engine ({forwards:.1f} s in {used['forwards']} Forwards of {used['computed_tokens']} tokens, "
        f"{used['computed_tokens'] / forwards:.0f} tok/s), {used['wait_seconds']:.2f} s waiting for work, {out['ending_seconds']:.1f} s ending",
        "≤ 45 s on an H200", "h1bench run SUITE --engine cuda --batch 256 --json")
    shared, apart = mmlu(model, 100, True), mmlu(model, 100, False)
    if shared["results_digest"] != apart["results_digest"]:
        raise RuntimeError(f"results differ with and without reuse: {shared['results_digest']} and {apart['results_digest']}")
    seconds = [one["used"]["engine_seconds"] for one in (shared, apart)]
    row("100 questions a subject, 7B, with and without reuse, time in the engine",
        f"{seconds[0]:.1f} s and {seconds[1]:.1f} s ({seconds[1] / seconds[0]:.2f} x; {shared['used']['computed_tokens']} and "
        f"{apart['used']['computed_tokens']} tokens computed), in all {shared['wall']:.1f} s and {apart['wall']:.1f} s; the same results digest",
        "≥ 5 x", "h1bench run SUITE --engine cuda --batch 256 --json [--no-prefix-reuse]")


def part_program():
    shared = pathlib.Path(os.environ.get("H1BENCH_SHARED", "../shared"))
    model = synthesize("0.5B", SCRATCH / "0.5B")
    path = suite("program", model, "[{task: mmlu, limit: 5}, {task: gsm8k, limit: 64, max_new_tokens: 128}, {task: niah, lengths: [1024, 4096], samples: 2}]")
    begin = time.time()
    run(BIN, "run", path, "--engine", "cuda", "--data", shared / "data", "--db", SCRATCH / "program.db", "--progress", "none")
    row("MMLU + GSM8K + niah, synthetic 0.5B, whole program", f"{time.time() - begin:.1f} s", "", "h1bench run SUITE --engine cuda")
    begin = time.time()
    run(BIN, "run", "demo/suite.yaml", "--engine", "cuda", "--workers", "2", "--db", SCRATCH / "demo.db", "--progress", "none")
    print(run(BIN, "report", "--db", SCRATCH / "demo.db"))
    row("the demo suite on two GPU workers", f"{time.time() - begin:.1f} s", "", "h1bench run demo/suite.yaml --engine cuda --workers 2")


def part_34b():
    out, command = bench("34B", 1024, 4, 16, "1,8,64", 1)
    for line in out["rows"]:
        row(f"34B bf16, {line['phase']} {line['batch']}", f"{line['tokens_per_second']:.0f} tok/s", "recorded", command)


PARTS = {"accuracy": part_accuracy, "prefill": part_prefill, "decode": part_decode, "long": part_long, "products": part_products,
         "peers": part_peers, "mmlu": part_mmlu, "program": part_program, "34b": part_34b}


def main():
    global BIN, DEADLINE
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="the folder of the h1bench program")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all but 34b")
    arguments = parser.parse_args()
    BIN = pathlib.Path(arguments.bin) / "h1bench"
    gpu = run("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader").strip()
    revision = [line for line in run(BIN, "--version").splitlines() if line.startswith("revision")][0].split()[1][:12]
    print(f"{time.strftime('%Y-%m-%d')}, {gpu}, revision {revision}\n\n| what | figure | bar | command |\n|---|---|---|---|")
    for part in arguments.parts or [name for name in PARTS if name != "34b"]:
        DEADLINE = time.monotonic() + PART_SECONDS
        try:
            PARTS[part]()
        except Ended as ended:
            row(part, f"not finished: {ended}", "", "")
        except Exception as error:  # one part that fails must not cost the others' figures
            row(part, f"failed: {error}", "", "")


main()
