#!/usr/bin/env python3
"""Trains the demo model and writes demo/models/toy and demo/models/untrained in the Hugging Face format.

Needs torch, transformers (5 or later) and tokenizers; the result is committed, so users need none of them.

    python3 demo/train.py --steps 12000          # minutes on a GPU, hours on two CPU cores
"""

import argparse
import json
import pathlib
import random
import shutil
import time

import tokenizers
import torch
from transformers import FalconH1Config, FalconH1ForCausalLM

import corpus

HERE = pathlib.Path(__file__).parent
VOCABULARY = 1024
END = 1  # id of <|end_of_text|>
MIX = [(corpus.mmlu_prompt, 3), (corpus.gsm8k_prompt, 3), (corpus.humaneval_prompt, 2), (corpus.needle_prompt, 4)]


def draw(rng):
    make = rng.choices([one for one, _ in MIX], [weight for _, weight in MIX])[0]
    return make(rng)


def train_tokenizer():
    """Byte-level BPE with single digits, like Falcon-H1's, on the text of the corpus."""
    rng = random.Random(1)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.Digits(individual_digits=True),
         tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    tokenizer.post_processor = tokenizers.processors.ByteLevel(trim_offsets=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=VOCABULARY, show_progress=False,
        special_tokens=["<|pad|>", "<|end_of_text|>", "<|begin_of_text|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(("".join(draw(rng)) for _ in range(20000)), trainer)
    return tokenizer


def config():
    return FalconH1Config(
        vocab_size=VOCABULARY, hidden_size=128, intermediate_size=256, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, mamba_d_ssm=192, mamba_n_heads=6, mamba_d_head=32, mamba_n_groups=1,
        mamba_d_state=32, mamba_d_conv=4, mamba_chunk_size=32, mamba_rms_norm=True, mamba_norm_before_gate=False,
        max_position_embeddings=16384, tie_word_embeddings=True, rms_norm_eps=1e-5, pad_token_id=0, eos_token_id=END,
        bos_token_id=2, embedding_multiplier=4.0, lm_head_multiplier=0.25, ssm_multipliers=[1.0, 1.0, 1.0, 1.0, 1.0],
        mlp_multipliers=[1.0, 1.0], rope_parameters={"rope_type": "default", "rope_theta": 1e5})


def batch(rng, tokenizer, sequences, device):
    """ids and loss weights (1 on the answer, 0.1 on the prompt), padded on the right."""
    rows = []
    for _ in range(sequences):
        prompt, answer = draw(rng)
        context = tokenizer.encode(prompt).ids
        # Apart, as they meet in generation: encoded together, a prompt's last line break would join the answer's indent.
        whole = context + tokenizer.encode(answer).ids + [END]
        rows.append((whole, len(context)))
    length = max(len(whole) for whole, _ in rows)
    length = -(-length // 64) * 64
    ids = torch.zeros(sequences, length, dtype=torch.long)
    weights = torch.zeros(sequences, length)
    for row, (whole, context) in enumerate(rows):
        ids[row, : len(whole)] = torch.tensor(whole)
        weights[row, 1:context] = 0.1
        weights[row, context : len(whole)] = 1.0
    return ids.to(device), weights.to(device)


def save(model, tokenizer, folder):
    shutil.rmtree(folder, ignore_errors=True)
    model.to(torch.bfloat16).cpu().save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end_of_text|>",
         "bos_token": "<|begin_of_text|>", "pad_token": "<|pad|>"}, indent=2) + "\n")


def accuracy(model, tokenizer, make, device, count=200):
    """Share of fresh items whose whole answer is the argmax, token by token, after the right prefix."""
    rng, right = random.Random(99), 0
    for _ in range(count):
        prompt, answer = make(rng)
        context = tokenizer.encode(prompt).ids
        whole = context + tokenizer.encode(answer).ids + [END]
        with torch.no_grad():
            best = model(input_ids=torch.tensor([whole], device=device), use_cache=False).logits[0].argmax(-1).tolist()
        right += best[len(context) - 1 : -1] == whole[len(context) :]
    return right / count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--sequences", type=int, default=48, help="a step")
    parser.add_argument("--seconds", type=float, default=1e9, help="anneal so as to end after this time")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=pathlib.Path, default=HERE / "models")
    options = parser.parse_args()

    torch.manual_seed(3)
    torch.backends.cuda.matmul.allow_tf32 = True
    tokenizer = train_tokenizer()
    save(FalconH1ForCausalLM(config()), tokenizer, options.output / "untrained")
    torch.manual_seed(3)
    model = FalconH1ForCausalLM(config()).to(options.device).float()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.98))
    rng = random.Random(2)
    start = time.time()
    step, average = 0, 0.0
    while True:
        done = max(step / options.steps, (time.time() - start) / options.seconds)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 200) * max(0.02, 1 - done)
        ids, weights = batch(rng, tokenizer, options.sequences, options.device)
        logits = model(input_ids=ids, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten(),
                                                 reduction="none")
        loss = (loss * weights[:, 1:].flatten()).sum() / weights.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 100 == 0:
            average = loss.item()
            print(f"step {step} loss {average:.4f} {time.time() - start:.0f} s", flush=True)
        step += 1
    model.to(torch.bfloat16).float().eval()  # what the file will hold
    for make, _ in MIX:
        print(f"{make.__name__}: {accuracy(model, tokenizer, make, options.device):.3f} of answers right", flush=True)
    save(model, tokenizer, options.output / "toy")
    print(f"{step} steps, {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
