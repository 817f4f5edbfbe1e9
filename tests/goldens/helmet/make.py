"""Small data in HELMET's formats, and what HELMET's rules make of it.

    python3 make.py        (needs numpy, rouge-score and pytrec-eval; rewrites everything beside it)

An independent program: rules as documented in docs/tasks.md (helmet), permutations by NumPy, draws
by CPython, ROUGE by rouge_score, NDCG by trec_eval. A token is a word with the white space in front
of it. Every text is ours.
"""
import hashlib, json, math, os, random, re, string, uuid

import numpy as np
import pytrec_eval
from rouge_score import rouge_scorer

HERE = os.path.dirname(os.path.abspath(__file__))
SEED, SAMPLES, LENGTH = 42, 3, 8192
ROOT = os.path.join(HERE, "data", "helmet")
made = random.Random(2024)
WORDS = "river stone lamp garden violet copper winter bridge orchard signal harbour meadow".split()


def write(name, rows):
    path = os.path.join(ROOT, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
    return rows


def words(n):
    return " ".join(made.choice(WORDS) for _ in range(n))


def uid():
    return str(uuid.UUID(int=made.getrandbits(128), version=4))


# ---- rules -------------------------------------------------------------------------------------
def shuffled(rows, seed):
    return [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]


def sample_keys(keys):
    ordered = sorted(set(keys))
    return set(random.Random(SEED).sample(ordered, min(SAMPLES, len(ordered))))


def text_seed(text, more=0):
    return (int(hashlib.sha256(text.encode()).hexdigest(), 16) + more) % 2**31


def first_distinct(rows, key, n):
    seen, out = set(), []
    for row in rows:
        if row[key] not in seen:
            seen.add(row[key])
            out.append(row)
    assert len(out) >= n
    return out[:n]


def tokens(text):
    return [m.span() for m in re.finditer(r"\s*\S+", text)]


class Case:
    """One data set under one length: templates, and how its items are cut and joined."""

    def __init__(self, name, new_tokens, user, started, joint="\n", length=LENGTH):
        self.name, self.new, self.user, self.started = name, new_tokens, user, started
        self.joint, self.length, self.items = joint, length, []

    def fill(self, text, item, context):
        return re.sub(r"\{(\w+)\}", lambda m: context if m[1] == "context" else item["fields"].get(m[1], m[0]), text)

    def prompt(self, item, chat=False):
        def whole(context):
            user = self.fill(self.user, item, context)
            if chat:
                return ("<|begin_of_text|><|im_start|>user\n" + user + "<|im_end|>\n<|im_start|>assistant\n")
            return user + self.joint + self.fill(self.started, item, "")

        text = whole(item["context"])
        over = len(tokens(text)) - (self.length - self.new)
        if over > 0:
            text = whole(item["context"][: tokens(item["context"])[-over][0]])
        return text


# ---- scores ------------------------------------------------------------------------------------
def normal(text):
    text = "".join(c for c in text.lower() if c not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def parsed(output, started):
    for pattern in (started + "(.*)(?:\n|$)", "^(.*)(?:\n|$)"):
        found = re.search(pattern, output, re.I)
        if found:
            return re.sub("^" + re.escape(started), "", found[1].strip(), flags=re.I).strip()


def substring(output, answers):
    return float(any(normal(a) in normal(output) for a in answers))


def exact(output, answers):
    return float(any(normal(a) == normal(output) for a in answers))


def rouge(output, answers):
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    return max(scorer.score(target=a, prediction=output)["rougeL"].fmeasure for a in answers)


def ndcg(output, relevance):
    output = re.sub(r"[\[\]:]", "", output).lower().replace("id", "")
    runs = [m[0] for m in re.finditer(r"\d+(\s*>\s*\d+)*", output)]
    ids = [x.strip() for x in max(runs, key=len).split(">")] if runs else [output]
    scores = {}
    for place, one in enumerate(ids):
        scores.setdefault(one, len(ids) - place)
    judge = pytrec_eval.RelevanceEvaluator({"q": relevance}, {"ndcg_cut.10"})
    return round(judge.evaluate({"q": scores})["q"]["ndcg_cut_10"], 5)


def score(case, item, response, chat=False):
    output = response if chat else case.fill(case.started, item, "") + response
    answers, line = item["answers"], parsed(output, case.started)
    if case.name.startswith("ruler"):
        return sum(a.lower() in output.lower() for a in answers) / len(answers)
    if case.name == "msmarco_rerank_psg":
        return ndcg(output, item["relevance"])
    if case.name in ICL:
        return exact(line, answers)
    if case.name == "infbench_qa":
        return max(rouge(output, answers), rouge(line, answers))
    if case.name == "infbench_choice":
        return max(exact(output, answers), exact(line, answers), float(answers[1].lower() in output.lower()))
    return max(substring(output, answers), substring(line, answers))


# ---- recall ------------------------------------------------------------------------------------
def json_kv():
    rows = []
    for i in range(7):
        pairs = [(uid(), uid()) for _ in range(5)]
        text = "JSON data:\n{" + ",\n ".join(f'"{k}": "{v}"' for k, v in pairs) + "}"
        rows.append({"index": i, "context": text, "question": pairs[i % 5][0], "answer": pairs[i % 5][1],
                     "demos": [list(pairs[(i + j) % 5]) for j in (1, 2, 3)], "num_kvs": 5, "depth": i / 6})
    case = Case("json_kv", 100, "{context}\n\nExtract the value corresponding to the specified key in the JSON "
                "object below.\n\n{demos}Key: {question}", "Corresponding value:")
    for row in shuffled(write("json_kv/test_k105_dep6.jsonl", rows), SEED)[:SAMPLES]:
        demos = "".join(f"Key: {k}\nCorresponding value: {v}\n\n" for k, v in row["demos"][:2])
        case.items.append({"row": row["index"], "context": row["context"], "answers": [row["answer"]],
                           "fields": {"question": row["question"], "demos": demos}})
    return case


def ruler(name, folder, new, kind, values, long_row=False):
    rows = []
    for i in range(4):
        key = uid() if kind == "uuid" else words(1) + "-" + words(1)
        outputs = [uid() if kind == "uuid" else str(made.randint(10**6, 10**7 - 1)) for _ in range(values)]
        plural = kind if values == 1 else kind + "s"
        text = "\n".join(f"One of the special magic {kind}s for {key} is: {v}." for v in outputs)
        if long_row:
            text += " x" * 9000
        rows.append({"index": i, "context": text, "query": key, "type_needle_v": plural, "outputs": outputs, "length": 60})
        if i % 2:
            rows[-1]["answer"] = outputs
    is_are = ("is", "A special magic {type_needle_v} is hidden", "What is the") if values == 1 else \
        ("are", "Some special magic {type_needle_v} are hidden", "What are all the")
    case = Case(name, new, is_are[1] + " within the following text. Make sure to memorize it. I will quiz you about the "
                "{type_needle_v} afterwards.\n{context}\n" + is_are[2] + " special magic {type_needle_v} for {question} "
                "mentioned in the provided text?",
                "The special magic {type_needle_v} for {question} mentioned in the provided text " + is_are[0])
    for row in shuffled(write(f"ruler/{folder}/validation_8192.jsonl", rows), SEED)[:SAMPLES]:
        case.items.append({"row": row["index"], "context": row["context"], "answers": row["outputs"],
                           "fields": {"question": row["query"], "type_needle_v": row["type_needle_v"]}})
    return case


# ---- RAG ---------------------------------------------------------------------------------------
RAG = ("Use the given documents to write a concise and short answer to the question. Write your answer in the following "
       "format:\nAnswer: [answer]\n\n{demos}{context}\n\nQuestion: {question}")


def passage(c):
    return f"Document (Title: {c['title']}): {c['text']}"


def rag_row(i, depth, with_id, pop):
    gold = {"title": f"Page {i}", "text": f"The {WORDS[i]} of town {i} is {WORDS[-1 - i]}. " + words(5), "has_answer": True}
    others = [{"title": f"Other {j}", "text": f"Passage {j} of {WORDS[j]} {{question}}", "has_answer": False} for j in range(3)]
    row = {"question": f"what is the {WORDS[i]} of town {i}?", "answers": [WORDS[-1 - i], f"the {WORDS[i]}{i}"],
           "ctxs": others[:depth] + [gold] + others[depth:], "depth": depth}
    if with_id:
        row["id"] = f"q{i:02}"
    if pop:
        row["s_pop"] = [5, 999, 1000, 40, 123456, 12, 7, 77, 300, 2][i % 10]
    return row


def rag(name, file, demo_file, depths, with_id, pop=False):
    rows = [rag_row(i, d, with_id, pop) for i in range(6) for d in range(depths)]
    demos = [rag_row(i, d, with_id, pop) for i in ((9, 8, 7, 6) if not pop else range(8)) for d in range(2)]
    write(file, rows), write(demo_file, demos)
    key = "id" if with_id else "question"
    if pop:
        demos = [d for d in demos if math.log10(d["s_pop"]) < 3]
    numbered = [(n, r) for n, r in enumerate(rows) if not pop or math.log10(r["s_pop"]) < 3]
    chosen = sample_keys(r[key] for _, r in numbered)
    case = Case(name, 20, RAG, "Answer:")
    for number, row in numbered:
        if row[key] not in chosen:
            continue
        pool = [d for d in demos if d[key] != row[key]] if pop else demos
        shown = first_distinct(shuffled(pool, text_seed(row[key])), key, 2)
        text = "".join("\n\n".join(passage(c) for c in d["ctxs"]) + f"\n\nQuestion: {d['question']}\nAnswer: {d['answers'][0]}\n\n"
                       for d in shown)
        case.items.append({"row": number, "id": row[key], "context": "\n\n".join(passage(c) for c in row["ctxs"]),
                           "answers": row["answers"], "fields": {"question": row["question"], "demos": text}})
    return case


# ---- ICL ---------------------------------------------------------------------------------------
ICL = {"trec_coarse": ("trec", "coarse_label", 6, 400), "trec_fine": ("trec", "fine_label", 50, 400),
       "banking77": ("banking77", "label", 77, 360), "clinic150": ("clinic150", "intent", 151, 440),
       "nlu": ("nlu", "label", 68, 510)}
icl_files = {}


def icl_rows(folder, n, salt):
    rows = []
    for i in range(n):
        text = f"{salt} {i}: {words(3)}"
        if folder == "trec":
            fine = (i * 7) % 50
            rows.append({"text": text, "coarse_label": fine % 6, "fine_label": fine})
        elif folder == "clinic150":
            rows.append({"text": text, "intent": (i * 11) % 151})
        elif folder == "nlu":
            rows.append({"text": text, "scenario": i % 3, "label": (i * 5) % 68})
        else:
            rows.append({"text": text, "label": (i * 3) % 77})
    return rows


def icl(name):
    folder, field, labels, shots = ICL[name]
    if folder not in icl_files:
        train = write(f"icl/{folder}/train.jsonl", icl_rows(folder, 170, "shown"))
        test = {"trec": "test", "banking77": "test", "clinic150": "validation"}.get(folder)
        # trec has as many questions as are asked: they keep the file's order
        asked = write(f"icl/{folder}/{test}.jsonl", icl_rows(folder, 3 if folder == "trec" else 9, "asked")) if test else None
        icl_files[folder] = (train, asked)
    train, asked = icl_files[folder]
    if asked is None:
        order = np.random.default_rng(SEED).permutation(len(train))
        cut = math.ceil(0.1 * len(train))
        asked, train = [train[i] for i in order[:cut]], [train[i] for i in order[cut:]]
    rand, groups = random.Random(SEED), {}
    for row in train:
        groups.setdefault(row[field], []).append(row)
    rounds = [[] for _ in range(math.ceil(shots / len(groups)))]
    for members in groups.values():
        drawn = rand.sample(range(len(members)), len(rounds) % len(members))
        while len(drawn) < len(rounds):
            drawn += rand.sample(range(len(members)), min(len(rounds) - len(drawn), len(members)))
        for one, place in zip(rounds, drawn):
            one.append(members[place])
    for one in rounds:
        rand.shuffle(one)
    shown = [row for one in rounds for row in one][:shots]
    numbered = list(enumerate(asked))
    if len(numbered) > SAMPLES:
        numbered = shuffled(numbered, SEED)[:SAMPLES]
    case = Case(name, 20, 'Use the provided mapping from the text to label to assign a label to the text. Only output '
                '"label: {label}" and nothing else. \n\n{context}\n\n{question}', "label:")
    for number, row in numbered:
        numbers = list(range(labels))
        random.Random(text_seed(row["text"], SEED)).shuffle(numbers)
        case.items.append({"row": number, "answers": [str(numbers[row[field]])], "fields": {"question": row["text"]},
                           "context": "\n\n".join(f"{r['text']}\nlabel: {numbers[r[field]]}" for r in shown)})
    return case


# ---- re-ranking --------------------------------------------------------------------------------
def rerank(k, length, queries, titled):
    def row(q, depth, n):
        ids = random.Random(q * 31 + depth).sample(range(100, 999), n)
        ctxs = [{"id": str(x), "text": f"about {WORDS[q % 12]} {x}", "label": [0, 0, 3, 1, 0, 2, 0][j % 7]} for j, x in enumerate(ids)]
        if titled:
            for c in ctxs:
                c["title"] = "T" + c["id"]
        return {"qid": f"{1000 + q}", "query": f"{WORDS[q % 12]} number {q}", "ctxs": ctxs, "depth": depth}

    rows = write(f"msmarco/test_reranking_data_k{k}_dep3.jsonl", [row(q, d, 12) for q in range(queries) for d in range(2)])
    demo_rows = write("msmarco/test_reranking_data_k10_dep3.jsonl", [row(q, d, 4) for q in range(8) for d in range(2)])
    chosen = sample_keys(r["qid"] for r in rows)
    asked = [(n, r) for n, r in enumerate(rows) if r["qid"] in chosen]
    filtered = len(demo_rows) > 2 * len(asked)
    demos = [d for d in demo_rows if d["qid"] not in chosen] if filtered else demo_rows

    def shown(c):
        return f"[ID: {c['id']}] Document (Title: {c['title']}): {c['text']}" if titled else f"[ID: {c['id']}] Document: {c['text']}"

    case = Case("msmarco_rerank_psg", 200, "You are provided with a list of documents, each indicated by their ID. Rank each "
                "document based on their relevance to the question in descending order from most relelvant to least relevant "
                "texts. Include all documents in the rankings. Write your answer using the unique IDs, with the following "
                "format:\nRanking: ID3 > ID1 > ID2\n\n{demos}{context}\n\nQuery: {question}", "Ranking:", length=length)
    for number, r in asked:
        pool = demos if filtered else [d for d in demos if d["qid"] != r["qid"]]
        text = ""
        for d in first_distinct(shuffled(pool, text_seed(r["qid"])), "qid", 2):
            order = sorted(d["ctxs"], key=lambda c: c["label"], reverse=True)
            text += "\n\n".join(map(shown, d["ctxs"])) + f"\n\nQuery: {d['query']}\nRanking: {' > '.join(c['id'] for c in order)}\n\n"
        best = sorted(r["ctxs"], key=lambda c: c["label"], reverse=True)
        case.items.append({"row": number, "id": r["qid"], "context": "\n\n".join(map(shown, r["ctxs"])),
                           "answers": [c["id"] for c in best if c["label"] > 0],
                           "relevance": {c["id"]: c["label"] for c in r["ctxs"]},
                           "fields": {"question": r["query"], "demos": text}})
    return case


# ---- novels ------------------------------------------------------------------------------------
OMITTED = " ... [the rest of the text is omitted]"


def books(name, choice):
    rows = []
    for i in range(5):
        options = [f"{WORDS[(i + j) % 12]} house" for j in range(4)] if choice else []
        rows.append({"id": 10 + i, "context": f"Story {i}." + " y" * (8200 if i % 2 else 20), "input": f"Who kept the {WORDS[i]}?",
                     "answer": [options[i % 4]] if choice else [f"{WORDS[i]} keepers running", WORDS[i + 1]], "options": options})
    write("infbench/longbook_" + ("choice" if choice else "qa") + "_eng.jsonl", rows)
    rows = json.loads(json.dumps(rows))
    for number, row in enumerate(rows):
        row["row"] = number
        spans = tokens(row["context"])
        if len(spans) + 1 > 7982:  # begin-of-text counts
            keep = 7982 - (len(tokens(OMITTED)) + 1)
            row["context"] = row["context"][: spans[keep - 1][1]] + OMITTED
        if choice:
            letter = "ABCD"[row["options"].index(row["answer"][0])]
            row["answer"] = [letter, f"{letter}. {row['answer'][0]}"]
            row["options"] = "\n".join(f"{x}. {o}" for x, o in zip("ABCD", row["options"]))
    start = "You are given a story and a question. Answer the question as concisely as you can, using a single phrase if possible."
    if choice:
        start = ("You are given a story and a question with multiple choices. Choose the best answer from the options provided. "
                 "Only one of the following options is correct, output the answer using one single letter (A, B, C, or D). Don't "
                 "say anything else.")
    options = "\nOptions:\n{options}" if choice else ""
    case = Case(name, 10, start + "\n\n{demos}{context}\n\nQuestion: {question}" + options, "Answer:", joint="\n\n")
    for row in shuffled(rows, SEED)[:SAMPLES]:
        others = shuffled([r for r in rows if r["id"] != row["id"]], SEED)[:2]
        demos = "\n\n".join("[story text]\nQuestion: " + r["input"] + (f"\nOptions:\n{r['options']}" if choice else "") +
                            f"\nAnswer: {r['answer'][0]}" for r in others)
        fields = {"question": row["input"], "demos": f"For example:\n\n{demos}\n\nNow, read the following story:\n\n"}
        if choice:
            fields["options"] = row["options"]
        case.items.append({"row": row["row"], "id": str(row["id"]), "context": row["context"], "answers": row["answer"], "fields": fields})
    return case


# ---- everything --------------------------------------------------------------------------------
def responses(case, item):
    a = item["answers"]
    common = ["", " ", " " + a[0], " " + a[-1].upper() + ".\nmore " + a[0], " no idea", "\n" + a[0],
              " " + case.started.lower() + " " + a[0], " it is the  " + a[0] + " (I think)", " The.", "\u00e9\u00a0" + a[0] + "\ttail"]
    if case.name == "msmarco_rerank_psg":
        ids = sorted(item["relevance"], key=lambda x: (-item["relevance"][x], x))
        common += [" " + " > ".join(ids), " " + " > ".join(reversed(ids)), " ID: " + " > [ID: ".join(ids[3:]) + "]",
                   " 7 > 8\n" + ">".join(ids[:2] + ids[:3]), " " + "\u00a0>\u00a0".join(ids[1:4]), " " + ", ".join(ids), " > > "]
    if case.name.startswith("infbench"):
        common += [" B", " b.", " the answer is " + a[-1].lower(), " keeper runs " + a[0].split()[0], " A"]
    return common


def main():
    cases = [json_kv(), ruler("ruler_niah_mk_2", "niah_multikey_2", 50, "number", 1, long_row=True),
             ruler("ruler_niah_mk_3", "niah_multikey_3", 100, "uuid", 1), ruler("ruler_niah_mv", "niah_multivalue", 50, "number", 4),
             rag("nq", "kilt/nq-dev-multikilt_1000_k50_dep6.jsonl", "kilt/nq-train-multikilt_1000_k3_dep6.jsonl", 2, False),
             rag("triviaqa", "kilt/triviaqa-dev-multikilt_1000_k50_dep6.jsonl", "kilt/triviaqa-train-multikilt_1000_k3_dep6.jsonl", 2, True),
             rag("hotpotqa", "kilt/hotpotqa-dev-multikilt_1000_k50_dep3.jsonl", "kilt/hotpotqa-train-multikilt_1000_k3_dep3.jsonl", 1, True),
             rag("popqa", "kilt/popqa_test_1000_k50_dep6.jsonl", "kilt/popqa_test_1000_k3_dep6.jsonl", 2, True, pop=True)]
    cases += [icl(name) for name in ICL]
    cases += [rerank(50, 8192, 5, False), rerank(130, 16384, 5, False)]
    cases += [books("infbench_qa", False), books("infbench_choice", True)]
    with open(os.path.join(HERE, "expected.jsonl"), "w") as out:
        for case in cases:
            for place, item in enumerate(case.items):
                text = case.prompt(item)
                row = {"subset": f"{case.length}/{case.name}", "index": item["row"], "id": item.get("id", ""),
                       "sha256": hashlib.sha256(text.encode()).hexdigest(), "characters": len(text), "answers": item["answers"]}
                if place == 0 and len(text) < 3000:
                    row["prompt"] = text
                chat = case.name.startswith("infbench")
                if chat:
                    row["chat_sha256"] = hashlib.sha256(case.prompt(item, chat=True).encode()).hexdigest()
                if place == 0:
                    row["scores"] = [[r, score(case, item, r)] + ([score(case, item, r, chat=True)] if chat else [])
                                     for r in responses(case, item)]
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
