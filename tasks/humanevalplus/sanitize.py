# Takes the code out of a response: the longest span of lines that parses, of it the imports and the definitions that the
# function needs. Follows EvalPlus's sanitize step with Python's own parser instead of tree-sitter's. Runs in the candidate's
# jail: a parser may be attacked too.
import ast
import bisect

MOST_PARSES = 20000  # what bounds a response of prose; a count, so that the verdict does not depend on the machine


def parse(text):
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def longest_code(text):
    """The span of at least two lines that parses and has most lines that are not blank; of equals the first."""
    lines = text.split("\n")
    before = [0]  # lines that are not blank before each line
    for line in lines:
        before.append(before[-1] + bool(line.strip()))
    parses = 0
    for count in range(before[-1], 0, -1):
        for first in range(len(lines) - 1):
            last = max(first + 1, bisect.bisect_left(before, before[first] + count, first + 1) - 1)
            if last >= len(lines) or before[last + 1] != before[first] + count:
                continue
            parses += 1
            if parses > MOST_PARSES:
                return lines[0]
            span = "\n".join(lines[first : last + 1])
            if parse(span) is not None:
                return span
    return lines[0]


def identifiers(node):
    """Every name in the source of a definition: variables, attributes, parameters, keywords."""
    names = set()
    for part in ast.walk(node):
        for field in ("id", "attr", "arg", "name", "asname", "rest"):
            value = getattr(part, field, None)
            if isinstance(value, str):
                names.update(value.split("."))
        names.update(name for name in getattr(part, "names", ()) if isinstance(name, str))
    return names


def assigned_name(node):
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    for part in (target, node.value):
        if isinstance(part, ast.Name):
            return part.id
    return None


def definitions(tree):
    """(name, node) of what the top level defines; the first of a name counts. As upstream, a function without a return
    statement and a definition with decorators are left out."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.decorator_list:
            found.setdefault(node.name, node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.decorator_list:
            if any(isinstance(part, ast.Return) for part in ast.walk(node)):
                found.setdefault(node.name, node)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            found.setdefault(assigned_name(node), node)
    return found


def sanitize(text, entry_point):
    code = longest_code(text)
    tree = parse(code)
    if tree is None:
        return code
    found = definitions(tree)
    needed, queue = {entry_point}, [entry_point]
    while queue:
        node = found.get(queue.pop())
        for name in identifiers(node) - needed if node else ():
            needed.add(name)
            queue.append(name)
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import) or (isinstance(node, ast.ImportFrom) and node.module != "__future__")
    ]
    kept += [node for name, node in found.items() if name in needed]
    return "\n".join(ast.get_source_segment(code, node) for node in kept).strip() or code
