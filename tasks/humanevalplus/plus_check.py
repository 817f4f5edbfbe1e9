# What decides about a HumanEval+ answer: its outputs against those of the canonical solution, which runs here, in the
# checker's jail. DATA: "row", the line of the benchmark's file; "part", "base" or "plus". Rules of EvalPlus's evaluation.
import copy
import json
import math
import time

LEAST_SECONDS, FACTOR, TASK_SECONDS = 4.0, 4.0, 60.0  # of one input, of the reference's own time, of all inputs together


def is_floats(value):
    if type(value) in (list, tuple) and value:
        return all(type(item) is float for item in value)
    return type(value) is float


def close(value, expected, tolerance):
    """What numpy.allclose says with rtol 1e-7, for numbers in lists of the same shape."""
    if isinstance(expected, (list, tuple)):
        if not isinstance(value, (list, tuple)) or len(value) != len(expected):
            return False
        return all(close(a, b, tolerance) for a, b in zip(value, expected))
    if type(value) not in (bool, int, float, complex) or type(expected) not in (bool, int, float, complex):
        raise TypeError("numbers cannot be compared with " + type(value).__name__)
    if value == expected:
        return True
    difference = abs(value - expected)
    return math.isfinite(abs(expected)) and difference <= tolerance + 1e-7 * abs(expected)


def polynomial(coefficients, x):
    return sum(c * math.pow(x, power) for power, c in enumerate(coefficients))


def check(candidate):
    row = json.loads(DATA["row"])
    scope = {}
    exec(compile(row["prompt"] + row["canonical_solution"], "<reference>", "exec"), scope)
    reference = scope[row["entry_point"]]
    tolerance, left = row["atol"], TASK_SECONDS
    for number, arguments in enumerate(row[DATA["part"] + "_input"]):
        place = "%s input %d" % (DATA["part"], number)
        start = time.perf_counter()
        expected = reference(*copy.deepcopy(arguments))
        limit = max(LEAST_SECONDS, FACTOR * (time.perf_counter() - start))
        start = time.perf_counter()
        value = candidate.timed(arguments, {}, min(limit, left))
        left = max(0.001, left - (time.perf_counter() - start))
        if row["entry_point"] == "find_zero":  # any root will do
            assert abs(polynomial(*arguments, value)) <= tolerance, place
            continue
        if tolerance == 0 and is_floats(expected):
            tolerance = 1e-6  # stays for the inputs that follow, as upstream
        if value == expected:
            continue
        assert tolerance != 0 and type(value) is type(expected), place
        assert close(value, expected, tolerance), place
