"""Everything the demo model is trained on and asked: we wrote it all, in the upstream benchmarks' own formats.

Five MMLU subjects (facts and small rules; the four options of a subject keep their order, which is what a model of this size
can learn), GSM8K-like word problems, HumanEval-like functions, and needles in a haystack. Every item is drawn by a
random.Random that the caller seeds, so the same seed gives the same bytes.
"""

import pathlib
import random
import re

# --- multiple choice -------------------------------------------------------------------------------------------------

CONTINENTS = {
    "Africa": "Egypt Kenya Ghana Nigeria Morocco Ethiopia Uganda Angola Senegal Tunisia Zambia Mali".split(),
    "Asia": "Japan China India Nepal Thailand Vietnam Mongolia Iran Laos Jordan Bhutan Malaysia".split(),
    "Europe": "France Spain Italy Poland Norway Sweden Austria Greece Ireland Finland Portugal Hungary".split(),
    "America": "Brazil Peru Chile Canada Mexico Cuba Bolivia Panama Uruguay Ecuador Jamaica Paraguay".split(),
}
SYSTEMS = {
    "the digestive system": ["stomach", "liver", "pancreas", "small intestine", "gallbladder", "colon"],
    "the nervous system": ["brain", "spinal cord", "cerebellum", "optic nerve", "brain stem", "hypothalamus"],
    "the circulatory system": ["heart", "aorta", "jugular vein", "left ventricle", "carotid artery", "right atrium"],
    "the respiratory system": ["lungs", "trachea", "bronchi", "diaphragm", "alveoli", "larynx"],
}
ANIMALS = {
    "a bird": "sparrow eagle penguin robin owl swan falcon parrot heron crow".split(),
    "a fish": "salmon trout shark tuna carp herring pike eel cod sardine".split(),
    "a mammal": "horse whale tiger bat dolphin rabbit bear mouse otter camel".split(),
    "an insect": "beetle ant wasp moth cricket dragonfly termite flea mosquito grasshopper".split(),
}
VARIABLES = [("p", "q"), ("a", "b"), ("x", "y"), ("r", "s"), ("u", "v"), ("m", "n")]


def _fact(question, table):
    options = list(table)
    return [(question.format(item), options, options.index(key)) for key in options for item in table[key]]


def _logic():
    rows = []
    for first, second in VARIABLES:
        options = [f"{first} and {second}", f"{first} and not {second}", f"not {first} and {second}",
                   f"neither {first} nor {second}"]
        for answer, (one, two) in enumerate([("true", "true"), ("true", "false"), ("false", "true"), ("false", "false")]):
            for opening in ("Let", "Suppose that", "Assume that"):
                verb = "be" if opening == "Let" else "is"
                rows.append((f"{opening} {first} {verb} {one} and {second} {verb} {two}. Which of these is true?",
                             options, answer))
    return rows


SUBJECTS = {
    "anatomy": _fact("To which system of the body does this belong: {}?", SYSTEMS),
    "elementary_mathematics": [(f"What is the remainder when {n} is divided by 4?", ["0", "1", "2", "3"], n % 4)
                               for n in range(10, 250)],
    "formal_logic": _logic(),
    "high_school_geography": _fact("On which continent is {}?", CONTINENTS),
    "miscellaneous": _fact("What kind of animal is this: {}?", ANIMALS),
}
LETTERS = "ABCD"


def mmlu_item(row, answer=True):
    question, options, index = row
    lines = [question] + [f"{letter}. {option}" for letter, option in zip(LETTERS, options)]
    return "\n".join(lines) + "\nAnswer:" + (f" {LETTERS[index]}" if answer else "")


def mmlu_header(subject):
    name = subject.replace("_", " ")
    return f"The following are multiple choice questions (with answers) about {name}.\n\n"


def mmlu_prompt(rng, shots=2):
    """(prompt, answer) in the layout of lm-eval's mmlu: header, shots, question."""
    subject = rng.choice(sorted(SUBJECTS))
    rows = [rng.choice(SUBJECTS[subject]) for _ in range(shots + 1)]
    body = "".join(mmlu_item(row) + "\n\n" for row in rows[:-1])
    return mmlu_header(subject) + body + mmlu_item(rows[-1], answer=False), " " + LETTERS[rows[-1][2]]


# --- word problems ---------------------------------------------------------------------------------------------------

NAMES = "Anna Ben Clara David Emma Felix Grace Hugo Ida Jonas".split()
THINGS = "apples books coins pencils shells stamps cards marbles".split()


def word_problem(rng):
    """(question, answer) with GSM8K's calculator marks and last line."""
    name, things = rng.choice(NAMES), rng.choice(THINGS)
    kind = rng.randrange(4)
    if kind == 0:
        a, b = rng.randint(2, 99), rng.randint(2, 99)
        question = f"{name} has {a} {things}. Then {name} buys {b} more. How many {things} does {name} have now?"
        steps, result = f"{name} has {a}+{b}=<<{a}+{b}={a + b}>>{a + b} {things}.", a + b
    elif kind == 1:
        a = rng.randint(12, 99)
        b = rng.randint(2, a - 1)
        question = f"{name} has {a} {things} and gives {b} of them to a friend. How many {things} does {name} have left?"
        steps, result = f"{name} has {a}-{b}=<<{a}-{b}={a - b}>>{a - b} {things} left.", a - b
    elif kind == 2:
        a, b = rng.randint(2, 9), rng.randint(2, 12)
        question = f"There are {a} boxes with {b} {things} in each box. How many {things} are there in all?"
        steps, result = f"There are {a}*{b}=<<{a}*{b}={a * b}>>{a * b} {things} in all.", a * b
    else:
        a, b = rng.randint(5, 60), rng.randint(2, 30)
        c = rng.randint(2, a + b - 2)
        question = (f"{name} has {a} {things}, finds {b} more and then loses {c}. "
                    f"How many {things} does {name} have in the end?")
        steps = (f"At first {name} gets {a}+{b}=<<{a}+{b}={a + b}>>{a + b} {things}.\n"
                 f"In the end {name} has {a + b}-{c}=<<{a + b}-{c}={a + b - c}>>{a + b - c} {things}.")
        result = a + b - c
    return question, f"{steps}\n#### {result}"


def gsm8k_prompt(rng, shots=2):
    items = [word_problem(rng) for _ in range(shots + 1)]
    text = "".join(f"Question: {question}\nAnswer: {answer}\n\n" for question, answer in items[:-1])
    return f"{text}Question: {items[-1][0]}\nAnswer:", " " + items[-1][1]


# --- functions to complete -------------------------------------------------------------------------------------------

# name, arguments, docstring, body, example arguments; {k} is a number from 2 to 9
FUNCTIONS = [
    ("add_{k}", "x", "Return x plus {k}.", "return x + {k}", ["1", "10", "-4"]),
    ("subtract_{k}", "x", "Return x minus {k}.", "return x - {k}", ["9", "3", "0"]),
    ("times_{k}", "x", "Return x times {k}.", "return x * {k}", ["2", "5", "-1"]),
    ("is_multiple_of_{k}", "x", "Return whether x is a multiple of {k}.", "return x % {k} == 0", ["12", "35", "18"]),
    ("is_above_{k}", "x", "Return whether x is above {k}.", "return x > {k}", ["1", "7", "30"]),
    ("first_{k}", "text", "Return the first {k} letters of text.", "return text[:{k}]",
     ["'butterflies'", "'ab'", "'evaluation'"]),
    ("last_{k}", "text", "Return the last {k} letters of text.", "return text[-{k}:]",
     ["'butterflies'", "'mountain'", "'evaluation'"]),
    ("repeat_{k}", "text", "Return text repeated {k} times.", "return text * {k}", ["'ab'", "''", "'xyz'"]),
    ("every_{k}", "values", "Return every item of values whose place is a multiple of {k}.", "return values[::{k}]",
     ["list(range(20))", "[1, 2, 3]", "[]"]),
    ("sum_of_first_{k}", "values", "Return the sum of the first {k} values.",
     "total = 0\n    for value in values[:{k}]:\n        total += value\n    return total",
     ["list(range(20))", "[1, 2, 3]", "[]"]),
    ("count_above_{k}", "values", "Return how many values are above {k}.",
     "count = 0\n    for value in values:\n        if value > {k}:\n            count += 1\n    return count",
     ["[1, 5, 9, 12]", "[3, 3, 3]", "[]"]),
]
# Combinations that only the test file holds: the model has to put a known rule and a known number together.
HELD_OUT = {(place, 2 + (place * 3 + extra) % 8) for place in range(len(FUNCTIONS)) for extra in (0, 5)}


def function(place, k):
    """A HumanEval row without its task_id."""
    name, argument, says, body, examples = (part if isinstance(part, list) else part.replace("{k}", str(k))
                                            for part in FUNCTIONS[place])
    scope = {}
    exec(f"def {name}({argument}):\n    {body}\n", scope)  # our own code, above
    results = [repr(eval(f"{name}({example})", scope)) for example in examples]
    prompt = f'def {name}({argument}):\n    """{says}\n    >>> {name}({examples[0]})\n    {results[0]}\n    """\n'
    test = "\n\ndef check(candidate):\n" + "".join(
        f"    assert candidate({example}) == {result}\n" for example, result in zip(examples, results))
    return {"prompt": prompt, "entry_point": name, "canonical_solution": f"    {body}\n", "test": test}


def humaneval_prompt(rng):
    while True:
        place, k = rng.randrange(len(FUNCTIONS)), rng.randint(2, 9)
        if (place, k) not in HELD_OUT:
            row = function(place, k)
            return row["prompt"], row["canonical_solution"]


# --- needles ---------------------------------------------------------------------------------------------------------

_HEADER = (pathlib.Path(__file__).parent.parent / "tasks/niah/haystack.h").read_text(encoding="utf-8")


def _strings(name):
    """String literals of one constant of tasks/niah/haystack.h: the task and the model's training share their words."""
    body = re.search(r"constexpr [^=;]*\b" + name + r"\s*=(.*?);\n", _HEADER, re.S).group(1)
    return [text.encode().decode("unicode_escape") for text in re.findall(r'"((?:[^"\\]|\\.)*)"', body)]


HAYSTACK, ADJECTIVES, NOUNS = _strings("kHaystack"), _strings("kKeyAdjectives"), _strings("kKeyNouns")
NEEDLE, BEFORE, AFTER = ("".join(_strings(name)) for name in ("kNeedle", "kBefore", "kAfter"))


def needle_prompt(rng, longest=46):
    """(prompt, answer): up to `longest` sentences, most often few (a curriculum without stages)."""
    count = min(rng.randint(1, longest), rng.randint(1, longest))
    key, value = f"{rng.choice(ADJECTIVES)}-{rng.choice(NOUNS)}", str(rng.randint(10**6, 10**7 - 1))
    sentences = [HAYSTACK[place % len(HAYSTACK)] for place in range(count)]
    sentences.insert(rng.randint(0, count), NEEDLE.replace("{key}", key).replace("{value}", value))
    return BEFORE + " ".join(sentences) + AFTER.replace("{key}", key), f" {value}."
